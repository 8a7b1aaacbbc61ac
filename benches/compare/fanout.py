#!/usr/bin/env python3
"""Compare the fan-out of PUBLISH: one publisher, many subscribers of one channel.

A round publishes a number of messages in pipelines and ends when every subscriber has every byte.
Servers take turns within a round, the ratio is taken within the round, and the median of the rounds
with their minimum and maximum is printed, as in compare.py. The subscribers are read by one thread,
which costs the same whatever the server is; on a busy machine look at the server's CPU instead.

    benches/compare/fanout.py --server 'redis=redis-server --port {port} --dir {dir} --save ""' \\
        --server 'moon=target/release/moon --port {port} --dir {dir} --appendonly no'
"""

import argparse
import os
import selectors
import shlex
import socket
import statistics
import subprocess
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    for _ in range(200):
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def encode(*words):
    return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words])


class Server:
    def __init__(self, text):
        self.name, line = text.split("=", 1)
        self.dir = tempfile.TemporaryDirectory()
        self.port = free_port()
        words = shlex.split(line.format(port=self.port, dir=self.dir.name))
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def round(self, subscribers, messages, size, pipeline):
        """Deliveries per second, and microseconds of the server's CPU per delivery."""
        channel, payload = b"channel", b"x" * size
        confirmed = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n"
        expected = messages * len(encode(b"message", channel, payload))
        left = {}
        chooser = selectors.DefaultSelector()
        for _ in range(subscribers):
            sock = connect(self.port)
            sock.sendall(encode(b"SUBSCRIBE", channel))
            got = b""
            while len(got) < len(confirmed):
                got += sock.recv(len(confirmed) - len(got))
            assert got == confirmed, got
            sock.setblocking(False)
            left[sock] = expected
            chooser.register(sock, selectors.EVENT_READ)
        publisher = connect(self.port)
        chooser.register(publisher, selectors.EVENT_READ)
        batch = encode(b"PUBLISH", channel, payload) * pipeline
        reply = b":%d\r\n" % subscribers
        sent = answered = 0
        start, cpu = time.perf_counter(), self.cpu_seconds()
        while left or answered < messages * len(reply):
            if sent < messages and answered == sent * len(reply):
                publisher.sendall(batch)
                sent += pipeline
            for key, _ in chooser.select(60):
                sock = key.fileobj
                data = sock.recv(1 << 18)
                assert data, "closed"
                if sock is publisher:
                    answered += len(data)
                    continue
                left[sock] -= len(data)
                assert left[sock] >= 0, "more than was published"
                if left[sock] == 0:
                    del left[sock]
                    chooser.unregister(sock)
                    sock.close()
        seconds = time.perf_counter() - start
        publisher.close()
        chooser.close()
        deliveries = messages * subscribers
        return deliveries / seconds, (self.cpu_seconds() - cpu) * 1e6 / deliveries


def spread(ratios):
    ratios = list(ratios)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--subscribers", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--pipeline", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    servers = [Server(text) for text in args.server]
    print(f"{args.subscribers} subscribers, {args.messages} messages of {args.size} bytes")
    try:
        for pipeline in args.pipeline:
            messages = args.messages - args.messages % pipeline
            rows = {s.name: [] for s in servers}
            for n in range(args.rounds):
                turn = servers[n % len(servers):] + servers[: n % len(servers)]
                for server in turn:
                    figures = server.round(args.subscribers, messages, args.size, pipeline)
                    rows[server.name].append(figures)
            base = rows[servers[0].name]
            for name, figures in rows.items():
                print(
                    f"-P {pipeline} {name}: {statistics.median(r for r, _ in figures):,.0f} "
                    f"deliveries/s, ratio {spread(r / b for (r, _), (b, _) in zip(figures, base))}; "
                    f"{statistics.median(c for _, c in figures):.3f} us CPU each, ratio "
                    f"{spread(c / max(b, 1e-9) for (_, c), (_, b) in zip(figures, base))}"
                )
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
