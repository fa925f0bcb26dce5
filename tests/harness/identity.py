"""As whom smailer runs: as root, with a user for each role, or as one ordinary user."""

import contextlib
import dataclasses
import os
import pwd
import subprocess

# Users that every Debian has. None of them is who runs the tests. pickup and qmgr are the spool
# user's.
ROLE_USERS = {"cleanup": "games", "smtp": "news", "control": "uucp", "sql": "proxy",
              "token": "list"}
SPOOL_USER = "mail"
ORDINARY_USER = "backup"
STRANGER = "irc"


@dataclasses.dataclass(frozen=True)
class Identity:
    name: str  # "root" or "user"
    uid: int
    gid: int
    spool_uid: int
    spool_gid: int

    @property
    def is_root(self):
        return self.uid == 0

    def popen_arguments(self):
        """What Popen needs to run a program so."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def popen(self, command, **arguments):
        return subprocess.Popen(command, **self.popen_arguments(), **arguments)

    def give(self, path):
        """Makes PATH and all below it the spool user's."""
        if os.geteuid() != 0:
            return
        os.chown(path, self.spool_uid, self.spool_gid, follow_symlinks=False)
        for directory, folders, files in os.walk(path):
            for name in folders + files:
                with contextlib.suppress(FileNotFoundError):  # smailer is at work there
                    os.chown(os.path.join(directory, name), self.spool_uid, self.spool_gid,
                             follow_symlinks=False)


def root():
    spool = pwd.getpwnam(SPOOL_USER)
    return Identity("root", 0, 0, spool.pw_uid, spool.pw_gid)


def user():
    entry = pwd.getpwnam(ORDINARY_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Identity("user", entry.pw_uid, entry.pw_gid, entry.pw_uid, entry.pw_gid)


def stranger():
    """Somebody who is neither root, nor the spool user, nor whom smailer runs as."""
    entry = pwd.getpwnam(STRANGER)
    return Identity("stranger", entry.pw_uid, entry.pw_gid, entry.pw_uid, entry.pw_gid)


def available():
    return [root(), user()] if os.geteuid() == 0 else [user()]
