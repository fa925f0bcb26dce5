"""A base with a great backlog delays neither another base nor another account."""

import time

import pytest

from harness.process import stays, wait_for
from harness.smailer import account

FOO, BAR = "foo@example.com", "bar@example.com"
BACKLOG = 20000
LIMIT = 1  # seconds, over what a single mail takes without a backlog


@pytest.fixture
def slow_relay(make_relay):
    return make_relay(delay=0.05)


def arrival(base, relay, address, **fields):
    """How many seconds a single mail takes to be at the relay."""
    start = time.monotonic()
    base.drop(address=address, **fields)
    return relay.wait_for_recipient(address, 60).arrived - start


def measure(single, backlog_base, relay):
    """SINGLE(number) drops one mail and gives its delay; once idle, then during the backlog."""
    idle = single(0)
    backlog_base.drop_many(BACKLOG, address="many@example.org")
    delays = [single(1)]  # at once, before the backlog is even seen
    for number in range(2, 6):
        wait_for(lambda: len(relay.for_recipient("many@example.org")) > 60 * number, 60,
                 f"the backlog to move ({len(relay.mails)} mails arrived)")
        delays.append(single(number))
    assert max(delays) < idle + LIMIT, f"idle {idle:.2f} s, in the backlog {delays}"


@pytest.mark.one_identity
def test_another_base_does_not_wait(smailer, slow_relay):
    instance = smailer({FOO: account(slow_relay, connections=4)}, {"sowa1": ["alfa", "beta"]},
                       programs={"smtp": {"instances": 8}}, log_level="info")
    beta = instance.bases["beta"]
    measure(lambda number: arrival(beta, slow_relay, f"single{number}@example.org"),
            instance.bases["alfa"], slow_relay)
    assert slow_relay.most <= 4


@pytest.mark.one_identity
def test_another_account_of_the_same_base_does_not_wait(smailer, slow_relay):
    instance = smailer({FOO: account(slow_relay, connections=4),
                        BAR: account(slow_relay, connections=4)},
                       programs={"smtp": {"instances": 8}}, log_level="info")
    base = instance.base
    measure(lambda number: arrival(base, slow_relay, f"single{number}@example.org", sender=BAR),
            base, slow_relay)


@pytest.mark.one_identity
def test_an_account_whose_workers_are_all_busy_leaves_room_for_others(smailer, make_relay, relay):
    """As many workers as the slow account may have connections: another account gets one yet."""
    hung = make_relay(delay=3600)
    instance = smailer({FOO: account(hung, connections=4), BAR: account(relay)},
                       programs={"smtp": {"instances": 6}})
    instance.base.drop_many(100)
    wait_for(lambda: hung.stages.count("content") == 4, 15, "four mails that hang")
    assert arrival(instance.base, relay, "single@example.org", sender=BAR) < 2
    stays(lambda: hung.most == 4, 1)


def test_connections_are_bounded_per_account(smailer, slow_relay):
    instance = smailer({FOO: account(slow_relay, connections=3)},
                       programs={"smtp": {"instances": 10}})
    names = instance.base.drop_many(100)
    instance.wait_for_count(instance.base, "sent", len(names), 30)
    assert 1 < slow_relay.most <= 3


@pytest.mark.one_identity
def test_older_mails_go_first(smailer, make_relay):
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: account(relay, connections=1)}, started=False)
    times = [f"17.10.2011 00:00:{second:02}" for second in range(50)]
    for number in (17, 3, 42):
        instance.base.drop(time=times[number], topic=f"{number:02}",
                           mtime=(1318802400 + number) * 10**9)
    relay.up()
    instance.start()
    relay.wait(3)  # no more than the window sees
    assert [mail.subject for mail in relay.mails] == ["03", "17", "42"]


@pytest.mark.one_identity
def test_a_backlog_that_has_all_connections_makes_room(smailer, slow_relay, relay):
    """As many workers as the slow account may have: it gives one up, once for each single mail, which
    waits for what is in that worker's hand, not for the backlog."""
    instance = smailer({FOO: account(slow_relay, connections=4), BAR: account(relay)},
                       programs={"smtp": {"instances": 4}})
    instance.base.drop_many(2000)
    slow_relay.wait(50)
    for number in range(4):
        before = len(slow_relay.mails)
        arrival(instance.base, relay, f"single{number}@example.org", sender=BAR)
        assert len(slow_relay.mails) - before < 400
    assert slow_relay.connections < 40


@pytest.mark.one_identity
def test_more_accounts_than_workers_take_turns(smailer, make_relay, relay):
    slow = make_relay(delay=0.2)
    busy = [f"busy{number}@example.com" for number in range(4)]
    instance = smailer({**{each: account(slow, connections=1) for each in busy}, BAR: account(relay)},
                       programs={"smtp": {"instances": len(busy)}})
    for each in busy:
        instance.base.drop_many(100, prefix=each, sender=each)
    slow.wait(8)
    assert arrival(instance.base, relay, "single@example.org", sender=BAR) < 5
