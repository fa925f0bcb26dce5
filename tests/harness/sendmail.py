"""Real sendmail from the unpacked package, for one queue and one relay."""

import os
import pathlib
import shutil
import subprocess

from .process import PATIENCE

CONFIGURATION = """\
V10
Dj{host}
Cwlocalhost
DnMAILER-DAEMON
O QueueDirectory={queue}
O DeliveryMode=queueonly
O SuperSafe=True
O MinQueueAge=0
O QueueLA=10000
O RefuseLA=10000
O Timeout.queuereturn=5d
O Timeout.queuewarn=4h
O TempFileMode=0600
O DontBlameSendmail=GroupWritableDirPathSafe
O ServiceSwitchFile={root}/service.switch
O PidFile={root}/pid
O HelpFile=/dev/null
O StatusFile=/dev/null
O DontProbeInterfaces=True
Troot

H?P?Return-Path: <$g>
HReceived: by $j id $i; $b
H?D?Date: $a
H?F?From: $g
H?M?Message-Id: <$t.$i@$j>

Scanonify=3
R$@\t\t$@ <@>
R$*<>$*\t$@ <@>
R$*<$*>$*\t$2

Sfinal=4
R<@>\t\t$@

Sparse=0
R$*\t\t$#smtp $@[127.0.0.1] $: $1

Mlocal,\tP=[IPC], F=lsDFMAw5:/|@qPn9, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP [127.0.0.1] {port}
Mprog,\tP=[IPC], F=lsDFMAw5:/|@qPn9, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP [127.0.0.1] {port}
Msmtp,\tP=[IPC], F=mDFMuX, E=\\r\\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h {port}
"""

# Where the name of the host is not a whole one, sendmail waits for a minute before it says so.
SHIM = """\
#include <stddef.h>
#include <string.h>
int gethostname(char *name, size_t size) { strncpy(name, "mail.example.org", size); return 0; }
"""


class Sendmail:
    """PACKAGE is the root of its files; it runs as whom the queue belongs to."""

    def __init__(self, package, root, mqueue, port):
        self.identity = mqueue.identity
        self.root = pathlib.Path(root)
        self.root.mkdir()
        self.libraries = pathlib.Path(package) / "usr/lib/x86_64-linux-gnu"
        # A copy, for the package's has another group's rights.
        self.program = self.root / "sendmail"
        shutil.copyfile(pathlib.Path(package) / "usr/libexec/sendmail/sendmail", self.program)
        self.program.chmod(0o755)
        (self.root / "sendmail.cf").write_text(CONFIGURATION.format(
            host="mail.example.org", queue=mqueue.directory, root=self.root, port=port))
        (self.root / "service.switch").write_text("hosts\tfiles\naliases\tfiles\npasswd\tfiles\n")
        (self.root / "shim.c").write_text(SHIM)
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", "shim.so", "shim.c"],
                       cwd=self.root, check=True)
        mqueue.identity.give(self.root)

    def popen(self, *arguments, **keywords):
        who = ({"user": self.identity.spool_uid, "group": self.identity.spool_gid,
                "extra_groups": []} if os.geteuid() == 0 else {})
        environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "LD_PRELOAD": self.root / "shim.so",
                       "LD_LIBRARY_PATH": self.libraries}
        return subprocess.Popen([self.program, f"-C{self.root}/sendmail.cf", *arguments],
                                cwd=self.root, env=environment, text=True, errors="surrogateescape",
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, **who, **keywords)

    def run(self, *arguments, input="", limit=60):
        """Runs it to its end; returns what it said."""
        process = self.popen(*arguments)
        output, _ = process.communicate(input, timeout=limit * PATIENCE)
        return output
