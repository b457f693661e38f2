#include "policy/rego/builtins/graphql_parser.h"

#include <algorithm>

#include "base/limits/rego.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

enum class GraphqlTok {
  kEof,
  kInvalid,
  kBang,
  kDollar,
  kAmp,
  kParenL,
  kParenR,
  kSpread,
  kColon,
  kEquals,
  kAt,
  kBracketL,
  kBracketR,
  kBraceL,
  kBraceR,
  kPipe,
  kName,
  kInt,
  kFloat,
  kString,
  kBlock
};
constexpr std::string_view kTokNames[] = {"<EOF>", "<Invalid>", "!",    "$",   "&",     "(",      ")",
                                          "...",   ":",         "=",    "@",   "[",     "]",      "{",
                                          "}",     "|",         "Name", "Int", "Float", "String", "BlockString"};

struct GraphqlToken {
  GraphqlTok kind = GraphqlTok::kEof;
  std::string text;
  int64_t line = 1, column = 1;
  std::string Shown() const {
    std::string out(kTokNames[static_cast<size_t>(kind)]);
    if (text.empty()) return out;
    out += ' ';
    AppendGoQuoted(text, out);
    return out;
  }
};

class GraphqlLexer {
 public:
  explicit GraphqlLexer(std::string_view s) : s_(s) {}

  // kInvalid with the message as text when the input is wrong.
  GraphqlToken Next() {
    Skip();
    GraphqlToken t;
    t.line = line_;
    t.column = static_cast<int64_t>(RuneCount(s_.substr(line_start_, at_ - line_start_))) + 1;
    if (at_ >= s_.size()) return t;
    char c = s_[at_];
    static constexpr std::string_view kSingle = "!$&():=@[]{}|";
    static constexpr GraphqlTok kKinds[] = {
        GraphqlTok::kBang,   GraphqlTok::kDollar, GraphqlTok::kAmp, GraphqlTok::kParenL,   GraphqlTok::kParenR,
        GraphqlTok::kColon,  GraphqlTok::kEquals, GraphqlTok::kAt,  GraphqlTok::kBracketL, GraphqlTok::kBracketR,
        GraphqlTok::kBraceL, GraphqlTok::kBraceR, GraphqlTok::kPipe};
    if (size_t k = kSingle.find(c); k != std::string_view::npos) {
      ++at_;
      t.kind = kKinds[k];
      return t;
    }
    if (s_.substr(at_, 3) == "...") {
      at_ += 3;
      t.kind = GraphqlTok::kSpread;
      return t;
    }
    if (c == '"') {
      if (s_.substr(at_, 3) == "\"\"\"")
        Block(t);
      else
        String(t);
      return t;
    }
    if (c == '-' || Digit(c)) {
      Number(t);
      return t;
    }
    if (Letter(c)) {
      size_t start = at_;
      while (at_ < s_.size() && (Letter(s_[at_]) || Digit(s_[at_]))) ++at_;
      t.kind = GraphqlTok::kName;
      t.text = s_.substr(start, at_ - start);
      return t;
    }
    std::string shown;
    AppendGoQuoted(s_.substr(at_, 1), shown);
    return Bad(t, c == '\'' ? "Unexpected single quote character ('), did you mean to use a double quote (\")?"
                            : "Cannot parse the unexpected character " + shown + ".");
  }

