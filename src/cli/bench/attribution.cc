#include "cli/bench/attribution.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/clock.h"
#include "runtime/unique_fd.h"
#include "spawner/owner.h"

namespace hexr::cli::bench {
namespace {

using runtime::UniqueFd;

double Micros(std::chrono::nanoseconds d) { return std::chrono::duration<double, std::micro>(d).count(); }

// A loopback connection of this process: the end that looks like an agent's, and the addresses that its listener would
// see.
struct Connection {
  UniqueFd client, server;
  spawner::ConnectionAddress address;

  static Result<Connection> Make() {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 || listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), reinterpret_cast<sockaddr*>(&a), &size) != 0) {
      return ErrnoError("listen on the loopback", errno);
    }
    Connection c;
    c.client = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(c.client.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) return ErrnoError("connect", errno);
    sockaddr_in peer{};
    size = sizeof peer;
    c.server = UniqueFd(accept4(listener.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
    if (!c.server) return ErrnoError("accept", errno);
    std::memcpy(c.address.local.data(), &peer.sin_addr, 4);
    std::memcpy(c.address.remote.data(), &a.sin_addr, 4);
    c.address.local_port = ntohs(peer.sin_port);
    c.address.remote_port = ntohs(a.sin_port);
    return c;
  }
};

// A process with children, the last of which alone holds the connection: as an agent's PID 1 has them.
class Family {
 public:
  Family(const Connection& connection, int children) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return;
    const UniqueFd read_end(ready[0]);
    UniqueFd write_end(ready[1]);
    parent_ = fork();
    if (parent_ == 0) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (int i = 0; i < children; ++i) {
        if (fork() != 0) continue;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (i + 1 < children) close(connection.client.get());
        const Said said{getpid(), i + 1 == children};
        (void)!write(write_end.get(), &said, sizeof said);
        pause();
        _exit(0);
      }
      close(connection.client.get());
      pause();
      _exit(0);
    }
    write_end.reset();
    // All of them, since whoever has not let go yet holds the connection too.
    for (int i = 0; i < children && parent_ > 0; ++i) {
      Said said{};
      if (read(read_end.get(), &said, sizeof said) == sizeof said && said.holds) holder_ = said.pid;
    }
  }
  ~Family() {
    if (parent_ <= 0) return;
    kill(parent_, SIGKILL);
    waitpid(parent_, nullptr, 0);
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  pid_t parent() const { return parent_; }
  pid_t holder() const { return holder_; }

 private:
  struct Said {
    pid_t pid;
    bool holds;
  };
  pid_t parent_ = -1, holder_ = 0;
};

struct Way {
  const char* name;
  int children;
  bool known;  // the last connection was this process's too
  std::optional<Goal> p50;
};

Status MeasureWay(const Way& way, size_t count, Findings& out) {
  ASSIGN_OR_RETURN(Connection connection, Connection::Make());
  const Family family(connection, way.children);
  if (family.holder() <= 0) return Internal("no processes for the benchmark");
  connection.client.reset();
  const UniqueFd diag(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!diag) return ErrnoError("socket diagnostics", errno);
  const SystemClock clock;
  std::vector<double> took;
  for (size_t i = 0; i < count; ++i) {
    const MonoTime begin = clock.Mono();
    ASSIGN_OR_RETURN(const uint64_t inode, spawner::SocketInode(diag.get(), connection.address));
    ASSIGN_OR_RETURN(const pid_t holder, spawner::FindHolder(family.parent(), way.known ? family.holder() : 0, inode));
    took.push_back(Micros(clock.Mono() - begin));
    if (holder != family.holder()) return Internal("the wrong process was found");
  }
  const std::string name = way.name;
  out.figures.push_back({name + "_p50", Percentile(took, 0.5), "us", way.p50, count});
  out.figures.push_back({name + "_p99", Percentile(took, 0.99), "us", {}, count});
  return Ok();
}

}  // namespace

Result<Findings> MeasureAttribution(const Options& options) {
  Findings out;
  const size_t count = options.quick ? 50 : 2000;
  for (const Way& way :
       {Way{"attribution_last_owner", 3, true, AtMost(100)}, Way{"attribution_three_processes", 3, false, AtMost(100)},
        Way{"attribution_forty_processes", 40, false, std::nullopt}}) {
    RETURN_IF_ERROR(MeasureWay(way, count, out));
  }
  out.conditions["attribution"] =
      "the spawner's look-up itself, over socket diagnostics and /proc; its program's digest is remembered";
  return out;
}

}  // namespace hexr::cli::bench
