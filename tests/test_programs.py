"""The programs as an administrator starts, asks and stops them."""

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness.identity import ROLE_USERS, SPOOL_USER, Identity
from harness.process import alive, wait_for
from harness.smailer import ALL_ROLES, PROJECT, ROLES, SANITIZED, account, program

FOO = "foo@example.com"


# What they are


def test_master_is_linked_with_none_of_the_large_libraries():
    listing = subprocess.run(["ldd", program("smailer-master")], check=True, capture_output=True,
                             text=True).stdout
    for library in ("libxml2", "libcurl", "libpq", "libssl", "libcrypto", "libidn2"):
        assert library not in listing


@pytest.mark.parametrize("name, own", [
    ("smailer-cleanup", "libxml2"), ("smailer-smtp", "libcurl"), ("smailer-pickup", None),
    ("smailer-qmgr", None), ("smailer-control", None), ("smailer-token", None)])
def test_a_library_belongs_to_one_program(name, own):
    output = subprocess.run(["readelf", "-d", program(name)], check=True, capture_output=True,
                            text=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(lib[^.]+)", output)) & {"libxml2", "libcurl", "libpq",
                                                                  "libconfuse"}
    assert needed == ({own} if own else set())


@pytest.mark.skipif(SANITIZED, reason="the sanitizers link differently")
@pytest.mark.parametrize("name", ["smailer-master", "smailer", *(f"smailer-{r}" for r in ALL_ROLES)])
def test_programs_are_hardened(name):
    output = subprocess.run(["readelf", "-hldW", program(name)], check=True, capture_output=True,
                            text=True).stdout
    assert re.search(r"Type:\s+DYN", output) and "GNU_RELRO" in output
    assert "NOW" in output and not re.search(r"GNU_STACK.*RWE", output)


# Starting and stopping


@pytest.mark.main_flow
def test_starts_all_programs_and_leaves_nothing(smailer, relay):
    instance = smailer({FOO: relay})
    wait_for(lambda: all(instance.pids(role) for role in ROLES), 10, "all programs")
    pid_files = list((instance.root / "run").glob("*.pid"))
    assert [int(path.read_text()) for path in pid_files] == [instance.process.pid]
    below = instance.processes()
    assert instance.stop() == 0
    assert not any(alive(each.pid) for each in below)
    assert not pid_files[0].exists()
    assert list((instance.root / "run").glob("*.pid")) == []


def test_sigint_ends_it_as_well(smailer, relay):
    instance = smailer({FOO: relay})
    instance.send_signal(signal.SIGINT)
    assert instance.process.wait(20) is not None


def test_a_second_one_is_refused(smailer, relay):
    instance = smailer({FOO: relay})
    second = instance.master()
    assert second.returncode == 75
    assert (f"smailer is already active (pid {instance.process.pid}). "
            "Multiple instances are not supported." in second.stderr)
    assert instance.cli("status").returncode == 0


def test_a_stale_pid_file_does_not_matter(smailer, relay):
    instance = smailer({FOO: relay})
    instance.process.kill()
    instance.process.wait()
    wait_for(lambda: not instance.left_behind(), 15, lambda: f"{instance.left_behind()}")
    instance.start()
    instance.wait_for_file(instance.base, "sent", instance.base.drop())


def test_two_masters_on_one_queue_do_not_send_twice(smailer, relay, identity):
    """Another configuration and run directory, the same spool: its lock keeps the second off."""
    first = smailer({FOO: relay})
    first.wait_for_file(first.base, "sent", first.base.drop())
    second = smailer({FOO: relay}, {}, started=False)
    second.sections.append(
        f'spool sowa1 {{\n    root = "{first.root}/sowa1"\n    path = var/spool/mail\n}}\n')
    second.configure()
    second.start(wait=False)
    wait_for(lambda: second.process.poll() is not None
             or second.log_lines("(?i)lock|in use|another"), 15, "a word of the second")
    for _ in range(20):
        first.base.drop()
    first.wait_for_count(first.base, "sent", 21)
    assert len(relay.mails) == 21
    first.stop()  # its workers are not what the second left behind


