"""Calls that fail: the disk is full, broken, over its quota, or descriptors have run out."""

import time

from . import points, strace, traced
from .kills import excuses
from .traced import CLEANUPS
from .world import World

WRITES = ("write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range", "ftruncate",
          "fallocate")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync_file_range")
NAMES = ("renameat", "renameat2", "linkat", "mkdirat", "unlinkat", "fchown", "fchmod", "utimensat")
OPENS = ("open", "openat", "openat2", "memfd_create", "dup", "dup3", "socket", "socketpair",
         "pipe2", "eventfd2", "epoll_create1", "timerfd_create", "inotify_init1", "accept4",
         "fcntl", "getdents64")
# Which calls can fail so: every call of a group fails in its turn, alone and many in a row.
ERRORS = {
    "ENOSPC": (WRITES, SYNCS, NAMES, ("openat", "openat2")),
    "EIO": (WRITES, SYNCS, NAMES, ("openat", "openat2", "getdents64", "read", "pread64")),
    "EDQUOT": (WRITES, SYNCS, NAMES, ("openat", "openat2")),
    "EMFILE": (OPENS,),
}
# The first, one in the middle of the work, a burst from the start, and every other one for a while.
WHENS = ("1", "{}", "1..4", "2..8+2")
TARGETS = ("committer", "syncer", "qmgr", "pickup", "cleanup", "lister", "control", "smtp", "worker")


def cases():
    return [(calls, error, when) for error, groups in ERRORS.items() for calls in groups
            for when in WHENS]


def one(world, target, calls, error, when):
    """Mails are handed in while TARGET's CALLS fail; then it must go on by itself."""
    when = when.format(world.random.randint(2, 20))
    output = world.instance.root / "failures"

    def note(died, since):
        failed = output.read_text(errors="replace").count("(INJECTED)")
        if died or target in ("worker", "smtp"):
            # A worker whose connection breaks does not know of what it has sent.
            world.note(f"{target}: {error} from {'/'.join(calls)} at {when}",
                       excuses(target, world.queue.kind) * max(1, failed), when=since,
                       lasts=time.monotonic() - since)
            world.tally.tries -= 1
        world.tally.tries += failed > 0
        world.tally.notes[error] += failed
        world.tally.notes["died"] += died

    before = len(world.tally.violations)
    traced.run(world, target, strace.fail_arguments(calls, error, when), output, note)
    if len(world.tally.violations) > before:
        world.tally.blame(f"… where {target} got {error} from {'/'.join(calls)} at {when}")


def run(tally, seed, kind, target, most):
    """Errors from groups of TARGET's calls, in a random order, until MOST cases met a call."""
    with World(kind, tally, seed, connections=1, cleanups=CLEANUPS) as world:
        every = sorted({call for case in cases() for call in case[0]})
        made = points.count(world, target, every)
        met = [case for case in cases() if any(call in made for call in case[0])]
        for case in world.random.sample(met, len(met)):
            if tally.tries >= most or len(tally.violations) >= 20:
                break
            one(world, target, *case)
