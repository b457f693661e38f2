#include "policy/rego/builtins/registry.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "policy/rego/builtins/regex_cache.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

struct Table {
  std::vector<const Builtin*> all;
  std::unordered_map<std::string_view, int> by_name;

  Table() {
    for (auto family : {CoreBuiltins(),     NumberBuiltins(),  ObjectBuiltins(), JsonPatchBuiltins(), StringBuiltins(),
                        EncodingBuiltins(), RegexBuiltins(),   GlobBuiltins(),   TimeBuiltins(),      NetBuiltins(),
                        UnitBuiltins(),     GraphBuiltins(),   CryptoBuiltins(), X509Builtins(),      JwtBuiltins(),
                        SchemaBuiltins(),   GraphqlBuiltins(), RegoBuiltins(),   TemplateBuiltins(),  UriBuiltins(),
                        AwsBuiltins(),      HostBuiltins()}) {
      for (const Builtin& b : family) {
        by_name.emplace(b.name, static_cast<int>(all.size()));
        all.push_back(&b);
      }
    }
  }
};

const Table& TheTable() {
  static const Table table;
  return table;
}

}  // namespace

Services::Services(const Clock& c, Random& r) : clock(c), random(r), regexes(std::make_unique<RegexCache>()) {}
Services::~Services() = default;

void Services::BeginQuery() {
  now_ns = 0;
  remembered.clear();
}

const Builtin* FindBuiltin(std::string_view name) {
  auto it = TheTable().by_name.find(name);
  return it == TheTable().by_name.end() ? nullptr : TheTable().all[static_cast<size_t>(it->second)];
}

int BuiltinId(const Builtin* b) { return TheTable().by_name.at(b->name); }

std::span<const Builtin* const> AllBuiltins() { return TheTable().all; }

Value Call::Error(std::string code, std::string message) {
  if (code_.empty()) {
    code_ = std::move(code);
    message_ = std::move(message);
  }
  return Value();
}
Value Call::Fail(std::string message) { return Error("eval_builtin_error", std::move(message)); }
Value Call::TypeError(std::string message) { return Error("eval_type_error", std::move(message)); }
Value Call::WrongType(size_t operand, std::string_view want) {
  return TypeError("operand " + std::to_string(operand + 1) + " must be " + std::string(want) + " but got " +
                   std::string(KindName(args[operand])));
}
bool Call::Reserve(size_t bytes) {
  if (services.memory_limit == 0 || arena.used() + bytes <= services.memory_limit) return true;
  Error("eval_cancel_error", "memory budget exceeded");
  set_halts();
  return false;
}

size_t Call::Room() const {
  if (services.memory_limit == 0) return SIZE_MAX;
  return services.memory_limit - std::min(services.memory_limit, arena.used());
}

bool Call::Spend(uint64_t steps) {
  uint64_t* left = services.steps_left;
  if (left == nullptr) return true;
  if (steps <= *left) {
    *left -= steps;
    return true;
  }
  *left = 0;
  Error("eval_cancel_error", "step budget exceeded");
  set_halts();
  return false;
}

bool TakeString(Call& c, size_t i, std::string_view& out) {
  if (!c[i].is_string()) {
    c.WrongType(i, "string");
    return false;
  }
  out = c[i].text();
  return true;
}
bool TakeNumber(Call& c, size_t i, Value& out) {
  if (!c[i].is_number()) {
    c.WrongType(i, "number");
    return false;
  }
  out = c[i];
  return true;
}
bool TakeWhole(Call& c, size_t i, Value& out) {
  if (!TakeNumber(c, i, out)) return false;
  if (IsInteger(out)) return true;
  c.TypeError("operand " + std::to_string(i + 1) + " must be integer number but got floating-point number");
  return false;
}
bool TakeInt(Call& c, size_t i, int64_t& out) {
  Value v;
  if (!TakeWhole(c, i, v)) return false;
  auto n = ToInt64(v);
  if (!n) {
    c.TypeError("operand " + std::to_string(i + 1) + " must be integer number but got floating-point number");
    return false;
  }
  out = *n;
  return true;
}
bool TakeArray(Call& c, size_t i, const Arr*& out) {
  if (!c[i].is_array()) {
    c.WrongType(i, "array");
    return false;
  }
  out = c[i].arr;
  return true;
}
bool TakeObject(Call& c, size_t i, const Obj*& out) {
  if (!c[i].is_object()) {
    c.WrongType(i, "object");
    return false;
  }
  out = c[i].obj;
  return true;
}
bool TakeSet(Call& c, size_t i, const Set*& out) {
  if (!c[i].is_set()) {
    c.WrongType(i, "set");
    return false;
  }
  out = c[i].set;
  return true;
}
bool TakeBool(Call& c, size_t i, bool& out) {
  if (c[i].kind != Kind::kBool) {
    c.WrongType(i, "boolean");
    return false;
  }
  out = c[i].is_true();
  return true;
}

Value WrongElement(Call& c, size_t i, const Value& element, std::string_view want) {
  std::string holder(KindName(c[i]));
  return c.TypeError("operand " + std::to_string(i + 1) + " must be " + holder + " of " + std::string(want) +
                     "s but got " + holder + " containing " + std::string(KindName(element)));
}

std::span<const Value> Elements(const Value& v, bool& ok) {
  ok = v.is_array() || v.is_set();
  if (v.is_array()) return v.arr->view();
  if (v.is_set()) return v.set->view();
  return {};
}

Value Get(const Obj& o, std::string_view key) {
  int64_t at = FindText(o, key);
  return at < 0 ? Value() : o.values[at];
}

std::string_view TextOf(const Obj& o, std::string_view key) {
  Value v = Get(o, key);
  return v.is_string() ? v.text() : std::string_view();
}

}  // namespace hexr::rego
