// strings.render_template: the language of Go's text/template over JSON-like values: fields, variables, pipelines,
// if, else, with, range, define-free, and the predefined functions that make sense for data.
#include <algorithm>
#include <functional>
#include <memory>

#include "policy/rego/builtins/gofmt.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"

namespace hexr::rego {
namespace {

constexpr int kMaxNesting = 100;

struct Piece;
using Pieces = std::vector<std::unique_ptr<Piece>>;

// Text, an action {{…}}, or a block with its branches.
struct Piece {
  enum class Kind { kText, kAction, kIf, kWith, kRange } kind = Kind::kText;
  std::string text;                // literal text, or the pipeline's source
  std::vector<std::string> names;  // $k, $v of range
  Pieces body, otherwise;
};

std::vector<std::string> Words(std::string_view s, std::string& error) {
  std::vector<std::string> out;
  for (size_t i = 0; i < s.size();) {
    char c = s[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++i;
    } else if (c == '"' || c == '`') {
      size_t end = i + 1;
      while (end < s.size() && s[end] != c) end += c == '"' && s[end] == '\\' ? 2 : 1;
      if (end >= s.size()) {
        error = "unterminated quoted string";
        return {};
      }
      out.emplace_back(s.substr(i, end + 1 - i));
      i = end + 1;
    } else if (c == '(' || c == ')' || c == '|' || c == ',') {
      out.emplace_back(1, c);
      ++i;
    } else if (s.substr(i, 2) == ":=") {
      out.emplace_back(":=");
      i += 2;
    } else {
      size_t end = i;
      while (end < s.size() && std::string_view(" \t\r\n()|,\"`").find(s[end]) == std::string_view::npos &&
             s.substr(end, 2) != ":=")
        ++end;
      out.emplace_back(s.substr(i, end - i));
      i = end;
    }
  }
  return out;
}

class TemplateReader {
 public:
  explicit TemplateReader(std::string_view text) : text_(text) {}
  // Up to {{end}} or {{else…}} of the block that is open, or the end of the text.
  bool Read(Pieces& out, int depth, std::string& stop, std::string& error) {
    if (depth > kMaxNesting) {
      error = "template: nesting too deep";
      return false;
    }
    while (at_ < text_.size()) {
      size_t open = text_.find("{{", at_);
      std::string literal(text_.substr(at_, open - at_));
      if (open == std::string_view::npos) {
        Add(out, literal);
        at_ = text_.size();
        break;
      }
      size_t close = text_.find("}}", open);
      if (close == std::string_view::npos) {
        error = "template: template:1: unclosed action";
        return false;
      }
      std::string_view inside = text_.substr(open + 2, close - open - 2);
      at_ = close + 2;
      // {{- and -}} take the white space beside them away.
      if (inside.starts_with("- ")) {
        inside.remove_prefix(2);
        while (!literal.empty() && std::isspace(static_cast<unsigned char>(literal.back()))) literal.pop_back();
      }
      if (inside.ends_with(" -")) {
        inside.remove_suffix(2);
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
      }
      Add(out, literal);
      while (!inside.empty() && std::isspace(static_cast<unsigned char>(inside.front()))) inside.remove_prefix(1);
      while (!inside.empty() && std::isspace(static_cast<unsigned char>(inside.back()))) inside.remove_suffix(1);
      if (inside.starts_with("/*")) continue;
      size_t space = std::min(inside.find_first_of(" \t\n"), inside.size());
      std::string_view word = inside.substr(0, space);
      std::string rest(inside.substr(space));
      if (word == "end" || word == "else") {
        if (depth == 0) {
          error = "template: template:1: unexpected {{" + std::string(word) + "}}";
          return false;
        }
        stop = std::string(inside);
        return true;
      }
      auto piece = std::make_unique<Piece>();
      if (word == "if" || word == "with" || word == "range") {
        piece->kind = word == "if" ? Piece::Kind::kIf : word == "with" ? Piece::Kind::kWith : Piece::Kind::kRange;
        if (!Block(*piece, rest, depth, error)) return false;
      } else if (inside.empty()) {
        error = "template: template:1: missing value for command";
        return false;
      } else {
        piece->kind = Piece::Kind::kAction;
        piece->text = inside;
      }
      out.push_back(std::move(piece));
    }
    if (depth > 0) {
      error = "template: template:1: unexpected EOF";
      return false;
    }
    return true;
  }

