"""A password, or a token, is in the memory of the worker that logs in with it, and nowhere else."""

import base64
import os
import re
import secrets
import subprocess

import pytest

from harness.process import descendants
from harness.smailer import SANITIZED, account

FOO, BAR = "foo@example.com", "bar@example.com"
CHUNK = 1 << 20

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="reads other programs' memory"),
              pytest.mark.skipif(SANITIZED, reason="the sanitizers keep what was freed")]


def memory(pid):
    """The octets of every mapping of PID that can be read, in pieces that overlap."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if "r" not in line.split()[1] or "[v" in line:
                continue
            for at in range(start, end, CHUNK):
                try:
                    yield os.pread(file.fileno(), min(CHUNK + 256, end - at), at)
                except OSError:
                    break


def forms(user, password):
    """How it looks as it is, and on its way to a relay."""
    plain = base64.b64encode(f"\0{user}\0{password}".encode())
    return [password.encode(), base64.b64encode(password.encode()).rstrip(b"="), plain.rstrip(b"=")]


def holds(pid, wanted):
    return any(form in piece for piece in memory(pid) for form in wanted)


@pytest.fixture
def logged_in(smailer, make_relay):
    """Two accounts with a password each, one in accounts.cf, one in a file, both connected."""
    words = {user: f"{user}-{secrets.token_hex(12)}" for user in ("foo", "bar")}
    relay = make_relay(users=words, mechanisms=["PLAIN"])
    instance = smailer({FOO: account(relay, user="foo", password=words["foo"], idle="1h"),
                        BAR: account(relay, user="bar", password_file="secrets/bar", idle="1h")},
                       started=False)
    instance.write_conf("secrets/bar", words["bar"] + "\n")
    os.chown(instance.conf / "secrets", instance.identity.uid, instance.identity.gid)
    instance.start()
    for sender in (FOO, BAR):
        instance.wait_for_file(instance.base, "sent", instance.base.drop(sender=sender))
    assert sorted(mail.login for mail in relay.mails) == ["bar", "foo"]
    return instance, words


def token_forms(user, token):
    """As it is, and on its way to a relay, by XOAUTH2 and by OAUTHBEARER (RFC 7628)."""
    sent = (f"user={user}\1auth=Bearer {token}\1\1", f"n,a={user},\1auth=Bearer {token}\1\1")
    return [token.encode(), *(base64.b64encode(each.encode()).rstrip(b"=") for each in sent)]


@pytest.fixture(params=["XOAUTH2", "OAUTHBEARER"])
def by_token(request, smailer, make_relay, directory):
    """An account that logs in by a token, connected, beside one that needs none. The token is in a
    file that its command reads, so that it is on no command line of its own making."""
    token = f"token-{secrets.token_hex(12)}"
    place = directory / "token"
    place.write_text(token + "\n")
    place.chmod(0o644)
    relay = make_relay(tokens={"foo": {token}}, mechanisms=[request.param])
    instance = smailer({FOO: account(relay, user="foo", token_command=["/bin/cat", str(place)],
                                     idle="1h"),
                        BAR: account(make_relay(), idle="1h")})
    for sender in (FOO, BAR):
        instance.wait_for_file(instance.base, "sent", instance.base.drop(sender=sender))
    assert relay.shown == [token]
    return instance, token


def test_a_token_is_in_the_memory_of_its_worker_alone(by_token):
    """smailer-token has it in a memory file, which it does not map."""
    instance, token = by_token
    assert len(instance.pids("token")) == 1
    wanted = token_forms("foo", token)
    connected = workers(instance)
    assert sorted(holds(pid, wanted) for pid in connected) == [False, True]
    check_others(instance, connected, wanted)


def test_logs_command_lines_and_environments_have_no_token(by_token):
    instance, token = by_token
    check_texts(instance, token_forms("foo", token))


def workers(instance):
    """The forks of smtp, one for each account."""
    [parent] = [pid for pid in instance.pids("smtp")
                if any(each.parent == pid and each.role == "smtp" for each in instance.processes())]
    return [each.pid for each in instance.processes() if each.parent == parent]


def check_others(instance, connected, wanted):
    others = {each.pid for each in descendants(instance.process.pid)} | {instance.process.pid}
    for pid in others - set(connected):
        with open(f"/proc/{pid}/cmdline") as command:
            assert not holds(pid, wanted), command.read()


def test_a_password_is_in_the_memory_of_its_worker_alone(logged_in):
    instance, words = logged_in
    wanted = [forms(user, words[user]) for user in ("foo", "bar")]
    connected = workers(instance)
    assert sorted([holds(pid, each) for each in wanted] for pid in connected) == [
        [False, True], [True, False]]
    check_others(instance, connected, sum(wanted, []))


def test_a_reload_leaves_none_in_master(logged_in):
    instance, words = logged_in
    instance.reload()
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    assert not holds(instance.process.pid, forms("foo", words["foo"]) + forms("bar", words["bar"]))


def test_logs_command_lines_and_environments_have_none(logged_in):
    instance, words = logged_in
    check_texts(instance, forms("foo", words["foo"]) + forms("bar", words["bar"]))


def check_texts(instance, wanted):
    """None of WANTED is in what is written or can be seen, debug logs and a dialogue included."""
    result = instance.cli("test", FOO, "boo@example.org")
    assert result.returncode == 0
    texts = [text.encode() for text in instance.logs().values()]
    texts += [instance.output().encode(), result.stdout.encode(), result.stderr.encode()]
    texts.append(instance.cli_ok("status", "--json").stdout.encode())
    for pid in [each.pid for each in descendants(instance.process.pid)] + [instance.process.pid]:
        for name in ("cmdline", "environ", "comm", "maps"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                texts.append(file.read())
    assert sum("AUTH" in text.decode(errors="replace") for text in texts) > 0
    assert not any(form in text for text in texts for form in wanted)


def test_no_program_leaves_a_core_or_can_be_looked_into(logged_in, identity):
    instance, _ = logged_in
    for pid in [each.pid for each in descendants(instance.process.pid)] + [instance.process.pid]:
        with open(f"/proc/{pid}/limits") as file:
            limits = re.search(r"^Max core file size +(\S+) +(\S+)", file.read(), re.M)
        assert limits.groups() == ("0", "0"), pid
        # What may not be dumped is root's in /proc, whoever runs it.
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0, pid
        if not identity.is_root:
            look = subprocess.run(["cat", f"/proc/{pid}/environ"], capture_output=True,
                                  **identity.popen_arguments())
            assert look.returncode != 0 and b"Permission denied" in look.stderr, pid
