"""A daemon of an unpacked package that looks for its files where it would be installed: it runs in
a mount namespace of its own, in which they lie over this machine's. Needs root."""

import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from . import process

ENTER = """\
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group &&
mount -t overlay overlay -o "lowerdir=$2/usr:/usr" /usr && shift 2 && exec "$@"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def possible():
    """False where this machine does not let root mount."""
    return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                          capture_output=True).returncode == 0


class Installed:
    """PACKAGE is the root of its files; USERS are lines that /etc/passwd has, too, each with a group
    of its name. Subclasses say in command() what runs, and in ready() whether it does."""

    def __init__(self, package, users=()):
        self.package = pathlib.Path(package)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"smailer-{type(self).__name__.lower()}-"))
        self.root.chmod(0o755)
        self.process = None
        passwd = pathlib.Path("/etc/passwd").read_text() + "".join(f"{line}\n" for line in users)
        groups = "".join(f"{line.split(':')[0]}:x:{line.split(':')[3]}:\n" for line in users)
        (self.root / "passwd").write_text(passwd)
        (self.root / "group").write_text(pathlib.Path("/etc/group").read_text() + groups)

    def command(self):
        raise NotImplementedError

    def ready(self):
        raise NotImplementedError

    def log(self):
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def up(self):
        with open(self.root / "output", "ab") as output:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", ENTER, "enter", self.root, self.package,
                 *self.command()], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        try:
            process.wait_for(self._runs, 15, lambda: f"{self.command()[0]}: {self._words()}")
        except BaseException:
            self.end()
            raise
        return self

    def _words(self):
        return (self.root / "output").read_text(errors="replace") + self.log()

    def _runs(self):
        assert self.process.poll() is None, f"{self.command()[0]} ended: {self._words()}"
        return self.ready()

    def end(self):
        if self.process is not None:
            below = process.descendants(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            process.kill_all([each for each in below if process.alive(each.pid)])
            for each in below:
                process.reap(each.pid)
        shutil.rmtree(self.root, ignore_errors=True)
