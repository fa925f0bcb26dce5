"""What strace does to one process (or thread) of smailer's: counts its calls, kills it before one of
them, or lets one fail.

A tracer sees a call before the sandbox's filter does, and needs no leave of it: what is fatal there
is to call ptrace(2), not to be traced.
"""

import contextlib
import os
import pathlib
import re
import select
import signal
import subprocess
import time

# write, fsync, rename, unlink and send with their variants, and what else changes files.
CALLS = ("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg", "sendfile",
         "copy_file_range", "fsync", "fdatasync", "syncfs", "sync_file_range", "rename", "renameat",
         "renameat2", "unlink", "unlinkat", "link", "linkat", "mkdir", "mkdirat", "open", "openat",
         "openat2", "ftruncate", "fallocate", "utimensat", "fchown", "fchownat", "fchmod",
         "fchmodat", "memfd_create")


def threads(pid):
    """The threads of a process, the first one first."""
    return sorted(int(each) for each in os.listdir(f"/proc/{pid}/task"))


class Strace:
    """Attached to one thread from its making until end() or the thread's death."""

    def __init__(self, thread, *arguments, output="/dev/null"):
        self.process = subprocess.Popen(
            ["strace", "-o", output, "-p", str(thread), *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._wait_until_attached(thread)

    def _wait_until_attached(self, thread):
        """It says so on standard error; where the thread is gone already, it ends."""
        said, end = b"", time.monotonic() + 30
        while b"attached" not in said:
            if not select.select([self.process.stderr], [], [], end - time.monotonic())[0]:
                raise AssertionError(f"strace does not attach to {thread}: {said!r}")
            part = os.read(self.process.stderr.fileno(), 4096)
            if not part:
                raise ProcessLookupError(f"strace -p {thread}: {said!r}")
            said += part

    @property
    def over(self):
        """True once the traced thread is gone."""
        return self.process.poll() is not None

    def end(self):
        """Detaches; the thread goes on."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def count_arguments(calls=CALLS):
    return ["-c", "-U", "name,calls", "-e", "trace=" + ",".join(calls)]


def kill_arguments(call, index):
    """SIGKILL before the INDEXth (from 1) CALL."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={index}"]


def fail_arguments(calls, error, when):
    """ERROR from those of CALLS, together, that WHEN (FIRST[..LAST][+STEP]) names."""
    listed = ",".join(calls)
    return ["-e", f"trace={listed}", "-e", f"inject={listed}:error={error}:when={when}"]


def counts(path):
    """{call: how often} of a summary."""
    text = pathlib.Path(path).read_text(errors="replace")
    found = re.findall(r"^(\w+)\s+(\d+)$", text, re.M)
    return {name: int(number) for name, number in found if name != "total"}
