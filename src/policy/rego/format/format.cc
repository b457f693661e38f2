#include "policy/rego/format/format.h"

#include <algorithm>

#include "policy/rego/format/formatter.h"

namespace hexr::rego {
namespace {

bool IsKeywordImport(const Import& i) {
  const std::string& root = i.path->items[0]->text;
  return root == "future" || root == "rego";
}

bool IsTrue(const Term& t) { return t.kind == TermKind::kBool && t.text == "true"; }

bool IsTrueBody(const Body& b) {
  return b.size() == 1 && b[0]->kind == ExprKind::kTerm && !b[0]->negated && b[0]->with.empty() &&
         IsTrue(*b[0]->terms[0]);
}

std::vector<const Comment*> Pointers(const std::vector<Comment>& comments) {
  std::vector<const Comment*> out;
  out.reserve(comments.size());
  for (const Comment& c : comments) out.push_back(&c);
  return out;
}

bool Earlier(const Location& a, const Location& b) { return a.row != b.row ? a.row < b.row : a.col < b.col; }

// `p[x] := v` has a key in OPA's trees unless the step is a constant and the rule says `if`.
bool HasKey(const Rule& rule, std::string_view source) {
  const Head& h = rule.head;
  if (h.key) return true;
  if (h.is_function || h.ref->items.size() != 2) return false;
  if (rule.generated_body || !IsGround(*h.ref->items[1])) return true;
  const std::string_view rest = source.substr(h.at.end);
  const size_t word = rest.find_first_not_of(" \t\r\n");
  return word == std::string_view::npos || rest.substr(word, 2) != "if";
}

}  // namespace

Formatter::Formatter(Module& module, std::string_view source, const FormatOptions& options)
    : module_(module), source_(source), options_(options), w_(Pointers(module.comments)) {
  bool all = module.v1 || options.target == Version::kV1;
  v1_ = options.target == Version::kV1;
  contains_ = ifs_ = all;
  for (const Import& i : module.imports) {
    std::string path = RefText(*i.path);
    if (path == "future.keywords") contains_ = ifs_ = true;
    contains_ = contains_ || path == "future.keywords.contains";
    ifs_ = ifs_ || path == "future.keywords.if";
  }
  for (const auto& r : module.rules) {
    const size_t length = r->head.ref->items.size();
    ref_heads_ = ref_heads_ || length > 2 || (length == 2 && r->head.key && !r->head.value);
  }
}

std::string Formatter::Run() {
  WritePackage();
  // Imports and rules in the order of the text; they may alternate.
  size_t rule = 0, import = 0;
  std::vector<const Import*> imports;
  bool rego_v1 = false;
  for (const Import& i : module_.imports) rego_v1 = rego_v1 || RefText(*i.path) == "rego.v1";
  if (options_.import_rego_v1 && !rego_v1) {
    Import v1;
    v1.path = MakeRef({"rego", "v1"}, module_.package->at);
    v1.at = {1, 1};
    module_.imports.push_back(std::move(v1));
    rego_v1 = true;
  }
  for (const Import& i : module_.imports) {
    const bool redundant = RefText(*i.path) != "future.keywords.not" && IsKeywordImport(i);
    if (v1_ && redundant && (options_.drop_keyword_imports || (rego_v1 && RefText(*i.path) != "rego.v1"))) continue;
    imports.push_back(&i);
  }
  std::stable_sort(imports.begin(), imports.end(),
                   [](const Import* a, const Import* b) { return Earlier(a->at, b->at); });
  while (rule < module_.rules.size() || import < imports.size()) {
    std::vector<const Import*> some_imports;
    while (import < imports.size() &&
           (rule >= module_.rules.size() || Earlier(imports[import]->at, module_.rules[rule]->at)))
      some_imports.push_back(imports[import++]);
    if (!some_imports.empty()) WriteImports(some_imports);
    std::vector<Rule*> rules;
    while (rule < module_.rules.size() &&
           (import >= imports.size() || !Earlier(imports[import]->at, module_.rules[rule]->at)))
      rules.push_back(module_.rules[rule++].get());
    WriteRules(rules);
  }
  w_.WriteRest();
  std::string out = std::move(w_.out_);
  if (out.ends_with('\n')) out.resize(out.find_last_not_of('\n') + 1), out += '\n';
  return out;
}

void Formatter::WritePackage() {
  (void)w_.Insert(module_.package->at.row);
  w_.StartLine();
  w_.Write("package ");
  Term path(TermKind::kRef, module_.package->at);
  path.items.push_back(MakeVar(module_.package->items[1]->text, module_.package->items[1]->at));
  for (size_t i = 2; i < module_.package->items.size(); ++i) path.items.push_back(module_.package->items[i]->Clone());
  (void)WriteRef(path);
  w_.BlankLine();
}

void Formatter::WriteImports(const std::vector<const Import*>& imports) {
  std::vector<std::vector<const Import*>> groups;
  for (const Import* i : imports) {
    if (groups.empty() || i->at.row - groups.back().back()->at.row > 1) groups.emplace_back();
    groups.back().push_back(i);
  }
  // A comment behind an import moves with it.
  std::vector<std::pair<const Import*, const Comment*>> behind;
  std::vector<const Comment*> others;
  for (const Comment* c : w_.comments_) {
    auto it = std::find_if(imports.begin(), imports.end(), [&](const Import* i) { return i->at.row == c->at.row; });
    if (it != imports.end())
      behind.emplace_back(*it, c);
    else
      others.push_back(c);
  }
  w_.comments_ = std::move(others);
  for (auto& group : groups) {
    (void)w_.Insert(group[0]->at.row);
    std::stable_sort(group.begin(), group.end(), [](const Import* a, const Import* b) {
      const auto& x = a->path->items;
      const auto& y = b->path->items;
      for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
        if (x[i]->text != y[i]->text) return x[i]->text < y[i]->text;
      }
      return x.size() != y.size() ? x.size() < y.size() : a->alias < b->alias;
    });
    for (const Import* i : group) {
      w_.StartLine();
      w_.Write("import ");
      (void)WriteRef(*i->path);
      if (!i->alias.empty()) w_.Write(" as " + i->alias);
      for (const auto& [import, comment] : behind) {
        if (import == i) w_.Write(" " + CommentText(*comment));
      }
      w_.EndLine();
    }
    w_.BlankLine();
  }
}

