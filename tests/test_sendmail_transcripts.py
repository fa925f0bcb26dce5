"""What sendmail 8.17 printed, and what is printed here: the same octets, but for names and dates."""

import fcntl
import re
import time

import pytest

from harness import scripted
from harness.commands import SHOWN, TRANSCRIPTS
from harness.process import wait_for

TEXT = (TRANSCRIPTS / "queue-run.txt").read_text()
RUNS = TEXT.partition("=== queue run output shapes\n")[2]
ZOE = ("<zoe@far.example.net>", "<zed@example.org>")
BOB = ("bob@far.example.net", "Ann.Lee@Example.ORG")
CARL = (["carl@other.example.com", "Sally.Smith@Far.Example.NET"], "geo@george.example.org")
ANN = ("bob@far.example.net", "ann@example.org")


def run_of(title):
    """What follows the line "$ sendmail TITLE", and the exit status."""
    found = re.search(rf"^\$ sendmail {re.escape(title)}\n((?:.*\n)*?)\[exit (\d+)\]$", RUNS, re.M)
    return found[1], int(found[2])


def printed(transcript, *words):
    """What the command of these WORDS printed in the file TRANSCRIPT, which ended with 0."""
    text = (TRANSCRIPTS / transcript).read_text()
    return text.partition(f"$ {' '.join(words)}\n")[2].partition("[exit 0]")[0]


def shown(command, *words):
    """What it prints here."""
    return command(*words[1:], name=words[0]).stdout.replace(str(command.mqueue.directory), SHOWN)


def plain(output, mqueue):
    """Without what differs from host to host: ids, the queue's path, ports, the name of this host; how
    large a mail is said to be, brackets of the only recipient, how sendmail writes MAIL and RCPT, and
    RSET where one follows another."""
    output = output.replace(str(mqueue.directory), SHOWN).replace("/omqueue/", "/mqueue/")
    for pattern, text in ((r"(?m)^(Running \S+/)[0-9A-Za-z]+ ", r"\1ID "), (r" port \d+ ", " port 25 "),
                          (r">>> EHLO \S+", ">>> EHLO host"), (r" SIZE=\d+", ""),
                          (r"(?m)^<(\S+)>\.\.\. ", r"\1... "), (r">>> MAIL From:", ">>> MAIL FROM:"), (r">>> RCPT To:", ">>> RCPT TO:"),
                          (r"(>>> RSET\n250 2.0.0 ok\n)+", r"\1")):
        output = re.sub(pattern, text, output)
    return output.removesuffix("\n")


def player(transcript):
    """A table for Scripted that answers as the server of TRANSCRIPT did."""
    table = {"greeting": [], "ehlo": [], "mail": [], "rcpt": [], "data": [], "content": [],
             "rset": [], "quit": []}
    said = "greeting"
    for line in transcript.splitlines():
        if line.startswith(">>> "):
            word = line[4:].split()[0].lower()
            said = "content" if word == "." else word
            table[said].append([])
        elif re.match(r"\d\d\d[ -]", line):
            if not table[said]:
                table[said].append([])
            table[said][-1].append(line)
    return {stage: [scripted.reply("\n".join(lines)) for lines in replies]
            for stage, replies in table.items() if replies}


@pytest.mark.one_identity
@pytest.mark.parametrize("title, jobs, options", [
    ("-q -v", [ZOE, BOB, CARL], []),
    ("-q -v   (empty queue)", [], []),
    ("-q -v   (server refuses the connection)", [ANN], []),
    ("-q -v -OMinQueueAge=1h", [ANN], ["-OMinQueueAge=1h"]),
    ("-q -v -OMinQueueAge=1h -qRbob", [ANN], ["-OMinQueueAge=1h", "-qRbob"]),
    ("-q -v   (load too high: QueueLA=0 QueueFactor=1)", [ANN], ["-OQueueLA=0", "-OQueueFactor=1"]),
    ("-qRnosuch -v", [ANN], ["-qRnosuch"]),
    ("-q -v -oQ<moved queue>", [ANN], []),
    ("-q -v   (recipient rejected: a bounce is made and sent in the same run)",
     [("reject@far.example.net", "ann@example.org")], []),
    ("-q -v   (one deferred, one sent)",
     [(["bob@far.example.net", "defer1@far.example.net"], "ann@example.org")], []),
])
def test_a_run(sendmail, scripted_server, title, jobs, options):
    """Through a daemon where more than one mail is sent, else by programs of its own."""
    started = len(jobs) > 1 or "rejected" in title
    transcript, status = run_of(title)
    relay = scripted_server(player(transcript), pipelining=False)
    if "refuses" in title:
        relay.down()
    command = sendmail(relay)
    for number, (recipients, sender) in enumerate(jobs):
        command.mqueue.put(recipients, sender=sender, priority=30000 + number, attempts=1,
                           last=time.time(), flags="bs\nMDeferred: not now")
    if started:
        command.instance.start()
        wait_for(lambda: command.instance.status()["queues"][0]["deferred"] == len(jobs), 20,
                 "the jobs to be known")
    result = command("-q", "-v", *options)
    assert plain(result.stdout, command.mqueue) == plain(transcript, command.mqueue)
    assert (result.returncode, result.stderr) == (status, "")


@pytest.mark.one_identity
def test_a_listing_of_a_locked_job(sendmail, relay):
    command = sendmail(relay)
    created = 1795324860  # Nov 22 05:21, 2026
    command.mqueue.put("bob@far.example.net", "ann@example.org", "x\n", "6AM5LK6b003756", created,
                       priority=30070)
    command.mqueue.put("slow@far.example.net", "ann@example.org", "x\n", "6AM5LJs2003703",
                       created + 1, priority=30070)
    with open(command.mqueue.directory / "qf6AM5LJs2003703") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for words in (["mailq"], ["mailq", "-v"],
                      ["sendmail", "-q", "-v", "-qI<the locked one>"]):
            expected = printed("06-locked.txt", *words)
            words[-1] = words[-1].replace("<the locked one>", "6AM5LJs2003703")
            assert shown(command, *words) == expected, words


