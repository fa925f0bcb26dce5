"""Death at chosen points: before every call of a list that a program makes for ten mails."""

import subprocess
import time

from harness.process import alive, wait_for
from harness.smailer import program

from . import strace, traced
from .kills import excuses
from .traced import BATCH, CLEANUPS
from .world import ROOM, SETTLE_LIMIT, World

# Beyond what the counting run saw: runs differ a little.
SLACK = 2
PROGRAMS = ("pickup", "cleanup", "lister", "qmgr", "committer", "syncer", "smtp", "worker",
            "control", "sql")


def targets(kind):
    """Whom it is worth to kill: who has to do with mails of that kind."""
    if kind == "maildrop":  # what comes after is as with sendmail
        return ["qmgr", "committer", "syncer"]
    left_out = {"sql": ("pickup", "committer", "syncer")}.get(kind, ("sql",))
    return [each for each in PROGRAMS if each not in left_out]


def count(world, target, calls=strace.CALLS):
    """{call: how often} TARGET makes each of CALLS for a batch."""
    path = world.instance.root / "counts"
    traced.run(world, target, strace.count_arguments(calls), path)
    return strace.counts(path)


def chosen(indexes, most, choice):
    """MOST of them, or all (None)."""
    return indexes if most is None or len(indexes) <= most else choice.sample(indexes, most)


def run(tally, seed, kind, target, most=None):
    """SIGKILL to TARGET before each index of each call (of MOST, where given)."""
    with World(kind, tally, seed, connections=1, cleanups=CLEANUPS) as world:
        points = [(call, index) for call, number in sorted(count(world, target).items())
                  for index in range(1, number + SLACK + 1)]
        for call, index in chosen(points, most, world.random):
            if len(tally.violations) >= 20:
                break

            def note(died, since):
                if died:
                    world.note(f"{target} killed before {call} {index}", excuses(target, kind),
                               when=since, lasts=time.monotonic() - since)
            if traced.run(world, target, strace.kill_arguments(call, index), note=note):
                tally.notes[call] += 1


# a slow disk


def _kill_soon(world, note):
    time.sleep(world.random.uniform(0.2, 1))
    [victim] = world.pids("qmgr")
    world.send(victim)
    world.note(note, ROOM)


def _slow_moves(world):
    """Each rename takes its time, and qmgr dies while the relay is ahead of them."""
    given = world.queue.put(world, world.names(BATCH * 2))
    with strace.Strace(traced.find(world, "committer"), "-e", "trace=renameat2", "-e",
                       "inject=renameat2:delay_enter=150000"):
        before = world.recorder.total
        wait_for(lambda: world.recorder.total >= before + 2, 30, "mails at the relay")
        _kill_soon(world, "qmgr killed while its disk is slow")
    world.finish(given)


def _failing_moves(world):
    """No rename works, whatever the relay takes, and then qmgr dies."""
    names = [name for name in world.names(BATCH * 3) if name.endswith(".ok")]
    given = []
    with strace.Strace(traced.find(world, "committer"),
                       *strace.fail_arguments(("renameat2",), "ENOSPC", "1+")):
        before = world.recorder.total
        for at in range(0, len(names), 3):  # too few to become a list, which is split by renames
            given += world.queue.put(world, names[at:at + 3])
        wait_for(lambda: world.recorder.total > before, 30, "a mail at the relay")
        _kill_soon(world, "qmgr killed while its disk is full")
    world.finish(given)


def run_failing(tally, seed, kills):
    """What cannot be moved keeps its place: no more than a worker's room comes twice."""
    with World("spool", tally, seed, connections=1, delay=0) as world:
        for _ in range(kills):
            traced.prepare(world, "committer")
            _failing_moves(world)


def run_slow(tally, seed, kills):
    """A worker gets no other mail until what it sent is moved: no more than its room comes twice."""
    with World("spool", tally, seed, connections=1, delay=0) as world:
        for _ in range(kills):
            traced.prepare(world, "committer")
            _slow_moves(world)


# master, from its first call to its last


def _start_traced(world, arguments, output="/dev/null"):
    """Starts smailer-master under strace; returns strace, whose child it is."""
    instance = world.instance
    with open(instance.root / "output", "ab") as log:
        instance.process = instance.popen(
            "strace", "-o", output, *arguments, program("smailer-master"), "-c", instance.conf,
            stdout=log, stderr=log)
    return instance.process


def _life(world, arguments, output="/dev/null"):
    """Mails wait, a traced master sends them and is told to end. True where it was killed."""
    names = world.names(BATCH)
    given = world.queue.put(world, names)
    tracer = _start_traced(world, arguments, output)
    end = time.monotonic() + SETTLE_LIMIT
    while tracer.poll() is None and world.unsettled(given) and time.monotonic() < end:
        time.sleep(0.01)
    killed = tracer.poll() is not None
    if not killed:
        master = [each.pid for each in world.instance.processes() if each.role == "master"]
        for pid in master:
            world.send(pid, 15)
        try:
            killed = tracer.wait(30) != 0
        except subprocess.TimeoutExpired:
            world.tally.blame("a traced master does not end")
    if killed:
        call = arguments[-1].split("=", 1)[1]
        world.note(f"master killed, {call}", excuses("master", world.queue.kind))
    wait_for(lambda: not [each for each in world.instance.left_behind() if alive(each.pid)], 20,
             "the programs to end")
    world.instance.start()
    world.finish(given)
    world.instance.stop()
    return killed


def run_master(tally, seed, kind, most=None):
    """SIGKILL to master before each index of each call, from its start to its end."""
    with World(kind, tally, seed) as world:
        world.instance.stop()
        path = world.instance.root / "counts"
        _life(world, strace.count_arguments(), path)
        tally.tries = 0
        points = [(call, index) for call, number in sorted(strace.counts(path).items())
                  for index in range(1, number + 1)]
        for call, index in chosen(points, most, world.random):
            if len(tally.violations) >= 20:
                break
            if _life(world, strace.kill_arguments(call, index)):
                tally.notes[call] += 1
