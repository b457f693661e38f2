#include "cli/bench/launch.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/clock.h"
#include "cli/bench/private_node.h"
#include "cli/output.h"

namespace hexr::cli::bench {
namespace {

constexpr char kLaunchConfig[] =
    "trust_domain: bench.hexr\n"
    "machine_key: file\n"
    "roles:\n"
    "  - {agent: bench, role: \"*\", exe: \"*\", user: \"*\", spawn: [bench/sub]}\n"
    "log: {level: debug}\n";
constexpr int kWarm = 10;

// Programs as a shell would start them, in a folder of the benchmark's own.
class Runner {
 public:
  static Result<Runner> Make(const PrivateNode& node) {
    std::error_code e;
    Runner r;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", e);
    r.bin_ = self.parent_path().string();
    r.hexr_ = r.bin_ + "/hexr";
    if (access(r.hexr_.c_str(), X_OK) != 0) return FailedPrecondition(r.hexr_ + " is not there");
    r.folder_ = node.home() + "/work";
    std::filesystem::create_directory(r.folder_, e);
    r.environment_ = {"PATH=/usr/bin:/bin", "HOME=/tmp", "HEXR_HOME=" + node.home()};
    return r;
  }
  const std::string& folder() const { return folder_; }
  const std::string& hexr() const { return hexr_; }

