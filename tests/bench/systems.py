"""The two that are compared, each with a queue that is filled before it starts."""

import os
import pathlib
import signal
import socket
import subprocess
import time

from harness import identity, process
from harness.base import document, item
from harness.postfix import Postfix
from harness.smailer import Smailer, account

import measure

MAIL_SIZE = 2048  # octets on the line, headers and all
SENDER, RECIPIENT = "foo@example.com", "boo@hisorhermail.com"
HEADERS = 480  # what smailer's headers take, about


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def text():
    line = "Prosimy o zwrot wypozyczonych ksiazek do biblioteki w ciagu dwoch tygodni.\n"
    return (line * 40)[:MAIL_SIZE - HEADERS]


def content():
    return document(item(sender=SENDER, address=RECIPIENT, content=text()))


def postfix_environment(package):
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C",
            "LD_LIBRARY_PATH": f"{package}/usr/lib/postfix:{package}/usr/lib/x86_64-linux-gnu"}


class Sink:
    """Postfix's smtp-sink, behind a line of DELAY milliseconds of round trip."""

    def __init__(self, package, delay_program, delay=0):
        self.port, port = free_port(), free_port()
        self.processes = []
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._start([package / "usr/sbin/smtp-sink", *user, "-m", "500", f"127.0.0.1:{port}", "500"],
                    postfix_environment(package))
        if delay:
            process.wait_for(lambda: self._listens(port), 5, "smtp-sink")
            self._start([delay_program, str(self.port), str(port), str(delay)], None)
        else:
            self.port = port
        process.wait_for(lambda: self._listens(self.port), 5, "the relay")

    def _start(self, command, environment):
        self.processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE))

    @staticmethod
    def _listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def cpu(self):
        return sum(measure.cpu([self.processes[0].pid]).popitem()[1][:1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.processes:
            each.terminate()
            each.stdin.close()
            each.wait()


def has_files(directory):
    """True where something is there that is not a directory; looks no further than it must."""
    try:
        with os.scandir(directory) as entries:
            return any(not entry.name.startswith(".") and not entry.is_dir(follow_symlinks=False)
                       for entry in entries)
    except FileNotFoundError:
        return False


class SmailerSystem:
    name = "smailer"

    def __init__(self, port, connections, bases=1, **main):
        self.smailer = Smailer(
            identity.root() if os.geteuid() == 0 else identity.user(),
            {SENDER: account(f"127.0.0.1:{port}", connections=connections)},
            {"sowa1": [f"base{number}" for number in range(bases)]},
            {"smtp": {"instances": connections}}, log_level="info",
            **{"commit_interval": "100ms", **main})

    def fill(self, count):
        octets, bases = content(), list(self.smailer.bases.values())
        who = self.smailer.identity
        for number, base in enumerate(bases):
            directory = os.open(base.directory, os.O_RDONLY)
            for each in range(number, count, len(bases)):
                file = os.open(f"mail-{each:07}.xml", os.O_WRONLY | os.O_CREAT, 0o644,
                               dir_fd=directory)
                os.write(file, octets)
                if os.geteuid() == 0:
                    os.fchown(file, who.spool_uid, who.spool_gid)
                os.close(file)
            os.close(directory)

    def start(self):
        self.smailer.start(wait=False)

    @property
    def pid(self):
        # The program that setpriv became keeps its pid.
        return self.smailer.process.pid

    def directories(self):
        return [base.directory for base in self.smailer.bases.values()]

    def is_empty(self):
        return not any(map(has_files, self.directories()))

    def waiting(self):
        return sum(len(base.files("")) for base in self.smailer.bases.values())

    def sync(self):
        for base in self.smailer.bases.values():
            for directory in (base.directory, base.directory / "sent"):
                descriptor = os.open(directory, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    def check(self, count):
        sent = sum(len(base.files("sent")) for base in self.smailer.bases.values())
        assert sent == count, f"{sent} of {count} are in sent/: {self.smailer.tail()}"

    def end(self):
        self.smailer.end()


class PostfixSystem(Postfix):
    name = "Postfix"
    FILLING = "cleanup rewrite proxymap anvil bounce defer trace tlsmgr postlog".split()

    def __init__(self, package, port, connections):
        super().__init__(package, default_transport="smtp", relayhost=f"[127.0.0.1]:{port}",
                         virtual_mailbox_domains="", virtual_mailbox_maps="",
                         default_destination_concurrency_limit=connections,
                         default_process_limit=max(100, connections))
        self.connections = connections
        master = self.root / "conf/master.cf"
        self.services = master.read_text() + "smtp      unix  - - n - - smtp\n"
        self.pid = None

    def _write_services(self, chosen=None):
        lines = [line for line in self.services.splitlines()
                 if chosen is None or line.split()[0] in chosen or " inet " in line]
        path = self.root / "conf/master.cf"
        path.write_text("\n".join(lines) + "\n")
        os.utime(path, (0, 0))

    def fill(self, count):
        """One mail stays in incoming/ while there is no qmgr; the others are copies of its file."""
        self._write_services(self.FILLING)
        self.up()
        subprocess.run(
            [self.package / "usr/sbin/smtp-source", "-m", "1", "-l", str(MAIL_SIZE - 300), "-f",
             SENDER, "-t", RECIPIENT, self.address],
            env=self.environment, check=True, stdin=subprocess.DEVNULL)
        self.stop()
        incoming = self.root / "queue/incoming"
        first = next(incoming.iterdir())
        octets, status = first.read_bytes(), first.stat()
        for number in range(1, count):
            # A queue id: microseconds in five digits, and the inode.
            path = incoming / f"{number % 0xFFFFF:05X}{status.st_ino + number:X}"
            path.write_bytes(octets)
            path.chmod(0o700)
            os.chown(path, status.st_uid, status.st_gid)
        (self.root / "log").write_text("")

    def start(self):
        self._write_services()
        with open(self.root / "output", "ab") as output:
            self.process = subprocess.Popen(
                [self.package / "usr/lib/postfix/sbin/master", "-c", self.root / "conf"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        self.pid = self.process.pid

    def directories(self):
        return [self.root / "queue" / name for name in ("incoming", "active", "deferred")]

    def is_empty(self):
        return not any(map(has_files, self.directories()))

    def sync(self):
        for directory in self.directories():
            descriptor = os.open(directory, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def check(self, count):
        sent = self.log().count("status=sent")
        assert sent == count, f"{sent} of {count} sent: {self.log()[-3000:]}"
