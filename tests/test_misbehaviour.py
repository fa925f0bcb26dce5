"""The matrix: what a relay may do wrong at every stage, and what becomes of the mail then, and of
those behind it. None is lost, and none is sent twice that is not unknown."""

import collections

import pytest

from harness.process import wait_for
from harness.scripted import (REPLIES, after, both, close, endless, garbage, half, hang, many_lines,
                              nuls, reply, reset, shutting_down, stop_reading)
from harness.smailer import account

# Before the first mail, each connection misbehaves, and then all mails are deferred; in a mail, the
# first one is the victim.
BEFORE = ("greeting", "ehlo", "starttls", "auth")
STAGES = (*BEFORE, "mail", "rcpt", "data", "reading", "content")
REPLYING = tuple(stage for stage in STAGES if stage != "reading")
EASY = tuple(stage for stage in REPLYING if stage not in ("starttls", "auth"))
EHLO = "250-scripted.test\n250 PIPELINING"
COUNT = 3

# What the account and the server need to come to a stage.
WAYS = {"starttls": ({"tls": "starttls"}, ["STARTTLS"]),
        "auth": ({"user": "foo", "password": "right", "plaintext_login": True}, ["AUTH PLAIN"])}


def usual(stage):
    return reply(EHLO if stage == "ehlo" else REPLIES[stage])


def well(stage, change):
    """CHANGE(what is usual), and the server knows that it took the mail."""
    action = change(usual(stage))
    action.text = usual(stage).text
    return action


def everywhere(outcome, stages=STAGES):
    return {stage: outcome for stage in stages}


# libcurl cuts what is too long in the dialogue before the first mail, and says HELO where EHLO is
# refused.
CUT = {"greeting": "sent", "ehlo": "sent"}
HELO = {"ehlo": "sent"}
# Answers, but none to what was asked.
NONSENSE = {"greeting": "354 hm", "starttls": "250 Ok", "auth": "250 Ok", "mail": "354 hm",
            "rcpt": "354 hm", "data": "250 Ok", "content": "354 hm"}
# What a server does, and what becomes of the mail. "unknown": deferred, and it may have been taken.
AFTER_THE_DOT = {"reading": "unknown", "content": "unknown"}
MATRIX = {
    "close": (lambda stage: close, {**everywhere("defer"), **AFTER_THE_DOT}),
    "reset": (lambda stage: reset, {**everywhere("defer"), **AFTER_THE_DOT}),
    "hang": (lambda stage: hang, {**everywhere("defer"), **AFTER_THE_DOT}),
    "half": (lambda stage: both(half, close), {**everywhere("defer"), **AFTER_THE_DOT}),
    "garbage": (lambda stage: both(garbage, close), {**everywhere("defer"), **AFTER_THE_DOT}),
    "nuls": (lambda stage: both(nuls, close), {**everywhere("defer"), **AFTER_THE_DOT}),
    "endless": (lambda stage: endless, {**everywhere("defer"), **AFTER_THE_DOT, **CUT}),
    "many-lines": (lambda stage: many_lines, {**everywhere("defer"), **AFTER_THE_DOT}),
    "nonsense": (lambda stage: reply(NONSENSE[stage]),
                 {**everywhere("defer", NONSENSE), "content": "unknown"}),
    "421": (lambda stage: shutting_down, everywhere("defer", REPLYING)),
    "450": (lambda stage: reply("450 4.2.0 later"), {**everywhere("defer", REPLYING), **HELO}),
    "550": (lambda stage: reply("550 5.0.0 no"),
            {**everywhere("defer", REPLYING), **everywhere("drop", ("rcpt", "data", "content")), **HELO}),
    "550-by-policy": (lambda stage: reply("550 5.7.1 not you"),
                      {**everywhere("defer", REPLYING), **HELO}),
    "552-too-large": (lambda stage: reply("552 5.3.4 too large"),
                      {**everywhere("drop", ("mail", "rcpt", "data", "content")),
                       **everywhere("defer", ("starttls", "auth"))}),
    "late": (lambda stage: well(stage, lambda action: after(0.5, action)), everywhere("sent", EASY)),
    "many-words": (lambda stage: reply("\n".join(["250-a line"] * 50 + ["250 the end"])),
                   everywhere("sent", ("mail", "rcpt", "content"))),
    "superfluous": (lambda stage: well(stage, lambda action: both(action, action)),
                    {**everywhere("defer", ("mail", "rcpt")), "content": "sent"}),
    "early": (lambda stage: reply("250 2.0.0 Ok"), {"reading": "sent"}),
}
# What is superfluous there counts for the next mail.
ALONE = {("superfluous", "content"), ("early", "reading")}


