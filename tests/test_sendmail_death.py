"""SIGKILL before every call that sendmail makes while it hands a message over, or leaves it in the
drop directory; tests/crash does the same to those who take it."""

import os
import re
import shutil
import subprocess

import pytest

from crash.strace import CALLS, kill_arguments
from harness import identity as identities
from harness.mqueue import Mqueue
from harness.process import wait_for
from harness.sendmail import Sendmail
from harness.smailer import BUILD, SANITIZED, account, program

STEPS_MOST = 60
BODY = "line\n" * 300 + "end\n"


def can_trace():
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


pytestmark = [pytest.mark.one_identity,
              pytest.mark.skipif(SANITIZED or not can_trace(), reason="strace cannot be used")]


class Dying:
    """An instance with a queue of sendmail's, and what sendmail took with exit status 0."""

    def __init__(self, instance, relay):
        self.instance, self.relay, self.taken, self.killed = instance, relay, set(), set()
        self.mqueue = Mqueue(instance.identity, instance.root / "mqueue")
        instance.sections.append(self.mqueue.section(hostname="host.example.org"))
        instance.configure()

    def send(self, call, index, **keywords):
        """False where it died before the INDEXth CALL."""
        subject = f"{call}.{index}"
        result = self.instance.run(
            "strace", "-qq", "-o", "/dev/null", *kill_arguments(call, index), program("sendmail"),
            "-C", self.instance.conf, "-f", "ann@example.org", "bob@far.example.net",
            input=f"Subject: {subject}\n\n{BODY}", **keywords)
        if result.returncode == 0:
            self.taken.add(subject)
            return True
        assert result.returncode in (-9, 137), result
        self.killed.add(subject)
        return False

    def die_everywhere(self, **keywords):
        for call in (*CALLS, "connect", "recvmsg"):
            for index in range(1, STEPS_MOST):
                if self.send(call, index, **keywords):
                    break

    def check(self):
        """What was taken arrives; the rest may; whatever does is whole, and there once."""
        def arrived():
            return sorted(mail.subject for mail in self.relay.mails)

        wait_for(lambda: self.taken <= set(arrived()), 60,
                 lambda: f"{self.taken - set(arrived())}\n{self.instance.tail()}")
        wait_for(lambda: self.mqueue.names() == [], 30, lambda: f"nothing: {self.mqueue.names()}")
        assert arrived() == sorted(set(arrived())) and set(arrived()) <= self.taken | self.killed
        assert {mail.text for mail in self.relay.mails} == {BODY}


@pytest.fixture
def dying(smailer, make_relay):
    relay = make_relay()
    return Dying(smailer({"default": account(relay)}, {}, started=False, log_level="info"), relay)


def test_handing_over(dying):
    dying.instance.start()
    dying.die_everywhere()
    assert len(dying.killed) > 8
    dying.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_leaving_it_for_the_next_start(dying):
    dying.instance.write_conf("main.cf", dying.instance.main_text(), mode=0o644)
    dying.instance.start()
    (dying.instance.root / "conf").chmod(0o755)
    dying.instance.stop()
    dying.die_everywhere(identity=identities.stranger())
    assert len(dying.killed) > 8
    dying.instance.start()
    dying.check()


def test_what_is_left_is_good_enough_for_sendmail(smailer, relay, unpacked, tmp_path):
    """Whatever a death in rewriting, removing, holding or submitting leaves, real sendmail lists
    and sends, each recipient at most once."""
    subprocess.run([BUILD / "build/tests/unit/queue_mqueue_death"], check=True, capture_output=True,
                   env={**os.environ, "SMAILER_LEFT": str(tmp_path)})
    instance = smailer({"default": relay}, {}, started=False)
    mqueue = Mqueue(instance.identity, instance.root / "mqueue")
    scenes = sorted(tmp_path.iterdir())
    expected = []
    for number, scene in enumerate(scenes):
        for path in scene.iterdir():
            text = path.read_bytes()
            mqueue.write(path.name.replace("AA00001", f"AA{number:05}"), text)
            if path.name.startswith("qf") and b"\nq" not in text:  # else it is held
                expected += re.findall(rb"(?m)^RPFD:(.*)$", text)
    assert len(scenes) > 30
    jobs = sorted(name[2:] for name in mqueue.names() if name.startswith("qf"))
    sendmail = Sendmail(unpacked("sendmail-bin"), instance.root / "sendmail", mqueue, relay.port)
    listing = sendmail.run("-bp")
    assert sorted(re.findall(r"(?m)^ *(\w+) +\d+ \w{3} \w{3} ", listing)) == jobs, listing
    assert "no control file" not in listing
    output = sendmail.run("-q", "-v")
    assert sorted(each for mail in relay.mails for each in mail.recipients) == sorted(
        each.decode() for each in expected), output
    assert [name for name in mqueue.names() if name[:2] in ("qf", "Qf")] == [], output
