"""What smailer does with its command line and its output, and what smailer-control survives."""

import os
import signal
import socket
import struct
import subprocess

import pytest

from harness.process import wait_for
from harness.smailer import program

FOO = "foo@example.com"


@pytest.fixture
def deferred(smailer, make_relay):
    """An instance with three deferred mails."""
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay})
    for _ in range(3):
        instance.base.drop()
    instance.wait_for_count(instance.base, "defer", 3)
    return instance


# The command line


@pytest.mark.one_identity
def test_help_and_version(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    result = instance.cli("--help")
    assert result.returncode == 0
    for word in ("queue", "send", "test", "status", "--sid", "--json", "--testing", "Examples"):
        assert word in result.stdout, word
    assert max(map(len, result.stdout.splitlines())) < 80
    assert instance.cli("-v").stdout.startswith("smailer ")


@pytest.mark.one_identity
@pytest.mark.parametrize("arguments, words", [
    (["quue"], '"queue"'),
    (["queue", "--state", "defered"], '"deferred"'),
    ([], "queue"),
    (["test", FOO], "too few"),
    (["status", "x"], "too many"),
    (["test", "@", "a@example.org"], "one account"),
    (["send", "--purge"], "--testing"),
    (["status", "--state", "sent"], "--state"),
    (["queue", "--sid", "gamma"], "alfa"),
])
def test_wrong_usage_names_the_right_one(smailer, relay, arguments, words):
    instance = smailer({FOO: relay}, started=False)
    result = instance.cli(*arguments)
    assert result.returncode == 64 and words in result.stderr and result.stdout == ""


def test_a_configuration_that_is_not_there(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    result = instance.run(program("smailer"), "-c", "/nowhere", "queue")
    assert result.returncode == 78 and "/nowhere/main.cf" in result.stderr


def test_daemon(smailer, relay):
    instance = smailer({FOO: relay}, started=False)
    pid_file = instance.root / "run" / "other.pid"
    assert instance.cli("--daemon", "--pid-file", pid_file).returncode == 0
    try:
        assert instance.cli("status").returncode == 0
    finally:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: instance.cli("status").returncode == 69, 20, "the daemon to be gone")


# Output


def test_output_that_cannot_be_written(deferred):
    with open("/dev/full", "w") as full:
        process = deferred.popen(program("smailer"), "-c", deferred.conf, "queue", stdout=full,
                                 stderr=subprocess.PIPE)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 74 and b"No space left" in errors


def test_a_reader_that_goes_away(deferred):
    reading, writing = os.pipe()
    os.close(reading)
    process = deferred.popen(program("smailer"), "-c", deferred.conf, "queue", stdout=writing,
                             stderr=subprocess.PIPE)
    os.close(writing)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 74 and b"Broken pipe" in errors
    assert deferred.cli("status").returncode == 0


# smailer-control


def test_status_says_who_is_silent(deferred):
    [pid] = deferred.pids("qmgr")
    os.kill(pid, signal.SIGSTOP)
    try:
        result = deferred.cli("status")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result.returncode == 75 and result.stderr.rstrip().endswith("from qmgr")
    assert "alfa" in result.stdout
    assert deferred.cli("status").returncode == 0


def test_a_listing_survives_cleanup(smailer, make_relay):
    """Whatever dies in its middle, every mail is listed once."""
    relay = make_relay()
    relay.down()
    instance = smailer({FOO: relay}, started=False)
    instance.base.drop_many(20000)
    with open(instance.root / "listing", "wb") as listing:
        process = instance.popen(program("smailer"), "-c", instance.conf, "queue", stdout=listing)
        instance.process = process  # so that its tree is found
        for _ in range(3):
            seen = os.path.getsize(instance.root / "listing")
            wait_for(lambda: process.poll() is not None
                     or os.path.getsize(instance.root / "listing") > seen, 30, "more of the listing",
                     0.002)
            for pid in instance.pids("cleanup") if process.poll() is None else []:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        assert process.wait(60) == 0
    lines = (instance.root / "listing").read_text().splitlines()
    assert len(lines) == 20000 == len({line.split(":")[0] for line in lines})
    for line in lines:
        assert line.endswith("(foo@example.com => boo@hisorhermail.com)") or "=> ) smailer-cleanup" \
            in line, line


def test_one_user_does_not_take_all_connections(deferred):
    def connect():
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(str(deferred.root / "run" / "control"))
        return client
    clients = [connect() for _ in range(40)]
    try:
        result = deferred.cli("queue")
        if os.geteuid() == deferred.identity.uid:
            assert result.returncode == 75 and "too many connections" in result.stderr
    finally:
        for client in clients:
            client.close()
    wait_for(lambda: deferred.cli("queue").returncode == 0, 10, "room for clients")


def test_nonsense_at_the_socket(deferred):
    for octets in (b"\xff" * 100, struct.pack("<I", 0), b"x", b"\0" * 70000):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(10)
        client.connect(str(deferred.root / "run" / "control"))
        client.send(octets)
        try:
            assert client.recv(1000) == b""
        except ConnectionResetError:
            pass
        client.close()
    assert len(deferred.cli_ok("queue").stdout.splitlines()) == 3
    assert deferred.wait_for_log("control.*(not for|too short)", "control")
