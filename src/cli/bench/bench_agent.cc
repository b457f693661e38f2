#include "cli/bench/bench_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/run_prefix.h"
#include "cli/workload_client.h"
#include "runtime/unix_socket.h"
#include "spawner/launch_message.h"
#include "spiffe/workload.pb.h"

namespace hexr::cli::bench {
namespace {

namespace pb = ::hexr::launch::v1;
using runtime::UniqueFd;
using std::chrono::milliseconds;

constexpr milliseconds kLaunchPatience{30'000};

struct Pipe {
  UniqueFd read, write;
  static Result<Pipe> Make() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
    return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
};

Status WaitReadable(int fd, milliseconds patience) {
  pollfd p{fd, POLLIN, 0};
  const int n = poll(&p, 1, static_cast<int>(patience.count()));
  if (n < 0) return ErrnoError("poll", errno);
  return n == 0 ? Status(DeadlineExceeded("an agent of the benchmark says nothing")) : Ok();
}

// The agent's id once it runs.
Result<std::string> AwaitStarted(int session) {
  for (;;) {
    RETURN_IF_ERROR(WaitReadable(session, kLaunchPatience));
    ASSIGN_OR_RETURN(const spawner::LaunchPacket packet, spawner::ReceiveLaunchMessage(session));
    pb::ServerMessage m;
    if (!m.ParseFromArray(packet.body.data(), static_cast<int>(packet.body.size())))
      return Internal("launch: not a message");
    if (m.has_started()) return m.started().instance();
    if (m.has_refused()) return PermissionDenied(m.refused().message());
    if (m.has_ended()) return Unavailable("the agent ended at once");
  }
}

}  // namespace

Result<BenchAgent> BenchAgent::Launch(const PrivateNode& node, const std::string& role,
                                      const std::vector<std::string>& arguments, const std::string& name) {
  std::error_code e;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", e).string();
  const std::string work = node.home() + "/work";
  std::filesystem::create_directory(work, e);

  BenchAgent agent;
  ASSIGN_OR_RETURN(agent.session_, runtime::ConnectUnix(node.paths().LaunchSocket(), SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(Pipe in, Pipe::Make());
  ASSIGN_OR_RETURN(Pipe out, Pipe::Make());
  pb::ClientMessage m;
  pb::Launch& l = *m.mutable_launch();
  l.set_agent(name);
  l.set_role(role);
  l.add_argv(self);
  l.add_argv("bench-agent");
  for (const std::string& a : arguments) l.add_argv(a);
  l.add_env("PATH=/usr/bin:/bin");
  l.add_env("HOME=/tmp");
  for (int i = 0; i < 3; ++i) l.add_terminal(false);
  l.set_umask(022);
  l.set_working_folder(work);
  std::vector<std::string> folders = {work};
  for (const std::string& p : FindProgramPlaces(self, "", {}).prefixes) folders.push_back(p);
  std::vector<UniqueFd> handles;
  std::vector<int> fds = {in.read.get(), out.write.get(), STDERR_FILENO};
  for (const std::string& f : folders) {
    handles.emplace_back(open(f.c_str(), O_PATH | O_CLOEXEC));
    if (!handles.back()) return ErrnoError(f, errno);
    pb::Folder& given = *l.add_folders();
    given.set_path(f);
    given.set_writable(false);
    fds.push_back(handles.back().get());
  }
  RETURN_IF_ERROR(spawner::SendLaunchMessage(agent.session_.get(), m, fds));
  ASSIGN_OR_RETURN(agent.instance_, AwaitStarted(agent.session_.get()));
  agent.input_ = std::move(in.write);
  agent.output_ = std::move(out.read);
  return agent;
}

Result<std::string> BenchAgent::ReadLine(milliseconds patience) {
  for (;;) {
    if (const size_t end = read_ahead_.find('\n'); end != std::string::npos) {
      std::string line = read_ahead_.substr(0, end);
      read_ahead_.erase(0, end + 1);
      return line;
    }
    RETURN_IF_ERROR(WaitReadable(output_.get(), patience));
    char buffer[4096];
    const ssize_t n = read(output_.get(), buffer, sizeof buffer);
    if (n <= 0) return Unavailable("an agent of the benchmark has ended");
    read_ahead_.append(buffer, static_cast<size_t>(n));
  }
}

Status BenchAgent::WriteLine(const std::string& line) {
  const std::string text = line + "\n";
  if (write(input_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return ErrnoError("write", errno);
  return Ok();
}

// ---- inside

namespace {

int64_t Now() { return SystemClock().Mono().time_since_epoch().count(); }

std::string Endpoint() {
  const char* address = std::getenv("SPIFFE_ENDPOINT_SOCKET");
  return address != nullptr ? address : "";
}

// From connect() to a whole response on a connection of its own.
Result<int64_t> First() {
  const int64_t begin = Now();
  ASSIGN_OR_RETURN(WorkloadClient client, WorkloadClient::Connect(Endpoint()));
  int64_t end = 0;
  RETURN_IF_ERROR(client.Call("FetchX509SVID", X509SVIDRequest(), [&](ByteView) {
    end = Now();
    return false;
  }));
  if (end == 0) return Unavailable("no SVID came");
  return end - begin;
}

int Firsts(int count, int64_t pace_us) {
  std::vector<int64_t> took;
  for (int i = 0; i < count; ++i) {
    const auto one = First();
    if (!one.ok()) return Fail(one.error());
    took.push_back(*one);
    const timespec pause{pace_us / 1'000'000, (pace_us % 1'000'000) * 1000};
    nanosleep(&pause, nullptr);
  }
  for (const int64_t t : took) std::printf("%lld\n", static_cast<long long>(t));
  std::fflush(stdout);
  return kYes;
}

int Watch() {
  for (std::string line; std::cin;) {
    auto client = WorkloadClient::Connect(Endpoint());
    if (!client.ok()) return Fail(client.error());
    (void)client->Call("FetchX509SVID", X509SVIDRequest(), [](ByteView) {
      std::puts("svid");
      std::fflush(stdout);
      return true;
    });
    std::printf("end %lld\n", static_cast<long long>(Now()));
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) return kYes;
  }
  return kYes;
}

}  // namespace

int RunBenchAgent(const Invocation& in) {
  const std::vector<std::string> a = in.All("ARGUMENTS");
  if (!a.empty() && a[0] == "watch") return Watch();
  if (a.size() == 3 && a[0] == "first") return Firsts(std::atoi(a[1].c_str()), std::atoll(a[2].c_str()));
  return kUsage;
}

}  // namespace hexr::cli::bench
