#include "policy/rego/value/json.h"

#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/limits/rego.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

class JsonReader {
 public:
  JsonReader(Arena& arena, std::string_view text)
      : arena_(arena), text_(text), open_(text.size() > kWorthSharing ? scratch_arena_ : arena) {
    if (text.size() > kWorthSharing) shared_ = std::make_unique<Shared>();
  }

  Result<Value> Document() {
    ASSIGN_OR_RETURN(Value v, Any(0));
    Space();
    if (at_ != text_.size()) return Bad("unexpected text after the document");
    return v;
  }

 private:
  Error Bad(std::string_view what) const {
    return InvalidArgument("json: " + std::string(what) + " at byte " + std::to_string(at_));
  }
  void Space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool Take(char c) {
    if (at_ < text_.size() && text_[at_] == c) {
      ++at_;
      return true;
    }
    return false;
  }
  bool Word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }

  Result<Value> Any(size_t depth) {
    if (depth > limits::kMaxRegoDocumentDepth) return Bad("nesting too deep");
    Space();
    if (at_ >= text_.size()) return Bad("unexpected end");
    switch (text_[at_]) {
      case '{': return Object(depth);
      case '[': return Array(depth);
      case '"': {
        ASSIGN_OR_RETURN(std::string_view s, String());
        return Text(s);
      }
      case 't':
        if (Word("true")) return Value::Bool(true);
        break;
      case 'f':
        if (Word("false")) return Value::Bool(false);
        break;
      case 'n':
        if (Word("null")) return Value::Null();
        break;
      default: {
        size_t start = at_;
        while (at_ < text_.size() && std::strchr("+-0123456789.eE", text_[at_]) != nullptr && text_[at_] != 0) ++at_;
        if (auto n = ParseNumber(arena_, text_.substr(start, at_ - start))) return *n;
        at_ = start;
      }
    }
    return Bad("unexpected character");
  }

  Result<Value> Array(size_t depth) {
    ++at_;
    Space();
    if (Take(']')) return EmptyArray();
    const size_t mark = open_.size();
    while (true) {
      ASSIGN_OR_RETURN(Value v, Any(depth + 1));
      open_.Add(v);
      Space();
      if (Take(']')) break;
      if (!Take(',')) return Bad("expected , or ]");
    }
    const size_t size = open_.size() - mark;
    auto* items = arena_.New<Value>(size);
    std::memcpy(static_cast<void*>(items), &open_[mark], size * sizeof(Value));
    open_.Truncate(mark);
    auto* array = arena_.New<Arr>();
    *array = Arr{static_cast<uint32_t>(size), items};
    return Value::Of(array);
  }

  Result<Value> Object(size_t depth) {
    ++at_;
    Space();
    if (Take('}')) return EmptyObject();
    const size_t mark = open_.size();
    while (true) {
      Space();
      if (at_ >= text_.size() || text_[at_] != '"') return Bad("expected a key");
      ASSIGN_OR_RETURN(std::string_view k, String());
      open_.Add(Text(k));
      Space();
      if (!Take(':')) return Bad("expected :");
      ASSIGN_OR_RETURN(Value v, Any(depth + 1));
      open_.Add(v);
      Space();
      if (Take('}')) break;
      if (!Take(',')) return Bad("expected , or }");
    }
    const Value out = FinishObject(&open_[mark], static_cast<uint32_t>((open_.size() - mark) / 2));
    open_.Truncate(mark);
    return out;
  }

  // Key and value in turn, as they stand in the text.
  Value FinishObject(const Value* pairs, uint32_t size) {
    if (shared_ == nullptr || size > kMostKeys) {
      ObjectBuilder b(arena_, size);
      for (uint32_t i = 0; i < size; ++i) b.Add(pairs[2 * i], pairs[2 * i + 1]);
      return b.Finish();
    }
    uint32_t hash = size;
    for (uint32_t i = 0; i < size; ++i) hash = hash * 0x9E3779B1 + pairs[2 * i].tag;
    Shape& shape = shared_->shapes[hash % Shared::kShapes];
    bool same = shape.size == size;
    for (uint32_t i = 0; same && i < size; ++i) same = Equal(shape.keys[shape.place[i]], pairs[2 * i]);
    if (!same) {
      ObjectBuilder b(arena_, size);
      for (uint32_t i = 0; i < size; ++i) b.Add(pairs[2 * i], pairs[2 * i + 1]);
      const Value out = b.Finish();
      shape.size = 0;
      if (out.obj->size != size) return out;  // a key that stands twice
      shape = {size, out.obj->index_mask, out.obj->index, out.obj->keys, {}};
      for (uint32_t i = 0; i < size; ++i) shape.place[i] = static_cast<uint8_t>(Find(*out.obj, pairs[2 * i]));
      return out;
    }
    auto* values = arena_.New<Value>(size);
    for (uint32_t i = 0; i < size; ++i) values[shape.place[i]] = pairs[2 * i + 1];
    auto* object = arena_.New<Obj>();
    *object = Obj{size, shape.index_mask, shape.index, shape.keys, values};
    return Value::Of(object);
  }

  Value Text(std::string_view s) {
    if (shared_ == nullptr || s.size() > kLongestShared) return Value::String(arena_, s);
    const uint32_t hash = HashText(s);
    Value& known = shared_->texts[hash % Shared::kTexts];
    if (!known.defined() || known.tag != hash || known.text() != s) known = Value::String(arena_, s);
    return known;
  }

  // The content, in scratch_ when it had escapes.
  Result<std::string_view> String() {
    size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<uint8_t>(text_[at_]) >= 0x20)
      ++at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      std::string_view raw = text_.substr(start, at_++ - start);
      return IsUtf8(raw) ? raw : Repair(raw);
    }
    scratch_.assign(text_.substr(start, at_ - start));
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (static_cast<uint8_t>(c) < 0x20) return Bad("control character in string");
      if (c != '\\') {
        scratch_ += c;
        continue;
      }
      if (at_ >= text_.size()) break;
      c = text_[at_++];
      static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
      if (size_t k = kFrom.find(c); k != std::string_view::npos) {
        scratch_ += kTo[k];
      } else if (c == 'u') {
        int32_t hi = Hex4();
        if (hi < 0) return Bad("bad \\u escape");
        char32_t rune = static_cast<char32_t>(hi);
        if (hi >= 0xD800 && hi < 0xDC00 && text_.substr(at_, 2) == "\\u") {
          size_t back = at_;
          at_ += 2;
          int32_t lo = Hex4();
          if (lo >= 0xDC00 && lo < 0xE000)
            rune = static_cast<char32_t>(0x10000 + ((hi - 0xD800) << 10) + (lo - 0xDC00));
          else
            at_ = back;
        }
        if (rune >= 0xD800 && rune < 0xE000) rune = 0xFFFD;
        AppendRune(rune, scratch_);
      } else {
        return Bad("bad escape");
      }
    }
    if (at_ >= text_.size()) return Bad("unterminated string");
    ++at_;
    if (!IsUtf8(scratch_)) return Repair(std::string(scratch_));
    return std::string_view(scratch_);
  }

  std::string_view Repair(std::string_view raw) {
    std::string fixed;
    for (size_t i = 0; i < raw.size();) AppendRune(NextRune(raw, i), fixed);
    scratch_ = std::move(fixed);
    return scratch_;
  }

  int32_t Hex4() {
    if (text_.size() - at_ < 4) return -1;
    int32_t n = 0;
    for (int i = 0; i < 4; ++i) {
      char c = text_[at_++];
      int d = c >= '0' && c <= '9'   ? c - '0'
              : c >= 'a' && c <= 'f' ? c - 'a' + 10
              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                     : -1;
      if (d < 0) return -1;
      n = n * 16 + d;
    }
    return n;
  }

  // Documents of many records say the same keys and words again and again: in large ones they are kept once. Objects
  // with the same keys share these, whatever their order in the text.
  static constexpr size_t kWorthSharing = 1 << 16;
  static constexpr size_t kLongestShared = 64;
  static constexpr uint32_t kMostKeys = 32;
  struct Shape {
    uint32_t size = 0;
    uint32_t index_mask = 0;
    const uint32_t* index = nullptr;
    Value* keys = nullptr;          // sorted
    uint8_t place[kMostKeys] = {};  // of each key in the text's order
  };
  struct Shared {
    static constexpr size_t kTexts = 1 << 14, kShapes = 1 << 9;
    Value texts[kTexts];
    Shape shapes[kShapes];
  };

  Arena& arena_;
  std::string_view text_;
  size_t at_ = 0;
  std::string scratch_;
  Arena scratch_arena_;
  ArrayBuilder open_;  // members of what has begun and not ended
  std::unique_ptr<Shared> shared_;
};

