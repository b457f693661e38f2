#include "policy/rego/plan/guards.h"

#include <algorithm>
#include <map>

namespace hexr::rego {
namespace {

constexpr size_t kMinRules = 4;  // below this, trying in order is as fast

class GuardReader {
 public:
  GuardReader(const std::function<Value(const Term&)>& value_of, std::vector<Index::Source>& sources)
      : value_of_(value_of), sources_(sources) {}

  Index::Rule Read(const Rule& rule, bool is_function) {
    aliases_.clear();
    Index::Rule out;
    if (is_function) {
      for (size_t i = 0; i < rule.head.args.size(); ++i) {
        const Term& a = *rule.head.args[i];
        Index::Source s;
        s.argument = static_cast<int>(i);
        if (a.is_var())
          aliases_[a.text] = s;
        else if (IsGround(a))
          Add(out, s, Index::Guard::Kind::kEqual, {value_of_(a)});
      }
    }
    // With else, only the first body guards; the chain goes on when it fails, so that the rule must always be tried.
    if (rule.else_rule) return {};
    for (const auto& e : rule.body) {
      if (e->kind == ExprKind::kCall && e->with.empty() && !e->negated && e->IsCallOf("eq") && e->terms.size() == 3) {
        Index::Source s;
        for (size_t i : {size_t{1}, size_t{2}}) {
          if (e->terms[i]->is_var() && SourceOf(*e->terms[3 - i], s)) aliases_.emplace(e->terms[i]->text, s);
        }
      }
    }
    for (const auto& e : rule.body) ReadExpr(*e, out);
    return out;
  }

 private:
  bool SourceOf(const Term& t, Index::Source& out) const {
    if (t.is_var()) {
      auto it = aliases_.find(t.text);
      if (it == aliases_.end()) return false;
      out = it->second;
      return true;
    }
    if (!t.is_ref() || !t.items[0]->is_var()) return false;
    Index::Source s;
    if (t.items[0]->text != "input") {
      auto it = aliases_.find(t.items[0]->text);
      if (it == aliases_.end()) return false;
      s = it->second;
    }
    for (size_t i = 1; i < t.items.size(); ++i) {
      if (!IsGround(*t.items[i])) return false;
      s.path.push_back(value_of_(*t.items[i]));
    }
    out = std::move(s);
    return true;
  }

  void Add(Index::Rule& rule, const Index::Source& s, Index::Guard::Kind kind, std::vector<Value> values) {
    auto it = std::find(sources_.begin(), sources_.end(), s);
    if (it == sources_.end()) {
      sources_.push_back(s);
      it = sources_.end() - 1;
    }
    Index::Guard g;
    g.kind = kind;
    g.source = static_cast<int>(it - sources_.begin());
    g.values = std::move(values);
    rule.guards.push_back(std::move(g));
  }

  void ReadExpr(const Expr& e, Index::Rule& out) {
    if (e.negated || !e.with.empty()) return;
    Index::Source s;
    if (e.kind == ExprKind::kCall && e.terms.size() == 3) {
      std::string op = e.Operator();
      const Term& a = *e.terms[1];
      const Term& b = *e.terms[2];
      if (op == "eq" || op == "equal") {
        if (IsGround(b) && SourceOf(a, s))
          Add(out, s, Index::Guard::Kind::kEqual, {value_of_(b)});
        else if (IsGround(a) && SourceOf(b, s))
          Add(out, s, Index::Guard::Kind::kEqual, {value_of_(a)});
      } else if (op == "internal.member_2" && IsGround(b) && SourceOf(a, s)) {
        Members(value_of_(b), s, out);
      } else if (op == "startswith" && b.is_string() && SourceOf(a, s)) {
        Add(out, s, Index::Guard::Kind::kPrefix, {value_of_(b)});
      }
    } else if (e.kind == ExprKind::kTerm && e.terms[0]->is_ref() && e.terms[0]->items.size() == 2) {
      const Term& ref = *e.terms[0];
      // {"a", "b"}[input.x]
      if (ref.items[0]->kind == TermKind::kSet && IsGround(*ref.items[0]) && SourceOf(*ref.items[1], s)) {
        Members(value_of_(*ref.items[0]), s, out);
      }
    }
  }

  void Members(const Value& all, const Index::Source& s, Index::Rule& out) {
    std::vector<Value> values;
    if (all.is_set())
      values.assign(all.set->items, all.set->items + all.set->size);
    else if (all.is_array())
      values.assign(all.arr->items, all.arr->items + all.arr->size);
    else if (all.is_object())
      values.assign(all.obj->values, all.obj->values + all.obj->size);
    else
      return;
    Add(out, s, Index::Guard::Kind::kOneOf, std::move(values));
  }

  const std::function<Value(const Term&)>& value_of_;
  std::vector<Index::Source>& sources_;
  std::map<std::string, Index::Source> aliases_;
};

}  // namespace

bool BuildIndex(const std::vector<Rule*>& rules, bool is_function, const std::function<Value(const Term&)>& value_of,
                Index& index) {
  if (rules.size() < kMinRules) return false;
  std::vector<Index::Source> sources;
  GuardReader reader(value_of, sources);
  std::vector<Index::Rule> read;
  read.reserve(rules.size());
  for (const Rule* r : rules) read.push_back(reader.Read(*r, is_function));
  index.Build(std::move(sources), std::move(read));
  return index.useful();
}

}  // namespace hexr::rego
