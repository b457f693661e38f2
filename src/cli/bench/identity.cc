#include "cli/bench/identity.h"

#include <sys/resource.h>
#include <time.h>

#include <charconv>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "cli/bench/bench_agent.h"
#include "cli/bench/private_node.h"
#include "runtime/process.h"

namespace hexr::cli::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kPatience{30'000};
constexpr size_t kFilesToSpare = 64;  // fewer left than one more launch takes
// Below the 100 requests a second that one process may make: what is measured is an answer, not a wait.
constexpr int64_t kPaceUs = 12'500;

constexpr char kIdentityConfig[] =
    "trust_domain: bench.hexr\n"
    "machine_key: file\n"
    "roles:\n"
    "  - {agent: bench, role: \"*\", exe: [\"hexr*\"], user: \"*\"}\n"
    "log: {level: warn}\n";

void Rest(milliseconds d) {
  const timespec t{d.count() / 1000, (d.count() % 1000) * 1'000'000};
  nanosleep(&t, nullptr);
}

Result<int64_t> Number(std::string_view text) {
  int64_t n = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), n);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return Internal("not a number: " + std::string(text));
  return n;
}

Result<int64_t> StatusNumber(const PrivateNode& node, const char* name) {
  ASSIGN_OR_RETURN(const wire::Json status, node.Ask("status"));
  const auto n = status.FindInteger(name);
  if (!n) return Internal(std::string("status has no ") + name);
  return *n;
}

// From the start of a node with nothing on disk to readiness.
Status MeasureStart(const Options& options, Findings& out) {
  const int rounds = options.quick ? 2 : 9;
  std::vector<double> took;
  for (int i = 0; i < rounds; ++i) {
    ASSIGN_OR_RETURN(const PrivateNode node, PrivateNode::Start(kIdentityConfig));
    took.push_back(Millis(node.ready_after()));
  }
  out.figures.push_back({"node_start_p50", Percentile(took, 0.5), "ms", AtMost(300), took.size()});
  return Ok();
}

Status MeasureIdle(const PrivateNode& node, Findings& out) {
  uint64_t bytes = 0;
  bool share = true;
  for (const PrivateNode::Process& p : node.Processes()) {
    ASSIGN_OR_RETURN(const Memory m, MemoryOf(p.pid));
    bytes += m.bytes;
    share &= m.share;
  }
  out.conditions["memory"] =
      share ? "PSS" : "RSS, which counts shared pages once for each process: PSS is root's to see";
  // Against the goal only in the unit that it is set in.
  out.figures.push_back({share ? "idle_pss" : "idle_rss", static_cast<double>(bytes) / 1e6, "MB",
                         share ? std::optional(AtMost(60)) : std::nullopt});
  return Ok();
}

Status MeasureFirst(const PrivateNode& node, const Options& options, Findings& out) {
  const int count = options.quick ? 50 : 1000;
  const int warm = 10;
  ASSIGN_OR_RETURN(BenchAgent agent,
                   BenchAgent::Launch(node, "first", {"first", std::to_string(count + warm), std::to_string(kPaceUs)}));
  std::vector<double> took;
  for (int i = 0; i < count + warm; ++i) {
    ASSIGN_OR_RETURN(const std::string line, agent.ReadLine(kPatience));
    ASSIGN_OR_RETURN(const int64_t ns, Number(line));
    if (i >= warm) took.push_back(Millis(nanoseconds(ns)));
  }
  out.figures.push_back({"first_svid_p50", Percentile(took, 0.5), "ms", AtMost(0.5), took.size()});
  out.figures.push_back({"first_svid_p99", Percentile(took, 0.99), "ms", AtMost(2), took.size()});
  out.conditions["first_svid"] =
      "connect() to a whole response by a warm client, 80 connections a second, SVID held by the node";
  return Ok();
}

size_t OpenFilesOf(pid_t pid) {
  std::error_code e;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", e);
  return e ? 0 : static_cast<size_t>(std::distance(begin(all), end(all)));
}

