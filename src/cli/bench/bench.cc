#include "cli/bench/bench.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "cli/bench/bench_agent.h"
#include "cli/output.h"

namespace hexr::cli::bench {
namespace {

std::string FirstLine(const std::string& path, const std::string& prefix = "") {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(prefix)) return line.substr(prefix.size());
  }
  return "";
}

std::string Trim(const std::string& s) {
  const size_t first = s.find_first_not_of(" \t:");
  const size_t last = s.find_last_not_of(" \t");
  return first == std::string::npos ? "" : s.substr(first, last - first + 1);
}

std::map<std::string, std::string> Machine() {
  utsname u{};
  uname(&u);
  std::string cpu = Trim(FirstLine("/proc/cpuinfo", "model name"));
  if (cpu.empty()) cpu = u.machine;
  const std::string kib = Trim(FirstLine("/proc/meminfo", "MemTotal:"));
  return {{"cpu", cpu},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"memory", kib},
          {"kernel", u.release},
          {"architecture", u.machine}};
}

std::string LoadAverage() {
  const std::string line = FirstLine("/proc/loadavg");
  return line.substr(0, line.find(' '));
}

// Three significant digits, without exponent: 0.412, 12.3, 203000.
std::string Short(double v) {
  const double magnitude = v == 0 ? 0 : std::floor(std::log10(std::fabs(v)));
  const double unit = std::pow(10.0, magnitude - 2);
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", std::max(0, 2 - static_cast<int>(magnitude)),
                v == 0 ? 0 : std::round(v / unit) * unit);
  return text;
}

void PrintText(const Findings& f) {
  std::vector<std::vector<std::string>> rows;
  for (const Figure& x : f.figures) {
    std::string goal, verdict, peers;
    if (x.goal) {
      const bool met = x.goal->MetBy(x.value);
      goal = (x.goal->better == Goal::Better::kLower ? "≤ " : "≥ ") + Short(x.goal->bound);
      verdict = Paint(met ? Colour::kGreen : Colour::kRed, met ? "met" : "missed");
    }
    for (const auto& [name, value] : x.peers) peers += (peers.empty() ? "" : ", ") + name + " " + Short(value);
    rows.push_back({x.figure, Short(x.value), x.unit, goal, verdict, std::to_string(x.samples), peers});
  }
  PrintTable({"FIGURE", "VALUE", "UNIT", "GOAL", "", "SAMPLES", "PEERS"}, rows);
}

wire::JsonObject Strings(const std::map<std::string, std::string>& values) {
  wire::JsonObject out;
  for (const auto& [k, v] : values) out.Set(k, v);
  return out;
}

int List(const Invocation& in) {
  wire::JsonArray json;
  std::vector<std::vector<std::string>> rows;
  for (const Benchmark& b : Benchmarks()) {
    json.push_back(wire::JsonObject{{"name", b.name}, {"summary", b.summary}});
    rows.push_back({b.name, b.summary});
  }
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"benchmarks", std::move(json)}});
  else
    PrintTable({"NAME", "MEASURES"}, rows);
  return kYes;
}

}  // namespace

double Percentile(std::vector<double> samples, double p) {
  const auto at =
      static_cast<size_t>(std::min(p * static_cast<double>(samples.size()), static_cast<double>(samples.size()) - 1));
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(at), samples.end());
  return samples[at];
}

wire::Json ToJson(const std::string& name, const std::map<std::string, std::string>& machine,
                  const Findings& findings) {
  wire::JsonArray figures;
  for (const Figure& f : findings.figures) {
    wire::JsonObject o{{"figure", f.figure}, {"value", f.value}, {"unit", f.unit}};
    if (f.goal) {
      o.Set("goal", f.goal->bound);
      o.Set("better", f.goal->better == Goal::Better::kLower ? "lower" : "higher");
      o.Set("met", f.goal->MetBy(f.value));
    }
    o.Set("samples", f.samples);
    wire::JsonObject peers;
    for (const auto& [peer, value] : f.peers) peers.Set(peer, value);
    o.Set("peers", std::move(peers));
    figures.push_back(std::move(o));
  }
  return wire::JsonObject{{"name", name},
                          {"machine", Strings(machine)},
                          {"conditions", Strings(findings.conditions)},
                          {"figures", std::move(figures)}};
}

namespace {

int RunBench(const Invocation& in) {
  const std::string name = in.Get("NAME");
  if (name.empty()) return List(in);
  const auto& all = Benchmarks();
  const auto b = std::ranges::find(all, name, &Benchmark::name);
  if (b == all.end()) {
    PrintError("no benchmark is called '" + name + "'; `hexr bench` lists them");
    return kUsage;
  }
  const std::string load = LoadAverage();
  const std::string started = FormatRfc3339(SystemClock().Wall(), 0);
  Result<Findings> found = b->measure({.quick = in.Has("--quick")});
  if (!found.ok()) return Fail(found.error());
  if (in.Has("--quick")) found->conditions["quick"] = "few samples: no figure to publish";
  found->conditions.insert({{"version", HEXR_VERSION},
                            {"time", started},
                            {"load_before", load},
                            {"load_after", LoadAverage()},
                            {"user", geteuid() == 0 ? "root" : "unprivileged"}});
  if (in.output == Output::kJson)
    PrintJson(ToJson(name, Machine(), *found));
  else
    PrintText(*found);
  return kYes;
}

}  // namespace

std::vector<Command> BenchCommands() {
  return {
      {"bench",
       "Measure hexr's published figures on this machine",
       "hexr bench ledger --output json",
       {{"--quick", "", "few samples: to see that it works"}},
       {{"NAME", "one of those that `hexr bench` lists", false}},
       RunBench},
      {"bench-agent",
       "What runs in a benchmark's agents",
       "hexr bench-agent watch",
       {},
       {{"ARGUMENTS", "what to do", true, true}},
       RunBenchAgent,
       true},
  };
}

}  // namespace hexr::cli::bench