def check_cell(instance, server, names, stage, expected):
    """The mails are where they should be, and were at the relay as often as is known."""
    base, place = instance.base, "defer" if expected == "unknown" else expected
    wanted = [place] + [place if stage in BEFORE else "sent"] * (len(names) - 1)

    def places():
        return [state for name in names for state in base.where(name)]

    wait_for(lambda: sorted(places()) == sorted(wanted), 30,
             lambda: f"{stage}: {places()}, not {wanted}\n{instance.tail()}")
    # A lone dot is no content.
    taken = collections.Counter(mail.subject for mail in server.mails if mail.content)
    for name, state in zip(names, places()):
        if state == "defer" and expected == "unknown":
            assert "unknown whether it was taken" in base.record("defer", name)
            assert taken[name] <= 1
        else:
            assert taken[name] == (state == "sent"), f"{name} in '{state}', taken {taken[name]} times"


@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "plain"])
@pytest.mark.parametrize("misbehaviour", MATRIX)
def test_every_stage_by_every_misbehaviour(smailer, scripted_server, misbehaviour, pipelining):
    make, outcomes = MATRIX[misbehaviour]
    times = {key: "1s" for key in ("command_timeout", "data_timeout", "final_timeout")}
    servers, accounts, names = {}, {}, {}
    for stage in outcomes:
        settings, extensions = WAYS.get(stage, ({}, []))
        well_again = [] if stage in BEFORE else [usual(stage) if REPLIES[stage] else None]
        servers[stage] = scripted_server({stage: [make(stage), *well_again]}, pipelining=pipelining,
                                         extensions=["8BITMIME", "SIZE 33554432", *extensions])
        accounts[f"{stage}@example.com"] = account(servers[stage], connections=1,
                                                   **{**times, **settings})
    instance = smailer(accounts, retry_interval="1h")
    for stage in outcomes:
        count = 1 if (misbehaviour, stage) in ALONE else COUNT
        names[stage] = [instance.base.drop(name, topic=name, sender=f"{stage}@example.com")
                        for name in (f"{stage}{number}.xml" for number in range(count))]
    for stage, expected in outcomes.items():
        check_cell(instance, servers[stage], names[stage], stage, expected)
    assert not instance.base.files("")


RESETS = {"close": close, "reset": reset, "hang": hang, "half": both(half, close),
          "garbage": both(garbage, close), "421": shutting_down, "450": reply("450 4.2.0 later"),
          "550": reply("550 5.0.0 no"), "late": after(0.5, reply("250 2.0.0 Ok"))}


@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "plain"])
def test_what_goes_wrong_between_two_mails_is_no_mails_fault(smailer, scripted_server, pipelining):
    """RSET follows where a recipient was refused; the next mail is then sent, and sent once."""
    servers = {name: scripted_server({"rcpt": [reply("550 5.1.1 no"), usual("rcpt")], "rset": action},
                                     pipelining=pipelining) for name, action in RESETS.items()}
    instance = smailer({f"{name}@example.com": account(server, connections=1, command_timeout="1s")
                        for name, server in servers.items()}, retry_interval="1h")
    names = {name: [instance.base.drop(f"{name}-{number}.xml", sender=f"{name}@example.com")
                    for number in range(2)] for name in servers}
    for name, server in servers.items():
        wait_for(lambda: sorted(instance.base.where(each)[0] for each in names[name]) == ["drop", "sent"],
                 30, lambda: f"{name}: {[instance.base.where(each) for each in names[name]]}")
        assert "rset" in server.stages
        assert sum(bool(mail.content) for mail in server.mails) == 1


@pytest.mark.one_identity
@pytest.mark.parametrize("answer, outcome", [
    ("552 5.3.4 too large", "drop"), ("552 5.2.2 mailbox full", "drop"), ("451 4.3.0 no", "defer"),
    ("421 4.3.2 bye", "defer"), ("250 2.0.0 Ok", "defer")])
def test_an_answer_in_the_middle_of_a_content(smailer, scripted_server, answer, outcome):
    """It ends the session; the mails behind are sent, and sent once."""
    server = scripted_server({"reading": [both(reply(answer), stop_reading), None]})
    instance = smailer({"large@example.com": account(server, connections=1, mails_per_connection=1),
                        "small@example.com": account(server, connections=1)}, retry_interval="1h")
    large = instance.base.drop(sender="large@example.com", content="a line\n" * 1000000)
    instance.wait_for_file(instance.base, outcome, large)
    small = [instance.base.drop(sender="small@example.com") for _ in range(3)]
    for name in small:
        instance.wait_for_file(instance.base, "sent", name)
    assert len(server.mails) == len(small)
    if answer[0] != "2":
        assert answer in instance.base.record(outcome, large)
