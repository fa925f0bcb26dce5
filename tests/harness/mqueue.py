"""A queue of sendmail's, as sendmail and an administrator see it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

CASES = pathlib.Path(__file__).resolve().parents[1] / "data/mqueue"
FILE = re.compile(r"^[a-zA-Z]f[0-9A-Za-z]+$")


class Case:
    """A queue of tests/data/mqueue: what is in it, and what is expected of it."""

    def __init__(self, name):
        self.name = name
        self.directory = CASES / name
        self.expect = json.loads((self.directory / "EXPECT.json").read_text())
        self.files = sorted(path.name for path in self.directory.iterdir()
                            if FILE.match(path.name))

    @property
    def sent(self):
        path = self.directory / "SENT.eml"
        return path.read_bytes() if path.exists() else None


def cases():
    return sorted(path.name for path in CASES.iterdir())


class Mqueue:
    """One directory; its files belong to whom smailer's spools belong to."""

    def __init__(self, identity, directory):
        self.identity = identity
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=0o700)
        self._count = 0
        identity.give(self.directory)

    def section(self, **settings):
        lines = "".join(f'    {key} = "{value}"\n' for key, value in settings.items())
        return f'mqueue sendmail {{\n    directory = "{self.directory}"\n{lines}}}\n'

    def _give(self, path):
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, self.identity.spool_uid, self.identity.spool_gid)

    def write(self, name, content):
        """Makes the file appear whole, as sendmail does."""
        hidden = self.directory / f".{name}"
        hidden.write_bytes(content if isinstance(content, bytes) else content.encode())
        self._give(hidden)
        hidden.rename(self.directory / name)

    def put_case(self, case, fresh=True):
        """Puts a case's files in, the control file last; FRESH: as if written just now."""
        for name in sorted(case.files, key=lambda each: each[0] == "q"):
            content = (case.directory / name).read_bytes()
            if fresh and name[0] in "qh":
                content = re.sub(rb"(?m)^T\d+", b"T%d" % time.time(), content, count=1)
            self.write(name, content)
        setup = case.directory / "SETUP.sh"
        if setup.exists():
            subprocess.run(["sh", setup], cwd=self.directory, check=True)
            self.identity.give(self.directory)

    def put(self, recipients, sender="foo@example.com", body="body\n", id=None, created=None,
            flags="bs", headers=("Subject: test",), lines=(), priority=30000, attempts=0, last=0):
        """A job; RECIPIENTS are R lines, or addresses. Returns its id."""
        self._count += 1
        id = id or f"6AM50KDN{self._count:06}"
        created = int(time.time() if created is None else created)
        recipients = [recipients] if isinstance(recipients, str) else recipients
        text = [f"V8", f"T{created}", f"K{int(last)}", f"N{attempts}", f"P{priority}", f"F{flags}",
                f"S{sender}", *lines]
        text += ["RPFD:" + each if ":" not in each else "R" + each for each in recipients]
        text += ["H??" + each for each in headers]
        self.write(f"df{id}", body)
        self.write(f"qf{id}", "\n".join([*text, ".", ""]))
        return id

    def names(self):
        return sorted(name for name in os.listdir(self.directory))

    def text(self, name):
        return (self.directory / name).read_text(errors="surrogateescape")

    def lines(self, id, letter):
        """The lines with LETTER of the job's control file, without it."""
        return [line[1:] for line in self.text(f"qf{id}").splitlines() if line[:1] == letter]

    def remove(self):
        shutil.rmtree(self.directory)
