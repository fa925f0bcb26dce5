"""From the close of a file in an idle queue to the relay's 250."""

import socket
import threading
import time

import measure
import systems
from harness.process import wait_for

MAILS = 51
IDLE_LIMIT = 8  # smailer gives up an idle connection after 5 s


class Relay(threading.Thread):
    """Answers as fast as it can, and notes when it took a mail."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        self.open = 0

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open += 1
        connection.sendall(b"220 relay\r\n")
        in_content = False
        for line in connection.makefile("rb"):
            if in_content:
                in_content = line != b".\r\n"
                if in_content:
                    continue
                connection.sendall(b"250 2.0.0 Ok\r\n")
                self.taken.append(time.monotonic())
            elif line.startswith(b"EHLO"):
                connection.sendall(b"250-relay\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n")
            elif line.startswith(b"DATA"):
                connection.sendall(b"354 go\r\n")
                in_content = True
            else:
                connection.sendall(b"250 2.0.0 Ok\r\n")
        self.open -= 1


def _send_one(system, relay, number):
    base = system.smailer.base
    hidden, name = base.directory / ".new", base.directory / f"mail-{number}.xml"
    octets, before = systems.content(), len(relay.taken)
    hidden.write_bytes(octets)
    system.smailer.identity.give(hidden)
    began = time.monotonic()
    hidden.rename(name)
    wait_for(lambda: len(relay.taken) > before, 10, "the mail", 0.0005)
    return (relay.taken[-1] - began) * 1000


def measure_median():
    """(median with a connection open, median of some without), in ms."""
    relay = Relay()
    relay.start()
    system = systems.SmailerSystem(relay.port, 20)
    try:
        system.smailer.start()
        _send_one(system, relay, 0)
        warm, cold = [], []
        for number in range(1, MAILS):
            time.sleep(0.02)
            warm.append(_send_one(system, relay, number))
        for number in range(MAILS, MAILS + 3):
            wait_for(lambda: relay.open == 0, IDLE_LIMIT, "the idle connection's end")
            time.sleep(0.2)
            cold.append(_send_one(system, relay, number))
        return measure.median(warm), measure.median(cold)
    finally:
        system.end()
        relay.listener.close()
