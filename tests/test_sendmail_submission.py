"""Messages that programs hand over to sendmail, and who those programs are."""

import os
import pathlib
import pwd
import shutil
import subprocess

import pytest

from harness import identity as identities
from harness import installed
from harness.cron import Cron
from harness.process import wait_for
from harness.smailer import account

MESSAGE = "To: bob@far.example.net\nBcc: carl@far.example.net\nSubject: hello\n\nbody\n.\n..x\n"


@pytest.mark.parametrize("started", [False, True])
def test_a_message_is_on_the_disk(sendmail, make_relay, started):
    relay = make_relay()
    relay.down()
    command = sendmail(relay, started=started)
    result = command("-t", "-i", "-f", "ann@example.org", "-FAnn Lee", input=MESSAGE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    [name] = [name for name in command.mqueue.names() if name.startswith("qf")]
    assert (command.mqueue.directory / f"d{name[1:]}").read_text() == "body\n.\n..x\n"
    text = command.mqueue.text(name)
    assert "Bcc" not in text and "\nSann@example.org\n" in text
    assert text.count("\nRPFD:") == 2
    assert "H?F?From: Ann Lee <ann@example.org>\n" in text
    relay.up()
    assert command("-qf").returncode == 0
    [mail] = relay.wait(1)
    assert (mail.sender, mail.recipients) == (
        "ann@example.org", ["bob@far.example.net", "carl@far.example.net"])
    for header in ("Date", "Message-Id", "Received", "From"):
        assert mail.message[header], header
    assert mail.message["Bcc"] is None and b"body\r\n.\r\n..x\r\n" in mail.content


def test_a_dot_ends_the_message(sendmail, relay):
    command = sendmail(relay, started=True)
    assert command("bob@far.example.net", input="Subject: s\n\none\n.\ntwo\n").returncode == 0
    assert b"two" not in relay.wait(1)[0].content


@pytest.mark.one_identity
@pytest.mark.parametrize("words, status", [
    ([], 64), (["-t"], 64), (["a@"], 64), (["|/bin/sh"], 64), (["-B9BIT", "a@x.org"], 64),
    (["-h26", "a@x.org"], 69), (["-bv"], 64)])
def test_messages_that_are_not_taken(sendmail, relay, words, status):
    command = sendmail(relay)
    result = command(*words, input="Subject: s\n\nbody\n")
    assert result.returncode == status and result.stderr + result.stdout != ""
    assert command.mqueue.names() == []


@pytest.mark.one_identity
def test_messages_by_smtp_on_standard_input(sendmail, relay):
    command = sendmail(relay, started=True)
    result = command("-bs", input="\r\n".join([
        "EHLO here", "RCPT TO:<early@far.example.net>", "MAIL FROM:<ann@example.org> BODY=8BITMIME",
        "RCPT TO:<bob@far.example.net>", "RCPT TO:carl", "RCPT TO:<carl@far.example.net>", "DATA",
        "Subject: one", "", "..dot", "body", ".", "MAIL FROM:<>", "RSET", "DATA", "FOO",
        "MAIL FROM:<ann@example.org>", "RCPT TO:<a@>", "DATA", "", ".",
        "MAIL FROM:<>", "RCPT TO:<dan@far.example.net>", "DATA", "Subject: two", "", ".", "QUIT",
        "NOOP", ""]))
    codes = [line[:3] for line in result.stdout.splitlines() if line[3:4] != "-"]
    assert (result.returncode, codes) == (0, "220 250 503 250 250 501 250 354 250 250 250 503 500 "
                                             "250 250 354 554 250 250 354 250 221".split())
    assert "Hostname required" in result.stderr
    mails = {mail.subject: mail for mail in relay.wait(2)}
    assert mails["one"].recipients == ["bob@far.example.net", "carl@far.example.net"]
    assert mails["one"].content.endswith(b"\r\n\r\n.dot\r\nbody\r\n")
    assert (mails["two"].sender or "").strip("<>") == "" and len(relay.mails) == 2
    wait_for(lambda: command.mqueue.names() == [], 20, lambda: f"{command.mqueue.names()}")
    broken = command("-bs", input="MAIL FROM:<a@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\nSubject: x\r\n")
    assert "554" in broken.stdout and command.mqueue.names() == []


def test_delivery_notices_are_asked_for(sendmail, make_relay):
    relay = make_relay()
    relay.down()
    command = sendmail(relay)
    assert command("-Nsuccess,delay", "-Rhdrs", "-VENV+2B77", "-B8BITMIME", "bob@far.example.net",
                   input="Subject: s\n\nza\u017c\n").returncode == 0
    [name] = [name for name in command.mqueue.names() if name.startswith("qf")]
    text = command.mqueue.text(name)
    for line in ("B8BITMIME", "ZENV+2B77", "RPNSD:bob@far.example.net", "F8bdns"):
        assert f"\n{line}\n" in text, line


def test_who_may_send(sendmail, relay):
    """uids of an account; the kernel says who it is."""
    stranger = identities.stranger()
    command = sendmail({"ann@example.org": account(relay, uids=[pwd.getpwuid(stranger.uid).pw_name]),
                        "root@example.org": account(relay, uids=["root"])}, started=True)
    command.instance.write_conf("main.cf", command.instance.main_text(), mode=0o644)
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    (command.instance.root / "conf").chmod(0o755)
    allowed = command("-f", "ann@example.org", "bob@far.example.net", input="\n",
                      identity=stranger)
    assert allowed.returncode == 0, allowed
    refused = command("-f", "root@example.org", "bob@far.example.net", input="\n",
                      identity=stranger)
    assert refused.returncode == 77 and "uids" in refused.stderr
    assert relay.wait(1)[0].sender == "ann@example.org"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_the_drop_directory(sendmail, relay):
    """Where nobody runs, a message of a user waits for the next start, which knows its owner."""
    stranger = identities.stranger()
    command = sendmail({"ann@example.org": account(relay),
                        "root@example.org": account(relay, uids=["root"])}, started=True)
    command.instance.write_conf("main.cf", command.instance.main_text(), mode=0o644)
    (command.instance.root / "conf").chmod(0o755)
    command.instance.stop()
    drop = command.instance.root / "state/maildrop"
    assert drop.stat().st_mode & 0o7777 == 0o3733
    for sender in ("ann@example.org", "root@example.org"):
        result = command("-f", sender, "bob@far.example.net", input="Subject: dropped\n\n",
                         identity=stranger)
        assert result.returncode == 0, result
    assert {path.stat().st_uid for path in drop.iterdir()} == {stranger.uid}
    command.instance.start()
    assert relay.wait(1)[0].sender == "ann@example.org"
    wait_for(lambda: not list(drop.iterdir()), 15, "an empty drop directory")
    command.instance.wait_for_log("uids", "qmgr")
    assert len(relay.mails) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file system of its own")
def test_a_full_disk(sendmail, relay):
    command = sendmail(relay)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "none",
                              command.mqueue.directory], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        command.instance.identity.give(command.mqueue.directory)
        result = command("bob@far.example.net", input="Subject: s\n\n" + "x" * 200000 + "\n")
        assert result.returncode == 75, result
        assert command.mqueue.names() == []
    finally:
        subprocess.run(["umount", "-l", command.mqueue.directory], check=True)


