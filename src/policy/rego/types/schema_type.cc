#include "policy/rego/types/schema_type.h"

#include <algorithm>
#include <set>

#include "base/limits/rego.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

class SchemaReader {
 public:
  SchemaReader(TypePool& pool, const Value& root) : pool_(pool), root_(root) {}

  Result<const Type*> Read(const Value& schema) {
    if (!schema.is_object() || depth_ >= limits::kMaxRegoTypeDepth) return pool_.Any();
    ++depth_;
    auto type = ReadObject(*schema.obj);
    --depth_;
    return type;
  }

 private:
  Result<const Type*> ReadObject(const Obj& o) {
    if (const std::string ref(TextOf(o, "$ref")); !ref.empty()) return Referred(ref);
    if (const Value any = Get(o, "anyOf"); any.is_array() && any.arr->size > 0) {
      const Type* type = nullptr;
      for (const Value& s : any.arr->view()) {
        ASSIGN_OR_RETURN(const Type* one, Read(s));
        type = pool_.Or(type, one);
      }
      return type;
    }
    if (const Value all = Get(o, "allOf"); all.is_array() && all.arr->size > 0) return AllOf(o, all);
    std::vector<std::string_view> names;
    const Value type = Get(o, "type");
    for (const Value& t : type.is_array() ? type.arr->view() : std::span<const Value>(&type, 1)) {
      if (t.is_string()) names.push_back(t.text());
    }
    if (names.empty() && Get(o, "properties").is_object()) names.emplace_back("object");
    if (names.empty() && Get(o, "items").defined()) names.emplace_back("array");
    const Type* out = nullptr;
    for (std::string_view name : names) {
      ASSIGN_OR_RETURN(const Type* one, Named(name, o));
      out = pool_.Or(out, one);
    }
    return out == nullptr ? pool_.Any() : out;
  }

  Result<const Type*> Referred(const std::string& ref) {
    const Value target = ResolvePointer(root_, ref);
    if (!target.defined()) return InvalidArgument("schema: nothing is at $ref \"" + ref + "\"");
    if (!open_.insert(ref).second) return pool_.Any();
    auto type = Read(target);
    open_.erase(ref);
    return type;
  }

  Result<const Type*> Named(std::string_view name, const Obj& o) {
    if (name == "null") return pool_.Null();
    if (name == "boolean") return pool_.Bool();
    if (name == "string") return pool_.String();
    if (name == "integer" || name == "number") return pool_.Number();
    if (name == "array") return ArrayOf(o);
    if (name == "object") return ObjectOf(o);
    return pool_.Any();
  }

  Result<const Type*> ArrayOf(const Obj& o) {
    const Value items = Get(o, "items");
    if (!items.is_array()) {
      ASSIGN_OR_RETURN(const Type* each, Read(items));
      return pool_.Array({}, each);
    }
    std::vector<const Type*> first;
    for (const Value& s : items.arr->view()) {
      ASSIGN_OR_RETURN(const Type* one, Read(s));
      first.push_back(one);
    }
    const Value more = Get(o, "additionalItems");
    if (more.is_false()) return pool_.Array(std::move(first), nullptr);
    ASSIGN_OR_RETURN(const Type* rest, Read(more));
    return pool_.Array(std::move(first), rest);
  }

  Result<const Type*> ObjectOf(const Obj& o) {
    const Value properties = Get(o, "properties"), more = Get(o, "additionalProperties");
    Type out{.kind = TypeKind::kObject};
    if (properties.is_object()) {
      for (uint32_t i = 0; i < properties.obj->size; ++i) {
        ASSIGN_OR_RETURN(const Type* one, Read(properties.obj->values[i]));
        out.members.emplace_back(ToRego(properties.obj->keys[i]), one);
      }
      std::sort(out.members.begin(), out.members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    if (out.members.empty() || more.is_true() || more.is_object() || Get(o, "patternProperties").is_object()) {
      out.key = pool_.String();
      if (more.is_object() && out.members.empty()) {
        ASSIGN_OR_RETURN(out.rest, Read(more));
      } else {
        out.rest = pool_.Any();
      }
    }
    return pool_.Make(std::move(out));
  }

  // Objects are put together; anything else has to be of one type.
  Result<const Type*> AllOf(const Obj& o, const Value& all) {
    std::vector<const Type*> parts;
    for (const Value& s : all.arr->view()) {
      ASSIGN_OR_RETURN(const Type* one, Read(s));
      if (!IsAny(one)) parts.push_back(one);
    }
    if (Get(o, "properties").is_object()) {
      ASSIGN_OR_RETURN(const Type* own, ObjectOf(o));
      parts.push_back(own);
    }
    if (parts.empty()) return pool_.Any();
    Type out = *parts[0];
    for (size_t i = 1; i < parts.size(); ++i) {
      if (parts[i]->kind != out.kind) {
        return InvalidArgument("schema: allOf of " + TypeText(parts[0]) + " and " + TypeText(parts[i]) +
                               ", which nothing fits");
      }
      if (out.kind != TypeKind::kObject) continue;
      for (const auto& member : parts[i]->members) {
        const auto same = std::find_if(out.members.begin(), out.members.end(),
                                       [&](const auto& m) { return m.first == member.first; });
        if (same == out.members.end()) out.members.push_back(member);
      }
      if (parts[i]->rest != nullptr && out.rest == nullptr) {
        out.key = parts[i]->key;
        out.rest = parts[i]->rest;
      }
    }
    std::sort(out.members.begin(), out.members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return pool_.Make(std::move(out));
  }

  TypePool& pool_;
  const Value& root_;
  size_t depth_ = 0;
  std::set<std::string> open_;  // references on the way to here
};

}  // namespace

Result<const Type*> TypeOfSchema(TypePool& pool, const Value& schema) {
  return SchemaReader(pool, schema).Read(schema);
}

}  // namespace hexr::rego
