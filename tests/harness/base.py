"""One base's directory queue, as an application and an administrator see it."""

import html
import os
import pathlib
import re
import stat
import time as clock

STATES = ("", "sent", "defer", "drop")


def item(sender="foo@example.com", address="boo@hisorhermail.com", topic="Upomnienie",
         content="Prosimy o zwrot.", time="17.10.2011 00:00:11"):
    fields = {"time": time, "sender": sender, "address": address, "topic": topic,
              "content": content}
    lines = "".join(
        f"\t\t<fld_{name}>{html.escape(text, quote=False)}</fld_{name}>\n"
        for name, text in fields.items() if text is not None)
    return f"\t<item>\n{lines}\t</item>\n"


def document(*items, encoding="UTF-8", declared=None):
    """The octets of a list of ITEMS in ENCODING."""
    text = f'<?xml version="1.0" encoding="{declared or encoding}"?>\n<list>\n'
    return (text + "".join(items) + "</list>\n").encode(encoding)


class Base:
    def __init__(self, identity, sid, directory):
        self.identity = identity
        self.sid = sid
        self.directory = pathlib.Path(directory)
        self._count = 0

    def create(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        return self

    def new_name(self):
        self._count += 1
        return f"mail-{self._count:06}.xml"

    def put(self, content, name=None, mtime=None, owner=None):
        """Puts octets in as a well-behaved application does: all of them at once. Returns the name."""
        name = name or self.new_name()
        hidden = self.directory / f".{clock.monotonic_ns()}.putting"
        hidden.write_bytes(content)
        if os.geteuid() == 0:
            os.chown(hidden, *(owner or (self.identity.spool_uid, self.identity.spool_gid)))
        if mtime is not None:
            os.utime(hidden, ns=(mtime, mtime))
        os.rename(hidden, os.path.join(os.fsencode(self.directory), os.fsencode(name)))
        return name

    def drop(self, name=None, encoding="UTF-8", declared=None, mtime=None, **fields):
        """Drops a list of one item; FIELDS are item()'s. Returns the file's name."""
        return self.put(document(item(**fields), encoding=encoding, declared=declared), name, mtime)

    def drop_many(self, count, prefix="many", **fields):
        """Prepares COUNT files under hidden names, then makes them appear at once."""
        names = self.prepare_many(count, prefix, **fields)
        self.appear(names)
        return names

    def prepare_many(self, count, prefix="many", **fields):
        """The names under which appear() shows the files."""
        content = document(item(**fields))
        names = [f"{prefix}-{number:06}.xml" for number in range(count)]
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                file = os.open("." + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644,
                               dir_fd=directory)
                os.write(file, content)
                if os.geteuid() == 0:
                    os.fchown(file, self.identity.spool_uid, self.identity.spool_gid)
                os.close(file)
        finally:
            os.close(directory)
        return names

    def appear(self, names):
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                os.rename("." + name, name, src_dir_fd=directory, dst_dir_fd=directory)
        finally:
            os.close(directory)

    def path(self, state, name=""):
        return self.directory / state / name

    def files(self, state):
        """The mails in a state: regular files whose name has no leading dot, sorted."""
        try:
            with os.scandir(self.path(state)) as entries:
                return sorted(entry.name for entry in entries if not entry.name.startswith(".")
                              and not entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def states(self):
        """{"": [...], "sent": [...], "defer": [...], "drop": [...]}"""
        return {state: self.files(state) for state in STATES}

    def where(self, name):
        """The states in which a file of that name is."""
        return [state for state in STATES if os.path.lexists(self.path(state, name))]

    def records(self, state):
        """{HEX16: text} of the records beside the mails of a state."""
        directory = self.path(state, ".state")
        result = {}
        for name in os.listdir(directory) if directory.is_dir() else []:
            if re.fullmatch(r"[0-9A-F]{16}", name):
                try:
                    result[name] = (directory / name).read_text(errors="replace")
                except FileNotFoundError:
                    pass
        return result

    def record(self, state, name):
        """The text of the one record that names the file."""
        found = [text for text in self.records(state).values() if name in text]
        assert len(found) == 1, f"{len(found)} records name {name}: {self.records(state)}"
        return found[0]

    def leftovers(self):
        """What smailer should not leave: hidden directories and files, but for .state's records."""
        found = []
        for state in STATES:
            if not self.path(state).is_dir():
                continue
            for entry in os.listdir(self.path(state)):
                if entry.startswith(".") and entry != ".state":
                    found.append(os.path.join(state, entry))
            inner = self.path(state, ".state")
            if inner.is_dir():
                found += [os.path.join(state, ".state", entry) for entry in os.listdir(inner)
                          if not re.fullmatch(r"[0-9A-F]{16}", entry)]
        return sorted(found)

    def owner_and_mode(self, state):
        entry = os.stat(self.path(state))
        return entry.st_uid, entry.st_gid, stat.S_IMODE(entry.st_mode)
