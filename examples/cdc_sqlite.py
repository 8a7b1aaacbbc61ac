#!/usr/bin/env python3
"""Keeps a copy of a Moon server's keys in SQLite, and every change that led to it.

    examples/cdc_sqlite.py --port 6379 --database copy.db

Events and the cursor behind them go into one transaction, so the copy is exact whenever the consumer or the
server is killed: an event that comes twice is the same row of `changes` and is applied once.

`keys` holds strings (SET and its kind) and hashes (as JSON) as they are, also where keys are renamed, moved,
copied and databases swapped; of other types it holds what the base held, and nothing once a command has changed
them: what that command was is in `changes`. Of a key that was copied out of another database it holds nothing.
"""

import base64
import json
import sqlite3
import sys

from cdc_follow import ServerError, arguments, follow

SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    shard INTEGER, lsn INTEGER, ord INTEGER, op TEXT, db INTEGER, key BLOB, envelope TEXT,
    PRIMARY KEY (shard, lsn, ord)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
    db INTEGER, key BLOB, type TEXT, value BLOB, ttl_ms INTEGER, lsn INTEGER,
    PRIMARY KEY (db, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (shard INTEGER PRIMARY KEY, cursor TEXT, part INTEGER);
"""


def raw(value):
    """Bytes of a string as it stands in an envelope."""
    if isinstance(value, dict):
        return base64.b64decode(value["_b64"])
    return None if value is None else value.encode()


def order(event):
    return event["transaction"]["total_order"] if event["transaction"] else 1


class Copy:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(SCHEMA)

    def position(self):
        row = self.db.execute("SELECT cursor, part FROM position WHERE shard = 0").fetchone()
        if row is None:
            return None, 0
        cursor, part = row
        return (int(cursor) if cursor.isdigit() else cursor), part

    def apply(self, events, cursor, offset):
        self.db.execute("BEGIN IMMEDIATE")
        for event in events:
            self.one(event, events)
        self.db.execute("REPLACE INTO position VALUES (0, ?, ?)", (str(cursor), offset))
        self.db.execute("COMMIT")

    def one(self, event, events):
        source, op = event["source"], event["op"]
        row = event["after"] or event["before"]
        db, key = row["db"], raw(row["key"])
        if op == "r":
            return self.row(event, db, key)
        new = self.db.execute(
            "INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)",
            (source["shard"], source["lsn"], order(event), op, db, key, json.dumps(event)),
        )
        if new.rowcount == 0:
            return
        if op == "d":
            self.db.execute("DELETE FROM keys WHERE db = ? AND key = ?", (db, key))
        elif op == "t":
            self.db.execute("DELETE FROM keys WHERE ? IS NULL OR db = ?", (db, db))
        elif op == "m" and event["after"]["command"] == "SWAPDB":
            self.swap(*(int(number) for number in event["after"]["args"]))
        elif key is not None:
            self.change(event["after"], db, key, source["lsn"], events)

    def row(self, event, db, key):
        after = event["after"]
        value = after["value"]
        if after["type"] == "hash":
            value = json.dumps({json.dumps(pair[0]): pair[1] for pair in value}).encode()
        elif after["type"] != "string":
            value = json.dumps(value).encode()
        else:
            value = raw(value)
        self.put(db, key, after["type"], value, after.get("ttl_ms"), event["source"]["lsn"])

    def swap(self, one, other):
        # Through a number that no database has: the key of the table stays unique.
        for old, new in ((one, -1), (other, one), (-1, other)):
            self.db.execute("UPDATE keys SET db = ? WHERE db = ?", (new, old))

    def found(self, db, key):
        return self.db.execute(
            "SELECT type, value, ttl_ms FROM keys WHERE db = ? AND key = ?", (db, key)
        ).fetchone()

    def change(self, after, db, key, lsn, events):
        command, args = after["command"].upper(), after["args"]
        found = self.found(db, key)
        kind, old, ttl = found or (after["type"], None, None)
        if "value" in after:
            keeps = any(isinstance(a, str) and a.upper() == "KEEPTTL" for a in args[2:])
            ttl = ttl if keeps else after.get("ttl_ms")
            self.put(db, key, "string", raw(after["value"]), ttl, lsn)
        elif command in ("PEXPIREAT", "PERSIST"):
            self.put(db, key, kind, old, after.get("ttl_ms"), lsn)
        elif command in ("HSET", "HMSET", "HSETNX", "HDEL") and (found is None or old is not None):
            fields = json.loads(old) if old else {}
            names = args[1:] if command == "HDEL" else args[1::2]
            for at, name in enumerate(names):
                if command == "HDEL":
                    fields.pop(json.dumps(name), None)
                else:
                    fields[json.dumps(name)] = args[2 + 2 * at]
            self.put(db, key, "hash", json.dumps(fields).encode(), ttl, lsn)
        elif command in ("RENAME", "RENAMENX"):
            self.put(db, key, *(self.found(db, raw(args[0])) or (None, None, None)), lsn)
        elif command == "COPY":
            elsewhere = any(isinstance(a, str) and a.upper() == "DB" for a in args[2:])
            copied = None if elsewhere else self.found(db, raw(args[0]))
            self.put(db, key, *(copied or (None, None, None)), lsn)
        elif command == "MOVE":
            # Where it came from is in its removal, which follows in the same unit.
            left = (e["before"]["db"] for e in events
                    if e["op"] == "d" and e["source"]["lsn"] == lsn and raw(e["before"]["key"]) == key)
            moved = self.found(next(left, None), key)
            self.put(db, key, *(moved or (None, None, None)), lsn)
        else:
            self.put(db, key, kind, None, ttl, lsn)

    def put(self, db, key, kind, value, ttl_ms, lsn):
        self.db.execute(
            "REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?)", (db, key, kind, value, ttl_ms, lsn)
        )


def main():
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("--database", default="copy.db")
    args = parser.parse_args()
    copy = Copy(args.database)
    follow(args, copy.position(), copy.apply)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
    except ServerError as error:
        sys.exit(f"the server refuses: {error}")