  // From before the start to after the end. The program's code has to be 0.
  Result<double> Time(std::vector<std::string> argv) const {
    std::vector<char*> args, env;
    for (std::string& a : argv) args.push_back(a.data());
    for (const std::string& v : environment_) env.push_back(const_cast<char*>(v.c_str()));
    args.push_back(nullptr);
    env.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, folder_.c_str());
    const SystemClock clock;
    pid_t pid = -1;
    const MonoTime begin = clock.Mono();
    const int failed = posix_spawn(&pid, args[0], &actions, nullptr, args.data(), env.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return ErrnoError("start " + argv[0], failed);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    const double took = Millis(clock.Mono() - begin);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      return Internal(argv[0] + " ended with status " + std::to_string(status));
    return took;
  }
  Result<double> TimeAgent(std::vector<std::string> command, const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> argv = {hexr_, "run", "--agent", "bench"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    argv.push_back("--");
    argv.insert(argv.end(), command.begin(), command.end());
    return Time(std::move(argv));
  }
  const std::string& bin() const { return bin_; }

 private:
  std::string bin_, hexr_, folder_;
  std::vector<std::string> environment_;
};

// Between launches, which then find what the node prepares in quiet moments; `launch_in_series` is without.
void Rest() {
  const timespec pause{0, 40'000'000};
  nanosleep(&pause, nullptr);
}

// What isolates a program without a node, where it is installed: namespaces, a mount tree, no network; no identity, no
// network by name, no record.
const std::vector<std::string>& Bubblewrap() {
  static const std::vector<std::string> command = {
      "/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/",        "/", "--dev", "/dev",
      "--proc",         "/proc",         "--tmpfs",           "/tmp",      "/bin/true"};
  return command;
}

// In turns, so that what the machine does meanwhile meets all.
Status MeasureOverTrue(const Runner& runner, size_t count, Findings& out) {
  std::vector<double> bare, launched, over, wrapped;
  const bool peer = access(Bubblewrap()[0].c_str(), X_OK) == 0;
  for (size_t i = 0; i < count + kWarm; ++i) {
    Rest();
    ASSIGN_OR_RETURN(const double a, runner.Time({"/bin/true"}));
    ASSIGN_OR_RETURN(const double b, runner.TimeAgent({"true"}));
    if (i < kWarm) continue;
    bare.push_back(a);
    launched.push_back(b);
    over.push_back(b - a);
    if (!peer) continue;
    Rest();
    ASSIGN_OR_RETURN(const double c, runner.Time(Bubblewrap()));
    wrapped.push_back(c);
  }
  std::map<std::string, double> peers = {{"true", Percentile(bare, 0.5)}};
  if (peer) peers["bubblewrap"] = Percentile(wrapped, 0.5);
  out.figures.push_back(
      {"launch_over_true_p50", Percentile(over, 0.5), "ms", AtMost(8), count, {{"true", Percentile(bare, 0.5)}}});
  out.figures.push_back(
      {"launch_over_true_p99", Percentile(over, 0.99), "ms", {}, count, {{"true", Percentile(bare, 0.99)}}});
  out.figures.push_back({"launch_p50", Percentile(launched, 0.5), "ms", {}, count, std::move(peers)});
  return Ok();
}

Status MeasureSeries(const Runner& runner, size_t count, Findings& out) {
  std::vector<double> took;
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const double one, runner.TimeAgent({"true"}));
    took.push_back(one);
  }
  out.figures.push_back({"launch_in_series_p50", Percentile(took, 0.5), "ms", {}, count});
  return Ok();
}

// What the node's own log says under one event, line by line.
std::vector<wire::Json> LinesOf(const PrivateNode& node, std::string_view event) {
  std::ifstream log(node.paths().LogFile());
  std::vector<wire::Json> out;
  for (std::string line; std::getline(log, line);) {
    auto json = wire::ParseJson(line);
    if (json.ok() && Text(*json, "event") == event) out.push_back(std::move(*json));
  }
  return out;
}

double Field(const wire::Json& line, const char* name) {
  return static_cast<double>(line.FindInteger(name).value_or(0));
}

// Every launch says when each step was done.
Status MeasureShares(const PrivateNode& node, size_t count, Findings& out) {
  std::vector<wire::Json> launches = LinesOf(node, "instance.started");
  if (launches.size() < count) return Internal("the node's log says less than it did");
  launches.erase(launches.begin(), launches.end() - static_cast<ptrdiff_t>(count));
  std::vector<double> spawner;
  spawner.reserve(launches.size());
  for (const wire::Json& l : launches)
    spawner.push_back((Field(l, "us_started") - Field(l, "us_announced") + Field(l, "us_ready")) / 1000);
  out.figures.push_back({"spawner_share_p50", Percentile(spawner, 0.5), "ms", AtMost(2.2), count});
  // Of the spawner's share, in order; the shares of others between them. What is made ahead of need is in none of them.
  struct Stage {
    const char *name, *from, *to;
  };
  for (const Stage& s :
       {Stage{"stage_plan", nullptr, "us_planned"}, Stage{"stage_mounts", "us_planned", "us_mounted"},
        Stage{"stage_confine", "us_mounted", "us_confined"}, Stage{"stage_program", "us_confined", "us_ready"},
        Stage{"keeper_share", "us_ready", "us_registered"}, Stage{"gateway_share", "us_registered", "us_announced"},
        Stage{"stage_exec", "us_announced", "us_started"}, Stage{"prepare_clone_and_maps", nullptr, "us_clone"},
        Stage{"prepare_listeners", nullptr, "us_listeners"}, Stage{"prepare_mounts", nullptr, "us_ground"},
        Stage{"prepare_fork_and_filter", nullptr, "us_guard"}}) {
    std::vector<double> took;
    took.reserve(launches.size());
    for (const wire::Json& l : launches) took.push_back((Field(l, s.to) - (s.from ? Field(l, s.from) : 0)) / 1000);
    out.figures.push_back({std::string(s.name) + "_p50", Percentile(took, 0.5), "ms", {}, count});
  }
  const auto ahead = std::count_if(launches.begin(), launches.end(),
                                   [](const wire::Json& l) { return l.FindBool("ahead").value_or(false); });
  out.figures.push_back(
      {"prepared_ahead", 100 * static_cast<double>(ahead) / static_cast<double>(count), "% of launches", {}, count});
  return Ok();
}

// A shell that says when it is, and then becomes a program that says when it is: inside and outside, in turns.
Status MeasureExec(const PrivateNode& node, const Runner& runner, size_t count, Findings& out) {
  const std::string file = runner.folder() + "/times";
  const std::vector<std::string> command = {"/bin/sh", "-c", "date +%s%N > times; exec date +%s%N >> times"};
  const auto between = [&]() -> Result<double> {
    std::ifstream in(file);
    int64_t before = 0, after = 0;
    if (!(in >> before >> after)) return Internal("a program of the benchmark did not say when it ran");
    return static_cast<double>(after - before) / 1000;
  };
  std::vector<double> inside, outside;
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(runner.Time(command));
    ASSIGN_OR_RETURN(const double bare, between());
    RETURN_IF_ERROR(runner.TimeAgent(command));
    ASSIGN_OR_RETURN(const double agent, between());
    outside.push_back(bare);
    inside.push_back(agent);
  }
  const double bare = Percentile(outside, 0.5);
  out.figures.push_back({"exec_over_bare_p50", Percentile(inside, 0.5) - bare, "us", {}, count, {{"bare", bare}}});
  // Of that the part in which the process stands still, and how long the new image is without an identity.
  std::vector<double> held, revocation, attested;
  for (const wire::Json& l : LinesOf(node, "exec.held")) {
    held.push_back(Field(l, "us_held"));
    revocation.push_back(Field(l, "us_revocation"));
    attested.push_back(Field(l, "us_attested"));
  }
  if (held.empty()) return Internal("the node's log says nothing of an exec");
  out.figures.push_back({"exec_held_p50", Percentile(held, 0.5), "us", AtMost(50), held.size()});
  out.figures.push_back({"exec_held_p99", Percentile(held, 0.99), "us", {}, held.size()});
  out.figures.push_back({"exec_revocation_p50", Percentile(revocation, 0.5), "us", {}, held.size()});
  out.figures.push_back({"exec_attested_after_p50", Percentile(attested, 0.5), "us", {}, held.size()});
  out.conditions["exec"] =
      "an exec of the registered process: wall clock before and after; of it held, from notification until it may go "
      "on, "
      "and in that until its identity is taken away; attested: from then until the new image is, its digest known";
  return Ok();
}