@pytest.mark.parametrize("role", [role for role in ALL_ROLES if program(f"smailer-{role}").exists()])
def test_each_program_says_what_it_is(role):
    for arguments, status in ((["--help"], 0), (["now"], 64)):
        result = subprocess.run([program(f"smailer-{role}"), *arguments], capture_output=True, text=True)
        assert result.returncode == status
        assert f"smailer-{role}(8)" in (result.stdout if status == 0 else result.stderr)


def test_once_works_the_queue_off_and_ends(smailer, make_relay):
    relay = make_relay(lambda stage, mail, address:
                       "450 4.2.0 later" if address == "later@example.org" else None)
    instance = smailer({FOO: relay}, started=False)
    names = [instance.base.drop() for _ in range(20)]
    later = instance.base.drop(address="later@example.org")
    assert instance.master("--once").returncode == 0  # that is the relay's affair, and the mail's
    assert instance.base.files("sent") == names and instance.base.files("defer") == [later]
    assert instance.master("-1").returncode == 0
    assert not instance.left_behind()


def test_once_says_where_it_could_not_work_a_queue_off(smailer, relay):
    instance = smailer({FOO: account(relay, mails_per_day=1)}, started=False)
    instance.base.drop_many(3)
    assert instance.master("-1").returncode == 75
    assert len(instance.base.files("sent")) == 1 and instance.base.files("defer") == []


def test_daemon_detaches_once_everything_runs(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    pid_file = instance.root / "run/other.pid"
    result = instance.master("--daemon", "--pid-file", pid_file)
    assert result.returncode == 0, result
    pid = int(pid_file.read_text())
    assert instance.cli("status").returncode == 0  # at once: everything runs
    assert os.getsid(pid) != os.getsid(0)
    for number in (0, 1, 2):
        if os.geteuid() == 0:
            assert os.readlink(f"/proc/{pid}/fd/{number}") == "/dev/null"
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid), 15, "the daemon to end")
    wait_for(lambda: not instance.left_behind(), 5, lambda: f"{instance.left_behind()}")


