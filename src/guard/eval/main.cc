// guard_eval: the evaluation on its own, without a node. `hexr guard eval` calls the same library.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "guard/eval/eval.h"

int main(int argc, char** argv) {
  std::string task = "injection";
  std::string cache;
  std::string predictions;
  std::vector<hexr::guard::EvalFile> files;
  hexr::guard::EngineOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const auto value = [&](std::string& to) {
      if (i + 1 < argc) to = argv[++i];
    };
    if (a == "--task")
      value(task);
    else if (a == "--cache")
      value(options.cache_dir);
    else if (a == "--predictions")
      value(predictions);
    else if (a == "--no-models")
      options.models = false;
    else if (a == "--help") {
      std::puts("usage: guard_eval --task injection|pii|secrets [--cache DIR] [--predictions OUT.jsonl] FILE.jsonl…");
      return 0;
    } else {
      std::ifstream in(a, std::ios::binary);
      if (!in) {
        std::fprintf(stderr, "guard_eval: cannot open %s\n", a.c_str());
        return 2;
      }
      files.push_back({a, {std::istreambuf_iterator<char>(in), {}}});
    }
  }
  const auto fail = [](const hexr::Error& e) {
    std::fprintf(stderr, "guard_eval: %s\n", e.ToString().c_str());
    return 4;
  };
  auto engine = hexr::guard::Engine::Create(options);
  if (!engine.ok()) return fail(engine.error());
  auto worker = hexr::guard::Worker::Create(*engine);
  if (!worker.ok()) return fail(worker.error());
  const hexr::SystemClock clock;
  std::ofstream out;
  if (!predictions.empty()) out.open(predictions, std::ios::binary | std::ios::trunc);
  const auto result = hexr::guard::Evaluate(**worker, clock, task, files, [&](const hexr::wire::Json& row) {
    if (out.is_open()) out << hexr::wire::ToJson(row) << '\n';
  });
  if (!result.ok()) return fail(result.error());
  std::printf("%s\n", hexr::wire::ToJson(*result, hexr::wire::JsonStyle::kPretty).c_str());
  return 0;
}
