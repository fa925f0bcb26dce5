"""File systems of the tests' own: small ones that fill up and empty again."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import threading

from .world import World

MEGABYTE = 1 << 20
BATCH = 20


def _run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise OSError(f"{command}: {result.stderr.strip()}")
    return result.stdout.strip()


@contextlib.contextmanager
def mounted(kind, megabytes=8):
    """A small file system ("ext4" through a loop device, or "tmpfs"); its directory."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="smailer-disk-"))
    directory, image = root / "mounted", root / "image"
    directory.mkdir()
    root.chmod(0o755)
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "smailer-test", directory)
    else:
        with open(image, "wb") as file:
            file.truncate(megabytes * MEGABYTE)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        _run("mount", "-o", "loop", image, directory)
    try:
        yield directory
    finally:
        _run("umount", "-l", directory)
        with contextlib.suppress(FileNotFoundError):
            image.unlink()
        directory.rmdir()
        root.rmdir()


def why_not():
    """Why nothing can be mounted here, or None."""
    if os.geteuid() != 0:
        return "only root mounts file systems"
    try:
        with mounted("ext4"):
            return None
    except OSError as error:
        return str(error)


class Filler:
    """Takes all room that there is, and gives it back."""

    def __init__(self, directory):
        self.path = directory / "filler"

    def fill(self, spare=0):
        """All but SPARE octets."""
        with open(self.path, "ab", buffering=0) as file:
            for size in (MEGABYTE, 4096, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
            if spare:
                file.truncate(max(0, file.tell() - spare))

    def empty(self):
        self.path.unlink(missing_ok=True)


def _fill_while_at_work(world, filler, kill):
    """The disk fills up at a random moment, stays so while mails wait, and empties again."""
    spare = world.random.choice((0, 0, 4096, 20000, 60000))
    given = world.queue.put(world, world.names(BATCH))
    pause = threading.Event()
    pause.wait(world.random.uniform(0, 0.3))
    filler.fill(spare)
    world.tally.tries += 1
    pause.wait(world.random.uniform(0.2, 1.5))
    if kill:
        # What was accepted and cannot be moved is in hand: all of it may come twice.
        world.note("killed with a full disk", len(given) * 2)
        world.tally.tries -= 1
        world.kill_tree()
        filler.empty()
        world.revive()
    else:
        filler.empty()
    given += world.queue.go_on(world)
    world.settle(given, 120)
    world.account(given)
    world.queue.forget(given)


def run(tally, seed, kind, place, file_system, rounds, kills=False):
    """PLACE: "queue", "state" or "log", on a small FILE_SYSTEM that fills up ROUNDS times."""
    with mounted(file_system) as directory:
        places = {place: directory / "here"}
        places[place].mkdir()
        with World(kind, tally, seed, places, connections=2) as world:
            filler = Filler(directory)
            try:
                for at in range(rounds):
                    if len(tally.violations) >= 20:
                        break
                    _fill_while_at_work(world, filler, kills and at % 2 == 1)
            finally:
                filler.empty()
