"""An asyncio server in a thread, on a port of its own that can be closed and opened again."""

import asyncio
import socket
import threading


class LoopServer:
    """Subclasses say in connect() what speaks on a connection (an asyncio protocol)."""

    def __init__(self, ssl=None):
        self._ssl = ssl
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = None
        self._transports = set()
        self._socket = self._reserve(0)
        self.host, self.port = self._socket.getsockname()
        self.connections = 0  # ever
        self.open = 0  # now
        self.most = 0  # at once, at the most
        self._thread.start()

    @staticmethod
    def _reserve(port):
        """A bound socket that does not listen: the port is ours, and connections are refused."""
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", port))
        return reserved

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def connect(self):
        raise NotImplementedError

    def opened(self, transport):
        self._transports.add(transport)
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)

    def closed(self, transport):
        self._transports.discard(transport)
        self.open -= 1

    def run(self, coroutine, limit=10):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(limit)

    def up(self):
        """Accepts connections. Returns itself."""
        async def listen():
            self._server = await self._loop.create_server(
                self.connect, sock=self._socket, ssl=self._ssl, backlog=1000)
        if self._server is None:
            self.run(listen())
        return self

    def listen_too(self, host):
        """Accepts connections to the same port of another address, until its end."""
        async def listen():
            await self._loop.create_server(self.connect, host=host, port=self.port)
        self.run(listen())

    def down(self):
        """Refuses connections and resets those that are open."""
        async def close():
            self._server.close()
            for transport in list(self._transports):
                if not transport.is_closing():
                    transport.abort()
        if self._server is not None:
            self.run(close())
            self._server = None
            self._socket = self._reserve(self.port)

    def end(self):
        async def cancel():
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        self.down()
        self.run(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._socket.close()

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.end()
