#!/usr/bin/env python3
"""What following changes costs: events per second of one reader, and what writers feel of it.

Writers run without a reader, then with one that follows by CDC.READ, then with one that is pushed to
(CDC.SUBSCRIBE); each phase tells writes per second, their median and 99th percentile, and events per second. At the
end a reader goes through the whole log again, with nobody writing.

    benches/compare/cdc.py --server 'target/release/moon --port {port} --dir {dir}'
"""

import argparse
import multiprocessing
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples"))
from cdc_follow import connect  # noqa: E402


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(port, seconds, out):
    """One writer without a pipeline; hands out the latencies of its writes in microseconds."""
    c = connect("127.0.0.1", port)
    value = b"v" * 100
    took, n, end = [], 0, time.monotonic() + seconds
    while True:
        begun = time.monotonic()
        if begun >= end:
            break
        c.call("SET", f"{os.getpid()}:{n % 10000}", value)
        took.append((time.monotonic() - begun) * 1e6)
        n += 1
    out.put(took)


def read(port, stop, out):
    c = connect("127.0.0.1", port)
    cursor, n = "$", 0
    while not stop.is_set():
        cursor, *events = c.call("CDC.READ", 0, cursor, "LIMIT", 1000, "BLOCK", 200)
        n += len(events)
    out.put(n)


def listen(port, stop, out):
    c = connect("127.0.0.1", port)
    c.call("CDC.SUBSCRIBE", 0, "$")
    c.sock.settimeout(0.2)
    n = 0
    while not stop.is_set():
        try:
            # The pushes are counted by their first words, and not taken apart.
            n += c.sock.recv(1 << 18).count(b"$5\r\nevent\r\n")
        except socket.timeout:
            pass
    out.put(n)


def phase(name, port, writers, seconds, reader):
    results, events, stop = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    follower = reader and multiprocessing.Process(target=reader, args=(port, stop, events))
    if follower:
        follower.start()
        time.sleep(0.3)
    workers = [multiprocessing.Process(target=write, args=(port, seconds, results)) for _ in range(writers)]
    for worker in workers:
        worker.start()
    took = sorted(t for _ in workers for t in results.get())
    for worker in workers:
        worker.join()
    seen = 0
    if follower:
        time.sleep(1.5)  # what everysec syncs last
        stop.set()
        seen = events.get()
        follower.join()
    p99 = took[len(took) * 99 // 100]
    print(
        f"{name:10} {len(took) / seconds:9.0f} writes/s  p50 {statistics.median(took):6.0f} us"
        f"  p99 {p99:6.0f} us  events {seen} of {len(took)} ({seen / seconds:.0f}/s)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, help="command line with {port} and {dir}")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        command = shlex.split(args.server.format(port=port, dir=directory))
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            c = connect("127.0.0.1", port)
            for name, reader in (("alone", None), ("CDC.READ", read), ("SUBSCRIBE", listen), ("alone", None)):
                phase(name, port, args.writers, args.seconds, reader)
            cursor, n, begun = 0, 0, time.monotonic()
            while True:
                cursor, *events = c.call("CDC.READ", 0, cursor, "LIMIT", 10000, "BYTES", 16 << 20)
                if not events:
                    break
                n += len(events)
            took = time.monotonic() - begun
            print(f"history    {n / took:9.0f} events/s  ({n} events in {took:.2f} s)")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
