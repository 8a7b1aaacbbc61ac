#!/usr/bin/env python3
"""What following changes costs: events per second of one reader, what writers feel of it, and what images add.

Readers: writers at a fixed rate go on throughout; a probe beside them writes one key at a time and times it. They run
alone, with a reader at the end of the log (CDC.READ), with one that is pushed to (CDC.SUBSCRIBE), and with one that goes
through the log from its beginning as fast as it can. The order changes from round to round.

Images: writers as fast as they can, updating keys that exist, with `cdc-before-image` no and yes in turns.

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

KEYS = 10000
PIPELINE = 100
# Whether the cores are shared out, and who goes before whom on the clients' one then.
PIN = multiprocessing.Value("b", False)
PROBE, LOAD, READER = (os.SCHED_FIFO, 20), (os.SCHED_FIFO, 10), (os.SCHED_OTHER, 0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sets(first, value):
    """A pipeline of writes of keys that all writers share."""
    out = b""
    for i in range(first, first + PIPELINE):
        key = b"key:%06d" % (i % KEYS)
        out += b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(value), value)
    return out


def settle(priority):
    """Binds this process to the clients' core, if cores are shared out (`--pin`), with a priority there."""
    if PIN.value:
        os.sched_setaffinity(0, {1})
        policy, number = priority
        os.sched_setscheduler(0, policy, os.sched_param(number))


