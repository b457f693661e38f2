// rego_conformance [--v0] [--failures] DIR: runs a folder of cases; the last line is "N passed, M failed".
#include <cstdio>
#include <string>

#include "policy/rego/conformance/runner.h"

int main(int argc, char** argv) {
  std::string folder;
  auto version = hexr::rego::Version::kV1;
  bool show = false;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (arg == "--v0")
      version = hexr::rego::Version::kV0;
    else if (arg == "--failures")
      show = true;
    else
      folder = arg;
  }
  if (folder.empty()) {
    std::fprintf(stderr, "usage: rego_conformance [--v0] [--failures] DIR\n");
    return 2;
  }
  hexr::SystemClock clock;
  auto report = hexr::rego::RunFolder(folder, version, clock);
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.error().ToString().c_str());
    return 2;
  }
  if (show) {
    for (const auto& f : report->failures) std::printf("FAIL %s: %s\n", f.note.c_str(), f.why.c_str());
  }
  std::printf("%zu passed, %zu failed\n", report->passed, report->failures.size());
  return report->failures.empty() ? 0 : 1;
}
