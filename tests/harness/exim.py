"""Exim from the unpacked package, with a maildir for everybody."""

import os
import pwd
import shutil
import socket

from . import maildir, process
from .installed import Installed, free_port

USER = "bin"

CONF = """\
exim_user = {user}
exim_group = {user}
never_users =
spool_directory = {root}/spool
log_file_path = {root}/%slog
pid_file_path = {root}/pid
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
smtp_accept_max = 200
deliver_drop_privilege = true
queue_run_in_order = true
acl_smtp_rcpt = rcpt
acl_smtp_data = data
smtp_receive_timeout = 1m
prdr_enable = false
{settings}
begin acl
rcpt:
{rcpt}
  accept
data:
{data}
  accept
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = {root}/mail
  maildir_format
  delivery_date_add
  envelope_to_add
begin retry
* * F,1h,1m
begin authenticators
{authenticators}
"""

PASSWORDS = """\
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{name}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = User Name : Password
  server_condition = ${{if and {{{{eq{{$auth1}}{{{name}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


class Exim(Installed):
    """RCPT and DATA are verbs of those ACLs, LOGIN a name and a password; further keywords are main
    options."""

    host, tls = "127.0.0.1", "none"

    def __init__(self, package, rcpt="", data="", login=None, certificate=None, **settings):
        user = pwd.getpwnam(USER)
        super().__init__(package, [f"Debian-exim:x:{user.pw_uid}:{user.pw_gid}::/:/usr/sbin/nologin"])
        self.port = free_port()
        if certificate:
            self.tls = "starttls"
            settings = {"tls_advertise_hosts": "*", "tls_privatekey": self.root / "key",
                        "tls_certificate": certificate.chain, **settings}
            shutil.copy(certificate.key, self.root / "key")
            os.chown(self.root / "key", user.pw_uid, user.pw_gid)
        else:
            settings = {"tls_advertise_hosts": "", **settings}
        (self.root / "conf").write_text(CONF.format(
            root=self.root, port=self.port, user=USER, rcpt=rcpt, data=data,
            authenticators=PASSWORDS.format(name=login[0], password=login[1]) if login else "",
            settings="".join(f"{key} = {value}\n" for key, value in settings.items())))
        for name in ("spool", "mail"):
            (self.root / name).mkdir()
            os.chown(self.root / name, user.pw_uid, user.pw_gid)
        os.chown(self.root, user.pw_uid, user.pw_gid)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.root.glob("*log"))

    def command(self):
        return ["exim4", "-C", self.root / "conf", "-bdf", "-q10s"]

    def ready(self):
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def mails(self):
        return maildir.read(self.root / "mail")

    def wait(self, count=1, limit=20):
        process.wait_for(lambda: len(self.mails) >= count, limit,
                         lambda: f"{count} mails in the maildir ({len(self.mails)}): {self.log()}")
        return self.mails
