"""Every scenario, with what makes it quick and what makes it full."""

import dataclasses
import time
import traceback

from . import clocks, disks, errors, kills, points, power
from .world import Tally


@dataclasses.dataclass(frozen=True)
class Scenario:
    """RUN(tally, seed, *ARGUMENTS, **QUICK or **FULL); NEEDS() says why it cannot run here, or None.
    What has no QUICK runs in full only."""

    name: str
    run: object
    arguments: tuple
    full: dict
    quick: dict | None = None
    needs: object = None
    must_try: bool = True  # else it may be that the program makes no such call

    def amount(self, extent):
        return self.full if extent == "full" else self.quick

    def try_out(self, extent, seed, **more):
        """Runs it; its Tally. An error of the scenario's own is a violation, too."""
        tally = Tally(self.name)
        start = time.monotonic()
        try:
            self.run(tally, seed, *self.arguments, **{**self.amount(extent), **more})
            if tally.tries == 0 and self.must_try:
                tally.blame("nothing was tried")
        except Exception:
            tally.blame(traceback.format_exc())
        tally.seconds = time.monotonic() - start
        return tally


def _kills():
    full = {"spool": 90, "mqueue": 25, "sendmail": 12, "sql": 10}
    for kind, number in full.items():
        # pickup has no job where all is in a table: its deaths count as ones before a first job.
        roles = kills.ROLES if kind != "sql" else ("sql", *kills.ROLES[1:])
        for role in roles:
            quick = {"kills": 2} if (kind, role) in QUICK_KILLS else None
            yield Scenario(f"kill {kind} {role}", kills.run, (kind, role),
                           {"kills": number}, quick)


QUICK_KILLS = {("spool", "qmgr"), ("spool", "tree"), ("mqueue", "qmgr"), ("sendmail", "control")}


def _points():
    for kind in ("spool", "mqueue", "sendmail", "sql"):
        for target in points.targets(kind):
            quick = {"most": 3} if (kind, target) in QUICK_POINTS else None
            yield Scenario(f"point {kind} {target}", points.run, (kind, target), {}, quick,
                           must_try=target not in ("smtp", "control"))
    for target in points.targets("maildrop"):
        yield Scenario(f"point maildrop {target}", points.run, ("maildrop", target), {},
                       {"most": 2} if target == "qmgr" else None)
    for kind in ("spool", "mqueue", "sendmail", "sql"):
        yield Scenario(f"point {kind} master", points.run_master, (kind,),
                       {} if kind == "spool" else {"most": 40})


QUICK_POINTS = {("spool", "committer"), ("spool", "syncer"), ("spool", "worker"),
                ("mqueue", "committer")}


def _errors():
    for kind, most in (("spool", 10), ("mqueue", 5), ("sendmail", 3)):
        for target in errors.TARGETS:
            yield Scenario(f"error {kind} {target}", errors.run, (kind, target), {"most": most},
                           {"most": 1} if (kind, target) == ("spool", "committer") else None,
                           must_try=target in ("committer", "syncer"))


def _disks():
    for kind, place, system in (
            ("spool", "queue", "ext4"), ("spool", "queue", "tmpfs"), ("spool", "state", "ext4"),
            ("spool", "log", "ext4"), ("mqueue", "queue", "ext4"), ("sendmail", "queue", "ext4"),
            ("sql", "state", "ext4")):
        yield Scenario(f"full {kind} {place} {system}", disks.run, (kind, place, system),
                       {"rounds": 12},
                       {"rounds": 1} if (kind, place) == ("spool", "queue") and system == "ext4"
                       else None, disks.why_not)
    yield Scenario("full spool queue, killed", disks.run, ("spool", "queue", "ext4"),
                   {"rounds": 12, "kills": True}, None, disks.why_not)


def _power():
    for kind, cuts in (("spool", 20), ("mqueue", 10), ("sendmail", 10), ("sql", 5)):
        yield Scenario(f"power {kind}", power.run, (kind,), {"cuts": cuts},
                       {"cuts": 1} if kind == "spool" else None, power.why_not)


def _clocks():
    hours_and_days = tuple(jump for jump in clocks.JUMPS if abs(jump) < clocks.YEAR)
    # A job of sendmail's that is a year old has expired: its clock goes no year ahead, and where
    # smailer itself writes the job's time, none back either.
    for kind, jumps in (("spool", clocks.JUMPS), ("mqueue", (*hours_and_days, -clocks.YEAR)),
                        ("sendmail", hours_and_days), ("sql", clocks.JUMPS)):
        yield Scenario(f"clock {kind}", clocks.run_deferred, (kind,), {"jumps": jumps},
                       {"jumps": (-clocks.DAY,)} if kind == "spool" else None, clocks.why_not)
    yield Scenario("clock quota", clocks.run_quota, (), {"jumps": clocks.JUMPS},
                   {"jumps": (-clocks.YEAR,)}, clocks.why_not)
    yield Scenario("clock retention", clocks.run_retention, (), {"jumps": clocks.JUMPS},
                   {"jumps": (clocks.YEAR,)}, clocks.why_not)


SCENARIOS = [*_kills(), *_points(), *_errors(), *_disks(), *_power(), *_clocks(),
             Scenario("point spool, slow disk", points.run_slow, (), {"kills": 10}, {"kills": 1}),
             Scenario("point spool, failing disk", points.run_failing, (), {"kills": 10},
                      {"kills": 1})]


def of(extent, only=None):
    """The scenarios of that extent whose name has ONLY in it."""
    return [each for each in SCENARIOS
            if each.amount(extent) is not None and (not only or only in each.name)]