// Where one of the node's processes has as many files open as it may, that is what has to change.
Error Why(const PrivateNode& node, const Error& error, size_t agent, size_t count) {
  rlimit files{};
  (void)getrlimit(RLIMIT_NOFILE, &files);
  const std::string which = "agent " + std::to_string(agent) + " of " + std::to_string(count);
  for (const PrivateNode::Process& p : node.Processes()) {
    const size_t open = OpenFilesOf(p.pid);
    if (open + kFilesToSpare < files.rlim_max) continue;
    return FailedPrecondition(which + ": " + p.name + " has " + std::to_string(open) +
                              " files open, and this user may open " + std::to_string(files.rlim_max) +
                              " in one process; raise the hard limit (`ulimit -Hn " +
                              std::to_string(files.rlim_max / agent * count * 5 / 4) + "` as root) and measure again");
  }
  return error.WithContext(which);
}

Result<std::vector<BenchAgent>> LaunchWatchers(const PrivateNode& node, size_t count) {
  std::vector<BenchAgent> agents;
  for (size_t i = 0; i < count; ++i) {
    auto agent = BenchAgent::Launch(node, "watch", {"watch"});
    if (!agent.ok()) return Why(node, agent.error(), i + 1, count);
    agents.push_back(std::move(*agent));
  }
  for (BenchAgent& a : agents) {
    ASSIGN_OR_RETURN(const std::string line, a.ReadLine(kPatience));
    if (line != "svid") return Internal("an agent got no SVID: " + line);
  }
  return agents;
}

// From before the operator's command to the end of the agent's stream. The agent lives on, and gets its identity back.
Status MeasureRevocation(const PrivateNode& node, const std::string& name, std::vector<BenchAgent>& agents,
                         size_t count, std::optional<Goal> p99, Findings& out) {
  std::vector<double> took;
  for (size_t i = 0; i < count; ++i) {
    BenchAgent& agent = agents[i % agents.size()];
    const nanoseconds begin = SystemClock().Mono().time_since_epoch();
    ASSIGN_OR_RETURN(wire::Json ignored, node.Ask("quarantine", {{"target", agent.instance()}}));
    std::string line = "svid";
    while (line == "svid") {
      ASSIGN_OR_RETURN(line, agent.ReadLine(kPatience));
    }
    if (!line.starts_with("end ")) return Internal("an agent said: " + line);
    ASSIGN_OR_RETURN(const int64_t end, Number(std::string_view(line).substr(4)));
    took.push_back(Millis(nanoseconds(end) - begin));
    ASSIGN_OR_RETURN(ignored, node.Ask("release", {{"target", agent.instance()}}));
    RETURN_IF_ERROR(agent.WriteLine("again"));
    ASSIGN_OR_RETURN(line, agent.ReadLine(kPatience));
    if (line != "svid") return Internal("an agent did not get its identity back: " + line);
    Rest(milliseconds(kPaceUs / 1000 + 1));
  }
  out.figures.push_back({name + "_p50", Percentile(took, 0.5), "ms", std::nullopt, took.size()});
  out.figures.push_back({name + "_p99", Percentile(took, 0.99), "ms", p99, took.size()});
  return Ok();
}

// The signing key is replaced and the old one tainted: every SVID that is out is made anew, verified, recorded and
// pushed. Per second of CPU that the keeper used for all of it.
Status MeasureRenewal(const PrivateNode& node, pid_t keeper, size_t live, Findings& out) {
  ASSIGN_OR_RETURN(const int64_t issued, StatusNumber(node, "svids_issued"));
  ASSIGN_OR_RETURN(const wire::Json rotated, node.Ask("authority.rotate", {{"use", "x509"}}));
  ASSIGN_OR_RETURN(const CpuTime before, CpuTimeOf(keeper));
  ASSIGN_OR_RETURN(const wire::Json tainted,
                   node.Ask("authority.taint", {{"id", std::string(rotated.FindString("old").value_or(""))}}));
  int64_t done = 0;
  for (int i = 0; done < static_cast<int64_t>(live); ++i) {
    if (i == 600) return DeadlineExceeded("SVIDs are not renewed within a minute");
    Rest(milliseconds(100));
    ASSIGN_OR_RETURN(done, StatusNumber(node, "svids_issued"));
    done -= issued;
  }
  ASSIGN_OR_RETURN(const CpuTime after, CpuTimeOf(keeper));
  const double seconds = std::chrono::duration<double>(after - before).count();
  out.figures.push_back(
      {"svids_renewed", static_cast<double>(done) / seconds, "1/s per core", AtLeast(3000), static_cast<size_t>(done)});
  out.conditions["svids_renewed"] =
      "key, certificate, verification, record and push to an open stream, of the keeper's CPU, its ledger's thread "
      "included";
  return Ok();
}

