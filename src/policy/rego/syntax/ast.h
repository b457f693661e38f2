// The abstract syntax of Rego: what the parser makes and the compiler passes rewrite in place. Plain owned trees; one
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hexr::rego {

// 1-based; row 0 means generated code without a place of its own. `file` indexes the compiler's list of modules;
// [begin, end) are the bytes of the source that say it.
struct Location {
  uint32_t row = 0;
  uint32_t col = 0;
  uint32_t file = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
};

enum class TermKind : uint8_t {
  kNull,
  kBool,
  kNumber,
  kString,
  kVar,
  kRef,  // items: head, then the path
  kArray,
  kSet,
  kObject,  // items: key, value, key, value…
  kCall,    // items: operator (a ref), then operands
  kArrayComp,
  kSetComp,      // items: the element
  kObjectComp,   // items: key, value
  kTemplate,     // items: string parts, and kTemplateExpr
  kTemplateExpr  // items: none; body holds the one expression
};

struct Term;
struct Expr;
using TermPtr = std::unique_ptr<Term>;
using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<ExprPtr>;

struct Term {
  TermKind kind;
  Location at;
  std::string text;  // string content, number text, variable name, "true"/"false"
  std::vector<TermPtr> items;
  Body body;
  bool generated = false;

  Term(TermKind k, Location l, std::string t = {});
  ~Term();
  TermPtr Clone() const;
  bool is_var() const { return kind == TermKind::kVar; }
  bool is_ref() const { return kind == TermKind::kRef; }
  bool is_string() const { return kind == TermKind::kString; }
  bool is_comprehension() const;
  bool is_scalar() const { return kind <= TermKind::kString; }
};

struct With {
  TermPtr target;
  TermPtr value;
  Location at;
};

enum class ExprKind : uint8_t {
  kTerm,   // terms[0]
  kCall,   // terms[0] the operator, then operands, and the output when there is one more than the arity
  kSome,   // terms: variables, or one membership call
  kEvery,  // terms: key or null, value, domain; body
  kNot,    // body: a negated conjunction (future.keywords.not)
};

struct Expr {
  ExprKind kind = ExprKind::kTerm;
  Location at;
  std::vector<TermPtr> terms;
  Body body;
  std::vector<With> with;
  bool negated = false;
  bool generated = false;

  Expr(ExprKind k, Location l);
  Expr(Expr&&) noexcept;
  Expr& operator=(Expr&&) noexcept;
  ~Expr();
  ExprPtr Clone() const;
  // The operator's dotted name, or "" when this is no call.
  std::string Operator() const;
  bool IsCallOf(std::string_view name) const;
};

struct Head {
  TermPtr ref;  // always a ref: p, p.q[x]
  std::vector<TermPtr> args;
  bool is_function = false;
  TermPtr key;    // partial sets: the element
  TermPtr value;  // null only for partial sets
  bool assign = false;
  bool generated_value = false;
  bool contains = false;
  Location at;

  Head Clone() const;
};

struct Rule {
  Head head;
  Body body;
  std::unique_ptr<Rule> else_rule;
  bool is_default = false;
  bool generated_body = false;  // no body in the source
  Location at;
  std::vector<int> annotations;  // indexes into Module::annotations

  std::unique_ptr<Rule> Clone() const;
};

struct Import {
  TermPtr path;
  std::string alias;
  Location at;
};

struct Annotations {
  std::string scope;  // rule, document, package, subpackages
  std::string json;   // the block as one JSON object, with scope
  Location at;
};

struct Comment {
  std::string text;  // after the '#'
  Location at;
};

struct Module {
  std::string file;
  TermPtr package;  // ref: data.a.b
  std::vector<Import> imports;
  std::vector<std::unique_ptr<Rule>> rules;
  std::vector<Comment> comments;
  std::vector<Annotations> annotations;
  std::vector<int> package_annotations;
  bool v1 = true;  // strict Rego v1: by version or by import
  bool not_bodies = false;
  std::vector<std::string> lines;
};

TermPtr MakeVar(std::string name, Location at);
TermPtr MakeString(std::string text, Location at);
TermPtr MakeBool(bool b, Location at);
// A ref of a head variable and string parts: MakeRef({"data", "a"}).
TermPtr MakeRef(const std::vector<std::string>& parts, Location at);
// The call NAME(operands…), NAME dotted.
ExprPtr MakeCall(const std::string& name, std::vector<TermPtr> operands, Location at);
TermPtr OperatorRef(const std::string& name, Location at);

// "=" for "eq"; "" for what is not written between its operands.
std::string_view Infix(std::string_view name);

// "a.b.c" for a ref of strings; other parts in brackets. As OPA prints a ref.
std::string RefText(const Term& ref);
std::string TermText(const Term& term);
std::string ExprText(const Expr& expr);
bool SameTerm(const Term& a, const Term& b);
// No variables, refs, calls or comprehensions inside.
bool IsGround(const Term& t);
bool IsWildcard(std::string_view var);
Body CloneBody(const Body& body);

}  // namespace hexr::rego