def test_daemon_says_what_is_wrong_before_it_detaches(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    instance.write_conf("main.cf", "nonsense = 1\n")
    result = instance.master("-d")
    assert result.returncode == 78 and "nonsense" in result.stderr
    assert not instance.left_behind()


def test_log_file_of_the_command_line(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    path = instance.log_directory / "all-in-one.log"
    instance.start("--log-file", path)
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    wait_for(lambda: "status=sent" in path.read_text(), 5, "the line in that file")


# Users and sandboxes


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_root_each_role_has_its_user(smailer, relay, identity):
    if not identity.is_root:
        pytest.skip("one user for all")
    instance = smailer({FOO: relay})
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    users = {"pickup": SPOOL_USER, "qmgr": SPOOL_USER, **ROLE_USERS}
    for role, user in users.items():
        for pid in instance.pids(role):
            fields = status(pid)
            uid = str(pwd.getpwnam(user).pw_uid)
            assert fields["Uid"].split() == [uid] * 4, role
            assert fields["Gid"].split()[0] != "0" and fields["Groups"].split() in ([], [
                fields["Gid"].split()[0]]), role
            assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0, role


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in
                (line.partition(":") for line in file)}


@pytest.mark.skipif(SANITIZED, reason="no sandbox under the sanitizers")
def test_every_program_is_in_its_sandbox(smailer, relay):
    instance = smailer({FOO: relay}, sandbox="required")
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    for role in ROLES:
        for pid in instance.pids(role):
            fields = status(pid)
            assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2"), role


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_missing_user_is_an_error_that_names_make_users(smailer, relay, identity):
    if not identity.is_root:
        pytest.skip("one user for all")
    instance = smailer({FOO: relay}, programs={"smtp": {"user": "no-such-user"}}, started=False)
    result = instance.master()
    assert result.returncode == 78
    assert "no-such-user" in result.stderr and "make users" in result.stderr


def test_no_other_user_reads_the_state(smailer, relay):
    instance = smailer({FOO: relay})
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    for log in instance.log_directory.glob("*.log"):
        assert not stat.S_IMODE(log.stat().st_mode) & 0o022


# Configuration


@pytest.mark.main_flow
def test_check_prints_what_would_be_used(smailer, relay):
    instance = smailer({FOO: account(relay, user="foo", password="hunter22")},
                       started=False, retry_interval="90m")
    result = instance.master("-n")
    assert result.returncode == 0
    for words in (r"retry_interval\s*=\s*\"?(90m|1h30m|5400)", r"max_attempts\s*=\s*\"?100",
                  r"keep_sent\s*=\s*\"?(7d|1w)", r"foo@example\.com", rf"{relay.port}", "sowa1"):
        assert re.search(words, result.stdout), words
    assert "hunter22" not in result.stdout + result.stderr
    assert instance.master("--check").stdout == result.stdout


def test_check_tells_of_queues_that_cannot_be_worked_off(smailer, relay, identity):
    instance = smailer({FOO: relay}, started=False)
    directory = instance.base_directory("alfa")
    assert instance.master("-n").stderr == ""
    if identity.is_root:
        owner = os.stat(directory)
        os.chown(directory, 12345, -1)
        result = instance.master("-n")
        assert result.returncode == 0
        assert str(directory) in result.stderr and "belongs to user unknown (12345)" in result.stderr
        os.chown(directory, owner.st_uid, -1)
    directory.rename(directory.with_name("post"))
    result = instance.master("-n")
    assert result.returncode == 0 and "has the directory var/spool/mail" in result.stderr


def test_what_check_prints_can_be_used(smailer, relay):
    """The configuration that -n prints says the same when it is read again."""
    instance = smailer({FOO: relay}, started=False)
    first = instance.master("-n").stdout
    assert first.count("{") == first.count("}") and "max_message_size" in first


MISTAKES = {
    "an unknown key": ("main.cf", "retry_intervall = 1h\n", 1, "retry_intervall"),
    "out of range": ("main.cf", "\n\nmax_attempts = 0\n", 3, "max_attempts"),
    "not a duration": ("main.cf", "\nretry_interval = soon\n", 2, "retry_interval"),
    "not a size": ("main.cf", "max_message_size = huge\n", 1, "max_message_size"),
    "not a choice": ("main.cf", "log_level = loud\n", 1, "error.*warn.*info.*debug"),
    "not an address": ("main.cf", "testing = nobody\n", 1, "testing"),
    "an unknown section": ("main.cf", "\nspoool x {\n}\n", 2, "spoool"),
    "an open brace": ("main.cf", "spool x {\n", None, ""),
    "a program that is not": ("master.cf", "smtpd {\n}\n", 1, "smtpd"),
    "instances": ("master.cf", "smtp {\n    instances = -1\n}\n", 2, "instances"),
    "no sids": ("accounts.cf", 'account foo@example.com {\n    relay = "localhost"\n}\n', None,
                "sids"),
    "no relay": ("accounts.cf", 'account foo@example.com {\n    sids = { "*" }\n}\n', None,
                 "relay"),
    "tls": ("accounts.cf", 'account foo@example.com {\n    sids = { "*" }\n    relay = "x"\n'
            '    tls = perhaps\n}\n', 4, "starttls.*smtps.*none|none.*starttls.*smtps"),
    "twice": ("accounts.cf", 'account a@x.org {\n    sids = { "*" }\n    relay = "x"\n}\n'
              'account a@x.org {\n    sids = { "*" }\n    relay = "y"\n}\n', None, "a@x.org"),
    "no address": ("accounts.cf", 'account foo {\n    sids = { "*" }\n    relay = "x"\n}\n', None,
                   "foo"),
    "plaintext": ("accounts.cf", 'account a@x.org {\n    sids = { "*" }\n    relay = "x"\n'
                  '    tls = none\n    user = a\n    password = b\n}\n', None, "plaintext_login"),
    "no password": ("accounts.cf", 'account a@x.org {\n    sids = { "*" }\n    relay = "x"\n'
                    '    user = a\n    password_file = secrets/none\n}\n', None, "secrets/none"),
}


@pytest.mark.one_identity
@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_named(smailer, relay, kind):
    name, text, line, words = MISTAKES[kind]
    instance = smailer({FOO: relay}, started=False)
    instance.write_conf(name, text)
    result = instance.master("-n")
    assert result.returncode == 78, result
    assert name in result.stderr and re.search(words, result.stderr), result.stderr
    if line:
        assert re.search(rf"{re.escape(name)}\D{{1,8}}{line}\b", result.stderr), result.stderr
    assert instance.master().returncode == 78


@pytest.mark.one_identity
@pytest.mark.parametrize("name", ["main.cf", "master.cf", "accounts.cf"])
def test_a_missing_file_is_named(smailer, relay, name):
    instance = smailer({FOO: relay}, started=False)
    (instance.conf / name).unlink()
    result = instance.master("-n")
    assert result.returncode == 78 and name in result.stderr


def test_a_secret_that_others_can_read_is_refused(smailer, relay):
    instance = smailer({FOO: account(relay, user="foo", password="x")}, started=False)
    instance.write_conf("accounts.cf", instance.accounts_text(), 0o644)
    result = instance.master("-n")
    assert result.returncode == 78 and "accounts.cf" in result.stderr
    instance.accounts[FOO] = account(relay, user="foo", password_file="secrets/foo")
    instance.configure()
    instance.write_conf("secrets/foo", "x\n", 0o644)
    os.chown(instance.conf / "secrets", instance.identity.uid, instance.identity.gid)
    result = instance.master("-n")
    assert result.returncode == 78 and "secrets/foo" in result.stderr
    instance.write_conf("secrets/foo", "x\n", 0o600)
    assert instance.master("-n").returncode == 0


@pytest.fixture
def shipped(smailer, relay, identity):
    """conf/ of the repository, in a place where the test may write."""
    instance = smailer({}, {}, started=False)
    shutil.copytree(PROJECT / "conf", instance.conf, dirs_exist_ok=True)
    for path in instance.conf.rglob("*"):
        os.chown(path, identity.uid, identity.gid)
        path.chmod(0o700 if path.is_dir() or path.suffix == ".init" else 0o600)
    return instance


def test_the_shipped_configuration_is_right(shipped):
    result = shipped.master("-n")
    if shipped.identity.is_root and result.returncode != 0:
        assert result.returncode == 78 and "make users" in result.stderr, result
    else:
        assert result.returncode == 0, result


def test_the_shipped_configuration_runs_for_an_ordinary_user(shipped):
    if shipped.identity.is_root:
        pytest.skip("needs the users of make users")
    environment = shipped.environment(XDG_RUNTIME_DIR=str(shipped.root / "run"),
                                      XDG_STATE_HOME=str(shipped.root / "state"))
    with open(shipped.root / "output", "ab") as output:
        shipped.process = shipped.popen(program("smailer-master"), "-c", shipped.conf,
                                        env=environment, stdout=output, stderr=output)
    wait_for(lambda: shipped.cli("status", environment=environment).returncode == 0, 15,
             shipped.output)
    assert [path for path in (shipped.root / "run").rglob("*")]
    assert shipped.stop() == 0


@pytest.mark.main_flow
def test_reload_uses_the_new_configuration(smailer, make_relay):
    first, second = make_relay(), make_relay()
    instance = smailer({FOO: first})
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    master = instance.process.pid
    instance.accounts[FOO] = account(second)
    instance.configure()
    instance.reload()
    name = wait_for(lambda: instance.base.drop(), what="a mail")
    instance.wait_for_file(instance.base, "sent", name)
    assert (len(first.mails), len(second.mails)) == (1, 1)
    assert instance.process.pid == master


def test_reload_with_a_mistake_changes_nothing_and_says_why(smailer, relay):
    instance = smailer({FOO: relay})
    before = {role: instance.pids(role) for role in ROLES}
    instance.write_conf("accounts.cf", "account nonsense {\n")
    text = instance.reload()
    assert "accounts.cf" in text
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    assert {role: instance.pids(role)[:1] for role in ROLES} == {
        role: pids[:1] for role, pids in before.items()}


def test_reload_under_load_sends_nothing_twice(smailer, make_relay):
    relay = make_relay(delay=0.05)
    instance = smailer({FOO: relay})
    names = instance.base.drop_many(200)
    for number in range(1, 4):
        relay.wait(number * 30)
        instance.reload()
    instance.wait_for_count(instance.base, "sent", len(names), 60)
    assert len(relay.mails) == len(names)


def test_generations_never_overlap(smailer, make_relay):
    relay = make_relay(delay=0.5)
    instance = smailer({FOO: relay})
    instance.base.drop_many(20)
    relay.wait(1)
    instance.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert len(instance.pids("qmgr")) <= 1
        time.sleep(0.01)
    instance.wait_for_count(instance.base, "sent", 20, 30)
    assert len(relay.mails) == 20


# Logs


def test_usr1_reopens_the_logs_and_no_line_is_lost(smailer, relay):
    instance = smailer({FOO: relay})
    base, count = instance.base, 300
    base.drop_many(count)
    rotated = []
    for number in range(3):
        relay.wait(count * (number + 1) // 5)
        for log in list(instance.log_directory.glob("*.log")):
            rotated.append(log.rename(log.with_name(f"{log.name}.{number}")))
        instance.send_signal(signal.SIGUSR1)
        wait_for(lambda: (instance.log_directory / "master.log").exists()
                 and (instance.log_directory / "smtp.log").exists(), 10, "new logs")
    instance.wait_for_count(base, "sent", count, 30)
    def lines():
        return [line for path in instance.log_directory.glob("smtp.log*")
                for line in path.read_text().splitlines() if "status=sent" in line]
    wait_for(lambda: len(lines()) >= count, 10, lambda: f"{count} lines, not {len(lines())}")
    assert len({line.split()[3] for line in lines()}) == len(lines()) == count


def test_logs_of_every_program(smailer, relay):
    instance = smailer({FOO: relay})
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    for role in ("master", *ROLES):
        lines = instance.log(role).splitlines()
        assert lines, role
        for line in lines:
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \S+ "
                            rf"smailer/{role}\[\d+\]: \S", line), line


def test_every_line_on_a_mail_begins_with_its_id_and_the_last_names_its_place(smailer, relay):
    instance = smailer({FOO: relay})
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    [sent_line] = instance.wait_for_log("status=sent")
    mail_id = re.search(r": (\S+_[0-9A-F]{16}): ", sent_line).group(1)
    last = instance.wait_for_log(rf": {mail_id}: .*sent/{re.escape(name)}")
    assert last


def test_quiet_where_asked_for(smailer, relay):
    instance = smailer({FOO: relay}, log_level="warn")
    instance.wait_for_file(instance.base, "sent", instance.base.drop())
    assert "status=sent" not in instance.log("smtp") and "debug" not in instance.log("smtp")


# Failing programs


def test_a_program_that_dies_at_once_is_throttled(smailer, relay):
    """Killed as soon as it is there, again and again: master does not spin."""
    instance = smailer({FOO: relay})
    instance.allowed_faults = True
    seen = set()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for pid in instance.pids("cleanup"):
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)
    assert len(seen) < 40, f"{len(seen)} processes in 5 s"
    instance.wait_for_file(instance.base, "sent", instance.base.drop(), 60)


