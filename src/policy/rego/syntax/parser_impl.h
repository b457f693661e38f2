// The parser's state and its productions; split over parser.cc (statements) and parser_term.cc (literals and terms).
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/rego/syntax/lexer.h"
#include "policy/rego/syntax/parser.h"

namespace hexr::rego {

class Parser {
 public:
  Parser(std::string_view file, std::string_view source, const ParseOptions& options, std::vector<Diagnostic>& errors);

  std::unique_ptr<Module> ParseModule();
  std::optional<Body> ParseQuery();
  TermPtr ParseWholeTerm();

 private:
  struct Mark {
    size_t token;
    size_t errors;
  };

  // parser.cc
  bool ParsePackage(Module& m);
  bool ParseImport(Module& m);
  bool ApplyKeywordImport(Module& m, const Import& import);
  bool ParseRules(Module& m);
  bool ParseHead(Rule& rule);
  bool FinishRule(Module& m, std::unique_ptr<Rule> rule, bool has_if);
  std::unique_ptr<Rule> ParseElse(const Head& head);
  bool CheckDefault(const Rule& rule);
  bool CheckV1(const Module& m);
  void Recover();

  // parser_term.cc
  bool ParseBody(Tok end, Body& out);
  ExprPtr ParseLiteral();
  ExprPtr ParseSome();
  ExprPtr ParseEvery();
  ExprPtr ParseExpr();
  bool ParseWith(Expr& e);
  TermPtr ParseInfix(bool key_value) { return ParseIn(nullptr, key_value); }
  TermPtr ParseIn(TermPtr lhs, bool key_value);
  TermPtr ParseBinary(TermPtr lhs, int min_level);
  TermPtr ParseTerm();
  TermPtr ParseVar();
  TermPtr ParseRef(TermPtr head, bool space_ok);
  TermPtr ParseCallArgs(TermPtr op);
  TermPtr ParseArray();
  TermPtr ParseSetOrObject();
  TermPtr ParseSetRest(TermPtr head, Location at);
  TermPtr ParseObjectRest(TermPtr key, bool may_be_comprehension, Location at);
  bool ParseComprehensionBody(Tok end, Body& out);
  TermPtr ParseTemplate();
  bool ParseTermList(Tok end, std::vector<TermPtr>& out);

  const Token& Cur() const { return tokens_[at_]; }
  const Token& Peek(size_t n = 1) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  void Next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool Is(Tok t) const { return Cur().type == t; }
  // Where the text before the current token ends.
  uint32_t LastEnd() const { return at_ > 0 ? tokens_[at_ - 1].end : 0; }
  // The keyword `word` is active, stands here and is not the head of a ref such as `if.x`.
  bool IsKeyword(std::string_view word) const;
  bool IsAnyKeyword(const Token& t) const { return t.type == Tok::kIdent && keywords_.contains(t.text); }
  bool StartsRef() const;  // a . or [ follows the current token directly
  std::string Name(const Token& t) const;
  Mark Save() const { return {at_, errors_.size()}; }
  void Restore(Mark m) {
    at_ = m.token;
    errors_.resize(m.errors);
  }
  // Counts depth and steps; false when over.
  bool Enter();
  void Fail(Location at, std::string message);
  // "unexpected X token: note".
  void Illegal(const std::string& note = {});
  std::string Wildcard() { return "$" + std::to_string(wildcards_++); }

  class Depth {
   public:
    explicit Depth(Parser& p) : p_(p) { ok_ = p.Enter(); }
    ~Depth() { --p_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    bool ok() const { return ok_; }

   private:
    Parser& p_;
    bool ok_;
  };

  std::string file_;
  std::string_view source_;
  ParseOptions options_;
  std::vector<Diagnostic>& errors_;
  std::vector<Token> tokens_;
  std::vector<Comment> comments_;
  std::set<std::string, std::less<>> keywords_;
  bool not_bodies_ = false;
  bool over_budget_ = false;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t steps_ = 0;
  size_t wildcards_ = 0;
};

}  // namespace hexr::rego
