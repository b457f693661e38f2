"""Attacks that an agent tries from inside. usage: agent_attacks.py NAME [ARGUMENT]

Prints "open" when the attack worked and "closed: WHY" when something stopped it. Run by attack_test.cc through a real launch.
"""
import array
import ctypes
import errno
import os
import signal
import socket
import struct
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return result


def vsock():
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


def mptcp():
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)


def socket_types(which):
    """Of "f,t,p;…": what becomes of each. A type of "pair:t" is made by socketpair."""
    said = []
    for one in which.split(";"):
        family, kind, protocol = one.split(",")
        try:
            if kind.startswith("pair:"):
                call(53, int(family), int(kind[5:]), int(protocol), ctypes.create_string_buffer(8))
            else:
                call(41, int(family), int(kind), int(protocol))
            said.append(f"{one}: open")
        except OSError as e:
            said.append(f"{one}: {errno.errorcode.get(e.errno, e.errno)}")
    print("; ".join(said))
    sys.exit()


def packet():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)


def netlink():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9)  # audit


def io_uring():
    call(425, 4, ctypes.create_string_buffer(120))


def userns():
    call(272, 0x10000000)  # unshare(CLONE_NEWUSER)


def clone_userns():
    pid = call(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)


def clone3():
    if call(435, ctypes.create_string_buffer(88), 88) == 0:
        os._exit(0)


def mount():
    call(165, b"x", b"/tmp", b"tmpfs", 0, 0)


def mount_in_userns():
    """The rights over a mount namespace that everybody can give themselves."""
    call(272, 0x10000000 | 0x00020000)  # unshare(CLONE_NEWUSER | CLONE_NEWNS)
    call(165, b"x", b"/tmp", b"tmpfs", 0, 0)


def shared_memory(key):
    """A System V segment by its key."""
    call(29, int(key), 0, 0)  # shmget


def bpf():
    call(321, 0, ctypes.create_string_buffer(128), 128)


def keyring():
    call(248, b"user", b"hexr", b"secret", 6, -2)  # add_key into the process keyring


def newer_call():
    call(600)


def x32():
    call(0x40000000 + 39)


def ptrace_sibling():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        call(101, 16, pid, 0, 0)  # PTRACE_ATTACH
    finally:
        os.kill(pid, signal.SIGKILL)


def read_init():
    os.listdir("/proc/1/fd")


def kill_init():
    os.kill(1, signal.SIGKILL)


def kill_everybody():
    os.kill(-1, 0)
    raise OSError(errno.ESRCH, "nobody but ourselves")


def prlimit_init():
    call(302, 1, 7, 0, ctypes.create_string_buffer(16))


def prlimit_other(pid):
    call(302, int(pid), 7, 0, ctypes.create_string_buffer(16))


def kill_other(pid):
    os.kill(int(pid), 0)


def ptrace_other(pid):
    call(101, 16, int(pid), 0, 0)  # PTRACE_ATTACH
    call(101, 17, int(pid), 0, 0)


def read_memory_of_other(pid):
    address = int(open(f"/proc/{pid}/maps").readline().split("-")[0], 16)
    here, there = ctypes.create_string_buffer(8), (ctypes.c_uint64 * 2)(address, 8)
    mine = (ctypes.c_uint64 * 2)(ctypes.addressof(here), 8)
    call(310, int(pid), ctypes.byref(mine), 1, ctypes.byref(there), 1, 0)  # process_vm_readv


def vm_readv_other(pid):
    """The call alone: a process that is there answers EFAULT for address 8, one that is not ESRCH."""
    here = ctypes.create_string_buffer(8)
    mine, there = (ctypes.c_uint64 * 2)(ctypes.addressof(here), 8), (ctypes.c_uint64 * 2)(8, 8)
    call(310, int(pid), ctypes.byref(mine), 1, ctypes.byref(there), 1, 0)


def take_descriptor_of_other(pid):
    call(438, call(434, int(pid), 0), 0, 0)  # pidfd_getfd(pidfd_open(pid), 0)


def write_memory_of_child():
    mine = ctypes.create_string_buffer(b"before", 8)
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(here, 1)
        os._exit(0 if mine.raw.startswith(b"after!") else 1)
    try:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(ctypes.addressof(mine))
            memory.write(b"after!")
    finally:
        os.write(there, b"x")
        changed = os.waitpid(pid, 0)[1] == 0
    if not changed:
        raise OSError(errno.EIO, "it is as it was")


