"""A fast relay that only counts: who was accepted when, kept where no crash of smailer's reaches it.

A mail is known by its recipient's local part, and that also says what becomes of it: what ends in
".later" is refused for now at its first try, what ends in ".never" for good. A mail to anybody else
than these is a notice, and known by the mail that it tells of.
"""

import asyncio
import collections
import os
import re
import threading
import time

from .loop import LoopServer

KNOWN = re.compile(rb"[a-z]+-[0-9]+(?:\.[0-9]+)?\.(?:ok|later|never)")
EXTENSIONS = b"250-recorder.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n"


class Recorder(LoopServer):
    """PATH: where it writes each mail down before it says so; DELAY: seconds until it does."""

    def __init__(self, path, delay=0.0):
        self.delay = delay
        self.accepted = collections.defaultdict(list)  # {mail: [monotonic time, ...]}
        self.tried = collections.Counter()
        self.damaged = []  # mails whose content was not the one that was handed in
        self.total = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._thaw = None
        self.epoch = 0  # counts the cuts
        super().__init__()

    def connect(self):
        return _Session(self)

    def accept(self, mail, content):
        """Writes down that MAIL was accepted."""
        os.write(self._file, mail + b"\n")
        name = mail.decode()
        if mail.removeprefix(b"notice:") not in content:
            self.damaged.append(name)
        self.accepted[name].append(time.monotonic())
        self.total += 1

    def refuse(self, mail):
        """The reply to RCPT, None where it is accepted."""
        if mail.endswith(b".never"):
            return b"550 5.1.1 no such mailbox\r\n"
        if mail.endswith(b".later"):
            self.tried[mail] += 1
            if self.tried[mail] == 1:
                return b"450 4.2.0 later\r\n"
        return None

    def freeze(self):
        """From now on it hears and says nothing, until thaw(): the instant of a power cut."""
        frozen, self._thaw = threading.Event(), threading.Event()
        thaw = self._thaw

        def stand_still():
            self.epoch += 1  # whose connection is older is dead, whatever it has said
            frozen.set()
            thaw.wait()
        self._loop.call_soon_threadsafe(stand_still)
        frozen.wait()

    def thaw(self):
        """Goes on. What came in the meantime belongs to connections that are cut."""
        async def cut():
            for transport in list(self._transports):
                transport.abort()
        self._cut = asyncio.run_coroutine_threadsafe(cut(), self._loop)
        self._thaw.set()
        self._cut.result(10)

    def end(self):
        super().end()
        os.close(self._file)


class _Session(asyncio.Protocol):
    def __init__(self, relay):
        self.relay = relay
        self.epoch = relay.epoch
        self.buffer = bytearray()
        self.in_content = False
        self.mails = []  # of this transaction
        self.waiting = False  # for the time that an acceptance takes

    def connection_made(self, transport):
        self.transport = transport
        self.relay.opened(transport)
        transport.write(b"220 recorder.test ESMTP\r\n")

    def connection_lost(self, error):
        self.relay.closed(self.transport)

    def data_received(self, data):
        self.buffer += data
        self._work()

    def _work(self):
        while not self.waiting and not self._is_dead():
            if self.in_content:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    return
                content = bytes(self.buffer[:end])
                del self.buffer[: end + 5]
                self._end_content(content)
            else:
                end = self.buffer.find(b"\r\n")
                if end < 0:
                    return
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 2]
                self._command(line)

    def _command(self, line):
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.transport.write(EXTENSIONS)
        elif verb == b"MAIL":
            self.mails = []
            self.transport.write(b"250 2.1.0 Ok\r\n")
        elif verb == b"RCPT":
            self._recipient(line)
        elif verb == b"DATA" and self.mails:
            self.in_content = True
            self.transport.write(b"354 go on\r\n")
        elif verb == b"DATA":
            self.transport.write(b"554 5.5.1 no recipients\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 2.0.0 Bye\r\n")
            self.transport.close()
        else:
            self.mails = [] if verb == b"RSET" else self.mails
            self.transport.write(b"250 2.0.0 Ok\r\n")

    def _recipient(self, line):
        found = KNOWN.search(line)
        mail = found.group() if found else b""
        reply = self.relay.refuse(mail)
        if reply is None:
            self.mails.append(mail)
        self.transport.write(reply or b"250 2.1.5 Ok\r\n")

    def _end_content(self, content):
        self.in_content = False
        if self.mails == [b""]:
            self.mails = [b"notice:" + mail for mail in set(KNOWN.findall(content))]
        if self.relay.delay == 0:
            self._accept(content)
            return
        self.waiting = True
        self.relay._loop.call_later(self.relay.delay, self._accept_later, content)

    def _accept_later(self, content):
        self.waiting = False
        if not self._is_dead():
            self._accept(content)
            self._work()

    def _is_dead(self):
        return self.transport.is_closing() or self.epoch != self.relay.epoch

    def _accept(self, content):
        for mail in self.mails:
            self.relay.accept(mail, content)
        self.mails = []
        self.transport.write(b"250 2.0.0 Ok\r\n")
