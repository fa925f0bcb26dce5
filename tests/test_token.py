"""Accounts that log in by a token, which a command gives."""

import json
import os
import re
import signal

import pytest

from harness.process import alive, stays, wait_for
from harness.smailer import SANITIZED, account

FOO, BAR = "foo@example.com", "bar@example.com"
SECRET = "token-that-nobody-may-see-"


class Command:
    """A token_command that counts its runs, and does what the shell script in ACTION says."""

    def __init__(self, directory):
        self.place = directory / "command"
        self.place.mkdir()
        self.place.chmod(0o777)
        self.program = directory / "get-token"
        self.program.write_text(f'#!/bin/sh\ncd {self.place} && echo "$@" >>runs && . ./action\n')
        self.program.chmod(0o755)
        self.gives(SECRET + "1")

    def does(self, action):
        new = self.place / "new"
        new.write_text(action + "\n")
        new.rename(self.place / "action")

    def gives(self, *lines):
        self.does("\n".join(f"echo '{line}'" for line in lines))

    @property
    def runs(self):
        path = self.place / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_for_file(self, name, limit=15):
        path = self.place / name
        return wait_for(lambda: path.exists() and path.read_text(), limit, f"the command's {name}")

    def account(self, relay, **settings):
        return account(relay, user="foo", token_command=[str(self.program), "an argument"], **settings)


@pytest.fixture
def command(directory):
    return Command(directory)


def by_token(make_relay, *numbers, **settings):
    return make_relay(tokens={"foo": {f"{SECRET}{number}" for number in numbers}},
                      **{"mechanisms": ("XOAUTH2",), **settings})


@pytest.mark.main_flow
def test_a_token_logs_in(smailer, make_relay, authority, command, identity):
    """As Microsoft and Google want it, over TLS; the command is nobody's but its user's."""
    relay = by_token(make_relay, 1, tls="starttls", certificate=authority.certificate())
    command.does(f"id -u >uid; ulimit -c >core; env >environment; echo {SECRET}1")
    instance = smailer({FOO: command.account(relay, ca_file=str(authority.file))})
    wait_for(lambda: instance.pids("token"), 10, "smailer-token")
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    assert relay.logins == [("foo", True)] and relay.mails[0].encrypted
    user = os.stat(f"/proc/{instance.pids('token')[0]}").st_uid
    assert int((command.place / "uid").read_text()) == user != 0
    assert (command.place / "core").read_text() == "0\n"
    assert f"SMAILER_ACCOUNT={FOO}\n" in (command.place / "environment").read_text()
    assert (command.place / "runs").read_text() == "an argument\n"


@pytest.mark.one_identity
@pytest.mark.parametrize("auth, offered, used", [
    ("auto", ("PLAIN", "XOAUTH2"), "XOAUTH2"), ("oauth", ("OAUTHBEARER",), "OAUTHBEARER"),
    ("auto", ("OAUTHBEARER", "XOAUTH2"), "OAUTHBEARER"),
    ("xoauth2", ("OAUTHBEARER", "XOAUTH2"), "XOAUTH2"),
    ("oauthbearer", ("OAUTHBEARER", "XOAUTH2"), "OAUTHBEARER"),
    ("oauthbearer", ("PLAIN", "XOAUTH2"), None)])
def test_auth_says_how(smailer, make_relay, command, auth, offered, used):
    relay = by_token(make_relay, 1, mechanisms=offered)
    instance = smailer({FOO: command.account(relay, auth=auth)})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent" if used else "defer", name)
    result = instance.cli("test", FOO, BAR)
    if used:
        assert f"C: AUTH {used}" in result.stdout
    else:
        assert "offers no login that the account may use" in result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.one_identity
@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5"])
def test_auth_says_how_for_a_password(smailer, make_relay, auth):
    relay = make_relay(users={"foo": "right"})
    instance = smailer({FOO: account(relay, user="foo", password="right", auth=auth)})
    result = instance.cli_ok("test", FOO, BAR)
    assert f"C: AUTH {auth.upper()}" in result.stdout


@pytest.mark.one_identity
def test_without_such_an_account_there_is_no_such_program(smailer, make_relay, command):
    relay = by_token(make_relay, 1)
    instance = smailer({FOO: relay})
    assert not instance.pids("token")
    instance.accounts[FOO] = command.account(relay)
    instance.configure()
    instance.reload()
    wait_for(lambda: instance.pids("token"), 10, "smailer-token")