@pytest.mark.one_identity
def test_a_listing_of_a_large_job(sendmail, relay):
    command = sendmail(relay)
    command.mqueue.put("bob@far.example.net", "ann@example.org", "x" * 1420000, "6AM5LaiT006120",
                       1795324860, priority=1450068)
    for words in ([], ["-v"]):
        assert shown(command, "mailq", *words) == printed("09-large.txt", "mailq", *words), words


@pytest.mark.one_identity
def test_a_listing_that_is_cut(sendmail, relay):
    """sendmail takes those that it meets first in the directory, so which is not defined."""
    command = sendmail(relay)
    command.fill("03-several")
    words = ("mailq", "-OMaxQueueRunSize=2")
    listing, whole = shown(command, *words), command.mailq().stdout.splitlines()
    lines, wanted = listing.splitlines(), printed("05b-max-run.txt", *words).splitlines()
    assert (lines[:2], lines[-1]) == (wanted[:2], wanted[-1])
    assert len(command.ids(listing)) == 2 and set(lines[2:-1]) <= set(whole)


@pytest.mark.one_identity
def test_a_listing_of_young_jobs(sendmail, relay):
    """K as if the listing were made when the transcript was."""
    command = sendmail(relay)
    command.fill("03-several")
    for path in command.mqueue.directory.glob("qf*"):
        path.write_text(re.sub(r"(?m)^K[1-9]\d*$", f"K{int(time.time()) - 60}",
                               path.read_text(errors="surrogateescape")),
                        errors="surrogateescape")
    for words in (["-OMinQueueAge=3h"], ["-v", "-OMinQueueAge=3h"]):
        assert shown(command, "mailq", *words) == printed("04-too-young.txt", "mailq", *words), words


@pytest.mark.one_identity
def test_a_run_with_nobody_to_send_to(sendmail, relay):
    """It says so, and the notice of it goes in the same run."""
    command = sendmail(relay)
    command.mqueue.put(["PFD:|/bin/prog", "PFD:none"], "ann@example.org")
    result = command("-q", "-v")
    assert "\n|/bin/prog... User unknown: it is a program" in result.stdout
    assert '\nnone... Deferred: there is no local delivery, and neither an alias for "none"' in result.stdout
    assert [mail.recipients for mail in relay.mails] == [["ann@example.org"]]
    assert [name[:2] for name in command.mqueue.names()] == ["df", "qf"]


# Which jobs, and what is wrong with -q

A, B, C = "6AM5EDAS024595", "6AM5EDkJ024596", "6AM5EDaf024597"
SELECTED = re.findall(r"^(-q.*?)(?: \(.*\))? +-> (.*?)  \[exit 0\]$", TEXT, re.M)
ERRORS = re.findall(r"^\$ sendmail (.*)\n((?:.*\n)*?)\[exit (\d+)\]$",
                    TEXT.partition("=== errors of -q\n")[2].partition("=== ")[0], re.M)


def fill_three(command, created=1795324470):  # Nov 22 05:14, 2026
    """The jobs of these transcripts, in the order of their listings."""
    for priority, id, sender, recipients in (
            (1, C, "<zed@example.org>", ["PFD:<zoe@far.example.net>"]),
            (2, A, "Ann.Lee@Example.ORG", ["PFD:bob@far.example.net"]),
            (3, B, "geo@george.example.org", ["PFD:Sally.Smith@Far.Example.NET",
                                              "PFD:carl@other.example.com"])):
        command.mqueue.put(recipients, sender, "x\n", id, created, priority=priority)


def options_of(words):
    """"-qI<last 6 of A>" and the like, with the id."""
    for text, id in (("<full id of A>", A), ("<last 6 of A>", A[-6:]), ("<qf+id of A>", f"qf{A}"),
                     ("<id of A, lower case>", A.lower()), ("<A>", A)):
        words = words.replace(text, id)
    return words.split()


@pytest.mark.one_identity
def test_selections(sendmail, make_relay):
    """Of each listing, and of each run, in which all is deferred."""
    relay = make_relay(lambda stage, mail, address: "451 4.3.0 later" if stage == "rcpt" else None)
    command = sendmail(relay, started=True)
    fill_three(command, time.time())
    assert len(SELECTED) == 30
    for words, names in SELECTED:
        expected = sorted({"A": A, "B": B, "C": C}[name] for name in re.findall(r"\b[ABC]\b", names))
        listing = command(*options_of(words), "-bp")
        run = command(*options_of(words), "-v")
        assert sorted(command.ids(listing.stdout)) == expected, words
        assert sorted(re.findall(r"(?m)^Running \S*/(\w+) ", run.stdout)) == expected, words
        assert (listing.returncode, run.returncode) == (0, 0), words


@pytest.mark.one_identity
def test_mistakes_in_q(sendmail, relay):
    command = sendmail(relay)
    fill_three(command)
    assert len(ERRORS) == 20
    for words, output, status in ERRORS:
        # That was one word; and what sendmail says of its test mode after it, nobody does here.
        options = ["-q 15m", "-bp"] if words == "-q 15m -bp" else words.split()
        expected = output.partition("ADDRESS TEST MODE")[0]
        result = command(*options)
        assert result.stdout.replace(str(command.mqueue.directory), SHOWN) == expected, words
        assert (result.returncode, result.stderr) == (int(status), ""), words
