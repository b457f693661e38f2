// Metadata blocks: comments that start with "# METADATA" and hold YAML, attached to the statement below them.
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "policy/rego/syntax/parser.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::rego {
namespace {

constexpr std::string_view kKnown[] = {
    "scope",   "title",   "description", "entrypoint", "organizations", "related_resources",
    "authors", "schemas", "custom",      "compile",    "labels"};

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

struct Block {
  std::string yaml;
  Location at;
  uint32_t last_row = 0;
};

std::vector<Block> FindBlocks(const std::vector<Comment>& comments) {
  std::vector<Block> out;
  bool open = false;
  for (const Comment& c : comments) {
    if (Trim(c.text) == "METADATA") {
      out.push_back({"", c.at, c.at.row});
      open = true;
    } else if (open && c.at.row == out.back().last_row + 1 && c.at.col == out.back().at.col) {
      out.back().yaml += c.text + "\n";
      out.back().last_row = c.at.row;
    } else {
      open = false;
    }
  }
  return out;
}

// "Name <mail>" as {name, email}; objects pass.
Value Author(Arena& arena, const Value& v) {
  if (!v.is_string()) return v;
  std::string_view t = Trim(v.text());
  ObjectBuilder b(arena);
  size_t open = t.rfind('<');
  std::string_view name = t, mail;
  if (open != std::string_view::npos && t.ends_with('>')) {
    mail = t.substr(open + 1, t.size() - open - 2);
    name = Trim(t.substr(0, open));
  }
  if (!name.empty()) b.Add("name", Value::String(arena, name));
  if (!mail.empty()) b.Add("email", Value::String(arena, mail));
  return b.Finish();
}

Value Normalise(Arena& arena, const Value& doc, std::string_view scope) {
  ObjectBuilder b(arena);
  for (uint32_t i = 0; i < doc.obj->size; ++i) {
    std::string_view key = doc.obj->keys[i].text();
    Value v = doc.obj->values[i];
    if (key == "scope" || !v.defined() || v.kind == Kind::kNull) continue;
    if ((key == "authors" || key == "related_resources") && v.is_array()) {
      ArrayBuilder list(arena);
      for (const Value& x : v.arr->view()) {
        if (key == "authors") {
          list.Add(Author(arena, x));
        } else if (x.is_string()) {
          ObjectBuilder r(arena);
          r.Add("ref", x);
          list.Add(r.Finish());
        } else {
          list.Add(x);
        }
      }
      v = list.Finish();
    }
    b.Add(key, v);
  }
  b.Add("scope", Value::String(arena, scope));
  return b.Finish();
}

}  // namespace

void AttachAnnotations(Module& module, std::vector<Diagnostic>& errors) {
  auto fail = [&](Location at, std::string why) {
    errors.push_back({"rego_parse_error", std::move(why), at, module.file});
  };
  for (const Block& block : FindBlocks(module.comments)) {
    Arena arena;
    auto doc = ParseYaml(arena, block.yaml);
    if (!doc.ok()) {
      fail(block.at, "yaml: " + doc.error().message());
      continue;
    }
    if (!doc->is_object()) {
      fail(block.at, "expected METADATA block, found whitespace");
      continue;
    }
    std::string scope;
    if (int64_t at = FindText(*doc->obj, "scope"); at >= 0 && doc->obj->values[at].is_string())
      scope = doc->obj->values[at].text();
    for (uint32_t i = 0; i < doc->obj->size; ++i) {
      const Value& key = doc->obj->keys[i];
      if (!key.is_string() || std::find(std::begin(kKnown), std::end(kKnown), key.text()) == std::end(kKnown)) {
        fail(block.at, "invalid annotation attribute: " + ToRego(key));
      }
    }
    // The statement below: the package when it follows, else the first rule after the block.
    Rule* rule = nullptr;
    bool package = module.package->at.row > block.last_row;
    if (!package) {
      for (auto& r : module.rules) {
        if (r->at.row > block.last_row) {
          rule = r.get();
          break;
        }
      }
      if (rule == nullptr) {
        fail(block.at, "annotation has no statement below it");
        continue;
      }
    }
    if (scope.empty()) scope = package ? "package" : FindText(*doc->obj, "entrypoint") >= 0 ? "document" : "rule";
    if (package != (scope == "package" || scope == "subpackages")) {
      fail(block.at, "annotation scope '" + scope + "' must be applied to " + (package ? "rule" : "package"));
      continue;
    }
    Annotations a;
    a.scope = scope;
    a.json = ToJson(Normalise(arena, *doc, scope));
    a.at = block.at;
    int index = static_cast<int>(module.annotations.size());
    module.annotations.push_back(std::move(a));
    if (package)
      module.package_annotations.push_back(index);
    else
      rule->annotations.push_back(index);
  }
}

}  // namespace hexr::rego
