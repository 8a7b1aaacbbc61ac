//! Seeded commands for a simulated run: every write row of the command table, several clients.
//!
//! Rows are read from the table itself, so a new command takes part as soon as it exists. Its
//! arguments are made from its line of syntax; a hand-written core of counters, pushes and
//! appends keeps the share of effects that must not be applied twice.

mod large;
mod plane;

use std::collections::VecDeque;
use std::sync::OnceLock;

use moon_engine::command::syntax::{self, Arg, Kind};
use moon_engine::command::{Command, CommandSpec, CommandTable, Group, Run};
use moon_formats::redis_rdb::{Encoder, functions};
use moon_formats::value::{self, Value, ValueType};
use moon_storage::io::sim::SimRng;

use crate::life::table;

pub use plane::Plane;

/// Simulated clients.
pub const CLIENTS: usize = 6;
/// Databases the clients use.
pub const DATABASES: u16 = 4;

/// Name and arguments of a command.
type Words = Vec<Vec<u8>>;

/// One command of one client.
#[derive(Debug, Clone)]
pub struct Op {
    /// Number of the client, below [`CLIENTS`].
    pub client: usize,
    /// Name and arguments.
    pub words: Words,
}

struct Row {
    spec: &'static CommandSpec,
    args: Vec<Arg>,
}

/// An endless seeded sequence of commands.
pub struct Workload {
    rng: SimRng,
    plane: Plane,
    rows: &'static [Row],
    core: Vec<&'static str>,
    queues: [VecDeque<Words>; CLIENTS],
    tokens: [u64; CLIENTS],
    /// Milliseconds of the stream entries added last.
    added: VecDeque<u64>,
    /// Values of megabytes still to be made.
    big_values: u32,
    /// Large values still to be made, and one; 0 in a run without any.
    large: u32,
    made: u64,
    not_idempotent: u64,
}

/// Effects that show if they are applied twice.
const CORE: [&str; 13] = [
    "incr",
    "incrby",
    "append",
    "lpush",
    "rpush",
    "incrbyfloat",
    "hincrby",
    "hincrbyfloat",
    "zincrby",
    "decrby",
    "linsert",
    "lmove",
    "xadd",
];

/// Rows that seldom find what they need, so they get a share of their own.
const PICKY: [&str; 16] = [
    "function|delete",
    "function|load",
    "function|restore",
    "georadius",
    "hexpire",
    "hpersist",
    "lrem",
    "smove",
    "srem",
    "xack",
    "xackdel",
    "xautoclaim",
    "xcfgset",
    "xclaim",
    "xnack",
    "xreadgroup",
];

/// Every write row of a table that clients call, subcommands included.
pub fn write_rows(table: &'static CommandTable) -> impl Iterator<Item = &'static Command> {
    let rows = table.iter().flat_map(|c| std::iter::once(c).chain(c.subs()));
    rows.filter(|c| matches!(c.spec.run, Run::Write(_)))
}

/// The rows of [`table`], read once: a matrix makes a workload for each life.
fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| {
        write_rows(table()).map(|c| Row { spec: c.spec, args: syntax::parse(c.spec) }).collect()
    })
}

impl Workload {
    /// A sequence for a seed; one seed in eight makes a value of megabytes.
    pub fn new(plane: Plane, seed: u64) -> Workload {
        let rows = rows();
        let core = CORE.iter().copied().filter(|n| rows.iter().any(|r| r.spec.name == *n));
        Workload {
            rng: SimRng::new(seed),
            plane,
            core: core.collect(),
            rows,
            queues: Default::default(),
            tokens: [0; CLIENTS],
            added: VecDeque::new(),
            big_values: u32::from(seed % 8 == 7),
            large: 0,
            made: 0,
            not_idempotent: 0,
        }
    }

    /// With values that a snapshot writes in chunks.
    #[must_use]
    pub fn with_large_values(self) -> Workload {
        Workload { large: 9, ..self }
    }

    /// Commands made, and how many of them must not be applied twice.
    pub fn made(&self) -> (u64, u64) {
        (self.made, self.not_idempotent)
    }

    /// The next command, at a wall clock in milliseconds.
    pub fn next(&mut self, now_ms: u64) -> Op {
        let client = self.rng.below(CLIENTS as u64) as usize;
        if self.queues[client].is_empty() {
            self.refill(client, now_ms);
        }
        let words = self.queues[client].pop_front().unwrap_or_else(|| words(&["PING"]));
        Op { client, words }
    }

