//! When two replies count as the same, per command.

use super::explained::explained;
use super::gen_scripts;
use crate::Command;
use crate::value::Value;

/// How the replies of a command are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// Byte for byte (doubles by value).
    Exact,
    /// Elements in any order.
    Unordered,
    /// Field-value pairs in any order.
    Pairs,
    /// Scores in bulk strings by value: Redis 7.0 prints 17 digits, later ones the shortest form.
    Scores,
    /// The same for positions: Redis 7.0 cuts them after 17 decimals.
    Places,
    /// Integers that depend on when the command ran: equal within this much.
    Time(i64),
    /// A random choice: held against the set it was drawn from.
    Random,
    /// HELLO: names, protocol, mode and role; not version, id or modules.
    Hello,
    /// What XINFO and XPENDING tell, times and the shape of Redis' tree apart.
    StreamInfo,
    /// Encodings of lists and sets have some freedom.
    Encoding,
}

/// Replies that depend on the moment may differ by this many seconds: the machine may stop one of
/// the two servers for a while. Wrong units and wrong bases are off by much more.
const SLACK: i64 = 5;

fn rule(command: &Command) -> Rule {
    let name = command.first().map(|n| n.to_ascii_uppercase()).unwrap_or_default();
    match name.as_slice() {
        b"SMEMBERS" | b"SINTER" | b"SUNION" | b"SDIFF" | b"KEYS" | b"HKEYS" | b"HVALS" => {
            Rule::Unordered
        }
        b"HGETALL" => Rule::Pairs,
        b"ZADD" | b"ZINCRBY" | b"ZSCORE" | b"ZMSCORE" | b"ZRANGE" | b"ZREVRANGE"
        | b"ZRANGEBYSCORE" | b"ZREVRANGEBYSCORE" | b"ZPOPMIN" | b"ZPOPMAX" | b"ZMPOP"
        | b"BZMPOP" | b"BZPOPMIN" | b"BZPOPMAX" | b"ZUNION" | b"ZINTER" | b"ZDIFF" => Rule::Scores,
        b"GEOPOS"
        | b"GEOSEARCH"
        | b"GEORADIUS"
        | b"GEORADIUS_RO"
        | b"GEORADIUSBYMEMBER"
        | b"GEORADIUSBYMEMBER_RO" => Rule::Places,
        b"TTL" | b"EXPIRETIME" => Rule::Time(SLACK),
        b"PTTL" | b"PEXPIRETIME" => Rule::Time(SLACK * 1000),
        b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER" | b"RANDOMKEY" => Rule::Random,
        b"HELLO" => Rule::Hello,
        b"XINFO" | b"XPENDING" => Rule::StreamInfo,
        b"OBJECT" => Rule::Encoding,
        _ => Rule::Exact,
    }
}

/// Compares the replies of one command. `drawn_from` are the previous command and its replies, which
/// a random reply is held against. The error says what is wrong.
pub(super) fn same(
    command: &Command,
    oracle: &Value,
    subject: &Value,
    drawn_from: Option<(&Command, &Value, &Value)>,
) -> Result<(), String> {
    if oracle != subject
        && let Some(parts) = gen_scripts::parts(command, oracle, subject)
    {
        let mut parts = parts.iter();
        return parts.try_for_each(|(command, o, s)| same(command, o, s, None));
    }
    let rule = rule(command);
    let equal = match rule {
        Rule::Random => return random(command, oracle, subject, drawn_from),
        _ if oracle == subject => true,
        Rule::Exact => structure(oracle, subject, None),
        Rule::Scores => structure(oracle, subject, Some(0.0)),
        Rule::Places => structure(oracle, subject, Some(1e-17)),
        Rule::Unordered => sorted(oracle, 1).is_some_and(|o| Some(o) == sorted(subject, 1)),
        Rule::Pairs => sorted(oracle, 2).is_some_and(|o| Some(o) == sorted(subject, 2)),
        Rule::Time(slack) => match (oracle, subject) {
            (Value::Int(o), Value::Int(s)) => *o > 0 && *s > 0 && (o - s).abs() <= slack,
            _ => false,
        },
        Rule::Hello => hello(oracle) == hello(subject),
        Rule::StreamInfo => masked(command, oracle) == masked(command, subject),
        Rule::Encoding => {
            // Lists are listpacks first since 7.2, and so are sets; and after SPOP a set's encoding
            // depends on which members went. State comparisons check the other types exactly.
            let list = |v: &Value| matches!(v.text(), Some(b"quicklist" | b"listpack"));
            let set = |v: &Value| matches!(v.text(), Some(b"intset" | b"listpack" | b"hashtable"));
            (list(oracle) && list(subject))
                || (set(oracle) && set(subject))
                || sorting_converts(oracle, subject)
        }
    };
    if equal || explained(command, oracle, subject).is_some() {
        return Ok(());
    }
    Err("the replies differ".to_string())
}

