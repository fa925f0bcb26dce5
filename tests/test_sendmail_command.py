"""sendmail and mailq: what administrators call, and what they see."""

import fcntl
import functools
import os
import pathlib
import re
import signal
import time

import pytest

from harness import identity as identities
from harness import scripted
from harness.commands import SHOWN, TRANSCRIPTS
from harness.mqueue import Case, cases
from harness.process import stays, wait_for
from harness.smailer import account, program

QUEUES = {"01": None, "02": "02-one", "03": "03-several", "03b": "03-several", "05": "03-several",
          "05c": "03-several", "07": "07-quarantined-and-lost", "08": "08-no-control-file-and-no-df",
          "10": "10-unprintable-and-long-status", "11": "11-per-recipient-status"}


def commands_of(transcript):
    """[(words, output, status)] of a transcript."""
    text = transcript.read_text(errors="surrogateescape")
    return [(match[1].split(), match[2], int(match[3])) for match in
            re.finditer(r"^\$ (.*?)\n((?:.*\n)*?)\[exit (\d+)\]$", text, re.M)]


# Listings


@pytest.mark.one_identity
@pytest.mark.parametrize("key", QUEUES)
def test_listings_are_those_of_sendmail(sendmail, relay, key):
    [transcript] = TRANSCRIPTS.glob(f"{key}-*.txt")
    command = sendmail(relay)
    command.fill(QUEUES[key])
    for words, expected, status in commands_of(transcript):
        result = command(*words[1:], name=words[0])
        assert result.returncode == status, result
        shown = result.stdout.replace(str(command.mqueue.directory), SHOWN)
        assert shown == expected, words


@pytest.mark.one_identity
def test_listings_of_the_example_queues(sendmail, relay):
    command = sendmail(relay)
    for name in cases():
        case = Case(name)
        for path in command.mqueue.directory.iterdir():
            path.unlink()
        command.mqueue.put_case(case, fresh=False)
        for key, words in (("mailq", []), ("mailq_v", ["-v"])):
            shown = command.mailq(*words).stdout.replace(str(command.mqueue.directory), SHOWN)
            assert shown == case.expect[key], (name, words)


@pytest.mark.one_identity
def test_a_control_file_that_is_no_file(sendmail, relay):
    command = sendmail(relay)
    path = command.mqueue.directory / "qf6AM50KDN010428"
    os.mkfifo(path)
    command.mqueue.put("bob@far.example.net")
    result = command("-q", "-v")
    assert result.returncode == 70
    assert result.stdout.startswith(f"gatherq: {path} is not a regular file\n")
    assert relay.wait(1)[0].recipients == ["bob@far.example.net"]


def test_a_listing_of_the_running_smailer(sendmail, make_relay):
    relay = make_relay()
    relay.down()
    command = sendmail(relay, started=True)
    id = command.mqueue.put("bob@far.example.net", sender="ann@example.org")
    wait_for(lambda: command.mqueue.lines(id, "N") == ["1"], 15, "the job to be tried")
    result = command.mailq()
    assert result.returncode == 0 and "Deferred" in result.stdout
    assert command.ids(result.stdout) == [id]
    assert command.mailq(identity=identities.stranger()).returncode in (77, 78)


@pytest.mark.one_identity
def test_a_locked_job_has_a_star(sendmail, relay):
    command = sendmail(relay)
    id = command.mqueue.put("slow@far.example.net")
    with open(command.mqueue.directory / f"qf{id}") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert f"\n{id}*  " in command.mailq().stdout
        assert command("-q", "-v", f"-qI{id}").stdout == (
            f"\nRunning {command.mqueue.directory}/{id} (sequence 1 of 1)\n{id}: locked\n")
    assert f"\n{id}   " in command.mailq().stdout


@pytest.mark.one_identity
def test_a_queue_that_is_nowhere(sendmail, relay):
    command = sendmail(relay)
    for words in (["-bp"], ["-q"], ["-q", "-v"]):
        result = command(*words, "-oQ/nosuch")
        assert (result.returncode, result.stdout) == (
            78, "can not chdir(/nosuch/): No such file or directory\n")


def test_the_queue_of_notices_is_not_sendmails(sendmail, relay):
    command = sendmail({"default": account(relay, notify="sender")})
    assert command.mailq().stdout == (
        f"{command.mqueue.directory} is empty\n\t\tTotal requests: 0\n")


# Runs


def test_q_tries_everything_now(sendmail, relay):
    """The guide: sendmail -q, without a value."""
    command = sendmail(relay)
    for number in range(3):
        command.mqueue.put(f"b{number}@far.example.net", attempts=number, last=time.time())
    result = command("-q")
    assert (result.returncode, result.stdout) == (0, "")
    relay.wait(3)
    wait_for(lambda: command.mqueue.names() == [], 15, "an empty queue")


