#include "policy/rego/format/format.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"

namespace hexr::cli {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> out;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    out.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

// The lines between what both texts begin and end with: enough to see a layout change.
std::string Difference(const std::string& name, const std::string& before, const std::string& after) {
  const auto a = LinesOf(before), b = LinesOf(after);
  size_t head = 0, tail = 0;
  while (head < std::min(a.size(), b.size()) && a[head] == b[head]) ++head;
  while (tail < std::min(a.size(), b.size()) - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  auto range = [](size_t from, size_t count) { return std::to_string(from + 1) + "," + std::to_string(count); };
  std::string out = "--- " + name + "\n+++ " + name + "\n@@ -" + range(head, a.size() - head - tail) + " +" +
                    range(head, b.size() - head - tail) + " @@\n";
  for (size_t i = head; i < a.size() - tail; ++i) out += "-" + a[i] + "\n";
  for (size_t i = head; i < b.size() - tail; ++i) out += "+" + b[i] + "\n";
  return out;
}

Result<std::vector<std::string>> RegoFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code ec;
    if (!fs::is_directory(path, ec)) {
      out.push_back(path);
      continue;
    }
    for (auto it = fs::recursive_directory_iterator(path, ec); !ec && it != fs::recursive_directory_iterator();
         it.increment(ec)) {
      if (it->is_regular_file(ec) && it->path().extension() == ".rego") out.push_back(it->path().string());
    }
    if (ec) return NotFound("cannot read " + path + ": " + ec.message());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Replaces the file in one step: a reader sees the old text or the new one.
Status WriteFile(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".hexr-fmt";
  std::ofstream out(fresh, std::ios::binary);
  out << text;
  out.close();
  std::error_code ec;
  if (!out) return InvalidArgument("cannot write " + fresh);
  fs::permissions(fresh, fs::status(path, ec).permissions(), ec);
  fs::rename(fresh, path, ec);
  if (ec) return InvalidArgument("cannot write " + path + ": " + ec.message());
  return Ok();
}

}  // namespace

int RunPolicyFormat(const Invocation& in) {
  rego::FormatOptions options;
  if (in.Has("--v0-compatible")) options.source = options.target = rego::Version::kV0;
  if (in.Has("--rego-v1")) options.source = rego::Version::kV0;
  options.import_rego_v1 = in.Has("--rego-v1");
  options.drop_keyword_imports = in.Has("--drop-v0-imports");
  auto files = RegoFiles(in.All("PATH"));
  if (!files.ok()) return Fail(files.error());
  const bool from_stdin = in.All("PATH").empty();
  if (from_stdin) files->push_back("stdin");
  const bool json = in.output == Output::kJson;
  wire::JsonArray report;
  bool changed = false;
  int code = kYes;
  for (const std::string& file : *files) {
    auto text = from_stdin ? ReadStdin() : policy::ReadPolicyFile(file);
    if (!text.ok()) return Fail(text.error());
    auto formatted = rego::FormatSource(file, *text, options);
    if (!formatted.ok()) {
      PrintError(formatted.error());
      code = kUsage;
      continue;
    }
    const bool differs = *formatted != *text;
    changed = changed || differs;
    if (json) {
      wire::JsonObject one{{"file", file}, {"changed", differs}};
      if (!in.Has("--list") && !in.Has("--write")) one.Set("text", *formatted);
      report.push_back(std::move(one));
    } else if (in.Has("--list")) {
      if (differs) PrintLine(file);
    } else if (in.Has("--diff")) {
      if (differs) Print(Difference(file, *text, *formatted));
    } else if (!in.Has("--write")) {
      Print(*formatted);
    }
    if (in.Has("--write") && differs && !from_stdin) {
      if (Status s = WriteFile(file, *formatted); !s.ok()) return Fail(s.error());
    }
  }
  if (json) PrintJson(wire::JsonObject{{"files", std::move(report)}});
  if (code != kYes) return code;
  return in.Has("--fail") && changed ? kNo : kYes;
}

}  // namespace hexr::cli
