"""sendmail and mailq, with a queue of sendmail's."""

import os
import pathlib
import re
import signal

from .mqueue import Mqueue
from .process import wait_for
from .smailer import PROJECT, program

TRANSCRIPTS = PROJECT / "tests/data/mailq"
SHOWN = "/var/spool/mqueue"  # as the queue is named in them


class Sendmail:
    """An instance with a queue of sendmail's, and the commands on it."""

    def __init__(self, instance, **settings):
        self.instance = instance
        self.mqueue = Mqueue(instance.identity, instance.root / "mqueue")
        instance.sections.append(self.mqueue.section(hostname="host.example.org", **settings))
        instance.configure()

    def __call__(self, *arguments, name="sendmail", zone="UTC", **keywords):
        return self.instance.run(program(name), "-C", self.instance.conf, *arguments,
                                 environment=self.instance.environment(TZ=zone), **keywords)

    def mailq(self, *arguments, **keywords):
        return self(*arguments, name="mailq", **keywords)

    def fill(self, queue):
        """The files of a queue of the transcripts."""
        if queue is not None:
            for path in (TRANSCRIPTS / f"{queue}.queue").iterdir():
                self.mqueue.write(path.name, path.read_bytes())

    def ids(self, output):
        """The ids that a listing shows."""
        return re.findall(r"^ *([0-9A-Za-z]{7,})[ *?X-] ", output, re.M)

    def script(self):
        """A program that is sendmail with this configuration, for those that want one."""
        path = self.instance.root / "sendmail"
        path.write_text(f'#!/bin/sh\nexec {program("sendmail")} -C {self.instance.conf} "$@"\n')
        path.chmod(0o755)
        return path

    def stop(self):
        """Ends the master that -bd started."""
        for path in (self.instance.root / "run").glob("*.pid"):
            pid = int(path.read_text().split()[0])
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not path.exists() or not pathlib.Path(f"/proc/{pid}").exists(), 20,
                     "smailer-master to end")
