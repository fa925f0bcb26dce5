"""Where the time and the memory of smailer's programs go, looked at while they work.

Time: by perf, what each program is at, system calls by name and all else as its own code and its
libraries'; without perf, how often it makes which call, by strace, which slows it down. Memory: PSS,
by what is mapped.
"""

import collections
import pathlib
import re
import shutil
import signal
import subprocess
import time

import measure

KINDS = ("heap", "anonymous", "libraries' data", "code", "memory files", "stack")
PROGRAMS = 7  # master, pickup, cleanup twice, qmgr, smtp, control: then all are there
ENTRIES = 9
LEAST = 0.01  # of a program's time: less is not told


def _text(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


# Memory

def _kind(name, anonymous):
    if name == "[heap]":
        return "heap"
    if name.startswith("[stack"):
        return "stack"
    if name.startswith("/memfd:") or name.startswith("/dev/zero"):
        return "memory files"
    if name.startswith("/"):
        return "libraries' data" if anonymous else "code"
    return "anonymous"


def _mappings(pid):
    """(kind, octets of PSS) of each mapping of PID."""
    for part in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", _text(f"/proc/{pid}/smaps"), flags=re.M):
        words = part.split("\n", 1)[0].split(None, 5)
        sizes = {key: int(value) * 1024 for key, value in re.findall(r"^(\w+):\s+(\d+) kB", part, re.M)}
        if sizes.get("Pss"):
            name = words[5] if len(words) > 5 else ""
            yield _kind(name, sizes.get("Anonymous", 0) > 0), sizes["Pss"]


def memory(pids):
    """{program: {kind: octets of PSS}}, and how many processes each is."""
    found, count = collections.defaultdict(collections.Counter), collections.Counter()
    for pid in pids:
        name = measure.name(pid)
        count[name] += 1
        for kind, octets in _mappings(pid):
            found[name][kind] += octets
    return found, count


def tell_memory(found, count):
    print("  where the memory is, in MB of PSS:", flush=True)
    total = collections.Counter()
    for name, kinds in sorted(found.items(), key=lambda item: -sum(item[1].values())):
        total.update(kinds)
        times = f" ({count[name]})" if count[name] > 1 else ""
        _tell_kinds(name + times, kinds)
    _tell_kinds("all", total)


def _tell_kinds(name, kinds):
    parts = ", ".join(f"{kind} {kinds[kind] / 1e6:.1f}" for kind in KINDS if kinds[kind] > 5e4)
    print(f"    {name:12} {sum(kinds.values()) / 1e6:5.1f}: {parts}", flush=True)


# Time

def _shares(counts, total):
    parts = [f"{key} {count / total:.0%}" for key, count in counts.most_common(ENTRIES)
             if count >= total * LEAST]
    return ", ".join(parts)


class Perf:
    """Samples all processors. What is told of a program are parts of its own time."""

    def __init__(self, pids, directory):
        self.data = directory / "perf.data"
        # Threads as they come: all are sampled, and told apart by their names.
        self.process = subprocess.Popen(
            ["perf", "record", "-q", "-a", "-g", "-F", "2000", "-o", self.data],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def _samples(self, pids):
        """(program, its functions, the innermost first)"""
        lines = subprocess.run(
            ["perf", "script", "-i", self.data, "-F", "comm,pid,ip,sym"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, errors="replace").stdout
        for block in lines.split("\n\n"):
            head, *frames = block.strip("\n").split("\n")
            name, pid = (head.split() + ["", ""])[:2]
            if pid.isdigit() and int(pid) in pids and frames:
                yield (name.removeprefix("smailer-"),
                       [(frame.split(None, 1) + ["?"])[1].split("+")[0] for frame in frames])

    @staticmethod
    def _call(frames):
        for inner, outer in zip(frames, frames[1:]):
            if outer in ("do_syscall_64", "x64_sys_call"):
                return re.sub("^(__x64_sys_|__do_sys_|ksys_|__sys_)", "", inner)
        if any("page_fault" in frame for frame in frames):
            return "page faults"
        if any(frame.startswith(("entry_", "asm_", "do_syscall", "x64_sys", "syscall_", "irqentry"))
               for frame in frames):
            return "the way into the kernel and interrupts"
        return "own code and libraries"

    def tell(self, mails, pids):
        calls = collections.defaultdict(collections.Counter)
        functions = collections.defaultdict(collections.Counter)
        for name, frames in self._samples(pids):
            calls[name][self._call(frames)] += 1
            functions[name][frames[0]] += 1
        print("  where the time goes (perf, parts of each program's own):", flush=True)
        for name, counts in sorted(calls.items(), key=lambda item: -sum(item[1].values())):
            total = sum(counts.values())
            if total < LEAST * sum(map(lambda each: sum(each.values()), calls.values())):
                continue
            print(f"    {name:8} {_shares(counts, total)}\n"
                  f"             functions: {_shares(functions[name], total)}", flush=True)


class Strace:
    """Counts the system calls."""

    def __init__(self, pids, directory):
        self.started = []
        for pid in pids:
            path = directory / f"calls.{pid}"
            self.started.append((measure.name(pid), path, subprocess.Popen(
                ["strace", "-f", "-c", "-o", path, "-p", str(pid)], stderr=subprocess.DEVNULL)))

    def end(self):
        for _, _, process in self.started:
            process.send_signal(signal.SIGINT)
            process.wait()

    def tell(self, mails, _):
        calls = collections.defaultdict(collections.Counter)
        for name, path, _ in self.started:
            for line in _text(path).splitlines():
                words = line.split()
                if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
                    calls[name][words[-1]] += int(words[3])
        print("  system calls a mail (strace; there is no perf):", flush=True)
        for name, counts in sorted(calls.items(), key=lambda item: -sum(item[1].values())):
            parts = ", ".join(f"{call} {count / mails:.2f}"
                              for call, count in counts.most_common(ENTRIES)
                              if count >= mails * LEAST)
            if parts:
                print(f"    {name:8} {sum(counts.values()) / mails:.1f}: {parts}", flush=True)


def _works(command):
    return shutil.which(command[0]) is not None and subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def choose(directory):
    """The tool that there is, or None."""
    if _works(["perf", "record", "-q", "-a", "-o", directory / "try", "true"]):
        return Perf
    return Strace if _works(["strace", "-o", "/dev/null", "true"]) else None


def run(system, directory):
    """Starts SYSTEM, which is filled, and tells of its programs what they spend."""
    tool = choose(directory)
    system.start()
    while len(measure.tree(system.pid)) < PROGRAMS:
        time.sleep(0.002)
    profile = tool(measure.tree(system.pid)[1:], directory) if tool else None
    mails, pids = system.waiting(), set()
    most, looked = ({}, {}), 0
    while not system.is_empty():
        if time.monotonic() - looked > 0.3:
            tree = measure.tree(system.pid)
            pids.update(tree)
            most = max(most, memory(tree), key=_sum)
            looked = time.monotonic()
        time.sleep(0.01)
    if profile is None:
        print("  where the time goes: neither perf nor strace works here", flush=True)
    else:
        profile.end()
        profile.tell(max(mails, 1), pids)
    tell_memory(*most)


def _sum(found):
    return sum(sum(kinds.values()) for kinds in found[0].values())