void NewLine(const JsonStyle& style, size_t depth, std::string& out) {
  if (!style.pretty) return;
  out += '\n';
  out += style.prefix;
  for (size_t i = 0; i < depth; ++i) out += style.indent;
}

void Write(const Value& v, const JsonStyle& style, size_t depth, std::string& out) {
  auto list = [&](std::span<const Value> items) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ',';
      NewLine(style, depth + 1, out);
      Write(items[i], style, depth + 1, out);
    }
    NewLine(style, depth, out);
    out += ']';
  };
  switch (v.kind) {
    case Kind::kNull: out += "null"; break;
    case Kind::kBool: out += v.i ? "true" : "false"; break;
    case Kind::kInt:
    case Kind::kNum: AppendNumber(v, out); break;
    case Kind::kString: AppendJsonString(v.text(), style.escape_html, out); break;
    case Kind::kArray: list(v.arr->view()); break;
    case Kind::kSet: list(v.set->view()); break;
    case Kind::kObject:
      if (v.obj->size == 0) {
        out += "{}";
        break;
      }
      out += '{';
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        if (i > 0) out += ',';
        NewLine(style, depth + 1, out);
        const Value& k = v.obj->keys[i];
        if (k.is_string()) {
          AppendJsonString(k.text(), style.escape_html, out);
        } else {
          AppendJsonString(ToJson(k), style.escape_html, out);
        }
        out += style.pretty ? ": " : ":";
        Write(v.obj->values[i], style, depth + 1, out);
      }
      NewLine(style, depth, out);
      out += '}';
      break;
    case Kind::kUndefined:
    case Kind::kNode: out += "null"; break;
  }
}

