"""The kinds of queue, each as the applications that hand mails in see it, and where the mails end.

A mail's name says what becomes of it at the recorder (see harness.recorder). put() hands a batch in
and returns the names of those that are smailer's from then on; ends() says where each mail is:
SENT, DROPPED, or another word for a place in which it does not stay. More than one word: it is in
two places. forget() removes what is finished, as an administrator does.
"""

import contextlib
import os
import re

from harness import postgresql
from harness.base import document, item
from harness.mqueue import Mqueue
from harness.smailer import program

SENDER = "foo@example.com"
SENT, DROPPED = "sent", "dropped"
PLACES = {"": "waiting", "sent": SENT, "defer": "deferred", "drop": DROPPED}
NAME = re.compile(r"[a-z]+-\d+(?:\.\d{4})?\.(?:ok|later|never)")


def address(mail):
    return f"{mail}@example.org"


def expected(mail):
    """Where MAIL ends."""
    return DROPPED if mail.endswith(".never") else SENT


class Queue:
    """What the kinds have in common."""

    def go_on(self, world):
        """Hands in what is left of the batch while something is broken; those that were taken."""
        return []

    def leftovers(self):
        """What smailer has yet to clear away, beside the mails."""
        return []

    def forget(self, names):
        pass


class Spool(Queue):
    """One base of a directory queue: single files, and a list whose mails come of it."""

    kind = "spool"

    def __init__(self, world):
        self.directory = world.directory / "sowa1/alfa/var/spool/mail"

    def section(self, world):
        return (f'spool sowa1 {{\n    root = "{world.directory / "sowa1"}"\n'
                f'    path = "var/spool/mail"\n}}\n')

    def create(self, world):
        self.base = world.base_at("alfa", self.directory)
        world.instance.identity.give(world.directory / "sowa1")

    @staticmethod
    def _item(mail):
        return item(sender=SENDER, address=address(mail), topic=mail, content=f"This is {mail}.")

    def put(self, world, names):
        """The first four, all of one fate, become a list; the others a file each."""
        listed = [name for name in names if name.endswith(".ok")][:4]
        number = re.search(r"\d+", listed[0]).group() if len(listed) == 4 else None
        given = []
        if number:
            given = [f"list-{number}.{at:04}.ok" for at in range(1, 5)]
            self.base.put(document(*map(self._item, given)), f"list-{number}")
        for name in names:
            if not number or name not in listed:
                self.base.put(document(self._item(name)), name)
                given.append(name)
        return given

    def ends(self, names):
        places = {name: [] for name in names}
        for state, word in PLACES.items():
            for file in self.base.files(state):
                # The list itself is a place of each of its mails; a mail of it has its own file.
                for name in self._mails_of(file, names):
                    places[name].append(word)
        return places

    @staticmethod
    def _mails_of(file, names):
        if re.fullmatch(r"list-\d+", file):
            return [name for name in names if name.startswith(file + ".")]
        name = file if file in names else f"{file}.ok"
        return [name] if name in names else []

    def leftovers(self):
        """A record that was never finished is swept when it is a minute old."""
        return [path for path in self.base.leftovers() if "/.state/" not in f"/{path}"]

    def forget(self, names):
        for state in ("sent", "drop"):
            for file in self.base.files(state):
                if self._mails_of(file, names):
                    self.base.path(state, file).unlink()
        for state in ("drop", "defer"):
            for record in self.base.records(state):
                with contextlib.suppress(FileNotFoundError):  # smailer sweeps, too
                    self.base.path(state, f".state/{record}").unlink()


