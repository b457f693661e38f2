// JSON text with members in the order they are written, laid out as Go's encoder does with two spaces.
#pragma once

#include <string>
#include <string_view>

#include "policy/rego/value/json.h"

namespace hexr::policy {

class JsonText {
 public:
  void BeginObject() { Open('{'); }
  void EndObject() { Close('}'); }
  void BeginArray() { Open('['); }
  void EndArray() { Close(']'); }
  void Key(std::string_view key) {
    Next();
    rego::AppendJsonString(key, true, out_);
    out_ += ": ";
    after_key_ = true;
  }
  void String(std::string_view text) {
    Next();
    rego::AppendJsonString(text, true, out_);
  }
  void Int(int64_t n) { Plain(std::to_string(n)); }
  void Bool(bool b) { Plain(b ? "true" : "false"); }
  void Value(const rego::Value& v) {
    Next();
    rego::AppendJson(v, {.prefix = std::string(depth_ * 2, ' '), .indent = "  ", .pretty = true}, out_);
  }
  // A number's text, or other JSON on one line.
  void Plain(std::string_view json) {
    Next();
    out_ += json;
  }
  void Member(std::string_view key, std::string_view text) {
    Key(key);
    String(text);
  }
  void Member(std::string_view key, int64_t n) {
    Key(key);
    Int(n);
  }
  std::string Take() { return std::move(out_); }

 private:
  void Open(char c) {
    Next();
    out_ += c;
    ++depth_;
    empty_ = true;
  }
  void Close(char c) {
    --depth_;
    if (!empty_) Line();
    out_ += c;
    empty_ = false;
  }
  void Next() {
    if (!after_key_ && depth_ > 0) {
      if (!empty_) out_ += ',';
      Line();
    }
    after_key_ = empty_ = false;
  }
  void Line() {
    out_ += '\n';
    out_.append(depth_ * 2, ' ');
  }
  std::string out_;
  size_t depth_ = 0;
  bool empty_ = true;
  bool after_key_ = false;
};

}  // namespace hexr::policy