void AppendHex4(char32_t r, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int s = 12; s >= 0; s -= 4) out += kHex[(r >> s) & 15];
}

}  // namespace

Result<Value> ParseJson(Arena& arena, std::string_view text) { return JsonReader(arena, text).Document(); }

void AppendJsonString(std::string_view text, bool escape_html, std::string& out) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    if (static_cast<uint8_t>(c) < 0x80) {
      ++i;
      switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        case '\b': out += "\\b"; break;
        case '\f': out += "\\f"; break;
        default:
          if (static_cast<uint8_t>(c) < 0x20 || (escape_html && (c == '<' || c == '>' || c == '&'))) {
            AppendHex4(static_cast<char32_t>(c), out);
          } else {
            out += c;
          }
      }
      continue;
    }
    size_t start = i;
    char32_t r = NextRune(text, i);
    if (r == 0xFFFD && i == start + 1) {
      out += "\\ufffd";
    } else if (r == 0x2028 || r == 0x2029) {
      AppendHex4(r, out);
    } else {
      out += text.substr(start, i - start);
    }
  }
  out += '"';
}

void AppendJson(const Value& v, const JsonStyle& style, std::string& out) { Write(v, style, 0, out); }

std::string ToJson(const Value& v) {
  std::string out;
  Write(v, JsonStyle{}, 0, out);
  return out;
}