@pytest.mark.one_identity
def test_a_token_is_kept_while_it_lasts(smailer, make_relay, command):
    relay = by_token(make_relay, 1, 2)
    command.does(f"echo {SECRET}$(wc -l <runs); echo expires_in 3")
    instance = smailer({FOO: command.account(relay, mails_per_connection=1, connections=2)})
    instance.base.drop_many(10)
    relay.wait(10)
    assert (set(relay.shown), command.runs) == ({SECRET + "1"}, 1)
    wait_for(lambda: instance.base.drop() and command.runs == 2, 10, "a second token", 0.3)
    wait_for(lambda: SECRET + "2" in relay.shown, 5, "its use")
    assert all(right for _, right in relay.logins)


@pytest.mark.one_identity
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("blunt", [True, False])
def test_a_token_that_is_refused_is_renewed_once(smailer, make_relay, command, mechanism, blunt):
    relay = by_token(make_relay, 2, mechanisms=(mechanism,), blunt=blunt)
    command.does(f"echo {SECRET}$(wc -l <runs)")
    instance = smailer({FOO: command.account(relay, connections=1)})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    assert relay.shown == [SECRET + "1", SECRET + "2"]
    assert instance.base.files("defer") == []


@pytest.mark.one_identity
@pytest.mark.parametrize("blunt", [True, False])
@pytest.mark.parametrize("same", [True, False])
def test_a_refused_account_is_not_hammered(smailer, make_relay, command, blunt, same):
    relay = by_token(make_relay, "none", blunt=blunt)
    command.does(f"echo {SECRET}" + ("1" if same else "$(wc -l <runs)"))
    instance = smailer({FOO: command.account(relay, connections=1)}, probe_interval="1s",
                       retry_interval="1h")
    names = instance.base.drop_many(20)
    instance.wait_for_count(instance.base, "defer", len(names))
    stays(lambda: (len(relay.shown), command.runs) == (1 if same else 2, 2), 2,
          lambda: f"{relay.shown}, {command.runs}")
    said = "535 5.7.8" if blunt else '334 {"status":"401","schemes":"bearer"}'
    assert said in instance.base.record("defer", names[0])


FAILURES = {
    "status": ("echo 'no network today' >&2; exit 3", "ended with status 3: no network today"),
    "signal": ("kill -TERM $$", "was killed by signal 15"),
    "late": ("echo $$ >pid; sleep 1000 & echo $! >child; wait", "did not end within 1 s"),
    "nothing": (":", "printed no token"),
    "blanks": (f"echo '{SECRET} 1'", "printed a token with octets that no token has"),
    "control": (f"printf '{SECRET}\\001auth=x\\n'", "printed a token with octets that no token has"),
    "large": ("head -c 100000 /dev/zero | tr '\\0' x", "printed more than 65536 octets"),
    "endless": ("yes x | tr -d '\\n'", "printed more than 65536 octets"),
    "longer": ("head -c 20000 /dev/zero | tr '\\0' x", "printed a token of 20000 octets"),
    "json": (f"""echo '{{"token": "{SECRET}1"}}'""", "printed JSON without an access_token"),
    "mistake": (f"""echo '{{"access_token": "{SECRET}1"'""", "printed JSON that has a mistake in line"),
    "error": ("""echo '{"error": "invalid_grant", "error_description": "expired"}'""",
              "got no token: invalid_grant: expired"),
}


@pytest.mark.one_identity
@pytest.mark.parametrize("failure", FAILURES)
def test_a_command_that_fails_defers_with_its_words(smailer, make_relay, command, failure):
    action, words = FAILURES[failure]
    command.does(action)
    relay, other = by_token(make_relay, 1), make_relay()
    instance = smailer({FOO: command.account(relay), BAR: account(other)},
                       programs={"token": {"time_limit": "1s"}}, probe_interval="1h")
    names = instance.base.drop_many(5)
    instance.base.drop(sender=BAR)
    other.wait()
    instance.wait_for_count(instance.base, "defer", len(names))
    record = instance.base.record("defer", names[0])
    assert f"token_command {command.program} {words}" in record and SECRET not in record
    more = instance.base.drop_many(5, "more")
    instance.wait_for_count(instance.base, "defer", len(names) + len(more))
    assert (command.runs, relay.connections) == (1, 0)
    if failure == "late":
        left = [int((command.place / name).read_text()) for name in ("pid", "child")]
        wait_for(lambda: not any(alive(pid) for pid in left), 5, "what the command started to end")


@pytest.mark.one_identity
def test_a_command_that_works_again_is_found_by_the_probe(smailer, make_relay, command):
    relay = by_token(make_relay, 1)
    command.does("exit 1")
    instance = smailer({FOO: command.account(relay)}, probe_interval="1s", retry_interval="2s")
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "defer", name)
    command.gives(json.dumps({"access_token": SECRET + "1", "expires_in": 3599,
                              "token_type": "Bearer"}))
    instance.wait_for_file(instance.base, "sent", name)
    instance.wait_for_log("a token that lasts 3599 s", "token")