 private:
  static void Add(Pieces& out, const std::string& literal) {
    if (literal.empty()) return;
    auto piece = std::make_unique<Piece>();
    piece->text = literal;
    out.push_back(std::move(piece));
  }
  bool Block(Piece& piece, const std::string& pipeline, int depth, std::string& error) {
    piece.text = pipeline;
    std::string stop;
    if (!Read(piece.body, depth + 1, stop, error)) return false;
    if (stop == "end") return true;
    if (stop.size() > 5) {
      // else if …: a block of its own in the other branch, closed by the same end.
      std::string rest = stop.substr(5);
      size_t start = rest.find_first_not_of(' ');
      std::string word = rest.substr(start, rest.find(' ', start) - start);
      auto inner = std::make_unique<Piece>();
      if (word != "if" && word != "with") {
        error = "template: template:1: expected end; found {{" + stop + "}}";
        return false;
      }
      inner->kind = word == "if" ? Piece::Kind::kIf : Piece::Kind::kWith;
      if (!Block(*inner, rest.substr(start + word.size()), depth + 1, error)) return false;
      piece.otherwise.push_back(std::move(inner));
      return true;
    }
    if (!Read(piece.otherwise, depth + 1, stop, error)) return false;
    if (stop == "end") return true;
    error = "template: template:1: expected end; found {{else}}";
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
};

class Renderer {
 public:
  explicit Renderer(Call& c, const Value& data) : c_(c) { variables_.emplace_back("$", data); }

  bool Run(const Pieces& pieces, const Value& dot) {
    for (const auto& p : pieces) {
      if (!c_.Reserve(out.size() + 64) || !c_.Spend(1)) return false;
      size_t mark = variables_.size();
      bool ok = One(*p, dot);
      // A variable lives to the end of its block; those of an action to the end of the enclosing one.
      if (p->kind != Piece::Kind::kAction) variables_.resize(std::min(mark, variables_.size()));
      if (!ok) return false;
    }
    return true;
  }
  std::string out;
  std::string error;

 private:
  bool Fail(std::string why) {
    if (error.empty()) error = "template: template: " + std::move(why);
    return false;
  }
  static bool Truth(const Value& v) {
    switch (v.kind) {
      case Kind::kUndefined:
      case Kind::kNull: return false;
      case Kind::kBool: return v.i != 0;
      case Kind::kString: return !v.text().empty();
      case Kind::kArray: return v.arr->size > 0;
      case Kind::kObject: return v.obj->size > 0;
      case Kind::kInt: return v.i != 0;
      default: return true;
    }
  }
  // As fmt prints the value that encoding/json made of it.
  static void Print(const Value& v, bool top, std::string& to) {
    switch (v.kind) {
      case Kind::kUndefined:
      case Kind::kNull: to += top ? "<no value>" : "<nil>"; break;
      case Kind::kString: to += v.text(); break;
      case Kind::kArray:
        to += '[';
        for (uint32_t i = 0; i < v.arr->size; ++i) {
          if (i > 0) to += ' ';
          Print(v.arr->items[i], false, to);
        }
        to += ']';
        break;
      case Kind::kObject:
        to += "map[";
        for (uint32_t i = 0; i < v.obj->size; ++i) {
          if (i > 0) to += ' ';
          Print(v.obj->keys[i], false, to);
          to += ':';
          Print(v.obj->values[i], false, to);
        }
        to += ']';
        break;
      default: to += ToJson(v);
    }
  }

