// hexrd: the supervisor of a node, or one of its processes when the supervisor starts it with --role.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/log.h"
#include "config/config.h"
#include "config/paths.h"
#include "daemon/confinements.h"
#include "daemon/roles.h"
#include "daemon/supervisor.h"
#include "runtime/confine.h"
#include "runtime/process.h"
#include "wire/protobuf_log.h"

namespace hexr::daemon {
namespace {

constexpr char kUsage[] =
    "usage: hexrd [--config FILE] [--ready-fd N] [--detach]\n"
    "Starts a node in this process and its children. `hexr up` does this for you; systemd starts it with\n"
    "Type=notify. Logs are JSON lines on stderr (text on a terminal).\n"
    "Example: hexrd --config /etc/hexr/hexr.yaml\n";

constexpr int kExitUsage = 2, kExitFault = 4;

struct Arguments {
  std::string config_file;
  int ready_fd = -1;
  bool detach = false;
  std::string role;  // internal: the supervisor's children
};

// systemd's readiness protocol (sd_notify(3)): one datagram to the socket it named.
void NotifySystemd(const char* state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const runtime::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  (void)sendto(fd.get(), state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

// What children may see of our environment: nothing that could steer a library, no secret that someone left there.
std::vector<std::string> ChildEnvironment() {
  std::vector<std::string> out = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  for (const char* name : {"CREDENTIALS_DIRECTORY", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* v = std::getenv(name)) out.push_back(std::string(name) + "=" + v);
  }
  return out;
}

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "hexrd: %s\n", message.c_str());
  return code;
}

int RunSupervisor(const Arguments& args) {
  const auto confined = runtime::Confine(SupervisorConfinement());  // before anything is read
  if (!confined.ok()) return Fail(kExitFault, confined.error().message());
  const bool root = geteuid() == 0;
  const auto paths = config::Paths::From(root, runtime::Environment());
  if (!paths.ok()) return Fail(kExitUsage, paths.error().message());
  SupervisorOptions options;
  options.paths = *paths;
  // Whole: its folder is kept from agents by this name, and we leave this folder.
  if (!args.config_file.empty()) options.paths.config_file = std::filesystem::absolute(args.config_file).string();
  {  // closed before anything is started: a stream's descriptor is inherited
    std::ifstream file(options.paths.config_file, std::ios::binary);
    if (!file)
      return Fail(kExitUsage,
                  options.paths.config_file + ": " + std::strerror(errno) + "; `hexr up` writes a first one");
    std::ostringstream text;
    text << file.rdbuf();
    options.config_yaml = text.str();
  }
  const auto config = config::ParseOrError(options.config_yaml, options.paths.config_file, config::CheckLocalUser);
  if (!config.ok()) return Fail(kExitUsage, config.error().message());
  InitLog("supervisor", isatty(STDERR_FILENO) != 0 ? LogFormat::kText : LogFormat::kJson, config->log.level);
  options.courier = config::NeedsCourier(*config);
  options.listeners = config::Listeners(*config);
  options.privileged = root;
  options.child_argv = {"/proc/self/exe", "--role"};
  options.child_env = ChildEnvironment();

  if (args.detach) {
    (void)setsid();
    signal(SIGHUP, SIG_IGN);
  }
  signal(SIGPIPE, SIG_IGN);
  (void)umask(0077);
  if (chdir("/") != 0) return Fail(kExitFault, std::string("chdir /: ") + std::strerror(errno));

  runtime::Loop loop;
  const SystemClock clock;
  Supervisor supervisor(loop, clock, options);
  const auto stop = [&](int) {
    NotifySystemd("STOPPING=1");
    supervisor.Drain([&] { loop.Stop(); });
  };
  auto signals = runtime::SignalWatch::Create(loop, {SIGTERM, SIGINT}, stop);
  if (!signals.ok()) return Fail(kExitFault, signals.error().message());
  runtime::UniqueFd ready(args.ready_fd);
  const Status started = supervisor.Start([&] {
    Log(LogLevel::kInfo, "node.ready", {{"run_dir", options.paths.run_dir}});
    NotifySystemd("READY=1");
    if (ready) (void)!write(ready.get(), "READY\n", 6);
    ready.reset();
  });
  if (!started.ok()) {
    return Fail(started.error().code() == ErrorCode::kFailedPrecondition ? kExitUsage : kExitFault,
                started.error().message());
  }
  loop.Run();
  return supervisor.gave_up() ? kExitUsage : 0;
}

}  // namespace
}  // namespace hexr::daemon

int main(int argc, char** argv) {
  using hexr::daemon::Arguments;
  hexr::wire::QuietProtobuf();
  Arguments args;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const bool more = i + 1 < argc;
    if (a == "--help" || a == "-h") {
      std::fputs(hexr::daemon::kUsage, stdout);
      return 0;
    }
    if (a == "--config" && more)
      args.config_file = argv[++i];
    else if (a == "--ready-fd" && more)
      args.ready_fd = std::atoi(argv[++i]);
    else if (a == "--role" && more)
      args.role = argv[++i];
    else if (a == "--detach")
      args.detach = true;
    else {
      std::fputs(hexr::daemon::kUsage, stderr);
      return hexr::daemon::kExitUsage;
    }
  }
  // A gateway holds two descriptors for each connection of each agent. Agents get their caller's limit.
  (void)!hexr::runtime::RaiseFileLimit().ok();
  if (args.ready_fd >= 0) (void)fcntl(args.ready_fd, F_SETFD, FD_CLOEXEC);
  if (!args.role.empty())
    return hexr::daemon::RunRole(args.role, hexr::runtime::UniqueFd(3), hexr::daemon::MakeRoleFor(args.role));
  return hexr::daemon::RunSupervisor(args);
}
