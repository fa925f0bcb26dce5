"""Dovecot's authentication, for Postfix: passwords, and tokens that an OAuth server vouches for."""

import http.server
import json
import threading
import urllib.parse

from .installed import Installed

CONF = """\
protocols =
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/log
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = mail
ssl = no
auth_failure_delay = 0
auth_verbose = yes
auth_mechanisms = plain login cram-md5 xoauth2 oauthbearer
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {root}/auth {{
    mode = 0666
  }}
}}
"""

OAUTH = """\
introspection_mode = post
introspection_url = http://127.0.0.1:{port}/introspect
active_attribute = active
active_value = true
username_attribute = username
"""


class _Introspection(http.server.BaseHTTPRequestHandler):
    """RFC 7662."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = urllib.parse.parse_qs(body)["token"][0]
        name = self.server.tokens.get(token)
        answer = json.dumps({"active": name is not None, "username": name}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Dovecot(Installed):
    """USERS = {name: password}, TOKENS = {token: name}; SOCKET is for smtpd_sasl_path."""

    def __init__(self, package, users, tokens):
        super().__init__(package)
        self.socket = self.root / "auth"
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Introspection)
        self._server.tokens = tokens
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        (self.root / "conf").write_text(CONF.format(root=self.root))
        (self.root / "oauth").write_text(OAUTH.format(port=self._server.server_port))
        (self.root / "users").write_text(
            "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items()))

    def command(self):
        return ["dovecot", "-F", "-c", self.root / "conf"]

    def ready(self):
        return self.socket.exists()

    def end(self):
        super().end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