@pytest.mark.one_identity
def test_a_command_that_hangs_delays_nobody_else(smailer, make_relay, command):
    relay, other = by_token(make_relay, 1), make_relay()
    command.does("sleep 1000")
    instance = smailer({FOO: command.account(relay), BAR: account(other)})
    instance.base.drop_many(50)
    wait_for(lambda: command.runs, 10, "the command")
    instance.base.drop_many(50, "other", sender=BAR)
    other.wait(50)
    instance.wait_for_count(instance.base, "sent", 50)
    assert len(instance.base.files("")) == 50
    assert instance.stop() == 0


@pytest.mark.one_identity
@pytest.mark.parametrize("moment", ["running", "after"])
def test_smailer_token_may_die(smailer, make_relay, command, moment):
    relay = by_token(make_relay, 1)
    instance = smailer({FOO: command.account(relay, mails_per_connection=1)})
    if moment == "running":
        command.does("echo $$ >pid; sleep 1000")
        names = [instance.base.drop()]
        running = int(command.wait_for_file("pid"))
        command.gives(SECRET + "1")
        instance.kill("token")
        wait_for(lambda: not alive(running), 5, "the command to end with it")
    else:
        names = [instance.base.drop()]
        relay.wait()
        before = instance.kill("token")
        wait_for(lambda: instance.pids("token") not in ([], [before]), 10, "another one")
        names.append(instance.base.drop())
    instance.wait_for_count(instance.base, "sent", len(names))
    assert instance.base.files("defer") == []


@pytest.mark.one_identity
def test_the_parent_may_die_while_a_token_is_awaited(smailer, make_relay, command):
    relay = by_token(make_relay, 1)
    command.does(f"while [ ! -e go ]; do sleep 0.1; done; echo {SECRET}1")
    instance = smailer({FOO: command.account(relay)})
    name = instance.base.drop()
    wait_for(lambda: command.runs, 10, "the command")
    instance.kill("smtp")
    (command.place / "go").touch()
    instance.wait_for_file(instance.base, "sent", name)


def test_a_run_without_a_daemon_gets_tokens_too(smailer, make_relay, command):
    relay = by_token(make_relay, 1)
    instance = smailer({FOO: command.account(relay)}, started=False)
    name = instance.base.drop()
    instance.cli_ok("send")
    assert instance.base.where(name) == ["sent"] and relay.logins == [("foo", True)]


def test_a_test_mail_says_what_is_wrong_with_the_command(smailer, make_relay, command):
    relay = by_token(make_relay, 1)
    command.does("echo 'ask the administrator' >&2; exit 5")
    instance = smailer({FOO: command.account(relay)})
    result = instance.cli("test", FOO, BAR)
    assert result.returncode == 69
    assert re.search(r"there is no token to log in with: .*token_command .* ended with status 5: ask "
                     r"the administrator", result.stdout + result.stderr), result


def memory_of(pid):
    """What a process can read of itself."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end = (int(number, 16) for number in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                memory.seek(begin)
                try:
                    yield memory.read(end - begin)
                except OSError:
                    pass


@pytest.mark.skipif(SANITIZED, reason="the sanitizers' own memory is too large to look through")
@pytest.mark.parametrize("way", ["lines", "json", "password"])
def test_a_secret_is_nowhere_but_in_the_worker(smailer, make_relay, command, identity, way):
    """Not in the others' memory, the processes' command lines and environments, the logs, the disk."""
    if os.geteuid() != 0:
        pytest.skip("only root may look into other processes")
    secret = SECRET + "1"
    relay = by_token(make_relay, 1) if way != "password" else make_relay(users={"foo": secret})
    settings = command.account(relay, idle="1h") if way != "password" else account(
        relay, user="foo", password_file="secrets/foo", idle="1h")
    if way == "json":
        command.gives(json.dumps({"access_token": secret, "expires_in": 3599, "id_token": "x" * 3000}))
    instance = smailer({FOO: settings}, started=False)
    instance.write_conf("secrets/foo", secret + "\n")
    instance.start()
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    roles = {each.pid: each.role for each in instance.processes()}
    parent = instance.pids("smtp")[0]
    holding = {pid for pid in [instance.process.pid, *roles]
               if any(secret.encode() in part for part in memory_of(pid))}
    workers = {pid for pid, role in roles.items() if role == "smtp" and pid != parent}
    assert holding == workers and len(workers) == 1, (holding, roles)
    for pid in roles:
        for file in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{file}", "rb") as stream:
                assert secret.encode() not in stream.read()
    instance.kill("qmgr", signal.SIGABRT)
    instance.allowed_faults = True
    instance.stop()
    for path in instance.root.rglob("*"):
        if path.is_file() and path.name != "foo":
            assert secret.encode() not in path.read_bytes(), path
