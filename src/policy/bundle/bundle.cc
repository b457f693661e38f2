#include "policy/bundle/bundle.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/bytes.h"
#include "crypto/digest.h"
#include "policy/bundle/signature.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::policy {
namespace {

using rego::Value;

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> out;
  for (size_t start = 0; start < path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    if (slash > start) out.emplace_back(path.substr(start, slash - start));
    start = slash + 1;
  }
  return out;
}

std::string Trimmed(std::string_view root) {
  while (root.starts_with('/')) root.remove_prefix(1);
  while (root.ends_with('/')) root.remove_suffix(1);
  return std::string(root);
}

// "a" covers "a/b" and itself, not "ab".
bool Covers(std::string_view root, std::string_view path) {
  return root.empty() || path == root || (path.starts_with(root) && path[root.size()] == '/');
}

bool Permitted(const Manifest& m, std::string_view path) {
  return std::any_of(m.roots.begin(), m.roots.end(), [&](const std::string& r) { return Covers(r, path); });
}

std::string RootsText(const Manifest& m) {
  std::string out = "[";
  for (const auto& r : m.roots) out += (out.size() > 1 ? " " : "") + r;
  return out + "]";
}

Result<rego::Version> VersionFrom(const Value& v) {
  if (v.kind == rego::Kind::kInt && v.i == 0) return rego::Version::kV0;
  if (v.kind == rego::Kind::kInt && v.i == 1) return rego::Version::kV1;
  return InvalidArgument(".manifest: rego_version is 0 or 1");
}

// Every path with a value that is no object, and every empty object, lies within the roots.
Status CheckData(const Manifest& m, const Value& v, const std::string& path) {
  if (!path.empty() && Permitted(m, path)) return Ok();
  if (!v.is_object() || v.obj->size == 0) {
    if (path.empty()) return Ok();
    return InvalidArgument("manifest roots " + RootsText(m) + " do not permit data at path '/" + path + "'");
  }
  for (uint32_t i = 0; i < v.obj->size; ++i) {
    const std::string key(v.obj->keys[i].text());
    RETURN_IF_ERROR(CheckData(m, v.obj->values[i], path.empty() ? key : path + "/" + key));
  }
  return Ok();
}

Status CheckModules(const Bundle& b) {
  for (const rego::Source& s : b.documents.sources) {
    std::vector<rego::Diagnostic> errors;
    auto m = rego::ParseModule(s.file, s.text, {s.version.value_or(b.manifest.version), 0}, errors);
    if (!m) return InvalidArgument(rego::FormatDiagnostics(errors));
    std::string path;
    for (size_t i = 1; i < m->package->items.size(); ++i) path += (i > 1 ? "/" : "") + m->package->items[i]->text;
    if (!Permitted(b.manifest, path))
      return InvalidArgument("manifest roots " + RootsText(b.manifest) + " do not permit '" + "package " +
                             rego::RefText(*m->package).substr(5) + "' in module '" + s.file + "'");
  }
  return Ok();
}

Result<std::vector<PatchStep>> ParsePatch(rego::Arena& arena, std::string_view json) {
  ASSIGN_OR_RETURN(const Value document, rego::ParseJson(arena, json));
  const Value data = document.is_object() ? rego::Lookup(document, Value::String(arena, "data")) : Value();
  if (!data.is_array()) return InvalidArgument("patch.json: 'data' is a list of steps");
  std::vector<PatchStep> out;
  for (const Value& step : data.arr->view()) {
    if (!step.is_object()) return InvalidArgument("patch.json: a step is an object");
    const Value op = rego::Lookup(step, Value::String(arena, "op")),
                path = rego::Lookup(step, Value::String(arena, "path"));
    if (!op.is_string() || !path.is_string()) return InvalidArgument("patch.json: a step has 'op' and 'path'");
    PatchStep s;
    if (op.text() == "upsert")
      s.op = PatchStep::Op::kUpsert;
    else if (op.text() == "replace")
      s.op = PatchStep::Op::kReplace;
    else if (op.text() == "remove")
      s.op = PatchStep::Op::kRemove;
    else
      return InvalidArgument("patch.json: op '" + std::string(op.text()) + "' is not upsert, replace or remove");
    for (std::string part : Split(path.text())) {
      // RFC 6901: ~1 is a slash and ~0 a tilde.
      for (size_t at = 0; (at = part.find("~1", at)) != std::string::npos; ++at) part.replace(at, 2, "/");
      for (size_t at = 0; (at = part.find("~0", at)) != std::string::npos; ++at) part.replace(at, 2, "~");
      s.path.push_back(std::move(part));
    }
    s.value = rego::Lookup(step, Value::String(arena, "value"));
    if (s.op != PatchStep::Op::kRemove && !s.value.defined())
      return InvalidArgument("patch.json: a step has no 'value'");
    out.push_back(std::move(s));
  }
  return out;
}

