"""From the close of a file in an idle queue to the relay's 250."""

import multiprocessing
import selectors
import socket
import time

import measure
import systems

MAILS = 51
COLD_MAILS = 7
IDLE_LIMIT = 8  # smailer gives up an idle connection after 5 s


class Relay:
    """A process of its own, so that nothing but the relay's work delays its answers. It tells when it
    took a mail, and when its last connection ended."""

    def __init__(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.told, telling = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=_serve, args=(listener, telling), daemon=True)
        self.process.start()
        listener.close()

    def wait_for(self, what, limit):
        """The time at which it told WHAT."""
        while self.told.poll(limit):
            said, when = self.told.recv()
            if said == what:
                return when
        raise AssertionError(f"not within {limit} s: {what}")

    def end(self):
        self.process.terminate()
        self.process.join()


class _Connection:
    def __init__(self, connection, telling):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"220 relay\r\n")
        self.connection, self.telling = connection, telling
        self.rest, self.in_content = b"", False

    def answer(self, line):
        if self.in_content:
            self.in_content = line != b"."
            return b"" if self.in_content else b"250 2.0.0 Ok\r\n"
        if line.startswith(b"EHLO"):
            return b"250-relay\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"
        self.in_content = line.startswith(b"DATA")
        return b"354 go\r\n" if self.in_content else b"250 2.0.0 Ok\r\n"

    def take(self):
        """False at the end."""
        try:
            octets = self.connection.recv(65536)
        except ConnectionResetError:
            octets = b""
        *lines, self.rest = (self.rest + octets).split(b"\r\n")
        began = self.in_content
        answers = b"".join(map(self.answer, lines))
        if answers:
            self.connection.sendall(answers)
        if began and not self.in_content:
            self.telling.send(("taken", time.monotonic()))
        return bool(octets)


def _serve(listener, telling):
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                connection = listener.accept()[0]
                selector.register(connection, selectors.EVENT_READ,
                                  _Connection(connection, telling))
            elif not key.data.take():
                selector.unregister(key.fileobj)
                key.fileobj.close()
                if len(selector.get_map()) == 1:
                    telling.send(("idle", time.monotonic()))


def _send_one(system, relay, number):
    base = system.smailer.base
    hidden, name = base.directory / ".new", base.directory / f"mail-{number}.xml"
    hidden.write_bytes(systems.content())
    system.smailer.identity.give(hidden)
    began = time.monotonic()
    hidden.rename(name)
    return (relay.wait_for("taken", 10) - began) * 1000


def measure_median():
    """(median with a connection open, median without), in ms."""
    relay = Relay()
    system = systems.SmailerSystem(relay.port, 20)
    try:
        system.smailer.start()
        _send_one(system, relay, 0)
        warm, cold = [], []
        for number in range(1, MAILS):
            time.sleep(0.02)
            warm.append(_send_one(system, relay, number))
        for number in range(MAILS, MAILS + COLD_MAILS):
            relay.wait_for("idle", IDLE_LIMIT)
            time.sleep(0.2)
            cold.append(_send_one(system, relay, number))
        return measure.median(warm), measure.median(cold)
    finally:
        system.end()
        relay.end()
