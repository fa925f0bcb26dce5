"""A mail that is the end of whoever takes it into the hand. The programs are those of make, but for a
cleanup and a worker that die of certain words (tests/hooks)."""

import re
import time

import pytest

from harness.mqueue import Mqueue
from harness.process import wait_for
from harness.smailer import BUILD, SANITIZED, account

FOO = "foo@example.com"
HOOKED = BUILD / "build/tests/hooked"
DELAY = 5  # seconds that a good mail may wait beside it, on a machine that is busy
VICTIMS = ["CLEANUP", "WORKER"]

pytestmark = [pytest.mark.one_identity,
              pytest.mark.skipif(SANITIZED, reason="an abort is told of as a fault")]


@pytest.fixture(autouse=True)
def hooked(monkeypatch):
    monkeypatch.setattr("harness.smailer.BUILD", HOOKED)


def make(smailer, relay, spools=None):
    instance = smailer({FOO: account(relay, connections=4), "default": account(relay)}, spools,
                       started=False, retry_interval="1h", scan_interval="2s", log_level="info")
    instance.allowed_faults = True
    return instance


def good_mails_pass(relay, drop, names):
    """Those that come while the poison does its work are delivered without delay."""
    for name in names:
        since = time.monotonic()
        drop(f"{name}@example.org")
        arrived = relay.wait_for_recipient(f"{name}@example.org", 30).arrived
        assert arrived - since < DELAY, f"{name}: {arrived - since:.1f} s"


def is_struck_out(text):
    assert re.search(r"(?i)signal 6|SIGABRT|abort|died", text), text


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_directory(smailer, relay, victim):
    instance = make(smailer, relay).start()
    base = instance.base
    poison = [base.drop(name=f"poison-{n}.xml", content=f"POISON-{victim}") for n in range(3)]
    good_mails_pass(relay, lambda address: base.drop(address=address), [f"n{n}" for n in range(20)])
    for name in poison:
        instance.wait_for_file(base, "defer", name, 60)
        record = base.record("defer", name)
        is_struck_out(record)
        assert re.search(r"^attempts: 1$", record, re.M), record
    assert not instance.log_lines("less and less often", "master")  # it was not at its start
    assert len(relay.mails) == 20 and all(not mail.text.count("POISON") for mail in relay.mails)


@pytest.mark.parametrize("victim", VICTIMS)
def test_strikes_outlive_a_restart(smailer, relay, victim):
    """However often all is killed meanwhile, three strikes it is."""
    instance = make(smailer, relay).start()
    name = instance.base.drop(content=f"POISON-{victim}")
    wait_for(lambda: instance.base.records("") or instance.base.where(name) == ["defer"], 20,
             lambda: f"a strike: {instance.tail()}")
    instance.process.kill()
    instance.process.wait()
    wait_for(lambda: not instance.left_behind(), 15, lambda: f"{instance.left_behind()}")
    instance.start()
    instance.wait_for_file(instance.base, "defer", name, 60)
    is_struck_out(instance.base.record("defer", name))
    deaths = instance.log_lines(r"(?i)(cleanup|smtp|worker).*(signal 6|SIGABRT|abort)", None)
    assert 3 <= len(deaths) <= 12, deaths
    good_mails_pass(relay, lambda address: instance.base.drop(address=address), ["behind"])


@pytest.mark.parametrize("victim", VICTIMS)
def test_an_mqueue(smailer, relay, identity, victim):
    instance = make(smailer, relay, {})
    queue = Mqueue(identity, instance.root / "mqueue")
    instance.sections.append(queue.section())
    instance.configure()
    instance.start()
    name = queue.put("poisoned@example.org", headers=[f"X-Test: POISON-{victim}"])
    good_mails_pass(relay, queue.put, [f"n{n}" for n in range(10)])
    control = queue.directory / f"qf{name}"
    wait_for(lambda: re.search(r"(?m)^N1$", control.read_text()), 60,
             lambda: f"an attempt that counts: {control.read_text()} {instance.tail()}")
    is_struck_out(control.read_text())
    assert not relay.for_recipient("poisoned@example.org")


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_table(smailer, relay, database, victim):
    table = database.table()
    instance = make(smailer, relay, {})
    instance.sections.append(table.section())
    instance.configure()
    assert instance.cli("--sid=biblioteka", "init").returncode == 0
    instance.start()
    key = table.insert(content=f"POISON-{victim}")
    good_mails_pass(relay, lambda address: table.insert(address=address),
                    [f"n{n}" for n in range(10)])
    table.wait_for_status(key, "d", 60, instance)
    is_struck_out(table.own(key, "reason"))
