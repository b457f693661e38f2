// What a process of the node gives up once it has started: capabilities, new privileges, being dumped, the file tree
// (Landlock), system calls (seccomp). Irrevocable, for the whole process; call before any other thread is started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hexr::runtime {

// Which system calls stay. Everything else fails with EPERM (ENOSYS where the C library has a way around it).
enum class SyscallProfile : uint8_t {
  kServer,  // network sockets, files to read, what is handed over, threads, time: no socket on a path, no change of a
            // file but by appending, no exec, no fork, no ptrace, no namespaces, no kernel interfaces
  kLocal,   // files and sockets on a path, and no network socket; else as kServer
  kParent,  // for the parents of agents, whose filter every agent inherits: kernel interfaces (modules, BPF, kexec,
            // keyrings, io_uring…) are gone, the rest stays
};

struct Confinement {
  SyscallProfile syscalls = SyscallProfile::kServer;
  std::vector<int> keep_capabilities;  // CAP_…; dropped from the bounding set as well
  std::optional<uid_t> become;         // changes to this uid and gid first; needs CAP_SETUID
  bool limit_files = false;            // Landlock: only what the two lists name
  bool signal_others = false;          // with limit_files, Landlock keeps signals inside this process unless set
  std::vector<std::string> readable;   // folders and files; missing ones are skipped
  std::vector<std::string> writable;   // may be read, written, made and removed
};

// What holds in the end; for `hexr doctor` and logs.
struct Confined {
  int landlock_abi = 0;  // 0: none in this kernel
  bool seccomp = false;
  bool no_new_privs = false;
};

// INTERNAL or PERMISSION_DENIED when a step that the kernel offers does not work: the process must not go on.
// Landlock that the kernel lacks is reported, not an error.
Result<Confined> Confine(const Confinement& c);

// PR_SET_DUMPABLE 0 and RLIMIT_CORE 0: no memory of ours in a core file, no ptrace by the same user.
Status ForbidDumps();

}  // namespace hexr::runtime