def test_kills_while_submitting(sendmail, relay):
    """What sendmail took arrives, whoever dies meanwhile; only what was in hand arrives twice."""
    command = sendmail(relay, started=True, scan_interval="1s")
    taken, kills = set(), 0
    for number in range(32):
        if number % 4 == 3:
            command.instance.kill(("qmgr", "control", "pickup", "smtp")[kills % 4])
            kills += 1
        result = command("bob@far.example.net", input=f"Subject: {number}\n\nbody\n")
        assert result.returncode in (0, 75), result
        if result.returncode == 0:
            taken.add(str(number))
    assert len(taken) >= 16
    wait_for(lambda: taken <= {mail.subject for mail in relay.mails}, 60,
             lambda: f"{taken - {mail.subject for mail in relay.mails}}\n{command.instance.tail()}")
    assert len(relay.mails) <= 32 + kills


# The programs that call it


def deliver(command, relay, *words, input=None, environment=None):
    result = command.instance.run(*words, input=input,
                                  environment=command.instance.environment(**(environment or {})))
    assert result.returncode == 0, result
    return relay.wait(1)[0]


def test_cron(sendmail, relay):
    """The command line of Debian's cron."""
    command = sendmail(relay, started=True, settings={"local_to": "admin@far.example.net"})
    mail = deliver(command, relay, command.script(), "-FCronDaemon", "-i", "-B8BITMIME", "-oem",
                   "root", input="From: root (Cron Daemon)\nTo: root\nSubject: Cron\n"
                   "Content-Type: text/plain; charset=UTF-8\n\nza\u017c\n")
    assert mail.recipients == ["admin@far.example.net"] and mail.subject == "Cron"


