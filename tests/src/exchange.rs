//! Values handed from server to server by DUMP and RESTORE.
//!
//! A value of a random type is made on one server by ordinary commands, dumped, restored on the other, and then
//! read from both. The thresholds of the giver change as it goes, so that every encoding is met. What one of
//! the two does not know (streams, hash field TTLs, payloads of a newer version) is found out before and left
//! out, and the outcome says so.

use crate::client::Client;
use crate::rng::Rng;
use crate::value::Value;
use crate::{Command, cmd, shown};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// String.
    String,
    /// List.
    List,
    /// Set.
    Set,
    /// Sorted set.
    Zset,
    /// Hash.
    Hash,
    /// Hash with fields that expire.
    HashTtl,
    /// Stream.
    Stream,
}

/// All kinds, with a command without which there is none.
const KINDS: [(Kind, &str); 7] = [
    (Kind::String, "SET"),
    (Kind::List, "RPUSH"),
    (Kind::Set, "SADD"),
    (Kind::Zset, "ZADD"),
    (Kind::Hash, "HSET"),
    (Kind::HashTtl, "HPEXPIREAT"),
    (Kind::Stream, "XADD"),
];

/// How it went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Values that arrived, by kind and by the type byte of their payload.
    pub arrived: BTreeMap<(Kind, u8), usize>,
    /// Kinds left out.
    pub skipped: Vec<Kind>,
}

/// What went wrong.
#[derive(Debug)]
pub struct Failure {
    /// The commands that make the value.
    pub made_by: Vec<Command>,
    /// The payload.
    pub payload: Vec<u8>,
    /// What the receiver said or shows, against what was expected.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for command in &self.made_by {
            writeln!(f, "{}", shown(command))?;
        }
        writeln!(f, "payload {}", self.payload.escape_ascii())?;
        f.write_str(&self.reason)
    }
}

fn knows(client: &mut Client, name: &str) -> io::Result<bool> {
    let reply = client.call(&cmd!["COMMAND", "INFO", name])?;
    let row = reply.elements().and_then(|e| e.first()).cloned();
    Ok(row.is_some_and(|row| row.elements().is_some()))
}

/// Hands over `count` values. Both servers are emptied.
pub fn run(
    from: &mut Client,
    to: &mut Client,
    seed: u64,
    count: usize,
) -> io::Result<Result<Outcome, Failure>> {
    let mut rng = Rng::new(seed);
    let mut outcome = Outcome::default();
    let mut kinds = Vec::new();
    for (kind, needs) in KINDS {
        let both = knows(from, needs)? && knows(to, needs)?;
        if both && takes(from, to, kind)? { kinds.push(kind) } else { outcome.skipped.push(kind) }
    }
    for client in [&mut *from, &mut *to] {
        client.line("FLUSHALL")?;
    }
    for n in 0..if kinds.is_empty() { 0 } else { count } {
        if n % 50 == 0 {
            vary(from, &mut rng)?;
        }
        let kind = kinds[rng.below(kinds.len())];
        let made_by = make(&mut rng, kind);
        for command in &made_by {
            from.queue(command);
        }
        from.flush()?;
        for _ in &made_by {
            from.receive()?;
        }
        let payload = match from.call(&cmd!["DUMP", "k"])? {
            Value::Bulk(payload) => payload,
            other => {
                let reason = format!("DUMP answered {other}");
                return Ok(Err(Failure { made_by, payload: Vec::new(), reason }));
            }
        };
        let reply = to.call(&cmd!["RESTORE", "k", "0", payload, "REPLACE"])?;
        let mut reason = None;
        if reply.is_error() {
            reason = Some(format!("RESTORE answered {reply}"));
        } else {
            for command in reads(kind) {
                let (want, got) = (read(from, &command)?, read(to, &command)?);
                if want != got {
                    let (want_all, got_all) = (want.leaves(), got.leaves());
                    let at = want_all.iter().zip(&got_all).take_while(|(w, g)| w == g).count();
                    let first = |leaves: &[&Value]| leaves.get(at).map(|v| v.to_string());
                    let (want, got) = (first(&want_all), first(&got_all));
                    let lens = (want_all.len(), got_all.len());
                    let command = shown(&command);
                    reason = Some(format!(
                        "{command}: leaf {at} of {lens:?}: want {want:?}, got {got:?}"
                    ));
                    break;
                }
            }
        }
        if let Some(reason) = reason {
            return Ok(Err(Failure { made_by, payload, reason }));
        }
        *outcome.arrived.entry((kind, payload[0])).or_default() += 1;
        from.line("DEL k")?;
    }
    Ok(Ok(outcome))
}

