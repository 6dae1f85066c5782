"""A disk with faults: builds and controls the library `faulty_disk.c`, and builds the state after a power cut."""

import errno
import mmap
import pathlib
import struct
import subprocess

from server import Failure

HERE = pathlib.Path(__file__).resolve().parent
WRITE, SYNC, TRUNCATE, OPEN, READ = 1, 2, 4, 8, 16
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "short write": 0}
FIELDS = ("calls", "fail_from", "fail_count", "kinds", "error", "failed", "stall_milliseconds", "stalled")
NAMES = {1: "rollcall.db", 2: "rollcall.db-wal", 3: "rollcall.db-journal"}
REMOVED = 2**64 - 1
SECTOR = 512


def build_library(folder, source):
    """Compiles a library to preload."""
    library = pathlib.Path(folder) / (pathlib.Path(source).stem + ".so")
    result = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl", "-lpthread"],
                            capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Failure(f"cc cannot compile {source}: {result.stderr}")
    return library


class Disk:
    """The faults of the disk under one data folder."""

    def __init__(self, folder, data, is_simulated=False):
        self.data, self.folder = pathlib.Path(data), pathlib.Path(folder)
        preloaded = build_library(folder, HERE / "faulty_disk.c")
        self.control_file = self.folder / "control"
        self.control_file.write_bytes(bytes(4096))
        self.journal = self.folder / "journal" if is_simulated else None
        with open(self.control_file, "r+b") as file:
            self.control = mmap.mmap(file.fileno(), 4096)
        self.environment = {"LD_PRELOAD": str(preloaded), "DISK_FOLDER": str(self.data), "DISK_CONTROL": str(self.control_file)}
        if self.journal:
            self.environment["DISK_JOURNAL"] = str(self.journal)

    def set(self, name, value):
        struct.pack_into("=Q", self.control, 8 * FIELDS.index(name), value)

    def get(self, name):
        return struct.unpack_from("=Q", self.control, 8 * FIELDS.index(name))[0]

    def count(self, kinds):
        """Counts the calls of these kinds from now on; none fails."""
        for name, value in (("fail_from", 0), ("failed", 0), ("kinds", kinds), ("calls", 0)):
            self.set(name, value)

    def fail(self, number, count, kinds, error):
        """Lets `count` calls of these kinds fail, from the given number on."""
        self.count(kinds)
        self.set("error", error)
        self.set("fail_count", count)
        self.set("fail_from", number)

    def remember(self):
        """Stores the files as the durable state in front of the next start."""
        self.durable = {number: self.read(name) for number, name in NAMES.items()}
        self.journal.write_bytes(b"")

    def read(self, name):
        try:
            return bytearray((self.data / name).read_bytes())
        except FileNotFoundError:
            return None

    def cut_power(self, rng, policy):
        """Replaces the files with a state that the disk may have after the cut. Returns how many writes were not synced.

        Policies for the writes that were not synced: "drop" all of them, "reorder" (any subset), "tear" (any subset of
        the sectors of each).
        """
        files, pending = dict(self.durable), {number: [] for number in NAMES}
        content = memoryview(self.journal.read_bytes())
        at = 0
        while at + 24 <= len(content):
            kind, number, offset, length = struct.unpack_from("=IIQQ", content, at)
            at += 24
            if at + length > len(content):
                break
            if kind == SYNC:
                for change in pending[number]:
                    apply_change(files, number, change)
                pending[number].clear()
            elif kind == TRUNCATE and offset == REMOVED:
                files[number] = None
                pending[number].clear()
            else:
                pending[number].append((kind, offset, bytes(content[at:at + length])))
            at += length
        for number, changes in pending.items():
            for change in changes:
                for part in survive(change, rng, policy):
                    apply_change(files, number, part)
        for number, name in NAMES.items():
            if files[number] is None:
                (self.data / name).unlink(missing_ok=True)
            else:
                (self.data / name).write_bytes(files[number])
        (self.data / "rollcall.db-shm").unlink(missing_ok=True)
        return sum(map(len, pending.values()))


def apply_change(files, number, change):
    kind, offset, bytes_written = change
    content = files[number]
    if content is None:
        content = files[number] = bytearray()
    if kind == TRUNCATE:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
        return
    if len(content) < offset:
        content.extend(bytes(max(0, offset - len(content))))
    content[offset:offset + len(bytes_written)] = bytes_written


def survive(change, rng, policy):
    """The parts of a change that reach the disk."""
    kind, offset, content = change
    if policy == "drop":
        return []
    if policy == "reorder" or kind == TRUNCATE:
        return [change] if rng.random() < 0.5 else []
    parts, start = [], 0
    while start < len(content):
        end = min(len(content), start + SECTOR - (offset + start) % SECTOR)
        if rng.random() < 0.5:
            parts.append((kind, offset + start, content[start:end]))
        start = end
    return parts
