#!/usr/bin/env python3
"""Compare what a save in the background costs those who use the server meanwhile.

A server holds `--keys` keys. One client writes over them at a fixed rate, another asks for one key at a
time and notes how long each answer takes. That goes on for a while with nothing else (idle), then
through BGSAVE, then through BGREWRITEAOF. Printed for each: the longest answers, the memory that the
server and its children came to hold beyond what it held before, the seconds it took. A second part
measures writes per second of redis-benchmark with no save going on and with one save after another.

The probe and the writer are one thread that never sleeps, on a core of its own, so that a long answer
is the server's (or the machine's: compare with idle, and with the other server in the same run).

    benches/compare/snapshot.py --server 'redis=redis-server --port {port} --dir {dir} --save "" --appendonly yes' \\
        --server 'moon=target/release/moon --port {port} --dir {dir} --appendonly yes' --scratch /a/real/disk
"""

import argparse
import gc
import os
import random
import select
import shlex
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from fanout import connect, encode, free_port, spread


class Server:
    def __init__(self, text, scratch, core):
        self.name, line = text.split("=", 1)
        self.dir = tempfile.mkdtemp(dir=scratch)
        self.port = free_port()
        words = shlex.split(line.format(port=self.port, dir=self.dir))
        pin = ["taskset", "-c", str(core)] if core >= 0 else []
        self.process = subprocess.Popen(pin + words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.control = connect(self.port)
        while not self.is_ready():
            time.sleep(0.05)

    def is_ready(self):
        """False while it loads."""
        self.control.sendall(encode(b"PING"))
        return read_line(self.control) == b"+PONG"

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)

    def ask(self, *words):
        self.control.sendall(encode(*(str(w).encode() for w in words)))
        return read_reply(self.control)

    def info(self):
        text = self.ask("INFO", "persistence").decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def busy(self):
        info = self.info()
        return info["rdb_bgsave_in_progress"] != "0" or info["aof_rewrite_in_progress"] != "0"

    def wait(self):
        while self.busy():
            time.sleep(0.05)

    def memory(self):
        """Bytes that the server's process holds, and those of its children that are theirs alone."""
        total = field(f"/proc/{self.process.pid}/status", "VmRSS:")
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        for child in children:
            try:
                total += field(f"/proc/{child}/smaps_rollup", "Private_Dirty:")
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total


def field(path, name):
    with open(path) as f:
        for line in f:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def read_reply(sock):
    line = read_line(sock)
    if line[:1] in b"+:-":
        if line[:1] == b"-":
            raise SystemExit(f"error reply: {line.decode()}")
        return line[1:]
    size = int(line[1:])
    data = b""
    while len(data) < size + 2:
        data += sock.recv(size + 2 - len(data))
    return data[:-2]


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += sock.recv(1)
    return line[:-2]


def fill(server, keys, size):
    """Write every key once, a thousand requests at a time."""
    sock, value = connect(server.port), b"x" * size
    for first in range(0, keys, 1000):
        last = min(first + 1000, keys)
        sock.sendall(b"".join(encode(b"SET", b"key:%012d" % n, value) for n in range(first, last)))
        expected, got = b"+OK\r\n" * (last - first), b""
        while len(got) < len(expected):
            got += sock.recv(len(expected) - len(got))
        assert got == expected, "a write was refused"


