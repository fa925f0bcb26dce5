"""Whether accounts in trouble slow another down: one whose relay hangs at every stage in turn, one
whose relay is down, one over its quota."""

import contextlib
import os
import time

import measure
import systems
from harness import identity
from harness.process import wait_for
from harness.scripted import Scripted, hanging_in_turn
from harness.smailer import Smailer, account

GOOD = "good@example.com"
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "reading", "content")
CONNECTIONS = 20  # of the good account; the others have the default
PLACES = 40  # for workers: enough for all accounts
QUOTA = 100
LIMIT = 120  # seconds
WAITED = """\
  The others' files lie between the account's: all of them are read, parsed and set aside (parked, or
  deferred with a record that is synced) until its last one is found. Where the relay takes a mail in
  less time than that costs the processors, they are what is waited for: see the seconds above."""


def _in_trouble(hung, down, over):
    """{address: settings}"""
    impatient = {name: "1s" for name in
                 ("connect_timeout", "command_timeout", "data_timeout", "final_timeout")}
    return {"hung@example.com": account(hung, **impatient),
            "down@example.com": account(down),
            "over@example.com": account(over, mails_per_day=QUOTA)}


class Instance:
    """A base whose mails are all of one size, and are counted in qmgr's log as they are moved."""

    def __init__(self, accounts):
        self.smailer = Smailer(
            identity.root() if os.geteuid() == 0 else identity.user(), accounts,
            programs={"smtp": {"instances": PLACES}}, log_level="info", commit_interval="100ms")
        self.base = self.smailer.base
        self.path, self.offset, self.counts = self.smailer.log_directory / "qmgr.log", 0, {}
        self.spent = ""  # processor time in the time that was measured

    def prepare(self, sender, count):
        return self.base.prepare_many(count, sender.partition("@")[0], sender=sender,
                                      address=systems.RECIPIENT, content=systems.text())

    def fill(self, sender, count):
        self.base.appear(self.prepare(sender, count))

    def moved(self, place, sender):
        """How many of SENDER's mails the log says were moved to PLACE so far."""
        if self.path.exists():
            with open(self.path, "rb") as log:
                log.seek(self.offset)
                new = log.read().rpartition(b"\n")[0]
                self.offset += len(new)
            for name in (b"moved to sent/", b"moved to defer/"):
                for part in new.split(name)[1:]:
                    key = name, part.partition(b"-")[0]
                    self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts.get((f"moved to {place}/".encode(), sender.partition("@")[0].encode()), 0)

    def wait(self, place, sender, count):
        wait_for(lambda: self.moved(place, sender) >= count, LIMIT,
                 lambda: f"{count} of {sender} in {place}/: {self.counts}\n{self.smailer.tail()}",
                 0.005)

    def rate(self, count, begin):
        """Mails a second of the good account, from BEGIN() on."""
        before = self.cpu()
        began = time.monotonic()
        begin()
        self.wait("sent", GOOD, count)
        seconds = time.monotonic() - began
        self.spent = f"in {seconds:.1f} s on {os.cpu_count()} processors: " + ", ".join(
            f"{name} {total - before.get(name, 0):.1f} s" for name, total in self.cpu().items())
        return count / seconds

    def cpu(self):
        """{program: seconds} so far."""
        process = self.smailer.process
        times = measure.cpu(measure.tree(process.pid)) if process else {}
        return {name: total for name, (total, _) in sorted(times.items())}


def _measure(sink, others, count, settled, kept):
    """The good account's rate beside OTHERS, with COUNT mails each, and what it cost; SETTLED: these
    were seen before. The queue is KEPT until all is measured: without a journal, ext4 looks at all
    inodes that were freed in the last five minutes before it takes one for a record."""
    instance = Instance({GOOD: account(f"127.0.0.1:{sink.port}", connections=CONNECTIONS), **others})
    kept.callback(instance.smailer.end)
    try:
        for sender in others:
            instance.fill(sender, count)
        if not settled:
            instance.fill(GOOD, count)
            return instance.rate(count, lambda: instance.smailer.start(wait=False)), instance.spent
        instance.smailer.start()
        if others:
            instance.wait("defer", "down@example.com", count)
            instance.wait("sent", "over@example.com", QUOTA)
        names = instance.prepare(GOOD, count)
        return instance.rate(count, lambda: instance.base.appear(names)), instance.spent
    finally:
        instance.smailer.stop()


def run(bench, line):
    with contextlib.ExitStack() as kept:
        _run(bench, line, kept)


def _run(bench, line, kept):
    count = bench.arguments.mails
    cases = ((f"queued together, a line of {line} ms", line, False),
             ("the others' seen before, loopback", 0, True),
             ("queued together, loopback", 0, False))
    print(f"\nIsolation: {count} mails of each of four accounts, {CONNECTIONS} connections",
          flush=True)
    for title, delay, settled in cases:
        ratios = []
        for _ in range(bench.arguments.runs):
            hung, down, over = Scripted(hanging_in_turn(STAGES)).up(), Scripted(), Scripted().up()
            others = _in_trouble(hung, down, over)
            try:
                with bench.sink(delay) as sink:
                    alone, _ = _measure(sink, {}, count, settled, kept)
                    beside, spent = _measure(sink, others, count, settled, kept)
            finally:
                for server in (hung, down, over):
                    server.end()
            ratios.append(beside / alone)
            print(f"  {title}: {alone:.0f} mails/s alone, {beside:.0f} beside the others", flush=True)
        bench.judge(title, measure.median(ratios), 0.8, "of the rate alone")
        print(f"  beside the others, {spent}" + (f"\n{WAITED}" if title in bench.missed else ""),
              flush=True)
