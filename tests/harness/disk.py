"""A disk with a volatile write cache, whose power can be cut.

A loop device lies on a file that this process serves through FUSE. So it sees every write and every
flush that the file system sends to its disk, and nothing of what the kernel still keeps to itself. At
a cut, what was written before the last flush is there; of each block written since, a coin says
whether it came to the platter. That is what a disk may do, and a little more than most of them do.

Run as a program it is that server:  disk.py IMAGE MOUNTPOINT
and reads orders, a line each: `cut PATH SEED` writes the disk as it would be found to PATH, after
the next few writes, or at once where there are none.
"""

import contextlib
import ctypes
import os
import pathlib
import random
import select
import struct
import subprocess
import sys
import tempfile
import time

BLOCK = 4096
WRITE_MOST = 1 << 20
ENOSYS, ENOENT = 38, 2
ROOT, IMAGE = 1, 2
DIRECT_IO = 1
CUT_LIMIT = 0.2  # s that a cut waits for writes
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22


class _Server:
    """One directory with the one file "image", by the protocol of fuse(4)."""

    def __init__(self, image, mountpoint):
        self.stable = bytearray(pathlib.Path(image).read_bytes())
        self.cache = {}  # {block: octets} written since the last flush
        self.writes = 0
        self.flushes = 0
        self.device = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"disk", os.fsencode(mountpoint), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount fuse")
        self.answers = {1: self.lookup, 3: self.getattr, 14: self.open, 15: self.read,
                        16: self.write, 17: self.statfs, 18: self.nothing, 20: self.flush,
                        25: self.nothing, 26: self.init, 27: self.open, 29: self.nothing,
                        34: self.nothing}

    def attributes(self, node):
        mode, size = (0o040755, 0) if node == ROOT else (0o100600, len(self.stable))
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                           BLOCK, 0)

    def init(self, node, body):
        return struct.pack("<4I2H2I2H8I", 7, 31, 0, BIG_WRITES | MAX_PAGES, 16, 12, WRITE_MOST, 1,
                           WRITE_MOST // BLOCK, 0, 0, *[0] * 7)

    def lookup(self, node, body):
        if body.rstrip(b"\0") != b"image":
            return -ENOENT
        return struct.pack("<4Q2I", IMAGE, 0, 3600, 3600, 0, 0) + self.attributes(IMAGE)

    def getattr(self, node, body):
        return struct.pack("<Q2I", 3600, 0, 0) + self.attributes(node)

    def open(self, node, body):
        return struct.pack("<QIi", 0, DIRECT_IO, 0)

    def nothing(self, node, body):
        return b""

    def statfs(self, node, body):
        return struct.pack("<5Q10I", 0, 0, 0, 0, 0, BLOCK, 255, BLOCK, *[0] * 7)

    def block(self, number):
        kept = self.cache.get(number)
        return kept if kept is not None else self.stable[number * BLOCK : (number + 1) * BLOCK]

    def read(self, node, body):
        offset, size = struct.unpack_from("<QI", body, 8)
        first, last = offset // BLOCK, (offset + size + BLOCK - 1) // BLOCK
        whole = b"".join(bytes(self.block(number)) for number in range(first, last))
        return whole[offset - first * BLOCK :][:size]

    def write(self, node, body):
        offset, size = struct.unpack_from("<QI", body, 8)
        data = body[40 : 40 + size]
        at = 0
        while at < size:
            number, within = divmod(offset + at, BLOCK)
            part = data[at : at + BLOCK - within]
            if len(part) < BLOCK:
                whole = bytearray(self.block(number))
                whole[within : within + len(part)] = part
                part = bytes(whole)
            self.cache[number] = part
            at += BLOCK - within
        self.writes += 1
        return struct.pack("<II", size, 0)

    def flush(self, node, body):
        for number, data in self.cache.items():
            self.stable[number * BLOCK : (number + 1) * BLOCK] = data
        self.cache.clear()
        self.flushes += 1
        return b""

    def wait_for_writes(self, count):
        """Serves until so many more were written, for they are rarely in the cache for long."""
        goal, end = self.writes + count, time.monotonic() + CUT_LIMIT
        while self.writes < goal:
            rest = end - time.monotonic()
            if rest <= 0 or not select.select([self.device], [], [], rest)[0]:
                return
            self.serve_request()

    def cut(self, path, seed):
        """Writes what a machine would find; nothing here changes. Says how much was at stake."""
        choice = random.Random(seed)
        self.wait_for_writes(choice.randrange(12))
        share = choice.choice((0, 0.5, 0.9, 1))
        found = bytearray(self.stable)
        lost = 0
        for number, data in sorted(self.cache.items()):
            if choice.random() < share:
                found[number * BLOCK : (number + 1) * BLOCK] = data
            else:
                lost += 1
        pathlib.Path(path).write_bytes(found)
        return f"{lost} {len(self.cache)} {self.flushes}"

    def serve_request(self):
        request = os.read(self.device, WRITE_MOST + BLOCK)
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET: no answer
            return
        answer = self.answers.get(operation)
        result = answer(node, request[40:]) if answer else -ENOSYS
        error, body = (result, b"") if isinstance(result, int) else (0, result)
        with contextlib.suppress(FileNotFoundError):  # whoever asked is gone
            os.write(self.device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

    def serve(self):
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([self.device, sys.stdin], [], [])
            if sys.stdin in ready:
                order = sys.stdin.readline().split()
                if not order:
                    return
                print(self.cut(*order[1:]), flush=True)
            if self.device in ready:
                try:
                    self.serve_request()
                except OSError:  # unmounted
                    return


class Disk:
    """An ext4 on such a disk, mounted at .directory."""

    def __init__(self, megabytes=48):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="smailer-disk-"))
        self.root.chmod(0o755)
        self.fuse, self.directory = self.root / "fuse", self.root / "mounted"
        self.fuse.mkdir()
        self.directory.mkdir()
        self.image = self.root / "image"
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        self._command("mkfs.ext4", "-q", "-F", "-m", "0", "-E",
                      "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.lost = self.at_stake = 0

    def _command(self, *words):
        result = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        if result.returncode != 0:
            raise OSError(f"{words}: {result.stderr.strip()}")
        return result.stdout.strip()

    def on(self):
        """Power, and the file system's own recovery. Returns itself."""
        self.server = subprocess.Popen(
            [sys.executable, __file__, self.image, self.fuse], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        if self.server.stdout.readline() != "ready\n":
            self.server.wait()
            raise OSError("the disk does not start")
        self.device = self._command("losetup", "--find", "--show", self.fuse / "image")
        # Without the help for applications that forget to sync what they rename.
        self._command("mount", "-t", "ext4", "-o", "noauto_da_alloc", self.device, self.directory)
        return self

    def cut(self, seed):
        """The instant of a power cut: the disk as it is found at the next on()."""
        self.server.stdin.write(f"cut {self.root / 'found'} {seed}\n")
        self.server.stdin.flush()
        lost, at_stake, _ = map(int, self.server.stdout.readline().split())
        self.lost += lost
        self.at_stake += at_stake

    def off(self):
        """Forgets what the kernel still has for the disk; only after everyone has left it."""
        with contextlib.suppress(OSError):
            self._command("umount", self.directory)
        with contextlib.suppress(OSError):
            self._command("losetup", "--detach", self.device)
        with contextlib.suppress(OSError):
            self._command("umount", "--lazy", self.fuse)
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait(60)
        if (self.root / "found").exists():
            os.replace(self.root / "found", self.image)

    def sync(self):
        """All that is written is on the disk."""
        self._command("sync", "--file-system", self.directory)

    def end(self):
        self.off()
        self.image.unlink(missing_ok=True)
        for path in (self.fuse, self.directory, self.root):
            with contextlib.suppress(OSError):
                path.rmdir()

    def __enter__(self):
        return self.on()

    def __exit__(self, *_):
        self.end()


if __name__ == "__main__":
    _Server(*sys.argv[1:]).serve()
