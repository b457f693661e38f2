#include "daemon/confinements.h"

#include <linux/capability.h>

#include <set>

namespace hexr::daemon {

using runtime::Confinement;
using runtime::SyscallProfile;

Confinement KeeperConfinement(const std::string& state_dir) {
  return {.syscalls = SyscallProfile::kLocal,
          .keep_capabilities = {CAP_DAC_READ_SEARCH, CAP_KILL},
          .limit_files = true,
          .signal_others = true,
          .readable = {"/"},
          .writable = {state_dir, "/dev/tpmrm0"}};
}

Confinement ImagesConfinement() {
  return {.syscalls = SyscallProfile::kLocal, .keep_capabilities = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH}};
}

Confinement SpawnerConfinement() {
  return {.syscalls = SyscallProfile::kParent,
          .keep_capabilities = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL, CAP_CHOWN,
                                CAP_FOWNER, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE,
                                CAP_SYS_CHROOT, CAP_MKNOD, CAP_SYS_RESOURCE}};
}

Confinement GatewayConfinement(std::optional<uid_t> own_user) {
  return {.syscalls = SyscallProfile::kServer,
          .become = own_user,
          .limit_files = true,
          .readable = {"/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf"}};
}

Confinement CourierConfinement(std::optional<uid_t> own_user) {
  return {.syscalls = SyscallProfile::kServer,
          .become = own_user,
          .limit_files = true,
          .readable = {"/etc/ssl", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf",
                       "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/ld.so.cache", "/usr/lib",
                       "/usr/lib64", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/lib", "/lib64",
                       "/run/systemd/resolve", "/run/resolvconf"}};
}

Confinement SupervisorConfinement() {
  std::set<int> all = {CAP_SETUID, CAP_SETGID, CAP_SETPCAP};  // with which they give up what they do not keep
  for (const Confinement& of : {KeeperConfinement(""), ImagesConfinement(), SpawnerConfinement(),
                                GatewayConfinement(std::nullopt), CourierConfinement(std::nullopt)})
    all.insert(of.keep_capabilities.begin(), of.keep_capabilities.end());
  return {.syscalls = SyscallProfile::kParent, .keep_capabilities = {all.begin(), all.end()}};
}

}  // namespace hexr::daemon
