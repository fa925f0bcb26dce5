"""Delivery: what a relay may do at every stage, and what an account's keys change."""

import os
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness.process import descendants, stays, wait_for
from harness.scripted import (after, both, close, hang, raw, reply, shutting_down, stop_reading)
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
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_connection_is_renewed_after_so_many_mails(smailer, scripted_server, pipelining):
    server = scripted_server(pipelining=pipelining)
    instance = smailer({FOO: account(server, connections=1, mails_per_connection=3)})
    names = instance.base.drop_many(10)
    instance.wait_for_count(instance.base, "sent", len(names))
    assert (len(server.mails), server.connections) == (10, 4)
    wait_for(lambda: server.stages.count("quit") >= 3, 5, "QUIT at each one's end")


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
def test_workers_that_die_while_connecting_are_not_started_over_and_over(smailer, scripted_server):
    """Three in a row; the account is probed then."""
    server = scripted_server({"greeting": hang})
    instance = smailer({FOO: account(server)})
    instance.allowed_faults = True
    name = instance.base.drop()
    parent = instance.pids("smtp")[0]
    for count in range(1, 4):
        wait_for(lambda: server.connections == count, 10, f"connection {count}")
        for each in descendants(parent):
            os.kill(each.pid, signal.SIGSEGV)
    instance.wait_for_file(instance.base, "defer", name)
    stays(lambda: server.connections == 3, 1)


# What the account and the server need to come to a stage.
WAYS = {
    "starttls": ({"tls": "starttls"}, ["STARTTLS"]), "tls": ({"tls": "smtps"}, []),
    "auth": ({"user": "foo", "password": "right", "plaintext_login": True}, ["AUTH PLAIN"])}
TIMEOUTS = ("connect_timeout", "command_timeout", "data_timeout", "final_timeout")


@pytest.mark.one_identity
@pytest.mark.parametrize("key, stage", [
    ("command_timeout", "greeting"), ("command_timeout", "ehlo"), ("command_timeout", "starttls"),
    ("command_timeout", "handshake"), ("connect_timeout", "tls"), ("command_timeout", "auth"),
    ("command_timeout", "mail"), ("command_timeout", "rcpt"), ("command_timeout", "data"),
    ("data_timeout", "reading"), ("final_timeout", "content")])
def test_each_stage_has_its_time_out(smailer, scripted_server, key, stage):
    settings, extensions = WAYS.get("starttls" if stage == "handshake" else stage, ({}, []))
    table = {"handshake": {"starttls": both(reply("220 go ahead"), hang)}, "tls": {"greeting": hang},
             "reading": {"reading": stop_reading}}.get(stage, {stage: hang})
    server = scripted_server(table, extensions=["SIZE 33554432", *extensions])
    others = {other: "1h" for other in TIMEOUTS}
    instance = smailer({FOO: account(server, **{**settings, **others, key: "1s"})})
    name = instance.base.drop(content="a line\n" * 2000000 if stage == "reading" else "x")
    wait_for(lambda: server.connections, 15, "a connection")
    start = time.monotonic()
    instance.wait_for_file(instance.base, "defer", name, 15)
    assert 0.8 <= time.monotonic() - start < 6
    assert not server.mails


@pytest.mark.one_identity
def test_the_connection_has_its_time_out(smailer):
    """To a port whose queue is full, nothing is answered."""
    with socket.socket() as port, socket.socket() as first, socket.socket() as second:
        port.bind(("127.0.0.1", 0))
        port.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(port.getsockname())
        others = {other: "1h" for other in TIMEOUTS}
        instance = smailer({FOO: {**account("127.0.0.1:%d" % port.getsockname()[1]),
                                  **others, "connect_timeout": "1s"}})
        start = time.monotonic()
        name = instance.base.drop()
        instance.wait_for_file(instance.base, "defer", name, 15)
        assert 0.8 <= time.monotonic() - start < 6


@pytest.mark.one_identity
def test_an_address_outside_ascii_needs_smtputf8(smailer, relay, scripted_server):
    without = scripted_server()
    instance = smailer({FOO: account(relay), BAR: account(without)})
    address = "zażółć@example.org"
    good, plain = instance.base.drop(address=address), instance.base.drop()
    bad = instance.base.drop(sender=BAR, address=address)
    for name in (good, plain):
        instance.wait_for_file(instance.base, "sent", name)
    instance.wait_for_file(instance.base, "drop", bad)
    assert "SMTPUTF8, which the relay does not offer" in instance.base.record("drop", bad)
    options = {mail.recipients[0]: "SMTPUTF8" in mail.mail_options for mail in relay.mails}
    assert options == {address: True, BOO: False} and not without.mails


@pytest.mark.one_identity
@pytest.mark.parametrize("injected", ["220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n",
                                      "220 go ahead\r\n220 go ahead\r\n",
                                      "220 go ahead\r\n235 welcome\r\n250 Ok\r\n250 Ok\r\n"])
def test_what_came_before_tls_counts_for_nothing(smailer, scripted_server, injected):
    """Between the two: replies behind the one to STARTTLS, in one packet."""
    server = scripted_server({"starttls": raw(injected.encode())}, extensions=["STARTTLS"])
    instance = smailer({FOO: account(server, tls="starttls", user="foo", password="sekret",
                                     command_timeout="2s")})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    assert set(server.stages) <= {"greeting", "ehlo", "starttls", "other"}
    assert not any(b"AUTH" in line or b"MAIL" in line for line in server.lines)


@pytest.mark.one_identity
@pytest.mark.parametrize("answer", ["502 5.5.1 no", "454 4.7.0 not now", "250 Ok"])
def test_a_refused_starttls_is_no_reason_to_go_on(smailer, scripted_server, answer):
    server = scripted_server({"starttls": reply(answer)}, extensions=["STARTTLS", "AUTH PLAIN"])
    instance = smailer({FOO: account(server, tls="starttls", user="foo", password="sekret")})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    assert "auth" not in server.stages and "mail" not in server.stages


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
