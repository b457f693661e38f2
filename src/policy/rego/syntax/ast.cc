#include "policy/rego/syntax/ast.h"

#include <cctype>

#include "policy/rego/value/json.h"

namespace hexr::rego {

Term::Term(TermKind k, Location l, std::string t) : kind(k), at(l), text(std::move(t)) {}
Term::~Term() = default;
Expr::Expr(ExprKind k, Location l) : kind(k), at(l) {}
Expr::Expr(Expr&&) noexcept = default;
Expr& Expr::operator=(Expr&&) noexcept = default;
Expr::~Expr() = default;

TermPtr Term::Clone() const {
  auto t = std::make_unique<Term>(kind, at, text);
  t->generated = generated;
  t->items.reserve(items.size());
  for (const auto& i : items) t->items.push_back(i ? i->Clone() : nullptr);
  t->body = CloneBody(body);
  return t;
}

bool Term::is_comprehension() const {
  return kind == TermKind::kArrayComp || kind == TermKind::kSetComp || kind == TermKind::kObjectComp;
}

ExprPtr Expr::Clone() const {
  auto e = std::make_unique<Expr>(kind, at);
  for (const auto& t : terms) e->terms.push_back(t ? t->Clone() : nullptr);
  e->body = CloneBody(body);
  for (const auto& w : with) e->with.push_back({w.target->Clone(), w.value->Clone(), w.at});
  e->negated = negated;
  e->generated = generated;
  return e;
}

std::string Expr::Operator() const {
  return kind == ExprKind::kCall && terms[0]->is_ref() ? RefText(*terms[0]) : std::string();
}

bool Expr::IsCallOf(std::string_view name) const { return kind == ExprKind::kCall && Operator() == name; }

Head Head::Clone() const {
  Head h;
  h.ref = ref->Clone();
  for (const auto& a : args) h.args.push_back(a->Clone());
  h.is_function = is_function;
  h.key = key ? key->Clone() : nullptr;
  h.value = value ? value->Clone() : nullptr;
  h.assign = assign;
  h.generated_value = generated_value;
  h.contains = contains;
  h.at = at;
  return h;
}

std::unique_ptr<Rule> Rule::Clone() const {
  auto r = std::make_unique<Rule>();
  r->head = head.Clone();
  r->body = CloneBody(body);
  r->else_rule = else_rule ? else_rule->Clone() : nullptr;
  r->is_default = is_default;
  r->generated_body = generated_body;
  r->at = at;
  r->annotations = annotations;
  return r;
}

Body CloneBody(const Body& body) {
  Body out;
  out.reserve(body.size());
  for (const auto& e : body) out.push_back(e->Clone());
  return out;
}

TermPtr MakeVar(std::string name, Location at) { return std::make_unique<Term>(TermKind::kVar, at, std::move(name)); }
TermPtr MakeString(std::string text, Location at) {
  return std::make_unique<Term>(TermKind::kString, at, std::move(text));
}
TermPtr MakeBool(bool b, Location at) { return std::make_unique<Term>(TermKind::kBool, at, b ? "true" : "false"); }

TermPtr MakeRef(const std::vector<std::string>& parts, Location at) {
  auto t = std::make_unique<Term>(TermKind::kRef, at);
  for (size_t i = 0; i < parts.size(); ++i)
    t->items.push_back(i == 0 ? MakeVar(parts[i], at) : MakeString(parts[i], at));
  return t;
}

TermPtr OperatorRef(const std::string& name, Location at) {
  std::vector<std::string> parts;
  size_t start = 0;
  for (size_t dot; (dot = name.find('.', start)) != std::string::npos; start = dot + 1)
    parts.push_back(name.substr(start, dot - start));
  parts.push_back(name.substr(start));
  return MakeRef(parts, at);
}

ExprPtr MakeCall(const std::string& name, std::vector<TermPtr> operands, Location at) {
  auto e = std::make_unique<Expr>(ExprKind::kCall, at);
  e->terms.push_back(OperatorRef(name, at));
  for (auto& o : operands) e->terms.push_back(std::move(o));
  return e;
}

namespace {
bool IsIdentifier(std::string_view s) {
  if (s.empty() || std::isdigit(static_cast<unsigned char>(s[0]))) return false;
  for (char c : s) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

std::string List(const std::vector<TermPtr>& items, size_t from, size_t to) {
  std::string out;
  for (size_t i = from; i < to; ++i) out += (i > from ? ", " : "") + TermText(*items[i]);
  return out;
}

std::string BodyText(const Body& body) {
  std::string out;
  for (size_t i = 0; i < body.size(); ++i) out += (i > 0 ? "; " : "") + ExprText(*body[i]);
  return out;
}

std::string CallText(const std::vector<TermPtr>& terms) {
  std::string name = TermText(*terms[0]);
  const std::string_view op = name == "internal.member_2" ? "in" : Infix(name);
  if (!op.empty() && terms.size() == 3) {
    return TermText(*terms[1]) + " " + std::string(op) + " " + TermText(*terms[2]);
  }
  return name + "(" + List(terms, 1, terms.size()) + ")";
}
}  // namespace

std::string_view Infix(std::string_view name) {
  static constexpr std::string_view kSigns[][2] = {{"eq", "="},   {"assign", ":="}, {"equal", "=="}, {"neq", "!="},
                                                   {"lt", "<"},   {"lte", "<="},    {"gt", ">"},     {"gte", ">="},
                                                   {"plus", "+"}, {"minus", "-"},   {"mul", "*"},    {"div", "/"},
                                                   {"rem", "%"},  {"and", "&"},     {"or", "|"}};
  for (const auto& row : kSigns) {
    if (row[0] == name) return row[1];
  }
  return {};
}

std::string RefText(const Term& ref) {
  std::string out = TermText(*ref.items[0]);
  for (size_t i = 1; i < ref.items.size(); ++i) {
    const Term& p = *ref.items[i];
    if (p.is_string() && IsIdentifier(p.text)) {
      out += "." + p.text;
    } else {
      out += "[" + TermText(p) + "]";
    }
  }
  return out;
}

std::string TermText(const Term& t) {
  switch (t.kind) {
    case TermKind::kNull: return "null";
    case TermKind::kBool:
    case TermKind::kNumber: return t.text;
    case TermKind::kVar: return IsWildcard(t.text) ? "_" : t.text;
    case TermKind::kString: {
      std::string out;
      AppendGoQuoted(t.text, out);
      return out;
    }
    case TermKind::kRef: return RefText(t);
    case TermKind::kArray: return "[" + List(t.items, 0, t.items.size()) + "]";
    case TermKind::kSet: return t.items.empty() ? "set()" : "{" + List(t.items, 0, t.items.size()) + "}";
    case TermKind::kObject: {
      std::string out = "{";
      for (size_t i = 0; i < t.items.size(); i += 2) {
        out += (i > 0 ? ", " : "") + TermText(*t.items[i]) + ": " + TermText(*t.items[i + 1]);
      }
      return out + "}";
    }
    case TermKind::kCall: return CallText(t.items);
    case TermKind::kArrayComp: return "[" + TermText(*t.items[0]) + " | " + BodyText(t.body) + "]";
    case TermKind::kSetComp: return "{" + TermText(*t.items[0]) + " | " + BodyText(t.body) + "}";
    case TermKind::kObjectComp:
      return "{" + TermText(*t.items[0]) + ": " + TermText(*t.items[1]) + " | " + BodyText(t.body) + "}";
    case TermKind::kTemplate: {
      std::string out = "$\"";
      for (const auto& i : t.items) {
        if (i->is_string()) {
          std::string q;
          AppendGoQuoted(i->text, q);
          out += q.substr(1, q.size() - 2);
        } else {
          out += "{" + TermText(*i) + "}";
        }
      }
      return out + "\"";
    }
    case TermKind::kTemplateExpr: return BodyText(t.body);
  }
  return "";
}

std::string ExprText(const Expr& e) {
  std::string out = e.negated ? "not " : "";
  switch (e.kind) {
    case ExprKind::kTerm: out += TermText(*e.terms[0]); break;
    case ExprKind::kCall: out += CallText(e.terms); break;
    case ExprKind::kSome: out += "some " + List(e.terms, 0, e.terms.size()); break;
    case ExprKind::kEvery:
      out += "every " + (e.terms[0] ? TermText(*e.terms[0]) + ", " : "") + TermText(*e.terms[1]) + " in " +
             TermText(*e.terms[2]) + " { " + BodyText(e.body) + " }";
      break;
    case ExprKind::kNot: out += "not { " + BodyText(e.body) + " }"; break;
  }
  for (const auto& w : e.with) out += " with " + TermText(*w.target) + " as " + TermText(*w.value);
  return out;
}

bool SameTerm(const Term& a, const Term& b) {
  if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() || !a.body.empty() || !b.body.empty())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!SameTerm(*a.items[i], *b.items[i])) return false;
  }
  return true;
}

bool IsGround(const Term& t) {
  switch (t.kind) {
    case TermKind::kNull:
    case TermKind::kBool:
    case TermKind::kNumber:
    case TermKind::kString: return true;
    case TermKind::kArray:
    case TermKind::kSet:
    case TermKind::kObject:
      for (const auto& i : t.items) {
        if (!IsGround(*i)) return false;
      }
      return true;
    default: return false;
  }
}

bool IsWildcard(std::string_view var) { return var.starts_with('$'); }

}  // namespace hexr::rego