def read_memory_of_parent(dumpable="1"):
    """As a child that its role gives no identity would read the key of the process that has one."""
    libc.prctl(4, int(dumpable), 0, 0, 0)
    mine = ctypes.create_string_buffer(b"secret", 8)
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open(f"/proc/{os.getppid()}/mem", "rb", buffering=0) as memory:
                memory.seek(ctypes.addressof(mine))
                os.write(there, b"\0" if memory.read(6) == b"secret" else bytes([errno.EIO]))
        except OSError as e:
            os.write(there, bytes([e.errno]))
        os._exit(0)
    os.waitpid(pid, 0)
    said = os.read(here, 1)[0]
    if said:
        raise OSError(said, "the child was refused")


def environment_of_other(pid):
    open(f"/proc/{pid}/environ", "rb").read()


def setuid_chmod():
    with open("s", "w"):
        pass
    os.chmod("s", 0o4755)
    if not os.stat("s").st_mode & stat.S_ISUID:
        raise OSError(errno.EPERM, "bit was not kept")


def setuid_open():
    os.close(os.open("o", os.O_CREAT | os.O_WRONLY, 0o4755))
    if not os.stat("o").st_mode & stat.S_ISUID:
        raise OSError(errno.EPERM, "bit was not kept")


def setuid_fchmodat2():
    with open("f", "w"):
        pass
    call(452, -100, b"f", 0o4755, 0)


def setuid_mknod():
    os.mknod("m", 0o100000 | 0o4755)
    if not os.stat("m").st_mode & stat.S_ISUID:
        raise OSError(errno.EPERM, "bit was not kept")


def setuid_openat2():
    how = array.array("Q", [os.O_CREAT | os.O_WRONLY, 0o4755, 0])
    call(437, -100, b"p", ctypes.c_void_p(how.buffer_info()[0]), 24)


def host_socket(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)


def later_host_socket(path):
    print("ready", flush=True)
    sys.stdin.readline()
    host_socket(path)


def abstract_socket(name):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect("\0" + name)


def self_connect(address="198.18.0.7", family=socket.AF_INET, times=60000):
    """A connection to a port without listener must not meet itself (simultaneous open with its own source port)."""
    ip_local_port_range = 51  # Linux 6.3 lets whoever asks narrow the choice; before that many tries do
    while times > 0:
        times -= 1
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.setsockopt(socket.IPPROTO_IP, ip_local_port_range, struct.pack("I", 40000 | 40001 << 16))
            times = min(times, 200)
        except OSError:
            pass
        try:
            s.connect((address, 40000))
            return
        except ConnectionRefusedError:
            pass
        finally:
            s.close()
    raise ConnectionRefusedError(errno.ECONNREFUSED, "never met itself")


def self_connect_v6():
    self_connect("2001:db8::7", socket.AF_INET6, 30000)


def outside(address):
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=5)


def udp(address):
    """A datagram to wherever: something has to take it, or the next call says that nothing does."""
    host, port = address.rsplit(":", 1)
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    s.connect((host, int(port)))
    s.send(b"out")
    s.send(b"out")
    s.recv(1)


def ping(address):
    """Without rights, where the machine lets everybody (net.ipv4.ping_group_range)."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)
    s.settimeout(2)
    s.sendto(b"\x08\0\0\0\0\0\0\0", (address, 0))
    s.recv(64)


def raw(address):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).sendto(b"x", (address, 0))


def privileged_port():
    socket.socket().bind(("0.0.0.0", 81))


def write_resolver():
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver 192.0.2.1\n")


def replace_sockets():
    os.rename("/run/hexr", "/run/mine")


def write_root():
    with open("/planted", "w"):
        pass


def write_usr():
    with open("/usr/planted", "w"):
        pass


def tiocsti():
    import fcntl
    import pty
    master, slave = pty.openpty()
    fcntl.ioctl(slave, 0x5412, b"x")


def main():
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except (OSError, PermissionError) as e:
        print("closed:", errno.errorcode.get(e.errno, e.errno))
    else:
        print("open")


main()
