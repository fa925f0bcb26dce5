"""A large backlog in many bases: rate, memory, start, and how fast it is listed."""

import os
import subprocess
import time

import measure
import systems
from harness.smailer import program

BASES = 200
CONNECTIONS = 20
SECONDS = 60


def _listing(system):
    """Lines a second of `smailer queue`, and the memory of all that it started, in MB."""
    began, memory = time.monotonic(), 0
    with subprocess.Popen([program("smailer"), "-c", system.smailer.conf, "queue"],
                          stdout=subprocess.PIPE, env=system.smailer.environment()) as listing:
        lines, measured = 0, began
        for _ in listing.stdout:
            lines += 1
            if lines % 4096 == 0 and time.monotonic() - measured > 1:
                memory = max(memory, measure.memory(measure.tree(listing.pid)))
                measured = time.monotonic()
    return lines, lines / (time.monotonic() - began), memory / 1e6


def _first_minute(system):
    """(mails a second, seconds until the first left, MB at the most)"""
    before = system.waiting()
    began = time.monotonic()
    system.start()
    first, memory = None, 0
    while time.monotonic() - began < SECONDS and (first is None or not system.is_empty()):
        if first is None and any(os.path.isdir(each / "sent") and os.listdir(each / "sent")
                                 for each in system.directories()):
            first = time.monotonic() - began
        memory = max(memory, measure.memory(measure.tree(system.pid)))
        time.sleep(0.05 if first is None else 0.5)
    seconds = time.monotonic() - began
    return (before - system.waiting()) / seconds, first, memory / 1e6


def _measure(bench, count, bases, listed):
    with bench.sink() as sink:
        system = systems.SmailerSystem(sink.port, CONNECTIONS, bases)
        try:
            system.fill(count)
            os.sync()
            listing = _listing(system) if listed else None
            return (*_first_minute(system), listing)
        finally:
            system.end()


def run(bench):
    count = bench.arguments.backlog
    bases = min(BASES, count)
    print(f"\nBacklog: {count} files in {bases} bases", flush=True)
    small, *_ = _measure(bench, bench.arguments.mails, bases, False)
    rate, first, memory, (lines, lines_rate, listing_memory) = _measure(bench, count, bases, True)
    print(f"  {bench.arguments.mails} files: {small:.0f} mails/s; {count}: {rate:.0f} mails/s, the "
          f"first after {first:.2f} s, {memory:.0f} MB", flush=True)
    print(f"  listing: {lines} lines, {lines_rate:.0f} a second, {listing_memory:.0f} MB", flush=True)
    bench.judge("rate to that of a small queue", rate / small, 0.8, "of it")
    bench.judge("memory", memory, 128, "MB", least=False)
    bench.judge("first mail", first, 10, "s", least=False)
    bench.judge("listing", lines_rate, 30000, "lines/s")
