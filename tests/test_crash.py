"""A short pass of the crash suite (`make crash` runs all of it): every mail is accounted for."""

import random
import shutil

import pytest

from crash import scenarios


@pytest.mark.parametrize("name", [each.name for each in scenarios.of("quick")])
def test_a_promise_is_kept(name):
    [scenario] = [each for each in scenarios.SCENARIOS if each.name == name]
    reason = scenario.needs() if scenario.needs else None
    if reason is None and not name.startswith("kill") and shutil.which("strace") is None:
        reason = "strace is not installed"
    if reason:
        pytest.skip(reason)
    seed = random.SystemRandom().randrange(1 << 31)
    tally = scenario.try_out("quick", f"{seed} {name}")
    again = f'tests/crash/run --seed {seed} --only "{name}" quick'
    assert tally.kept, "\n".join([*tally.violations, f"{tally}", f"again: {again}"])
