"""What goes wrong with one account, one mail or one file holds up no other."""

import os
import subprocess

import pytest

from harness.base import document, item
from harness.process import stays, wait_for
from harness.scripted import after, hang, hanging_in_turn, reply
from harness.smailer import account

FOO, BAR = "foo@example.com", "bar@example.com"
GOOD, HUNG, DOWN, OVER = (f"{name}@example.com" for name in ("good", "hung", "down", "over"))
STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "reading", "content")
COUNT = 600
QUOTA = 7


def of(names, sender):
    return [name for name in names if name.startswith(sender.partition("@")[0])]


@pytest.mark.one_identity
def test_accounts_in_trouble_hold_up_no_other(smailer, scripted_server, make_relay):
    """One whose relay hangs at every stage in turn, one whose relay is down, one over its quota, and
    one that is well, all with mails of one base. Those of the last all go out while the first has
    not got beyond its first mails; nobody is asked more often than is due."""
    hung, down, over, well = (scripted_server(hanging_in_turn(STAGES)), make_relay(), make_relay(),
                              make_relay())
    down.down()
    instance = smailer({HUNG: account(hung, connections=len(STAGES)), DOWN: account(down),
                        OVER: account(over, mails_per_day=QUOTA), GOOD: account(well)},
                       started=False, programs={"smtp": {"instances": 16}}, log_level="info")
    for sender in (HUNG, DOWN, OVER, GOOD):
        instance.base.drop_many(COUNT, sender.partition("@")[0], sender=sender)
    instance.start()
    well.wait(COUNT, 60)
    assert hung.connections <= len(STAGES)  # none of them has timed out yet
    assert len(hung.mails) <= 1  # which came whole, and is not answered
    wait_for(lambda: len(of(instance.base.files("defer"), DOWN)) == COUNT, 60, "the probe's words")
    assert len(instance.log_lines("account down@example.com: .*next try in", "qmgr")) == 1
    states = instance.base.states()
    assert len(of(states["sent"], OVER)) == len(over.mails) == QUOTA
    assert len(of(states[""], OVER)) == COUNT - QUOTA  # to wait for a quota is no attempt
    assert of(states["defer"], OVER) == []
    assert len(of(states[""], HUNG)) + len(of(states["defer"], HUNG)) == COUNT


@pytest.mark.one_identity
def test_another_base_is_not_held_up_either(smailer, scripted_server, make_relay):
    hung, well = scripted_server({"content": hang}), make_relay()
    instance = smailer({HUNG: account(hung), GOOD: account(well)}, {"sowa1": ["alfa", "beta"]},
                       started=False, log_level="info")
    instance.bases["alfa"].drop_many(COUNT, sender=HUNG)
    instance.bases["beta"].drop_many(COUNT, sender=GOOD)
    instance.start()
    well.wait(COUNT, 60)
    assert hung.mails == [] and hung.connections <= 4


@pytest.mark.one_identity
def test_large_mails_at_a_relay_that_hangs_stop_nobody(smailer, scripted_server, make_relay):
    """More octets than qmgr takes into hand, of one account, and small mails of another."""
    hung, well = scripted_server({"content": hang}), make_relay()
    instance = smailer({HUNG: account(hung, connections=6), GOOD: account(well)}, started=False,
                       programs={"smtp": {"instances": 12}})
    content = document(item(sender=HUNG, content="word " * 2400000))  # 12 MB
    for number in range(12):
        instance.base.put(content, f"large-{number}.xml")
    instance.start()
    wait_for(lambda: hung.stages.count("reading") == 6, 60, "as many as may hang")
    instance.base.drop_many(50, sender=GOOD)
    well.wait(50, 30)
    assert hung.mails == []


@pytest.mark.one_identity
def test_mails_behind_one_that_hangs_overtake_it(smailer, scripted_server):
    """Of a relay that is quick otherwise: what waits behind the late one goes out before it."""
    late = reply("250 2.0.0 Ok: late")
    server = scripted_server({"content": [*[reply("250 2.0.0 Ok")] * 200, after(4, late),
                                          reply("250 2.0.0 Ok")]})
    said = []
    async def say_late(session):
        await after(4, late)(session)
        said.append(len(server.mails))
    server.table["content"][200] = say_late
    instance = smailer({FOO: account(server, connections=2)})
    names = instance.base.drop_many(230)
    instance.wait_for_count(instance.base, "sent", len(names), 60)
    assert said[0] >= len(names) - 1
    assert len(server.mails) == len(names) - 1  # the late one's is not counted by such a server


@pytest.mark.one_identity
def test_a_name_known_in_defer_is_not_another_mails(smailer, make_relay):
    """A mail is deferred while its namesake of defer/ is at the relay: that is not sent twice."""
    tried = []
    def answer(stage, mail, address):
        if stage != "content":
            return None
        tried.append(mail.text.strip())
        return "451 4.2.0 later" if tried.count(tried[-1]) == 1 else None
    relay = make_relay(answer, delay=lambda mail: 6 if tried == ["first", "first"] else 0)
    instance = smailer({FOO: relay}, retry_interval="1s", scan_interval="1s")
    base = instance.base
    base.drop(name="same.xml", content="first")
    wait_for(lambda: tried == ["first", "first"], 15, "the first again")
    base.drop(name="same.xml", content="second")
    instance.wait_for_count(base, "sent", 2, 30)
    assert sorted(mail.text.strip() for mail in relay.mails) == ["first", "second"]
    stays(lambda: sorted(tried) == ["first"] * 2 + ["second"] * 2, 2, lambda: tried)


def immutable(path, on):
    result = subprocess.run(["chattr", "+i" if on else "-i", path], capture_output=True, text=True)
    return result.returncode == 0


@pytest.mark.one_identity
def test_a_file_that_cannot_be_moved_is_no_others_problem(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    base = instance.base
    name = base.drop(topic="immutable")
    if os.geteuid() != 0 or not immutable(base.path("", name), True):
        pytest.skip("no file can be made immutable here")
    try:
        instance.start()
        instance.wait_for_log("Operation not permitted: it stays in hand", "qmgr")
        names = base.drop_many(100)
        instance.wait_for_count(base, "sent", len(names))
        assert [each["problem"] for each in instance.status()["queues"]] == [None]
    finally:
        immutable(base.path("", name), False)
    instance.wait_for_file(base, "sent", name, 30)
    assert len(relay.for_recipient("boo@hisorhermail.com")) == len(relay.mails) == 101