def shard_thread(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as f:
            if f.read().startswith("shard-"):
                return int(task)
    raise RuntimeError("the server has no thread of a shard")


def pin_server(pid):
    """The server has a core of its own, and on it the shard's thread goes before the server's others."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {0})
    first = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    os.sched_setscheduler(shard_thread(pid), first, os.sched_param(10))


def cpu_seconds(pid):
    """CPU of the shard's thread."""
    with open(f"/proc/{pid}/task/{shard_thread(pid)}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


def write(port, seconds, rate, value, out):
    """Pipelines of writes, `rate` a second of them or as fast as it goes; hands out how many."""
    settle(LOAD)
    s = socket.create_connection(("127.0.0.1", port))
    batches = [sets(i * PIPELINE, value) for i in range(KEYS // PIPELINE)]
    n, begun = 0, time.monotonic()
    while True:
        now = time.monotonic()
        if now - begun >= seconds:
            break
        if rate and n * PIPELINE > (now - begun) * rate:
            time.sleep(0.001)
            continue
        s.sendall(batches[n % len(batches)])
        left = PIPELINE * len(b"+OK\r\n")
        while left > 0:
            left -= len(s.recv(left))
        n += 1
    out.put(n * PIPELINE)


def probe(port, seconds, out):
    """One write at a time; hands out their latencies in microseconds."""
    settle(PROBE)
    c = connect("127.0.0.1", port)
    took, end = [], time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        c.call("SET", "probe", b"v" * 100)
        took.append((time.monotonic() - begun) * 1e6)
        time.sleep(0.0005)
    out.put(took)


def follow(port, stop, out):
    settle(READER)
    c = connect("127.0.0.1", port)
    cursor, n, begun = "$", 0, time.monotonic()
    while not stop.is_set():
        cursor, *events = c.call("CDC.READ", 0, cursor, "LIMIT", 1000, "BLOCK", 200)
        n += len(events)
    out.put((n, time.monotonic() - begun))


def listen(port, stop, out):
    settle(READER)
    c = connect("127.0.0.1", port)
    c.call("CDC.SUBSCRIBE", 0, "$")
    c.sock.settimeout(0.2)
    n, begun = 0, time.monotonic()
    while not stop.is_set():
        try:
            # The pushes are counted by their first words, and not taken apart.
            n += c.sock.recv(1 << 18).count(b"$5\r\nevent\r\n")
        except socket.timeout:
            pass
    out.put((n, time.monotonic() - begun))


def catch_up(port, stop, out):
    """From the beginning of the log, again and again; events are counted and not taken apart."""
    settle(READER)
    c = connect("127.0.0.1", port)
    first = slot_cursor(c)
    cursor, n, begun = first, 0, time.monotonic()
    while not stop.is_set():
        cursor, *events = c.call("CDC.READ", 0, cursor, "LIMIT", 10000)
        n += len(events)
        if not events:
            cursor = first
    out.put((n, time.monotonic() - begun))


def slot_cursor(c):
    """Where the slot is that keeps the log."""
    (slot,) = c.call("CDC.SLOT", "LIST", "bench")
    return slot[slot.index(b"cursor") + 1]


READERS = {"alone": None, "CDC.READ": follow, "SUBSCRIBE": listen, "catching up": catch_up}


def phase(port, pid, args, reader):
    """p50 and p99 of the probe in microseconds, writes and events per second, the shard's share of a core."""
    queue = multiprocessing.Queue
    written, times, events, stop = queue(), queue(), queue(), multiprocessing.Event()
    follower = reader and multiprocessing.Process(target=reader, args=(port, stop, events))
    if follower:
        follower.start()
        time.sleep(0.3)
    rate = args.rate / args.writers
    load = [(port, args.seconds, rate, b"v" * 100, written)] * args.writers
    workers = [multiprocessing.Process(target=write, args=words) for words in load]
    workers.append(multiprocessing.Process(target=probe, args=(port, args.seconds, times)))
    cpu, begun = cpu_seconds(pid), time.monotonic()
    for worker in workers:
        worker.start()
    took = sorted(times.get())
    share = (cpu_seconds(pid) - cpu) / (time.monotonic() - begun)
    writes = sum(written.get() for _ in range(args.writers))
    for worker in workers:
        worker.join()
    seen = 0
    if follower:
        stop.set()
        n, seconds = events.get()
        seen = n / seconds
        follower.join()
    return statistics.median(took), took[len(took) * 99 // 100], writes / args.seconds, seen, share


def spread(values, form="{:.2f}"):
    low, mid, high = (form.format(f(values)) for f in (min, statistics.median, max))
    return f"{mid} ({low}..{high})"


def readers(port, pid, args):
    rounds = {name: [] for name in args.readers}
    names = args.readers
    for n in range(args.rounds):
        for name in names[n % len(names) :] + names[: n % len(names)]:
            rounds[name].append(phase(port, pid, args, READERS[name]))
    print("| | probe p50, us | p99, us | p99 to alone | writes/s | events/s | shard's CPU |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, figures in rounds.items():
        p50, p99, writes, seen, share = zip(*figures)
        ratio = [a / b[1] for a, b in zip(p99, rounds[args.readers[0]])]
        print(
            f"| {name} | {statistics.median(p50):.0f} | {spread(p99, '{:.0f}')} | {spread(ratio)}"
            f" | {statistics.median(writes):.0f} | {spread(seen, '{:.0f}') if any(seen) else ''}"
            f" | {statistics.median(share) * 100:.0f} % |"
        )


def images(port, _pid, args):
    c = connect("127.0.0.1", port)
    # No base in between: what is written since the last one is what is counted.
    for option in ("auto-aof-rewrite-percentage", "max-wal-size", "recovery-target-secs"):
        c.call("CONFIG", "SET", option, 0)
    for length in (100, 1000, 10000):
        speed = {"no": [], "yes": []}
        size = {"no": [], "yes": []}
        for n in range(args.rounds):
            for on in ("no", "yes") if n % 2 else ("yes", "no"):
                c.call("CONFIG", "SET", "cdc-before-image", on)
                before = written_bytes(c)
                out = multiprocessing.Queue()
                worker = multiprocessing.Process(target=write, args=(port, args.seconds, 0, b"v" * length, out))
                worker.start()
                writes = out.get()
                worker.join()
                speed[on].append(writes / args.seconds)
                size[on].append((written_bytes(c) - before) / writes)
        ratio = [a / b for a, b in zip(speed["yes"], speed["no"])]
        print(
            f"SET of {length} bytes: {statistics.median(speed['no']):.0f} writes/s without images,"
            f" {statistics.median(speed['yes']):.0f} with, ratio {spread(ratio)};"
            f" {statistics.median(size['no']):.0f} and {statistics.median(size['yes']):.0f} bytes of log a write"
        )
    c.call("CONFIG", "SET", "cdc-before-image", "no")


def written_bytes(c):
    lines = c.call("INFO", "persistence").decode().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("log_since_base:"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, help="command line with {port} and {dir}")
    parser.add_argument("--scratch", help="directory of the server's files")
    parser.add_argument("--only", choices=["readers", "images"], nargs="+", default=["readers", "images"])
    parser.add_argument(
        "--readers", choices=list(READERS), nargs="+", default=list(READERS), help="the first is the measure"
    )
    parser.add_argument("--writers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50000, help="writes a second of all writers beside readers")
    parser.add_argument(
        "--pin",
        action="store_true",
        help="server and clients have a core each; the one that is timed goes before all else there, readers"
        " get what is left (root)",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as directory:
        port = free_port()
        command = shlex.split(args.server.format(port=port, dir=directory))
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if args.pin:
                connect("127.0.0.1", port).call("PING")
                pin_server(server.pid)
                PIN.value = True
            # Every key is there, and the log is long enough to catch up with, and kept.
            connect("127.0.0.1", port).call("CDC.SLOT", "CREATE", "bench", 0, 0)
            out = multiprocessing.Queue()
            write(port, 2, 0, b"v" * 100, out)
            for name, run in (("readers", readers), ("images", images)):
                if name in args.only:
                    run(port, server.pid, args)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