/// Fills a server with so many keys of every type it knows, in several databases, some of which expire.
pub fn fill(client: &mut Client, seed: u64, count: usize) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    let mut kinds = Vec::new();
    for (kind, command) in KINDS {
        if knows(client, command)? {
            kinds.push(kind);
        }
    }
    for n in 0..count {
        if n % 50 == 0 {
            vary(client, &mut rng)?;
        }
        for command in make(&mut rng, kinds[n % kinds.len()]) {
            client.queue(&command);
            client.flush()?;
            client.receive()?;
        }
        let name = format!("seed {seed} key {n}");
        client.call(&cmd!["RENAME", "k", name])?;
        if rng.chance(20) {
            client.call(&cmd!["PEXPIREAT", name, "33000000000000"])?;
        }
        if rng.chance(30) {
            client.call(&cmd!["MOVE", name, rng.range(1, 15)])?;
        }
    }
    Ok(())
}

/// Whether the receiver takes payloads of the version in which the giver writes this kind.
fn takes(from: &mut Client, to: &mut Client, kind: Kind) -> io::Result<bool> {
    for command in make(&mut Rng::new(0), kind) {
        from.call(&command)?;
    }
    let Value::Bulk(payload) = from.call(&cmd!["DUMP", "k"])? else { return Ok(true) };
    from.line("DEL k")?;
    let reply = to.call(&cmd!["RESTORE", "k", "0", payload, "REPLACE"])?;
    Ok(!reply.text().is_some_and(|t| t.ends_with(b"version or checksum are wrong")))
}

/// Sets the giver's thresholds. A server that lacks one of the options ignores it.
fn vary(client: &mut Client, rng: &mut Rng) -> io::Result<()> {
    for (name, values) in [
        ("hash-max-listpack-entries", ["512", "4", "0", "10000"]),
        ("hash-max-listpack-value", ["64", "8", "1000", "64"]),
        ("set-max-intset-entries", ["512", "4", "0", "10000"]),
        ("set-max-listpack-entries", ["128", "4", "0", "10000"]),
        ("zset-max-listpack-entries", ["128", "4", "0", "10000"]),
        ("list-max-listpack-size", ["-2", "-1", "5", "128"]),
        ("stream-node-max-entries", ["100", "3", "1", "1000"]),
        ("rdbcompression", ["yes", "no", "yes", "yes"]),
    ] {
        client.call(&cmd!["CONFIG", "SET", name, values[rng.below(4)]])?;
    }
    Ok(())
}

fn text(rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => rng.range(-200, 200).to_string().into_bytes(),
        1 => ((rng.bits() as i64) >> rng.below(64)).to_string().into_bytes(),
        2 => Vec::new(),
        3 => (0..rng.below(30)).map(|_| rng.bits() as u8).collect(),
        4 => (0..rng.below(300)).map(|_| b'a' + rng.below(3) as u8).collect(),
        5 if rng.chance(20) => vec![b'r'; rng.below(20_000)],
        6 if rng.chance(10) => (0..rng.below(9000)).map(|_| rng.bits() as u8).collect(),
        _ => format!("m{}", rng.below(1000)).into_bytes(),
    }
}

fn size(rng: &mut Rng) -> usize {
    1 + match rng.below(10) {
        0..=5 => rng.below(8),
        6..=8 => rng.below(60),
        _ => rng.below(700),
    }
}