// What the open streams cost while nothing changes for any of them.
Status MeasureIdleStreams(pid_t keeper, const Options& options, size_t live, Findings& out) {
  const milliseconds span(options.quick ? 1'000 : 10'000);
  ASSIGN_OR_RETURN(const CpuTime before, CpuTimeOf(keeper));
  Rest(span);
  ASSIGN_OR_RETURN(const CpuTime after, CpuTimeOf(keeper));
  const double each_second = Millis(after - before) / std::chrono::duration<double>(span).count();
  out.figures.push_back({"keeper_idle_streams", each_second, "ms/s", std::nullopt, live});
  out.conditions["keeper_idle_streams"] =
      "CPU of the keeper, its ledger's thread included, with the crowd and nothing else";
  return Ok();
}

Status MeasureLive(const PrivateNode& node, const Options& options, Findings& out) {
  const size_t live = options.quick ? 20 : 1000;
  ASSIGN_OR_RETURN(const pid_t keeper, node.PidOf("keeper"));
  constexpr size_t kFew = 4;  // in turns: an instance has its share of certificates, revoked ones included
  ASSIGN_OR_RETURN(std::vector<BenchAgent> agents, LaunchWatchers(node, kFew));
  RETURN_IF_ERROR(MeasureRevocation(node, "revocation", agents, options.quick ? 20 : 300, AtMost(10), out));

  Rest(milliseconds(1500));  // what the revocations have left to push and to checkpoint
  ASSIGN_OR_RETURN(const Memory before, MemoryOf(keeper));
  ASSIGN_OR_RETURN(std::vector<BenchAgent> more, LaunchWatchers(node, live));
  Rest(milliseconds(1500));
  ASSIGN_OR_RETURN(const int64_t streams, StatusNumber(node, "streams"));
  if (streams != static_cast<int64_t>(live + kFew)) return Internal("streams: " + std::to_string(streams));
  ASSIGN_OR_RETURN(const Memory after, MemoryOf(keeper));
  const double each =
      (static_cast<double>(after.bytes) - static_cast<double>(before.bytes)) / static_cast<double>(live);
  out.figures.push_back({"keeper_per_instance", each / 1024, "KiB", AtMost(60), live});
  out.conditions["crowd"] = std::to_string(live) + " live instances, each with an open stream";
  RETURN_IF_ERROR(MeasureIdleStreams(keeper, options, live, out));
  RETURN_IF_ERROR(MeasureRenewal(node, keeper, live, out));
  for (BenchAgent& a : more) {
    ASSIGN_OR_RETURN(const std::string line, a.ReadLine(kPatience));  // each has its new one
    if (line != "svid") return Internal("an agent's stream ended with a renewal: " + line);
  }
  return MeasureRevocation(node, "revocation_crowded", more, options.quick ? 20 : 300, std::nullopt, out);
}

}  // namespace

Result<Findings> MeasureIdentity(const Options& options) {
  Findings out;
  ASSIGN_OR_RETURN(const uint64_t files, runtime::RaiseFileLimit());  // three for each live agent
  out.conditions["open_files"] = std::to_string(files) + " at most in one process";
  RETURN_IF_ERROR(MeasureStart(options, out));
  ASSIGN_OR_RETURN(const PrivateNode node, PrivateNode::Start(kIdentityConfig));
  Rest(milliseconds(1500));
  RETURN_IF_ERROR(MeasureIdle(node, out));
  RETURN_IF_ERROR(MeasureFirst(node, options, out));
  RETURN_IF_ERROR(MeasureLive(node, options, out));
  return out;
}

}  // namespace hexr::cli::bench