bool Formatter::SaysIf(const Head& head) const { return (v1_ || ifs_) && (contains_ || head.value); }

bool Formatter::Groupable(const Rule& rule) const {
  return rule.body.size() <= 1 && !rule.is_default && SaysIf(rule.head);
}

void Formatter::WriteRules(const std::vector<Rule*>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    (void)w_.Insert(rules[i]->at.row);
    (void)WriteRule(*rules[i], false);
    const bool together = i + 1 < rules.size() && Groupable(*rules[i]) && Groupable(*rules[i + 1]) &&
                          rules[i + 1]->at.row == rules[i]->at.row + 1;
    if (!together) w_.BlankLine();
  }
}

bool Formatter::WriteRule(Rule& rule, bool is_else) {
  if (!is_else) w_.StartLine();
  if (rule.is_default) w_.Write("default ");
  const bool constant = IsTrueBody(rule.body) && !rule.else_rule;
  w_.comment_on_last_line_ = constant;
  const bool clean = WriteHead(rule, is_else, constant || rule.is_default);
  if (constant || rule.is_default) {
    w_.EndLine();
    return true;
  }
  w_.comment_on_last_line_ = true;
  if (SaysIf(rule.head)) {
    w_.Write(" if");
    if (rule.body.size() == 1 && rule.body[0]->at.row == rule.head.at.row) {
      w_.Write(" ");
      if (!WriteExpr(*rule.body[0])) return false;
      w_.EndLine();
      return !rule.else_rule || WriteElse(rule);
    }
  }
  if (!clean && !w_.comments_.empty()) {
    w_.Write(" { ");
  } else {
    w_.Write(" {");
    w_.EndLine();
  }
  w_.Up();
  (void)WriteBody(rule.body);
  const std::string_view text = TextOf(rule.at);
  const char skip = rule.head.is_function ? '(' : HasKey(rule, source_) ? '[' : '\0';
  const uint32_t close = ClosingRow(text, rule.at.row, '{', '}', skip, skip == '(' ? ')' : skip == '[' ? ']' : '\0');
  if (close > 0 && !w_.Insert(close)) return false;
  w_.Down();
  w_.StartLine();
  w_.Write("}");
  return !rule.else_rule || WriteElse(rule);
}

