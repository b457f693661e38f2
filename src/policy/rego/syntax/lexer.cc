#include "policy/rego/syntax/lexer.h"

#include <cctype>

#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

bool IsLetter(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }

class Lexer {
 public:
  Lexer(std::string_view source, uint32_t file) : s_(source), file_(file) {
    if (s_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;  // a byte order mark
  }

  LexResult Run() {
    while (true) {
      if (in_text_) {
        TemplateText();
        continue;
      }
      Space();
      Start();
      if (at_ >= s_.size()) {
        Push(Tok::kEof);
        return std::move(out_);
      }
      One();
    }
  }

 private:
  struct Template {
    bool raw;
    int depth;
  };

  char Peek(size_t ahead = 0) const { return at_ + ahead < s_.size() ? s_[at_ + ahead] : '\0'; }
  char Next() {
    char c = s_[at_++];
    if (c == '\n') {
      ++row_;
      col_ = 1;
    } else if ((c & 0xC0) != 0x80) {
      ++col_;  // columns count code points
    }
    return c;
  }

  void Start() {
    token_ = Token();
    token_.begin = static_cast<uint32_t>(at_);
    token_.at = {row_, col_, file_, token_.begin, token_.begin};
    token_.space_before = space_;
    token_.newline_before = newline_;
  }
  void Push(Tok type, std::string text = {}) {
    token_.type = type;
    token_.text = std::move(text);
    token_.end = token_.at.end = static_cast<uint32_t>(at_);
    out_.tokens.push_back(std::move(token_));
    space_ = newline_ = false;
  }

  void Space() {
    while (at_ < s_.size()) {
      char c = Peek();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        newline_ |= c == '\n';
        space_ = true;
        Next();
      } else if (c == '#') {
        Comment comment;
        comment.at = {row_, col_, file_, static_cast<uint32_t>(at_), 0};
        Next();
        size_t start = at_;
        while (at_ < s_.size() && Peek() != '\n') Next();
        size_t end = at_;
        if (end > start && s_[end - 1] == '\r') --end;
        comment.text = s_.substr(start, end - start);
        comment.at.end = static_cast<uint32_t>(end);
        out_.comments.push_back(std::move(comment));
        space_ = true;
      } else {
        return;
      }
    }
  }

  void One() {
    char c = Peek();
    if (IsLetter(c)) {
      size_t start = at_;
      while (IsLetter(Peek()) || IsDigit(Peek())) Next();
      Push(Tok::kIdent, std::string(s_.substr(start, at_ - start)));
      return;
    }
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (c == '"') return String();
    if (c == '`') return RawString();
    if (c == '$' && (Peek(1) == '"' || Peek(1) == '`')) {
      bool raw = Peek(1) == '`';
      Next();
      Next();
      Push(Tok::kTemplateStart);
      templates_.push_back({raw, 0});
      in_text_ = true;
      return;
    }
    Next();
    auto two = [&](char second, Tok longer, Tok shorter) {
      if (Peek() == second) {
        Next();
        Push(longer);
      } else {
        Push(shorter);
      }
    };
    switch (c) {
      case '(': return Push(Tok::kLParen);
      case ')': return Push(Tok::kRParen);
      case '[': return Push(Tok::kLBrack);
      case ']': return Push(Tok::kRBrack);
      case '{':
        if (!templates_.empty()) ++templates_.back().depth;
        return Push(Tok::kLBrace);
      case '}':
        Push(Tok::kRBrace);
        if (!templates_.empty()) in_text_ = --templates_.back().depth == 0;
        return;
      case '.': return Push(Tok::kDot);
      case ',': return Push(Tok::kComma);
      case ';': return Push(Tok::kSemicolon);
      case ':': return two('=', Tok::kAssign, Tok::kColon);
      case '=': return two('=', Tok::kEqual, Tok::kUnify);
      case '<': return two('=', Tok::kLte, Tok::kLt);
      case '>': return two('=', Tok::kGte, Tok::kGt);
      case '+': return Push(Tok::kAdd);
      case '-': return Push(Tok::kSub);
      case '*': return Push(Tok::kMul);
      case '/': return Push(Tok::kQuo);
      case '%': return Push(Tok::kRem);
      case '&': return Push(Tok::kAnd);
      case '|': return Push(Tok::kOr);
      case '!':
        if (Peek() == '=') {
          Next();
          return Push(Tok::kNeq);
        }
        return Push(Tok::kIllegal, "illegal ! character");
      default: {
        if (static_cast<uint8_t>(c) >= 0x80) {
          size_t i = at_ - 1;
          char32_t r = NextRune(s_, i);
          while (at_ < i) Next();
          std::string shown;
          AppendRune(r, shown);
          return Push(Tok::kIllegal, "illegal token: " + shown);
        }
        return Push(Tok::kIllegal, std::string("illegal token: ") + c);
      }
    }
  }

