#include "guard/guard.h"

#include <algorithm>
#include <cmath>

namespace hexr::guard {
namespace {

double Rounded(float score) { return static_cast<double>(std::lround(score * 1000)) / 1000; }

uint64_t RunesBefore(std::string_view text, uint64_t end) {
  const std::string_view head = text.substr(0, std::min<size_t>(end, text.size()));
  return static_cast<uint64_t>(
      std::count_if(head.begin(), head.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Result<Verdict> Scan(Worker& worker, const Clock& clock, std::string_view text, const StreamOptions& options) {
  Stream stream(worker, clock, options);
  ASSIGN_OR_RETURN(std::string out, stream.Feed(text));
  ASSIGN_OR_RETURN(const std::string rest, stream.Finish());
  out += rest;
  Verdict v = stream.TakeVerdict();
  if (v.action != Action::kBlock) v.text = std::move(out);
  return v;
}

Result<Verdict> Scan(Worker& worker, const Clock& clock, std::string_view text, Channel channel, Session* session) {
  StreamOptions o;
  o.channel = channel;
  o.policy = DefaultPolicy(channel);
  o.session = session;
  return Scan(worker, clock, text, o);
}

wire::Json ToJson(const Verdict& verdict, std::string_view original, bool runes) {
  wire::JsonArray findings;
  for (const Finding& f : verdict.findings) {
    wire::JsonObject o;
    o.Set("scanner", ScannerName(f.scanner));
    o.Set("type", f.type);
    o.Set("start", f.start);
    o.Set("end", f.end);
    o.Set("score", Rounded(f.score));
    o.Set("view", ViewName(f.view));
    if (runes) {
      o.Set("start_rune", RunesBefore(original, f.start));
      o.Set("end_rune", RunesBefore(original, f.end));
    }
    findings.emplace_back(std::move(o));
  }
  wire::JsonObject scanners;
  for (size_t i = 0; i < kScannerCount; ++i)
    scanners.Set(ScannerName(static_cast<Scanner>(i)), Rounded(verdict.scanners[i]));
  wire::JsonObject out;
  out.Set("valid", verdict.valid);
  out.Set("action", ActionName(verdict.action == Action::kLabel ? Action::kFlag : verdict.action));
  out.Set("risk", Rounded(static_cast<float>(verdict.risk)));
  out.Set("text", verdict.text);
  out.Set("bytes_scanned", verdict.bytes_scanned);
  out.Set("elapsed_us", verdict.elapsed_us);
  out.Set("scanners", std::move(scanners));
  out.Set("findings", std::move(findings));
  if (verdict.over_budget) out.Set("over_budget", true);
  if (verdict.findings_dropped > 0) out.Set("findings_dropped", verdict.findings_dropped);
  return out;
}

}  // namespace hexr::guard
