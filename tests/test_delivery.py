"""Delivery: what a relay may do at every stage, and what an account's keys change."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness.postfix import Postfix
from harness.process import descendants, stays, wait_for
from harness.scripted import (REPLIES, after, both, close, endless, garbage, hang, many_lines, nuls,
                              reply, reset, shutting_down)
from harness.smailer import account
from harness.tls import Authority

FOO, BAR = "foo@example.com", "bar@example.com"
BOO = "boo@hisorhermail.com"


def fingerprint(certificate, of_key=False):
    command = ["openssl", "x509", "-in", certificate.chain, "-noout"]
    if not of_key:
        output = subprocess.run([*command, "-fingerprint", "-sha256"], check=True,
                                capture_output=True, text=True).stdout
        return output.strip().partition("=")[2]
    key = subprocess.run([*command, "-pubkey"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True,
                         capture_output=True).stdout
    output = subprocess.run(["openssl", "dgst", "-sha256"], input=der, check=True,
                            capture_output=True).stdout.decode()
    return output.strip().split()[-1]


# --- the accounts' keys ---

@pytest.mark.one_identity
def test_without_pipelining_one_command_at_a_time(smailer, scripted_server):
    server = scripted_server({"mail": reply("250 2.1.0 Ok")})
    instance = smailer({FOO: account(server, pipelining=False, connections=1)})
    names = instance.base.drop_many(20)
    instance.wait_for_count(instance.base, "sent", len(names))
    assert "rset" not in server.stages


@pytest.mark.one_identity
def test_an_idle_connection_is_kept_as_long_as_it_should(smailer, make_relay):
    short, long = make_relay(), make_relay()
    instance = smailer({FOO: account(short, idle="200ms"), BAR: account(long, idle="1m")})
    instance.base.drop(sender=FOO)
    instance.base.drop(sender=BAR)
    short.wait()
    long.wait()
    wait_for(lambda: short.open == 0, 3, "the idle connection to end")
    assert long.open == 1
    instance.base.drop(sender=BAR)
    long.wait(2)
    assert long.connections == 1


@pytest.mark.one_identity
def test_mails_over_the_quota_of_a_minute_wait_and_are_not_attempts(smailer, relay):
    instance = smailer({FOO: account(relay, mails_per_minute=5)})
    instance.base.drop_many(40)
    relay.wait(5)
    stays(lambda: len(relay.mails) == 5, 2, lambda: f"5 mails ({len(relay.mails)})")
    states = instance.base.states()
    assert (len(states["sent"]), len(states[""]), states["defer"]) == (5, 35, [])


@pytest.mark.one_identity
def test_the_quota_of_a_day_outlives_restart_and_damage(smailer, relay):
    instance = smailer({FOO: account(relay, mails_per_day=6)})
    names = instance.base.drop_many(4)
    instance.wait_for_count(instance.base, "sent", 4)
    file = instance.root / "state/qmgr/quotas"
    wait_for(lambda: file.exists() and " 4" in file.read_text(), 5, "the count on the disk")
    instance.kill("qmgr")  # nothing is written at its end
    instance.base.drop_many(10, "more")
    relay.wait(6)
    stays(lambda: len(relay.mails) == 6, 1)
    instance.stop()
    text = file.read_text()
    assert re.fullmatch(r"foo@example\.com\t(\d+ \d+ )+\n", text), text
    file.write_text("nonsense\n" + text + "bar@example.com\t7 x\n\0\n")
    instance.start()
    instance.wait_for_log("damaged", "qmgr")
    stays(lambda: len(relay.mails) == 6, 1)
    assert len(names) == 4 and instance.base.files("defer") == []


@pytest.mark.one_identity
def test_a_run_does_not_wait_for_a_quota(smailer, relay):
    instance = smailer({FOO: account(relay, mails_per_day=2)}, started=False)
    instance.base.drop_many(50)
    result = instance.cli("send", limit=30)
    assert result.returncode == 69, result
    assert (len(relay.mails), len(instance.base.files(""))) == (2, 48)
    instance.start()
    result = instance.cli("send", limit=30)
    assert (len(relay.mails), len(instance.base.files(""))) == (2, 48), result


@pytest.mark.one_identity
def test_a_spent_quota_holds_nobody_else(smailer, make_relay):
    spent, other = make_relay(), make_relay()
    instance = smailer({FOO: account(spent, mails_per_day=1), BAR: account(other)})
    instance.base.drop_many(2000)
    spent.wait(1)
    instance.base.drop_many(100, "other", sender=BAR)
    other.wait(100, 15)
    assert len(spent.mails) == 1
    assert instance.base.files("defer") == []


@pytest.mark.one_identity
def test_a_delay_is_between_two_mails(smailer, make_relay):
    relay = make_relay(delay=0.1)
    instance = smailer({FOO: account(relay, delay="300ms", connections=4)})
    instance.base.drop_many(5)
    relay.wait(5)
    times = [mail.arrived for mail in relay.mails]
    assert all(b - a >= 0.39 for a, b in zip(times, times[1:])), times
    assert all(b - a < 1.5 for a, b in zip(times, times[1:])), times


def test_the_fallback_relay_takes_over(smailer, make_relay):
    first, second = make_relay(), make_relay()
    first.down()
    instance = smailer({FOO: account(first, fallback_relay=second.address)})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    assert len(second.mails) == 1
    assert instance.wait_for_log(f"relay={re.escape(second.address.split(':')[0])}.*:{second.port}, "
                              ".*status=sent", "smtp")
    first.up()
    instance.restart()
    instance.base.drop()
    first.wait(1)


@pytest.mark.one_identity
@pytest.mark.parametrize("greeting", [reply("554 5.3.2 no service here"), shutting_down, close])
def test_a_refused_greeting_goes_to_the_fallback(smailer, scripted_server, relay, greeting):
    server = scripted_server({"greeting": greeting})
    instance = smailer({FOO: account(server, fallback_relay=relay.address)})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    assert len(relay.mails) == 1


@pytest.mark.one_identity
def test_a_refused_login_does_not_go_to_the_fallback(smailer, make_relay):
    first, second = make_relay(users={"foo": "right"}), make_relay(users={"foo": "wrong"})
    instance = smailer({FOO: account(first, user="foo", password="wrong",
                                     fallback_relay=second.address)})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    assert second.connections == 0


@pytest.mark.one_identity
def test_a_password_that_was_mended_counts_soon_after_a_reload(smailer, make_relay):
    relay = make_relay(users={"foo": "right"})
    instance = smailer({FOO: account(relay, user="foo", password="wrong")}, probe_interval="2s",
                       retry_interval="1h")
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    tries = len(relay.logins)
    stays(lambda: len(relay.logins) == tries, 3)  # no probe for an hour
    instance.accounts[FOO]["password"] = "right"
    instance.configure()
    instance.reload()
    wait_for(lambda: instance.base.drop() and relay.mails, 15, "a mail", 0.5)


@pytest.mark.one_identity
def test_the_other_address_of_a_relay_is_tried(smailer, scripted_server):
    """Whichever is connected to first refuses."""
    server = scripted_server({"greeting": [both(reply("554 5.3.2 not me"), close),
                                           reply("220 scripted.test")]})
    addresses = {found[4][0] for found in socket.getaddrinfo("localhost", server.port)}
    if addresses != {"127.0.0.1", "::1"}:
        pytest.skip(f"localhost is {addresses}")
    server.listen_too("::1")
    instance = smailer({FOO: {**account(server), "relay": f"localhost:{server.port}"}})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    assert (len(server.mails), server.connections) == (1, 2)
    used = {found for found in ("127.0.0.1", "::1")
            if instance.log_lines(rf"localhost\[{re.escape(found)}\]", "smtp")}
    assert used == addresses


@pytest.mark.one_identity
def test_a_worker_that_dies_while_connecting_is_not_started_over_and_over(smailer, scripted_server):
    server = scripted_server({"greeting": hang})
    instance = smailer({FOO: account(server)})
    instance.allowed_faults = True
    name = instance.base.drop()
    wait_for(lambda: server.open == 1, 10, "a connection")
    parent = instance.pids("smtp")[0]
    for each in descendants(parent):
        os.kill(each.pid, signal.SIGSEGV)
    instance.wait_for_file(instance.base, "defer", name)
    stays(lambda: server.connections == 1, 1)


@pytest.mark.one_identity
@pytest.mark.parametrize("key, stage", [
    ("command_timeout", "greeting"), ("command_timeout", "ehlo"), ("command_timeout", "mail"),
    ("command_timeout", "rcpt"), ("command_timeout", "data"), ("final_timeout", "content")])
def test_each_stage_has_its_time_out(smailer, scripted_server, key, stage):
    server = scripted_server({stage: hang})
    others = {other: "1h" for other in ("command_timeout", "data_timeout", "final_timeout")}
    instance = smailer({FOO: account(server, **{**others, key: "1s"})})
    start = time.monotonic()
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name, 15)
    assert 1 <= time.monotonic() - start < 6


@pytest.mark.one_identity
@pytest.mark.parametrize("tls", ["starttls", "smtps"])
def test_a_fingerprint_replaces_authorities(smailer, make_relay, authority, tls):
    certificate = authority.certificate(names=("DNS:elsewhere.test",), days=-1)
    relay = make_relay(tls=tls, certificate=certificate)
    wrong = "00" * 32
    instance = smailer({FOO: account(relay, tls_fingerprint=[fingerprint(certificate)]),
                        BAR: account(relay, tls_fingerprint=[wrong, fingerprint(certificate, True)]),
                        "default": account(relay, tls_fingerprint=[wrong])})
    good = [instance.base.drop(sender=sender) for sender in (FOO, BAR)]
    bad = instance.base.drop(sender="x@example.com")
    for name in good:
        instance.wait_for_file(instance.base, "sent", name)
    instance.wait_for_file(instance.base, "defer", bad)
    shown = fingerprint(certificate).replace(":", "").lower()
    assert shown in instance.base.record("defer", bad)
    assert len(relay.mails) == 2


@pytest.mark.parametrize("value, words", [(["12:34"], "64 hexadecimal"), (["zz" * 32], "64 hex")])
@pytest.mark.one_identity
def test_a_fingerprint_that_is_none_is_refused(smailer, relay, value, words):
    instance = smailer({FOO: {**account(relay), "tls": "smtps", "tls_fingerprint": value}},
                       started=False)
    result = instance.master("-n")
    assert result.returncode == 78 and words in result.stderr


@pytest.mark.one_identity
def test_the_oldest_version_of_tls_is_settable(smailer, make_relay, authority):
    certificate = authority.certificate()
    relay = make_relay(tls="smtps", certificate=certificate)
    relay._context.maximum_version = ssl.TLSVersion.TLSv1_2
    keys = {"ca_file": str(authority.file)}
    instance = smailer({FOO: account(relay, **keys),
                        BAR: account(relay, tls_minimum="1.3", **keys)})
    good, bad = instance.base.drop(sender=FOO), instance.base.drop(sender=BAR)
    instance.wait_for_file(instance.base, "sent", good)
    instance.wait_for_file(instance.base, "defer", bad)


@pytest.mark.one_identity
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_a_relay_with_old_tls_can_be_spoken_to(smailer, make_relay, authority):
    relay = make_relay(tls="smtps", certificate=authority.certificate())
    relay._context.set_ciphers("DEFAULT:@SECLEVEL=0")
    relay._context.minimum_version = ssl.TLSVersion.TLSv1
    relay._context.maximum_version = ssl.TLSVersion.TLSv1
    keys = {"ca_file": str(authority.file)}
    instance = smailer({FOO: account(relay, tls_minimum="1.0", **keys), BAR: account(relay, **keys)})
    good, bad = instance.base.drop(sender=FOO), instance.base.drop(sender=BAR)
    instance.wait_for_file(instance.base, "sent", good)
    instance.wait_for_file(instance.base, "defer", bad)


@pytest.mark.one_identity
def test_a_renewed_ca_file_counts_after_a_reload(smailer, make_relay, authority, directory):
    renewed = Authority(directory / "renewed")
    relay = make_relay(tls="starttls", certificate=renewed.certificate())
    file = directory / "trusted.pem"
    file.write_bytes(authority.file.read_bytes())
    file.chmod(0o644)
    instance = smailer({FOO: account(relay, ca_file=str(file))}, probe_interval="1s",
                       retry_interval="2s")
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    file.write_bytes(renewed.file.read_bytes())
    instance.reload()
    instance.wait_for_file(instance.base, "sent", name)


# --- what hangs, and what is refused ---

@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False])
def test_what_waits_behind_a_hung_mail_is_sent_by_another(smailer, scripted_server, pipelining):
    """Two connections; the first content is never answered."""
    server = scripted_server({"content": [hang, reply("250 2.0.0 Ok")]}, pipelining=pipelining)
    instance = smailer({FOO: account(server, connections=2)})
    names = instance.base.drop_many(40)
    instance.wait_for_count(instance.base, "sent", len(names) - 1, 20)
    instance.stop()  # the hung one is unknown, all others came once
    assert len(server.mails) == len(names) - 1
    assert len(instance.base.files("sent")) == len(names) - 1


@pytest.mark.one_identity
def test_behind_the_only_connection_nothing_is_lost_or_doubled(smailer, scripted_server):
    """Jobs are asked back from behind the hung one, and the session ends with it."""
    server = scripted_server({"content": [after(7, reply("250 2.0.0 Ok")), reply("250 2.0.0 Ok")]})
    server.table["content"][0].text = "250"
    instance = smailer({FOO: account(server, connections=1)})
    names = instance.base.drop_many(10)
    instance.wait_for_count(instance.base, "sent", len(names), 30)
    instance.wait_for_log("RECALL", "qmgr")
    assert (len(server.mails), server.connections) == (len(names), 2)


@pytest.mark.one_identity
def test_fewer_connections_where_the_relay_refuses_some(smailer, make_relay):
    """It bears three; the others are refused with 421 in their greeting."""
    relay = make_relay(delay=0.02, most=3)
    instance = smailer({FOO: account(relay, connections=8)}, programs={"smtp": {"instances": 10}})
    names = instance.base.drop_many(300)
    instance.wait_for_count(instance.base, "sent", len(names), 30)
    assert instance.base.files("defer") == []
    assert relay.refused < 20
    instance.wait_for_log("wants fewer connections: [123] at the most", "qmgr")


@pytest.mark.one_identity
def test_one_account_in_trouble_does_not_slow_another(smailer, scripted_server, make_relay):
    """One whose relay hangs at every stage in turn, one whose relay is down, one over its quota."""
    count = 1500
    def rate(instance, base, relay):
        start = time.monotonic()
        base.drop_many(count, "good", sender="good@example.com")
        relay.wait(count, 60)
        return count / (time.monotonic() - start)
    programs = {"smtp": {"instances": 12}}
    first = make_relay()
    alone = smailer({"good@example.com": account(first, connections=4)}, programs=programs,
                    log_level="info")
    undisturbed = rate(alone, alone.base, first)
    alone.stop()
    hung = {stage: scripted_server({stage: hang}) for stage in ("greeting", "mail", "content")}
    down, over, second = make_relay(), make_relay(), make_relay()
    down.down()
    accounts = {f"{stage}@example.com": account(server, connections=2)
                for stage, server in hung.items()}
    accounts.update({"down@example.com": account(down),
                     "over@example.com": account(over, mails_per_day=3),
                     "good@example.com": account(second, connections=4)})
    instance = smailer(accounts, programs=programs, log_level="info", retry_interval="1h")
    for address in accounts:
        if not address.startswith("good"):
            instance.base.drop_many(count, address.partition("@")[0], sender=address)
    over.wait(3)
    wait_for(lambda: len(instance.base.files("defer")) == count, 60, "all of the down relay's")
    disturbed = rate(instance, instance.base, second)
    assert len(over.mails) == 3
    assert disturbed > 0.5 * undisturbed, (disturbed, undisturbed)  # 0.8 on a machine that is idle


# --- the matrix: stage by misbehaviour ---

STAGES = ("greeting", "ehlo", "mail", "rcpt", "data", "reading", "content")
REPLYING = tuple(stage for stage in STAGES if stage != "reading")
EHLO = "250-scripted.test\n250 PIPELINING"


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
# What a server does, and what becomes of the mail. "unknown": deferred, and it may have been taken.
AFTER_THE_DOT = {"reading": "unknown", "content": "unknown"}
MATRIX = {
    "close": (lambda stage: close, {**everywhere("defer"), **AFTER_THE_DOT}),
    "reset": (lambda stage: reset, {**everywhere("defer"), **AFTER_THE_DOT}),
    "hang": (lambda stage: hang, {**everywhere("defer"), **AFTER_THE_DOT}),
    "garbage": (lambda stage: both(garbage, close), {**everywhere("defer"), **AFTER_THE_DOT}),
    "nuls": (lambda stage: both(nuls, close), {**everywhere("defer"), **AFTER_THE_DOT}),
    "endless": (lambda stage: endless, {**everywhere("defer"), **AFTER_THE_DOT, **CUT}),
    "many-lines": (lambda stage: many_lines, {**everywhere("defer"), **AFTER_THE_DOT}),
    "421": (lambda stage: shutting_down, everywhere("defer", REPLYING)),
    "450": (lambda stage: reply("450 4.2.0 later"), {**everywhere("defer", REPLYING), **HELO}),
    "550": (lambda stage: reply("550 5.0.0 no"),
            {**everywhere("defer", REPLYING), **everywhere("drop", ("rcpt", "data", "content")), **HELO}),
    "550-by-policy": (lambda stage: reply("550 5.7.1 not you"),
                      {**everywhere("defer", REPLYING), **HELO}),
    "552-too-large": (lambda stage: reply("552 5.3.4 too large"),
                      everywhere("drop", ("mail", "rcpt", "data", "content"))),
    "late": (lambda stage: well(stage, lambda action: after(0.5, action)), everywhere("sent", REPLYING)),
    "many-words": (lambda stage: reply("\n".join(["250-a line"] * 50 + ["250 the end"])),
                   everywhere("sent", ("mail", "rcpt", "content"))),
    "superfluous": (lambda stage: well(stage, lambda action: both(action, action)),
                    {**everywhere("defer", ("mail", "rcpt")), "content": "sent"}),
}


def check_cell(instance, server, name, expected):
    """The mail is where it should be, once, and was at the relay as often as is known."""
    base, place = instance.base, "defer" if expected == "unknown" else expected
    instance.wait_for_file(base, place, name, 30)
    taken = sum(bool(mail.content) for mail in server.mails)  # not for a lone dot
    if expected == "unknown":
        assert "unknown whether it was taken" in base.record("defer", name)
        assert taken <= 1
    else:
        assert taken == (expected == "sent"), f"taken {taken} times"


@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "plain"])
@pytest.mark.parametrize("misbehaviour", MATRIX)
def test_every_stage_by_every_misbehaviour(smailer, scripted_server, misbehaviour, pipelining):
    make, outcomes = MATRIX[misbehaviour]
    servers = {stage: scripted_server({stage: make(stage)}, pipelining=pipelining)
               for stage in outcomes}
    times = {key: "1s" for key in ("command_timeout", "data_timeout", "final_timeout")}
    instance = smailer({f"{stage}@example.com": account(server, connections=1, **times)
                        for stage, server in servers.items()}, retry_interval="1h")
    names = {stage: instance.base.drop(f"{stage}.xml", sender=f"{stage}@example.com")
             for stage in outcomes}
    for stage, expected in outcomes.items():
        check_cell(instance, servers[stage], names[stage], expected)
    assert not instance.base.files("")


# --- a real server: Postfix ---

@pytest.fixture
def postfix(unpacked):
    if os.geteuid() != 0:
        pytest.skip("Postfix's programs want root")
    made = []

    def make(**parameters):
        made.append(Postfix(unpacked("postfix"), **parameters))
        return made[-1].up()

    yield make
    for each in made:
        each.end()


@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False])
def test_postfix_takes_every_mail_once(smailer, postfix, pipelining):
    server = postfix()
    instance = smailer({FOO: account(server, connections=4, mails_per_connection=30,
                                     pipelining=pipelining)}, log_level="info")
    for number in range(300):
        instance.base.drop(f"{number}.xml", topic=f"mail {number}")
    instance.wait_for_count(instance.base, "sent", 300, 40)
    subjects = sorted(mail["Subject"] for mail in server.wait(300, 60))
    assert subjects == sorted(f"mail {number}" for number in range(300))
    assert "improper command pipelining" not in server.log()
    assert not re.search("lost connection after (?!CONNECT)", server.log())  # that is the harness


@pytest.mark.one_identity
def test_postfix_refuses_size_and_recipient(smailer, postfix):
    server = postfix(message_size_limit="20000",
                     smtpd_recipient_restrictions="check_recipient_access inline:{"
                     "{no@example.org = 550 5.1.1 no such mailbox} {later@example.org = DEFER}}, "
                     "permit_mynetworks, reject")
    instance = smailer({FOO: account(server, connections=1)})
    base = instance.base
    large = base.drop("large.xml", content="x" * 40000)
    refused = base.drop("refused.xml", address="no@example.org")
    later = base.drop("later.xml", address="later@example.org")
    good = base.drop("good.xml")
    for name, state in ((large, "drop"), (refused, "drop"), (later, "defer"), (good, "sent")):
        instance.wait_for_file(base, state, name)
    assert "(not sent)" in base.record("drop", large)
    assert "no such mailbox" in base.record("drop", refused)
    assert "450 4.7.1" in base.record("defer", later)
    assert len(server.wait(1)) == 1


@pytest.mark.one_identity
def test_postfix_with_starttls_is_checked(smailer, postfix, authority, directory):
    certificate = authority.certificate()
    server = postfix(smtpd_tls_security_level="encrypt", smtpd_tls_cert_file=certificate.chain,
                     smtpd_tls_key_file=certificate.key, smtpd_tls_loglevel="1")
    other = Authority(directory / "other")
    keys = {"tls": "starttls"}
    instance = smailer({FOO: account(server, ca_file=str(authority.file), **keys),
                        BAR: account(server, ca_file=str(other.file), **keys)})
    names = [instance.base.drop(f"{number}.xml", sender=FOO) for number in range(20)]
    bad = instance.base.drop(sender=BAR)
    instance.wait_for_file(instance.base, "defer", bad)
    instance.wait_for_count(instance.base, "sent", len(names))
    assert len(server.wait(20)) == 20
    assert "TLS connection established" in server.log()
