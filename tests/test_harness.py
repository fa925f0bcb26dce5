"""The tests' own servers and helpers do what the tests rely on; the client is Python's smtplib."""

import os
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import base, config, identity, process, scripted, tls
from harness.postfix import Postfix
from harness.relay import Relay

MESSAGE = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Za=C5=BC?=\r\n\r\nText.\r\n"


def client(server, **keywords):
    return smtplib.SMTP(server.host, server.port, timeout=10, **keywords)


def test_relay_collects():
    with Relay() as relay, client(relay) as smtp:
        smtp.sendmail("a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
        [mail] = relay.wait()
        assert mail.sender == "a@example.com"
        assert mail.recipients == ["b@example.org", "c@example.org"]
        assert mail.content == MESSAGE
        assert mail.subject == "Zaż" and mail.text == "Text.\n"
        assert relay.stages == ["mail", "rcpt", "rcpt", "content"]


def test_relay_answers_as_told():
    def answer(stage, mail, address):
        return "550 5.1.1 no" if stage == "rcpt" and address == "b@example.org" else None
    with Relay(answer) as relay, client(relay) as smtp:
        refused = smtp.sendmail("a@example.com", ["b@example.org", "c@example.org"], MESSAGE)
        assert refused == {"b@example.org": (550, b"5.1.1 no")}
        assert relay.mails[0].recipients == ["c@example.org"]


def test_relay_delays():
    with Relay(delay=0.2) as relay, client(relay) as smtp:
        start = time.monotonic()
        smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert time.monotonic() - start >= 0.2


def test_relay_goes_down_and_comes_up_on_the_same_port():
    relay = Relay()
    with pytest.raises(ConnectionRefusedError):
        client(relay)
    with relay:
        port = relay.port
        smtp = client(relay)
        relay.down()
        with pytest.raises(ConnectionRefusedError):
            client(relay)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.noop()
        relay.up()
        assert relay.port == port
        client(relay).quit()
        assert (relay.connections, relay.most) == (2, 1)


def test_relay_counts_connections():
    with Relay() as relay:
        clients = [client(relay) for _ in range(3)]
        assert (relay.connections, relay.open, relay.most) == (3, 3, 3)
        for smtp in clients:
            smtp.quit()
        process.wait_for(lambda: relay.open == 0, what="no connection to be open")
        assert relay.most == 3


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_relay_demands_login(mechanism):
    with Relay(users={"foo": "secret"}, mechanisms=[mechanism]) as relay:
        with client(relay) as smtp:
            smtp.ehlo()
            assert smtp.esmtp_features["auth"].split() == [mechanism]
            with pytest.raises(smtplib.SMTPSenderRefused):
                smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                smtp.login("foo", "wrong")
        with client(relay) as smtp:
            smtp.login("foo", "secret")
            smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert relay.logins[-1] == ("foo", True) and ("foo", False) in relay.logins
        assert relay.mails[0].login == "foo"


@pytest.mark.parametrize("kind", ["starttls", "smtps"])
def test_relay_encrypts(kind, tmp_path):
    authority = tls.Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.file)
    with Relay(tls=kind, certificate=authority.certificate()) as relay:
        if kind == "smtps":
            smtp = smtplib.SMTP_SSL(relay.host, relay.port, context=context, timeout=10)
        else:
            smtp = client(relay)
            smtp.starttls(context=context)
        with smtp:
            smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert relay.mails[0].encrypted
        assert relay.connections == 1


def test_certificates_can_be_wrong(tmp_path):
    authority = tls.Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.file)
    for name, arguments in {"elsewhere": {"names": ["DNS:elsewhere.test"]},
                            "expired": {"days": -1}}.items():
        certificate = authority.certificate(name, **arguments)
        with Relay(tls="smtps", certificate=certificate) as relay, \
                pytest.raises(ssl.SSLCertVerificationError):
            smtplib.SMTP_SSL(relay.host, relay.port, context=context, timeout=10)


def test_scripted_does_it_properly_by_default():
    with scripted.Scripted() as server, client(server) as smtp:
        smtp.sendmail("a@example.com", ["b@example.org"], b"Subject: x\r\n\r\n.dot\r\n")
        assert server.mails[0].content == b"Subject: x\r\n\r\n.dot\r\n"
        assert smtp.has_extn("PIPELINING")
        assert server.stages[:2] == ["greeting", "ehlo"]


def test_scripted_without_pipelining():
    with scripted.Scripted(pipelining=False) as server, client(server) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("PIPELINING")