  bool One(const Piece& p, const Value& dot) {
    if (p.kind == Piece::Kind::kText) {
      out += p.text;
      return true;
    }
    Value v;
    bool assigned = false;
    std::vector<std::string> names;
    if (!Pipeline(p.text, dot, p.kind == Piece::Kind::kRange, v, assigned, names)) return false;
    switch (p.kind) {
      case Piece::Kind::kAction:
        if (!assigned) Print(v, true, out);
        return true;
      case Piece::Kind::kIf: return Run(Truth(v) ? p.body : p.otherwise, dot);
      case Piece::Kind::kWith: return Truth(v) ? Run(p.body, v) : Run(p.otherwise, dot);
      default: return Range(p, v, names, dot);
    }
  }

  bool Range(const Piece& p, const Value& v, const std::vector<std::string>& names, const Value& dot) {
    size_t count = v.is_array() ? v.arr->size : v.is_object() ? v.obj->size : 0;
    if (v.kind == Kind::kInt && v.i > 0)
      count = static_cast<size_t>(v.i);
    else if (!v.is_composite() && v.defined() && v.kind != Kind::kNull && v.kind != Kind::kInt)
      return Fail("range can't iterate over " + ToJson(v));
    if (count == 0) return Run(p.otherwise, dot);
    for (size_t i = 0; i < count; ++i) {
      if (!c_.Spend(1)) return false;
      Value key = v.is_object() ? v.obj->keys[i] : Value::Int(static_cast<int64_t>(i));
      Value item = v.is_object() ? v.obj->values[i] : v.is_array() ? v.arr->items[i] : key;
      size_t mark = variables_.size();
      if (names.size() == 1) variables_.emplace_back(names[0], item);
      if (names.size() == 2) {
        variables_.emplace_back(names[0], key);
        variables_.emplace_back(names[1], item);
      }
      bool ok = Run(p.body, item);
      variables_.resize(mark);
      if (!ok) return false;
    }
    return true;
  }

  bool Pipeline(const std::string& source, const Value& dot, bool range, Value& v, bool& assigned,
                std::vector<std::string>& names) {
    std::string problem;
    std::vector<std::string> words = Words(source, problem);
    if (!problem.empty()) return Fail(problem);
    size_t at = 0;
    auto define = std::find(words.begin(), words.end(), ":=");
    bool set = define == words.end() && words.size() > 2 && words[0].starts_with('$') && words[1] == "=";
    if (define != words.end() || set) {
      size_t end = set ? 1 : static_cast<size_t>(define - words.begin());
      for (size_t i = 0; i < end; ++i) {
        if (words[i] != ",") names.push_back(words[i]);
      }
      at = end + 1;
      assigned = true;
    }
    if (!Expression(words, at, dot, v, 0)) return false;
    if (at != words.size()) return Fail("unexpected \"" + words[at] + "\" in operand");
    if (assigned && !range) {
      for (auto it = variables_.rbegin(); set && it != variables_.rend(); ++it) {
        if (it->first != names[0]) continue;
        it->second = v;
        return true;
      }
      variables_.emplace_back(names.empty() ? "" : names[0], v);
    }
    return true;
  }

  // Commands joined by |: each value is the last argument of the next.
  bool Expression(const std::vector<std::string>& w, size_t& at, const Value& dot, Value& v, int depth) {
    if (depth > kMaxNesting) return Fail("nesting too deep");
    bool piped = false;
    while (true) {
      std::vector<Value> args;
      std::string function;
      bool first = true;
      while (at < w.size() && w[at] != "|" && w[at] != ")") {
        if (first && std::isalpha(static_cast<unsigned char>(w[at][0])) && w[at] != "true" && w[at] != "false" &&
            w[at] != "nil") {
          function = w[at++];
        } else {
          Value x;
          if (!Operand(w, at, dot, x, depth)) return false;
          args.push_back(x);
        }
        first = false;
      }
      if (first) return Fail("missing value for command");
      if (piped) args.push_back(v);
      if (!function.empty()) {
        if (!Apply(function, args, v)) return false;
      } else if (args.size() != 1) {
        return Fail("can't give argument to non-function");
      } else {
        v = args[0];
      }
      if (at >= w.size() || w[at] != "|") return true;
      ++at;
      piped = true;
    }
  }