 private:
  static bool Digit(char c) { return c >= '0' && c <= '9'; }
  static bool Letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  GraphqlToken& Bad(GraphqlToken& t, std::string why) {
    t.kind = GraphqlTok::kInvalid;
    t.text = std::move(why);
    at_ = s_.size();
    return t;
  }
  void Skip() {
    while (at_ < s_.size()) {
      char c = s_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
        line_start_ = at_;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == ',') {
        ++at_;
      } else if (c == '#') {
        while (at_ < s_.size() && s_[at_] != '\n') ++at_;
      } else if (s_.substr(at_, 3) == "\xEF\xBB\xBF") {
        at_ += 3;
      } else {
        return;
      }
    }
  }
  void Number(GraphqlToken& t) {
    size_t start = at_;
    bool is_float = false;
    auto digits = [&] {
      size_t from = at_;
      while (at_ < s_.size() && Digit(s_[at_])) ++at_;
      return at_ > from;
    };
    auto expected = [&] {
      std::string shown = at_ < s_.size() ? std::string() : "<EOF>";
      if (at_ < s_.size()) AppendGoQuoted(s_.substr(at_, 1), shown);
      Bad(t, "Invalid number, expected digit but got: " + shown + ".");
    };
    if (s_[at_] == '-') ++at_;
    if (at_ < s_.size() && s_[at_] == '0') {
      ++at_;
      if (at_ < s_.size() && Digit(s_[at_])) {
        Bad(t, std::string("Invalid number, unexpected digit after 0: \"") + s_[at_] + "\".");
        return;
      }
    } else if (!digits()) {
      return expected();
    }
    if (at_ < s_.size() && s_[at_] == '.') {
      is_float = true;
      ++at_;
      if (!digits()) return expected();
    }
    if (at_ < s_.size() && (s_[at_] | 32) == 'e') {
      is_float = true;
      ++at_;
      if (at_ < s_.size() && (s_[at_] == '+' || s_[at_] == '-')) ++at_;
      if (!digits()) return expected();
    }
    t.kind = is_float ? GraphqlTok::kFloat : GraphqlTok::kInt;
    t.text = s_.substr(start, at_ - start);
  }
  void String(GraphqlToken& t) {
    ++at_;
    while (at_ < s_.size() && s_[at_] != '"') {
      char c = s_[at_++];
      if (c == '\n' || c == '\r') {
        Bad(t, "Unterminated string.");
        return;
      }
      if (c != '\\') {
        t.text += c;
        continue;
      }
      if (at_ >= s_.size()) break;
      char e = s_[at_++];
      static constexpr std::string_view kFrom = "\"/\\bfnrt", kTo = "\"/\\\b\f\n\r\t";
      if (size_t k = kFrom.find(e); k != std::string_view::npos) {
        t.text += kTo[k];
      } else if (e == 'u' && at_ + 4 <= s_.size() &&
                 s_.substr(at_, 4).find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos) {
        AppendRune(static_cast<char32_t>(std::stoul(std::string(s_.substr(at_, 4)), nullptr, 16)), t.text);
        at_ += 4;
      } else {
        Bad(t, std::string("Invalid character escape sequence: \\") + e + ".");
        return;
      }
    }
    if (at_ >= s_.size()) {
      Bad(t, "Unterminated string.");
      return;
    }
    ++at_;
    t.kind = GraphqlTok::kString;
    ++t.column;  // gqlparser counts from inside the quotes
  }
  void Block(GraphqlToken& t) {
    at_ += 3;
    std::string raw;
    while (at_ < s_.size() && s_.substr(at_, 3) != "\"\"\"") {
      if (s_.substr(at_, 4) == "\\\"\"\"") {
        raw += "\"\"\"";
        at_ += 4;
        continue;
      }
      if (s_[at_] == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      }
      if (s_[at_] != '\r') raw += s_[at_];
      ++at_;
    }
    if (at_ >= s_.size()) {
      Bad(t, "Unterminated string.");
      return;
    }
    at_ += 3;
    t.kind = GraphqlTok::kBlock;
    t.column += 3;
    t.text = Dedent(raw);
  }
  // BlockStringValue of the specification: common indentation and blank first and last lines go.
  static std::string Dedent(const std::string& raw) {
    std::vector<std::string> lines;
    size_t start = 0;
    for (size_t end; (end = raw.find('\n', start)) != std::string::npos; start = end + 1)
      lines.push_back(raw.substr(start, end - start));
    lines.push_back(raw.substr(start));
    size_t common = std::string::npos;
    for (size_t i = 1; i < lines.size(); ++i) {
      size_t indent = lines[i].find_first_not_of(" \t");
      if (indent != std::string::npos) common = std::min(common, indent);
    }
    for (size_t i = 1; i < lines.size() && common != std::string::npos; ++i)
      lines[i].erase(0, std::min(common, lines[i].size()));
    auto blank = [](const std::string& l) { return l.find_first_not_of(" \t") == std::string::npos; };
    while (!lines.empty() && blank(lines.front())) lines.erase(lines.begin());
    while (!lines.empty() && blank(lines.back())) lines.pop_back();
    std::string out;
    for (size_t i = 0; i < lines.size(); ++i) out += (i > 0 ? "\n" : "") + lines[i];
    return out;
  }

  std::string_view s_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int64_t line_ = 1;
};

