"""Real servers as relays: Postfix with Dovecot's logins, and Exim. Both are only unpacked."""

import os
import re

import pytest

from harness import installed
from harness.dovecot import Dovecot
from harness.exim import Exim
from harness.postfix import Postfix
from harness.process import stays, wait_for
from harness.smailer import account
from harness.tls import Authority

FOO, BAR = "foo@example.com", "bar@example.com"


@pytest.fixture
def start(unpacked):
    """start(Exim, "exim4-daemon-light", ...): one of them, ended with the test."""
    if os.geteuid() != 0:
        pytest.skip("these servers want root")
    made = []

    def make(kind, package, *arguments, **keywords):
        if issubclass(kind, installed.Installed) and not installed.possible():
            pytest.skip("root may not mount here")
        made.append(kind(unpacked(package), *arguments, **keywords))
        return made[-1].up()

    yield make
    for each in reversed(made):
        each.end()


# --- Postfix ---

@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False])
def test_postfix_takes_every_mail_once(smailer, start, pipelining):
    server = start(Postfix, "postfix")
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
def test_postfix_refuses_size_and_recipient(smailer, start):
    server = start(Postfix, "postfix", message_size_limit="20000",
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
def test_postfix_with_starttls_is_checked(smailer, start, authority, directory):
    certificate = authority.certificate()
    server = start(Postfix, "postfix", smtpd_tls_security_level="encrypt",
                   smtpd_tls_cert_file=certificate.chain, smtpd_tls_key_file=certificate.key,
                   smtpd_tls_loglevel="1")
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


# --- Postfix, with Dovecot's logins ---

# Longer than a command may be: the login takes two steps.
GOOD, BAD = "good" * 700, "bad" * 700
USERS, TOKENS = {"foo": "right"}, {GOOD: "foo"}


@pytest.fixture
def postfix(start, authority):
    """It takes mails from those who logged in, over TLS."""
    certificate = authority.certificate()
    dovecot = start(Dovecot, "dovecot-core", USERS, TOKENS)
    server = start(
        Postfix, "postfix", smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot",
        smtpd_sasl_path=dovecot.socket, smtpd_sasl_authenticated_header="yes",
        smtpd_sasl_security_options="noanonymous", smtpd_tls_auth_only="yes",
        smtpd_tls_security_level="may", smtpd_tls_cert_file=certificate.chain,
        smtpd_tls_key_file=certificate.key, smtpd_recipient_restrictions="reject_unauth_pipelining, "
        "permit_sasl_authenticated, reject", smtpd_relay_restrictions="permit_sasl_authenticated, reject")
    server.tls = "starttls"
    return server


def by_login(server, authority, directory, **settings):
    """The settings of an account that gives a token or, with auth for one, a password."""
    settings = {"user": "foo", "ca_file": str(authority.file), **settings}
    if "token" in settings:
        token = settings.pop("token")
        command = directory / f"get-{token[:4]}"
        command.write_text(f"#!/bin/sh\necho {token}\n")
        command.chmod(0o755)
        settings["token_command"] = [str(command)]
    return account(server, **settings)


def failures(server):
    return len(re.findall(r"disconnect from .* auth=0/1", server.log()))


LOGINS = {"plain": "PLAIN", "login": "LOGIN", "cram-md5": "CRAM-MD5", "auto": "CRAM-MD5",
          "xoauth2": "XOAUTH2", "oauthbearer": "OAUTHBEARER", "oauth": "OAUTHBEARER"}


@pytest.mark.one_identity
def test_postfix_takes_every_login(smailer, postfix, authority, directory):
    secrets = {auth: {"token": GOOD} if "oauth" in auth else {"password": "right"} for auth in LOGINS}
    instance = smailer({f"{auth}@example.com": by_login(postfix, authority, directory, auth=auth,
                                                        **secret) for auth, secret in secrets.items()})
    for auth in LOGINS:
        instance.base.drop(f"{auth}.xml", sender=f"{auth}@example.com", topic=auth)
    mails = {mail["Subject"]: mail for mail in postfix.wait(len(LOGINS))}
    for auth, method in LOGINS.items():
        assert "(Authenticated sender: foo)" in mails[auth]["Received"]
        assert re.search(f"sasl_method={method}, sasl_username=foo", postfix.log())
    instance.wait_for_count(instance.base, "sent", len(LOGINS))
    assert failures(postfix) == 0


@pytest.mark.one_identity
@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5", "xoauth2", "oauthbearer"])
def test_postfix_refuses_a_login_and_is_not_hammered(smailer, postfix, authority, directory, auth):
    secret = {"token": BAD} if "oauth" in auth else {"password": "wrong"}
    instance = smailer({FOO: by_login(postfix, authority, directory, auth=auth, connections=1, **secret),
                        BAR: by_login(postfix, authority, directory, password="right")},
                       probe_interval="1s", retry_interval="1h")
    names = [instance.base.drop(f"{number}.xml") for number in range(10)]
    good = instance.base.drop("good.xml", sender=BAR)
    instance.wait_for_file(instance.base, "sent", good)
    instance.wait_for_count(instance.base, "defer", len(names))
    wait_for(lambda: failures(postfix), 5, "a refusal in its log")
    instance.base.drop("more.xml")
    instance.wait_for_count(instance.base, "defer", len(names) + 1)
    stays(lambda: failures(postfix) == 1, 2, lambda: postfix.log())
    said = '334 {"status":"401"' if auth == "xoauth2" else "535 5.7.8"
    assert said in instance.base.record("defer", names[0])
    assert len(postfix.mails) == 1


@pytest.mark.one_identity
def test_postfix_without_login_takes_nothing(smailer, postfix, authority):
    instance = smailer({FOO: account(postfix, ca_file=str(authority.file))})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    assert "5.7.1" in instance.base.record("defer", name)


# --- Exim ---

EXIM = "exim4-daemon-light"
COUNT = 40


@pytest.mark.one_identity
@pytest.mark.parametrize("pipelining", [True, False])
def test_exim_takes_every_mail_once(smailer, start, pipelining):
    server = start(Exim, EXIM)
    instance = smailer({FOO: account(server, connections=4, mails_per_connection=8,
                                     pipelining=pipelining)}, log_level="info")
    for number in range(COUNT):
        instance.base.drop(f"{number}.xml", topic=f"mail {number}", content=".\n..\n. dots\n")
    instance.wait_for_count(instance.base, "sent", COUNT, 40)
    mails = server.wait(COUNT, 60)
    assert sorted(mail["Subject"] for mail in mails) == sorted(f"mail {each}" for each in range(COUNT))
    assert {mail.get_content() for mail in mails} == {".\n..\n. dots\n"}
    assert "synchronization error" not in server.log()
    assert not re.search("unexpected disconnection|lost connection", server.log())


@pytest.mark.one_identity
def test_exim_refuses_size_and_recipient_and_content(smailer, start):
    server = start(
        Exim, EXIM, message_size_limit="20000",
        rcpt='  deny local_parts = no\n       message = no such mailbox\n'
             '  defer local_parts = later\n        message = not today\n',
        data='  deny condition = ${if match{$h_subject:}{spam}}\n       message = this is spam\n')
    instance = smailer({FOO: account(server, connections=1)})
    base = instance.base
    large = base.drop("large.xml", content="x" * 40000)
    refused = base.drop("refused.xml", address="no@example.org")
    later = base.drop("later.xml", address="later@example.org")
    spam = base.drop("spam.xml", topic="spam")
    good = base.drop("good.xml")
    for name, state in ((large, "drop"), (refused, "drop"), (later, "defer"), (spam, "drop"),
                        (good, "sent")):
        instance.wait_for_file(base, state, name)
    assert "(not sent)" in base.record("drop", large)
    assert "550 no such mailbox" in base.record("drop", refused)
    assert "451 not today" in base.record("defer", later)
    assert "550 this is spam" in base.record("drop", spam)
    assert len(server.wait(1)) == 1


@pytest.mark.one_identity
def test_exim_with_starttls_and_login(smailer, start, authority):
    server = start(Exim, EXIM, login=("foo", "right"), certificate=authority.certificate(),
                   rcpt="  deny !authenticated = *\n       message = log in first\n")
    keys = {"user": "foo", "ca_file": str(authority.file)}
    instance = smailer({"plain@example.com": account(server, password="right", auth="plain", **keys),
                        "login@example.com": account(server, password="right", auth="login", **keys),
                        FOO: account(server, password="wrong", **keys),
                        BAR: account(server, password="right", auth="cram-md5", **keys)})
    good = [instance.base.drop(sender=f"{auth}@example.com") for auth in ("plain", "login")]
    wrong, none = instance.base.drop(sender=FOO), instance.base.drop(sender=BAR)
    for name in good:
        instance.wait_for_file(instance.base, "sent", name)
    for name in (wrong, none):
        instance.wait_for_file(instance.base, "defer", name)
    assert "535 Incorrect authentication data" in instance.base.record("defer", wrong)
    assert "offers no login that the account may use" in instance.base.record("defer", none)
    assert len(server.wait(2)) == 2
    assert re.search("A=plain:foo", server.log()) and re.search("A=login:foo", server.log())