# Exit codes of the command line


@pytest.mark.parametrize("arguments, code", [
    (["-h"], 0), (["--help"], 0), (["-v"], 0), (["--version"], 0), ([], 64), (["nonsense"], 64),
    (["--nonsense", "queue"], 64), (["queue", "a@b.org", "superfluous"], 64), (["test"], 64),
    (["test", FOO], 64), (["--timeout", "soon", "queue"], 64), (["--verbose", "loud", "queue"], 64),
    (["queue", "not an address"], 64), (["queue", "--sid", "nobase"], None)])
def test_exit_codes(smailer, relay, arguments, code, identity):
    instance = smailer({FOO: relay}, started=False)
    result = instance.cli(*arguments)
    if code is None:
        assert result.returncode in (64, 78) and "nobase" in result.stderr
    else:
        assert result.returncode == code, result
    if code == 64:
        assert result.stderr and not result.stdout
    if code == 0:
        assert result.stdout and not result.stderr


@pytest.mark.parametrize("name", ["smailer-master", "smailer"])
def test_help_names_every_option(smailer, name):
    instance = smailer({}, started=False)
    text = instance.run(program(name), "--help").stdout
    options = {"smailer-master": ["-c", "--daemon", "--check", "--once", "--log-file", "--pid-file"],
               "smailer": ["--sid", "--cfg-file", "--testing", "--tester", "--purge", "--timeout",
                           "--verbose", "--json", "queue", "send", "test", "status"]}[name]
    for option in options:
        assert option in text, option


