"""A batch of mails with one thread of one program under strace."""

import time

from harness.process import alive, wait_for

from . import strace
from .world import SETTLE_LIMIT

BATCH = 10
# Where one of several processes of a role is meant: its number. The last cleanup reads for listings.
INSTANCES = {"cleanup": ("cleanup", 0), "lister": ("cleanup", 1)}
# How many cleanups read mails: one, so that none of them goes past the one that is traced.
CLEANUPS = 1
# qmgr's threads beside its main one, in the order in which they are started.
THREADS = {"syncer": 1, "committer": 2}
# What a listing goes through.
ASKED = ("control", "lister")


def _pids(world, target):
    if target in INSTANCES:
        return world.pids_of(*INSTANCES[target])
    return world.pids("qmgr" if target in THREADS else target)


def find(world, target):
    """The thread that TARGET names, once it is there."""
    def look():
        pids = _pids(world, target)
        found = strace.threads(pids[0]) if pids else []
        at = THREADS.get(target, 0)
        return found[at] if len(found) > at else None
    return wait_for(look, 90, f"a process of {target}")


def prepare(world, target):
    """One mail goes through first: who dies before a first job is started less and less often."""
    world.round(4 if target == "worker" else 1)
    if target == "control":
        world.instance.cli("status")
    if target == "lister":
        world.instance.cli("queue")
    if target == "smtp":  # it has something to do only where a worker is missing
        for worker in world.pids("worker"):
            world.send(worker)


def _attach(world, target, arguments, output):
    while True:
        thread = find(world, target)
        try:
            return thread, strace.Strace(thread, *arguments, output=output)
        except (ProcessLookupError, FileNotFoundError):
            continue


def run(world, target, arguments, output="/dev/null", note=None):
    """Hands in a batch while TARGET is traced, and lets it drain; True where the program died of it.

    NOTE(died, since) says to the account what happened from SINCE on, before the mails are looked
    at."""
    prepare(world, target)
    names = world.names(BATCH)
    thread, tracer = _attach(world, target, arguments, output)
    since = time.monotonic()
    with tracer:
        given = world.queue.put(world, names)
        if target in ASKED:
            world.instance.cli("queue")
        given += world.queue.go_on(world)
        # A disk that failed is looked at again after a second: failures must end by then.
        end = time.monotonic() + SETTLE_LIMIT
        while not tracer.over and time.monotonic() < end:
            if not world.unsettled(given) and not world.queue.leftovers():
                break
            time.sleep(0.01)
        died = tracer.over and not alive(thread)
        if note:
            note(died, since)
    world.revive()
    world.finish(given)
    return died