fn score(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => ["inf", "-inf", "0", "-0"][rng.below(4)].to_string(),
        1 => f64::from_bits(rng.bits() & !(1 << 62)).to_string(),
        2 => format!("{}.{}", rng.range(-99, 99), rng.below(1000)),
        3 => ((rng.bits() as i64) >> rng.below(60)).to_string(),
        _ => rng.range(-20, 20).to_string(),
    }
}

/// Far from now, so that no field expires on the way: in the year 2100 and after.
const LATER_MS: i64 = 4_102_444_800_000;

/// The commands that make a value at `k`.
fn make(rng: &mut Rng, kind: Kind) -> Vec<Command> {
    let n = size(rng);
    let mut command = Command::new();
    let many = |command: &mut Command, rng: &mut Rng, width: usize| {
        (0..n * width).for_each(|_| command.push(text(rng)));
    };
    match kind {
        Kind::String => command.extend([cmd!["SET", "k"], vec![text(rng)]].concat()),
        Kind::List => {
            command.extend(cmd!["RPUSH", "k"]);
            many(&mut command, rng, 1);
        }
        Kind::Set => {
            command.extend(cmd!["SADD", "k"]);
            if rng.chance(40) {
                let shift = rng.below(64);
                let ints = (0..n).map(|_| ((rng.bits() as i64) >> shift).to_string().into_bytes());
                command.extend(ints.collect::<Vec<_>>());
            } else {
                many(&mut command, rng, 1);
            }
        }
        Kind::Zset => {
            command.extend(cmd!["ZADD", "k"]);
            for _ in 0..n {
                let (score, member) = (score(rng), text(rng));
                command.extend([score.into_bytes(), member]);
            }
        }
        Kind::Hash => {
            command.extend(cmd!["HSET", "k"]);
            many(&mut command, rng, 2);
        }
        Kind::HashTtl => {
            command.extend(cmd!["HSET", "k"]);
            many(&mut command, rng, 2);
            let fields: Vec<Vec<u8>> = command[2..].iter().step_by(2).cloned().collect();
            let mut all = vec![command];
            for field in fields.into_iter().take(20) {
                if rng.chance(40) {
                    continue;
                }
                let at = LATER_MS + rng.range(0, 1 << 30);
                all.push(cmd!["HPEXPIREAT", "k", at, "FIELDS", "1", field]);
            }
            return all;
        }
        Kind::Stream => return make_stream(rng, n),
    }
    vec![command]
}

fn make_stream(rng: &mut Rng, n: usize) -> Vec<Command> {
    let mut all = vec![cmd!["XGROUP", "CREATE", "k", "g0", "0", "MKSTREAM"]];
    let (mut ms, mut seq) = (1u64, 0u64);
    let mut ids = Vec::new();
    for _ in 0..n {
        if rng.chance(50) {
            (ms, seq) = (ms + rng.below(1000) as u64 + 1, rng.below(5) as u64);
        } else {
            seq += 1 + rng.below(3) as u64;
        }
        let id = format!("{ms}-{seq}");
        let mut add = cmd!["XADD", "k", id];
        for _ in 0..1 + rng.below(3) {
            let field = if rng.chance(70) { b"field".to_vec() } else { text(rng) };
            add.extend([field, text(rng)]);
        }
        all.push(add);
        ids.push(id);
    }
    for g in 1..1 + rng.below(3) {
        all.push(cmd!["XGROUP", "CREATE", "k", format!("g{g}"), "0"]);
        for c in 0..rng.below(3) {
            let take = rng.below(20) + 1;
            let (group, consumer) = (format!("g{g}"), format!("c{c}"));
            all.push(cmd![
                "XREADGROUP",
                "GROUP",
                group,
                consumer,
                "COUNT",
                take,
                "STREAMS",
                "k",
                ">"
            ]);
            all.push(cmd!["XACK", "k", group, ids[rng.below(ids.len())]]);
        }
    }
    for _ in 0..rng.below(4) {
        all.push(cmd!["XDEL", "k", ids[rng.below(ids.len())]]);
    }
    all
}