class Patcher {
 public:
  Patcher(rego::Arena& arena, const PatchStep& step) : arena_(arena), step_(step) {}

  Result<Value> At(const Value& v, size_t depth) {
    if (depth == step_.path.size()) return step_.value;
    const std::string& name = step_.path[depth];
    const bool last = depth + 1 == step_.path.size();
    if (v.is_array()) return Element(v, name, depth, last);
    if (v.defined() && !v.is_object()) return Missing();
    const Value key = Value::String(arena_, name);
    const Value below = v.defined() ? rego::Lookup(v, key) : Value();
    if (!below.defined() && step_.op != PatchStep::Op::kUpsert) return Missing();
    Value changed;
    if (!last || step_.op != PatchStep::Op::kRemove) {
      ASSIGN_OR_RETURN(changed, At(below, depth + 1));
    }
    rego::ObjectBuilder out(arena_, (v.defined() ? v.obj->size : 0) + 1);
    for (uint32_t i = 0; v.defined() && i < v.obj->size; ++i) {
      if (!rego::Equal(v.obj->keys[i], key)) out.Add(v.obj->keys[i], v.obj->values[i]);
    }
    if (changed.defined()) out.Add(key, changed);
    return out.Finish();
  }

 private:
  Error Missing() const {
    std::string path;
    for (const auto& p : step_.path) path += "/" + p;
    return InvalidArgument("patch.json: there is nothing at " + path);
  }

  Result<Value> Element(const Value& v, const std::string& name, size_t depth, bool last) {
    size_t at = 0;
    const bool append = name == "-" && last && step_.op == PatchStep::Op::kUpsert;
    for (char c : name) {
      if (append) break;
      if (c < '0' || c > '9' || at > v.arr->size) return Missing();
      at = at * 10 + static_cast<size_t>(c - '0');
    }
    if (!append && at >= v.arr->size) return Missing();
    rego::ArrayBuilder out(arena_, v.arr->size + 1);
    for (size_t i = 0; i < v.arr->size; ++i) {
      if (append || i != at) {
        out.Add(v.arr->items[i]);
      } else if (!last || step_.op != PatchStep::Op::kRemove) {
        ASSIGN_OR_RETURN(const Value changed, At(v.arr->items[i], depth + 1));
        out.Add(changed);
      }
    }
    if (append) out.Add(step_.value);
    return out.Finish();
  }

  rego::Arena& arena_;
  const PatchStep& step_;
};

}  // namespace

Result<Manifest> ParseManifest(std::string_view json) {
  rego::Arena arena;
  auto document = rego::ParseJson(arena, json);
  if (!document.ok()) return document.error().WithContext(".manifest");
  if (!document->is_object()) return InvalidArgument(".manifest: not an object");
  Manifest m;
  for (uint32_t i = 0; i < document->obj->size; ++i) {
    const std::string_view key = document->obj->keys[i].text();
    const Value& v = document->obj->values[i];
    if (key == "revision") {
      if (!v.is_string()) return InvalidArgument(".manifest: revision is a string");
      m.revision = v.text();
    } else if (key == "roots" && v.kind != rego::Kind::kNull) {
      if (!v.is_array()) return InvalidArgument(".manifest: roots is a list of paths");
      m.roots.clear();
      for (const Value& r : v.arr->view()) {
        if (!r.is_string()) return InvalidArgument(".manifest: roots is a list of paths");
        m.roots.push_back(Trimmed(r.text()));
      }
    } else if (key == "rego_version") {
      ASSIGN_OR_RETURN(m.version, VersionFrom(v));
    } else if (key == "file_rego_versions" && v.is_object()) {
      for (uint32_t k = 0; k < v.obj->size; ++k) {
        ASSIGN_OR_RETURN(m.file_versions[Trimmed(v.obj->keys[k].text())], VersionFrom(v.obj->values[k]));
      }
    } else if (key == "metadata" && v.is_object()) {
      m.metadata_json = rego::ToJson(v);
    }
  }
  for (size_t i = 0; i < m.roots.size(); ++i) {
    for (size_t k = 0; k < m.roots.size(); ++k) {
      if (i != k && Covers(m.roots[i], m.roots[k]))
        return InvalidArgument(".manifest: roots '" + m.roots[i] + "' and '" + m.roots[k] + "' overlap");
    }
  }
  return m;
}