  void Number() {
    size_t start = at_;
    while (IsDigit(Peek())) Next();
    bool leading_zero = at_ - start > 1 && s_[start] == '0';
    bool fraction = true;
    if (Peek() == '.') {
      Next();
      fraction = IsDigit(Peek());
      while (IsDigit(Peek())) Next();
    }
    bool exponent = true;
    if (Peek() == 'e' || Peek() == 'E') {
      Next();
      if (Peek() == '+' || Peek() == '-') Next();
      exponent = IsDigit(Peek());
      while (IsDigit(Peek())) Next();
    }
    std::string text(s_.substr(start, at_ - start));
    if (leading_zero) return Push(Tok::kIllegal, "expected number without leading zero");
    if (!fraction) return Push(Tok::kIllegal, "expected fraction");
    if (!exponent) return Push(Tok::kIllegal, "expected exponent");
    if (IsLetter(Peek())) return Push(Tok::kIllegal, "illegal number format");
    Push(Tok::kNumber, std::move(text));
  }

  int Hex4() {
    int n = 0;
    for (int i = 0; i < 4; ++i) {
      char c = Peek();
      if (!std::isxdigit(static_cast<unsigned char>(c))) return -1;
      n = n * 16 + (IsDigit(c) ? c - '0' : (c | 32) - 'a' + 10);
      Next();
    }
    return n;
  }

  // After the backslash. False when there is no such escape.
  bool Escape(std::string& out, bool in_template) {
    if (at_ >= s_.size()) return false;
    char c = Next();
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (size_t k = kFrom.find(c); k != std::string_view::npos) {
      out += kTo[k];
      return true;
    }
    if (in_template && (c == '{' || c == '}')) {
      out += c;
      return true;
    }
    if (c != 'u') return false;
    int hi = Hex4();
    if (hi < 0) return false;
    auto rune = static_cast<char32_t>(hi);
    if (hi >= 0xD800 && hi < 0xDC00 && Peek() == '\\' && Peek(1) == 'u') {
      Next();
      Next();
      int lo = Hex4();
      if (lo < 0) return false;
      rune =
          lo >= 0xDC00 && lo < 0xE000 ? static_cast<char32_t>(0x10000 + ((hi - 0xD800) << 10) + (lo - 0xDC00)) : 0xFFFD;
    }
    if (rune >= 0xD800 && rune < 0xE000) rune = 0xFFFD;
    AppendRune(rune, out);
    return true;
  }

  void String() {
    Next();
    std::string text;
    bool good = true;
    while (at_ < s_.size() && Peek() != '"') {
      if (Peek() == '\n') return Push(Tok::kIllegal, "non-terminated string");
      char c = Next();
      if (c != '\\') {
        text += c;
      } else if (!Escape(text, false)) {
        good = false;
      }
    }
    if (at_ >= s_.size()) return Push(Tok::kIllegal, "non-terminated string");
    Next();
    if (!good) return Push(Tok::kIllegal, "illegal escape sequence");
    Push(Tok::kString, Valid(text));
  }

  void RawString() {
    Next();
    size_t start = at_;
    while (at_ < s_.size() && Peek() != '`') Next();
    if (at_ >= s_.size()) return Push(Tok::kIllegal, "non-terminated string");
    std::string text(s_.substr(start, at_ - start));
    Next();
    Push(Tok::kString, Valid(text));
  }

  void TemplateText() {
    in_text_ = false;
    space_ = newline_ = false;
    Start();
    bool raw = templates_.back().raw;
    std::string text;
    bool good = true;
    while (true) {
      if (at_ >= s_.size() || (!raw && Peek() == '\n')) {
        templates_.pop_back();
        return Push(Tok::kIllegal, "non-terminated string");
      }
      char c = Peek();
      if (c == '{') {
        Push(Tok::kTemplateText, Valid(text));
        Start();
        Next();
        Push(Tok::kLBrace);
        templates_.back().depth = 1;
        break;
      }
      if (c == (raw ? '`' : '"')) {
        Push(Tok::kTemplateText, Valid(text));
        Start();
        Next();
        Push(Tok::kTemplateEnd);
        templates_.pop_back();
        break;
      }
      Next();
      if (c == '\\' && !raw) {
        good = Escape(text, true) && good;
      } else if (c == '\\' && (Peek() == '{' || Peek() == '}')) {
        text += Next();
      } else {
        text += c;
      }
    }
    if (!good) {
      Start();
      Push(Tok::kIllegal, "illegal escape sequence");
    }
  }

  static std::string Valid(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size();) AppendRune(NextRune(text, i), out);
    return out;
  }

  std::string_view s_;
  uint32_t file_;
  size_t at_ = 0;
  uint32_t row_ = 1;
  uint32_t col_ = 1;
  bool space_ = false;
  bool newline_ = false;
  bool in_text_ = false;
  std::vector<Template> templates_;
  Token token_;
  LexResult out_;
};

}  // namespace

LexResult Lex(std::string_view source, uint32_t file) { return Lexer(source, file).Run(); }

std::string_view TokenName(Tok t) {
  static constexpr std::string_view kNames[] = {"eof",
                                                "illegal",
                                                "identifier",
                                                "number",
                                                "string",
                                                "(",
                                                ")",
                                                "[",
                                                "]",
                                                "{",
                                                "}",
                                                ".",
                                                ",",
                                                ":",
                                                ";",
                                                ":=",
                                                "=",
                                                "==",
                                                "!=",
                                                "<",
                                                "<=",
                                                ">",
                                                ">=",
                                                "+",
                                                "-",
                                                "*",
                                                "/",
                                                "%",
                                                "&",
                                                "|",
                                                "template-string start",
                                                "template-string part",
                                                "template-string end"};
  return kNames[static_cast<size_t>(t)];
}

}  // namespace hexr::rego
