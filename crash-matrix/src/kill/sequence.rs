//! What a client sends: a sequence known in advance, and how much of it a server shows.
//!
//! A client is the only writer of its keys and goes through the kinds of its plane in turn, so the
//! state behind its first `p` commands follows from `p` alone.

use moon_formats::resp::encode_command;

use super::client::{Client, Reply};
use crate::workload::Plane;

/// An expiry time far from now: 2100-01-01 in milliseconds.
const EXPIRY_MS: u64 = 4_102_444_800_000;
/// Fields of the large hash, of a KiB each: more than a snapshot writes with its key.
const LARGE_FIELDS: u64 = 300;
/// Fields with a time to live.
const TIMED_FIELDS: u64 = 40;
/// Entries that a stream is trimmed to.
const ENTRIES: u64 = 2000;
/// How long a key lives that must be gone after a start, milliseconds.
pub(super) const SHORT_MS: u64 = 100;

/// One kind of command. The `n`-th of a kind leaves a trace that says how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// INCR.
    Counter,
    /// RPUSH of its number.
    List,
    /// APPEND of its number.
    Text,
    /// SET with an instant to expire at.
    Timed,
    /// A field of a hash that is written in chunks.
    Large,
    /// A field with an instant to expire at.
    Fields,
    /// XADD with a trim.
    Entry,
    /// XREADGROUP of one entry.
    Read,
    /// XACK of the oldest pending one.
    Acked,
    /// A script, and every other time a function, of three effects.
    Script,
    /// MULTI with five commands.
    Unit,
}

use Kind::{Acked, Counter, Entry, Fields, Large, List, Read, Script, Text, Timed, Unit};

/// The kinds of a plane, in the order in which they are sent.
pub(crate) fn kinds(plane: Plane) -> &'static [Kind] {
    match plane {
        Plane::Kv => &[Counter, List, Text, Timed, Large],
        Plane::Ttl => &[Counter, Timed, Unit],
        Plane::HashTtl => &[Counter, Fields, Text],
        Plane::Stream => &[Counter, Entry, Read, Acked],
        Plane::Script => &[Counter, Script],
        Plane::Txn => &[Counter, Unit, List],
        Plane::Mixed => {
            &[Counter, List, Text, Timed, Large, Fields, Entry, Read, Acked, Script, Unit]
        }
    }
}

const SCRIPT: &str = "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) \
                      redis.call('HSET', KEYS[3], 'last', ARGV[1]) return 1";
const LIBRARY: &str = "#!lua name=crash\nredis.register_function('bump', function(KEYS, ARGV)\n\
                       redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1])\n\
                       redis.call('HSET', KEYS[3], 'last', ARGV[1]) return 1 end)";

/// What the sequences need to be there: groups and a library.
pub(crate) fn prepare(c: &mut Client, clients: usize) -> Result<(), String> {
    accepted(c, &[b"FUNCTION", b"LOAD", b"REPLACE", LIBRARY.as_bytes()])?;
    for client in 0..clients {
        let key = format!("x:{client}").into_bytes();
        accepted(c, &[b"XGROUP", b"CREATE", &key, b"g", b"0", b"MKSTREAM"])?;
    }
    Ok(())
}

