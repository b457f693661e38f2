#include "cli/demo.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "cli/bench/bench_agent.h"
#include "cli/bench/private_node.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

using bench::BenchAgent;
using bench::PrivateNode;
using runtime::UniqueFd;

std::string FolderOfThisProgram() {
  std::error_code e;
  return std::filesystem::read_symlink("/proc/self/exe", e).parent_path().string();
}

// A web server of the demo's own, which knows one sentence: what an allowed name leads to. A child that ends with us.
class Server {
 public:
  static Result<Server> Start() {
    UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (!listener || bind(listener.get(), raw, size) != 0 || listen(listener.get(), 8) != 0 ||
        getsockname(listener.get(), raw, &size) != 0) {
      return ErrnoError("the demo's server", errno);
    }
    const pid_t pid = fork();
    if (pid < 0) return ErrnoError("fork", errno);
    if (pid == 0) Serve(listener.get());
    return Server(pid, ntohs(address.sin_port));
  }
  ~Server() {
    if (pid_ <= 0) return;
    (void)kill(pid_, SIGKILL);
    (void)waitpid(pid_, nullptr, 0);
  }
  Server(Server&& o) noexcept : pid_(std::exchange(o.pid_, 0)), port_(o.port_) {}
  Server& operator=(Server&&) = delete;
  uint16_t port() const { return port_; }

 private:
  Server(pid_t pid, uint16_t port) : pid_(pid), port_(port) {}
  [[noreturn]] static void Serve(int listener) {
    (void)signal(SIGPIPE, SIG_IGN);
    for (;;) {
      const UniqueFd c(accept(listener, nullptr, nullptr));
      char request[4096];
      constexpr std::string_view kAnswer =
          "HTTP/1.1 200 OK\r\nContent-Length: 28\r\nConnection: close\r\n\r\nQuarterly report: all well.\n";
      if (read(c.get(), request, sizeof request) > 0) (void)!write(c.get(), kAnswer.data(), kAnswer.size());
    }
  }

  pid_t pid_;
  uint16_t port_;
};

class Demo {
 public:
  // `json`: where the outcome goes as JSON, when what is shown goes to stderr.
  Demo(PrivateNode node, uint16_t server_port, UniqueFd json)
      : node_(std::move(node)), server_port_(server_port), json_(std::move(json)) {}

  int Play() {
    Node();
    Identity();
    TheWayOut();
    TheKillSwitch();
    Evidence();
    PrintLine("");
    if (json_) {
      std::fflush(stdout);
      (void)dup2(json_.get(), STDOUT_FILENO);
      PrintJson(wire::JsonObject{{"shown", shown_}, {"failed", failures_}});
      return failures_ == 0 ? kYes : kNo;
    }
    if (failures_ == 0)
      PrintLine(Paint(Colour::kGreen, "Everything above was done for real, and is gone again."));
    else
      PrintError(std::to_string(failures_) + " of the things above did not go as they should");
    return failures_ == 0 ? kYes : kNo;
  }

 private:
  static void Chapter(const std::string& title, const std::string& sentence) {
    PrintLine("\n" + Paint(Colour::kBold, title) + "\n" + sentence);
  }
  void Check(bool good, const std::string& text) {
    PrintLine(std::string("  ") + (good ? Paint(Colour::kGreen, "✓") : Paint(Colour::kRed, "✗")) + " " + text);
    ++shown_;
    failures_ += good ? 0 : 1;
  }

