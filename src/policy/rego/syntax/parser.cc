#include "policy/rego/syntax/parser.h"

#include <algorithm>

#include "base/limits/rego.h"
#include "policy/rego/syntax/parser_impl.h"

namespace hexr::rego {
namespace {

constexpr std::string_view kAlwaysKeywords[] = {"as",  "default", "else", "false", "import", "package",
                                                "not", "null",    "true", "with",  "some"};
constexpr std::string_view kFutureKeywords[] = {"contains", "every", "if", "in"};
constexpr size_t kMaxErrors = 10;

Body TrueBody(Location at) {
  Body b;
  b.push_back(std::make_unique<Expr>(ExprKind::kTerm, at));
  b[0]->terms.push_back(MakeBool(true, at));
  return b;
}

bool ContainsVarOrRef(const Term& t) {
  if (t.is_var() || t.is_ref() || t.kind == TermKind::kCall) return true;
  if (t.is_comprehension()) return false;
  return std::any_of(t.items.begin(), t.items.end(), [](const TermPtr& i) { return ContainsVarOrRef(*i); });
}

}  // namespace

std::string FormatDiagnostics(const std::vector<Diagnostic>& all) {
  std::string out = all.size() == 1 ? "1 error occurred: " : std::to_string(all.size()) + " errors occurred:";
  for (const Diagnostic& d : all) {
    if (all.size() > 1) out += "\n";
    if (d.at.row > 0) out += d.file + (d.file.empty() ? "" : ":") + std::to_string(d.at.row) + ": ";
    out += d.code + ": " + d.message + d.details;
  }
  return out;
}

Parser::Parser(std::string_view file, std::string_view source, const ParseOptions& options,
               std::vector<Diagnostic>& errors)
    : file_(file), source_(source), options_(options), errors_(errors) {
  LexResult lexed = Lex(source, options.file_index);
  tokens_ = std::move(lexed.tokens);
  comments_ = std::move(lexed.comments);
  for (auto k : kAlwaysKeywords) keywords_.emplace(k);
  if (options.version == Version::kV1) {
    for (auto k : kFutureKeywords) keywords_.emplace(k);
  }
}

bool Parser::Enter() {
  ++depth_;
  if (over_budget_) return false;
  if (depth_ > limits::kMaxRegoParseDepth || ++steps_ > limits::kMaxRegoParseStepsPerToken * (tokens_.size() + 64)) {
    over_budget_ = true;
    Fail(Cur().at, depth_ > limits::kMaxRegoParseDepth ? "nesting too deep" : "the text is too ambiguous to parse");
    return false;
  }
  return true;
}

void Parser::Fail(Location at, std::string message) {
  if (errors_.size() < 1000) errors_.push_back({"rego_parse_error", std::move(message), at, file_});
}

std::string Parser::Name(const Token& t) const {
  if (IsAnyKeyword(t)) return t.text;
  return std::string(TokenName(t.type));
}

void Parser::Illegal(const std::string& note) {
  const Token& t = Cur();
  if (t.type == Tok::kIllegal) return Fail(t.at, t.text);
  std::string message = "unexpected " + Name(t) + (IsAnyKeyword(t) ? " keyword" : " token");
  Fail(t.at, note.empty() ? message : message + ": " + note);
}

bool Parser::StartsRef() const {
  const Token& n = Peek();
  return !n.space_before && (n.type == Tok::kDot || n.type == Tok::kLBrack);
}

bool Parser::IsKeyword(std::string_view word) const {
  return Cur().type == Tok::kIdent && Cur().text == word && keywords_.contains(word) && !StartsRef();
}

// To the next token that begins a line: top-level statements do.
void Parser::Recover() {
  Next();
  while (!Is(Tok::kEof) && !(Cur().newline_before && Cur().at.col == 1 && !Is(Tok::kRBrace))) Next();
}

std::unique_ptr<Module> Parser::ParseModule() {
  auto m = std::make_unique<Module>();
  m->file = file_;
  m->v1 = options_.version == Version::kV1;
  m->comments = comments_;
  size_t before = errors_.size();
  if (Is(Tok::kEof)) {
    Fail(Cur().at, "empty module");
    return nullptr;
  }
  if (!IsKeyword("package")) {
    Fail(Cur().at, "package expected");
    return nullptr;
  }
  if (!ParsePackage(*m)) return nullptr;
  while (!Is(Tok::kEof) && errors_.size() - before < kMaxErrors && !over_budget_) {
    if (Is(Tok::kSemicolon)) {
      Next();
      continue;
    }
    size_t start = at_;
    bool good = IsKeyword("import") ? ParseImport(*m) : ParseRules(*m);
    if (!good) {
      if (at_ == start && errors_.size() == before) Illegal();
      Recover();
    }
  }
  if (errors_.size() == before) CheckV1(*m);
  if (errors_.size() == before) AttachAnnotations(*m, errors_);
  if (errors_.size() != before) return nullptr;
  size_t line = 0;
  for (size_t i = 0; i <= source_.size(); ++i) {
    if (i == source_.size() || source_[i] == '\n') {
      m->lines.emplace_back(source_.substr(line, i - line));
      line = i + 1;
    }
  }
  return m;
}

bool Parser::ParsePackage(Module& m) {
  Location at = Cur().at;
  Next();
  if (!Is(Tok::kIdent)) {
    Illegal("expected ident");
    return false;
  }
  TermPtr head = MakeString(Cur().text, Cur().at);
  TermPtr ref = ParseRef(MakeVar(Cur().text, Cur().at), false);
  if (!ref) return false;
  m.package = MakeRef({"data"}, at);
  m.package->items.push_back(std::move(head));
  if (ref->is_ref()) {
    for (size_t i = 1; i < ref->items.size(); ++i) {
      if (!ref->items[i]->is_string()) {
        Fail(at, "package name cannot contain variables or non-string values");
        return false;
      }
      m.package->items.push_back(std::move(ref->items[i]));
    }
  } else if (!ref->is_var()) {
    Fail(at, "package name must be a path");
    return false;
  }
  return true;
}

bool Parser::ParseImport(Module& m) {
  Import import;
  import.at = Cur().at;
  Next();
  if (!Is(Tok::kIdent)) {
    Illegal("expected ident");
    return false;
  }
  TermPtr path = ParseRef(MakeVar(Cur().text, Cur().at), false);
  if (!path) return false;
  if (path->is_var()) {
    auto ref = std::make_unique<Term>(TermKind::kRef, path->at);
    ref->items.push_back(std::move(path));
    path = std::move(ref);
  }
  if (!path->is_ref()) {
    Fail(import.at, "path must be ref or var");
    return false;
  }
  const std::string& root = path->items[0]->text;
  if (root != "data" && root != "input" && root != "future" && root != "rego") {
    Fail(import.at, "unexpected import path, must begin with one of: {data, future, input, rego}, got: " + root);
    return false;
  }
  for (size_t i = 1; i < path->items.size(); ++i) {
    if (!path->items[i]->is_string()) {
      Fail(import.at, "path elements must be strings");
      return false;
    }
  }
  import.path = std::move(path);
  if (IsKeyword("as")) {
    Next();
    if (!Is(Tok::kIdent) || IsAnyKeyword(Cur())) {
      Illegal("expected var");
      return false;
    }
    import.alias = Cur().text;
    Next();
  }
  if (root == "future" || root == "rego") return ApplyKeywordImport(m, import);
  m.imports.push_back(std::move(import));
  return true;
}

bool Parser::ApplyKeywordImport(Module& m, const Import& import) {
  std::string text = RefText(*import.path);
  if (!import.alias.empty()) {
    Fail(import.at, "`" + std::string(text.starts_with("rego") ? "rego" : "future") + "` imports cannot be aliased");
    return false;
  }
  auto all = [&] {
    for (auto k : kFutureKeywords) keywords_.emplace(k);
  };
  if (text == "rego.v1") {
    all();
    m.v1 = true;
  } else if (text == "future.keywords") {
    all();
  } else if (text == "future.keywords.not") {
    not_bodies_ = m.not_bodies = true;
  } else if (text.starts_with("future.keywords.") && std::find(std::begin(kFutureKeywords), std::end(kFutureKeywords),
                                                               text.substr(16)) != std::end(kFutureKeywords)) {
    keywords_.insert(text.substr(16));
    if (text.substr(16) == "every") keywords_.insert("in");
  } else {
    Fail(import.at, text.starts_with("rego") ? "invalid import `" + text + "`, must be `rego.v1`"
                                             : "unexpected keyword, must be one of [contains every if in not]");
    return false;
  }
  Import kept;
  kept.path = import.path->Clone();
  kept.at = import.at;
  m.imports.push_back(std::move(kept));
  return true;
}

bool Parser::CheckDefault(const Rule& rule) {
  if (!rule.head.value || rule.head.generated_value) {
    Fail(rule.at, "illegal default rule (must have a value)");
    return false;
  }
  if (ContainsVarOrRef(*rule.head.value)) {
    const Term& v = *rule.head.value;
    Fail(rule.at, v.is_comprehension() || v.kind == TermKind::kCall
                      ? "illegal default rule (value cannot contain " +
                            std::string(v.kind == TermKind::kCall ? "call" : "ref") + ")"
                      : "illegal default rule (value cannot contain " + std::string(v.is_var() ? "var" : "ref") + ")");
    return false;
  }
  std::set<std::string> seen;
  for (const auto& a : rule.head.args) {
    if (!a->is_var() || (!IsWildcard(a->text) && !seen.insert(a->text).second)) {
      Fail(rule.at, "illegal default rule (arguments must be distinct variables)");
      return false;
    }
  }
  return true;
}

bool Parser::ParseHead(Rule& rule) {
  Head& head = rule.head;
  head.at = Cur().at;
  if (!Is(Tok::kIdent)) {
    Illegal("expected rule head name");
    return false;
  }
  TermPtr name = MakeVar(Cur().text, Cur().at);
  TermPtr term = ParseRef(std::move(name), true);
  if (!term) return false;
  if (term->kind == TermKind::kCall) {
    head.is_function = term->items.size() > 1;  // f() is a rule
    for (size_t i = 1; i < term->items.size(); ++i) head.args.push_back(std::move(term->items[i]));
    term = std::move(term->items[0]);
  }
  if (term->is_var()) {
    auto ref = std::make_unique<Term>(TermKind::kRef, term->at);
    ref->items.push_back(std::move(term));
    term = std::move(ref);
  }
  head.at.end = LastEnd();
  if (!term->is_ref() || !term->items[0]->is_var()) {
    Fail(head.at, "expected rule head name");
    return false;
  }
  if (IsWildcard(term->items[0]->text)) term->items[0]->text = "_";
  head.ref = std::move(term);
  std::string shown = RefText(*head.ref);
  if (IsKeyword("contains")) {
    if (head.is_function) {
      Illegal("the contains keyword can only be used with multi-value rule definitions (e.g., " + shown +
              " contains <VALUE> { ... })");
      return false;
    }
    Next();
    head.contains = true;
    head.key = ParseInfix(true);
    if (!head.key) {
      if (errors_.empty()) Illegal("expected rule key term (e.g., " + shown + " contains <VALUE> { ... })");
      return false;
    }
    head.at.end = LastEnd();
    return true;
  }
  if (Is(Tok::kUnify) || Is(Tok::kAssign)) {
    head.assign = Is(Tok::kAssign);
    Next();
    head.value = ParseInfix(true);
    if (!head.value) return false;
    head.at.end = LastEnd();
  }
  return true;
}

bool Parser::ParseRules(Module& m) {
  auto rule = std::make_unique<Rule>();
  rule->at = Cur().at;
  if (IsKeyword("default")) {
    Next();
    rule->is_default = true;
  }
  if (IsAnyKeyword(Cur()) && !StartsRef()) {
    Illegal();
    return false;
  }
  if (!Is(Tok::kIdent)) {
    Illegal();
    return false;
  }
  if (!ParseHead(*rule)) return false;
  Head& head = rule->head;
  if (rule->is_default) {
    if (head.contains) {
      Fail(rule->at, "illegal default rule (must not be a multi-value rule)");
      return false;
    }
    if (!CheckDefault(*rule)) return false;
    rule->at.end = LastEnd();
    rule->body = TrueBody(rule->at);
    m.rules.push_back(std::move(rule));
    return true;
  }
  bool has_if = IsKeyword("if");
  // p[x] without if is the old spelling of a partial set; p[x] if is one value of a partial object.
  bool old_set = !has_if && !head.contains && !head.is_function && head.ref->items.size() == 2 && !head.value;
  if (old_set) {
    head.key = std::move(head.ref->items[1]);
    head.ref->items.pop_back();
  } else if (!head.value && !head.contains) {
    head.value = MakeBool(true, head.at);
    head.generated_value = true;
  }
  return FinishRule(m, std::move(rule), has_if);
}

bool Parser::FinishRule(Module& m, std::unique_ptr<Rule> rule, bool has_if) {
  Head& head = rule->head;
  bool braces = false;
  if (has_if) {
    Next();
    Mark mark = Save();
    bool done = false;
    if (ExprPtr e = ParseLiteral()) {
      // `if { true }` is a body, never a set of one element.
      if (!(e->kind == ExprKind::kTerm && e->terms[0]->kind == TermKind::kSet)) {
        rule->body.push_back(std::move(e));
        done = true;
      }
    }
    if (!done) {
      bool brace = tokens_[mark.token].type == Tok::kLBrace;
      if (!brace) {
        if (errors_.size() == mark.errors) Illegal("rule body expected");
        return false;
      }
      Restore(mark);
      braces = true;
    }
  } else if (Is(Tok::kLBrace)) {
    braces = true;
  } else if (!head.generated_value || head.contains) {
    // A fact: p := 1, p contains 1, and in v0 p[1].
    if (head.key && !head.contains && m.v1) {
      Illegal("expected rule body or value");
      return false;
    }
    rule->body = TrueBody(rule->at);
    rule->generated_body = true;
    rule->at.end = LastEnd();
    if (!IsKeyword("else")) {
      m.rules.push_back(std::move(rule));
      return true;
    }
  } else {
    Location at = head.at;
    if (head.is_function || head.ref->items.size() > 1)
      Fail(at, "rule body or value expected");
    else
      Fail(at, "var cannot be used for rule name");
    return false;
  }
  if (braces) {
    Next();
    if (!ParseBody(Tok::kRBrace, rule->body)) return false;
    Next();
  }
  Head copy = head.Clone();
  if (IsKeyword("else")) {
    bool dynamic = false;
    for (size_t i = 1; i < head.ref->items.size(); ++i) dynamic |= !IsGround(*head.ref->items[i]);
    if (dynamic) {
      Fail(Cur().at, "else keyword cannot be used on rules with variables in head");
      return false;
    }
    if (head.key) {
      Fail(Cur().at, "else keyword cannot be used on multi-value rules");
      return false;
    }
    rule->else_rule = ParseElse(copy);
    if (!rule->else_rule) return false;
  }
  bool has_else = rule->else_rule != nullptr;
  rule->at.end = LastEnd();
  m.rules.push_back(std::move(rule));
  // Chained bodies: p { … } { … } is two rules of one head.
  while (Is(Tok::kLBrace)) {
    if (has_else) {
      Fail(Cur().at, "expected else keyword");
      return false;
    }
    auto next = std::make_unique<Rule>();
    next->at = Cur().at;
    next->head = copy.Clone();
    Next();
    if (!ParseBody(Tok::kRBrace, next->body)) return false;
    Next();
    next->at.end = LastEnd();
    next->head.at = next->at;
    m.rules.push_back(std::move(next));
  }
  return true;
}

std::unique_ptr<Rule> Parser::ParseElse(const Head& head) {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  auto rule = std::make_unique<Rule>();
  rule->at = Cur().at;
  rule->head = head.Clone();
  rule->head.generated_value = false;
  rule->head.at = rule->at;
  Next();
  if (Is(Tok::kLBrace) || IsKeyword("if")) {
    rule->head.generated_value = true;
    rule->head.value = MakeBool(true, rule->at);
  } else if (Is(Tok::kAssign) || Is(Tok::kUnify)) {
    rule->head.assign = Is(Tok::kAssign);
    Next();
    rule->head.value = ParseInfix(true);
    if (!rule->head.value) return nullptr;
    rule->head.at.end = LastEnd();
  } else {
    Illegal("expected else value term or rule body");
    return nullptr;
  }
  bool has_if = IsKeyword("if");
  rule->at.end = LastEnd();
  if (!has_if && !Is(Tok::kLBrace)) {
    rule->body = TrueBody(rule->at);
    rule->generated_body = true;
    return rule;
  }
  if (has_if) Next();
  if (Is(Tok::kLBrace)) {
    Next();
    if (!ParseBody(Tok::kRBrace, rule->body)) return nullptr;
    Next();
  } else {
    ExprPtr e = ParseLiteral();
    if (!e) return nullptr;
    rule->body.push_back(std::move(e));
  }
  rule->at.end = LastEnd();
  if (IsKeyword("else")) {
    rule->else_rule = ParseElse(head);
    if (!rule->else_rule) return nullptr;
    rule->at.end = LastEnd();
  }
  return rule;
}

// What Rego v1 demands beyond v0's grammar (OPA: checks of import rego.v1).
bool Parser::CheckV1(const Module& m) {
  if (!m.v1) return true;
  size_t before = errors_.size();
  for (const auto& r : m.rules) {
    if (r->is_default) continue;
    const Token* body = nullptr;
    for (const Token& t : tokens_) {
      if (t.at.row > r->at.row || (t.at.row == r->at.row && t.at.col >= r->at.col)) {
        body = &t;
        break;
      }
    }
    if (r->head.key && !r->head.contains) {
      Fail(r->at, "`contains` keyword is required for partial set rules");
      continue;
    }
    if (r->generated_body || body == nullptr) continue;
    // A rule with a body says `if` between its head and the body.
    bool found = false;
    int depth = 0;
    for (const Token* t = body; t->type != Tok::kEof; ++t) {
      if (t->type == Tok::kIdent && t->text == "if" && depth == 0) found = true;
      if (t->type == Tok::kLBrack || t->type == Tok::kLParen) ++depth;
      if (t->type == Tok::kRBrack || t->type == Tok::kRParen) --depth;
      if (t->at.row > r->body[0]->at.row || (t->at.row == r->body[0]->at.row && t->at.col >= r->body[0]->at.col)) break;
    }
    if (!found) Fail(r->at, "`if` keyword is required before rule body");
  }
  return errors_.size() == before;
}

std::optional<Body> Parser::ParseQuery() {
  size_t before = errors_.size();
  Body body;
  if (!ParseBody(Tok::kEof, body) || errors_.size() != before) {
    if (errors_.size() == before) Illegal();
    return std::nullopt;
  }
  return body;
}

TermPtr Parser::ParseWholeTerm() {
  size_t before = errors_.size();
  TermPtr t = ParseInfix(true);
  if (t && !Is(Tok::kEof)) Illegal("expected end of text");
  return errors_.size() == before ? std::move(t) : nullptr;
}

std::unique_ptr<Module> ParseModule(std::string_view file, std::string_view source, const ParseOptions& options,
                                    std::vector<Diagnostic>& errors) {
  return Parser(file, source, options, errors).ParseModule();
}

std::optional<Body> ParseQuery(std::string_view source, const ParseOptions& options, std::vector<Diagnostic>& errors) {
  return Parser("", source, options, errors).ParseQuery();
}

TermPtr ParseTermText(std::string_view source, std::vector<Diagnostic>& errors) {
  return Parser("", source, ParseOptions{}, errors).ParseWholeTerm();
}

}  // namespace hexr::rego
