"""An SMTP server that misbehaves: for every stage a table says what it does.

    Scripted({"rcpt": reply("550 5.1.1 no such mailbox"), "content": [close, reply("250 Ok")]})

A list is worked off use by use, over all connections; its last element stays. What the table does
not name is done properly. Stages: greeting, ehlo, helo, starttls, auth, mail, rcpt, data, reading
(354 was said and the first line of the content has come), content, rset, noop, quit, other.
"""

import asyncio
import socket
import struct
import time

from .loop import LoopServer
from .relay import Mail

LIMIT = 64 * 1024 * 1024

REPLIES = {
    "greeting": "220 scripted.test ESMTP", "helo": "250 scripted.test",
    "starttls": "502 5.5.1 no", "auth": "235 2.7.0 Ok", "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok", "data": "354 go on", "reading": None, "content": "250 2.0.0 Ok",
    "rset": "250 2.0.0 Ok", "noop": "250 2.0.0 Ok", "quit": "221 2.0.0 Bye",
    "other": "500 5.5.2 what?",
}


class End(Exception):
    """The connection is over."""


def reply(text):
    """Answers with TEXT; its lines get their CRLF."""
    async def act(session):
        session.say(text)
    act.text = text
    return act


def raw(octets):
    async def act(session):
        session.writer.write(octets)
    return act


async def silence(session):
    """Says nothing, and goes on with the next command."""


async def close(session):
    raise End


async def hang(session):
    await asyncio.Event().wait()


async def stop_reading(session):
    """Until its buffers are full, the client sees nothing of it."""
    session.writer.transport.pause_reading()
    await hang(session)


async def reset(session):
    """RST instead of FIN."""
    raw_socket = session.writer.get_extra_info("socket")
    raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.writer.transport.abort()
    raise End


def after(seconds, action):
    """ACTION, but late."""
    async def act(session):
        await asyncio.sleep(seconds)
        await action(session)
    return act


def both(*actions):
    """One after the other: superfluous replies, a reply and then the end, ..."""
    async def act(session):
        for action in actions:
            await action(session)
    return act


def hanging_in_turn(stages):
    """A table for Scripted: the first connection hangs at the first of STAGES, the next at the next."""
    def at(stage):
        usual = reply(REPLIES[stage]) if stage in REPLIES and REPLIES[stage] else None
        async def act(session):
            if not hasattr(session, "hangs_at"):
                session.hangs_at = stages[session.server.turns % len(stages)]
                session.server.turns += 1
            if session.hangs_at == stage:
                await hang(session)
            await (usual or session.server.usual(stage) or silence)(session)
        act.text = getattr(usual, "text", "")
        return act
    return {stage: at(stage) for stage in ("greeting", *stages)}


garbage = raw(bytes(range(128, 256)) + b"\x1b[2J\r\n")
half = raw(b"250 2.0")
nuls = raw(b"2\x0050 \0Ok\0\r\n")
endless = raw(b"250 " + b"x" * 65536 + b"\r\n")  # 64 KB in a line
many_lines = raw(b"250-more\r\n" * 8000 + b"250 end\r\n")
shutting_down = both(reply("421 4.3.2 shutting down"), close)


class _Connection:
    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.sender, self.recipients = None, []

    def say(self, text):
        lines = text.split("\n")
        self.writer.write("".join(line + "\r\n" for line in lines).encode())

    async def stage(self, stage, mail=None):
        self.server.stages.append(stage)
        action = self.server.action(stage)
        if mail and getattr(action, "text", "").startswith("2"):
            self.server.mails.append(mail)  # before the client hears of it
        if action is not None:
            await action(self)
            await self.writer.drain()
        return getattr(action, "text", "")

    async def line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\n"):
            raise End
        self.server.lines.append(line)
        return line

    async def content(self):
        lines = []
        while True:
            line = await self.line()
            if not lines:
                await self.stage("reading")
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    async def transaction(self, stage, line):
        argument = line.decode(errors="replace").partition(":")[2].strip()
        address = argument.split(" ")[0].strip("<>")
        text = await self.stage(stage)
        if stage == "mail":
            self.sender, self.recipients = address, []
        elif stage == "rcpt" and text.startswith("2"):
            self.recipients.append(address)
        elif stage == "data" and text.startswith("3"):
            content = await self.content()
            mail = Mail(self.sender, self.recipients, content, time.monotonic(), None, False, [])
            await self.stage("content", mail)

    async def serve(self):
        await self.stage("greeting")
        while True:
            line = await self.line()
            stage = line.split()[0].decode(errors="replace").lower() if line.split() else "other"
            stage = stage if stage in REPLIES or stage == "ehlo" else "other"
            await self.transaction(stage, line)
            if stage == "quit":
                raise End


class Scripted(LoopServer):
    def __init__(self, table=None, pipelining=True, extensions=("8BITMIME", "SIZE 33554432"),
                 ssl=None):
        self.table = dict(table or {})
        self.extensions = list(extensions) + (["PIPELINING"] if pipelining else [])
        self.stages, self.lines, self.mails = [], [], []
        self.turns = 0  # of hanging_in_turn
        super().__init__(ssl=ssl)

    def action(self, stage):
        if stage in self.table:
            chosen = self.table[stage]
            if isinstance(chosen, list):
                chosen = chosen.pop(0) if len(chosen) > 1 else chosen[0]
            return chosen
        return self.usual(stage)

    def usual(self, stage):
        if stage == "ehlo":
            names = ["scripted.test", *self.extensions]
            return reply("\n".join(f"250{'-' if name != names[-1] else ' '}{name}"
                                   for name in names))
        return reply(REPLIES[stage]) if REPLIES[stage] else None

    def connect(self):
        reader = asyncio.StreamReader(limit=LIMIT, loop=self._loop)
        return asyncio.StreamReaderProtocol(reader, self._serve, loop=self._loop)

    async def _serve(self, reader, writer):
        self.opened(writer.transport)
        try:
            await _Connection(self, reader, writer).serve()
        except (End, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()
            self.closed(writer.transport)