  bool Operand(const std::vector<std::string>& w, size_t& at, const Value& dot, Value& v, int depth) {
    const std::string& s = w[at];
    std::string path;
    if (s == "(") {
      ++at;
      if (!Expression(w, at, dot, v, depth + 1)) return false;
      if (at >= w.size() || w[at] != ")") return Fail("unclosed left paren");
      ++at;
      if (at < w.size() && w[at].starts_with('.') && w[at].size() > 1) path = w[at++];
      return Fields(path, v);
    }
    ++at;
    if (s[0] == '"' || s[0] == '`') {
      auto json =
          s[0] == '"' ? ParseJson(c_.arena, s) : Result<Value>(c_.Text(std::string_view(s).substr(1, s.size() - 2)));
      v = json.ok() ? *json : c_.Text(s.substr(1, s.size() - 2));
      return true;
    }
    if (s == "true" || s == "false") {
      v = Value::Bool(s == "true");
      return true;
    }
    if (s == "nil") return Fail("nil is not a command");
    if (s == ".") {
      v = dot;
      return true;
    }
    if (s[0] == '.') {
      v = dot;
      return Fields(s, v);
    }
    if (s[0] == '$') {
      size_t end = std::min(s.find('.'), s.size());
      std::string name = s.substr(0, end);
      auto it = std::find_if(variables_.rbegin(), variables_.rend(), [&](const auto& x) { return x.first == name; });
      if (it == variables_.rend()) return Fail("undefined variable \"" + name + "\"");
      v = it->second;
      return Fields(s.substr(end), v);
    }
    if (auto n = ParseNumber(c_.arena, s)) {
      v = *n;
      return true;
    }
    if (std::isalpha(static_cast<unsigned char>(s[0]))) return Apply(s, {}, v);
    return Fail("unexpected \"" + s + "\" in operand");
  }

  bool Fields(const std::string& path, Value& v) {
    for (size_t i = 0; i < path.size();) {
      size_t end = std::min(path.find('.', i + 1), path.size());
      std::string name = path.substr(i + 1, end - i - 1);
      if (v.is_object())
        v = Get(*v.obj, name);
      else if (v.defined() && v.kind != Kind::kNull)
        return Fail("can't evaluate field " + name);
      else
        return Fail("nil data; no entry for key \"" + name + "\"");
      i = end;
    }
    return true;
  }

