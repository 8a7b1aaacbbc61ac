//! A shard to talk to in lines of text.
//!
//! [`check`] runs a script:
//!
//! ```text
//! > SET k v EX 10          a command; "..." takes \n, \t, \xHH, \" and \\
//! +OK                      its reply, see below
//! = SET k v PXAT 1010000   what was logged; without such lines anything may be
//! = -                      nothing was logged
//! @ +500                   the clock goes on by milliseconds; it starts at 1000000
//! ! resp3                  replies are RESP3 from here on
//! ```
//!
//! Replies: `+OK`, `-ERR ...`, `:1`, bulk strings as they are (`""` if empty), `$-1`, `*-1` and
//! `_` for the nulls, `[a b]`, `{key value}` (RESP3 map), `~[a]` (set), `,1.5` (double). After
//! a script, what was logged is replayed into a second shard, which must come out the same.

use moon_ds::ValueRef;
use moon_engine::args::Args;
use moon_engine::clock::Now;
use moon_engine::command::CommandTable;
use moon_engine::commands::GROUPS;
use moon_engine::error::CmdResult;
use moon_engine::exec::{Host, Session, Shard, ShardConfig};
use moon_engine::journal::EffectSink;
use moon_engine::reload::{ReloadError, Through};
use moon_engine::types::Object;
use moon_formats::resp::{CommandIter, Proto, encode_command};
use moon_formats::value::Value;
use moon_formats::wal::{BeforeImage, Command, Payload, RecordType};
use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::OnceLock;

/// No server around the engine.
pub(crate) struct NoHost;

impl Host for NoHost {
    fn ticks(&self) -> u64 {
        0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The records of a shard's log.
#[derive(Default)]
struct Recorder(RefCell<Vec<(u16, u8, Vec<u8>)>>);

impl EffectSink for Recorder {
    fn append(&self, _: RecordType, flags: u8, db: u16, payload: &[u8]) -> u64 {
        self.0.borrow_mut().push((db, flags, payload.to_vec()));
        self.last_lsn()
    }

    fn last_lsn(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    fn admit(&self, _: bool) -> CmdResult {
        Ok(())
    }
}

/// The engine's command table.
pub(crate) fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(|| CommandTable::new(GROUPS))
}

/// Value (collections by type and digest) and time to live of every key, by database and name.
pub(crate) type State = BTreeMap<(usize, String), (String, Option<u64>)>;

/// A shard with one client and a recorded log.
pub(crate) struct Harness {
    pub(crate) shard: Shard,
    pub(crate) session: Session,
    log: Rc<Recorder>,
    seen: usize,
    now_ms: u64,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let mut h = Harness {
            shard: Shard::new(table(), &ShardConfig::default()),
            session: Session::new(1),
            log: Rc::default(),
            seen: 0,
            now_ms: 0,
        };
        let log: Rc<Recorder> = Rc::clone(&h.log);
        h.shard.journal.attach(log);
        h.advance(1_000_000);
        h
    }

    /// Lets time go on.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        let us = self.now_ms * 1000;
        self.shard.set_now(Now::new(us as i64, us));
    }

    /// Active expiry with a budget.
    pub(crate) fn expire(&mut self, budget: usize) -> usize {
        self.shard.expire_cycle(&mut NoHost, budget)
    }

    /// Runs a command and returns the bytes of its reply.
    pub(crate) fn raw(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        self.shard.run(&mut NoHost, &mut self.session, Args::new(words), &mut out);
        out
    }