    fn refill(&mut self, client: usize, now_ms: u64) {
        if self.rng.chance(self.plane.transactions()) {
            let mut queue: Vec<Words> = self.watch().into_iter().collect();
            queue.push(words(&["MULTI"]));
            for _ in 0..1 + self.rng.below(6) {
                let command = self.command(client, now_ms);
                queue.push(command);
            }
            queue.push(words(&[if self.rng.chance(900) { "EXEC" } else { "DISCARD" }]));
            self.queues[client].extend(queue);
            return;
        }
        let command = self.command(client, now_ms);
        self.queues[client].push_back(command);
    }

    fn command(&mut self, client: usize, now_ms: u64) -> Words {
        self.made += 1;
        let special = self.about_large(client).or_else(|| self.of_plane(client, now_ms));
        if let Some(command) = special {
            return command;
        }
        let ttl = self.plane == Plane::Ttl || self.plane == Plane::Mixed && self.rng.chance(170);
        match self.rng.below(100) {
            0..=37 if !ttl || self.rng.chance(750) => {
                self.not_idempotent += 1;
                let name = self.core[self.rng.below(self.core.len() as u64) as usize];
                self.row_named(name, client, now_ms)
            }
            38..=43 => self.read(),
            // What rows that remove members or move them find something in.
            44..=45 => {
                let (name, group) = match self.rng.below(2) {
                    0 => ("SADD", Group::Set),
                    _ => ("RPUSH", Group::List),
                };
                let mut full = words(&[name, "", "m0", "m1", "m2", "m3", "m6", "m8", "m10"]);
                full[1] = self.key(group);
                full
            }
            46..=47 => words(&["SELECT", &self.rng.below(u64::from(DATABASES)).to_string()]),
            48..=57 if ttl => self.short_lived(client),
            48..=57 => {
                let pick = self.rng.below(PICKY.len() as u64) as usize;
                self.row_named(PICKY[pick], client, now_ms)
            }
            // Whole databases go rarely, or nothing would ever be old.
            n => {
                let row = self.rng.below(self.rows.len() as u64) as usize;
                let name = self.rows[row].spec.name;
                if name.starts_with("flush") && !self.rng.chance(60) {
                    return self.row_named("set", client, now_ms);
                }
                let names = ["expire", "pexpire", "getex", "pexpireat", "psetex"];
                if ttl && n < 75 {
                    let pick = self.rng.below(names.len() as u64) as usize;
                    return self.row_named(names[pick], client, now_ms);
                }
                self.instance(row, client, now_ms)
            }
        }
    }

    /// Ends soon: before, at or after the next few turns.
    fn short_lived(&mut self, client: usize) -> Words {
        let ms = 1 + self.rng.below(400);
        let (key, value) = (self.key(Group::String), self.token(client));
        vec![b"SET".to_vec(), key, value, b"PX".to_vec(), ms.to_string().into_bytes()]
    }

    fn read(&mut self) -> Words {
        match self.rng.below(4) {
            0 => vec![b"GET".to_vec(), self.key(Group::String)],
            1 => vec![b"LRANGE".to_vec(), self.key(Group::List), b"0".to_vec(), b"-1".to_vec()],
            2 => vec![b"EXISTS".to_vec(), self.key(Group::Generic), self.key(Group::Generic)],
            _ => words(&["RANDOMKEY"]),
        }
    }

    fn row_named(&mut self, name: &str, client: usize, now_ms: u64) -> Words {
        match self.rows.iter().position(|r| r.spec.name == name) {
            Some(row) => self.instance(row, client, now_ms),
            None => words(&["PING"]),
        }
    }

    fn instance(&mut self, row: usize, client: usize, now_ms: u64) -> Words {
        let Row { spec, args } = &self.rows[row];
        let mut out: Words = spec.name.split('|').map(|w| w.as_bytes().to_vec()).collect();
        let mut made = Made { spec, client, now_ms, count: None, key: Vec::new() };
        self.arguments(&mut made, args, &mut out);
        out
    }

    fn arguments(&mut self, made: &mut Made, args: &[Arg], out: &mut Vec<Vec<u8>>) {
        for arg in args {
            if arg.optional && !arg.multiple && !self.rng.chance(300) {
                continue;
            }
            let times = match made.count.take_if(|_| arg.multiple) {
                Some(n) => n,
                None if arg.multiple => 1 + self.rng.below(3),
                None => 1,
            };
            let skip_optional = arg.optional && arg.multiple && self.rng.chance(600);
            if skip_optional {
                continue;
            }
            if let (Some(token), false) = (&arg.token, arg.multiple_token) {
                out.push(token.as_bytes().to_vec());
            }
            for _ in 0..times {
                if let (Some(token), true) = (&arg.token, arg.multiple_token) {
                    out.push(token.as_bytes().to_vec());
                }
                match &arg.kind {
                    Kind::PureToken => {}
                    Kind::OneOf(options) => {
                        let pick = self.rng.below(options.len() as u64) as usize;
                        self.arguments(made, std::slice::from_ref(&options[pick]), out);
                    }
                    Kind::Block(items) => self.arguments(made, items, out),
                    Kind::Value(kind) => {
                        let value = self.value(made, &arg.name, kind);
                        out.push(value);
                    }
                }
            }
        }
    }

