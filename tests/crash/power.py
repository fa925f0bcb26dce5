"""Power cuts: what is on the disk at one instant is all that is left (see harness.disk)."""

import os
import threading
import time

from harness.disk import Disk

from .world import World

CONNECTIONS = 2
BATCH = 90
COMMIT = 0.1  # commit_interval, s
# How much longer a sync takes, and the way of a reply to the rename, on a machine that is busy.
LATE = 0.6
DELAY = 0.04  # at the relay: the batch takes longer than what may be sent twice


def why_not():
    """Why there can be no such disk here, or None."""
    if os.geteuid() != 0:
        return "only root mounts file systems"
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    try:
        with Disk(16):
            return None
    except OSError as error:
        return str(error)


def _cut(world, disk, given, seed):
    """Everything stops at one instant, and is then started on what the disk has."""
    world.recorder.freeze()
    now = time.monotonic()
    disk.cut(seed)
    world.kill_tree()
    world.note("power cut", len(given), COMMIT + LATE, now)
    world.recorder.thaw()
    disk.off()
    disk.on()
    world.revive()


def _oldest(world, given):
    """How long before the cut the oldest mail that came twice was accepted first, in ms."""
    cut = world.moments[0].time
    return max([round(1000 * (cut - times[0])) for times in map(world.recorder.accepted.get, given)
                if times and len(times) > 1], default=0)


def run(tally, seed, kind, cuts):
    """The queue and smailer's state on one disk, CUTS times without power in the middle of a batch."""
    with Disk() as disk:
        places = {"queue": disk.directory / "here", "state": disk.directory / "state"}
        for path in places.values():
            path.mkdir()
        with World(kind, tally, seed, places, CONNECTIONS, DELAY,
                   commit_interval=f"{round(COMMIT * 1000)}ms") as world:
            for at in range(cuts):
                if len(tally.violations) >= 20:
                    break
                given = world.queue.put(world, world.names(BATCH if kind != "sendmail" else 20))
                if kind != "sendmail":  # whose exit status says that they are on the disk
                    disk.sync()
                threading.Event().wait(world.random.choice((0, 1)) * world.random.uniform(0, 2.5))
                _cut(world, disk, given, f"{seed}/{at}".replace(" ", "_"))
                given += world.queue.go_on(world)
                world.settle(given)
                tally.notes["oldest, ms"] = max(tally.notes["oldest, ms"], _oldest(world, given))
                world.account(given)
                world.queue.forget(given)
            world.instance.stop()
            tally.notes["blocks lost"] += disk.lost
