//! Fields with a time to live, put there by hand: due ones are not seen, and what rests on
//! their being gone is logged so that it comes out the same where nothing is due.

use super::super::GROUPS;
use crate::args::Args;
use crate::clock::Now;
use crate::command::CommandTable;
use crate::error::CmdResult;
use crate::event::{Class, Event};
use crate::exec::{Host, Session, Shard, ShardConfig};
use crate::journal::EffectSink;
use crate::types::Hash;
use moon_formats::wal::RecordType;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

struct NoHost;

impl Host for NoHost {
    fn admit(&mut self, _: &Session, _: &crate::command::Command, _: Args<'_>) -> CmdResult {
        Ok(())
    }

    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[derive(Default)]
struct Recorder(RefCell<Vec<Vec<u8>>>);

impl EffectSink for Recorder {
    fn append(&self, _: RecordType, _: u16, payload: &[u8]) -> u64 {
        self.0.borrow_mut().push(payload.to_vec());
        self.last_lsn()
    }

    fn last_lsn(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn admit(&self, _: bool) -> CmdResult {
        Ok(())
    }
}

const NOW_MS: u64 = 1_000_000;

/// A shard at [`NOW_MS`] with a hash `h`: `gone` was due long ago, `soon` lasts, `stays` has no
/// time to live.
fn shard() -> Shard {
    let table = Box::leak(Box::new(CommandTable::new(GROUPS)));
    let mut shard = Shard::new(table, &ShardConfig::default());
    shard.set_now(Now::new(NOW_MS as i64 * 1000, 0));
    shard.begin_unit();
    let set = shard.keyspace(0).edit_or_create(b"h", |hash: &mut Hash, edit| {
        for (field, expire) in [("gone", Some(5)), ("soon", Some(NOW_MS + 100)), ("stays", None)] {
            hash.set(field.as_bytes(), b"7", edit.limits);
            hash.set_expire(field.as_bytes(), expire);
        }
        edit.changed(Event::new(Class::HASH, "hset"));
        Ok(())
    });
    assert!(set.is_ok());
    shard
}

fn run(shard: &mut Shard, line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    shard.run(&mut NoHost, &mut Session::new(1), Args::new(&words), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn due_fields_are_not_seen() {
    let mut shard = shard();
    for (line, want) in [
        ("HGET h gone", "$-1\r\n"),
        ("HGET h soon", "$1\r\n7\r\n"),
        ("HMGET h gone stays", "*2\r\n$-1\r\n$1\r\n7\r\n"),
        ("HEXISTS h gone", ":0\r\n"),
        ("HSTRLEN h gone", ":0\r\n"),
        ("HLEN h", ":2\r\n"),
        ("HKEYS h", "*2\r\n$4\r\nsoon\r\n$5\r\nstays\r\n"),
        ("HVALS h", "*2\r\n$1\r\n7\r\n$1\r\n7\r\n"),
        ("HGETALL h", "*4\r\n$4\r\nsoon\r\n$1\r\n7\r\n$5\r\nstays\r\n$1\r\n7\r\n"),
        ("HSCAN h 0 NOVALUES", "*2\r\n$1\r\n0\r\n*2\r\n$4\r\nsoon\r\n$5\r\nstays\r\n"),
        ("HRANDFIELD h 9", "*2\r\n$4\r\nsoon\r\n$5\r\nstays\r\n"),
    ] {
        assert_eq!(run(&mut shard, line), want, "{line}");
    }
}

#[test]
fn changes_come_out_the_same_where_nothing_is_due() {
    for (line, want, expires) in [
        ("HSETNX h gone 1", ":1\r\n", None),
        ("HSETNX h soon 1", ":0\r\n", Some(NOW_MS + 100)),
        ("HINCRBY h gone 2", ":2\r\n", None),
        ("HINCRBY h soon 2", ":9\r\n", Some(NOW_MS + 100)),
        ("HINCRBYFLOAT h gone 0.5", "$3\r\n0.5\r\n", None),
        ("HINCRBYFLOAT h soon 0.5", "$3\r\n7.5\r\n", Some(NOW_MS + 100)),
        ("HINCRBYFLOAT h stays 0.5", "$3\r\n7.5\r\n", None),
        ("HSET h gone 1", ":0\r\n", None),
        ("HSET h soon 1", ":0\r\n", None),
    ] {
        let (mut shard, mut other) = (shard(), shard());
        let log = Rc::new(Recorder::default());
        let sink: Rc<Recorder> = Rc::clone(&log);
        shard.journal.attach(sink);
        assert_eq!(run(&mut shard, line), want, "{line}");
        for payload in log.0.borrow().iter() {
            other.apply(0, payload).expect("what was logged applies");
        }
        let field = line.split(' ').nth(2).unwrap();
        let look = |shard: &mut Shard| {
            shard.begin_unit();
            let mut keyspace = shard.keyspace(0);
            let hash = keyspace.collection::<Hash>(b"h").unwrap().unwrap();
            let (value, expire) = hash.get_with_expire(field.as_bytes(), 0).unwrap();
            (value.to_vec(), expire, hash.digest())
        };
        let (ours, theirs) = (look(&mut shard), look(&mut other));
        assert_eq!(ours.1, expires, "{line}");
        assert_eq!(ours, theirs, "{line}");
    }
}
