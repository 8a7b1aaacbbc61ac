//! The executor: sends ops to both servers and compares what comes back.

use super::compare::{same, sorting_converts};
use super::{Kind, Op};
use crate::client::Client;
use crate::value::Value;
use crate::{Command, cmd, shown};
use std::collections::BTreeSet;
use std::fmt;
use std::io;

/// Commands sent before replies are read.
const BATCH: usize = 256;
/// Databases that the generator reaches.
const DATABASES: [usize; 4] = [0, 1, 2, 15];
/// Characters of a reply that are printed.
const LINE: usize = 600;
/// A scan that needs more calls than this never ends.
const SCAN_CALLS: usize = 100_000;

/// A connection to each server.
pub struct Pair {
    /// The one that is right by definition.
    pub oracle: Client,
    /// The one under test.
    pub subject: Client,
}

impl Pair {
    fn call(&mut self, command: &[Vec<u8>]) -> io::Result<(Value, Value)> {
        self.oracle.queue(command);
        self.subject.queue(command);
        self.oracle.flush()?;
        self.subject.flush()?;
        Ok((self.oracle.receive()?, self.subject.receive()?))
    }

    fn batch(&mut self, commands: &[Command]) -> io::Result<Vec<(Value, Value)>> {
        for command in commands {
            self.oracle.queue(command);
            self.subject.queue(command);
        }
        self.oracle.flush()?;
        self.subject.flush()?;
        let oracle: io::Result<Vec<Value>> =
            commands.iter().map(|_| self.oracle.receive()).collect();
        let oracle = oracle.map_err(|e| io::Error::new(e.kind(), format!("oracle: {e}")))?;
        let subject: io::Result<Vec<Value>> =
            commands.iter().map(|_| self.subject.receive()).collect();
        let subject = subject.map_err(|e| io::Error::new(e.kind(), format!("subject: {e}")))?;
        Ok(oracle.into_iter().zip(subject).collect())
    }
}

/// What a run did.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Commands whose replies were compared, those of state comparisons included.
    pub commands: usize,
    /// State comparisons.
    pub checkpoints: usize,
    /// Keys compared in them.
    pub keys: usize,
    /// Replies that were errors on both sides.
    pub errors: usize,
}

/// The first difference of a run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Index of the op.
    pub op: usize,
    /// The command whose replies differ.
    pub command: Command,
    /// The replies, oracle first; none if a connection failed.
    pub replies: Option<(Value, Value)>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", cut(&shown(&self.command)), self.why)?;
        if let Some((oracle, subject)) = &self.replies {
            writeln!(f, "  oracle:  {}", cut(&oracle.to_string()))?;
            writeln!(f, "  subject: {}", cut(&subject.to_string()))?;
        }
        Ok(())
    }
}

/// Long replies are cut for print.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((at, _)) => format!("{}... ({} bytes)", &text[..at], text.len()),
        None => text.to_string(),
    }
}

/// Runs `ops` on both servers until the first difference.
pub fn run(pair: &mut Pair, ops: &[Op]) -> Result<Stats, Box<Failure>> {
    let mut run = Run { pair, at: 0, queue: None, last: None, stats: Stats::default() };
    let mut from = 0;
    while from < ops.len() {
        run.at = from;
        let (mut to, mut commands) = (from, 0);
        while to < ops.len() && ops[to].kind == Kind::Pipe && commands < BATCH {
            commands += ops[to].commands.len();
            to += 1;
        }
        if to > from {
            run.pipe(&ops[from..to])?;
            from = to;
            continue;
        }
        match ops[from].kind {
            Kind::Pop => run.pop(&ops[from].commands[0])?,
            Kind::Scan => run.scan(&ops[from].commands[0])?,
            Kind::Dump => run.dump(&ops[from].commands)?,
            Kind::Waits => run.waits(&ops[from].commands)?,
            Kind::Checkpoint => run.checkpoint(true)?,
            Kind::Reloaded => run.checkpoint(false)?,
            Kind::Pipe => {}
        }
        from += 1;
    }
    Ok(run.stats)
}

