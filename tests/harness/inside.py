"""What a program that was taken over could do: system calls made in its place, from within it, under
the filters that it has put on; and messages on pipes that are really its own. Needs root."""

import ctypes
import errno
import os
import platform
import re
import signal
import socket
import struct
import subprocess

from .smailer import PROJECT

PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 7, 12, 13, 16, 17
WALL = 0x40000000
REGISTERS = 27
RAX, ORIGINAL_RAX, RIP, RSP = 10, 15, 16, 19
ARGUMENTS = (14, 13, 12, 7, 9, 8)  # rdi, rsi, rdx, r10, r8, r9
SYSCALL_AND_TRAP = b"\x0f\x05\xcc"
PIDFD_OPEN, PIDFD_GETFD = 434, 438
CALLS = {"read": 0, "open": 2, "socket": 41, "connect": 42, "execve": 59, "kill": 62, "ptrace": 101,
         "openat": 257, "symlinkat": 266, "setresuid": 117, "process_vm_readv": 310, "bind": 49,
         "openat2": 437, "io_uring_setup": 425, "renameat2": 316, "getpid": 39}

available = os.geteuid() == 0 and platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.syscall.restype = ctypes.c_long


class Ended(Exception):
    """The call was the program's end; the argument is its signal."""


def ptrace(request, pid, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace({request}, {pid}): {os.strerror(code)}")


class Inside:
    """with Inside(pid) as inside: inside.call("openat", -100, "/etc/passwd", 0)"""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        ptrace(PTRACE_ATTACH, self.pid)
        self._wait()
        self._saved = self._registers()
        self._memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        self._code = os.pread(self._memory, len(SYSCALL_AND_TRAP), self._saved[RIP])
        self._over = False
        return self

    def __exit__(self, *_):
        if not self._over:
            os.pwrite(self._memory, self._code, self._saved[RIP])
            self._set(self._saved)
            ptrace(PTRACE_DETACH, self.pid)
        os.close(self._memory)

    def _wait(self):
        _, status = os.waitpid(self.pid, WALL)
        if os.WIFSIGNALED(status):
            self._over = True
            raise Ended(signal.Signals(os.WTERMSIG(status)))
        return os.WSTOPSIG(status)

    def _registers(self):
        registers = (ctypes.c_ulonglong * REGISTERS)()
        ptrace(PTRACE_GETREGS, self.pid, registers)
        return list(registers)

    def _set(self, registers):
        ptrace(PTRACE_SETREGS, self.pid, (ctypes.c_ulonglong * REGISTERS)(*registers))

    def _place(self, argument, at):
        """Texts and octets go onto the stack; returns what is to be in the register."""
        if isinstance(argument, int):
            return argument % 2**64, at
        octets = argument if isinstance(argument, bytes) else os.fsencode(argument) + b"\0"
        at = (at - len(octets)) & ~15
        os.pwrite(self._memory, octets, at)
        return at, at

    def call(self, name, *arguments):
        """Makes the call; returns its result, or minus an errno's name: "EACCES"."""
        registers, at = list(self._saved), self._saved[RSP] - 4096
        for place, argument in zip(ARGUMENTS, arguments):
            registers[place], at = self._place(argument, at)
        registers[RAX], registers[ORIGINAL_RAX] = CALLS[name], 2**64 - 1
        os.pwrite(self._memory, SYSCALL_AND_TRAP, self._saved[RIP])
        self._set(registers)
        ptrace(PTRACE_CONT, self.pid)
        while (number := self._wait()) != signal.SIGTRAP:
            libc.ptrace(PTRACE_CONT, self.pid, None, ctypes.c_void_p(number))
        result = ctypes.c_longlong(self._registers()[RAX]).value
        return errno.errorcode[-result] if -4096 < result < 0 else result


def descriptor_of(pid, number):
    """A descriptor of our own for the same file or socket."""
    pidfd = libc.syscall(PIDFD_OPEN, pid, 0)
    try:
        descriptor = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"pidfd_getfd({pid}, {number})")
    return descriptor


def pipe_between(pid, other):
    """The end that PID has of its pipe to OTHER, as a socket; None where there is none."""
    text = subprocess.run(["ss", "-H", "-x", "-a", "-p"], check=True, capture_output=True,
                          text=True).stdout
    ends = {}
    for line in text.splitlines():
        fields = line.split()
        for found in re.finditer(r"pid=(\d+),fd=(\d+)", line):
            ends.setdefault(fields[5], []).append((int(found[1]), int(found[2]), fields[7]))
    for holders in ends.values():
        for holder, number, peer in holders:
            if holder == pid and any(each[0] == other for each in ends.get(peer, [])):
                return socket.socket(fileno=descriptor_of(pid, number))
    return None


def message_types():
    """{name: number} of lib/messages.def."""
    text = (PROJECT / "lib/messages.def").read_text()
    return {name: number for number, name in enumerate(re.findall(r"^MESSAGE\((\w+),", text, re.M))}


def forge(pipe, name, octets=b""):
    """A packet of that message alone (lib/packet.h)."""
    pipe.send(struct.pack("=III", 4 + len(octets), 0, message_types()[name]) + octets)