def test_q_v_shows_what_happens(sendmail, make_relay):
    relay = make_relay(lambda stage, mail, address: "451 4.3.0 Mailbox busy, try later"
                       if stage == "rcpt" and address.startswith("defer") else None)
    command = sendmail(relay)
    id = command.mqueue.put(["bob@far.example.net", "defer1@far.example.net"],
                            sender="ann@example.org")
    result = command("-q", "-v")
    lines = result.stdout.splitlines()
    host, port = relay.address.split(":")
    assert result.returncode == 0
    assert lines[:3] == ["", f"Running {command.mqueue.directory}/{id} (sequence 1 of 1)",
                         "bob@far.example.net,defer1@far.example.net... Connecting to "
                         f"[{host}] port {port} via smtp..."]
    for line in (">>> RCPT TO:<bob@far.example.net>", "451 4.3.0 Mailbox busy, try later",
                 ">>> DATA", ">>> .", f"Closing connection to [{host}]", ">>> QUIT",
                 "defer1@far.example.net... Deferred: 451 4.3.0 Mailbox busy, try later"):
        assert line in lines, line
    # It does not offer ENHANCEDSTATUSCODES, so sendmail takes them for text.
    assert any(line.startswith("bob@far.example.net... Sent (2.0.0 Ok") for line in lines)
    assert command("-q", "-v", "-qRnosuch").stdout == "\n"


def test_q_v_returns_what_failed(sendmail, make_relay):
    relay = make_relay(lambda stage, mail, address: "550 5.1.1 No such user here"
                       if stage == "rcpt" and address.startswith("reject") else None)
    command = sendmail(relay)
    command.mqueue.put("reject@far.example.net", sender="ann@example.org")
    result = command("-q", "-v")
    assert result.returncode == 67, result
    lines = result.stdout.splitlines()
    assert "reject@far.example.net... User unknown" in lines
    assert any(line.startswith("ann@example.org... Sent (") for line in lines)
    assert command.mqueue.names() == []


@pytest.mark.one_identity
@pytest.mark.parametrize("key", ["b01", "b04", "b06", "b07", "b08", "b12", "b15", "b25", "b28", "b30", "b32",
                                 "b41", "r01"])
def test_a_run_ends_as_that_of_sendmail(sendmail, relay, key):
    """70 for a control file that is none, 71 for a data file or a transcript, else 0."""
    [name] = [name for name in cases() if name.startswith(key)]
    case = Case(name)
    command = sendmail(relay)
    command.mqueue.put_case(case)
    result = command("-qf")
    assert result.returncode == case.expect["sendmail_observed"]["exit_code"], result


@pytest.mark.one_identity
def test_q_v_says_what_cannot_be_tried(sendmail, relay):
    command = sendmail(relay)
    command.mqueue.put_case(Case("b01-no-terminator"))
    command.mqueue.put("bob@far.example.net", id="AA00002", lines=["x\x1b[2J"])
    command.mqueue.put("carl@far.example.net", priority=10**6)
    lines = command("-q", "-v").stdout.splitlines()
    assert "qf6AM50KDN010401: stays as it is: incomplete queue file" in lines
    assert "Losing qfAA00002: unrecognized line: x\\033[2J" in lines
    assert relay.wait(1)[0].recipients == ["carl@far.example.net"]


@pytest.mark.one_identity
@pytest.mark.parametrize("stage, reply, status", [
    ("rcpt", "550 5.1.1 no such user", 67), ("rcpt", "552 5.2.2 full", 69),
    ("content", "554 5.6.0 no", 69), ("rcpt", "451 4.3.0 busy", 0)])
def test_a_run_ends_with_what_the_relay_says(sendmail, make_relay, stage, reply, status):
    relay = make_relay(lambda at, mail, address: reply if at == stage else None)
    command = sendmail(relay)
    command.mqueue.put("bob@far.example.net", sender="<>")
    assert command("-qf").returncode == status


def test_only_what_is_selected_is_tried(sendmail, relay):
    """The guide: -qRsally, -qSSTRING, -qISTRING."""
    command = sendmail(relay)
    sally = command.mqueue.put("Sally.Smith@far.example.net", sender="geo@x.example.org")
    other = command.mqueue.put("bob@far.example.net", sender="ann@x.example.org")
    assert command("-qf", "-qRsally").returncode == 0
    wait_for(lambda: command.mqueue.names() == [f"df{other}", f"qf{other}"], 15, "one job")
    assert command("-qf", "-q!Sann").returncode == 0
    assert command("-qf", f"-qI{sally}").returncode == 0
    assert command.mqueue.names() == [f"df{other}", f"qf{other}"]
    assert command("-qf", f"-qI{other}").returncode == 0
    assert command.mqueue.names() == []
    assert [mail.recipients[0] for mail in relay.wait(2)] == ["Sally.Smith@far.example.net",
                                                              "bob@far.example.net"]


