"""The time of day jumps, both ways, while mails are deferred, held for a quota, or kept.

The programs are those of a build in which tests/crash/clock.c moves the clock; the kernel's stays, so
the times of files are those of before the jump, also of files that are made after it.
"""

import os
import shutil
import struct
import time

from harness.process import stays, wait_for
from harness.smailer import BUILD, Smailer

from . import queues
from .world import World

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
JUMPS = (HOUR, -HOUR, DAY, -DAY, YEAR, -YEAR)
PROGRAMS = BUILD / "build/clock"
BATCH = 20


def why_not():
    """Why there can be no jump here, or None."""
    return None if (PROGRAMS / "bin/smailer-master").exists() else "make clock-programs was not run"


class Clocked(Smailer):
    """Has programs of its own, and a clock of its own."""

    def start(self, *arguments, wait=True):
        programs = self.root / "programs"
        if not programs.exists():
            for place in ("bin", "libexec"):
                shutil.copytree(PROGRAMS / place, programs / place)
            self.offset = programs / "offset"
            self.offset.write_bytes(struct.pack("<q", 0))
        with open(self.root / "output", "ab") as output:
            self.process = self.popen("setpriv", "--pdeathsig", "TERM", programs / "bin/smailer-master",
                                      "-c", self.conf, *arguments, stdout=output, stderr=output)
        if wait:
            self.wait_until_ready()
        return self

    def set_clock(self, offset):
        """OFFSET seconds from the true time, from now on."""
        with open(self.offset, "r+b", buffering=0) as file:  # the same file: it is mapped
            file.write(struct.pack("<q", offset))


def _jump(world, offset):
    world.instance.set_clock(offset)
    world.note(f"the clock jumps by {offset} s", 0)


def _deferred(world, names):
    ends = world.queue.ends(names)
    return [name for name in names if name.endswith(".later")
            and world.recorder.tried[name.encode()] == 1 and "deferred" in ends[name]]


def run_deferred(tally, seed, kind, jumps):
    """Mails are deferred, the clock jumps there and back: each is sent after retry_interval."""
    with World(kind, tally, seed, instance=Clocked, retry_interval="2s", keep_sent="0",
               keep_dropped="0") as world:
        for offset in jumps:
            for moment in (offset, 0):
                given = world.queue.put(world, world.names(BATCH))
                if kind == "spool":
                    wait_for(lambda: _deferred(world, given), 20, "deferred mails")
                _jump(world, moment)
                given += world.queue.go_on(world)
                world.settle(given, 30)
                world.account(given)
                world.queue.forget(given)


def _single(world, number):
    name = f"quota-{number:06}.ok"
    world.queue.put(world, [name])
    return name


def _fill_quota(world, limit, first):
    """As many as a day allows are sent, and one more is held; that one."""
    names = [_single(world, first + at) for at in range(limit)]
    wait_for(lambda: all(name in world.recorder.accepted for name in names), 30, "the day's mails")
    held = _single(world, first + limit)
    stays(lambda: held not in world.recorder.accepted, 1, "held for the quota")
    return held


def run_quota(tally, seed, jumps):
    """A day's quota is spent; whatever the clock did, two days later there is room again."""
    limit = 3
    with World("spool", tally, seed, instance=Clocked, keep_sent="0") as world:
        world.instance.accounts[queues.SENDER]["mails_per_day"] = limit
        world.instance.configure()
        world.instance.reload()
        offset = 0
        for number, jump in enumerate(jumps):
            held = _fill_quota(world, limit, 100 * (number + 1))
            _jump(world, offset + jump)
            offset = offset + jump + 2 * DAY + 2 * HOUR
            world.instance.set_clock(offset)
            wait_for(lambda: held in world.recorder.accepted, 30, lambda: (
                f"{held}, two days after a jump by {jump} s: {world.instance.tail(5)}"))
            tally.mails += limit + 1
            offset += DAY + 2 * HOUR  # the one that was held counts, too
            world.instance.set_clock(offset)


def run_retention(tally, seed, jumps):
    """What was sent is removed when it is old by the clock; what was not is kept whatever it says."""
    with World("spool", tally, seed, instance=Clocked, keep_sent="30m", keep_dropped="30m",
               retry_interval="30d") as world:
        for jump in jumps:
            given = world.queue.put(world, world.names(10))
            later = [name for name in given if name.endswith(".later")]
            done = [name for name in given if name not in later]
            world.settle(done)
            wait_for(lambda: len(_deferred(world, given)) == len(later), 20, "deferred mails")
            _jump(world, jump)
            world.instance.restart()  # which sweeps at once
            ends = world.queue.ends(given)
            if jump > 0:
                wait_for(lambda: not any(world.queue.ends(done).values()), 30, "old mails to go")
            for name in later:
                if ends[name] not in (["deferred"], [queues.SENT]):
                    tally.blame(f"{name} is in {ends[name]} after a jump by {jump} s")
            world.instance.set_clock(0)
            tally.mails += len(given)
            world.instance.cli("send")
            world.settle(later)
            world.queue.forget(given)
            world.recorder.accepted.clear()