    /// Runs a command given as a line and returns its reply as text.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words = split(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        render(&self.raw(&words))
    }

    /// What has been logged since the last call, one line a command.
    pub(crate) fn effects(&mut self) -> Vec<String> {
        let log = self.log.0.borrow();
        let mut lines = Vec::new();
        for (_, flags, payload) in &log[self.seen..] {
            let mut words = Vec::new();
            let resp = Command::resp_of(payload, *flags).expect("effects are there");
            let mut iter = CommandIter::new(resp, 0);
            while iter.next_into(&mut words).expect("effects are commands") {
                let words: Vec<String> = words.iter().map(|w| show(w)).collect();
                lines.push(words.join(" "));
            }
        }
        self.seen = log.len();
        lines
    }

    /// A second shard made from what the first one logged.
    pub(crate) fn replayed(&self) -> Harness {
        let mut other = Harness::new();
        other.advance(self.now_ms - other.now_ms);
        let mut known = Names::new();
        for (db, flags, payload) in self.log.0.borrow().iter() {
            other.shard.apply(*db, *flags, payload).expect("what was logged applies");
            follow(&mut known, *db, *flags, payload);
            assert_eq!(known, other.names(), "what is said of keys behind {}", show(payload));
        }
        other
    }

    fn names(&self) -> Names {
        let dbs = self.shard.dbs().iter().enumerate();
        dbs.flat_map(|(n, db)| db.table().iter().map(move |e| (n, e.key().to_vec()))).collect()
    }

    /// What was logged last, with what it says of keys.
    pub(crate) fn last_record(&self) -> String {
        let log = self.log.0.borrow();
        let (_, flags, payload) = log.last().expect("something was logged");
        Command::decode(payload, *flags, 0).expect("a payload").to_string()
    }

    /// Everything in the databases, expired keys taken out first.
    pub(crate) fn state(&mut self) -> State {
        while self.expire(100) > 0 {}
        let mut state = State::new();
        for (n, db) in self.shard.dbs().iter().enumerate() {
            for e in db.table().iter() {
                let value = match e.value() {
                    ValueRef::Int(n) => n.to_string(),
                    ValueRef::Bytes(b) => show(b),
                    ValueRef::Object(o) => format!("{} {:032x}", o.type_name(), o.digest()),
                };
                state.insert((n, show(e.key())), (value, e.expire_ms()));
            }
        }
        state
    }

    /// What a key holds and its time to live; `None` if there is none.
    fn row(&self, db: usize, key: &[u8]) -> Option<Row> {
        let entry = self.shard.dbs()[db].table().get(key)?;
        let (value, large) = match entry.value() {
            ValueRef::Int(n) => (n.to_string(), false),
            ValueRef::Bytes(b) => (show(b), b.len() > (64 << 10) - 4),
            ValueRef::Object(o) => {
                let mut body = Vec::new();
                o.to_body(&mut body);
                let large = body.len() > 64 << 10 || o.mem_bytes() > 128 << 10;
                (format!("{} {:032x}", o.type_name(), o.digest()), large)
            }
        };
        Some(Row { value, ttl_ms: entry.expire_ms(), large })
    }

    /// The key that an image shows.
    fn shown(&self, image: &BeforeImage<'_>) -> Option<(String, Option<u64>)> {
        let value = match Value::decode(image.body?, image.kind, 0).expect("a value body") {
            Value::String(s) => show(s),
            value => {
                let o = Object::from_value(value, &self.shard.limits).expect("a value");
                format!("{} {:032x}", o.type_name(), o.digest())
            }
        };
        Some((value, image.ttl_ms))
    }

    /// Feeds the log to a second shard effect by effect: each image is the key as that shard has it, no
    /// changed key lacks one, and a value is left out only if it is large or an effect of the same unit
    /// changed the key before.
    pub(crate) fn check_images(&self) {
        let mut other = Harness::new();
        other.advance(self.now_ms - other.now_ms);
        for (db, flags, payload) in self.log.0.borrow().iter() {
            let (mut db, mut touched) = (*db, Names::new());
            for effect in Command::decode(payload, *flags, 0).expect("a payload").effects() {
                let effect = effect.expect("effects and what they did");
                let name = show(effect.args[0]).to_ascii_uppercase();
                if name == "SELECT" {
                    db = show(effect.args[1]).parse().expect("a number");
                    continue;
                }
                let mut named = Names::new();
                for meta in &effect.metas {
                    let (word, db) = meta.place.map_or((1, db), |p| (p.word as usize, p.db));
                    let Some(key) = effect.args.get(word) else { continue };
                    let there = other.row(usize::from(db), key);
                    let said = format!("{meta} of {} by {name}", show(key));
                    let name = (usize::from(db), key.to_vec());
                    match (&there, &meta.before) {
                        (None, None) => {}
                        // It went by an effect before this one, and the command shows it once.
                        (None, Some(image)) if image.body.is_none() && touched.contains(&name) => {}
                        (Some(row), Some(image)) => match other.shown(image) {
                            Some(shown) => {
                                assert_eq!(shown, (row.value.clone(), row.ttl_ms), "{said}")
                            }
                            None => assert!(row.large || touched.contains(&name), "{said}"),
                        },
                        _ => panic!("{said}: there was {:?}", there.map(|row| row.value)),
                    }
                    named.insert(name);
                }
                let whole = ["FLUSHDB", "FLUSHALL", "SWAPDB"].contains(&name.as_str());
                let few = other.shard.dbs().iter().map(|db| db.len()).sum::<usize>() < 300;
                let all = |h: &Harness| -> Vec<_> {
                    let rows = h.names().into_iter();
                    rows.map(|(n, key)| ((n, key.clone()), h.row(n, &key))).collect()
                };
                let rows = if few && !whole { all(&other) } else { Vec::new() };
                let mut resp = Vec::new();
                encode_command(&mut resp, effect.args.iter().copied());
                other.shard.apply(db, 0, &resp).expect("what was logged applies");
                for ((n, key), row) in rows {
                    let same = other.row(n, &key) == row;
                    let key = (n, key);
                    assert!(same || named.contains(&key), "{name} says nothing of {key:?}");
                }
                touched.append(&mut named);
            }
        }
    }

    /// Replays the log into a second shard and compares.
    pub(crate) fn check_replay(&mut self) {
        if self.shard.journal.images {
            self.check_images();
        }
        let mut other = self.replayed();
        assert_eq!(self.state(), other.state(), "replay comes out differently");
        for through in [Through::RdbFile, Through::Effects] {
            match other.shard.reload(through) {
                // Some streams have no form in the versions of RDB that are written.
                Ok(()) | Err(ReloadError::Unfit(_)) => {}
                Err(e) => panic!("a reload was refused: {e}"),
            }
            assert_eq!(self.state(), other.state(), "a reload changes the state");
        }
    }
}

