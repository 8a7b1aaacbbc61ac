#!/usr/bin/env python3
"""What many connections cost, and what bad ones do to good ones.

For each server: memory per idle connection and CPU time while all of them are idle; the latency of a good
connection alone and beside a thousand that send garbage and come again when they are closed; how long
clients live that never read, and how much memory they take until then; how long it takes to stop a
script that loops. Servers take turns, the client pins them to one core and itself to another.

    benches/compare/connections.py --server 'redis=redis-server --port {port} --dir {dir} --save ""' \\
        --server 'moon=target/release/moon --port {port} --dir {dir} --appendonly no'

10,000 connections need as many descriptors in the client and in the server: `ulimit -n 20000` first.
"""

import argparse
import os
import random
import resource
import selectors
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time

LIMITS = {
    "normal": "normal 16777216 0 0",
    "pubsub": "pubsub 33554432 8388608 60",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def encode(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words])


def settle(core, realtime):
    """Binds this process to a core; with a priority above whatever else runs there, if asked for."""
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, {core})
    if realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))


class Client:
    def __init__(self, port, timeout=30):
        for _ in range(400):
            try:
                self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        else:
            raise SystemExit(f"nothing listens on port {port}")
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def line(self):
        while b"\r\n" not in self.left:
            data = self.sock.recv(1 << 16)
            if not data:
                raise ConnectionError("closed")
            self.left += data
        line, self.left = self.left.split(b"\r\n", 1)
        return line

    def call(self, *words):
        """The reply to a command that answers a line or a bulk string."""
        self.sock.sendall(encode(*words))
        line = self.line()
        if line[:1] != b"$" or line == b"$-1":
            return line
        length = int(line[1:]) + 2
        while len(self.left) < length:
            self.left += self.sock.recv(1 << 16)
        text, self.left = self.left[: length - 2], self.left[length:]
        return text

    def info(self, section, field):
        for line in self.call("INFO", section).decode().split("\r\n"):
            if line.startswith(field + ":"):
                return int(line.split(":")[1])
        raise SystemExit(f"INFO {section} has no {field}")


class Server:
    def __init__(self, text, connections, realtime):
        self.name, line = text.split("=", 1)
        self.dir = tempfile.TemporaryDirectory()
        self.port = free_port()
        words = shlex.split(line.format(port=self.port, dir=self.dir.name))
        words += ["--maxclients", str(connections)]
        self.process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: settle(0, realtime),
        )
        self.admin = Client(self.port)
        while not self.admin.call("PING").startswith(b"+PONG"):
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            main = int(f.read().split()[0])
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
            except FileNotFoundError:
                pass
        return max(main, total) / 1e9

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(next(line for line in f if line.startswith("VmRSS:")).split()[1]) * 1024


def idle(server, count, seconds, park):
    """Bytes and CPU of connections that have asked once and are silent."""
    before = server.rss(), server.admin.info("memory", "used_memory")
    clients = []
    for _ in range(count):
        client = Client(server.port)
        client.call("SET", "k", "v" * 100)
        client.call("GET", "k")
        clients.append(client)
    fresh = server.rss(), server.admin.info("memory", "used_memory")
    time.sleep(park)
    after = server.rss(), server.admin.info("memory", "used_memory")
    cpu = server.cpu_seconds()
    time.sleep(seconds)
    cpu = (server.cpu_seconds() - cpu) / seconds
    for client in clients:
        client.sock.close()
    alone = 0
    time.sleep(2)
    while server.admin.info("clients", "connected_clients") > 1 and alone < 100:
        time.sleep(0.1)
        alone += 1
    quiet = server.cpu_seconds()
    time.sleep(seconds)
    quiet = (server.cpu_seconds() - quiet) / seconds
    per = lambda now: [(n - b) / count for n, b in zip(now, before)]
    return per(fresh), per(after), cpu, quiet


def good(port, seconds):
    """Latencies of a client that asks a thousand times a second, in microseconds."""
    client = Client(port)
    client.call("SET", "good", "v" * 64)
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        assert client.call("GET", "good") == b"v" * 64
        times.append((time.perf_counter() - start) * 1e6)
        time.sleep(0.001)
    client.sock.close()
    return sorted(times)


def garbage(rng):
    """Something that no client should send."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 400))
    if kind == 1:
        return b"*%d\r\n" % rng.choice([-5, 1 << 31, 1 << 62, 1_000_000])
    if kind == 2:
        return b"*1\r\n$%d\r\n" % rng.choice([-1, 1 << 40, 536_870_912])
    if kind == 3:
        return b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if kind == 4:
        return encode("NOSUCH", "x" * 100) * 10
    if kind == 5:
        return encode("SET", "k") * 10
    if kind == 6:
        return b'"unbalanced\r\n'
    return b"\x16\x03\x01\x02\x00" + rng.randbytes(200)


def bad(port, count, rate, stop_fd):
    """Sends garbage on so many connections, so many pieces a second in all, until told to stop. Runs in a process
    of its own, at the lowest priority: the good client is not to wait for it."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setparam(0, os.sched_param(5))
    else:
        os.nice(19)
    rng = random.Random(1)
    socks = []
    chooser = selectors.DefaultSelector()

    def connect():
        sock = socket.socket()
        sock.setblocking(False)
        try:
            sock.connect(("127.0.0.1", port))
        except BlockingIOError:
            pass
        chooser.register(sock, selectors.EVENT_READ)
        return sock

    socks = [connect() for _ in range(count)]
    time.sleep(0.3)
    started = time.perf_counter()
    sent = 0
    os.set_blocking(stop_fd, False)
    while True:
        try:
            os.read(stop_fd, 1)
            break
        except BlockingIOError:
            pass
        due = int((time.perf_counter() - started) * rate)
        for _ in range(min(due - sent, 200)):
            i = rng.randrange(count)
            try:
                socks[i].send(garbage(rng))
            except OSError:
                pass
            sent += 1
        for key, _ in chooser.select(0.002):
            try:
                data = key.fileobj.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                i = socks.index(key.fileobj)
                chooser.unregister(socks[i])
                socks[i].close()
                socks[i] = connect()
    print(sent, flush=True)


