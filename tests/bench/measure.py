"""Processor time and memory of a tree of processes, and the median of several runs."""

import os
import pathlib
import re
import statistics

from harness.process import descendants

TICK = os.sysconf("SC_CLK_TCK")


def _read(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def tree(root):
    return [root] + [each.pid for each in descendants(root)]


def _threads_time(pid):
    """Seconds that the living threads of PID were on a processor."""
    total = 0
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        words = _read(path).split()
        total += int(words[0]) if words else 0
    return total / 1e9


def _times(pid):
    """utime, stime, and those of children that ended, in seconds."""
    words = _read(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()
    return [int(word) / TICK for word in words[11:15]] if words else [0] * 4


def cpu(pids):
    """{name of the program: (seconds, its part in the kernel)}; ended children count for parents."""
    result = {}
    for pid in pids:
        own = _threads_time(pid)
        user, system, children_user, children_system = _times(pid)
        kernel = own * system / (user + system) if user + system else 0
        program = name(pid)
        seconds, in_kernel = result.get(program, (0, 0))
        result[program] = (seconds + own + children_user + children_system,
                        in_kernel + kernel + children_system)
    return result


def name(pid):
    """Of the program that PID runs."""
    words = _read(f"/proc/{pid}/cmdline").replace("\0", " ").split()
    program = os.path.basename(words[0]).rstrip(":") if words else "ended"
    return program.removeprefix("smailer-")


def _memory_files(pid):
    """{inode: octets} of the memory files that the process holds open."""
    found = {}
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{number}"
            if os.readlink(path).startswith("/memfd:"):
                status = os.stat(path)
                found[status.st_ino] = status.st_blocks * 512
    except OSError:
        pass
    return found


def memory(pids):
    """Octets: the PSS of all, and the memory files, each counted once."""
    total, files = 0, {}
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", _read(f"/proc/{pid}/smaps_rollup"), re.M)
        total += int(found.group(1)) * 1024 if found else 0
        files.update(_memory_files(pid))
    return total + sum(files.values())


def median(values):
    return statistics.median(values)
