//! What string and keyspace commands do to a key that holds a collection.

use super::GROUPS;
use crate::args::Args;
use crate::command::CommandTable;
use crate::event::{Class, Event};
use crate::exec::{Host, Session, Shard, ShardConfig};
use crate::types::{End, List};
use std::any::Any;

struct NoHost;

impl Host for NoHost {
    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

const PUSHED: Event = Event::new(Class::LIST, "rpush");

/// A shard where `l` is a list of one element and `s` a string.
fn shard() -> Shard {
    let table = Box::leak(Box::new(CommandTable::new(GROUPS)));
    let mut shard = Shard::new(table, &ShardConfig::default());
    shard.begin_unit();
    let pushed = shard.keyspace(0).edit_or_create(b"l", |list: &mut List, edit| {
        list.push_one(End::Back, b"x", edit.limits);
        edit.changed(PUSHED);
        Ok(())
    });
    assert!(pushed.is_ok());
    run(&mut shard, "SET s v");
    shard
}

fn run(shard: &mut Shard, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    shard.run(&mut NoHost, &mut Session::new(1), Args::new(&words), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn refused_and_unchanged() {
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    let mut shard = shard();
    let before = shard.mem_bytes();
    for line in [
        "GET l",
        "SET l v GET",
        "SET l v IFEQ x",
        "SET l v IFNE x",
        "SET l v IFDEQ 12",
        "SET l v NX GET",
        "GETSET l v",
        "GETDEL l",
        "GETEX l",
        "GETEX l EX 0",
        "APPEND l x",
        "SETRANGE l 0 x",
        "SETRANGE l 0 ",
        "GETRANGE l 0 -1",
        "SUBSTR l 0 1",
        "STRLEN l",
        "INCR l",
        "DECRBY l 2",
        "INCRBYFLOAT l 1",
        "INCREX l",
        "INCREX l EXAT 1",
        "DIGEST l",
        "DELIFEQ l x",
    ] {
        assert_eq!(run(&mut shard, line), wrong, "{line}");
    }
    for (line, want) in [
        ("MGET l s", "*2\r\n$-1\r\n$1\r\nv\r\n"),
        ("LCS l s", "-ERR The specified keys must contain string values\r\n"),
        ("LCS s l FOO", "-ERR The specified keys must contain string values\r\n"),
        ("DELEX l IFEQ x", "-ERR Key should be of string type if conditions are specified\r\n"),
        ("DELEX l FOO x", "-ERR Key should be of string type if conditions are specified\r\n"),
        ("SETNX l v", ":0\r\n"),
        ("TYPE l", "+list\r\n"),
        ("OBJECT ENCODING l", "$8\r\nlistpack\r\n"),
        ("OBJECT REFCOUNT l", ":1\r\n"),
        ("SCAN 0 TYPE list", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nl\r\n"),
    ] {
        assert_eq!(run(&mut shard, line), want, "{line}");
    }
    assert_eq!(shard.mem_bytes(), before);
}

#[test]
fn moved_copied_and_overwritten() {
    let mut shard = shard();
    let objects = |shard: &Shard| shard.dbs.iter().map(|d| d.object_bytes).sum::<usize>();
    let one = objects(&shard);
    assert!(one > 0);
    for (line, want, copies) in [
        ("COPY l m", ":1\r\n", 2),
        ("COPY l s", ":0\r\n", 2),
        ("COPY l s REPLACE", ":1\r\n", 3),
        ("MOVE m 1", ":1\r\n", 3),
        ("RENAME l s", "+OK\r\n", 2),
        ("EXPIRE s 100", ":1\r\n", 2),
        ("RENAMENX s t", ":1\r\n", 2),
        ("TTL t", ":100\r\n", 2),
        ("SET t v", "+OK\r\n", 1),
        ("SWAPDB 0 1", "+OK\r\n", 1),
        ("DELEX m", ":1\r\n", 0),
    ] {
        assert_eq!(run(&mut shard, line), want, "{line}");
        assert_eq!(objects(&shard), copies * one, "{line}");
    }
}
