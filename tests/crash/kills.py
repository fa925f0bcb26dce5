"""SIGKILL at random moments, to each role and to all at once."""

import time

from harness.process import alive, wait_for

from .world import IN_HAND, ROOM, World

ROLES = ("pickup", "cleanup", "qmgr", "smtp", "worker", "control", "master", "tree")
# How many mails may come twice when it dies: those at the relay in its hands, or in those of who dies
# with it. cleanup and control have none there.
TWICE = {"cleanup": 0, "lister": 0, "control": 0, "worker": ROOM}
BATCH = 30


def excuses(role, kind):
    role = "qmgr" if role in ("committer", "syncer") else role
    # What control took and could not answer for is in maildrop/, too.
    if (role, kind) == ("control", "sendmail"):
        return BATCH
    # A job of sendmail's has two recipients at the most here.
    return TWICE.get(role, IN_HAND) * (2 if kind in ("mqueue", "sendmail", "maildrop") else 1)


def _kill(world, role, kind):
    """The moment is that after the kill: to find whom to kill can take a while on a busy machine."""
    if role in ("tree", "master"):
        (world.kill_tree if role == "tree" else world.kill_master)()
        when = time.monotonic()
    else:
        victims = wait_for(lambda: world.pids(role) or role == "worker", 90, f"a process of {role}")
        if victims is True:  # no mail is on its way
            return
        victim = world.random.choice(victims)
        world.send(victim)
        when = time.monotonic()
        wait_for(lambda: not alive(victim), 10, f"{role} to be dead")
    world.note(f"{role} killed", excuses(role, kind), when=when)
    world.revive()


def run(tally, seed, kind, role, kills):
    """KILLS deaths of ROLE, each at a random moment of a batch; every mail is accounted for."""
    with World(kind, tally, seed) as world:
        span = min(world.round(BATCH) for _ in range(2))

        def disturb(world):
            if role == "control":  # who dies before a first job is started less and less often
                world.instance.cli("status")
            time.sleep(world.random.uniform(0, 1.1 * span))
            _kill(world, role, kind)
        attempts = 0
        while tally.tries < kills and attempts < 3 * kills and len(tally.violations) < 20:
            attempts += 1
            world.round(BATCH, disturb)
