// Text to tokens, all at once, so that the parser looks ahead and goes back for free. Never fails: what is no token
// becomes kIllegal with a message, and lexing goes on (the parser reports and recovers).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rego/syntax/ast.h"

namespace hexr::rego {

enum class Tok : uint8_t {
  kEof,
  kIllegal,
  kIdent,
  kNumber,
  kString,
  kLParen,
  kRParen,
  kLBrack,
  kRBrack,
  kLBrace,
  kRBrace,
  kDot,
  kComma,
  kColon,
  kSemicolon,
  kAssign,
  kUnify,
  kEqual,
  kNeq,
  kLt,
  kLte,
  kGt,
  kGte,
  kAdd,
  kSub,
  kMul,
  kQuo,
  kRem,
  kAnd,
  kOr,
  kTemplateStart,  // $"  or $`
  kTemplateText,   // the literal text up to the next { or the end
  kTemplateEnd,
};

struct Token {
  Tok type = Tok::kEof;
  bool space_before = false;    // white space or a comment stands before it
  bool newline_before = false;  // …with a line break in it
  Location at;
  uint32_t begin = 0;  // byte range in the source
  uint32_t end = 0;
  std::string text;  // identifier, number text, string content, or what is wrong
};

struct LexResult {
  std::vector<Token> tokens;  // ends with kEof
  std::vector<Comment> comments;
};

LexResult Lex(std::string_view source, uint32_t file);

// "ident", "[", "eof"… as OPA's messages name it.
std::string_view TokenName(Tok t);

}  // namespace hexr::rego