def test_scripted_table_is_worked_off():
    table = {"rcpt": [scripted.reply("450 4.2.0 later"), scripted.reply("250 Ok")]}
    with scripted.Scripted(table) as server, client(server) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        for _ in range(2):
            smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert len(server.mails) == 2


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "reading", "content"])
@pytest.mark.parametrize("action", [scripted.close, scripted.reset, scripted.shutting_down])
def test_scripted_ends_anywhere(stage, action):
    table = {stage: action}
    if stage == "ehlo":
        table["helo"] = action
    with scripted.Scripted(table) as server:
        with pytest.raises((smtplib.SMTPException, OSError)):
            client(server).sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert server.mails == []
        process.wait_for(lambda: server.open == 0, what="the connection to be closed")


@pytest.mark.parametrize("action", [scripted.garbage, scripted.nuls, scripted.endless])
def test_scripted_says_nonsense(action):
    with scripted.Scripted({"mail": action}) as server, client(server) as smtp:
        smtp.ehlo()
        with pytest.raises(smtplib.SMTPException):
            if smtp.mail("a@example.com")[0] != 250:
                raise smtplib.SMTPException


def test_scripted_hangs_and_answers_late():
    table = {"noop": [scripted.after(0.2, scripted.reply("250 late")), scripted.hang]}
    with scripted.Scripted(table) as server:
        smtp = client(server)
        start = time.monotonic()
        assert smtp.noop() == (250, b"late") and time.monotonic() - start >= 0.2
        smtp.sock.settimeout(0.3)
        with pytest.raises((smtplib.SMTPServerDisconnected, socket.timeout)):
            smtp.noop()
        smtp.close()


def test_scripted_says_too_much():
    action = scripted.both(scripted.reply("250 one"), scripted.reply("250 two"))
    with scripted.Scripted({"noop": action}) as server, client(server) as smtp:
        assert smtp.noop() == (250, b"one")
        assert smtp.getreply() == (250, b"two")


@pytest.mark.skipif(os.geteuid() != 0, reason="Postfix needs root")
def test_postfix_accepts_and_ends(unpacked):
    with Postfix(unpacked("postfix")) as postfix, client(postfix) as smtp:
        smtp.sendmail("a@example.com", ["b@example.org"], MESSAGE)
        assert smtp.has_extn("PIPELINING")
        [message] = postfix.wait()
        assert message["Subject"] == "Zaż" and message["X-Original-To"] == "b@example.org"
    assert not [each for each in process.descendants(os.getpid()) if "postfix" in each.command]


def test_config_is_quoted():
    text = config.section("account", 'a"b', {"name": 'say "x" \\', "sids": ["a", "b"], "n": 4})
    assert text == ('account "a\\"b" {\n    name = "say \\"x\\" \\\\"\n    sids = { "a", "b" }\n'
                    "    n = 4\n}\n")


def test_document_is_escaped_and_encoded():
    content = base.document(base.item(topic="a<b&ż", time=None), encoding="ISO-8859-2")
    assert b'encoding="ISO-8859-2"' in content
    assert b"a&lt;b&amp;\xbf" in content and b"fld_time" not in content


def test_base_sees_states(tmp_path):
    one = base.Base(identity.available()[-1], "alfa", tmp_path / "spool").create()
    name = one.drop()
    assert one.states() == {"": [name], "sent": [], "defer": [], "drop": []}
    (one.directory / "sent").mkdir()
    os.rename(one.path("", name), one.path("sent", name))
    assert one.where(name) == ["sent"] and one.leftovers() == []
    (one.directory / ".left").mkdir()
    assert one.leftovers() == [".left"]
    assert one.drop_many(3) == one.files("")


def test_orphans_are_found():
    process.become_subreaper()
    before = {each.pid for each in process.descendants(os.getpid())}
    parent = subprocess.Popen(["sh", "-c", "sleep 1000 & echo"], stdout=subprocess.PIPE)
    parent.stdout.read(1)
    parent.wait()
    left = [each for each in process.descendants(os.getpid()) if each.pid not in before]
    assert [each.name for each in left] == ["sleep"]
    process.kill_all(left)
    assert not process.alive(left[0].pid)


def test_wait_for_has_a_limit():
    flag = threading.Event()
    threading.Timer(0.1, flag.set).start()
    assert process.wait_for(flag.is_set, 5)
    with pytest.raises(AssertionError, match="a miracle"):
        process.wait_for(lambda: False, 0.1, "a miracle")