std::string ManifestJson(const Manifest& m) {
  std::string out = "{\"revision\":";
  rego::AppendJsonString(m.revision, true, out);
  out += ",\"roots\":[";
  for (size_t i = 0; i < m.roots.size(); ++i) {
    if (i > 0) out += ',';
    rego::AppendJsonString(m.roots[i], true, out);
  }
  out += "],\"rego_version\":" + std::string(m.version == rego::Version::kV1 ? "1" : "0");
  if (!m.metadata_json.empty()) out += ",\"metadata\":" + m.metadata_json;
  return out + "}\n";
}

Result<Bundle> ParseBundle(std::vector<BundleFile> files, rego::Version version) {
  Bundle b;
  b.manifest.version = version;
  std::sort(files.begin(), files.end(), [](const BundleFile& x, const BundleFile& y) { return x.path < y.path; });
  crypto::Sha256Hasher hash;
  for (const BundleFile& f : files) {
    hash.Update(f.path).Update(std::string_view("\0", 1)).Update(HexEncode(crypto::Sha256(f.bytes)));
    if (f.path == ".manifest") {
      ASSIGN_OR_RETURN(b.manifest, ParseManifest(f.bytes));
    }
  }
  b.digest = HexEncode(hash.Finish());
  b.documents.revision = b.manifest.revision;
  b.documents.data = rego::EmptyObject();
  rego::Arena& arena = *b.documents.arena;
  for (BundleFile& f : files) {
    const size_t slash = f.path.rfind('/');
    const std::string name = f.path.substr(slash + 1);
    if (f.path == "patch.json") {
      b.delta = true;
      ASSIGN_OR_RETURN(b.patch, ParsePatch(arena, f.bytes));
    } else if (name.ends_with(".rego")) {
      rego::Source s{f.path, std::move(f.bytes), b.manifest.version};
      for (const auto& [pattern, v] : b.manifest.file_versions) {
        if (fnmatch(pattern.c_str(), f.path.c_str(), 0) == 0) s.version = v;
      }
      b.documents.sources.push_back(std::move(s));
    } else if (name == "data.json" || name == "data.yaml" || name == "data.yml") {
      auto v = name == "data.json" ? rego::ParseJson(arena, f.bytes) : rego::ParseYaml(arena, f.bytes);
      if (!v.ok()) return v.error().WithContext(f.path);
      Status merged = b.documents.Merge(Split(f.path.substr(0, slash == std::string::npos ? 0 : slash)), *v);
      if (!merged.ok()) return merged.error().WithContext(f.path);
    }
  }
  if (b.delta && (!b.documents.sources.empty() || b.documents.data.obj->size > 0))
    return InvalidArgument("a bundle with patch.json holds no policies and no data");
  RETURN_IF_ERROR(CheckData(b.manifest, b.documents.data, ""));
  RETURN_IF_ERROR(CheckModules(b));
  return b;
}

Status CheckRootsApart(const std::vector<const Manifest*>& manifests) {
  for (size_t i = 0; i < manifests.size(); ++i) {
    for (size_t k = i + 1; k < manifests.size(); ++k) {
      for (const std::string& a : manifests[i]->roots) {
        for (const std::string& b : manifests[k]->roots) {
          if (Covers(a, b) || Covers(b, a))
            return InvalidArgument("two bundles have the roots '" + a + "' and '" + b + "', which overlap");
        }
      }
    }
  }
  return Ok();
}

Result<Value> ApplyPatch(rego::Arena& arena, const Value& base, const Bundle& delta) {
  Value v = base;
  for (const PatchStep& step : delta.patch) {
    std::string path;
    for (const auto& p : step.path) path += (path.empty() ? "" : "/") + p;
    if (!Permitted(delta.manifest, path))
      return InvalidArgument("manifest roots " + RootsText(delta.manifest) + " do not permit a patch of '/" + path +
                             "'");
    if (step.path.empty() && !step.value.is_object()) return InvalidArgument("data is an object");
    ASSIGN_OR_RETURN(v, Patcher(arena, step).At(v, 0));
  }
  return v;
}

}  // namespace hexr::policy
