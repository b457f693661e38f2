#include "policy/documents.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/limits/rego.h"
#include "policy/bundle/bundle.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::policy {
namespace {

namespace fs = std::filesystem;
using rego::Value;

Result<Value> MergeValues(rego::Arena& arena, const Value& a, const Value& b, const std::string& path) {
  if (!a.defined()) return b;
  if (!a.is_object() || !b.is_object()) return InvalidArgument("two documents give a value for " + path);
  rego::ObjectBuilder out(arena, a.obj->size + b.obj->size);
  for (uint32_t i = 0; i < a.obj->size; ++i) out.Add(a.obj->keys[i], a.obj->values[i]);
  for (uint32_t i = 0; i < b.obj->size; ++i) {
    const Value& key = b.obj->keys[i];
    Value before = rego::Lookup(a, key);
    if (!before.defined()) {
      out.Add(key, b.obj->values[i]);
      continue;
    }
    ASSIGN_OR_RETURN(Value merged, MergeValues(arena, before, b.obj->values[i], path + "." + std::string(key.text())));
    out.Add(key, merged);
  }
  return out.Finish();
}

bool IsData(const fs::path& p) {
  return p.extension() == ".json" || p.extension() == ".yaml" || p.extension() == ".yml";
}

Status LoadFile(const fs::path& file, const std::vector<std::string>& at, Documents& out) {
  ASSIGN_OR_RETURN(std::string text, ReadPolicyFile(file.string()));
  if (file.extension() == ".rego") {
    out.sources.push_back({file.string(), std::move(text)});
    return Ok();
  }
  auto value = file.extension() == ".json" ? rego::ParseJson(*out.arena, text) : rego::ParseYaml(*out.arena, text);
  if (!value.ok()) return value.error().WithContext(file.string());
  Status merged = out.Merge(at, *value);
  return merged.ok() ? merged : merged.error().WithContext(file.string());
}

bool Ignored(const std::string& name, const LoadOptions& options) {
  return std::any_of(options.ignore.begin(), options.ignore.end(),
                     [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

Status LoadFolder(const fs::path& folder, const std::vector<std::string>& at, const LoadOptions& options,
                  Documents& out) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (auto it = fs::recursive_directory_iterator(folder, ec); !ec && it != fs::recursive_directory_iterator();
       it.increment(ec)) {
    if (Ignored(it->path().filename().string(), options)) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file(ec) && !it->is_symlink(ec)) {
      files.push_back(it->path());
    }
    if (files.size() > limits::kMaxPolicyFiles) return ResourceExhausted(folder.string() + ": too many files");
  }
  if (ec) return NotFound("cannot read " + folder.string() + ": " + ec.message());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    const bool named_data = name == "data.json" || name == "data.yaml" || name == "data.yml";
    const bool data = options.bundles ? named_data : IsData(file) && !name.ends_with(".signatures.json");
    if (file.extension() != ".rego" && !data) continue;
    std::vector<std::string> path = at;
    for (const auto& part : file.lexically_relative(folder).parent_path()) path.push_back(part.string());
    RETURN_IF_ERROR(LoadFile(file, path, out));
  }
  return Ok();
}

Status LoadBundle(const std::string& path, const std::vector<std::string>& at, Documents& out) {
  ASSIGN_OR_RETURN(auto files, ReadBundlePath(path));
  auto bundle = ParseBundle(std::move(files));
  if (!bundle.ok()) return bundle.error().WithContext(path);
  if (bundle->delta) return InvalidArgument(path + ": a delta is no whole bundle");
  for (rego::Source& s : bundle->documents.sources) {
    s.file = path + "/" + s.file;
    out.sources.push_back(std::move(s));
  }
  out.revision = bundle->manifest.revision;
  out.shared.push_back(bundle->documents.arena);
  return out.Merge(at, bundle->documents.data);
}

}  // namespace

Result<std::string> ReadPolicyFile(const std::string& path) {
  std::error_code ec;
  if (fs::is_directory(path, ec)) return InvalidArgument(path + " is a folder");
  if (fs::is_regular_file(path, ec) && fs::file_size(path, ec) > limits::kMaxPolicyFileBytes)
    return ResourceExhausted(path + ": too large to be a policy file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("cannot read " + path);
  std::string out;
  char block[1 << 16];
  while (in.read(block, sizeof block), in.gcount() > 0) {
    out.append(block, static_cast<size_t>(in.gcount()));
    if (out.size() > limits::kMaxPolicyFileBytes) return ResourceExhausted(path + ": too large to be a policy file");
  }
  return out;
}

Status Documents::Merge(const std::vector<std::string>& path, const Value& value) {
  Value placed = value;
  for (size_t i = path.size(); i-- > 0;) {
    rego::ObjectBuilder b(*arena, 1);
    b.Add(path[i], placed);
    placed = b.Finish();
  }
  if (!placed.is_object()) return InvalidArgument("data is an object");
  ASSIGN_OR_RETURN(data, MergeValues(*arena, data, placed, "data"));
  return Ok();
}

Result<Documents> LoadPaths(const std::vector<std::string>& paths, const LoadOptions& options) {
  Documents out;
  out.data = rego::EmptyObject();
  for (std::string path : paths) {
    std::vector<std::string> at;
    if (path.starts_with("file://")) {
      path.erase(0, 7);
    } else if (size_t colon = path.find(':'); colon != std::string::npos && !fs::exists(path)) {
      std::string prefix = path.substr(0, colon);
      path.erase(0, colon + 1);
      for (size_t start = 0; start <= prefix.size();) {
        const size_t dot = std::min(prefix.find('.', start), prefix.size());
        if (prefix.substr(start, dot - start) != "data" || start > 0) at.push_back(prefix.substr(start, dot - start));
        start = dot + 1;
      }
    }
    std::error_code ec;
    const fs::path p(path);
    if (path.ends_with(".tar.gz") || path.ends_with(".tgz") || (options.bundles && fs::exists(p / ".manifest", ec))) {
      RETURN_IF_ERROR(LoadBundle(path, at, out));
    } else if (fs::is_directory(p, ec)) {
      RETURN_IF_ERROR(LoadFolder(p, at, options, out));
    } else if (!fs::exists(p, ec)) {
      return NotFound(path + ": no such file or folder");
    } else if (p.extension() == ".rego" || IsData(p)) {
      RETURN_IF_ERROR(LoadFile(p, at, out));
    } else {
      return InvalidArgument(path + ": neither .rego, .json, .yaml nor a folder");
    }
  }
  return out;
}

}  // namespace hexr::policy