class Jobs(Queue):
    """A queue of sendmail's: a job is gone when it is done. Who cannot be reached, a notice tells."""

    kind = "mqueue"

    def __init__(self, world):
        self.directory = world.directory / "mqueue"
        self._count = 0

    def section(self, world):
        return f'mqueue sendmail {{\n    directory = "{self.directory}"\n    interval = "1s"\n}}\n'

    def create(self, world):
        self.mqueue = Mqueue(world.instance.identity, self.directory)
        self._jobs = {}

    def put(self, world, names):
        """Jobs of one and of two recipients."""
        for pair in zip(names[::3], names[1::3], strict=False):
            self._put(list(pair))
        for name in names[2::3]:
            self._put([name])
        if len(names) % 3 == 1:
            self._put([names[-1]])
        return list(names)

    def _put(self, names):
        self._count += 1
        id = self.mqueue.put([address(name) for name in names], sender=SENDER, body="".join(
            f"This is {name}.\n" for name in names), id=f"6AM50KDN{self._count:06}")
        self._jobs.update(dict.fromkeys(names, id))

    def _text(self, file):
        try:
            return self.mqueue.text(file)
        except FileNotFoundError:
            return ""

    def ends(self, names):
        """What is in no job any more is done: sent, or a notice says that it cannot be."""
        places = {name: [] for name in names}
        for file in self.mqueue.names():
            if file[:2] in ("qf", "hf", "Qf"):
                for line in self._text(file).splitlines():
                    found = NAME.search(line)
                    if line.startswith("R") and found and found.group() in places:
                        places[found.group()].append("waiting" if file[0] == "q" else "held")
        return {name: found or [expected(name)] for name, found in places.items()}

    def forget(self, names):
        """A death may leave a df, tf or xf without its qf: they are no mail, and in nobody's way."""
        for name in self.mqueue.names():
            if name[:2] in ("df", "tf", "xf"):
                (self.directory / name).unlink(missing_ok=True)


class Submission(Jobs):
    """What sendmail took with exit status 0 is smailer's, whatever dies meanwhile."""

    kind = "sendmail"

    def put(self, world, names):
        """Half of them now; the others while things die, by go_on()."""
        half = len(names) // 2
        self._later = names[half:]
        return self._submit(world, names[:half])

    def go_on(self, world):
        return self._submit(world, self._later)

    def _submit(self, world, names):
        with open(world.instance.root / "output", "ab") as log:
            running = [(name, world.instance.popen(
                program("sendmail"), "-C", self._configuration(world), "-oi", "-f", SENDER,
                address(name), stdin=open(self._message(world, name), "rb"), stdout=log,
                stderr=log)) for name in names]
        return [name for name, process in running if process.wait(120) == 0]

    def _configuration(self, world):
        return world.instance.conf

    def _message(self, world, name):
        path = world.instance.root / "message"
        path.write_text(f"Subject: {name}\n\nThis is {name}.\n")
        return path


class Drop(Submission):
    """The same where sendmail does not reach control: it leaves the message in the drop directory."""

    kind = "maildrop"

    def create(self, world):
        super().create(world)
        self._offline = world.instance.root / "offline"
        self._offline.mkdir(mode=0o755)
        (self._offline / "main.cf").write_text(
            f'run_directory = "{world.instance.root / "nowhere"}"\n'
            f'state_directory = "{world.instance.root / "state"}"\n')

    def _configuration(self, world):
        return self._offline


class Rows(Queue):
    """A table; its server is not harmed."""

    kind = "sql"
    STATES = {"": "waiting", "S": SENT, "d": "deferred", "D": DROPPED}

    def __init__(self, world):
        server = postgresql.PostgreSQL().start()
        world.at_end(server.end)
        self.database = server.database("crash")
        self.table = self.database.table()

    def section(self, world):
        return self.table.section(lease="5s")

    def create(self, world):
        world.instance.cli_ok("--sid", "biblioteka", "init")

    def put(self, world, names):
        values = ", ".join(
            f"(now(), '{SENDER}', '{address(name)}', '{name}', 'This is {name}.')"
            for name in names)
        self.database.sql("INSERT INTO tbl_mails (fld_time, fld_sender, fld_address, fld_topic,"
                        f" fld_content) VALUES {values}")
        return list(names)

    def ends(self, names):
        places = {name: [] for name in names}
        for name, state in self.database.sql(
                "SELECT fld_topic, coalesce(fld_status, '') FROM tbl_mails"):
            if name in places:
                places[name].append(self.STATES.get(state, state))
        return places

    def leftovers(self):
        rows = self.database.sql("SELECT fld_id FROM tbl_mails t, tbl_mails_smailer o"
                               " WHERE o.key::text = t.fld_id::text AND t.fld_status = 'S'")
        return [row[0] for row in rows]

    def forget(self, names):
        listed = ", ".join(f"'{name}'" for name in names)
        self.database.sql(
            f"WITH gone AS (DELETE FROM tbl_mails WHERE fld_topic IN ({listed}) RETURNING fld_id)"
            " DELETE FROM tbl_mails_smailer WHERE key::text IN (SELECT fld_id::text FROM gone)")


KINDS = {each.kind: each for each in (Spool, Jobs, Submission, Drop, Rows)}