  struct Outcome {
    int code = -1;
    std::string text;  // stdout and stderr as a person sees them
  };
  // Shows the command and what it says; `code` is what it should end with.
  Outcome Type(const std::vector<std::string>& words, int code, const std::string& meaning) {
    std::string shown;
    for (const std::string& w : words) shown += " " + (w.find(' ') == std::string::npos ? w : "'" + w + "'");
    PrintLine("  $ hexr" + shown);
    Outcome out = Run(words);
    for (size_t at = 0; at < out.text.size();) {
      const size_t end = std::min(out.text.find('\n', at), out.text.size());
      PrintLine("    " + out.text.substr(at, end - at));
      at = end + 1;
    }
    Check(out.code == code, meaning + (out.code == code ? "" : " (exit code " + std::to_string(out.code) + ")"));
    return out;
  }
  Outcome Run(const std::vector<std::string>& words) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return {};
    const UniqueFd out(fds[0]);
    UniqueFd in(fds[1]);
    const UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
    runtime::ChildSpec spec;
    spec.argv = {FolderOfThisProgram() + "/hexr"};
    spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    std::map<std::string, std::string> env = runtime::Environment();
    env["HEXR_HOME"] = node_.home();
    env["NO_COLOR"] = "1";
    for (const auto& [name, value] : env) spec.env.push_back(name + "=" + value);
    spec.fds = {{0, null.get()}, {1, in.get()}, {2, in.get()}};
    const auto child = runtime::SpawnChild(spec);
    if (!child.ok()) return {kFault, child.error().message()};
    in.reset();
    Outcome o;
    char buffer[4096];
    for (ssize_t n; (n = read(out.get(), buffer, sizeof buffer)) > 0;) o.text.append(buffer, static_cast<size_t>(n));
    int status = 0;
    (void)waitpid(child->pid, &status, 0);
    o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return o;
  }
  static std::vector<std::string> Agent(const std::string& role, std::vector<std::string> command) {
    std::vector<std::string> words = {"run", "--agent", "crew", "--role", role, "--"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }

  void Node() {
    Chapter("A node",
            "A supervisor, a keeper of keys, a spawner of processes, a gateway for each tenant. No root needed.");
    Check(true, "ready " + std::to_string(node_.ready_after() / std::chrono::milliseconds(1)) + " ms after its start");
  }

  void Identity() {
    Chapter("Identity",
            "Each process gets an SVID of its own, from what the kernel says of it. It needs no SDK, key or token.");
    for (const std::string role : {"researcher", "writer"}) {
      const Outcome o =
          Type(Agent(role, {hexr_, "svid", "fetch"}), kYes, "the process asked, and the kernel said who it is");
      Check(o.text.find("spiffe://demo.hexr/agent/default/crew/" + role) != std::string::npos, "it is the " + role);
    }
    // A child that is another program than the agent's: its folder is not the agent's unless it is given.
    std::vector<std::string> child = Agent("researcher", {"bash", "-c", hexr_ + " svid fetch; exit $?"});
    child.insert(child.begin() + 1, {"--ro", FolderOfThisProgram()});
    Type(child, kNo, "a child process gets none of it");
    Type(Agent("admin", {"true"}), kRunRefused, "a role that nobody granted is not started");
  }

  void TheWayOut() {
    Chapter("The way out", "The agent's network has one exit, the gateway. What is not allowed does not leave.");
    const auto fetch = [&](const std::string& host) {
      return Agent("researcher", {"bash", "-c",
                                  "exec 3<>/dev/tcp/" + host + "/80 && printf 'GET / HTTP/1.1\\r\\nHost: " + host +
                                      "\\r\\nConnection: close\\r\\n\\r\\n' >&3 && tail -n 1 <&3"});
    };
    const Outcome o = Type(fetch("reports.test"), kYes, "an allowed name, by a program that knows of no proxy");
    Check(o.text.find("all well") != std::string::npos, "its answer came through");
    Type(fetch("evil.test"), kNo, "another name is not even resolved");
    Type(Agent("researcher", {"bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(server_port_)}), kNo,
         "the host's own loopback is not there");
  }

  void TheKillSwitch() {
    Chapter("The kill switch", "When somebody ends a process, what was given to it is gone with it.");
    auto agent = BenchAgent::Launch(node_, "watcher", {"watch"}, "crew");
    const bool up = agent.ok() && agent->ReadLine(std::chrono::seconds(10)).ok();
    Check(up, up ? "an agent runs, and holds its identity" : "an agent runs: " + agent.error().message());
    if (!up) return;
    Type({"ps"}, kYes, "who runs, under which identity");
    Type({"kill", "spiffe://demo.hexr/agent/default/crew"}, kYes, "everything below that name ends");
    Check(!agent->ReadLine(std::chrono::seconds(10)).ok(), "the process is gone");
    const Outcome o = Run({"ps"});
    Check(o.text.find("crew") == std::string::npos, "nobody is left");
  }

  void Evidence() {
    Chapter("Evidence",
            "Every identity, decision and connection is in an append-only log that anyone can check without us.");
    (void)poll(nullptr, 0, 300);  // for the last checkpoint
    Type({"ledger", "tail", "-n", "4", "--tenant", "default"}, kYes, "what was done is on record");
    Type({"ledger", "verify", "--tenant", "default"}, kYes, "and the log is whole");
  }

  PrivateNode node_;
  uint16_t server_port_;
  const std::string hexr_ = FolderOfThisProgram() + "/hexr";
  UniqueFd json_;
  int shown_ = 0, failures_ = 0;
};

int RunDemo(const Invocation& in) {
  const auto server = Server::Start();
  if (!server.ok()) return Fail(server.error());
  const std::string port = std::to_string(server->port());
  auto node = PrivateNode::Start(
      "trust_domain: demo.hexr\n"
      "machine_key: file\n"
      "roles:\n"
      "  - {agent: crew, role: researcher, exe: [\"hexr*\", bash], user: \"*\"}\n"
      "  - {agent: crew, role: writer, exe: [\"hexr*\"], user: \"*\"}\n"
      "  - {agent: crew, role: watcher, exe: [\"hexr*\"], user: \"*\"}\n"
      "egress:\n"
      "  allow: [\"reports.test:80\"]\n"
      "  resolve: {reports.test: \"127.0.0.1:" +
      port +
      "\"}\n"
      "  allow_private: [\"127.0.0.0/8\"]\n"
      "ledger: {checkpoint_interval: 100ms}\n"
      "log: {level: warn}\n");
  if (!node.ok()) return Fail(node.error());
  UniqueFd json;
  if (in.output == Output::kJson) {
    std::fflush(stdout);
    json = UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!json || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return Fail(ErrnoError("stdout", errno));
  }
  return Demo(std::move(*node), server->port(), std::move(json)).Play();
}

}  // namespace

std::vector<Command> DemoCommands() {
  return {
      {"demo", "Show what hexr does, on a node of its own that is gone afterwards", "hexr demo", {}, {}, RunDemo},
  };
}

}  // namespace hexr::cli