@pytest.mark.parametrize("started", [False, True])
def test_a_queue_moved_aside(sendmail, relay, started):
    """The guide: mv mqueue omqueue; sendmail -oQ/var/spool/omqueue -q; rmdir omqueue."""
    command = sendmail(relay)
    for number in range(3):
        command.mqueue.put(f"b{number}@far.example.net")
    moved = command.instance.root / "omqueue"
    command.mqueue.directory.rename(moved)
    command.mqueue.directory.mkdir(mode=0o700)
    command.instance.identity.give(command.mqueue.directory)
    if started:
        command.instance.start()
    assert "(3 requests)" in command("-bp", f"-oQ{moved}").stdout
    assert command(f"-oQ{moved}", "-q").returncode == 0
    relay.wait(3)
    wait_for(lambda: not list(moved.iterdir()), 15, "an empty queue")
    moved.rmdir()


@pytest.mark.one_identity
def test_a_queue_moved_aside_and_the_quota_of_the_day(sendmail, relay):
    """What is sent from it counts for the master that runs, and the other way round."""
    command = sendmail({"default": account(relay, mails_per_day=4)})
    moved = command.instance.root / "omqueue"
    for number in range(5):
        command.mqueue.put(f"moved{number}@far.example.net")
    command.mqueue.directory.rename(moved)
    command.mqueue.directory.mkdir(mode=0o700)
    command.instance.identity.give(command.mqueue.directory)
    command.instance.start()
    for number in range(2):
        command.mqueue.put(f"here{number}@far.example.net")
    quotas = command.instance.root / "state/qmgr/quotas"
    wait_for(lambda: quotas.exists() and re.search(r"default\t\d+ 2 ", quotas.read_text()), 20,
             "two mails in the file of quotas")
    command(f"-oQ{moved}", "-qf")
    assert len(relay.wait(4)) == 4
    assert len(list(moved.glob("qf*"))) == 3
    command.mqueue.put("here2@far.example.net")
    wait_for(lambda: command.instance.status()["queues"][0]["parked"] == 1, 20, "a mail that waits")
    assert len(relay.mails) == 4


def beside_a_master(command, here, aside):
    """Starts smailer with HERE mails in its queue, and leaves ASIDE in one that was moved."""
    moved = command.instance.root / "omqueue"
    for number in range(aside):
        command.mqueue.put(f"aside{number}@far.example.net")
    command.mqueue.directory.rename(moved)
    command.mqueue.directory.mkdir(mode=0o700)
    command.instance.identity.give(command.mqueue.directory)
    for number in range(here):
        command.mqueue.put(f"here{number}@far.example.net")
    command.instance.start()
    return moved


def sent_from(relay):
    return [mail.recipients[0][0] for mail in relay.mails]


@pytest.mark.one_identity
@pytest.mark.parametrize("connections", [1, 3])
def test_a_queue_moved_aside_and_the_connections(sendmail, make_relay, connections):
    """Both together have no more than the account may, and each gets its turn."""
    relay = make_relay(delay=0.15)
    command = sendmail({"default": account(relay, connections=connections)})
    moved = beside_a_master(command, 15 * connections, 4)
    relay.wait(1)
    assert command(f"-oQ{moved}", "-qf").returncode == 0
    assert list(moved.iterdir()) == []
    first = sent_from(relay)
    relay.wait(15 * connections + 4)
    assert first.count("h") < 15 * connections, "the run had to wait for all of the daemon's mails"
    assert relay.most == connections


@pytest.mark.one_identity
def test_a_queue_moved_aside_and_the_minute(sendmail, relay):
    command = sendmail({"default": account(relay, mails_per_minute=5)})
    moved = beside_a_master(command, 3, 4)
    relay.wait(3)
    command(f"-oQ{moved}", "-qf")
    assert sorted(sent_from(relay)) == ["a", "a", "h", "h", "h"]
    assert len(list(moved.glob("qf*"))) == 2
    command.mqueue.put("here3@far.example.net")
    wait_for(lambda: command.instance.status()["queues"][0]["parked"] == 1, 20, "a mail that waits")
    assert len(relay.mails) == 5