class Load:
    """A writer at a fixed rate and a prober, driven by one loop."""

    def __init__(self, server, keys, size, rate):
        self.writer, self.prober = connect(server.port), connect(server.port)
        for sock in (self.writer, self.prober):
            sock.setblocking(False)
        rng = random.Random(1)
        value = b"y" * size
        self.every = 0.001
        count = max(1, round(rate * self.every))
        self.batches = [
            b"".join(encode(b"SET", b"key:%012d" % rng.randrange(keys), value) for _ in range(count))
            for _ in range(2000)
        ]
        self.answer = count * 5
        self.probes = [encode(b"GET", b"key:%012d" % rng.randrange(keys)) for _ in range(2000)]
        self.reply = len(b"$%d\r\n" % size) + size + 2
        self.sent = self.owed = 0
        self.poll = select.poll()
        self.poll.register(self.writer, select.POLLIN)
        self.poll.register(self.prober, select.POLLIN)

    def run(self, until):
        """Latencies of the probes in seconds, until `until` says so (asked every 20 ms)."""
        latencies, probed, got, n = [], None, 0, 0
        next_write = next_ask = time.perf_counter()
        while True:
            now = time.perf_counter()
            if now >= next_ask:
                next_ask = now + 0.02
                if until():
                    break
                # What the question itself took is nobody's latency: forget the probe it delayed.
                probed = None if probed is None else time.perf_counter()
                now = time.perf_counter()
            # A server that is behind gets its writes late, never two seconds of them at once.
            if now >= next_write and self.owed < 20 * self.answer:
                batch = self.batches[self.sent % len(self.batches)]
                self.writer.sendall(batch)
                self.sent += 1
                self.owed += self.answer
                next_write = max(next_write + self.every, now - 0.1)
            if probed is None and got == 0:
                self.prober.sendall(self.probes[n % len(self.probes)])
                n, got, probed = n + 1, self.reply, time.perf_counter()
            for fd, _ in self.poll.poll(0):
                if fd == self.writer.fileno():
                    self.owed -= len(self.writer.recv(1 << 16))
                else:
                    got -= len(self.prober.recv(1 << 12))
                    if got == 0:
                        if probed is not None:
                            latencies.append(time.perf_counter() - probed)
                        probed = None
        deadline = time.perf_counter() + 5
        while (self.owed or got) and time.perf_counter() < deadline:
            for fd, _ in self.poll.poll(10):
                if fd == self.writer.fileno():
                    self.owed -= len(self.writer.recv(1 << 16))
                else:
                    got -= len(self.prober.recv(1 << 12))
        assert not self.owed and not got, "an answer is missing"
        return latencies


def phase(server, load, command, idle_seconds):
    """What the probes saw and what memory did, through one command (None: through nothing)."""
    before = server.memory()
    peak = [before]
    start = time.perf_counter()
    if command:
        server.ask(command)

    def over():
        peak[0] = max(peak[0], server.memory())
        if command is None:
            return time.perf_counter() - start > idle_seconds
        return not server.busy()

    sent = load.sent
    latencies = sorted(load.run(over))
    seconds = time.perf_counter() - start
    return {
        "worst": latencies[-1] * 1e3,
        "p99": latencies[len(latencies) * 99 // 100] * 1e3,
        "p50": statistics.median(latencies) * 1e3,
        "extra": (peak[0] - before) / 2**20,
        "seconds": seconds,
        "rate": (load.sent - sent) * load.answer / 5 / seconds,
    }


def throughput(server, args, command):
    """Writes per second of redis-benchmark, with `command` given again whenever it is over."""
    words = shlex.split(
        f"taskset -c {args.client_core} redis-benchmark -p {server.port} -t set -n {args.requests} "
        f"-c 50 -P {args.pipeline} -r {args.keys} -d {args.size} --csv"
    )
    if command:
        server.ask(command)
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while run.poll() is None:
        time.sleep(0.05)
        if command and not server.busy():
            server.ask(command)
    line = run.stdout.read().decode().splitlines()[-1]
    server.wait()
    return float(line.split(",")[1].strip('"'))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rate", type=int, default=20_000, help="writes per second beside the probe")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=5, help="seconds of the idle phase")
    parser.add_argument("--requests", type=int, default=2_000_000, help="of the second part; 0: skip it")
    parser.add_argument("--pipeline", type=int, default=16)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--scratch", help="directory on the disk to use")
    args = parser.parse_args()
    commands = (None, "BGSAVE", "BGREWRITEAOF")
    if args.client_core >= 0:
        os.sched_setaffinity(0, {args.client_core})
    gc.disable()
    rows = {}
    for number in range(args.rounds):
        for text in args.server[number % len(args.server):] + args.server[: number % len(args.server)]:
            server = Server(text, args.scratch, args.server_core)
            try:
                fill(server, args.keys, args.size)
                server.wait()
                load = Load(server, args.keys, args.size, args.rate)
                for command in commands:
                    rows.setdefault((server.name, command), []).append(
                        phase(server, load, command, args.idle)
                    )
                    time.sleep(1)
                if args.requests:
                    for command in commands:
                        rows[server.name, command][-1]["throughput"] = throughput(server, args, command)
            finally:
                server.stop()
    print(f"{args.keys} keys of {args.size} bytes, {args.rate} SET/s; median (min..max) of {args.rounds} rounds\n")
    print("| server | during | worst answer ms | p99 ms | p50 ms | extra memory MiB | seconds | SET/s kept | SET/s at full load against idle |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (name, command), figures in rows.items():
        cells = [spread(f[key] for f in figures) for key in ("worst", "p99", "p50", "extra", "seconds", "rate")]
        if args.requests:
            idle = rows[name, None]
            cells.append(spread(f["throughput"] / i["throughput"] for f, i in zip(figures, idle)))
        print(f"| {name} | {command or 'idle'} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
