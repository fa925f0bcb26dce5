"""The line between smailer and its database, which can be cut where it hurts."""

import asyncio

from .loop import LoopServer


class _Frames:
    """Takes PostgreSQL's messages out of a stream; a client's first one has no type."""

    def __init__(self, has_startup):
        self._octets = b""
        self._startup = has_startup

    def feed(self, octets):
        self._octets += octets
        found = []
        while True:
            head = 0 if self._startup else 1
            if len(self._octets) < head + 4:
                return found
            size = head + int.from_bytes(self._octets[head:head + 4], "big")
            if len(self._octets) < size:
                return found
            found.append((self._octets[:head], self._octets[head + 4:size]))
            self._octets, self._startup = self._octets[size:], False


class _End(asyncio.Protocol):
    """What comes from the server."""

    def __init__(self, client):
        self._client = client

    def data_received(self, octets):
        self._client.from_server(octets)

    def connection_lost(self, error):
        if self._client.transport is not None:
            self._client.transport.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, wire, loop):
        self._wire, self._loop = wire, loop
        self._questions, self._answers = _Frames(True), _Frames(False)
        self._asked = self._answered = 0  # transactions
        self._cut_at = None  # the answer to which transaction is lost
        self._server, self._waiting = None, b""
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self._wire.opened(transport)
        self._loop.create_task(self._reach())

    async def _reach(self):
        self._server, _ = await self._loop.create_unix_connection(lambda: _End(self), self._wire.path)
        self._server.write(self._waiting)

    def data_received(self, octets):
        for kind, body in self._questions.feed(octets):
            self._asked += kind == b"S"
            if self._cut_at is None and self._wire.lost and self._wire.lost[0] in body:
                self._wire.lost.pop(0)
                self._cut_at = self._asked + 1
            if self._wire.late and self._wire.late[0] in body:
                self._wire.late.pop(0)
                self._delay(octets)
                return
        if self._server is None:
            self._waiting += octets
        else:
            self._server.write(octets)

    def _delay(self, octets):
        server, self._server = self._server, None
        self._wire.delayed.append((server, octets))
        self._wire.cuts += 1
        self.transport.abort()

    def from_server(self, octets):
        self._answered += sum(kind == b"Z" for kind, _ in self._answers.feed(octets))
        # The first one says that the connection is ready.
        if self._cut_at is None or self._answered <= self._cut_at - 1:
            self.transport.write(octets)
        elif self._answered > self._cut_at:
            self._wire.cuts += 1
            self.transport.abort()

    def connection_lost(self, error):
        self._wire.closed(self.transport)
        if self._server is not None:
            self._server.abort()


class Wire(LoopServer):
    """Leads to DATABASE over TCP. Each element of LOST is a piece of a statement: when it goes by,
    it is carried out, but its answer is lost, and the connection with it. What has an element of LATE
    is not carried out before deliver(), when the connection was lost long ago."""

    def __init__(self, database):
        server = database.server
        self.path = str(server.root / f".s.PGSQL.{server.port}")
        self.database = database
        self.lost, self.late, self.delayed = [], [], []
        self.cuts = 0
        super().__init__()

    def connect(self):
        return _Connection(self, self._loop)

    def deliver(self):
        async def write():
            for server, octets in self.delayed:
                server.write(octets)
        self.run(write())

    def conninfo(self, **more):
        return self.database.conninfo(**{"host": self.host, "port": self.port, "sslmode": "disable",
                                         **more})