def test_wrong_usage_of_master(smailer):
    instance = smailer({}, started=False)
    for arguments in (["--nonsense"], ["superfluous"], ["-c"]):
        assert instance.run(program("smailer-master"), *arguments).returncode == 64


def test_no_configuration_directory(smailer):
    instance = smailer({}, started=False)
    assert instance.run(program("smailer-master"), "-c", "/nonexistent").returncode == 78
    assert instance.run(program("smailer"), "-c", "/nonexistent", "queue").returncode == 78


# The init script (LSB)


def test_init_script(smailer, relay):
    """start, status, reload, stop with LSB's exit codes."""
    instance = smailer({FOO: relay}, started=False)
    script = PROJECT / "conf/smailer.init"
    environment = instance.environment(DAEMON=str(program("smailer-master")),
                                       CONFDIR=str(instance.conf))

    def init(action):
        return instance.run("sh", script, action, environment=environment).returncode

    try:
        assert init("status") == 3
        assert init("stop") == 0  # it does not run: fine
        assert init("reload") == 7
        assert init("start") == 0
        assert init("status") == 0
        assert init("start") == 0  # it runs: fine
        instance.wait_for_file(instance.base, "sent", instance.base.drop())
        assert init("reload") == 0
        assert init("force-reload") == 0
        assert init("restart") == 0
        assert init("status") == 0
        instance.wait_for_file(instance.base, "sent", instance.base.drop())
        assert init("stop") == 0
        assert init("status") == 3
        assert init("nonsense") == 2
        assert init("") == 2
    finally:
        init("stop")
    assert not instance.left_behind()