@pytest.mark.one_identity
def test_a_queue_moved_aside_and_the_pause(sendmail, make_relay):
    relay = make_relay(delay=0.05)
    command = sendmail({"default": account(relay, delay="200ms", connections=4)})
    moved = beside_a_master(command, 5, 3)
    relay.wait(1)
    assert command(f"-oQ{moved}", "-qf").returncode == 0
    relay.wait(8)
    times = [mail.arrived for mail in relay.mails]
    assert all(b - a >= 0.24 for a, b in zip(times, times[1:])), times


@pytest.mark.one_identity
def test_a_run_that_is_killed_gives_back_what_it_had(sendmail, scripted_server):
    """Its connection, and the place of the mail after which there is a pause."""
    relay = scripted_server({"content": [scripted.hang, scripted.reply("250 2.0.0 Ok")]})
    command = sendmail({"default": account(relay, delay="100ms", connections=1)})
    moved = beside_a_master(command, 0, 1)
    run = command.instance.identity.popen(
        [program("sendmail"), "-C", command.instance.conf, f"-oQ{moved}", "-qf"],
        env=command.instance.environment(), start_new_session=True)
    wait_for(lambda: "reading" in relay.stages, 20, "the run to have begun a mail")
    command.mqueue.put("here@far.example.net")
    stays(lambda: relay.connections == 1, 1)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: len(relay.mails) == 1, 20, "the daemon's mail")
    assert relay.mails[0].recipients == ["here@far.example.net"]


@pytest.mark.parametrize("words, output", [
    (["-q15x"], "Invalid time unit `x'\n"), (["-q15M"], "Invalid time unit `M'\n"),
    (["-q-5m"], "Invalid -q value\n"), (["-bd", "-q5y"], "550 Invalid time unit `y'\n"),
    (["-q", "-bt"], "Can not use -q with -bt\n"), (["-q!Gx"], "Can not use -q!G\n"),
    (["-Qbad", "-qRbob"], "-Q is not there: to hold a job, rename its qf file to hf\n"),
    (["-q", "-qQ"], "-qQ is for listings: a job that is held is not run\n"),
    (["-qL", "-q15"], "-qL is for listings: a job that is lost is not run\n")])
@pytest.mark.one_identity
def test_mistakes(sendmail, relay, words, output):
    result = sendmail(relay)(*words)
    assert (result.returncode, result.stdout) == (64, output)


@pytest.mark.one_identity
def test_help_and_version(sendmail, relay):
    """These words are GNU's; alone, -h is sendmail's count of hops."""
    command = sendmail(relay)
    for name in ("sendmail", "mailq"):
        result = command.instance.run(program(name), "--help")
        assert (result.returncode, result.stderr) == (0, "") and "Usage: sendmail" in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80
        result = command.instance.run(program(name), "--version")
        assert (result.returncode, result.stderr) == (0, "") and "smailer" in result.stdout
    assert command("-help").stdout == "Bad hop value (elp)\n"


# The daemon


@pytest.mark.parametrize("words, seconds", [
    (["-bd", "-q15"], 900), (["-q15d"], 1296000), (["-q15h"], 54000), (["-q15"], 900)])
def test_the_daemon_and_its_interval(sendmail, relay, words, seconds):
    """The guide: sendmail -bd -q15, -q15d, -q15h, -q15; and a second one."""
    command = sendmail(relay)
    assert command(*words).returncode == 0
    [pid_file] = (command.instance.root / "run").glob("*.pid")
    pid = pid_file.read_text().split()[0]
    arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert arguments[arguments.index(b"--mqueue-interval") + 1] == b"%ds" % seconds
    second = command("-bd", "-q15")
    assert second.returncode != 0 and second.stderr == (
        "The sendmail subsystem is already active. Multiple instances are not supported.\n")
    command.mqueue.put("bob@far.example.net")
    relay.wait(1)


@pytest.mark.one_identity
@pytest.mark.parametrize("name", ["usr/lib/sendmail", "usr/sbin/sendmail"])
def test_the_names_that_the_guide_calls_it_by(sendmail, relay, directory, name):
    """The guide: /usr/lib/sendmail -bd -q15, /usr/sbin/sendmail -q."""
    link = directory / name
    link.parent.mkdir(parents=True)
    link.symlink_to(program("sendmail"))
    command = sendmail(relay)
    run = functools.partial(command.instance.run, link, "-C", command.instance.conf)
    command.mqueue.put("bob@far.example.net")
    assert "(1 request)" in run("-bp").stdout
    assert run("-q", "-v").returncode == 0 and command.mqueue.names() == []
    assert run("-bd", "-q15").returncode == 0
    assert "already active" in run("-bd", "-q15").stderr
    command.mqueue.put("bob@far.example.net")
    assert len(relay.wait(2)) == 2
