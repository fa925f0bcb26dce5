"""Debian's cron from the unpacked package, with one crontab, and sendmail where it looks for it."""

import shutil

from .installed import Installed

# Its crontab, what it notes in /run, and a spool; of this machine's own crontabs it sees none.
ENTER = """\
mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc && mount -t tmpfs tmpfs /etc/cron.d &&
mount --bind "$1/run" /run && mount --bind "$1/spool" /var/spool && exec cron -f -L 0
"""


class Cron(Installed):
    """SENDMAIL is the program that /usr/sbin/sendmail is. It reads the line of its user in CRONTAB."""

    def __init__(self, package, sendmail, crontab):
        super().__init__(package, ["crontab:x:996:996::/nonexistent:/usr/sbin/nologin"])
        programs = self.root / "package/usr/sbin"
        for directory in (programs, *(self.root / name for name in ("etc/cron.d", "run", "spool"))):
            directory.mkdir(parents=True)
        shutil.copy2(self.package / "usr/sbin/cron", programs)
        shutil.copy2(sendmail, programs / "sendmail")
        self.package = self.root / "package"
        for name in ("passwd", "group"):
            shutil.copy2(self.root / name, self.root / "etc")
        (self.root / "etc/crontab").write_text(crontab)
        (self.root / "etc/crontab").chmod(0o644)

    def command(self):
        return ["sh", "-c", ENTER, "enter", self.root]

    def ready(self):
        return (self.root / "run/crond.reboot").exists()