/// Whether the encodings are those of a small sorted set that SORT has read: Redis converts it for
/// that, in Moon a look changes nothing.
pub(super) fn sorting_converts(oracle: &Value, subject: &Value) -> bool {
    oracle.text() == Some(b"skiplist") && subject.text() == Some(b"listpack")
}

/// Equal shape and equal leaves; doubles by value, bulk strings that are numbers too if they may be
/// `apart` by so much.
fn structure(a: &Value, b: &Value, apart: Option<f64>) -> bool {
    let all = |a: &[Value], b: &[Value]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| structure(a, b, apart))
    };
    let near = |a: &[u8], b: &[u8], apart: f64| match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= apart,
        _ => false,
    };
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => all(a, b),
        (Value::Set(a), Value::Set(b)) => all(a, b),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| structure(&a.0, &b.0, apart) && structure(&a.1, &b.1, apart))
        }
        (Value::Double(a), Value::Double(b)) => near(a, b, apart.unwrap_or(0.0)),
        (Value::Bulk(x), Value::Bulk(y)) if x != y => apart.is_some_and(|apart| near(x, y, apart)),
        (a, b) => a == b,
    }
}

fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The elements in groups of `group` leaves, sorted, with the outer kind in front.
fn sorted(value: &Value, group: usize) -> Option<(u8, Vec<Vec<&Value>>)> {
    let kind = match value {
        Value::Array(_) => b'*',
        Value::Set(_) => b'~',
        Value::Map(_) => b'%',
        _ => return None,
    };
    let mut groups: Vec<Vec<&Value>> =
        value.leaves().chunks(group).map(<[&Value]>::to_vec).collect();
    groups.sort();
    Some((kind, groups))
}

fn hello(value: &Value) -> Vec<String> {
    let leaves = value.leaves();
    leaves
        .chunks(2)
        .map(|pair| match pair {
            [name, value] if matches!(name.text(), Some(b"proto" | b"mode" | b"role")) => {
                format!("{name}: {value}")
            }
            [name, ..] if !name.is_error() => name.to_string(),
            _ => value.to_string(),
        })
        .collect()
}

/// The leaves of a reply about a stream without those that depend on time, on the implementation, or on the
/// oracle's version: fields that it lacks, and when it can tell how far a group is behind.
fn masked(command: &Command, value: &Value) -> Vec<String> {
    const FIELDS: [&[u8]; 14] = [
        b"radix-tree-nodes",
        b"idle",
        b"inactive",
        b"seen-time",
        b"active-time",
        b"lag",
        b"entries-read",
        // A claim that finds nothing makes its consumer since 7.2.
        b"consumers",
        // Since 8.6.
        b"idmp-duration",
        b"idmp-maxsize",
        b"pids-tracked",
        b"iids-tracked",
        b"iids-added",
        b"iids-duplicates",
    ];
    let mut leaves = value.leaves();
    if command[0].eq_ignore_ascii_case(b"XPENDING") && command.len() > 3 {
        // Id, consumer, idle time, deliveries.
        let mut n = 0..;
        leaves.retain(|_| n.next().is_some_and(|n: usize| n % 4 != 2));
    }
    let mut kept = Vec::with_capacity(leaves.len());
    let mut skip = false;
    for leaf in leaves {
        if std::mem::take(&mut skip) {
            continue;
        }
        skip = leaf.text().is_some_and(|t| FIELDS.contains(&t));
        // Instants.
        let time = matches!(leaf, Value::Int(n) if *n > 1_000_000_000_000);
        if !skip && !time {
            kept.push(leaf.to_string());
        }
    }
    kept
}

/// A random reply: same shape and length on both sides, distinct where the command promises it, and
/// nothing that the key does not hold.
fn random(
    command: &Command,
    oracle: &Value,
    subject: &Value,
    drawn_from: Option<(&Command, &Value, &Value)>,
) -> Result<(), String> {
    let (Some(o), Some(s)) = (oracle.elements(), subject.elements()) else {
        let both_one = matches!((oracle, subject), (Value::Bulk(_), Value::Bulk(_)));
        if !both_one {
            let equal = oracle == subject || explained(command, oracle, subject).is_some();
            return if equal { Ok(()) } else { Err("the replies differ".to_string()) };
        }
        return drawn(command, subject, drawn_from, 1);
    };
    if std::mem::discriminant(oracle) != std::mem::discriminant(subject) || o.len() != s.len() {
        return Err("another number of elements, or another kind of list".to_string());
    }
    let shapes = |v: &[Value]| v.iter().map(std::mem::discriminant).collect::<Vec<_>>();
    if shapes(o) != shapes(s) {
        return Err("elements of another kind".to_string());
    }
    let values = command.len() > 3;
    let positive = command.get(2).is_some_and(|n| !n.starts_with(b"-"));
    let group = if values { 2 } else { 1 };
    if positive {
        let (_, groups) = sorted(subject, group).ok_or("no list")?;
        if groups.windows(2).any(|w| w[0] == w[1]) {
            return Err("an element twice, although the count is positive".to_string());
        }
    }
    drawn(command, subject, drawn_from, group)
}