/// The commands that show a value of this type at `key` whole, for [`read`].
pub fn shows(kind: &str, key: &[u8]) -> Vec<Command> {
    let lines: &[&str] = match kind {
        "string" => &["GET k"],
        "list" => &["LRANGE k 0 -1"],
        "set" => &["SMEMBERS k"],
        "zset" => &["ZRANGE k 0 -1 WITHSCORES"],
        "hash" => &["HGETALL k"],
        // Entries, groups, consumers, and who was given what and when.
        "stream" => &["XRANGE k - +", "XINFO STREAM k FULL COUNT 0"],
        _ => &[],
    };
    let word = |w: &str| if w == "k" { key.to_vec() } else { w.as_bytes().to_vec() };
    lines.iter().map(|line| line.split(' ').map(word).collect()).collect()
}

/// The commands that show a value at `k` whole.
fn reads(kind: Kind) -> Vec<Command> {
    let (name, more): (&str, &[&str]) = match kind {
        Kind::String => ("string", &[]),
        Kind::List => ("list", &[]),
        Kind::Set => ("set", &[]),
        Kind::Zset => ("zset", &[]),
        Kind::Hash => ("hash", &[]),
        Kind::HashTtl => ("hash", &["HPEXPIRETIME k FIELDS"]),
        Kind::Stream => ("stream", &[]),
    };
    let mut all = vec![cmd!["TYPE", "k"]];
    all.extend(shows(name, b"k"));
    all.extend(more.iter().map(|l| l.split(' ').map(|w| w.as_bytes().to_vec()).collect()));
    all
}

/// A reply in a form that does not depend on encodings or on the time that has passed.
pub fn read(client: &mut Client, command: &Command) -> io::Result<Value> {
    let name = command[0].as_slice();
    if name == b"HPEXPIRETIME" {
        let Value::Array(mut fields) = client.line("HKEYS k")? else {
            return client.line("HKEYS k");
        };
        fields.sort();
        let texts: Vec<Vec<u8>> =
            fields.iter().filter_map(|f| f.text()).map(<[u8]>::to_vec).collect();
        let mut ask = [command.clone(), cmd![texts.len()]].concat();
        ask.extend(texts);
        return client.call(&ask);
    }
    let reply = client.call(command)?;
    Ok(match (name, reply) {
        (b"SMEMBERS", Value::Array(mut members)) => {
            members.sort();
            Value::Array(members)
        }
        (b"HGETALL", Value::Array(flat)) => {
            let mut pairs: Vec<Value> = flat.chunks(2).map(|p| Value::Array(p.to_vec())).collect();
            pairs.sort();
            Value::Array(pairs)
        }
        // Servers print the same score with more or fewer digits, and zero with or without a sign.
        (b"ZRANGE", Value::Array(flat)) => {
            let number = |v: &Value| {
                let text = std::str::from_utf8(v.text()?).ok()?;
                Some(format!("{:e}", text.parse::<f64>().ok()? + 0.0).into_bytes())
            };
            let scores = flat.iter().enumerate().map(|(i, v)| match number(v) {
                Some(text) if i % 2 == 1 => Value::Bulk(text),
                _ => v.clone(),
            });
            Value::Array(scores.collect())
        }
        (b"XINFO", reply) => stream(&reply),
        (_, reply) => reply,
    })
}

/// What XINFO STREAM says, without what is no part of the value: nodes of the radix tree, ids of 8.6, when a consumer was
/// there; the lag is computed from the rest, and not by every version in the same way.
fn stream(reply: &Value) -> Value {
    let beside: [&[u8]; 7] =
        [b"radix-tree", b"idmp-", b"pids-", b"iids-", b"lag", b"seen-time", b"active-time"];
    let Value::Array(flat) = reply else { return reply.clone() };
    let pairs = flat.chunks(2).filter(|p| {
        !p[0].text().is_some_and(|name| beside.iter().any(|other| name.starts_with(other)))
    });
    let inner = |pair: &[Value]| match (pair[0].text(), pair.get(1)) {
        (Some(b"groups" | b"consumers"), Some(Value::Array(maps))) => {
            vec![pair[0].clone(), Value::Array(maps.iter().map(stream).collect())]
        }
        _ => pair.to_vec(),
    };
    Value::Array(pairs.flat_map(inner).collect())
}
