"""Whether accounts in trouble slow another down: one whose relay hangs at every stage in turn, one
whose relay is down, one over its quota."""

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
        began = time.monotonic()
        begin()
        self.wait("sent", GOOD, count)
        return count / (time.monotonic() - began)


def _measure(sink, others, count, settled):
    """The good account's rate beside OTHERS, with COUNT mails each; SETTLED: these were seen before."""
    instance = Instance({GOOD: account(f"127.0.0.1:{sink.port}", connections=CONNECTIONS), **others})
    try:
        for sender in others:
            instance.fill(sender, count)
        if not settled:
            instance.fill(GOOD, count)
            return instance.rate(count, lambda: instance.smailer.start(wait=False))
        instance.smailer.start()
        if others:
            instance.wait("defer", "down@example.com", count)
            instance.wait("sent", "over@example.com", QUOTA)
        names = instance.prepare(GOOD, count)
        return instance.rate(count, lambda: instance.base.appear(names))
    finally:
        instance.smailer.end()


def run(bench, line):
    count = bench.arguments.mails
    # Whose a mail is can only be known once it is read. Where the processors are what limits the good
    # account, looking at three times as many mails, and deferring a third of them, takes its share
    # until all were seen: that is shown, not judged.
    cases = ((f"queued together, a line of {line} ms", line, False, 0.8),
             ("the others' seen before, loopback", 0, True, 0.8),
             ("queued together, loopback", 0, False, None))
    print(f"\nIsolation: {count} mails of each of four accounts, {CONNECTIONS} connections",
          flush=True)
    for title, delay, settled, target in cases:
        ratios = []
        for _ in range(bench.arguments.runs):
            hung, down, over = Scripted(hanging_in_turn(STAGES)).up(), Scripted(), Scripted().up()
            others = _in_trouble(hung, down, over)
            try:
                with bench.sink(delay) as sink:
                    alone = _measure(sink, {}, count, settled)
                    beside = _measure(sink, others, count, settled)
            finally:
                for server in (hung, down, over):
                    server.end()
            ratios.append(beside / alone)
            print(f"  {title}: {alone:.0f} mails/s alone, {beside:.0f} beside the others", flush=True)
        if target is not None:
            bench.judge(title, measure.median(ratios), target, "of the rate alone")
        else:
            print(f"  {title}: {measure.median(ratios):.2f} of the rate alone", flush=True)