/// Every element of the subject's reply occurs in what it says it holds.
fn drawn(
    command: &Command,
    subject: &Value,
    drawn_from: Option<(&Command, &Value, &Value)>,
    group: usize,
) -> Result<(), String> {
    let Some((source, _, held)) = drawn_from else { return Ok(()) };
    let about_this_key = match source.first().map(Vec::as_slice) {
        Some(b"KEYS") => command[0] == b"RANDOMKEY",
        Some(b"SMEMBERS") => command[0] == b"SRANDMEMBER" && source.get(1) == command.get(1),
        Some(b"HGETALL") => command[0] == b"HRANDFIELD" && source.get(1) == command.get(1),
        Some(b"ZRANGE") => command[0] == b"ZRANDMEMBER" && source.get(1) == command.get(1),
        _ => false,
    };
    if !about_this_key {
        return Ok(());
    }
    let paired = matches!(source[0].as_slice(), b"HGETALL" | b"ZRANGE");
    let held: Vec<Vec<&Value>> = held
        .leaves()
        .chunks(if paired { 2 } else { 1 })
        .map(|c| c[..group.min(c.len())].to_vec())
        .collect();
    match subject.leaves().chunks(group).find(|c| !held.contains(&c.to_vec())) {
        Some(alien) => Err(format!("{} is not in the key", alien[0])),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd;

    fn bulks(words: &[&str]) -> Value {
        Value::Array(words.iter().map(|w| Value::Bulk(w.as_bytes().to_vec())).collect())
    }

    fn check(command: Command, a: Value, b: Value) -> bool {
        same(&command, &a, &b, None).is_ok()
    }

    #[test]
    fn order_counts_unless_the_command_has_none() {
        let (a, b) = (bulks(&["a", "b"]), bulks(&["b", "a"]));
        assert!(!check(cmd!["LRANGE", "k", 0, -1], a.clone(), b.clone()));
        assert!(check(cmd!["SMEMBERS", "k"], a.clone(), b.clone()));
        assert!(check(
            cmd!["HGETALL", "k"],
            bulks(&["f", "1", "g", "2"]),
            bulks(&["g", "2", "f", "1"])
        ));
        assert!(!check(
            cmd!["HGETALL", "k"],
            bulks(&["f", "1", "g", "2"]),
            bulks(&["g", "1", "f", "2"])
        ));
        assert!(!check(cmd!["SMEMBERS", "k"], a, bulks(&["a", "b", "b"])));
    }

    #[test]
    fn scores_compare_by_value_and_members_do_not() {
        let (a, b) = (bulks(&["m", "0.10000000000000001"]), bulks(&["m", "0.1"]));
        assert!(check(cmd!["ZRANGE", "z", 0, -1, "WITHSCORES"], a.clone(), b.clone()));
        assert!(!check(cmd!["LRANGE", "z", 0, -1], a, b));
        assert!(!check(cmd!["ZRANGE", "z", 0, -1], bulks(&["m"]), bulks(&["n"])));
    }

    #[test]
    fn times_have_slack_but_not_across_zero() {
        assert!(check(cmd!["TTL", "k"], Value::Int(1000), Value::Int(999)));
        assert!(!check(cmd!["TTL", "k"], Value::Int(1000), Value::Int(900)));
        assert!(!check(cmd!["TTL", "k"], Value::Int(1), Value::Int(-1)));
        assert!(!check(cmd!["INCR", "k"], Value::Int(1000), Value::Int(999)));
    }

    #[test]
    fn random_replies_must_come_from_the_key() {
        let (source, held) = (cmd!["SMEMBERS", "k"], bulks(&["a", "b", "c"]));
        let random = |command: Command, a: &[&str], b: &[&str]| {
            same(&command, &bulks(a), &bulks(b), Some((&source, &held, &held))).is_ok()
        };
        assert!(random(cmd!["SRANDMEMBER", "k", 2], &["a", "b"], &["c", "b"]));
        assert!(!random(cmd!["SRANDMEMBER", "k", 2], &["a", "b"], &["c", "d"]));
        assert!(!random(cmd!["SRANDMEMBER", "k", 2], &["a", "b"], &["c", "c"]));
        assert!(random(cmd!["SRANDMEMBER", "k", -2], &["a", "b"], &["c", "c"]));
        assert!(!random(cmd!["SRANDMEMBER", "k", 2], &["a", "b"], &["c"]));
    }
}