class GraphqlParser {
 public:
  GraphqlParser(Arena& arena, std::string_view text) : arena_(arena), lexer_(text) { Advance(); }

  Value Query() {
    ArrayBuilder operations(arena_), fragments(arena_);
    while (Good() && !Is(GraphqlTok::kEof)) {
      if (Is(GraphqlTok::kBraceL) || (Is(GraphqlTok::kName) && (token_.text == "query" || token_.text == "mutation" ||
                                                                token_.text == "subscription"))) {
        operations.Add(Operation());
      } else if (IsWord("fragment")) {
        fragments.Add(Fragment());
      } else {
        Unexpected();
      }
    }
    ObjectBuilder doc(arena_, 2);
    doc.Add("Operations", operations.Finish());
    doc.Add("Fragments", fragments.Finish());
    return doc.Finish();
  }

  Value Schema() {
    ArrayBuilder schema(arena_), extension(arena_), directives(arena_), definitions(arena_), extensions(arena_);
    while (Good() && !Is(GraphqlTok::kEof)) {
      std::string description;
      GraphqlToken before = token_;
      if (Is(GraphqlTok::kString) || Is(GraphqlTok::kBlock)) description = Take();
      if (!Is(GraphqlTok::kName)) {
        Unexpected();
        break;
      }
      std::string word = token_.text;
      if (word == "schema") {
        schema.Add(SchemaDefinition(description, false));
      } else if (word == "directive") {
        directives.Add(DirectiveDefinition(description));
      } else if (word == "extend") {
        if (!description.empty()) {
          Fail(before, "Unexpected " + before.Shown());
          break;
        }
        Advance();
        if (IsWord("schema"))
          extension.Add(SchemaDefinition("", true));
        else
          extensions.Add(TypeDefinition("", true));
      } else {
        definitions.Add(TypeDefinition(description, false));
      }
    }
    ObjectBuilder doc(arena_, 5);
    doc.Add("Schema", schema.Finish());
    doc.Add("SchemaExtension", extension.Finish());
    doc.Add("Directives", directives.Finish());
    doc.Add("Definitions", definitions.Finish());
    doc.Add("Extensions", extensions.Finish());
    return doc.Finish();
  }