  bool Apply(const std::string& f, const std::vector<Value>& a, Value& v) {
    auto need = [&](size_t n) {
      return a.size() >= n ||
             Fail("wrong number of args for " + f + ": want " + std::to_string(n) + " got " + std::to_string(a.size()));
    };
    static constexpr std::string_view kCompare[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    if (auto it = std::find(std::begin(kCompare), std::end(kCompare), f); it != std::end(kCompare)) {
      if (!need(2)) return false;
      int c = Compare(a[0], a[1]);
      bool any = std::any_of(a.begin() + 1, a.end(), [&](const Value& x) { return Equal(a[0], x); });
      bool answers[] = {any, c != 0, c<0, c <= 0, c> 0, c >= 0};
      v = Value::Bool(answers[it - std::begin(kCompare)]);
      return true;
    }
    if (f == "and" || f == "or") {
      if (!need(1)) return false;
      for (const Value& x : a) {
        v = x;
        if (Truth(x) == (f == "or")) break;
      }
      return true;
    }
    if (f == "not") {
      if (!need(1)) return false;
      v = Value::Bool(!Truth(a[0]));
      return true;
    }
    if (f == "len") {
      if (!need(1)) return false;
      const Value& x = a[0];
      if (x.is_string())
        v = Value::Int(static_cast<int64_t>(x.text().size()));
      else if (x.is_array())
        v = Value::Int(x.arr->size);
      else if (x.is_object())
        v = Value::Int(x.obj->size);
      else
        return Fail("len of type " + std::string(KindName(x)));
      return true;
    }
    if (f == "index" || f == "slice") {
      if (!need(1)) return false;
      v = a[0];
      if (f == "slice") return Fail("function \"slice\" is not available");
      for (size_t i = 1; i < a.size(); ++i) {
        bool array = v.is_array();
        v = Lookup(v, a[i]);
        if (!v.defined() && array) return Fail("error calling index: index out of range: " + ToJson(a[i]));
      }
      return true;
    }
    if (f == "printf") {
      if (!need(1) || !a[0].is_string()) return Fail("printf needs a format");
      const std::string text = GoSprintf(a[0].text(), std::span(a).subspan(1), c_.Room());
      if (!c_.Reserve(text.size())) return false;
      v = c_.Text(text);
      return true;
    }
    if (f == "print" || f == "println") {
      std::string text;
      for (size_t i = 0; i < a.size(); ++i) {
        // Sprint puts a space between operands when neither is a string.
        if (i > 0 && (f == "println" || (!a[i].is_string() && !a[i - 1].is_string()))) text += ' ';
        Print(a[i], false, text);
      }
      v = c_.Text(f == "println" ? text + "\n" : text);
      return true;
    }
    if (f == "html" || f == "js" || f == "urlquery") {
      std::string text, escaped;
      for (const Value& x : a) Print(x, false, text);
      if (f == "urlquery") {
        v = c_.Text(QueryEscape(text));
        return true;
      }
      for (char ch : text) {
        std::string_view html = ch == '<'    ? "&lt;"
                                : ch == '>'  ? "&gt;"
                                : ch == '&'  ? "&amp;"
                                : ch == '"'  ? "&#34;"
                                : ch == '\'' ? "&#39;"
                                             : "";
        std::string_view js = ch == '<'    ? "\\u003C"
                              : ch == '>'  ? "\\u003E"
                              : ch == '&'  ? "\\u0026"
                              : ch == '"'  ? "\\\""
                              : ch == '\'' ? "\\'"
                              : ch == '='  ? "\\u003D"
                              : ch == '\\' ? "\\\\"
                                           : "";
        std::string_view to = f == "html" ? html : js;
        if (to.empty())
          escaped += ch;
        else
          escaped += to;
      }
      v = c_.Text(escaped);
      return true;
    }
    return Fail("function \"" + f + "\" not defined");
  }

  Call& c_;
  std::vector<std::pair<std::string, Value>> variables_;
};

Value RenderTemplate(Call& c) {
  std::string_view text;
  const Obj* variables;
  if (!TakeString(c, 0, text) || !TakeObject(c, 1, variables)) return Value();
  Pieces pieces;
  std::string stop, error;
  if (!TemplateReader(text).Read(pieces, 0, stop, error)) return c.Fail(error);
  auto plain = ParseJson(c.arena, ToJson(c[1]));
  if (!plain.ok()) return c.Fail(plain.error().message());
  Renderer r(c, *plain);
  if (!r.Run(pieces, *plain)) return c.failed() ? Value() : c.Fail(r.error);
  std::string out = r.out;
  constexpr std::string_view kNoValue = "<no value>", kUndefined = "<undefined>";
  for (size_t at = 0; (at = out.find(kNoValue, at)) != std::string::npos; at += kUndefined.size())
    out.replace(at, kNoValue.size(), kUndefined);
  return c.Text(out);
}

}  // namespace

std::span<const Builtin> TemplateBuiltins() {
  static constexpr Builtin kTable[] = {{.name = "strings.render_template", .arity = 2, .fn = RenderTemplate}};
  return kTable;
}

}  // namespace hexr::rego
