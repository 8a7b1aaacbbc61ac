#!/usr/bin/env python3
"""Follows the changes of a Moon server: what there is, then what happens, from where it was left.

    examples/cdc_follow.py --port 6379 --state follow.json

prints one envelope a line (JSON, see docs/cdc.md). The state file holds the cursor; it is written after the
events before it have been printed, so a run that is killed repeats some and misses none. Needs Python 3.8 and
nothing else.
"""

import argparse
import json
import os
import socket
import sys
import time


class ServerError(Exception):
    """An error reply."""


class Connection:
    """A connection that speaks RESP2, as far as CDC commands need it."""

    def __init__(self, host, port, timeout=60):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")

    def send(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(
            b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        )

    def call(self, *words):
        self.send(*words)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            body = self.file.read(size + 2)
            if len(body) != size + 2:
                raise ConnectionError("the server has closed the connection")
            return body[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        raise ConnectionError(f"not a reply: {line!r}")


def connect(host, port, patience=30, user=None, password=None):
    """Connects, waiting for a server that starts or reads its data."""
    end = time.monotonic() + patience
    while True:
        try:
            connection = Connection(host, port)
            if password is not None:
                connection.call("AUTH", user or "default", password)
            connection.call("PING")
            return connection
        except (OSError, ServerError) as error:
            refused = isinstance(error, ServerError) and not str(error).startswith("LOADING")
            if refused or time.monotonic() > end:
                raise
            time.sleep(0.1)


class Follower:
    """A position in the changes of one shard: a cursor, and how much of the unit there has been had."""

    def __init__(self, connection, cursor=None, offset=0, shard=0, slot=None, options=()):
        self.connection = connection
        self.cursor, self.offset = cursor, offset
        self.shard, self.slot, self.options = shard, slot, options
        if self.cursor is None:
            self.begin()

    def begin(self):
        """From the newest base on, if there is one. The slot keeps the log behind it meanwhile."""
        first, behind = self.connection.call("CDC.SNAPSHOT", self.shard)
        self.cursor = first.decode() if isinstance(first, bytes) else first
        if self.slot:
            try:
                self.connection.call("CDC.SLOT", "CREATE", self.slot, self.shard, behind)
            except ServerError as error:
                if "there is a slot" not in str(error):
                    raise

    def page(self, block_ms=1000, limit=1000):
        """The next events. They have been had when `done` is called, and not before."""
        words = ["CDC.READ", self.shard, self.cursor, "LIMIT", limit, "OFFSET", self.offset]
        if block_ms:
            words += ["BLOCK", block_ms]
        following, *events = self.connection.call(*words, *self.options)
        self.following = following.decode() if isinstance(following, bytes) else following
        return [json.loads(event) for event in events]

    def position_behind(self, events):
        """The cursor and offset to go on with after a page."""
        last = events[-1] if events else None
        if last and last["source"]["lsn"] == self.following and last["transaction"]:
            # The unit is larger than a page, and goes on.
            return self.following, last["transaction"]["total_order"]
        if not events and self.following == self.cursor:
            return self.cursor, self.offset
        return self.following, 0

    def done(self, events):
        self.cursor, self.offset = self.position_behind(events)

    def acknowledge(self):
        """Lets the server drop what lies before the cursor."""
        if self.slot and isinstance(self.cursor, int):
            self.connection.call("CDC.ACK", self.slot, self.shard, self.cursor)


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def store(path, state):
    """Replaces the file as a whole: a kill leaves the old one or the new one."""
    with open(path + ".tmp", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("--user", help="a user with the right to @cdc and its keys; 'default' without")
    parser.add_argument("--password", default=os.environ.get("MOON_PASSWORD"), help="or MOON_PASSWORD")
    parser.add_argument("--slot", help="a slot of this name keeps the log for this consumer")
    parser.add_argument("--until-idle", action="store_true", help="end when there are no more changes")
    return parser


def follow(args, position, apply):
    """Hands page after page to `apply(events, cursor, offset)`, over restarts of the server."""
    cursor, offset = position
    while True:
        try:
            connection = connect(args.host, args.port, user=args.user, password=args.password)
            follower = Follower(connection, cursor, offset, slot=args.slot)
            while True:
                events = follower.page()
                cursor, offset = follower.position_behind(events)
                moved = (cursor, offset) != (follower.cursor, follower.offset)
                if moved:
                    apply(events, cursor, offset)
                    follower.done(events)
                    # An acknowledgement is a record itself: one for each would never come to rest.
                    if events:
                        follower.acknowledge()
                elif args.until_idle:
                    return
        except (OSError, ConnectionError) as error:
            print(f"the server is away, trying again: {error}", file=sys.stderr)
            time.sleep(0.1)


def main():
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--state", default="follow.json", help="file that holds the cursor")
    args = parser.parse_args()
    state = load(args.state)

    def apply(events, cursor, offset):
        for event in events:
            print(json.dumps(event, ensure_ascii=False))
        sys.stdout.flush()
        store(args.state, {"cursor": cursor, "offset": offset})

    follow(args, (state.get("cursor"), state.get("offset", 0)), apply)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except ServerError as error:
        # CDCGONE: the log no longer reaches back; begin anew without the state file.
        sys.exit(f"the server refuses: {error}")
