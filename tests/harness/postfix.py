"""Postfix from the unpacked package: its own master and smtpd, on a temporary root. Needs root."""

import grp
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from . import maildir, process
from .installed import free_port

OWNER, GROUP, MAILBOX_OWNER = "bin", "staff", "daemon"
QUEUES = ("active bounce corrupt defer deferred flush hold incoming maildrop pid private public "
          "saved trace").split()

MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
proxymap  unix  - - n - - proxymap
anvil     unix  - - n - 1 anvil
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
tlsmgr    unix  - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """PACKAGE is the root of its files. Further keywords are parameters of its main.cf.

    Mails are put into one maildir; with default_transport = discard they are only counted."""

    host, tls = "127.0.0.1", "none"

    def __init__(self, package, **parameters):
        self.package = pathlib.Path(package)
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="smailer-postfix-"))
        self.root.chmod(0o755)
        self.port = free_port()
        self.process = None
        self._make_directories()
        libraries = f"{self.package}/usr/lib/postfix:{self.package}/usr/lib/x86_64-linux-gnu"
        self.environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": libraries, "LC_ALL": "C"}
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.root / "queue",
            "data_directory": self.root / "data", "maillog_file": self.root / "log",
            "maillog_file_prefixes": self.root, "mail_owner": OWNER, "setgid_group": GROUP,
            "daemon_directory": self.package / "usr/lib/postfix/sbin",
            "command_directory": self.package / "usr/sbin",
            "shlib_directory": self.package / "usr/lib/postfix",
            "meta_directory": self.root / "conf", "myhostname": "postfix.test",
            "import_environment": f"MAIL_CONFIG MAIL_LOGTAG LD_LIBRARY_PATH={libraries} TZ LANG=C",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "mydestination": "",
            "alias_maps": "", "local_recipient_maps": "", "smtputf8_enable": "yes",
            "default_transport": "virtual", "virtual_mailbox_base": self.root / "mail",
            "virtual_mailbox_maps": "static:box/", "virtual_mailbox_domains": "static:all",
            "virtual_minimum_uid": "1", "smtpd_peername_lookup": "no",
            "virtual_uid_maps": f"static:{pwd.getpwnam(MAILBOX_OWNER).pw_uid}",
            "virtual_gid_maps": f"static:{pwd.getpwnam(MAILBOX_OWNER).pw_gid}",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_client_connection_count_limit": "0", "message_size_limit": "33554432",
            **parameters}
        (self.root / "conf/main.cf").write_text(
            "".join(f"{key} = {value}\n" for key, value in settings.items()))
        (self.root / "conf/master.cf").write_text(MASTER.format(port=self.port))
        for path in (self.root / "conf").iterdir():
            os.utime(path, (0, 0))  # Postfix waits for files of the last second to be complete

    def _make_directories(self):
        owner, group = pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid
        mailbox_owner = pwd.getpwnam(MAILBOX_OWNER)
        for name in ("conf", "queue", "queue/pid", "data", "mail"):
            (self.root / name).mkdir()
        for name in QUEUES:
            path = self.root / "queue" / name
            path.mkdir(exist_ok=True)
            if name != "pid":
                os.chown(path, owner, group if name in ("maildrop", "public") else -1)
        os.chown(self.root / "data", owner, -1)
        os.chown(self.root / "mail", mailbox_owner.pw_uid, mailbox_owner.pw_gid)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _listens(self):
        assert self.process.poll() is None, f"postfix ended: {self.log()}{self._output()}"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
            try:
                return probe.recv(100).startswith(b"220 ")
            except TimeoutError:
                return False

    def _output(self):
        return (self.root / "output").read_text(errors="replace")

    def up(self):
        with open(self.root / "output", "ab") as output:
            self.process = subprocess.Popen(
                [self.package / "usr/lib/postfix/sbin/master", "-c", self.root / "conf"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        try:
            process.wait_for(self._listens, 15, lambda: f"postfix to listen: {self.log()}")
        except BaseException:
            self.end()
            raise
        return self

    def files(self):
        return maildir.files(self.root / "mail/box")

    @property
    def mails(self):
        """What is in the maildir, as messages (X-Original-To, Delivered-To name the recipient)."""
        return maildir.read(self.root / "mail/box")

    def wait(self, count=1, limit=20):
        process.wait_for(lambda: len(self.files()) >= count, limit,
                         lambda: f"{count} mails in the maildir ({len(self.files())}): {self.log()}")
        return self.mails

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            below = process.descendants(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            process.wait_for(lambda: not any(process.alive(each.pid) for each in below), 10,
                             "postfix's programs to end")
            for each in below:
                process.reap(each.pid)

    def end(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.end()
