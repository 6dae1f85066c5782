"""Power cuts of a real ext4 file system on a loop device: a forced shutdown without a flush of its journal."""

import fcntl
import os
import shutil
import struct
import subprocess
import time

from model import show_time
from rounds import Rounds
from server import Failure, Server

SECONDS = 14
EXT4_IOC_SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2


def run(context):
    if os.geteuid() != 0:
        return context.skip("only root can mount a file system")
    if not shutil.which("mkfs.ext4"):
        return context.skip("mkfs.ext4 is not installed")
    image, mount = context.folder / "image", context.folder / "mount"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(160 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    if not try_mount(image, mount):
        return context.skip("this machine does not let the test mount a loop device")
    try:
        return cut_repeatedly(context, image, mount)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)


def try_mount(image, mount):
    return subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False, capture_output=True).returncode == 0


def cut_repeatedly(context, image, mount):
    site = context.site()
    server = Server(context.program, site.copy_to(mount / "data"), ["--rate-limit", "0"])
    # The log and the output stay on the disk of the test.
    server.log = context.folder / "server.log"
    os.sync()
    rounds = Rounds(context, server, site)
    while True:
        server.start()
        rounds.compare()
        if not context.continues(rounds.crashes, 6):
            break
        context.step = f"power cut {rounds.crashes + 1}"
        rounds.start_load()
        context.sleep(context.rng.uniform(0.05, 1.0))
        folder = os.open(mount, os.O_RDONLY)
        begun, rounds.model.is_cut = time.time(), True
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("=I", WITHOUT_FLUSH))
        except OSError as error:
            server.kill()
            rounds.stop.set()
            return context.skip(f"this file system cannot be shut down: {error}")
        finally:
            os.close(folder)
        context.step += f" from {show_time(begun)} to {show_time(time.time())}"
        server.kill()
        rounds.end_load()
        rounds.model.is_cut = False
        subprocess.run(["umount", str(mount)], check=True)
        if not try_mount(image, mount):
            raise Failure("the file system cannot be mounted again")
    server.kill()
    server.check()
    return rounds.summary("power cuts")
