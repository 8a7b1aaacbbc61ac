#!/usr/bin/env python3
"""Compare servers of the Redis protocol side by side.

The one idea: on a machine that does other things too, absolute figures drift, ratios of runs that
follow each other drift less. So every round runs all servers right after each other (each round
begins with another one), a ratio is taken within a round, and what is reported is the median of the
rounds with their minimum and maximum. A spread that includes 1.00 shows no difference.

Servers are pinned to one core and the client to another. All figures of a server come from outside
it (redis-benchmark, /proc), except used_memory.

`compare.py all` runs redis-server and this project's server with both network drivers through every
section in about ten minutes and ends with a table of targets (docs/benchmarks.md).

Where the server waited for its core (last table of a section), something else ran there: throughput
and latency of that row say little, CPU per request still stands.
"""

import argparse
import csv
import io
import os
import platform
import random
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SECTIONS = ["throughput", "memory", "recovery", "persistence"]
# Options of Redis; a server that spells them otherwise gets its own with --persist.
PERSIST = {
    "none": '--save "" --appendonly no',
    "everysec": '--save "" --appendonly yes --appendfsync everysec',
    "always": '--save "" --appendonly yes --appendfsync always',
}
# What must be there before a test means anything.
PREFILL = {
    "get": "set",
    "lpop": "lpush",
    "rpop": "rpush",
    "spop": "sadd",
    "zpopmin": "zadd",
    "eval_get": "set",
}
# `compare.py all`: names, command lines and where they take part ({moon} is --moon).
PRESET = [
    ("redis", "redis-server --port {port} --dir {dir} {persist} --auto-aof-rewrite-percentage 0", SECTIONS),
    ("uring", "{moon} --port {port} --dir {dir} --loglevel warning --io-driver uring {persist}", SECTIONS),
    ("epoll", "{moon} --port {port} --dir {dir} --loglevel warning --io-driver epoll {persist}",
     ["throughput", "persistence"]),
    # The same server without a log: what the log costs, within a round.
    ("nolog", "{moon} --port {port} --dir {dir} --loglevel warning --appendonly no", ["persistence"]),
]
PRESET_TESTS = (
    "get,set,ping_inline,ping_mbulk,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,"
    "lrange_100,lrange_300,lrange_500,lrange_600,mset,xadd,eval_get"
)
# What redis-benchmark has no test for: the command to send, {value} of --size bytes.
OWN_TESTS = {
    "xadd": ["XADD", "mystream", "*", "field", "{value}"],
    "eval_get": ["EVAL", "return redis.call('get',KEYS[1])", "1", "key:__rand_int__"],
}
# Section, tests, pipeline, metric, how, bound: what the project wants of a ratio to redis-server. The first
# rows that fit count.
KEYS = ["get", "set"]
WRITES = ["zadd", "xadd", "hset", "sadd", "lpush", "lpop", "incr", "mset"]
TARGETS = [
    ("none", KEYS, 1, "rps", ">=", 1.0), ("none", KEYS, 16, "rps", ">=", 1.3), ("none", KEYS, 64, "rps", ">=", 1.6),
    ("none", KEYS, 16, "cpu", "<=", 0.7), ("none", KEYS, 64, "cpu", "<=", 0.6),
    ("none", WRITES, 1, "rps", ">=", 1.0), ("none", WRITES, 16, "rps", ">=", 1.2), ("none", WRITES, 64, "rps", ">=", 1.2),
    ("none", ["eval_get"], 1, "rps", ">=", 1.0), ("none", None, 16, "rps", ">=", 1.0),
    ("everysec", ["set"], 16, "rps", ">=", 1.2), ("always", ["set"], 16, "rps", ">=", 2.0),
    ("memory", None, None, "rss", "<=", 1.0), ("memory", None, None, "used_memory", "<=", 1.0),
]
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something the caller can put right."""


# --- one server -----------------------------------------------------------------------------------


class Client:
    """A connection that pipelines and counts replies of one line."""

    def __init__(self, port, timeout=120):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def call(self, *words):
        """One command; text of the reply. Errors of the server are raised."""
        self.sock.sendall(encode(words))
        line = self.file.readline().rstrip(b"\r\n")
        if line.startswith(b"-"):
            raise Failure(f"{words[0]}: {line[1:].decode(errors='replace')}")
        if line.startswith((b"$", b"=")) and line != b"$-1":
            return self.file.read(int(line[1:]) + 2)[:-2].decode(errors="replace")
        if not line:
            raise ConnectionError("closed")
        return line[1:].decode(errors="replace")

    def load(self, commands, batch=2000):
        """Sends all commands and waits for as many one-line replies."""
        pending, waiting = [], 0
        for command in commands:
            pending.append(command)
            if len(pending) == batch:
                # The next batch is on its way while the replies of the one before are read.
                self.sock.sendall(b"".join(pending))
                self.take(waiting)
                waiting, pending = len(pending), []
        self.sock.sendall(b"".join(pending))
        self.take(waiting + len(pending))

    def take(self, count):
        for _ in range(count):
            line = self.file.readline()
            if not line.startswith((b"+", b":")):
                raise Failure(f"loading: {line!r}")


def encode(words):
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(out)


class Server:
    """A started server in a directory of its own."""

    def __init__(self, spec, mode, args, directory=None):
        self.spec, self.mode, self.args = spec, mode, args
        self.dir = directory or tempfile.mkdtemp(prefix=f"{spec.name}-", dir=args.scratch)
        self.process = None
        self.start()

    def start(self, wait=True):
        self.port = free_port()
        line = self.spec.line(self.port, self.dir, self.mode)
        words = shlex.split(line)
        if self.args.unix:
            words += ["--unixsocket", self.socket()]
        if "/" in words[0]:
            # The server runs in its own directory, so that nothing it writes stays behind.
            words[0] = os.path.abspath(words[0])
        words = pinned(self.args.server_core) + words
        log = open(os.path.join(self.dir, "output.log"), "ab")
        try:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.dir)
        except OSError as e:
            raise Failure(f"{self.spec.name}: {e}") from e
        finally:
            log.close()
        if wait:
            self.wait_ready()

    def socket(self):
        return os.path.join(self.dir, "socket")

    def address(self):
        """Options of the load generator."""
        return ["-s", self.socket()] if self.args.unix else ["-p", str(self.port)]

    def wait_ready(self, keys=None, timeout=600):
        """Waits until the server answers and, if asked, holds so many keys. Seconds it took."""
        begin = time.monotonic()
        while time.monotonic() - begin < timeout:
            if self.process.poll() is not None:
                raise Failure(f"{self.spec.name} ended with {self.process.returncode}: {self.log_tail()}")
            try:
                with Client(self.port, timeout=5) as client:
                    client.call("PING")
                    if keys is not None and int(client.call("DBSIZE")) != keys:
                        raise Failure(f"{self.spec.name}: {client.call('DBSIZE')} keys, not {keys}")
                    return time.monotonic() - begin
            except Failure as e:
                if "LOADING" not in str(e):
                    raise
            except OSError:
                pass
            time.sleep(0.002)
        raise Failure(f"{self.spec.name}: not ready after {timeout} s: {self.log_tail()}")

    def log_tail(self):
        with open(os.path.join(self.dir, "output.log"), errors="replace") as log:
            return log.read()[-2000:].strip()

    def stop(self, sig=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait()

    def drop(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def call(self, *words):
        with Client(self.port) as client:
            return client.call(*words)

    def cpu(self):
        """Seconds on a CPU and seconds waiting for one, by thread. Without schedstat: clock ticks
        of the process, and no waiting known."""
        base, times = f"/proc/{self.process.pid}", {}
        try:
            for task in os.listdir(f"{base}/task"):
                try:
                    with open(f"{base}/task/{task}/schedstat") as f:
                        ran, waited = f.read().split()[:2]
                        times[task] = int(ran) / 1e9, int(waited) / 1e9
                except FileNotFoundError:
                    # The thread has ended.
                    continue
        except OSError:
            times = {}
        if any(ran for ran, _ in times.values()):
            return times
        with open(f"{base}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return {"process": ((int(fields[11]) + int(fields[12])) / CLOCK_TICK, 0.0)}

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(l.split()[1]) * 1024 for l in f if l.startswith("VmRSS"))

    def used_memory(self):
        found = re.search(r"^used_memory:(\d+)", self.call("INFO", "memory"), re.M)
        return int(found.group(1)) if found else None

    def version(self):
        info = self.call("INFO", "server")
        found = re.search(r"^(moon_version|valkey_version):(\S+)", info, re.M)
        found = found or re.search(r"^(redis_version):(\S+)", info, re.M)
        return f"{found.group(1)} {found.group(2)}" if found else "unknown"


class Spec:
    """A server as given on the command line."""

    def __init__(self, text, sections=SECTIONS):
        self.sections = sections
        self.name, _, self.command = text.partition("=")
        if not self.name or not self.command:
            raise argparse.ArgumentTypeError("NAME=COMMAND is needed")
        if "{port}" not in self.command:
            raise argparse.ArgumentTypeError("the command must contain {port}")
        self.persist = dict(PERSIST)

    def line(self, port, directory, mode):
        # Not str.format: a command may contain other braces.
        line = self.command.replace("{port}", str(port)).replace("{dir}", shlex.quote(directory))
        return line.replace("{persist}", self.persist[mode])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core):
    return [] if core < 0 else ["taskset", "-c", str(core)]


# --- rounds ---------------------------------------------------------------------------------------


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


class Samples:
    """Values of one metric, by server, one per round."""

    def __init__(self, names):
        self.names = names
        self.by_name = {name: [] for name in names}

    def add(self, name, value):
        self.by_name[name].append(value)

    def value(self, name, digits):
        return spread(self.by_name[name], digits)

    def pairs(self, name):
        first = self.by_name[self.names[0]]
        return [b / a for a, b in zip(first, self.by_name[name]) if a and b is not None]

    def ratio(self, name):
        return spread(self.pairs(name), 2)

    def cells(self, digits):
        """Values of all servers, then the ratios of the others to the first."""
        values = [self.value(name, digits) for name in self.names]
        return values + [self.ratio(name) for name in self.names[1:]]


def spread(values, digits):
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0], digits)
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{number(mid, digits)} ({number(low, digits)}..{number(high, digits)})"


def number(value, digits):
    return f"{value:,.{digits}f}".replace(",", " ")


def heading(first, names):
    cells = first + names + [f"{name}/{names[0]}" for name in names[1:]]
    rule = ["---"] * len(first) + ["---:"] * (len(cells) - len(first))
    return f"| {' | '.join(cells)} |\n| {' | '.join(rule)} |"


def row(cells):
    return f"| {' | '.join(str(c) for c in cells)} |"


def target(section, test, pipeline, metric):
    """Direction and bound, if there is a target."""
    for where, tests, depth, what, how, bound in TARGETS:
        if (where, depth, what) == (section, pipeline, metric) and (tests is None or test in tests):
            return how, bound
    return None


class Report:
    """Markdown, written as it comes, so that an interrupted run keeps what it has."""

    def __init__(self, path):
        self.file = open(path, "w") if path else sys.stdout
        self.met, self.missed = 0, []

    def judge(self, section, test, pipeline, metric, samples):
        """Holds the ratios of the others to the first against the targets."""
        wanted = target(section, test, pipeline, metric)
        if wanted is None or samples.names[0] != "redis":
            return
        how, bound = wanted
        for name in samples.names[1:]:
            pairs = samples.pairs(name)
            if name == "nolog" or not pairs:
                continue
            mid = statistics.median(pairs)
            if mid >= bound if how == ">=" else mid <= bound:
                self.met += 1
            else:
                self.missed.append([section, test, pipeline or "", metric, name, f"{how} {bound}", spread(pairs, 2)])

    def verdict(self):
        if self.met + len(self.missed) == 0:
            return
        self.line(f"\n### Targets: {self.met} met, {len(self.missed)} missed\n")
        if self.missed:
            self.line("| section | test | pipeline | metric | server | target | ratio |\n" + "| --- " * 7 + "|")
            for cells in self.missed:
                self.line(row(cells))

    def line(self, text=""):
        print(text, file=self.file, flush=True)


def note(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


# --- load -----------------------------------------------------------------------------------------


def benchmark(server, test, requests, pipeline, args):
    """One run of redis-benchmark: requests per second, latencies, server CPU per request."""
    words = pinned(args.client_core) + [
        args.benchmark, *server.address(), "-n", str(requests), "-P", str(pipeline),
        "-c", str(args.clients), "-r", str(args.keyspace), "-d", str(args.size), "--csv",
    ]
    if test in OWN_TESTS:
        words += [word.format(value="x" * args.size) for word in OWN_TESTS[test]]
    else:
        words += ["-t", test]
    before, begin = server.cpu(), time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=900)
    after, seconds = server.cpu(), time.monotonic() - begin
    # Some tests fill a list first; the one asked for is the last row.
    rows = [r for r in csv.DictReader(io.StringIO(done.stdout)) if r.get("rps")]
    if done.returncode != 0 or not rows:
        raise Failure(f"{server.spec.name} {test}: {(done.stderr + done.stdout).strip()[-500:]}")
    last = rows[-1]
    ran = sum(a - before.get(task, (0, 0))[0] for task, (a, _) in after.items())
    waited = sum(a - before.get(task, (0, 0))[1] for task, (_, a) in after.items())
    return {
        "rps": float(last["rps"]),
        "p50": float(last["p50_latency_ms"]),
        "p99": float(last["p99_latency_ms"]),
        "cpu": ran * 1e6 / (requests * len(rows)),
        "wait": waited * 100 / seconds,
    }


def grid(report, title, mode, tests, pipelines, args):
    """Throughput, latency and CPU of every test and pipeline depth."""
    specs = taking_part(args, "throughput" if mode == "none" else "persistence")
    names = [spec.name for spec in specs]
    servers = []
    tables = {"rps": [], "p50": [], "p99": [], "cpu": [], "wait": []}
    try:
        servers = [Server(spec, mode, args) for spec in specs]
        for test in tests:
            for pipeline in pipelines:
                note(f"{title}: {test} -P {pipeline}")
                samples = {metric: Samples(names) for metric in tables}
                try:
                    requests = calibrate(servers[0], test, pipeline, args)
                    for turn in range(args.rounds):
                        for server in rotated(servers, turn):
                            server.call("FLUSHALL")
                            prefill(server, test, requests, args)
                            result = benchmark(server, test, requests, pipeline, args)
                            for metric, value in result.items():
                                samples[metric].add(server.spec.name, value)
                except Failure as e:
                    # One server may lack a command; the rest of the grid still stands.
                    note(f"left out: {e}")
                    missing = ["failed"] + ["-"] * (2 * len(names) - 2)
                    for table in tables.values():
                        table.append(row([test, pipeline] + missing))
                    continue
                for metric, digits in [("rps", 0), ("p50", 3), ("p99", 3), ("cpu", 2), ("wait", 0)]:
                    report.judge(mode, test, pipeline, metric, samples[metric])
                    tables[metric].append(row([test, pipeline] + samples[metric].cells(digits)))
    finally:
        for server in servers:
            server.drop()
    for metric, what in [
        ("rps", "requests per second"),
        ("p50", f"p50 latency in ms at full load, {args.clients} clients"),
        ("p99", f"p99 latency in ms at full load, {args.clients} clients"),
        ("cpu", "server CPU per request in microseconds"),
        ("wait", "share of the time the server waited for its core, in percent"),
    ]:
        report.line(f"\n### {title}: {what}\n")
        report.line(heading(["test", "pipeline"], names))
        for line in tables[metric]:
            report.line(line)


def taking_part(args, section):
    return [spec for spec in args.server if section in spec.sections]


def calibrate(server, test, pipeline, args):
    """Requests that take about the wished time; the same number for all servers."""
    server.call("FLUSHALL")
    probe = max(args.clients * pipeline * 10, 5000)
    prefill(server, test, probe, args)
    rps = benchmark(server, test, probe, pipeline, args)["rps"]
    return max(int(rps * args.seconds), probe)


def prefill(server, test, requests, args):
    source = PREFILL.get(test)
    if source is None:
        return
    # What is popped must be there: as many members as requests.
    count = args.keyspace if test == "get" else requests
    benchmark(server, source, max(count, args.clients), 64, args)


def throughput(report, args):
    grid(report, "Throughput (no persistence)", "none", args.tests, args.pipelines, args)


def persistence(report, args):
    for mode in args.modes:
        grid(report, f"Persistence {mode}", mode, args.persist_tests, args.persist_pipelines, args)


# --- memory ---------------------------------------------------------------------------------------


def strings(keys, size, first=0):
    """Values that no compression makes smaller, so that what is on disk is what was stored."""
    noise = random.Random(1).randbytes(size + (1 << 16))
    for i in range(first, keys):
        at = i * 61 & 0xFFFF
        yield b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" % (i, size, noise[at : at + size])


def collections(kind, keys):
    """Keys with five elements of 16 bytes each."""
    items = [b"element:%08d" % i for i in range(5)]
    fields = [b"field:%010d" % i for i in range(5)]
    body = {
        "hash": (b"HSET", [w for pair in zip(fields, items) for w in pair]),
        "list": (b"RPUSH", items),
        "set": (b"SADD", items),
        "zset": (b"ZADD", [w for i, item in enumerate(items) for w in (b"%d" % i, item)]),
    }
    verb, words = body[kind]
    for i in range(keys):
        yield encode([verb, b"key:%012d" % i] + words)


def memory_of(spec, keys, make, args):
    """Bytes per key on a fresh server."""
    server = Server(spec, "none", args)
    try:
        before = server.rss(), server.used_memory()
        with Client(server.port) as client:
            client.load(make(keys))
            if int(client.call("DBSIZE")) != keys:
                raise Failure(f"{spec.name}: {client.call('DBSIZE')} keys, not {keys}")
        time.sleep(args.settle)
        after = server.rss(), server.used_memory()
    finally:
        server.drop()
    known = None not in before + after
    return {
        "rss": (after[0] - before[0]) / keys,
        "used_memory": (after[1] - before[1]) / keys if known else None,
    }


def memory(report, args):
    specs = taking_part(args, "memory")
    names = [spec.name for spec in specs]
    loads = [(f"string {size} B", args.keys, lambda k, s=size: strings(k, s)) for size in args.sizes]
    few = max(args.keys // 5, 1)
    for kind in ["hash", "list", "set", "zset"]:
        loads.append((f"{kind} 5 x 16 B", few, lambda k, t=kind: collections(t, k)))
    tables = {"rss": [], "used_memory": []}
    for title, keys, make in loads:
        samples = {metric: Samples(names) for metric in tables}
        note(f"memory: {title}")
        try:
            for turn in range(args.memory_rounds):
                for spec in rotated(specs, turn):
                    for metric, value in memory_of(spec, keys, make, args).items():
                        samples[metric].add(spec.name, value)
        except Failure as e:
            note(f"left out: {e}")
            for table in tables.values():
                table.append(row([title, number(keys, 0), "failed"] + ["-"] * (2 * len(names) - 2)))
            continue
        for metric, table in tables.items():
            report.judge("memory", title, None, metric, samples[metric])
            table.append(row([title, number(keys, 0)] + samples[metric].cells(1)))
    for metric, table in tables.items():
        report.line(f"\n### Bytes per key by {metric} (key of 16 bytes included)\n")
        report.line(heading(["data", "keys"], names))
        for line in table:
            report.line(line)


# --- recovery -------------------------------------------------------------------------------------


def disk_bytes(directory):
    total = 0
    for base, _, files in os.walk(directory):
        for name in files:
            if name != "output.log":
                total += os.stat(os.path.join(base, name)).st_blocks * 512
    return total


def base_bytes(directory):
    """Size of the snapshot that a start begins with; both servers call it `*.base.rdb`."""
    sizes = [0]
    for base, _, files in os.walk(directory):
        sizes += [os.stat(os.path.join(base, name)).st_size for name in files if name.endswith(".base.rdb")]
    return max(sizes)


def rewrite(server):
    """Makes a new base and waits for it."""
    for _ in range(3000):
        try:
            server.call("BGREWRITEAOF")
            break
        except Failure:
            time.sleep(0.2)
    time.sleep(0.5)
    while re.search(r"aof_rewrite_(in_progress|scheduled):1", server.call("INFO", "persistence")):
        time.sleep(0.1)


def prepared(spec, source, args):
    """A killed server whose keys are in its log, in its base, or half of them in each."""
    server = Server(spec, "everysec", args)
    with Client(server.port) as client:
        if source == "both":
            client.load(strings(args.keys // 2, args.recovery_size))
            rewrite(server)
        client.load(strings(args.keys, args.recovery_size, args.keys // 2 if source == "both" else 0))
    if source == "base":
        rewrite(server)
    # everysec: two seconds later all of it is durable.
    time.sleep(3)
    server.stop()
    return server


def recovery(report, args):
    """Time from the start of a killed server until it answers with every key."""
    specs = taking_part(args, "recovery")
    names = [spec.name for spec in specs]
    report.line(f"\n### Recovery of {number(args.keys, 0)} strings of {args.recovery_size} B after SIGKILL\n")
    report.line(heading(["keys are in", "what"], names))
    for source in args.recovery_from.split(","):
        seconds, speed, size = Samples(names), Samples(names), Samples(names)
        servers = []
        try:
            for spec in specs:
                note(f"recovery: loading {spec.name}, {source}")
                server = prepared(spec, source, args)
                servers.append(server)
                size.add(spec.name, disk_bytes(server.dir) / (1 << 20))
            for turn in range(args.rounds):
                for server in rotated(servers, turn):
                    note(f"recovery: {server.spec.name}")
                    begin = time.monotonic()
                    server.start(wait=False)
                    server.wait_ready(keys=args.keys)
                    took = time.monotonic() - begin
                    seconds.add(server.spec.name, took)
                    speed.add(server.spec.name, base_bytes(server.dir) / took / 1e6)
                    server.stop()
        finally:
            for server in servers:
                server.drop()
        report.line(row([source, "seconds until all keys are served"] + seconds.cells(2)))
        if source == "base":
            report.line(row([source, "MB of base a second"] + speed.cells(0)))
        report.line(row([source, "MiB allocated on disk (preallocated ones too)"] + size.cells(0)))


# --- command line ---------------------------------------------------------------------------------


def cpu_model():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def preface(report, args):
    tool = subprocess.run([args.benchmark, "--version"], capture_output=True, text=True).stdout.strip()
    report.line("Command:\n\n```text")
    report.line(" ".join([os.path.basename(sys.argv[0])] + [shlex.quote(a) for a in sys.argv[1:]]))
    report.line("```\n")
    for spec in args.server:
        server = Server(spec, "none", args)
        try:
            report.line(f"* {spec.name}: {server.version()}: `{spec.command}`")
        finally:
            server.drop()
    report.line(f"* load: {tool}, {args.clients} clients, keys 0..{args.keyspace}, values of {args.size} bytes")
    cores = f"server on core {args.server_core}, client on core {args.client_core}"
    report.line(f"* machine: {cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}; {cores}")
    load = os.getloadavg()[0]
    report.line(f"* load average at the start: {load:.1f} (the figures of a busy machine are ratios, no more)")
    report.line(
        f"\nCells are the median of {args.rounds} rounds with (minimum..maximum); ratios are taken within a "
        f"round. Memory: {args.memory_rounds} rounds."
    )


def parse(argv):
    def words(text):
        return [w for w in text.split(",") if w]

    def numbers(text):
        return [int(w) for w in words(text)]

    p = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The date is left to whoever publishes the table.",
    )
    p.add_argument("preset", nargs="?", choices=["all"], help="a fixed set of servers and tests")
    p.add_argument("--moon", default="target/release/moon", help="program of the preset")
    p.add_argument(
        "--server", type=Spec, action="append", default=[], metavar="NAME=COMMAND",
        help="a server; {port}, {dir} and {persist} are filled in. The first is what ratios refer to",
    )
    p.add_argument(
        "--persist", action="append", default=[], metavar="NAME:MODE=OPTIONS",
        help="what {persist} is for a server and a mode (none, everysec, always); "
        "by default the options of redis-server",
    )
    p.add_argument("--only", type=words, default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    p.add_argument("--tests", type=words, default=words(
        "ping_mbulk,set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset"))
    p.add_argument("--pipelines", type=numbers, default=[1, 16, 64])
    p.add_argument("--modes", type=words, default=list(PERSIST), help="of none,everysec,always")
    p.add_argument("--persist-tests", type=words, default=["set"])
    p.add_argument("--persist-pipelines", type=numbers, default=[1, 16])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--memory-rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=2.0, help="length of one run, about")
    p.add_argument("--clients", type=int, default=50)
    p.add_argument("--keyspace", type=int, default=100_000)
    p.add_argument("--size", type=int, default=64, help="bytes of a value")
    p.add_argument("--keys", type=int, default=1_000_000, help="keys of memory and recovery")
    p.add_argument("--recovery-size", type=int, default=64, help="bytes of a value of recovery")
    p.add_argument("--recovery-from", default="log,base,both", help="where the keys are: log, base, both")
    p.add_argument("--sizes", type=numbers, default=[8, 64, 256, 1024], help="value sizes of memory")
    p.add_argument("--settle", type=float, default=1.0, help="seconds before memory is read")
    p.add_argument("--server-core", type=int, default=0, help="-1: not pinned")
    p.add_argument("--client-core", type=int, default=1, help="-1: not pinned")
    p.add_argument(
        "--benchmark", default="redis-benchmark",
        help="load generator; target/release/examples/load costs less, and knows the tests set and get",
    )
    p.add_argument("--unix", action="store_true", help="clients come over a Unix socket, not TCP")
    p.add_argument("--scratch", help="where data directories are made; a real disk for persistence")
    p.add_argument("--out", help="file for the tables; by default the standard output")
    if argv[:1] == ["all"]:
        p.set_defaults(tests=PRESET_TESTS.split(","), modes=["everysec", "always"], persist_pipelines=[1, 16, 64])
        p.set_defaults(rounds=5, memory_rounds=1, seconds=0.4, settle=0.5)
    args = p.parse_args(argv)
    if args.preset:
        moon = shlex.quote(os.path.abspath(args.moon))
        preset = [Spec(f"{name}={line.replace('{moon}', moon)}", where) for name, line, where in PRESET]
        args.server = preset + args.server
    if not args.server:
        p.error("--server or the preset `all` is needed")
    by_name = {spec.name: spec for spec in args.server}
    if len(by_name) != len(args.server):
        p.error("two servers have the same name")
    for text in args.persist:
        found = re.fullmatch(r"([^:]+):(none|everysec|always)=(.*)", text, re.S)
        if not found or found.group(1) not in by_name:
            p.error(f"--persist {text}: NAME:MODE=OPTIONS with a NAME of --server is needed")
        by_name[found.group(1)].persist[found.group(2)] = found.group(3)
    for given, known in [(args.only, SECTIONS), (args.modes, list(PERSIST))]:
        unknown = [g for g in given if g not in known]
        if unknown:
            p.error(f"unknown: {','.join(unknown)} (of {','.join(known)})")
    if args.rounds < 1 or args.memory_rounds < 1:
        p.error("at least one round")
    for tool in [args.benchmark] + (["taskset"] if max(args.server_core, args.client_core) >= 0 else []):
        if shutil.which(tool) is None:
            p.error(f"{tool} is not installed")
    return args


def main(argv):
    args = parse(argv)
    # Everything the servers write goes into one directory that goes away with the run.
    args.scratch = tempfile.mkdtemp(prefix="compare-", dir=args.scratch)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = 0
        report = Report(args.out)
        preface(report, args)
        for section, run in zip(SECTIONS, [throughput, memory, recovery, persistence]):
            if section not in args.only:
                continue
            try:
                run(report, args)
            except Failure as e:
                # What the other sections measure still stands.
                note(f"{section} failed: {e}")
                report.line(f"\n{section}: failed: {e}")
                code = 1
        report.verdict()
        note(f"done; load average {os.getloadavg()[0]:.1f}")
        return code
    except Failure as e:
        note(f"failed: {e}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