/// Asks until a log that is degraded for a while lets it in.
fn accepted(c: &mut Client, words: &[&[u8]]) -> Result<(), String> {
    for _ in 0..500 {
        match c.ask(words) {
            Ok(Reply::Error(e)) if e.starts_with("MISCONF") => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            Ok(Reply::Error(e)) if !e.starts_with("BUSYGROUP") => return Err(e),
            // Gone before its first answer: that is for the clients to find out.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
    Err("O13: the log does not heal within 10 s".into())
}

/// Appends the `i`-th command of a client; returns how many replies it has.
pub(crate) fn put(out: &mut Vec<u8>, plane: Plane, client: usize, i: u64) -> u64 {
    let kinds = kinds(plane);
    let (kind, n) = (kinds[(i % kinds.len() as u64) as usize], i / kinds.len() as u64);
    let mut line = |text: String| {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        encode_command(out, words.into_iter());
        1
    };
    match kind {
        Counter => line(format!("INCR n:{client}")),
        List => line(format!("RPUSH l:{client} {n}")),
        Text => line(format!("APPEND s:{client} {n},")),
        Timed => line(format!("SET t:{client} {n} PXAT {}", EXPIRY_MS + n)),
        Large => line(format!("HSET big:{client} f{} {n:.<1024}", n % LARGE_FIELDS)),
        Fields => line(format!(
            "HSETEX hf:{client} PXAT {} FIELDS 1 f{} {n}",
            EXPIRY_MS + n,
            n % TIMED_FIELDS
        )),
        Entry => line(format!("XADD x:{client} MAXLEN = {ENTRIES} {}-1 t {n}", n + 1)),
        Read => line(format!("XREADGROUP GROUP g w COUNT 1 STREAMS x:{client} >")),
        Acked => line(format!("XACK x:{client} g {}-1", n + 1)),
        Script => {
            let (call, what) = if n % 2 == 0 { ("EVAL", SCRIPT) } else { ("FCALL", "bump") };
            let keys = ["e", "el", "eh"].map(|k| format!("{k}:{client}"));
            let n = n.to_string();
            let words = [call, what, "3", &keys[0], &keys[1], &keys[2], &n];
            encode_command(out, words.into_iter().map(str::as_bytes));
            1
        }
        Unit => {
            let lines = [
                "MULTI".to_owned(),
                format!("INCR m:{client}"),
                format!("HSET mh:{client} last {n}"),
                format!("SET short:{client} {n} PX {SHORT_MS}"),
                format!("LPUSH ml:{client} {n}"),
                format!("LTRIM ml:{client} 0 9"),
                "EXEC".to_owned(),
            ];
            lines.into_iter().map(line).sum()
        }
    }
}

/// How many commands of a client were applied.
///
/// # Errors
/// Its keys do not show the outcome of a prefix of its sequence.
pub(crate) fn applied(c: &mut Client, plane: Plane, client: usize) -> Result<u64, String> {
    let mut counts = Vec::new();
    for kind in kinds(plane) {
        let n = count(c, *kind, client).map_err(|e| match e.starts_with('O') {
            true => e,
            false => format!("O4: client {client}: {kind:?}: {e}"),
        })?;
        counts.push(n);
    }
    let p: u64 = counts.iter().sum();
    let len = counts.len() as u64;
    let prefix: Vec<u64> = (0..len).map(|k| (p + len - 1 - k) / len).collect();
    if counts != prefix {
        return Err(format!("O2: client {client}: {counts:?} is no prefix of its commands"));
    }
    Ok(p)
}

fn same(what: &str, found: u64, want: u64) -> Result<(), String> {
    match found == want {
        true => Ok(()),
        false => Err(format!("{what} is {found}, not {want}")),
    }
}

fn count(c: &mut Client, kind: Kind, client: usize) -> Result<u64, String> {
    match kind {
        Counter => c.line(&format!("GET n:{client}"))?.number(),
        List => elements(c, &format!("l:{client}")),
        Text => {
            let text = c.line(&format!("GET s:{client}"))?.text()?;
            let (mut expected, mut n) = (Vec::new(), 0);
            while expected.len() < text.len() {
                expected.extend(format!("{n},").into_bytes());
                n += 1;
            }
            if expected == text { Ok(n) } else { Err("the text differs".into()) }
        }
        Timed => match c.line(&format!("GET t:{client}"))? {
            Reply::Null => Ok(0),
            reply => {
                let n = reply.number()?;
                let at = c.line(&format!("PEXPIRETIME t:{client}"))?.number()?;
                same("O6: its time", at, EXPIRY_MS + n)?;
                Ok(n + 1)
            }
        },
        Large => fields(c, &format!("big:{client}"), LARGE_FIELDS, 1024),
        Fields => timed_fields(c, &format!("hf:{client}")),
        Entry => {
            let last = c.line(&format!("XREVRANGE x:{client} + - COUNT 1"))?.array()?;
            let n = match last.into_iter().next() {
                Some(entry) => id(entry.array()?.swap_remove(0))?,
                None => 0,
            };
            same(
                "the stream's length",
                c.line(&format!("XLEN x:{client}"))?.number()?,
                n.min(ENTRIES),
            )?;
            let first = c.line(&format!("XRANGE x:{client} - + COUNT 1"))?.array()?;
            if let Some(entry) = first.into_iter().next() {
                let want = n.saturating_sub(ENTRIES) + 1;
                same("the first entry", id(entry.array()?.swap_remove(0))?, want)?;
            }
            Ok(n)
        }
        Read => group(c, client).map(|(delivered, _)| delivered),
        Acked => {
            let (delivered, pending) = group(c, client)?;
            let done = delivered - pending;
            if pending > 0 {
                let rows = c.line(&format!("XPENDING x:{client} g"))?.array()?;
                same("the first pending", id(rows[1].clone())?, done + 1)?;
            }
            Ok(done)
        }
        Script => {
            let n = c.line(&format!("GET e:{client}"))?.number()?;
            same("O3: the list of scripts", elements(c, &format!("el:{client}"))?, n)?;
            last(c, "eh", client, n)?;
            Ok(n)
        }
        Unit => {
            let n = c.line(&format!("GET m:{client}"))?.number()?;
            last(c, "mh", client, n)?;
            let head = c.line(&format!("LRANGE ml:{client} 0 -1"))?.array()?;
            same("O3: the list of units", head.len() as u64, n.min(10))?;
            for (i, element) in head.into_iter().enumerate() {
                same("O3: a unit", element.number()?, n - 1 - i as u64)?;
            }
            if c.line(&format!("EXISTS short:{client}"))?.number()? != 0 {
                return Err("O5: a key is back that had expired".into());
            }
            Ok(n)
        }
    }
}

/// The list of numbers from 0 on; its length.
fn elements(c: &mut Client, key: &str) -> Result<u64, String> {
    let list = c.line(&format!("LRANGE {key} 0 -1"))?.array()?;
    for (n, token) in list.iter().enumerate() {
        if *token != Reply::Text(n.to_string().into_bytes()) {
            return Err(format!("element {n} of {key} is {token:?}"));
        }
    }
    Ok(list.len() as u64)
}

/// A hash whose field `n % size` holds `n`; how many were set.
fn fields(c: &mut Client, key: &str, size: u64, width: usize) -> Result<u64, String> {
    let mut all = c.line(&format!("HGETALL {key}"))?.array()?.into_iter();
    let mut found = vec![None; size as usize];
    while let (Some(field), Some(value)) = (all.next(), all.next()) {
        let (field, value) = (field.text()?, value.text()?);
        let field = String::from_utf8_lossy(&field[1..]).parse::<usize>();
        let field = field.map_err(|_| "a field nobody set")?;
        if value.len() < width {
            return Err(format!("field {field} of {key} is cut"));
        }
        let number = String::from_utf8_lossy(&value);
        let number = number.trim_end_matches('.').parse::<u64>();
        *found.get_mut(field).ok_or("a field nobody set")? =
            Some(number.map_err(|_| format!("field {field} of {key} differs"))?);
    }
    let count = found.iter().flatten().max().map_or(0, |n| n + 1);
    for (field, value) in (0..).zip(&found) {
        // The newest below `count` that falls on this field.
        let want = (field < count).then(|| field + (count - 1 - field) / size * size);
        if *value != want {
            return Err(format!("field {field} of {key} is {value:?}, not {want:?}"));
        }
    }
    Ok(count)
}

fn timed_fields(c: &mut Client, key: &str) -> Result<u64, String> {
    let count = fields(c, key, TIMED_FIELDS, 1)?;
    for field in 0..TIMED_FIELDS.min(count) {
        let n = field + (count - 1 - field) / TIMED_FIELDS * TIMED_FIELDS;
        let at = c.line(&format!("HPEXPIRETIME {key} FIELDS 1 f{field}"))?.array()?;
        same("O6: a field's time", at[0].clone().number()?, EXPIRY_MS + n)?;
    }
    Ok(count)
}

fn last(c: &mut Client, hash: &str, client: usize, n: u64) -> Result<(), String> {
    match c.line(&format!("HGET {hash}:{client} last"))? {
        Reply::Null => same("O3: the last number", n, 0),
        reply => same("O3: the last number", reply.number()? + 1, n),
    }
}

/// The number in an id `n-1`.
fn id(reply: Reply) -> Result<u64, String> {
    let text = reply.text()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split('-').next().and_then(|n| n.parse().ok()).ok_or(format!("an id like {text}"))
}

/// Entries delivered to the group, and those pending.
fn group(c: &mut Client, client: usize) -> Result<(u64, u64), String> {
    // Power may be lost before there was a group; then nothing was delivered to it.
    if c.line(&format!("EXISTS x:{client}"))?.number()? == 0 {
        return Ok((0, 0));
    }
    let groups = c.line(&format!("XINFO GROUPS x:{client}"))?.array()?;
    let Some(group) = groups.into_iter().next() else { return Ok((0, 0)) };
    let group = group.array()?;
    let field = |name: &str| {
        let at = group.iter().position(|r| *r == Reply::Text(name.into()));
        at.and_then(|i| group.get(i + 1)).cloned().ok_or(format!("XINFO GROUPS has no {name}"))
    };
    Ok((id(field("last-delivered-id")?)?, field("pending")?.number()?))
}