def test_init_script_sees_a_dead_daemon(smailer, relay):
    instance = smailer({FOO: relay})
    environment = instance.environment(DAEMON=str(program("smailer-master")),
                                       CONFDIR=str(instance.conf))
    instance.process.kill()
    instance.process.wait()
    result = instance.run("sh", PROJECT / "conf/smailer.init", "status", environment=environment)
    assert result.returncode == 1, result  # dead, and its pid file exists


# Documents


def test_manuals_are_clean():
    pages = sorted((PROJECT / "doc").rglob("*.[1-8]"))
    assert pages
    result = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *pages], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    names = {page.name.rsplit(".", 1)[0] for page in pages}
    assert {"smailer", "smailer-master", "main.cf", "master.cf", "accounts.cf",
            "smailer-log"} <= names


def test_every_key_is_documented():
    """In conf/ and in the manual: the list of keys is lib/config.def."""
    definitions = (PROJECT / "lib/config.def").read_text()
    tables = {"main.cf": r"(?:SETTINGS_KEY\(\w+|SECTION_KEY\(\w+, \w+), (\w+), ",
              "master.cf": r"PROGRAM_KEY\(\w+, \w+, (\w+), ", "accounts.cf": r"ACCOUNT_KEY\(\w+, (\w+), "}
    for file, pattern in tables.items():
        keys = set(re.findall(rf"(?m)^{pattern}", definitions))
        assert keys, file
        conf = (PROJECT / "conf" / file).read_text()
        [manual] = (PROJECT / "doc").rglob(f"{file}.5")
        for key in keys:
            assert re.search(rf"\b{key}\b", conf), f"{key} in conf/{file}"
            assert re.search(rf"\b{key}\b", manual.read_text()), f"{key} in {manual.name}"


# What the system has for logs and services, and spools of many owners

DEVICES = "null zero full random urandom tty"
# A mount namespace of its own, whose /dev has the files above and /dev/log as a link to $1.
OWN_DEV = f"""
set -e
mkdir "$2"; mount -t tmpfs none "$2"
for name in {DEVICES}; do touch "$2/$name"; mount --bind "/dev/$name" "$2/$name"; done
ln -s /proc/self/fd "$2/fd"; ln -s "$1" "$2/log"
mount --bind "$2" /dev
shift 2
exec "$@"
"""