/// What a key holds, its time to live, and whether an image of it has no value.
#[derive(Debug, PartialEq)]
struct Row {
    value: String,
    ttl_ms: Option<u64>,
    large: bool,
}

type Names = BTreeSet<(usize, Vec<u8>)>;

/// Which keys there are behind a record, going by what it says and nothing else.
fn follow(known: &mut Names, mut db: u16, flags: u8, payload: &[u8]) {
    for effect in Command::decode(payload, flags, 0).expect("a payload").effects() {
        let effect = effect.expect("effects and what they did");
        let number = |at: usize| -> usize { show(effect.args[at]).parse().expect("a number") };
        match show(effect.args[0]).to_ascii_uppercase().as_str() {
            "SELECT" => db = number(1) as u16,
            "FLUSHALL" => known.clear(),
            "FLUSHDB" => known.retain(|(n, _)| *n != usize::from(db)),
            "SWAPDB" => {
                let (a, b) = (number(1), number(2));
                let other = |n| {
                    if n == a {
                        b
                    } else if n == b {
                        a
                    } else {
                        n
                    }
                };
                *known = known.iter().map(|(n, key)| (other(*n), key.clone())).collect();
            }
            _ => {
                for meta in &effect.metas {
                    let (word, db) = meta.place.map_or((1, db), |p| (p.word as usize, p.db));
                    let Some(key) = effect.args.get(word) else { continue };
                    let key = (usize::from(db), key.to_vec());
                    assert!(!meta.removed || meta.created || known.contains(&key), "{meta}");
                    assert!(!meta.created || !known.contains(&key), "{meta}");
                    if meta.removed {
                        known.remove(&key);
                    } else if meta.created {
                        known.insert(key);
                    }
                }
            }
        }
    }
}

/// Runs a script and fails with all lines that came out differently.
#[track_caller]
pub(crate) fn check(script: &str) -> Harness {
    // Once more with images: they change neither replies nor effects.
    let mut with_images = Harness::new();
    with_images.shard.journal.images = true;
    continue_with(&mut with_images, script);
    let mut h = Harness::new();
    continue_with(&mut h, script);
    h
}