def beside_garbage(server, count, rate, seconds):
    alone = good(server.port, seconds)
    read_end, write_end = os.pipe()
    me = [sys.executable, __file__, "--bad", str(server.port), str(count), str(rate), str(read_end)]
    with subprocess.Popen(me, pass_fds=[read_end], stdout=subprocess.PIPE) as process:
        time.sleep(1)
        with_bad = good(server.port, seconds)
        os.write(write_end, b"x")
        sent = int(process.stdout.read())
    os.close(read_end)
    os.close(write_end)
    return alone, with_bad, sent


def never_reads(server, kind):
    """Seconds until a client that never reads is closed, and the most memory it took."""
    server.admin.call("CONFIG", "SET", "client-output-buffer-limit", LIMITS[kind])
    server.admin.call("SET", "big", "x" * 100_000)
    victim = Client(server.port)
    victim.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    victim.sock.settimeout(0.01)
    before = server.admin.info("memory", "used_memory")
    peak, start = 0, time.perf_counter()
    clients = server.admin.info("clients", "connected_clients")
    if kind == "pubsub":
        victim.sock.sendall(encode("SUBSCRIBE", "c"))
    while server.admin.info("clients", "connected_clients") >= clients:
        if time.perf_counter() - start > 60:
            return None, peak
        for _ in range(10):
            if kind == "pubsub":
                server.admin.call("PUBLISH", "c", "x" * 100_000)
            else:
                try:
                    victim.sock.send(encode("GET", "big"))
                except OSError:
                    pass
        peak = max(peak, server.admin.info("memory", "used_memory") - before)
    victim.sock.close()
    return time.perf_counter() - start, peak


def stopped_script(server):
    """Seconds from SCRIPT KILL to the end of a script that loops, of a server that answers BUSY before."""
    server.admin.call("CONFIG", "SET", "busy-reply-threshold", "100")
    looping = Client(server.port)
    looping.sock.sendall(encode("EVAL", "while true do end", "0"))
    while not server.admin.call("GET", "good").startswith(b"-BUSY"):
        time.sleep(0.02)
    start = time.perf_counter()
    assert server.admin.call("SCRIPT", "KILL") == b"+OK"
    assert looping.line().startswith(b"-")
    return time.perf_counter() - start


def quantile(times, q):
    return times[min(len(times) - 1, int(len(times) * q))]


def main():
    if sys.argv[1:2] == ["--bad"]:
        return bad(*(int(n) for n in sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--park-seconds", type=float, default=5, help="before idle memory is read")
    parser.add_argument("--garbage", type=int, default=1_000)
    parser.add_argument("--garbage-rate", type=int, default=2_000, help="pieces a second in all")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--realtime", action="store_true",
                        help="servers and the good client go before all else, on a machine that is not idle (root)")
    parser.add_argument("--only", nargs="+", default=["idle", "garbage", "slow", "script"])
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max(args.idle, args.garbage) + 100
    servers = [Server(text, most, args.realtime) for text in args.server]
    settle(1, args.realtime)
    try:
        if "idle" in args.only:
            for server in servers:
                fresh, parked, cpu, quiet = idle(server, args.idle, args.idle_seconds, args.park_seconds)
                print(
                    f"{server.name}: {args.idle} idle connections: {fresh[0]:,.0f} bytes of RSS each, "
                    f"{fresh[1]:,.0f} of used_memory; after {args.park_seconds:g} s {parked[0]:,.0f} "
                    f"and {parked[1]:,.0f}; CPU {cpu * 100:.2f} % (without them {quiet * 100:.2f} %)",
                    flush=True,
                )
        if "garbage" in args.only:
            rows = {server.name: [] for server in servers}
            for n in range(args.rounds):
                for server in servers[n % len(servers):] + servers[: n % len(servers)]:
                    rows[server.name].append(
                        beside_garbage(server, args.garbage, args.garbage_rate, args.seconds))
            for name, row in rows.items():
                ratios = [quantile(b, 0.99) / quantile(a, 0.99) for a, b, _ in row]
                middle = lambda part, q: statistics.median(quantile(r[part], q) for r in row)
                print(
                    f"{name}: a good connection beside {args.garbage} of garbage "
                    f"({sum(r[2] for r in row)} pieces): p50 {middle(0, 0.5):.0f} -> {middle(1, 0.5):.0f} us, "
                    f"p99 {middle(0, 0.99):.0f} -> {middle(1, 0.99):.0f} us, ratio of p99 "
                    f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})",
                    flush=True,
                )
        if "slow" in args.only:
            for server in servers:
                for kind in LIMITS:
                    seconds, peak = never_reads(server, kind)
                    ends = f"closed after {seconds:.2f} s" if seconds else "not closed in a minute"
                    print(f"{server.name}: a client that never reads ({LIMITS[kind]}): {ends}, "
                          f"{peak / 1e6:.1f} MB at most", flush=True)
        if "script" in args.only:
            for server in servers:
                print(f"{server.name}: SCRIPT KILL ends a loop in {stopped_script(server) * 1e3:.1f} ms",
                      flush=True)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
