// Rego about Rego: parsing a module. (rego.metadata.* are constants by the time code runs; called through `with` they
// have no rule to speak of.)
#include "policy/rego/builtins/support.h"
#include "policy/rego/syntax/ast_json.h"
#include "policy/rego/syntax/parser.h"

namespace hexr::rego {
namespace {

Value ParseModuleText(Call& c) {
  std::string_view file, text;
  if (!TakeString(c, 0, file) || !TakeString(c, 1, text)) return Value();
  std::vector<Diagnostic> errors, ignored;
  auto module = ParseModule(file, text, {Version::kV1, 0}, errors);
  if (!module) module = ParseModule(file, text, {Version::kV0, 0}, ignored);
  return module ? ModuleJson(c.arena, *module) : c.Fail(FormatDiagnostics(errors));
}
Value NoMetadataChain(Call&) { return EmptyArray(); }
Value MetadataRule(Call&) { return EmptyObject(); }

}  // namespace

std::span<const Builtin> RegoBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "rego.parse_module", .arity = 2, .fn = ParseModuleText},
      {.name = "rego.metadata.chain", .arity = 0, .fn = NoMetadataChain},
      {.name = "rego.metadata.rule", .arity = 0, .fn = MetadataRule},
  };
  return kTable;
}

}  // namespace hexr::rego
