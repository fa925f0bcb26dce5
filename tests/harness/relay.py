"""A well-behaved SMTP server (aiosmtpd) that collects what it gets, and answers as it is told."""

import asyncio
import base64
import dataclasses
import email
import email.policy
import hashlib
import hmac
import re
import time

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from .loop import LoopServer
from .process import wait_for


MECHANISMS = {"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"}


@dataclasses.dataclass
class Mail:
    sender: str
    recipients: list
    content: bytes
    arrived: float  # time.monotonic() at the end of the content
    login: str | None
    encrypted: bool
    mail_options: list

    @property
    def message(self):
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def text(self):
        return self.message.get_content().replace("\r\n", "\n")

    @property
    def subject(self):
        return self.message["Subject"]


class _Session(SMTP):
    """Counts connections."""

    def __init__(self, relay, *arguments, **keywords):
        self._relay = relay
        self._counted = None
        super().__init__(*arguments, **keywords)

    def connection_made(self, transport):
        if self._counted is None:  # a second time after STARTTLS
            self._counted = transport
            self._relay.opened(transport)
            if self._relay.bears is not None and self._relay.open > self._relay.bears:
                self._relay.refused += 1
                transport.write(b"421 4.7.0 too many connections\r\n")
                transport.close()
                return
        super().connection_made(transport)

    def connection_lost(self, error):
        if self._counted is not None:
            self._relay.closed(self._counted)
            self._counted = None
        super().connection_lost(error)



class Relay(LoopServer):
    """ANSWER(stage, mail, address) may return a reply ("450 4.2.0 later") or None for the usual one.

    stage is "mail", "rcpt" or "content"; mail has what is known by then. DELAY is how many seconds
    the content's end takes, or says so for a mail. USERS = {name: password} demands a login,
    TOKENS = {name: {token, ...}} one by token (MECHANISMS: XOAUTH2, OAUTHBEARER), whose refusal is a
    challenge first, unless BLUNT. TLS is "none", "starttls" or
    "smtps", with CERTIFICATE made by harness.tls. Connections over MOST are refused with 421.
    """

    def __init__(self, answer=None, delay=0, users=None, tls="none", certificate=None,
                 mechanisms=("PLAIN", "LOGIN", "CRAM-MD5"), delivered=None, most=None,
                 tokens=None, blunt=False):
        self.answer = answer or (lambda stage, mail, address: None)
        self.delay = delay
        self.users = users
        self.tokens, self.blunt = tokens, blunt
        self.bears, self.refused = most, 0
        self.tls = tls
        self.mechanisms = set(mechanisms)
        self.mails = []
        self.logins = []  # (name, right or not)
        self.shown = []  # tokens, in order
        self.stages = []  # each stage that was reached, in order
        self._delivered = delivered
        self._context = certificate.server_context() if certificate else None
        super().__init__(ssl=self._context if tls == "smtps" else None)

    def connect(self):
        return _Session(
            self, self, hostname="relay.test", enable_SMTPUTF8=True, loop=self._loop,
            tls_context=self._context if self.tls == "starttls" else None,
            require_starttls=self.tls == "starttls",
            authenticator=self._authenticate if self.users or self.tokens else None,
            auth_required=bool(self.users or self.tokens), auth_require_tls=self.tls == "starttls",
            auth_exclude_mechanism=MECHANISMS - self.mechanisms)

    def _judge(self, name, right):
        self.logins.append((name, right))
        return AuthResult(success=right, auth_data=name, handled=right)

    def _authenticate(self, server, session, envelope, mechanism, data):
        if not isinstance(data, LoginPassword):
            return self._judge(str(data), False)
        name, password = data.login.decode(), data.password.decode()
        result = self._judge(name, self.users.get(name) == password)
        return result if result.success else AuthResult(success=False, handled=False)

    async def _judge_token(self, server, form):
        answer = await server.challenge_auth(b"")
        match = re.fullmatch(form, answer) if isinstance(answer, bytes) else None
        name, token = (part.decode() for part in match.groups()) if match else (repr(answer), None)
        self.shown.append(token)
        result = self._judge(name, token in self.tokens.get(name, ()))
        if not result.success and not self.blunt:
            await server.challenge_auth(b'{"status":"401","schemes":"bearer"}')
        return result if result.success else AuthResult(success=False, handled=False)

    async def auth_XOAUTH2(self, server, arguments):
        return await self._judge_token(server, rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01")

    async def auth_OAUTHBEARER(self, server, arguments):  # RFC 7628
        return await self._judge_token(
            server, rb"n,a=([^\x01,]*),(?:\x01[^\x01]*)*\x01auth=Bearer ([^\x01]*)\x01\x01")

    async def auth_CRAM__MD5(self, server, arguments):
        challenge = f"<{time.monotonic_ns()}@relay.test>".encode()
        # aiosmtpd's own challenge_auth() encodes and decodes.
        answer = await server.challenge_auth(challenge)
        if not isinstance(answer, bytes) or b" " not in answer:
            return AuthResult(success=False, handled=False)
        name, digest = answer.decode().rsplit(" ", 1)
        password = self.users.get(name, "").encode()
        right = hmac.compare_digest(digest, hmac.new(password, challenge, hashlib.md5).hexdigest())
        result = self._judge(name, right)
        return result if right else AuthResult(success=False, handled=False)

    def _mail(self, session, envelope, sender=None):
        return Mail(sender if sender is not None else envelope.mail_from, list(envelope.rcpt_tos),
                    envelope.original_content or b"", time.monotonic(), session.auth_data,
                    session.ssl is not None or self.tls == "smtps", list(envelope.mail_options))

    def _ask(self, stage, mail, address):
        self.stages.append(stage)
        return self.answer(stage, mail, address)

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_options = options
        reply = self._ask("mail", self._mail(session, envelope, address), address)
        if reply is None:
            envelope.mail_from = address
            return "250 2.1.0 Ok"
        return reply

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self._ask("rcpt", self._mail(session, envelope), address)
        if reply is None:
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 Ok"
        return reply

    async def handle_DATA(self, server, session, envelope):
        mail = self._mail(session, envelope)
        reply = self._ask("content", mail, None)
        await asyncio.sleep(self.delay(mail) if callable(self.delay) else self.delay)
        if reply is None or reply.startswith("2"):
            mail.arrived = time.monotonic()
            self.mails.append(mail)
            if self._delivered:
                self._delivered(mail)
        return reply or f"250 2.0.0 Ok: queued as {len(self.mails):X}"

    def for_recipient(self, address):
        return [mail for mail in self.mails if address in mail.recipients]

    def wait(self, count=1, limit=15):
        """The mails, once there are COUNT of them."""
        wait_for(lambda: len(self.mails) >= count, limit,
                 lambda: f"{count} mails at the relay (there are {len(self.mails)})")
        return self.mails

    def wait_for_recipient(self, address, limit=15):
        """The first mail to ADDRESS, once it is there."""
        wait_for(lambda: self.for_recipient(address), limit, f"a mail to {address}")
        return self.for_recipient(address)[0]


def plain(name, password):
    """AUTH PLAIN's initial response (RFC 4616)."""
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()