  bool Good() const { return error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  bool Is(GraphqlTok k) const { return token_.kind == k; }
  bool IsWord(std::string_view w) const { return Is(GraphqlTok::kName) && token_.text == w; }
  void Advance() {
    if (!Good()) return;
    token_ = lexer_.Next();
    if (Is(GraphqlTok::kInvalid)) Fail(token_, token_.text);
  }
  std::string Take() {
    std::string text = token_.text;
    Advance();
    return text;
  }
  void Fail(const GraphqlToken& t, const std::string& message) {
    if (!Good()) return;
    error_ = message + " in GraphQL string at location " + std::to_string(t.line) + ":" + std::to_string(t.column);
    token_.kind = GraphqlTok::kEof;
  }
  void Unexpected() { Fail(token_, "Unexpected " + token_.Shown()); }
  bool Skip(GraphqlTok k) {
    if (!Good() || !Is(k)) return false;
    Advance();
    return true;
  }
  void Expect(GraphqlTok k) {
    if (!Skip(k))
      Fail(token_, "Expected " + std::string(kTokNames[static_cast<size_t>(k)]) + ", found " +
                       std::string(kTokNames[static_cast<size_t>(token_.kind)]));
  }
  void ExpectWord(std::string_view w) {
    if (IsWord(w))
      Advance();
    else
      Fail(token_, "Expected \"" + std::string(w) + "\", found " + token_.Shown());
  }
  std::string Name() {
    if (Good() && Is(GraphqlTok::kName)) return Take();
    Expect(GraphqlTok::kName);
    return "";
  }
  Value Text(std::string_view s) { return Value::String(arena_, s); }
  Value Here() {
    ObjectBuilder b(arena_, 2);
    b.Add("Line", Value::Int(token_.line));
    b.Add("Column", Value::Int(token_.column));
    return b.Finish();
  }
  // At least one of `one` between the brackets; an empty list when the opening one is missing.
  template <class F>
  Value Some(GraphqlTok open, GraphqlTok close, const F& one) {
    ArrayBuilder out(arena_);
    if (!Skip(open)) return out.Finish();
    while (Good() && !Is(close)) {
      if (++steps_ > limits::kMaxRegoYamlNodes) Fail(token_, "document is too large");
      out.Add(one());
    }
    if (Good() && out.size() == 0)
      Fail(token_,
           "expected at least one definition, found " + std::string(kTokNames[static_cast<size_t>(token_.kind)]));
    Advance();
    return out.Finish();
  }
  bool Deeper() {
    if (++depth_ <= limits::kMaxRegoDocumentDepth / 2) return true;
    Fail(token_, "nesting too deep");
    return false;
  }

  Value Operation() {
    ObjectBuilder b(arena_, 6);
    b.Add("Position", Here());
    if (Is(GraphqlTok::kBraceL)) {
      b.Add("Operation", Text("query"));
      b.Add("Name", Text(""));
    } else {
      b.Add("Operation", Text(Take()));
      b.Add("Name", Text(Is(GraphqlTok::kName) ? Take() : ""));
      b.Add("VariableDefinitions", Variables());
      b.Add("Directives", Directives(false));
    }
    b.Add("SelectionSet", Selections(true));
    return b.Finish();
  }
  Value Variables() {
    return Some(GraphqlTok::kParenL, GraphqlTok::kParenR, [&] {
      ObjectBuilder b(arena_, 6);
      b.Add("Position", Here());
      Expect(GraphqlTok::kDollar);
      b.Add("Variable", Text(Name()));
      Expect(GraphqlTok::kColon);
      b.Add("Type", Type());
      if (Skip(GraphqlTok::kEquals)) b.Add("DefaultValue", Literal(true));
      b.Add("Directives", Directives(false));
      b.Add("Used", Value::Bool(false));
      return b.Finish();
    });
  }
  Value Selections(bool required) {
    if (required && !Is(GraphqlTok::kBraceL)) {
      Expect(GraphqlTok::kBraceL);
      return EmptyArray();
    }
    if (!Deeper()) return EmptyArray();
    Value out =
        Some(GraphqlTok::kBraceL, GraphqlTok::kBraceR, [&] { return Is(GraphqlTok::kSpread) ? Spread() : Field(); });
    --depth_;
    return out;
  }
  Value Field() {
    ObjectBuilder b(arena_, 6);
    b.Add("Position", Here());
    std::string alias = Name();
    b.Add("Alias", Text(alias));
    b.Add("Name", Text(Skip(GraphqlTok::kColon) ? Name() : alias));
    b.Add("Arguments", Arguments(false));
    b.Add("Directives", Directives(false));
    if (Is(GraphqlTok::kBraceL)) b.Add("SelectionSet", Selections(false));
    return b.Finish();
  }
  Value Spread() {
    Advance();
    ObjectBuilder b(arena_, 4);
    b.Add("Position", Here());
    if (Is(GraphqlTok::kName) && token_.text != "on") {
      b.Add("Name", Text(Name()));
      b.Add("Directives", Directives(false));
      return b.Finish();
    }
    std::string condition;
    if (IsWord("on")) {
      Advance();
      condition = Name();
    }
    b.Add("TypeCondition", Text(condition));
    b.Add("Directives", Directives(false));
    b.Add("SelectionSet", Selections(true));
    return b.Finish();
  }
  Value Fragment() {
    ObjectBuilder b(arena_, 6);
    b.Add("Position", Here());
    Advance();
    if (IsWord("on")) Unexpected();
    b.Add("Name", Text(Name()));
    b.Add("VariableDefinition", Variables());
    ExpectWord("on");
    b.Add("TypeCondition", Text(Name()));
    b.Add("Directives", Directives(false));
    b.Add("SelectionSet", Selections(true));
    return b.Finish();
  }
  Value Arguments(bool constant) {
    return Some(GraphqlTok::kParenL, GraphqlTok::kParenR, [&] {
      ObjectBuilder b(arena_, 3);
      b.Add("Position", Here());
      b.Add("Name", Text(Name()));
      Expect(GraphqlTok::kColon);
      b.Add("Value", Literal(constant));
      return b.Finish();
    });
  }
  Value Directives(bool constant) {
    ArrayBuilder out(arena_);
    while (Good() && Skip(GraphqlTok::kAt)) {
      ObjectBuilder b(arena_, 4);
      b.Add("Position", Here());
      b.Add("Name", Text(Name()));
      b.Add("Arguments", Arguments(constant));
      b.Add("Location", Text(""));
      out.Add(b.Finish());
    }
    return out.Finish();
  }
  Value Literal(bool constant) {
    ObjectBuilder b(arena_, 5);
    b.Add("Position", Here());
    b.Add("ExpectedTypeHasDefault", Value::Bool(false));
    auto scalar = [&](int64_t kind) {
      b.Add("Kind", Value::Int(kind));
      b.Add("Raw", Text(Take()));
    };
    switch (token_.kind) {
      case GraphqlTok::kBracketL:
      case GraphqlTok::kBraceL: {
        bool list = Is(GraphqlTok::kBracketL);
        GraphqlTok close = list ? GraphqlTok::kBracketR : GraphqlTok::kBraceR;
        if (!Deeper()) return Value::Null();
        Advance();
        ArrayBuilder children(arena_);
        while (Good() && !Is(close)) {
          ObjectBuilder child(arena_, 3);
          child.Add("Position", Here());
          child.Add("Name", Text(list ? "" : Name()));
          if (!list) Expect(GraphqlTok::kColon);
          child.Add("Value", Literal(constant));
          children.Add(child.Finish());
        }
        Advance();
        --depth_;
        b.Add("Children", children.Finish());
        b.Add("Kind", Value::Int(list ? 8 : 9));
        b.Add("Raw", Text(""));
        break;
      }
      case GraphqlTok::kDollar:
        if (constant) {
          Unexpected();
          return Value::Null();
        }
        Advance();
        b.Add("Kind", Value::Int(0));
        b.Add("Raw", Text(Name()));
        break;
      case GraphqlTok::kInt: scalar(1); break;
      case GraphqlTok::kFloat: scalar(2); break;
      case GraphqlTok::kString: scalar(3); break;
      case GraphqlTok::kBlock: scalar(4); break;
      case GraphqlTok::kName:
        scalar(token_.text == "true" || token_.text == "false" ? 5 : token_.text == "null" ? 6 : 7);
        break;
      default: Unexpected(); return Value::Null();
    }
    return b.Finish();
  }
  Value Type() {
    ObjectBuilder b(arena_, 4);
    if (Skip(GraphqlTok::kBracketL)) {
      b.Add("Position", Here());
      b.Add("NamedType", Text(""));
      if (!Deeper()) return Value::Null();
      b.Add("Elem", Type());
      --depth_;
      Expect(GraphqlTok::kBracketR);
    } else {
      b.Add("Position", Here());
      b.Add("NamedType", Text(Name()));
    }
    b.Add("NonNull", Value::Bool(Skip(GraphqlTok::kBang)));
    return b.Finish();
  }

  Value SchemaDefinition(const std::string& description, bool extends) {
    Advance();
    ObjectBuilder b(arena_, 4);
    b.Add("Position", Here());
    b.Add("Description", Text(description));
    Value directives = Directives(true);
    b.Add("Directives", directives);
    Value types = Some(GraphqlTok::kBraceL, GraphqlTok::kBraceR, [&] {
      ObjectBuilder t(arena_, 3);
      t.Add("Position", Here());
      GraphqlToken word = token_;
      std::string operation = Name();
      if (operation != "query" && operation != "mutation" && operation != "subscription")
        Fail(word, "Unexpected " + word.Shown());
      t.Add("Operation", Text(operation));
      Expect(GraphqlTok::kColon);
      t.Add("Type", Text(Name()));
      return t.Finish();
    });
    b.Add("OperationTypes", types);
    if (extends && directives.arr->size == 0 && types.arr->size == 0) Unexpected();
    return b.Finish();
  }
  Value DirectiveDefinition(const std::string& description) {
    static constexpr std::string_view kPlaces[] = {"QUERY",
                                                   "MUTATION",
                                                   "SUBSCRIPTION",
                                                   "FIELD",
                                                   "FRAGMENT_DEFINITION",
                                                   "FRAGMENT_SPREAD",
                                                   "INLINE_FRAGMENT",
                                                   "VARIABLE_DEFINITION",
                                                   "SCHEMA",
                                                   "SCALAR",
                                                   "OBJECT",
                                                   "FIELD_DEFINITION",
                                                   "ARGUMENT_DEFINITION",
                                                   "INTERFACE",
                                                   "UNION",
                                                   "ENUM",
                                                   "ENUM_VALUE",
                                                   "INPUT_OBJECT",
                                                   "INPUT_FIELD_DEFINITION"};
    Advance();
    Expect(GraphqlTok::kAt);
    ObjectBuilder b(arena_, 6);
    b.Add("Position", Here());
    b.Add("Description", Text(description));
    b.Add("Name", Text(Name()));
    b.Add("Arguments", ArgumentDefinitions(GraphqlTok::kParenL, GraphqlTok::kParenR));
    bool repeatable = IsWord("repeatable");
    if (repeatable) Advance();
    b.Add("IsRepeatable", Value::Bool(repeatable));
    ExpectWord("on");
    ArrayBuilder places(arena_);
    Skip(GraphqlTok::kPipe);
    do {
      GraphqlToken word = token_;
      std::string place = Name();
      if (Good() && std::find(std::begin(kPlaces), std::end(kPlaces), place) == std::end(kPlaces))
        Fail(word, "Unexpected " + word.Shown());
      places.Add(Text(place));
    } while (Skip(GraphqlTok::kPipe));
    b.Add("Locations", places.Finish());
    return b.Finish();
  }
  std::string Description() { return Is(GraphqlTok::kString) || Is(GraphqlTok::kBlock) ? Take() : ""; }
  Value ArgumentDefinitions(GraphqlTok open, GraphqlTok close) {
    return Some(open, close, [&] {
      ObjectBuilder b(arena_, 6);
      std::string description = Description();
      b.Add("Position", Here());
      b.Add("Description", Text(description));
      b.Add("Name", Text(Name()));
      Expect(GraphqlTok::kColon);
      b.Add("Type", Type());
      if (Skip(GraphqlTok::kEquals)) b.Add("DefaultValue", Literal(true));
      b.Add("Directives", Directives(true));
      return b.Finish();
    });
  }
  Value Fields() {
    return Some(GraphqlTok::kBraceL, GraphqlTok::kBraceR, [&] {
      ObjectBuilder b(arena_, 6);
      std::string description = Description();
      b.Add("Position", Here());
      b.Add("Description", Text(description));
      b.Add("Name", Text(Name()));
      b.Add("Arguments", ArgumentDefinitions(GraphqlTok::kParenL, GraphqlTok::kParenR));
      Expect(GraphqlTok::kColon);
      b.Add("Type", Type());
      b.Add("Directives", Directives(true));
      return b.Finish();
    });
  }
  Value EnumValues() {
    return Some(GraphqlTok::kBraceL, GraphqlTok::kBraceR, [&] {
      ObjectBuilder b(arena_, 4);
      std::string description = Description();
      b.Add("Position", Here());
      b.Add("Description", Text(description));
      b.Add("Name", Text(Name()));
      b.Add("Directives", Directives(true));
      return b.Finish();
    });
  }
  Value Names(GraphqlTok separator) {
    ArrayBuilder out(arena_);
    Skip(separator);
    out.Add(Text(Name()));
    while (Skip(separator) || (separator == GraphqlTok::kAmp && Good() && Is(GraphqlTok::kName))) out.Add(Text(Name()));
    return out.Finish();
  }
  Value TypeDefinition(const std::string& description, bool extends) {
    std::string word = token_.text;
    std::string_view kind = word == "scalar"      ? "SCALAR"
                            : word == "type"      ? "OBJECT"
                            : word == "interface" ? "INTERFACE"
                            : word == "union"     ? "UNION"
                            : word == "enum"      ? "ENUM"
                            : word == "input"     ? "INPUT_OBJECT"
                                                  : "";
    if (kind.empty() || !Is(GraphqlTok::kName)) {
      Unexpected();
      return Value::Null();
    }
    Advance();
    ObjectBuilder b(arena_, 10);
    b.Add("Position", Here());
    b.Add("Kind", Text(kind));
    b.Add("Description", Text(description));
    b.Add("BuiltIn", Value::Bool(false));
    b.Add("Name", Text(Name()));
    bool content = false;
    if ((word == "type" || (word == "interface" && !extends)) && IsWord("implements")) {
      Advance();
      b.Add("Interfaces", Names(GraphqlTok::kAmp));
      content = true;
    }
    Value directives = Directives(true);
    content = content || directives.arr->size > 0;
    b.Add("Directives", directives);
    auto add = [&](std::string_view key, const Value& list) {
      content = content || list.arr->size > 0;
      b.Add(key, list);
    };
    if (word == "type" || word == "interface") add("Fields", Fields());
    if (word == "input") add("Fields", ArgumentDefinitions(GraphqlTok::kBraceL, GraphqlTok::kBraceR));
    if (word == "enum") add("EnumValues", EnumValues());
    if (word == "union" && Skip(GraphqlTok::kEquals)) add("Types", Names(GraphqlTok::kPipe));
    if (extends && !content) Unexpected();
    return b.Finish();
  }

  Arena& arena_;
  GraphqlLexer lexer_;
  GraphqlToken token_;
  std::string error_;
  size_t depth_ = 0;
  size_t steps_ = 0;
};

}  // namespace