pub(super) struct Run<'a> {
    pub(super) pair: &'a mut Pair,
    /// The op being executed.
    at: usize,
    /// Commands queued since MULTI.
    pub(super) queue: Option<Vec<Command>>,
    /// The previous command with its replies.
    last: Option<(Command, Value, Value)>,
    pub(super) stats: Stats,
}

impl Run<'_> {
    pub(super) fn failure(
        &self,
        command: &Command,
        replies: Option<(Value, Value)>,
        why: String,
    ) -> Box<Failure> {
        Box::new(Failure { op: self.at, command: command.clone(), replies, why })
    }

    pub(super) fn broken(&self, command: &Command, error: &io::Error) -> Box<Failure> {
        self.failure(command, None, format!("the connection failed: {error}"))
    }

    fn pipe(&mut self, ops: &[Op]) -> Result<(), Box<Failure>> {
        let commands: Vec<Command> = ops.iter().flat_map(|op| op.commands.clone()).collect();
        let replies = self.pair.batch(&commands).map_err(|e| {
            // Which command it was is found by shrinking; all ops of the batch must stay in play.
            self.at += ops.len() - 1;
            self.broken(commands.last().unwrap_or(&Vec::new()), &e)
        })?;
        let owners = ops.iter().enumerate().flat_map(|(n, op)| op.commands.iter().map(move |_| n));
        let first = self.at;
        for ((command, (oracle, subject)), owner) in commands.into_iter().zip(replies).zip(owners) {
            self.at = first + owner;
            self.compare(command, oracle, subject)?;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        command: Command,
        oracle: Value,
        subject: Value,
    ) -> Result<(), Box<Failure>> {
        self.stats.commands += 1;
        self.stats.errors += usize::from(oracle.is_error());
        let queued = Value::Simple(b"QUEUED".to_vec());
        if let Some(queue) = &mut self.queue
            && oracle == queued
            && subject == queued
        {
            queue.push(command);
            return Ok(());
        }
        let ok = oracle == Value::Simple(b"OK".to_vec());
        match command[0].to_ascii_uppercase().as_slice() {
            b"MULTI" if ok => self.queue = Some(Vec::new()),
            b"DISCARD" if ok => self.queue = None,
            b"EXEC" => {
                let queue = self.queue.take().unwrap_or_default();
                if let (Value::Array(o), Value::Array(s)) = (&oracle, &subject)
                    && o.len() == s.len()
                    && o.len() == queue.len()
                {
                    for ((command, o), s) in queue.iter().zip(o).zip(s) {
                        same(command, o, s, None).map_err(|why| {
                            self.failure(
                                command,
                                Some((o.clone(), s.clone())),
                                format!("{why} (in EXEC)"),
                            )
                        })?;
                    }
                    return Ok(());
                }
            }
            _ => {}
        }
        let drawn_from = self.last.as_ref().map(|(c, o, s)| (c, o, s));
        if let Err(why) = same(&command, &oracle, &subject, drawn_from) {
            return Err(self.failure(&command, Some((oracle, subject)), why));
        }
        self.last = Some((command, oracle, subject));
        Ok(())
    }

    pub(super) fn call(&mut self, command: &Command) -> Result<(Value, Value), Box<Failure>> {
        self.pair.call(command).map_err(|e| self.broken(command, &e))
    }

    pub(super) fn call_and_compare(
        &mut self,
        command: Command,
    ) -> Result<(Value, Value), Box<Failure>> {
        let (oracle, subject) = self.call(&command)?;
        self.compare(command, oracle.clone(), subject.clone())?;
        Ok((oracle, subject))
    }

    /// SPOP on both, then the subject's members come back and the oracle's go: this also shows that
    /// the popped ones were really gone and that the others had really been there.
    fn pop(&mut self, command: &Command) -> Result<(), Box<Failure>> {
        if self.queue.is_some() {
            return Ok(());
        }
        let (oracle, subject) = self.call(command)?;
        self.stats.commands += 1;
        let fail = |run: &Self, why: &str| {
            Err(run.failure(command, Some((oracle.clone(), subject.clone())), why.to_string()))
        };
        if std::mem::discriminant(&oracle) != std::mem::discriminant(&subject) {
            return fail(self, "replies of another kind");
        }
        let members = |v: &Value| match v {
            Value::Bulk(b) => BTreeSet::from([b.clone()]),
            v => v
                .elements()
                .unwrap_or(&[])
                .iter()
                .filter_map(|e| e.text().map(<[u8]>::to_vec))
                .collect(),
        };
        let (wanted, got) = (members(&oracle), members(&subject));
        if !matches!(oracle, Value::Bulk(_)) && oracle.elements().is_none() {
            return if oracle == subject { Ok(()) } else { fail(self, "the replies differ") };
        }
        if oracle.elements().map(<[Value]>::len) != subject.elements().map(<[Value]>::len)
            || got.len() != wanted.len()
        {
            return fail(self, "another number of members, or one twice");
        }
        if wanted == got {
            return Ok(());
        }
        let only = |a: &BTreeSet<Vec<u8>>, b: &BTreeSet<Vec<u8>>| {
            a.difference(b).cloned().collect::<Vec<_>>()
        };
        for (name, members) in [("SADD", only(&got, &wanted)), ("SREM", only(&wanted, &got))] {
            let mut repair = cmd![name, command[1]];
            repair.extend(members.iter().cloned());
            self.pair.subject.queue(&repair);
            let reply = self.pair.subject.flush().and_then(|()| self.pair.subject.receive());
            let reply = reply.map_err(|e| self.broken(&repair, &e))?;
            if reply != Value::Int(members.len() as i64) {
                let why = format!(
                    "it popped what was not there, or left it: {} -> {reply}",
                    shown(&repair)
                );
                return fail(self, &why);
            }
        }
        Ok(())
    }

    /// Follows a scan to its end on each side and compares the elements as sets.
    fn scan(&mut self, command: &Command) -> Result<(), Box<Failure>> {
        if self.queue.is_some() {
            return Ok(());
        }
        let per = if matches!(command[0].as_slice(), b"HSCAN" | b"ZSCAN") { 2 } else { 1 };
        let cursor = if command[0] == b"SCAN" { 1 } else { 2 };
        let mut results = Vec::new();
        for side in [&mut self.pair.oracle, &mut self.pair.subject] {
            results.push(scan_all(side, command, cursor, per));
        }
        self.stats.commands += 1;
        let (Some(subject), Some(oracle)) = (results.pop(), results.pop()) else { return Ok(()) };
        let oracle = oracle.map_err(|e| self.broken(command, &e))?;
        let subject = subject.map_err(|e| self.broken(command, &e))?;
        match (oracle, subject) {
            (Ok(o), Ok(s)) if o == s => Ok(()),
            (Err(o), Err(s)) => match same(command, &o, &s, None) {
                Ok(()) => Ok(()),
                Err(why) => Err(self.failure(command, Some((o, s)), why)),
            },
            (Ok(o), Ok(s)) => {
                let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                    let missing = a.difference(b).map(|t| Value::Bulk(t.clone().into_bytes()));
                    Value::Array(missing.collect())
                };
                let why = "the whole scans differ; only on each side:".to_string();
                Err(self.failure(command, Some((only(&o, &s), only(&s, &o))), why))
            }
            (o, s) => {
                let show = |r: Result<BTreeSet<String>, Value>| match r {
                    Ok(all) => Value::Int(all.len() as i64),
                    Err(value) => value,
                };
                let why = "one side scans, the other refuses".to_string();
                Err(self.failure(command, Some((show(o), show(s))), why))
            }
        }
    }

    /// Walks every key of every database on both sides.
    fn checkpoint(&mut self, encodings: bool) -> Result<(), Box<Failure>> {
        if self.queue.is_some() {
            self.call_and_compare(cmd!["DISCARD"])?;
        }
        self.stats.checkpoints += 1;
        for database in DATABASES {
            self.call_and_compare(cmd!["SELECT", database])?;
            self.call_and_compare(cmd!["DBSIZE"])?;
            let (keys, _) = self.call_and_compare(cmd!["KEYS", "*"])?;
            let mut keys: Vec<Vec<u8>> = keys
                .elements()
                .unwrap_or(&[])
                .iter()
                .filter_map(|k| k.text().map(<[u8]>::to_vec))
                .collect();
            keys.sort();
            self.stats.keys += keys.len();
            for some in keys.chunks(BATCH / 4) {
                self.walk(some, encodings)?;
            }
        }
        self.call_and_compare(cmd!["SELECT", 0])?;
        Ok(())
    }

    fn walk(&mut self, keys: &[Vec<u8>], encodings: bool) -> Result<(), Box<Failure>> {
        let looks: Vec<Command> = keys
            .iter()
            .flat_map(|k| [cmd!["TYPE", *k], cmd!["PTTL", *k], cmd!["OBJECT", "ENCODING", *k]])
            .collect();
        let replies = self.pair.batch(&looks).map_err(|e| self.broken(&looks[0], &e))?;
        let mut contents = Vec::new();
        for (command, (oracle, subject)) in looks.into_iter().zip(replies) {
            if command[0] == b"OBJECT" && !encodings {
                continue;
            }
            let key = command[command.len() - 1].clone();
            if command[0] == b"TYPE" {
                contents.push(content(&oracle, &key));
            }
            // The encodings of lists and sets changed after the oracle's version; the others must
            // be equal.
            let of_set_or_list =
                contents.last().is_some_and(|c| matches!(c[0].as_slice(), b"LRANGE" | b"SMEMBERS"));
            let explained = of_set_or_list || sorting_converts(&oracle, &subject);
            if command[0] == b"OBJECT" && !explained && oracle != subject {
                return Err(self.failure(
                    &command,
                    Some((oracle, subject)),
                    "the encodings differ".to_string(),
                ));
            }
            self.compare(command, oracle, subject)?;
        }
        let replies = self.pair.batch(&contents).map_err(|e| self.broken(&contents[0], &e))?;
        for (command, (oracle, subject)) in contents.into_iter().zip(replies) {
            self.compare(command, oracle, subject)?;
        }
        Ok(())
    }
}

