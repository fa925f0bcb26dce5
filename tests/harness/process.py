"""What runs below this process, and that nothing of it stays behind."""

import ctypes
import dataclasses
import os
import pathlib
import re
import signal
import time

PR_SET_CHILD_SUBREAPER = 36

# The sanitizers make everything slower; every limit is multiplied by this.
PATIENCE = float(os.environ.get("SMAILER_PATIENCE", "1"))


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str
    name: str
    command: str

    @property
    def role(self):
        """The role of a program of smailer, None for others.

        A program may have renamed itself, and one started by a descriptor has that as its name.
        """
        for text in (self.command, self.name, _executable(self.pid)):
            found = re.search(r"smailer[-/](master|pickup|cleanup|qmgr|smtp|sql|token|control)", text)
            if found:
                return found.group(1)
        return None


def become_subreaper():
    """From now on what loses its parent becomes a child of this process and can be found."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def _read(pid):
    try:
        directory = pathlib.Path("/proc", str(pid))
        stat = (directory / "stat").read_text(errors="replace")
        command = (directory / "cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return None
    name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
    state, parent = rest.split()[:2]
    return Process(pid, int(parent), state, name, command.decode(errors="replace").strip())


def processes():
    found = (_read(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process]


def descendants(root):
    """Everything below ROOT, zombies not counted."""
    below = {}
    for process in processes():
        below.setdefault(process.parent, []).append(process)
    result, todo = [], [root]
    while todo:
        for process in below.get(todo.pop(), []):
            todo.append(process.pid)
            if process.state not in "ZX":
                result.append(process)
    return result


def alive(pid):
    process = _read(pid)
    return process is not None and process.state not in "ZX"


def reap(pid):
    """Takes the exit status of an adopted child, so that no zombie stays."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def kill_all(victims):
    for process in victims:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not any(alive(process.pid) for process in victims), 5, "the killed to be gone")
    for process in victims:
        reap(process.pid)


def wait_for(condition, limit=10, what="the condition", interval=0.02):
    """Polls until CONDITION() is true and returns what it gave; fails after LIMIT seconds.

    WHAT is the text for the failure, or a callable that makes it.
    """
    end = time.monotonic() + limit * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {limit * PATIENCE:g} s: {text}")
        time.sleep(interval)


def stays(condition, duration, what="the condition", interval=0.05):
    """Fails when CONDITION() becomes false within DURATION seconds."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert condition(), f"did not stay: {what() if callable(what) else what}"
        time.sleep(interval)
