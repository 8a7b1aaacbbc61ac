#!/usr/bin/env python3
"""How fast a dump of Redis becomes a directory of Moon, and in how much memory.

Writes an RDB file of `--keys` strings whose values do not compress, imports it `--rounds` times with
moon-migrate, which reads it twice (first to say what is in it) and checks what it wrote against it. Printed:
seconds from start to end, keys a second, the most memory that the tool held.

    benches/compare/import.py --moon-migrate target/release/moon-migrate --scratch /a/real/disk
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time

from fanout import spread
from snapshot import field


def write_dump(path, keys, size):
    """RDB version 11: one database, strings without a time to live, no checksum (zero says so)."""
    noise = random.Random(1).randbytes((1 << 16) + size)
    # A length below 2^14 in two bytes, any other in five.
    length = bytes([0x40 | size >> 8, size & 0xFF]) if size < 1 << 14 else b"\x80" + size.to_bytes(4, "big")
    with open(path, "wb") as out:
        out.write(b"REDIS0011\xfe\x00")
        for first in range(0, keys, 20_000):
            entries = []
            for i in range(first, min(first + 20_000, keys)):
                at = i * 61 & 0xFFFF
                entries.append(b"\x00\x10key:%012d%s%s" % (i, length, noise[at : at + size]))
            out.write(b"".join(entries))
        out.write(b"\xff" + bytes(8))


def run(tool, dump, target):
    """Seconds, and the most bytes of memory."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [tool, "run", "--from", f"redis-rdb:{dump}", "--to", target], stdout=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, field(f"/proc/{process.pid}/status", "VmHWM:"))
        time.sleep(0.02)
    if process.returncode != 0:
        raise SystemExit(f"{tool} ended with {process.returncode}")
    return time.monotonic() - begin, most


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moon-migrate", default="target/release/moon-migrate")
    parser.add_argument("--keys", type=int, default=24_000_000, help="the default makes a file of 2 GB")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", help="directory on the disk to use")
    args = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="import-", dir=args.scratch)
    try:
        dump, target = os.path.join(scratch, "dump.rdb"), os.path.join(scratch, "data")
        write_dump(dump, args.keys, args.size)
        seconds, memory = [], []
        for _ in range(args.rounds):
            took, most = run(args.moon_migrate, dump, target)
            seconds.append(took)
            memory.append(most / 2**20)
            shutil.rmtree(target)
        print(f"{args.keys} strings of {args.size} bytes, {os.path.getsize(dump) / 1e6:.0f} MB")
        print(f"seconds: {spread(seconds)}")
        print(f"keys a second: {args.keys / statistics.median(seconds):.0f}")
        print(f"most memory, MiB: {spread(memory)}")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