/// The command that shows all of a key, whose TYPE has been answered.
pub(super) fn content(of: &Value, key: &[u8]) -> Command {
    match of.text() {
        Some(b"string") => cmd!["GET", key],
        Some(b"list") => cmd!["LRANGE", key, 0, -1],
        Some(b"hash") => cmd!["HGETALL", key],
        Some(b"set") => cmd!["SMEMBERS", key],
        Some(b"stream") => cmd!["XRANGE", key, "-", "+"],
        _ => cmd!["ZRANGE", key, 0, -1, "WITHSCORES"],
    }
}

/// All elements of a scan, as printed text, or the error it answered.
fn scan_all(
    client: &mut Client,
    command: &Command,
    cursor: usize,
    per: usize,
) -> io::Result<Result<BTreeSet<String>, Value>> {
    let mut command = command.clone();
    let mut seen = BTreeSet::new();
    for _ in 0..SCAN_CALLS {
        let reply = client.call(&command)?;
        let Value::Array(parts) = &reply else { return Ok(Err(reply)) };
        let [next, Value::Array(elements)] = &parts[..] else { return Ok(Err(reply)) };
        for group in elements.chunks(per) {
            // Scores by value, see compare.rs; adding 0 makes 0 of -0.
            let score = |v: &Value| {
                let number =
                    v.text().and_then(|t| std::str::from_utf8(t).ok()?.parse::<f64>().ok());
                number.map_or_else(|| v.to_string(), |n| (n + 0.0).to_string())
            };
            seen.insert(match group {
                [member, value] if command[0] == b"ZSCAN" => format!("{member} {}", score(value)),
                _ => group.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            });
        }
        match next.text() {
            Some(b"0") => return Ok(Ok(seen)),
            Some(text) => command[cursor] = text.to_vec(),
            None => return Ok(Err(reply)),
        }
    }
    Err(io::Error::other("the scan does not end"))
}
