// The layout of a module; format.cc has statements, format_term.cc literals and terms. False from a writing function:
// a comment stands where the layout has no place for it; the innermost term that can is then copied as it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/rego/format/format.h"
#include "policy/rego/format/writer.h"

namespace hexr::rego {

class Formatter {
 public:
  Formatter(Module& module, std::string_view source, const FormatOptions& options);
  std::string Run();

 private:
  struct Item {
    const Term* key = nullptr;  // of an object
    const Term* value = nullptr;
    const Location& at() const { return key != nullptr ? key->at : value->at; }
  };

  // format.cc
  void WritePackage();
  void WriteImports(const std::vector<const Import*>& imports);
  void WriteRules(const std::vector<Rule*>& rules);
  [[nodiscard]] bool WriteRule(Rule& rule, bool is_else);
  [[nodiscard]] bool WriteElse(Rule& rule);
  [[nodiscard]] bool WriteHead(const Rule& rule, bool is_else, bool constant);
  bool Groupable(const Rule& rule) const;
  bool SaysIf(const Head& head) const;

  // format_term.cc
  [[nodiscard]] bool WriteBody(const Body& body);
  [[nodiscard]] bool WriteExpr(const Expr& e);
  [[nodiscard]] bool WriteWith(const With& with, bool indented);
  [[nodiscard]] bool WriteSome(const Expr& e);
  [[nodiscard]] bool WriteEvery(const Expr& e);
  [[nodiscard]] bool WriteNot(const Expr& e);
  [[nodiscard]] bool WriteCallExpr(const Expr& e);
  [[nodiscard]] bool WriteCall(const std::vector<TermPtr>& items);
  [[nodiscard]] bool WriteIn(const std::vector<TermPtr>& items, bool parens);
  [[nodiscard]] bool WriteTerm(const Term& t);
  [[nodiscard]] bool WriteTermIn(bool parens, const Term& t);
  [[nodiscard]] bool WriteValue(bool parens, const Term& t);
  [[nodiscard]] bool WriteRef(const Term& ref);
  [[nodiscard]] bool WriteTemplate(const Term& t);
  [[nodiscard]] bool WriteString(const Term& t);
  [[nodiscard]] bool WriteComprehension(const Term& t);
  [[nodiscard]] bool WriteInnerBody(char open, char close, const Body& body, uint32_t row, const Location& whole);
  [[nodiscard]] bool WriteItems(std::vector<Item> items, uint32_t first_row, uint32_t closing_row);
  [[nodiscard]] bool WriteItemLine(const std::vector<Item>& line);
  std::string_view TextOf(const Location& at) const { return source_.substr(at.begin, at.end - at.begin); }
  bool StartsWithParen(const Term& t) const { return TextOf(t.at).starts_with("("); }

  Module& module_;
  std::string_view source_;
  FormatOptions options_;
  LayoutWriter w_;
  bool contains_ = true, ifs_ = true, v1_ = true;
  bool ref_heads_ = false;  // some head needs the long spelling, so all get it
};

}  // namespace hexr::rego
