// Operand checks shared by the families: each returns false after failing the call the way OPA words it.
#pragma once

#include <string>
#include <string_view>

#include "policy/rego/builtins/registry.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {

bool TakeString(Call& c, size_t i, std::string_view& out);
bool TakeNumber(Call& c, size_t i, Value& out);
// Within int64 and whole.
bool TakeInt(Call& c, size_t i, int64_t& out);
// Whole, of any size.
bool TakeWhole(Call& c, size_t i, Value& out);
bool TakeArray(Call& c, size_t i, const Arr*& out);
bool TakeObject(Call& c, size_t i, const Obj*& out);
bool TakeSet(Call& c, size_t i, const Set*& out);
bool TakeBool(Call& c, size_t i, bool& out);
// "operand N must be {array|set} of {want}s but got {array|set} containing {kind}".
Value WrongElement(Call& c, size_t i, const Value& element, std::string_view want);
// The elements of an array or set, else an empty span and ok = false.
std::span<const Value> Elements(const Value& v, bool& ok);
// Value of an object under a string key; undefined when absent.
Value Get(const Obj& o, std::string_view key);
// Text under a key; "" when there is none.
std::string_view TextOf(const Obj& o, std::string_view key);
// What a $ref such as "#/a/b~1c" stands for within its root schema; undefined when nothing.
Value ResolvePointer(const Value& root, std::string_view ref);

// The families. Each table is constant.
std::span<const Builtin> CoreBuiltins();
std::span<const Builtin> NumberBuiltins();
std::span<const Builtin> ObjectBuiltins();
std::span<const Builtin> JsonPatchBuiltins();
std::span<const Builtin> StringBuiltins();
std::span<const Builtin> EncodingBuiltins();
std::span<const Builtin> RegexBuiltins();
std::span<const Builtin> GlobBuiltins();
std::span<const Builtin> TimeBuiltins();
std::span<const Builtin> NetBuiltins();
std::span<const Builtin> UnitBuiltins();
std::span<const Builtin> GraphBuiltins();
std::span<const Builtin> CryptoBuiltins();
std::span<const Builtin> X509Builtins();
std::span<const Builtin> JwtBuiltins();
std::span<const Builtin> SchemaBuiltins();
std::span<const Builtin> GraphqlBuiltins();
std::span<const Builtin> RegoBuiltins();
std::span<const Builtin> TemplateBuiltins();
std::span<const Builtin> UriBuiltins();
std::span<const Builtin> AwsBuiltins();
std::span<const Builtin> HostBuiltins();

}  // namespace hexr::rego