Value ParseGraphqlQuery(Arena& arena, std::string_view text, std::string& error) {
  GraphqlParser p(arena, text);
  Value v = p.Query();
  error = p.error();
  return error.empty() ? v : Value();
}

Value ParseGraphqlSchema(Arena& arena, std::string_view text, std::string& error) {
  GraphqlParser p(arena, text);
  Value v = p.Schema();
  error = p.error();
  return error.empty() ? v : Value();
}

Value DropPositions(Arena& arena, const Value& v) {
  auto kept = [](const Value& x) {
    return x.kind != Kind::kNull && !(x.is_array() && x.arr->size == 0) && !(x.is_object() && x.obj->size == 0);
  };
  if (v.is_array()) {
    ArrayBuilder out(arena, v.arr->size);
    for (const Value& x : v.arr->view()) {
      Value y = DropPositions(arena, x);
      if (kept(y)) out.Add(y);
    }
    return out.Finish();
  }
  if (v.is_object()) {
    ObjectBuilder out(arena, v.obj->size);
    for (uint32_t i = 0; i < v.obj->size; ++i) {
      if (v.obj->keys[i].is_string() && v.obj->keys[i].text() == "Position") continue;
      Value y = DropPositions(arena, v.obj->values[i]);
      if (kept(y)) out.Add(v.obj->keys[i], y);
    }
    return out.Finish();
  }
  return v;
}

std::string GraphqlError(const std::string& message, const Value& node) {
  std::string text = message;
  if (text.ends_with('.')) text.pop_back();
  Value position = node.is_object() ? Get(*node.obj, "Position") : Value();
  if (!position.is_object()) return "GraphQL parse error: input: " + message;
  return text + " in GraphQL string at location " + NumberText(Get(*position.obj, "Line")) + ":" +
         NumberText(Get(*position.obj, "Column"));
}

}  // namespace hexr::rego
