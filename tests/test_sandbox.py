"""What a program can do once it was taken over: the real ones, tried from within (harness/inside.py)."""

import ctypes
import os
import signal
import socket
import stat
import struct
import threading

import pytest

from harness import inside
from harness.base import document, item
from harness.inside import Ended, Inside
from harness.process import alive, processes, wait_for
from harness.smailer import SANITIZED, account, program

FOO, BAR, SILENT = "foo@example.com", "bar@example.com", "silent@example.com"
PROGRAMS = ["pickup", "cleanup", "qmgr", "smtp", "control", "worker"]
CONNECTING = {"smtp", "worker", "sql"}
HERE = -100  # AT_FDCWD

pytestmark = [pytest.mark.one_identity,
              pytest.mark.skipif(not inside.available, reason="needs root on x86-64"),
              pytest.mark.skipif(SANITIZED, reason="no sandbox under the sanitizers")]


def pid_of(instance, role):
    """A worker is a child of smtp that has a connection: a mail must have been sent."""
    first = wait_for(lambda: instance.pids("smtp" if role == "worker" else role), 20, role)[0]
    if role != "worker":
        return first
    return wait_for(lambda: [each.pid for each in processes() if each.parent == first
                             and each.state not in "ZX"], 10, "a worker")[0]


def make(smailer, relay, **settings):
    """A tree of two bases, FOO's account for both and BAR's for one, with the sandbox required."""
    instance = smailer({FOO: account(relay, idle="1h"), BAR: account(relay, sids=["beta"])},
                       {"sowa1": ["alfa", "beta"]}, started=False, sandbox="required", **settings)
    instance.allowed_faults = True
    return instance


def start(instance):
    """So that every program is at work, and a worker has a connection."""
    instance.start()
    still_sends(instance)
    return instance


def still_sends(instance):
    instance.wait_for_file(instance.base, "sent", instance.base.drop(), 40)


# System calls


def outside(instance):
    """Files that are there, and none of a program's business once it runs."""
    return [instance.conf / "accounts.cf", "/etc/shadow", "/root", "/proc/1/environ",
            f"/proc/{instance.process.pid}/mem", instance.root / "state", program("smailer-master")]


def tries(instance, role):
    """Calls that must fail with EACCES or EPERM in a program of ROLE, and harm it no more."""
    base = instance.base.directory
    sent = instance.base.path("sent", instance.base.files("sent")[0])
    loopback = struct.pack("=HH4s8x", socket.AF_INET, 0, b"\x7f\0\0\1")
    for path in outside(instance):
        if role != "smtp" or not str(path).startswith("/etc"):
            yield "openat", HERE, path, os.O_RDONLY
    for path in ("/tmp/smailer-escaped", instance.root / "escaped"):
        yield "openat", HERE, path, os.O_WRONLY | os.O_CREAT, 0o600
    yield "openat", HERE, instance.conf / "main.cf", os.O_WRONLY
    yield "symlinkat", "/etc/passwd", HERE, f"{base}/link"
    yield "bind", 0, loopback, len(loopback)
    if role not in ("pickup", "qmgr"):
        yield "openat", HERE, sent, os.O_RDONLY
    if role != "qmgr":
        yield "openat", HERE, f"{base}/escaped", os.O_WRONLY | os.O_CREAT, 0o600
        yield "renameat2", HERE, sent, HERE, f"{base}/escaped", 0
    if role != "smtp":
        yield "kill", instance.process.pid, 0
    if role != "sql":
        yield "socket", socket.AF_UNIX, socket.SOCK_STREAM, 0
    if role not in CONNECTING:
        yield "connect", 0, loopback, len(loopback)


def token_tries(instance):
    """Token may do what its user may, for its commands need it: the files are other users'."""
    base = instance.base.directory
    sent = instance.base.path("sent", instance.base.files("sent")[0])
    for path in outside(instance):
        if os.stat(path).st_mode & stat.S_IROTH == 0:
            yield "openat", HERE, path, os.O_RDONLY
    yield "openat", HERE, instance.conf / "main.cf", os.O_WRONLY
    for path in (instance.root / "escaped", f"{base}/escaped"):
        yield "openat", HERE, path, os.O_WRONLY | os.O_CREAT, 0o600
    yield "renameat2", HERE, sent, HERE, f"{base}/escaped", 0
    yield "symlinkat", "/etc/passwd", HERE, f"{base}/link"
    yield "kill", instance.process.pid, 0
    yield "setresuid", 0, 0, 0