    fn value(&mut self, made: &mut Made, name: &str, kind: &str) -> Vec<u8> {
        let text = match (name, kind) {
            ("numkeys" | "numfields" | "numids", _) => {
                let n = 1 + self.rng.below(3);
                made.count = Some(n);
                n.to_string()
            }
            // Short, or most clients would wait most of the time.
            ("timeout", _) => format!("0.{}5", self.rng.below(6)),
            ("db" | "destination-db" | "index1" | "index2", _) => {
                self.rng.below(u64::from(DATABASES)).to_string()
            }
            ("seconds", _) => (1 + self.rng.below(4)).to_string(),
            ("milliseconds", _) => (1 + self.rng.below(3000)).to_string(),
            ("unix-time-seconds", _) => (made.now_ms / 1000 + self.rng.below(5)).to_string(),
            ("unix-time-milliseconds", _) => {
                (made.now_ms + self.rng.below(3000)).saturating_sub(200).to_string()
            }
            ("offset", _) => self.rng.below(300).to_string(),
            ("value", _) if made.spec.group == Group::Bitmap => self.rng.below(2).to_string(),
            ("encoding", _) => ["u8", "i5", "u63", "i64"][self.rng.below(4) as usize].into(),
            ("subcommand", _) => "TODENSE".into(),
            ("num-vertices", _) => {
                made.count = Some(3);
                "4".into()
            }
            ("radius" | "width" | "height", _) => (1 + self.rng.below(900)).to_string(),
            ("index" | "start" | "stop", _) if made.spec.group != Group::String => {
                (self.rng.below(9) as i64 - 4).to_string()
            }
            ("limit", _) => "100".into(),
            ("min" | "max", _) if made.spec.name.contains("lex") => {
                ["-", "+", "[m3", "(m7"][self.rng.below(4) as usize].into()
            }
            ("min", "double") => ["-inf", "1", "(3"][self.rng.below(3) as usize].into(),
            ("max", "double") => ["+inf", "9", "(30"][self.rng.below(3) as usize].into(),
            ("min", _) => "0".into(),
            ("max", _) => self.rng.below(9).to_string(),
            ("pattern", _) => "*".into(),
            ("function-code", _) => self.library(),
            ("serialized-value", _) if made.spec.name == "function|restore" => {
                let libraries = [self.library(), self.library()];
                let mut payload = Vec::new();
                functions::dump(libraries.iter().map(String::as_bytes), &mut payload);
                return payload;
            }
            ("idmp-duration" | "idmp-maxsize", _) => (1 + self.rng.below(9)).to_string(),
            ("lowerbound", _) => "-1000".into(),
            ("upperbound", _) => "1000000".into(),
            (_, "integer") | ("integer" | "exactly", _) => (1 + self.rng.below(5)).to_string(),
            (_, "double") | ("float", _) => format!("{}.5", self.rng.below(40)),
            ("ttl", _) => ["0", "0", "1000", "100000"][self.rng.below(4) as usize].into(),
            ("serialized-value", _) => return self.payload(made),
            (_, "key") | ("dst" | "src", _) => {
                let key = self.key(made.spec.group);
                made.key.clone_from(&key);
                return key;
            }
            ("group", _) => "group".into(),
            ("consumer", _) => format!("consumer{}", self.rng.below(2)),
            ("min-idle-time", _) => self.rng.below(300).to_string(),
            ("id" | "start" | "last-id" | "max-deleted-id" | "lastid" | "threshold", _)
                if made.spec.group == Group::Stream =>
            {
                self.stream_id(made.spec.name, made.now_ms)
            }
            ("member" | "field" | "pivot", _) => {
                if self.rng.chance(150) {
                    return self.token(made.client);
                }
                format!("m{}", self.rng.below(8))
            }
            ("element" | "value" | "ifeq-value", _) => {
                if !self.rng.chance(if made.spec.name.contains("ifeq") { 900 } else { 150 }) {
                    return self.content(made.client);
                }
                format!("m{}", self.rng.below(4))
            }
            _ => format!("m{}", self.rng.below(12)),
        };
        text.into_bytes()
    }