// A shell that starts programs, which are no agents of their own: their execs are seen, and let go on at once.
Status MeasureChildren(const Runner& runner, const Options& options, Findings& out) {
  const int programs = options.quick ? 20 : 200;
  const size_t rounds = options.quick ? 3 : 15;
  const auto command = [](int n) {
    return std::vector<std::string>{"/bin/sh", "-c", "i=0; while [ $i -lt $0 ]; do /bin/true; i=$((i+1)); done",
                                    std::to_string(n)};
  };
  std::vector<double> inside, outside, ratio;
  for (size_t i = 0; i < rounds; ++i) {
    ASSIGN_OR_RETURN(const double bare_none, runner.Time(command(0)));
    ASSIGN_OR_RETURN(const double bare, runner.Time(command(programs)));
    ASSIGN_OR_RETURN(const double none, runner.TimeAgent(command(0)));
    ASSIGN_OR_RETURN(const double some, runner.TimeAgent(command(programs)));
    outside.push_back((bare - bare_none) * 1000 / programs);
    inside.push_back((some - none) * 1000 / programs);
    ratio.push_back(inside.back() / outside.back());
  }
  out.figures.push_back(
      {"child_exec_p50", Percentile(inside, 0.5), "us", {}, rounds, {{"outside", Percentile(outside, 0.5)}}});
  out.figures.push_back({"child_exec_ratio_p50", Percentile(ratio, 0.5), "times", {}, rounds});
  return Ok();
}

Status MeasureInside(const Runner& runner, const Options& options, Findings& out) {
  const int launches = options.quick ? 3 : 20;
  const size_t rounds = options.quick ? 2 : 9;
  const std::string loop = "i=0; while [ $i -lt $0 ]; do " + runner.hexr() +
                           " run --agent bench --role sub -- true || exit 1; i=$((i+1)); done";
  std::vector<double> took;
  for (size_t i = 0; i < rounds; ++i) {
    ASSIGN_OR_RETURN(const double none, runner.TimeAgent({"sh", "-c", loop, "0"}, {"--ro", runner.bin()}));
    ASSIGN_OR_RETURN(const double some,
                     runner.TimeAgent({"sh", "-c", loop, std::to_string(launches)}, {"--ro", runner.bin()}));
    took.push_back((some - none) / launches);
  }
  out.figures.push_back({"launch_inside_an_agent_p50", Percentile(took, 0.5), "ms", {}, rounds});
  return Ok();
}

}  // namespace

Result<Findings> MeasureLaunch(const Options& options) {
  const size_t count = options.quick ? 20 : 400;
  Findings out;
  ASSIGN_OR_RETURN(const PrivateNode node, PrivateNode::Start(kLaunchConfig));
  ASSIGN_OR_RETURN(const Runner runner, Runner::Make(node));
  RETURN_IF_ERROR(MeasureOverTrue(runner, count, out));
  RETURN_IF_ERROR(MeasureShares(node, count, out));
  RETURN_IF_ERROR(MeasureSeries(runner, count, out));
  RETURN_IF_ERROR(MeasureExec(node, runner, count, out));
  RETURN_IF_ERROR(MeasureChildren(runner, options, out));
  RETURN_IF_ERROR(MeasureInside(runner, options, out));
  out.conditions["launch"] =
      "`hexr run -- true` and `true` in turns, 40 ms apart, from before posix_spawn to after wait; program "
      "measured before";
  return out;
}

}  // namespace hexr::cli::bench