void AppendRego(const Value& v, std::string& out) {
  switch (v.kind) {
    case Kind::kString: AppendGoQuoted(v.text(), out); break;
    case Kind::kArray:
      out += '[';
      for (uint32_t i = 0; i < v.arr->size; ++i) {
        if (i > 0) out += ", ";
        AppendRego(v.arr->items[i], out);
      }
      out += ']';
      break;
    case Kind::kSet:
      if (v.set->size == 0) {
        out += "set()";
        break;
      }
      out += '{';
      for (uint32_t i = 0; i < v.set->size; ++i) {
        if (i > 0) out += ", ";
        AppendRego(v.set->items[i], out);
      }
      out += '}';
      break;
    case Kind::kObject:
      out += '{';
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        if (i > 0) out += ", ";
        AppendRego(v.obj->keys[i], out);
        out += ": ";
        AppendRego(v.obj->values[i], out);
      }
      out += '}';
      break;
    default: Write(v, JsonStyle{}, 0, out);
  }
}

std::string ToRego(const Value& v) {
  std::string out;
  AppendRego(v, out);
  return out;
}

void AppendGoQuoted(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    char32_t r = NextRune(text, i);
    if (r == 0xFFFD && i == start + 1) {
      out += "\\x";
      out += kHex[(text[start] >> 4) & 15];
      out += kHex[text[start] & 15];
      continue;
    }
    static constexpr std::string_view kFrom = "\a\b\f\n\r\t\v\"\\", kTo = "abfnrtv\"\\";
    if (size_t k = r < 0x80 ? kFrom.find(static_cast<char>(r)) : std::string_view::npos; k != std::string_view::npos) {
      out += '\\';
      out += kTo[k];
    } else if (r < 0x20 || r == 0x7F) {
      out += "\\x";
      out += kHex[(r >> 4) & 15];
      out += kHex[r & 15];
    } else {
      out += text.substr(start, i - start);
    }
  }
  out += '"';
}

char32_t NextRune(std::string_view text, size_t& at) {
  auto byte = [&](size_t k) { return k < text.size() ? static_cast<uint8_t>(text[k]) : uint8_t{0}; };
  uint8_t c = byte(at);
  auto tail = [&](size_t k) { return (byte(at + k) & 0xC0) == 0x80; };
  auto bits = [&](size_t k) { return static_cast<char32_t>(byte(at + k) & 0x3F); };
  if (c < 0x80) {
    ++at;
    return c;
  }
  if (c >= 0xC2 && c < 0xE0 && tail(1)) {
    char32_t r = static_cast<char32_t>(c & 0x1F) << 6 | bits(1);
    at += 2;
    return r;
  }
  if (c >= 0xE0 && c < 0xF0 && tail(1) && tail(2)) {
    char32_t r = static_cast<char32_t>(c & 0x0F) << 12 | bits(1) << 6 | bits(2);
    if (r >= 0x800 && (r < 0xD800 || r >= 0xE000)) {
      at += 3;
      return r;
    }
  }
  if (c >= 0xF0 && c < 0xF5 && tail(1) && tail(2) && tail(3)) {
    char32_t r = static_cast<char32_t>(c & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3);
    if (r >= 0x10000 && r < 0x110000) {
      at += 4;
      return r;
    }
  }
  ++at;
  return 0xFFFD;
}

void AppendRune(char32_t r, std::string& out) {
  if (r < 0x80) {
    out += static_cast<char>(r);
  } else if (r < 0x800) {
    out += static_cast<char>(0xC0 | r >> 6);
    out += static_cast<char>(0x80 | (r & 0x3F));
  } else if (r < 0x10000) {
    out += static_cast<char>(0xE0 | r >> 12);
    out += static_cast<char>(0x80 | ((r >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (r & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | r >> 18);
    out += static_cast<char>(0x80 | ((r >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((r >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (r & 0x3F));
  }
}

size_t RuneCount(std::string_view text) {
  size_t n = 0;
  for (size_t i = 0; i < text.size(); ++n) NextRune(text, i);
  return n;
}

}  // namespace hexr::rego
