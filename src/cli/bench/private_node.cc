#include "cli/bench/private_node.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/admin_client.h"

namespace hexr::cli::bench {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// "hexrd\0--role\0gateway/default\0" → "gateway/default"; empty for a process that is no role of ours.
std::string RoleOf(pid_t pid) {
  const std::string line = Slurp("/proc/" + std::to_string(pid) + "/cmdline");
  const std::string mark = std::string("--role") + '\0';
  const size_t at = line.find(mark);
  return at == std::string::npos ? "" : std::string(line.c_str() + at + mark.size());
}

}  // namespace

Result<PrivateNode> PrivateNode::Start(const std::string& config_yaml) {
  ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::Make());
  std::map<std::string, std::string> environment = runtime::Environment();
  environment["HEXR_HOME"] = folder.path();
  ASSIGN_OR_RETURN(config::Paths paths, config::Paths::From(geteuid() == 0, environment));
  std::error_code e;
  std::filesystem::create_directories(std::filesystem::path(paths.config_file).parent_path(), e);
  std::ofstream(paths.config_file) << config_yaml;
  ASSIGN_OR_RETURN(StartedNode started, StartNode(paths, environment, true));
  return PrivateNode(std::move(folder), std::move(paths), std::move(started));
}

PrivateNode::~PrivateNode() {
  if (!started_.process.pidfd) return;  // moved from
  (void)StopNode(started_.process.pid);
  (void)runtime::ReapChild(started_.process.pidfd.get());
}

std::vector<PrivateNode::Process> PrivateNode::Processes() const {
  const pid_t supervisor = started_.process.pid;
  std::vector<Process> out = {{"supervisor", supervisor}};
  const std::string pid = std::to_string(supervisor);
  std::istringstream children(Slurp("/proc/" + pid + "/task/" + pid + "/children"));
  for (pid_t child = 0; children >> child;) {
    if (std::string role = RoleOf(child); !role.empty()) out.push_back({std::move(role), child});
  }
  return out;
}

Result<pid_t> PrivateNode::PidOf(const std::string& name) const {
  for (const Process& p : Processes()) {
    if (p.name == name) return p.pid;
  }
  return NotFound("no process " + name + " runs");
}

Result<CpuTime> PrivateNode::Cpu() const {
  CpuTime all{};
  for (const Process& p : Processes()) {
    ASSIGN_OR_RETURN(const CpuTime one, CpuTimeOf(p.pid));
    all += one;
  }
  return all;
}

Result<wire::Json> PrivateNode::Ask(const std::string& method, const std::map<std::string, std::string>& args) const {
  ASSIGN_OR_RETURN(AdminReply reply, Admin(paths_, method, args));
  return std::move(reply.json);
}

Result<Memory> MemoryOf(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  std::istringstream rollup(Slurp(folder + "/smaps_rollup"));
  for (std::string word; rollup >> word;) {
    uint64_t kib = 0;
    if (word == "Pss:" && rollup >> kib) return Memory{kib * 1024, true};
  }
  // A process that is not dumpable shows its maps to root alone.
  std::istringstream statm(Slurp(folder + "/statm"));
  uint64_t total = 0, resident = 0;
  if (!(statm >> total >> resident)) return NotFound("process " + std::to_string(pid) + " has ended");
  return Memory{resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), false};
}

}  // namespace hexr::cli::bench
