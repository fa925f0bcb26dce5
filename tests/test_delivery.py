"""Delivery: what a relay may do at every stage, and what an account's keys change."""

import json
import os
import re
import subprocess
import time

import pytest

from harness.process import stays, wait_for
from harness.scripted import (both, close, endless, garbage, hang, many_lines, nuls, raw, reply,
                              reset, shutting_down, silence)
from harness.smailer import account

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
    assert instance.log_lines(f"relay={re.escape(second.address.split(':')[0])}.*:{second.port}, "
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
def test_the_other_address_of_a_relay_is_tried(smailer, scripted_server):
    """localhost is ::1 and 127.0.0.1; one of them says 554."""
    import socket
    server = scripted_server()
    refused = []
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("::1", server.port))
        except OSError as error:
            pytest.skip(f"no ::1 here: {error}")
        other.listen()
        other.settimeout(15)
        names = {address[4][0] for address in socket.getaddrinfo("localhost", server.port)}
        if "::1" not in names:
            pytest.skip("localhost has one address")
        instance = smailer({FOO: {**account(server), "relay": f"localhost:{server.port}"}})
        name = instance.base.drop()
        connection, _ = other.accept()
        refused.append(connection)
        connection.sendall(b"554 5.3.2 not me\r\n")
        connection.close()
        instance.wait_for_file(instance.base, "sent", name)
    assert len(server.mails) == 1 and len(refused) == 1


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
    import ssl
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
    import ssl
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
    from harness.tls import Authority
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