/// Goes on with a script in a harness.
#[track_caller]
pub(crate) fn continue_with(h: &mut Harness, script: &str) {
    let mut wrong = Vec::new();
    let mut lines = script.lines().map(str::trim).enumerate().peekable();
    while let Some((n, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(ms) = line.strip_prefix("@ +") {
            h.advance(ms.parse().expect("milliseconds"));
        } else if let Some(proto) = line.strip_prefix("! ") {
            h.session.proto = if proto == "resp3" { Proto::Resp3 } else { Proto::Resp2 };
        } else if let Some(command) = line.strip_prefix("> ") {
            h.effects();
            let got = h.run(command);
            let (_, want) = lines.next().expect("a reply");
            if got != want {
                wrong.push(format!("line {n}: {command}\n   got {got}\n  want {want}"));
            }
            let mut effects = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, l)| l.starts_with("= ")) {
                effects.push(line[2..].to_string());
            }
            let logged = h.effects();
            let none = effects == ["-"] && logged.is_empty();
            if !effects.is_empty() && !none && effects != logged {
                wrong
                    .push(format!("line {n}: {command}\n   logged {logged:?}\n  want {effects:?}"));
            }
        } else {
            panic!("line {n}: {line}");
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    h.check_replay();
}

/// Splits a line at blanks; double quotes keep them and allow escapes.
pub(crate) fn split(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if_eq(&b' ').is_some() {}
        let mut word = Vec::new();
        match bytes.peek() {
            None => return words,
            Some(b'"') => {
                bytes.next();
                loop {
                    match bytes.next().expect("closing quote") {
                        b'"' => break,
                        b'\\' => word.push(match bytes.next().expect("escape") {
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            b'x' => {
                                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                                let hex = std::str::from_utf8(&hex).expect("hex");
                                u8::from_str_radix(hex, 16).expect("hex")
                            }
                            other => other,
                        }),
                        other => word.push(other),
                    }
                }
            }
            Some(_) => {
                while let Some(b) = bytes.next_if(|b| *b != b' ') {
                    word.push(b);
                }
            }
        }
        words.push(word);
    }
}

fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() { "\"\"".into() } else { bytes.escape_ascii().to_string() }
}

/// A whole reply as text.
pub(crate) fn render(reply: &[u8]) -> String {
    let (text, rest) = render_one(reply);
    assert!(rest.is_empty(), "bytes after the reply: {}", rest.escape_ascii());
    text
}

fn line(reply: &[u8]) -> (&str, &[u8]) {
    let end = reply.windows(2).position(|w| w == b"\r\n").expect("a line");
    (std::str::from_utf8(&reply[..end]).expect("text"), &reply[end + 2..])
}

fn render_one(reply: &[u8]) -> (String, &[u8]) {
    let (head, rest) = line(reply);
    let (kind, text) = head.split_at(1);
    match kind {
        "$" | "=" if text != "-1" => {
            let len: usize = text.parse().expect("length");
            assert_eq!(&rest[len..len + 2], b"\r\n");
            (show(&rest[..len]), &rest[len + 2..])
        }
        "*" | "%" | "~" | ">" if text != "-1" => {
            let (parts, rest) = parts(reply);
            let text = parts.join(" ");
            let text = match kind {
                "*" => format!("[{text}]"),
                "%" => format!("{{{text}}}"),
                other => format!("{other}[{text}]"),
            };
            (text, rest)
        }
        _ => (head.to_string(), rest),
    }
}

/// The elements of an aggregate reply.
fn parts(reply: &[u8]) -> (Vec<String>, &[u8]) {
    let (head, mut rest) = line(reply);
    let n: usize = head[1..].parse().expect("count");
    let n = if head.starts_with('%') { n * 2 } else { n };
    let mut parts = Vec::new();
    for _ in 0..n {
        let (text, after) = render_one(rest);
        parts.push(text);
        rest = after;
    }
    (parts, rest)
}