CRONTAB = """\
@reboot root echo from root
MAILTO=bob@far.example.net
@reboot mail echo za\u017c; echo and a failure >&2
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="cron wants root")
def test_the_daemon_of_cron(sendmail, relay, unpacked):
    """Its jobs of @reboot run at once, and what they print is mailed, by whoever the job runs as."""
    if not installed.possible():
        pytest.skip("root may not mount here")
    command = sendmail(relay, started=True, settings={"local_to": "admin@far.example.net"})
    command.instance.write_conf("main.cf", command.instance.main_text(), mode=0o644)
    (command.instance.root / "conf").chmod(0o755)
    cron = Cron(unpacked("cron"), command.script(), CRONTAB)
    try:
        cron.up()
        own = relay.wait_for_recipient("admin@far.example.net")
        other = relay.wait_for_recipient("bob@far.example.net")
    finally:
        cron.end()
    assert own.subject.startswith("Cron <root@") and own.subject.endswith("> echo from root")
    assert own.text == "from root\n"
    assert other.text == "za\u017c\nand a failure\n"
    wait_for(lambda: command.mqueue.names() == [], 20, lambda: f"{command.mqueue.names()}")


def test_a_pipe_as_php_opens_it(sendmail, relay):
    command = sendmail(relay, started=True)
    mail = deliver(command, relay, "sh", "-c", f"exec {command.script()} -t -i",
                   input="To: bob@far.example.net\r\nSubject: php\r\n\r\nline\r\n.\r\nend\r\n")
    assert mail.subject == "php" and mail.content.endswith(b"line\r\n.\r\nend\r\n")


def test_subprocess_of_python(sendmail, relay):
    command = sendmail(relay, started=True)
    mail = deliver(command, relay, "/usr/bin/python3", "-c",
                   "import subprocess, sys\n"
                   "from email.message import EmailMessage\n"
                   "mail = EmailMessage()\n"
                   "mail['To'], mail['From'], mail['Subject'] = 'b@x.org', 'a@x.org', 'za\u017c'\n"
                   "mail.set_content('za\u017c\\n')\n"
                   "subprocess.run([sys.argv[1], '-oi', '-f', 'a@x.org', 'b@x.org'],\n"
                   "               input=mail.as_bytes(), check=True)\n", command.script())
    assert (mail.sender, mail.subject, mail.text) == ("a@x.org", "za\u017c", "za\u017c\n")


@pytest.mark.skipif(not pathlib.Path("/usr/lib/git-core/git-send-email").exists(),
                    reason="git send-email is not installed")
def test_git_send_email(sendmail, relay):
    command = sendmail(relay, started=True)
    root = command.instance.root / "git"
    root.mkdir()
    if os.geteuid() == 0:
        os.chown(root, command.instance.identity.uid, command.instance.identity.gid)
    script = (f"cd {root} && git init -q . && git config user.email a@x.org && "
              "git config user.name A && echo x >f && git add f && git commit -qm change && "
              f"git format-patch -q -1 --root && git send-email --quiet --confirm=never "
              f"--smtp-server={command.script()} --from=a@x.org --to=b@x.org "
              "--suppress-cc=all *.patch")
    mail = deliver(command, relay, "sh", "-c", script)
    assert mail.subject == "[PATCH] change" and mail.recipients == ["b@x.org"]


@pytest.mark.skipif(shutil.which("mail.mailutils") is None, reason="mailutils is not installed")
def test_mail_of_mailutils(sendmail, relay):
    command = sendmail(relay, started=True)
    mail = deliver(command, relay, "mail.mailutils", "-E",
                   f"set sendmail=sendmail:{command.script()}", "-s", "hello", "-r", "a@x.org",
                   "b@x.org", input="body\n")
    assert (mail.recipients, mail.subject) == (["b@x.org"], "hello")