    /// The source of one of a dozen libraries.
    fn library(&mut self) -> String {
        let n = self.rng.below(12);
        format!("#!lua name=m{n}\nredis.register_function('f{n}', function() return {n} end)")
    }

    /// An id to add, or one of those added last.
    fn stream_id(&mut self, command: &str, now_ms: u64) -> String {
        if command == "xadd" {
            self.added.push_back(now_ms);
            if self.added.len() > 6 {
                self.added.pop_front();
            }
            return format!("{now_ms}-*");
        }
        if command == "xreadgroup" && self.rng.chance(800) {
            return ">".into();
        }
        let n = self.rng.below(8) as usize;
        self.added.get(n).map_or_else(|| "0".into(), |ms| format!("{ms}-{}", n / 5))
    }

    /// Names one client and one moment of its life.
    fn token(&mut self, client: usize) -> Vec<u8> {
        self.tokens[client] += 1;
        format!("c{client}:{}", self.tokens[client]).into_bytes()
    }

    fn content(&mut self, client: usize) -> Vec<u8> {
        let mut value = self.token(client);
        let len = match self.rng.below(1000) {
            0..=799 => 0,
            800..=849 => return self.rng.below(500).to_string().into_bytes(),
            850..=989 => 10 + self.rng.below(600) as usize,
            990..=997 => 1000 + self.rng.below(12_000) as usize,
            _ if self.big_values > 0 => {
                self.big_values -= 1;
                (1 << 20) + self.rng.below(2 << 20) as usize
            }
            _ => 20_000 + self.rng.below(80_000) as usize,
        };
        value.resize(value.len() + len, b'.');
        value
    }

    /// A DUMP payload of the type that the key's name promises.
    fn payload(&mut self, made: &Made) -> Vec<u8> {
        let members: Vec<Vec<u8>> = ["m0", "m3", "m7", "m11"].map(|m| m.into()).to_vec();
        let contents: Vec<Vec<u8>> = members.iter().map(|_| self.content(made.client)).collect();
        let members = || members.iter().map(Vec::as_slice);
        let mut body = Vec::new();
        let kind = match made.key.first_chunk() {
            Some(b"li") => {
                value::put_elements(&mut body, contents.iter().map(Vec::as_slice));
                ValueType::List
            }
            Some(b"se") => {
                value::put_elements(&mut body, members());
                ValueType::Set
            }
            Some(b"zs") => {
                value::put_scored(&mut body, members().zip([1.0, 2.5, -3.0, 9.0]));
                ValueType::ZSet
            }
            Some(b"ha") => {
                let pairs = members().zip(contents.iter().map(Vec::as_slice));
                value::put_hash(&mut body, pairs, [].into_iter());
                ValueType::Hash
            }
            _ => {
                value::put_string(&mut body, contents.first().map_or(b"", |c| c));
                ValueType::String
            }
        };
        let value = Value::decode(&body, kind.code(), 0).expect("a body just written");
        let mut payload = Vec::new();
        Encoder::default().dump(&value, &mut payload).expect("such values have a form");
        payload
    }

    fn key(&mut self, group: Group) -> Vec<u8> {
        let mixed =
            [Group::String, Group::List, Group::Hash, Group::Set, Group::SortedSet, Group::Stream];
        let group = match group {
            Group::Bitmap => Group::String,
            Group::Geo => Group::SortedSet,
            // A string of anything else is none.
            Group::HyperLogLog => return format!("hll{}", self.rng.below(5)).into_bytes(),
            other => other,
        };
        let group = if !mixed.contains(&group) || self.rng.chance(40) {
            mixed[self.rng.below(6) as usize]
        } else {
            group
        };
        let name = match group {
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "zset",
            Group::Stream => "stream",
            _ => "s",
        };
        // What groups have pending is met only where streams are few.
        let names = if group == Group::Stream { 1 } else { 3 };
        let mut key = format!("{name}{}", self.rng.below(names)).into_bytes();
        if self.rng.chance(3) {
            let len = [300, 4096, 70 << 10][self.rng.below(3) as usize];
            key.resize(len, b'k');
        }
        key
    }
}

/// What an instance being made must agree on with itself.
struct Made {
    spec: &'static CommandSpec,
    client: usize,
    now_ms: u64,
    /// Items that a count given before asks for.
    count: Option<u64>,
    /// The key made last.
    key: Vec<u8>,
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|w| w.as_bytes().to_vec()).collect()
}
