#include <cstdio>
#include <iterator>

#include "base/clock.h"
#include "cli/files.h"
#include "cli/guard/engine.h"
#include "cli/guard/guard_commands.h"
#include "cli/output.h"
#include "guard/guard.h"

namespace hexr::cli {
namespace {

Result<std::string> TextToScan(const Invocation& in) {
  if (in.Has("FILE") && in.Get("FILE") != "-") return ReadNamedFile(in.Get("FILE"));
  std::string out;
  char block[1 << 16];
  while (const size_t n = std::fread(block, 1, sizeof block, stdin)) out.append(block, n);
  if (std::ferror(stdin) != 0) return InvalidArgument("stdin cannot be read");
  return out;
}

std::string Decimals(double v) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f", v);
  return text;
}

void PrintVerdict(const guard::Verdict& v) {
  const bool bad = !v.valid;
  // A label is written as a flag, as in JSON.
  const guard::Action action = v.action == guard::Action::kLabel ? guard::Action::kFlag : v.action;
  PrintFields({{"action", Paint(bad ? Colour::kRed : Colour::kGreen, guard::ActionName(action))},
               {"risk", Decimals(v.risk)},
               {"bytes", std::to_string(v.bytes_scanned)},
               {"time", std::to_string(v.elapsed_us) + " us"}});
  if (v.over_budget) PrintLine("the text cost more to read than any honest one: not all of it was read");
  if (v.findings.empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const guard::Finding& f : v.findings) {
    rows.push_back({std::string(guard::ScannerName(f.scanner)), f.type, std::to_string(f.start), std::to_string(f.end),
                    Decimals(static_cast<double>(f.score)), std::string(guard::ViewName(f.view))});
  }
  PrintTable({"SCANNER", "TYPE", "START", "END", "SCORE", "VIEW"}, rows);
  if (v.findings_dropped > 0) PrintLine("and " + std::to_string(v.findings_dropped) + " more");
}

}  // namespace

int RunGuardScan(const Invocation& in) {
  if (in.Has("--runes") && in.output != Output::kJson)
    return Fail(InvalidArgument("--runes changes nothing without --output json"));
  const auto channel = guard::ParseChannel(in.Get("--channel"));
  if (!channel.ok()) return Fail(channel.error());
  const auto text = TextToScan(in);
  if (!text.ok()) return Fail(text.error());
  const auto worker = OpenGuard(in);
  if (!worker.ok()) return Fail(worker.error());
  guard::StreamOptions options;
  options.channel = *channel;
  options.policy = guard::DefaultPolicy(*channel);
  options.budget = std::chrono::hours(24);  // nobody waits for what comes after
  const SystemClock clock;
  const auto verdict = guard::Scan(**worker, clock, *text, options);
  if (!verdict.ok()) return Fail(verdict.error());
  if (in.output == Output::kJson)
    PrintJson(guard::ToJson(*verdict, *text, in.Has("--runes")));
  else
    PrintVerdict(*verdict);
  return verdict->valid ? kYes : kNo;
}

}  // namespace hexr::cli
