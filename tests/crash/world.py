"""A smailer under load, what is done to it, and the account of every mail afterwards."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time

from harness import identity as identities
from harness.base import Base
from harness.process import PATIENCE, alive, kill_all, wait_for
from harness.recorder import Recorder
from harness.smailer import Smailer, account

from . import queues

CONNECTIONS = 4
ROOM = 4  # mails in a worker's hand where the relay knows PIPELINING
# What can be at the relay, or taken by it and not moved yet, when a program dies.
IN_HAND = CONNECTIONS * ROOM
# The relay may still be heard for so long (s) after the death that cuts its client off: on a busy
# machine it reads late what was sent before, and what dies with somebody dies later.
ECHO = 3.0
SETTLE_LIMIT = 60
LOOK_MOST = 5


@dataclasses.dataclass
class Moment:
    """An instant at which mails may come twice: so many, accepted at the most so long before."""

    what: str
    excuses: int
    window: float = SETTLE_LIMIT
    time: float = dataclasses.field(default_factory=time.monotonic)
    lasts: float = 0  # s, where it is no instant

    def covers(self, first, second):
        return first - ECHO - self.lasts <= self.time <= second and self.time - first <= self.window


@dataclasses.dataclass
class Tally:
    """What came out of some rounds of one scenario."""

    scenario: str
    tries: int = 0
    mails: int = 0
    lost: int = 0
    doubled: int = 0
    beyond: int = 0
    seconds: float = 0.0
    violations: list = dataclasses.field(default_factory=list)
    notes: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def blame(self, text):
        self.violations.append(text)

    @property
    def kept(self):
        return not self.violations and not self.lost and not self.beyond


class World:
    """KIND is a key of queues.KINDS; PLACES: {"queue", "state" or "log": directory} where another
    than a temporary one is wanted; TALLY is filled; SETTINGS are of main.cf."""

    def __init__(self, kind, tally, seed, places=None, connections=CONNECTIONS, delay=0.004,
                 identity=None, instance=Smailer, cleanups=2, **settings):
        self.tally = tally
        self.random = random.Random(seed)
        self.seed = seed
        self.moments = []
        self.counter = 0
        self._stack = contextlib.ExitStack()
        self._places = places or {}
        self._own = pathlib.Path(tempfile.mkdtemp(prefix="smailer-crash-"))
        self._own.chmod(0o755)
        self.at_end(lambda: shutil.rmtree(self._own, ignore_errors=True))
        self.recorder = Recorder(self._own / "accepted", delay).up()
        self.at_end(self.recorder.end)
        self._make_instance(kind, identity, instance, connections, cleanups, settings)

    def _make_instance(self, kind, identity, instance, connections, cleanups, settings):
        settings = {
            "retry_interval": "300ms", "probe_interval": "300ms", "scan_interval": "1s",
            "log_level": "info",
            **{f"{name}_directory": str(path) for name, path in self._places.items()
               if name != "queue"}, **settings}
        self.instance = instance(
            identity or identities.available()[0],
            {queues.SENDER: account(self.recorder, connections=connections),
             "default": account(self.recorder, connections=connections)}, {},
            programs={"smtp": {"instances": connections}, "cleanup": {"instances": cleanups}}, **settings)
        self.at_end(self._end_instance)
        self.directory = pathlib.Path(self._places.get("queue", self.instance.root))
        self.queue = queues.KINDS[kind](self)
        self.instance.sections.append(self.queue.section(self))
        self.instance.configure()
        self.queue.create(self)

    def base_at(self, sid, directory):
        return Base(self.instance.identity, sid, directory).create()

    def at_end(self, action):
        self._stack.callback(action)

    def _end_instance(self):
        if self.instance.process is not None:
            self.instance.end()
        else:
            shutil.rmtree(self.instance.root, ignore_errors=True)

    def __enter__(self):
        self.instance.start()
        return self

    def __exit__(self, kind, error, trace):
        try:
            self._stack.close()
        except AssertionError as problem:
            self.tally.blame(f"at the end: {problem}")

    # Mails

    def names(self, count):
        """The names of a new batch: of ten mails one is refused for good, two for now."""
        fates = ["never", "later", "later"] + ["ok"] * 7
        names = []
        for at in range(count):
            self.counter += 1
            names.append(f"mail-{self.counter:06}.{fates[-1 - at % 10]}")
        return names

    def round(self, count, disturb=None, limit=SETTLE_LIMIT):
        """Hands in COUNT mails, lets DISTURB(world) break something, drains, and accounts."""
        start = time.monotonic()
        given = self.queue.put(self, self.names(count))
        if disturb:
            disturb(self)
        given += self.queue.go_on(self)
        self.settle(given, limit)
        self.account(given)
        self.queue.forget(given)
        return time.monotonic() - start

    def unsettled(self, names):
        """{mail: places} of those that are not where they end."""
        ends = self.queue.ends(names)
        return {name: places for name, places in ends.items()
                if places != [queues.expected(name)] or self._owed(name)}

    def _owed(self, name):
        """True where the relay has yet to see what it must."""
        if queues.expected(name) == queues.SENT:
            return not self.recorder.accepted.get(name)
        told = isinstance(self.queue, queues.Jobs)
        return told and not self.recorder.accepted.get(f"notice:{name}")

    def settle(self, names, limit=SETTLE_LIMIT):
        """Waits until every mail is where it ends. Of what lies between two looks some seconds count:
        where the suite itself was stopped, nobody else is to blame."""
        left, last = limit * PATIENCE, time.monotonic()
        while self.unsettled(names) or self.queue.leftovers():
            now = time.monotonic()
            left, last = left - min(now - last, LOOK_MOST), now
            if left < 0:
                self._blame_stuck(names)
                return
            time.sleep(0.02)

    def _blame_stuck(self, names):
        left = self.unsettled(names)
        self.tally.blame(f"round of seed {self.seed}: not settled: {dict(list(left.items())[:5])}, "
                         f"left over: {self.queue.leftovers()[:5]}\n{self._tail()}")

    def _tail(self):
        return "\n".join(line[:200] for line in self.instance.tail(6).splitlines())

    # The account

    def finish(self, given):
        """Waits until all GIVEN are at their end, accounts for them, and forgets them."""
        self.settle(given)
        self.account(given)
        self.queue.forget(given)

    def account(self, names):
        self.tally.mails += len(names)
        ends = self.queue.ends(names)
        for name in names:
            self._account_one(name, ends[name])
        for name in self.recorder.damaged:
            self.tally.blame(f"{name} arrived with another's content")
        self.recorder.damaged.clear()
        self.moments.clear()

    def _account_one(self, name, places):
        times = self.recorder.accepted.pop(name, [])
        self.recorder.accepted.pop(f"notice:{name}", None)
        if places != [queues.expected(name)]:
            self.tally.blame(f"{name} is in {places}, not in {queues.expected(name)}")
        if queues.expected(name) == queues.SENT:
            self.tally.lost += not times
        elif times:
            self.tally.blame(f"{name} was accepted, though refused")
        for first, second in zip(times, times[1:]):
            self._account_double(name, first, second)

    def _account_double(self, name, first, second):
        self.tally.doubled += 1
        for moment in self.moments:
            if moment.covers(first, second) and moment.excuses > 0:
                moment.excuses -= 1
                return
        self.tally.beyond += 1
        moments = [(each.what, f"{each.time - first:+.3f} s") for each in self.moments]
        self.tally.blame(f"{name} came twice, {second - first:.3f} s apart; moments: {moments}")

    # Life and death

    def note(self, what, excuses, window=SETTLE_LIMIT, when=None, lasts=0):
        self.moments.append(Moment(what, excuses, window, when or time.monotonic(), lasts))
        self.tally.tries += 1

    def pids(self, role):
        """The processes of a role; "worker": those that smtp forked, "smtp": the parent."""
        found = self.instance.pids("smtp" if role == "worker" else role)
        if role == "worker":
            return found[1:]
        return found[:1] if role == "smtp" else found

    def pids_of(self, role, instance):
        """The process that is INSTANCE of a role, where it runs."""
        return [each["pid"] for each in self.instance.status()["programs"]
                if (each["program"], each["instance"]) == (role, instance) and alive(each["pid"])]

    def kill_tree(self):
        """SIGKILL to master and all below it at once, as an out-of-memory death of a container."""
        below = self.instance.processes()
        kill_all([*self._master(), *below])
        self.instance.process.wait()

    def _master(self):
        return [each for each in [self.instance.process] if each.poll() is None]

    def kill_master(self):
        below = self.instance.processes()
        self.instance.process.kill()
        self.instance.process.wait()
        wait_for(lambda: not any(alive(each.pid) for each in below), 20, "the programs to end")

    def revive(self, *arguments):
        """Starts smailer again where it does not run."""
        if self.instance.process.poll() is not None:
            self.instance.start(*arguments)

    def send(self, pid, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
