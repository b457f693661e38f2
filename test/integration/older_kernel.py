"""Runs a command as a kernel before 6.5 would: what tells a socket's peer by a pidfd (SO_PEERPIDFD, SO_PASSPIDFD), and what tells more of
a pidfd than its process (PIDFD_GET_INFO and its like), is not there, for the command and for all that it starts."""
import ctypes
import errno
import os
import platform
import struct
import sys

SOL_SOCKET, SO_PASSPIDFD, SO_PEERPIDFD = 1, 76, 77
AUDIT_ARCH, GETSOCKOPT, SETSOCKOPT, IOCTL = {"x86_64": (0xC000003E, 55, 54, 16), "aarch64": (0xC00000B7, 209, 208, 29)}[platform.machine()]

LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06
NUMBER, ARCH, SECOND, THIRD = 0, 4, 24, 32  # of struct seccomp_data
ALLOW, REFUSE = 0x7FFF0000, 0x00050000


def steps(*named):
    """A BPF program: each step (label, code, argument[, where to if so, where to if not])."""
    at = {step[0]: i for i, step in enumerate(named) if step[0]}
    program = b""
    for i, (_, code, k, *jumps) in enumerate(named):
        yes, no = (at[j] - i - 1 if j else 0 for j in (jumps + [None, None])[:2])
        program += struct.pack("HBBI", code, yes, no, k)
    return len(named), program


FILTER = steps(
    (None, LOAD, ARCH),
    (None, EQUAL, AUDIT_ARCH, None, "allow"),
    (None, LOAD, NUMBER),
    (None, EQUAL, IOCTL, "ioctl", None),
    (None, EQUAL, GETSOCKOPT, "option", None),
    (None, EQUAL, SETSOCKOPT, "option", "allow"),
    ("option", LOAD, SECOND),
    (None, EQUAL, SOL_SOCKET, None, "allow"),
    (None, LOAD, THIRD),
    (None, EQUAL, SO_PASSPIDFD, "no option", None),
    (None, EQUAL, SO_PEERPIDFD, "no option", "allow"),
    ("no option", RETURN, REFUSE | errno.ENOPROTOOPT),
    ("ioctl", LOAD, SECOND),
    (None, AND, 0xFF00),  # the requests of pidfds
    (None, EQUAL, 0xFF00, None, "allow"),
    (None, RETURN, REFUSE | errno.ENOTTY),
    ("allow", RETURN, ALLOW),
)


def install():
    class Program(ctypes.Structure):
        _fields_ = [("size", ctypes.c_ushort), ("steps", ctypes.c_char_p)]

    size, text = FILTER
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privs, set_seccomp, mode_filter = 38, 22, 2
    program = Program(size, text)
    if libc.prctl(set_no_new_privs, 1, 0, 0, 0) != 0 or libc.prctl(set_seccomp, mode_filter, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