@pytest.fixture
def datagrams(directory):
    """datagrams(name): a socket in the file system that anybody may send to, and what it got."""
    sockets = []

    class Listener:
        def __init__(self, name):
            self.path = directory / name
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(str(self.path))
            self.socket.setblocking(False)
            self.path.chmod(0o666)
            self.texts = []
            sockets.append(self.socket)

        def got(self, pattern):
            while True:
                try:
                    self.texts.append(self.socket.recv(65536).decode())
                except BlockingIOError:
                    return [text for text in self.texts if re.search(pattern, text)]

        def wait(self, pattern, limit=15):
            return wait_for(lambda: self.got(pattern), limit, lambda: f"{pattern}: {self.texts}")

    yield Listener
    for each in sockets:
        each.close()


def test_syslog_gets_every_program_s_lines(smailer, identity, relay, datagrams):
    if not identity.is_root:
        pytest.skip("only root may have a /dev of its own")
    instance = smailer({FOO: relay}, started=False, log_to="syslog", log_level="info")
    listener = datagrams("syslog")
    instance.wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", OWN_DEV, "sh",
                      str(listener.path), str(instance.root / "dev")]
    instance.start()
    name = instance.base.drop()
    instance.wait_for_file(instance.base, "sent", name)
    # <22>: mail.info; time and host are syslogd's.
    listener.wait(r"^<22>smailer/smtp\[\d+\]: \S+: to=<boo@hisorhermail\.com>, .*status=sent")
    listener.wait(rf"^<22>smailer/qmgr\[\d+\]: \S+: moved to sent/{name}$")
    assert all(text.isprintable() for text in listener.texts), listener.texts
    assert instance.logs() == {}
    assert instance.stop() == 0
    listener.wait(r"^<\d+>smailer/master\[\d+\]: .*ended with status 0")


@pytest.mark.one_identity
def test_the_service_manager_is_told_how_far_it_is(smailer, relay, datagrams):
    listener = datagrams("notify")
    instance = smailer({FOO: relay}, started=False)
    instance.wrapper = ["env", f"NOTIFY_SOCKET={listener.path}"]
    instance.start()
    listener.wait("^READY=1$")
    instance.reload()
    listener.wait(r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
    wait_for(lambda: len(listener.got("^READY=1$")) == 2, 15, "READY=1 after the reload")
    instance.stop()
    listener.wait("^STOPPING=1$")
    assert [text.partition("\n")[0] for text in listener.texts] == \
        ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_bases_of_many_owners(smailer, identity, relay):
    """spool_user = "*": what smailer makes in a base is its owner's, also what it records."""
    if not identity.is_root:
        pytest.skip("only root may serve many owners")
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta", "gamma"]}, started=False,
                       programs={"pickup": {"user": "sys"}, "qmgr": {"user": "man"}},
                       spool_user="*")
    os.chmod(instance.root / "sowa1", 0o755)
    relay.answer = lambda stage, mail, address: \
        "451 4.2.0 later" if address == "later@example.org" else None
    owners = {}
    for base, name in zip(instance.bases.values(), ("mail", "lp", "www-data")):
        owner = pwd.getpwnam(name)
        owners[base.sid] = owner.pw_uid, owner.pw_gid
        base.identity = Identity("owner", 0, 0, *owners[base.sid])
        base.identity.give(base.directory)
        base.directory.chmod(0o700)
    instance.configure()
    instance.start()
    for base in instance.bases.values():
        names = base.drop(), base.drop(address="later@example.org"), base.drop(address="no address")
        for name, state in zip(names, ("sent", "defer", "drop")):
            instance.wait_for_file(base, state, name)
            assert base.owner_and_mode(state)[:2] == owners[base.sid]
        for path in base.directory.rglob("*"):
            status = path.lstat()
            assert (status.st_uid, status.st_gid) == owners[base.sid], path
        assert base.record("defer", names[1])
    assert {each["sid"] for each in instance.queue()} == set(owners)