bool Formatter::WriteElse(Rule& rule) {
  Rule& other = *rule.else_rule;
  // `} else` stays in line when it was; an `else` that began its line begins one.
  bool in_line = false;
  if (other.at.row > rule.at.row && other.at.row <= module_.lines.size()) {
    const std::string& line = module_.lines[other.at.row - 1];
    const size_t first = line.find_first_not_of(" \t\r");
    in_line = first == std::string::npos || line.compare(first, 4, "else") != 0;
  }
  const bool comment_above =
      (!w_.comments_.empty() && w_.comments_[0]->at.row < other.head.at.row) || w_.line_end_ != nullptr;
  if (!comment_above && in_line) {
    w_.Write(" ");
  } else {
    w_.BlankLine();
    w_.StartLine();
  }
  if (!w_.Insert(other.head.at.row)) return false;
  if (comment_above && !in_line) w_.StartLine();
  if (other.head.value) {
    // Comments of a value belong to the line of its `else`.
    const uint32_t begin = other.head.value->at.begin, end = other.head.value->at.end;
    other.head.value->at.row = other.head.at.row;
    other.head.value->at.begin = begin;
    other.head.value->at.end = end;
  }
  return WriteRule(other, true);
}

bool Formatter::WriteHead(const Rule& rule, bool is_else, bool constant) {
  const Head& head = rule.head;
  if (is_else) {
    w_.Write("else");
  } else if (ref_heads_ || head.ref->items.size() == 1) {
    if (!WriteRef(*head.ref)) return false;
  } else {
    const Term& step = *head.ref->items[1];
    if (!w_.comments_.empty() && step.at.row == w_.comments_[0]->at.row) {
      w_.WriteRaw(w_.Save(), head.at, TextOf(head.at));
      return true;
    }
    w_.Write(head.ref->items[0]->text + "[" + TermText(step) + "]");
  }
  if (!is_else && !head.args.empty()) {
    w_.Write("(");
    std::vector<Item> items;
    for (const auto& a : head.args) items.push_back({nullptr, a.get()});
    const bool clean = WriteItems(std::move(items), head.at.row, ClosingRow(TextOf(head.at), head.at.row, '(', ')'));
    w_.Write(")");
    if (!clean) return false;
  } else if (!is_else && head.is_function) {
    w_.Write("()");
  }
  if (head.key && !head.value) {
    w_.Write(contains_ ? " contains " : "[");
    if (!WriteTerm(*head.key)) return false;
    if (!contains_) w_.Write("]");
  }
  if (!head.value) return true;
  const bool has_key = !is_else && HasKey(rule, source_);
  if (!has_key && IsTrue(*head.value) && !constant) return true;
  const bool constant_path = v1_ && constant && !has_key && head.args.empty();
  // A value that nobody wrote is left out of `p[x]` alone.
  const bool implied = head.generated_value && !is_else && head.ref->items.size() == 2 && head.args.empty();
  if (implied && !constant_path) return true;
  w_.Write(head.assign || v1_ ? " := " : " = ");
  return WriteTerm(*head.value);
}

Result<std::string> FormatSource(std::string_view file, std::string_view text, const FormatOptions& options) {
  std::vector<Diagnostic> errors;
  auto module = ParseModule(file, text, ParseOptions{options.source, 0}, errors);
  if (!module) return InvalidArgument(FormatDiagnostics(errors));
  for (Comment& c : module->comments) c.text.resize(c.text.find_last_not_of(" \t\r\f\v") + 1);
  return Formatter(*module, text, options).Run();
}

}  // namespace hexr::rego