def check_calls(pid, role, calls):
    with Inside(pid) as inner:
        for call in calls:
            result = inner.call(*call)
            assert result in ("EACCES", "EPERM"), f"{role}: {call} gave {result}"


def check_reach(instance, role):
    check_calls(pid_of(instance, role), role, tries(instance, role))
    still_sends(instance)


DANGEROUS = {
    "execve": ("execve", "/bin/true", 0, 0), "ptrace": ("ptrace", 0, 0, 0, 0),
    "memory": ("process_vm_readv", 1, 0, 0, 0, 0, 0), "root": ("setresuid", 0, 0, 0),
    "packets": ("socket", socket.AF_PACKET, socket.SOCK_RAW, 0),
    "io_uring": ("io_uring_setup", 1, 0),
    "internet": ("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
}


def check_end(instance, role, kind):
    """The call is the end of the program, which is replaced."""
    pid = pid_of(instance, role)
    with pytest.raises(Ended) as ended:
        with Inside(pid) as inner:
            pytest.fail(f"{role}: {kind} gave {inner.call(*DANGEROUS[kind])}")
    assert ended.value.args[0] == signal.SIGSYS, f"{role}: {kind}"
    wait_for(lambda: not alive(pid), 10, f"{role} to be dead")
    still_sends(instance)


@pytest.mark.parametrize("role", PROGRAMS)
def test_no_program_reaches_what_is_not_its_own(smailer, relay, role):
    check_reach(start(make(smailer, relay)), role)


# What dies before its first job is started less and less often: two of each role.
@pytest.mark.parametrize("role, kinds", [
    ("pickup", ["execve", "internet"]), ("cleanup", ["ptrace", "internet"]),
    ("qmgr", ["memory", "execve"]), ("smtp", ["execve", "packets"]),
    ("control", ["root", "internet"]), ("worker", ["execve", "io_uring"])])
def test_what_is_dangerous_ends_a_program_and_only_that(smailer, relay, role, kinds):
    instance = start(make(smailer, relay))
    for kind in kinds:
        check_end(instance, role, kind)


def test_the_program_of_a_table(smailer, relay, database):
    instance = make(smailer, relay)
    instance.sections.append(database.table().section())
    instance.configure()
    start(instance)
    check_reach(instance, "sql")
    check_end(instance, "sql", "execve")


def make_with_token(smailer, relay):
    """There is a token program, which has an account's command to run."""
    instance = make(smailer, relay)
    instance.accounts["token@example.com"] = account(
        "127.0.0.1:9", user="token", token_command=["/bin/echo", "nothing"])
    instance.configure()
    return start(instance)


@pytest.mark.as_root  # else its user is all the others' user, too
def test_the_program_that_runs_commands(smailer, relay):
    instance = make_with_token(smailer, relay)
    check_calls(pid_of(instance, "token"), "token", token_tries(instance))
    still_sends(instance)
    for kind in ("ptrace", "packets"):
        check_end(instance, "token", kind)


class Client:
    """`smailer test` of an account whose relay says nothing."""

    def __init__(self, instance, silent):
        self.process = instance.popen(program("smailer"), "-c", instance.conf, "test", SILENT,
                                      "boo@example.org", stdout=-1, stderr=-1)
        self.connection, _ = silent.accept()
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def silent():
    """A listening socket that nobody answers at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def test_the_client(smailer, relay, silent):
    """It shows what control says: who has taken control over does not get its caller's rights."""
    instance = make(smailer, relay)
    instance.accounts[SILENT] = account(f"127.0.0.1:{silent.getsockname()[1]}")
    instance.configure()
    start(instance)
    with Client(instance, silent) as client:
        check_calls(client.pid, "client", tries(instance, "client"))
        [control] = instance.pids("control")
        with inside.pipe_between(client.pid, control) as pipe:
            inside.forge(pipe, "SECRET")
        instance.wait_for_log(r"client\[\d+\]: SECRET \(\d+\) is not for client to send to control",
                              "control")
    for kind in ("execve", "ptrace", "internet"):
        with Client(instance, silent) as client:
            with pytest.raises(Ended) as ended, Inside(client.pid) as inner:
                pytest.fail(f"client: {kind} gave {inner.call(*DANGEROUS[kind])}")
            assert ended.value.args[0] == signal.SIGSYS, kind
    still_sends(instance)


# Messages


# Each pipe in each direction, with something that is another's to say.
FORGED = {
    "pickup": [("cleanup", "SECRET"), ("qmgr", "VERDICT")],
    "cleanup": [("pickup", "PEER"), ("qmgr", "OFFER"), ("control", "RUN_PROGRESS")],
    "qmgr": [("pickup", "RUN"), ("cleanup", "PARSE")],
    "smtp": [("qmgr", "RESULT")],
    "worker": [("qmgr", "OFFER")],
    "control": [("pickup", "ROOM"), ("qmgr", "VERDICT"), ("cleanup", "CONFIGURE")],
}


def lie(instance, liar, other, name, pid):
    pipe = wait_for(lambda: inside.pipe_between(pid, pid_of(instance, other)), 10,
                    f"the pipe from {liar} to {other}")
    with pipe:
        inside.forge(pipe, name)
    instance.wait_for_log(rf"{liar}\[\d+\]: {name} \(\d+\) is not for {liar} to send to {other}",
                          "smtp" if other == "worker" else other)


@pytest.mark.parametrize("liar", FORGED)
def test_who_says_what_is_not_its_to_say_is_ended(smailer, relay, liar):
    instance = start(make(smailer, relay))
    for other, name in FORGED[liar]:
        pid = pid_of(instance, liar)
        lie(instance, liar, other, name, pid)
        wait_for(lambda: not alive(pid), 20, f"{liar} to be ended: {name} to {other}")
        still_sends(instance)


def test_token_says_no_more_than_it_may(smailer, relay):
    instance = make_with_token(smailer, relay)
    for name in ("SECRET", "RESULT"):
        pid = pid_of(instance, "token")
        lie(instance, "token", "smtp", name, pid)
        wait_for(lambda: not alive(pid), 20, f"token to be ended: {name}")
    still_sends(instance)


def test_who_lies_to_master_is_ended(smailer, relay):
    instance = start(make(smailer, relay))
    for role in ("cleanup", "control", "smtp"):
        pid = pid_of(instance, role)
        with inside.pipe_between(pid, instance.process.pid) as pipe:
            inside.forge(pipe, "SECRET")
        wait_for(lambda: not alive(pid), 20, f"{role} to be ended")
        still_sends(instance)


def test_an_account_of_another_base_is_never_used(smailer, relay):
    """Whatever cleanup says: qmgr knows from pickup whose mail it is. Here it says the truth about a
    mail that wants what is not its base's."""
    instance = start(make(smailer, relay))
    name = instance.bases["alfa"].drop(sender=BAR)
    mine = instance.bases["beta"].drop(sender=BAR)
    instance.wait_for_file(instance.bases["beta"], "sent", mine)
    instance.wait_for_file(instance.bases["alfa"], "defer", name)
    assert "not for mails of" in instance.bases["alfa"].record("defer", name)
    assert [mail.sender for mail in relay.mails].count(BAR) == 1


# Files


RENAME_EXCHANGE = 2


class Racer(threading.Thread):
    """Swaps two names as fast as it can, until it is stopped, and puts them back."""

    def __init__(self, directory, one, other):
        super().__init__()
        self.directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.names = os.fsencode(one), os.fsencode(other)
        self.over = threading.Event()
        self.swaps = 0

    def swap(self):
        return libc.renameat2(self.directory, self.names[0], self.directory, self.names[1],
                              RENAME_EXCHANGE) == 0

    def run(self):
        while not self.over.is_set():
            self.swaps += self.swap()
        if self.swaps % 2 == 1:
            self.swap()

    def stop(self):
        self.over.set()
        self.join()
        os.close(self.directory)


libc = ctypes.CDLL(None, use_errno=True)


@pytest.mark.parametrize("state", ["sent", "defer", "drop"])
def test_links_that_come_and_go_lead_nowhere(smailer, make_relay, state):
    """A base's own directories turn into links to another base's, and back, while mails move."""
    relay = make_relay(lambda stage, mail, address: {"defer": "451 4.3.0 no", "drop": "550 5.1.1 no"}
                       .get(state) if stage == "rcpt" else None)
    instance = start_for_race(smailer, relay)
    alfa, beta = instance.bases["alfa"], instance.bases["beta"]
    (alfa.directory / ".other").symlink_to(beta.directory / state)
    os.lchown(alfa.directory / ".other", instance.identity.spool_uid, instance.identity.spool_gid)
    victim = beta.path(state, "victim.xml")
    before = victim.stat()
    racer = Racer(alfa.directory, state, ".other")
    racer.start()
    try:
        for number in range(150):
            alfa.drop(name=f"race-{number}.xml")
        wait_for(lambda: racer.swaps > 5000 and len(relay.stages) > 10, 30, "a race")
    finally:
        racer.stop()
    instance.wait_for_count(alfa, state, 150, 60)
    assert not [name for each in beta.states().values() for name in each if name.startswith("race")]
    assert (victim.stat().st_ino, victim.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert all("race" not in text for text in beta.records(state).values())


def start_for_race(smailer, relay):
    instance = smailer({FOO: relay}, {"sowa1": ["alfa", "beta"]}, scan_interval="1s",
                       sandbox="required")
    for base in instance.bases.values():
        wait_for(lambda: base.path("drop").is_dir(), 10, "the directories")
        for state in ("sent", "defer", "drop"):
            path = base.path(state, "victim.xml" if base.sid == "beta" else ".nothing")
            path.write_bytes(document(item()))
    instance.identity.give(instance.root / "sowa1")
    return instance


# Kernels that have less


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]


def without_landlock():
    """For a child before it executes: landlock_create_ruleset is a call that does not exist."""
    LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
    rules = (Filter * 4)(Filter(LOAD, 0, 0, 0), Filter(EQUAL, 0, 1, 444),
                         Filter(RETURN, 0, 0, 0x00050000 | 38), Filter(RETURN, 0, 0, 0x7FFF0000))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.byref(Program(4, rules)), 0, 0) == 0  # PR_SET_SECCOMP


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_a_kernel_without_landlock(smailer, relay, choice):
    instance = smailer({FOO: relay}, started=False, sandbox=choice)
    with open(instance.root / "output", "ab") as output:
        instance.process = instance.popen(program("smailer-master"), "-c", instance.conf,
                                          stdout=output, stderr=output, preexec_fn=without_landlock)
    if choice == "auto":
        instance.wait_until_ready()
        instance.wait_for_file(instance.base, "sent", instance.base.drop())
        assert instance.wait_for_log("sandbox: the kernel has no Landlock.*going on without it")
        return
    wait_for(lambda: "the kernel has no Landlock" in instance.output()
             + "".join(instance.logs().values()), 20, lambda: f"the reason: {instance.tail()}")
    wait_for(lambda: instance.process.poll() is not None, 20,
             lambda: f"it to give up: {instance.output()}")
    assert instance.process.returncode == 78
    name = instance.base.drop()
    assert instance.base.where(name) == [""] and not relay.mails


def test_a_kernel_without_landlock_is_no_place_for_any_owner(smailer, relay):
    """spool_user = "*" is worth root's rights over files: without Landlock nothing would hold it."""
    instance = smailer({FOO: relay}, started=False, sandbox="auto", spool_user="*")
    with open(instance.root / "output", "ab") as output:
        instance.process = instance.popen(program("smailer-master"), "-c", instance.conf,
                                          stdout=output, stderr=output, preexec_fn=without_landlock)
    wait_for(lambda: "the kernel has no Landlock" in instance.output()
             + "".join(instance.logs().values()), 20, lambda: f"the reason: {instance.tail()}")
    instance.base.drop()
    assert not relay.mails
