//! The generator's core: pools, boundary values, mutations and the mix of command groups.

use super::{
    Kind, Op, gen_bits, gen_dump, gen_geo, gen_hashes, gen_hll, gen_keys, gen_lists, gen_scripts,
    gen_sets, gen_streams, gen_strings, gen_waits, gen_zsets,
};
use crate::rng::Rng;
use crate::{Command, cmd};

/// Which protocol a run speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// RESP2 throughout.
    Resp2,
    /// RESP3 throughout.
    Resp3,
    /// Changes during the run.
    Both,
}

/// A family of commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Strings.
    Strings,
    /// Bits of strings.
    Bits,
    /// HyperLogLogs.
    Hll,
    /// Positions.
    Geo,
    /// Keys of any type, expiry, databases, SORT.
    Keys,
    /// Lists.
    Lists,
    /// Hashes.
    Hashes,
    /// Sets.
    Sets,
    /// Sorted sets.
    Zsets,
    /// Streams.
    Streams,
    /// DUMP and RESTORE.
    Dump,
    /// Any of them from scripts and functions.
    Scripts,
}

impl Group {
    /// Every group with its share in a hundred commands.
    pub const ALL: [(Group, usize); 12] = [
        (Group::Strings, 13),
        (Group::Bits, 8),
        (Group::Hll, 5),
        (Group::Geo, 6),
        (Group::Keys, 10),
        (Group::Lists, 13),
        (Group::Hashes, 11),
        (Group::Sets, 10),
        (Group::Zsets, 14),
        (Group::Streams, 10),
        (Group::Dump, 1),
        (Group::Scripts, 6),
    ];

    /// The group of that name (`strings`, `keys`, ...).
    pub fn named(name: &str) -> Option<Group> {
        let all = Group::ALL.into_iter().map(|(group, _)| group);
        all.into_iter().find(|group| format!("{group:?}").eq_ignore_ascii_case(name))
    }
}

/// The type that a key's name promises; other types land on it now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Str,
    List,
    Hash,
    Set,
    Zset,
    Hll,
    Geo,
    Stream,
}

/// An endless seeded sequence of ops.
pub struct Generator {
    pub(super) rng: Rng,
    proto: Proto,
    groups: Vec<(Group, usize)>,
    /// Milliseconds of the newest stream ids.
    pub(super) stream_ms: u64,
    /// Whether the commands being made will stand inside MULTI.
    pub(super) queued: bool,
}

/// Appends `command`. Redis' SORT takes an ERANGE that any earlier command has left in `errno` for
/// its own, so one that has no effect but to reset it goes in front.
fn put(commands: &mut Vec<Command>, command: Command) {
    if command[0].to_ascii_uppercase().starts_with(b"SORT") {
        commands.push(cmd!["ZADD", "errno", 0, "m", "x", "m"]);
    }
    commands.push(command);
}

/// Ops between two state comparisons.
const CHECKPOINT_EVERY: usize = 1500;

impl Generator {
    /// A generator for `seed`.
    pub fn new(seed: u64, proto: Proto) -> Generator {
        let groups = Group::ALL.to_vec();
        Generator { rng: Rng::new(seed), proto, groups, stream_ms: 1, queued: false }
    }

    /// Makes commands of these groups only; `groups` must not be empty.
    #[must_use]
    pub fn only(mut self, groups: &[Group]) -> Generator {
        self.groups.retain(|(group, _)| groups.contains(group));
        self
    }

    /// Whether ops that reach into every group may be made.
    fn all(&self) -> bool {
        self.groups.len() == Group::ALL.len()
    }

    fn has(&self, group: Group) -> bool {
        self.groups.iter().any(|(have, _)| *have == group)
    }

    /// About `commands` commands, with checkpoints in between and one at the end.
    pub fn sequence(&mut self, commands: usize) -> Vec<Op> {
        let mut ops = Vec::new();
        let version = if self.proto == Proto::Resp3 { 3 } else { 2 };
        ops.push(Op::pipe(vec![cmd!["HELLO", version]]));
        if self.has(Group::Scripts) {
            ops.push(Op::pipe(gen_scripts::loading()));
        }
        let (mut made, mut since) = (0, 0);
        while made < commands {
            let op = self.op();
            made += op.commands.len();
            ops.push(op);
            since += 1;
            if since == CHECKPOINT_EVERY {
                ops.push(Op::checkpoint());
                since = 0;
            }
        }
        ops.push(Op::checkpoint());
        ops
    }

    /// The next op.
    fn op(&mut self) -> Op {
        match self.rng.below(1000) {
            0..=24 => self.transaction(),
            25..=27 if self.proto == Proto::Both => {
                Op::pipe(vec![cmd!["HELLO", self.rng.range(2, 3)]])
            }
            28..=32 if self.all() => {
                let command = self.scan();
                Op { kind: Kind::Scan, commands: vec![command] }
            }
            33..=40 if self.has(Group::Sets) => {
                let command = self.spop();
                Op { kind: Kind::Pop, commands: vec![command] }
            }
            41..=60 if self.all() => Op::pipe(self.random_reply()),
            61..=63 if self.all() => Op::pipe(self.burst()),
            64..=67 if self.has(Group::Lists) => {
                Op { kind: Kind::Waits, commands: gen_waits::commands(self) }
            }
            68..=82 if self.has(Group::Dump) => {
                Op { kind: Kind::Dump, commands: gen_dump::pair(self) }
            }
            _ => {
                let command = self.command();
                let mut commands = Vec::new();
                put(&mut commands, self.mutated(command));
                Op::pipe(commands)
            }
        }
    }

    /// One command of any group.
    pub(super) fn command(&mut self) -> Command {
        let total = self.groups.iter().map(|(_, share)| share).sum();
        let mut at = self.rng.below(total);
        let mut groups = self.groups.iter();
        let group = loop {
            match groups.next() {
                Some((_, share)) if at >= *share => at -= share,
                Some((group, _)) => break *group,
                None => break Group::Strings,
            }
        };
        match group {
            Group::Strings => gen_strings::command(self),
            Group::Bits => gen_bits::command(self),
            Group::Hll => gen_hll::command(self),
            Group::Geo => gen_geo::command(self),
            Group::Keys => gen_keys::command(self),
            Group::Lists => gen_lists::command(self),
            Group::Hashes => gen_hashes::command(self),
            Group::Sets => gen_sets::command(self),
            Group::Zsets => gen_zsets::command(self),
            Group::Streams => gen_streams::command(self),
            Group::Dump => gen_dump::command(self),
            Group::Scripts => {
                // Of another group: a script calls no script.
                let inner = loop {
                    let inner = if self.groups.len() > 1 {
                        self.command()
                    } else {
                        gen_strings::command(self)
                    };
                    let nested = matches!(inner[0].as_slice(), b"EVAL" | b"EVALSHA" | b"FCALL");
                    if !nested && gen_scripts::fits(&inner) {
                        break inner;
                    }
                };
                let inner = self.mutated(inner);
                gen_scripts::around(self, inner)
            }
        }
    }

    /// [WATCH .. write] MULTI .. EXEC or DISCARD.
    fn transaction(&mut self) -> Op {
        let mut commands = Vec::new();
        if self.rng.chance(30) {
            commands.push(cmd!["WATCH", self.any_key(), self.any_key()]);
            if self.rng.chance(50) {
                commands.push(self.command());
            }
            if self.rng.chance(10) {
                commands.push(cmd!["UNWATCH"]);
            }
        }
        commands.push(cmd!["MULTI"]);
        self.queued = true;
        for _ in 0..self.rng.below(6) {
            let command = match self.rng.below(20) {
                0 if self.has(Group::Lists) => gen_lists::blocking(self),
                1 if self.has(Group::Zsets) => gen_zsets::blocking(self),
                2 => self
                    .rng
                    .pick(&["MULTI", "WATCH k", "UNWATCH", "PING", "SELECT 1"])
                    .split(' ')
                    .map(|w| w.as_bytes().to_vec())
                    .collect(),
                _ => self.command(),
            };
            put(&mut commands, self.mutated(command));
        }
        self.queued = false;
        commands.push(if self.rng.chance(90) { cmd!["EXEC"] } else { cmd!["DISCARD"] });
        if self.rng.chance(3) {
            commands.push(cmd![self.rng.pick(&["EXEC", "DISCARD"])]);
        }
        commands.push(cmd!["SELECT", 0]);
        Op::pipe(commands)
    }

    fn scan(&mut self) -> Command {
        let mut command = match self.rng.below(4) {
            0 => cmd!["SCAN", 0],
            1 => cmd!["HSCAN", self.key(Type::Hash), 0],
            2 => cmd!["SSCAN", self.key(Type::Set), 0],
            _ => cmd!["ZSCAN", self.key(Type::Zset), 0],
        };
        if self.rng.chance(40) {
            command.extend(cmd!["COUNT", self.rng.pick(&["1", "3", "10", "1000", "0", "-1", "x"])]);
        }
        if self.rng.chance(30) {
            command.extend(cmd!["MATCH", self.pattern()]);
        }
        if command[0] == b"SCAN" && self.rng.chance(30) {
            command.extend(cmd![
                "TYPE",
                self.rng.pick(&["string", "list", "hash", "set", "zset", "ZSET"])
            ]);
        }
        if self.rng.chance(3) {
            command.push(b"BOGUS".to_vec());
        }
        command
    }

    fn spop(&mut self) -> Command {
        let mut command = cmd!["SPOP", self.key(Type::Set)];
        if self.rng.chance(60) {
            command
                .push(self.rng.pick(&["0", "1", "2", "5", "100", "-1", "x"]).as_bytes().to_vec());
        }
        command
    }

    /// A command with a random reply, behind the command that shows what it is drawn from.
    fn random_reply(&mut self) -> Vec<Command> {
        let counts = ["0", "1", "2", "3", "10", "1000", "-1", "-3", "-20", "x"];
        let (universe, mut command, values) = match self.rng.below(4) {
            0 => return vec![cmd!["KEYS", "*"], cmd!["RANDOMKEY"]],
            1 => {
                let key = self.key(Type::Set);
                (cmd!["SMEMBERS", key], cmd!["SRANDMEMBER", key], "")
            }
            2 => {
                let key = self.key(Type::Hash);
                (cmd!["HGETALL", key], cmd!["HRANDFIELD", key], "WITHVALUES")
            }
            _ => {
                let key = self.key(Type::Zset);
                (cmd!["ZRANGE", key, 0, -1, "WITHSCORES"], cmd!["ZRANDMEMBER", key], "WITHSCORES")
            }
        };
        if self.rng.chance(75) {
            command.push(self.rng.pick(&counts).as_bytes().to_vec());
            if !values.is_empty() && self.rng.chance(50) {
                command.push(values.as_bytes().to_vec());
            }
        }
        vec![universe, command]
    }

    /// Many elements at once, so that encodings change.
    fn burst(&mut self) -> Vec<Command> {
        let n = *self.rng.pick(&[&40usize, &130, &140, &520, &600]);
        let start = self.rng.below(700);
        let long = self.rng.chance(20);
        let element = |i: usize| {
            if long {
                format!("element-{}-{}", start + i, "x".repeat(40))
            } else {
                (start + i).to_string()
            }
        };
        let (key, name, per) = match self.rng.below(4) {
            0 => (self.key(Type::List), "RPUSH", 1),
            1 => (self.key(Type::Hash), "HSET", 2),
            2 => (self.key(Type::Set), "SADD", 1),
            _ => (self.key(Type::Zset), "ZADD", 3),
        };
        let mut command = cmd![name, key];
        for i in 0..n {
            match per {
                1 => command.extend(cmd![element(i)]),
                2 => command.extend(cmd![element(i), i]),
                _ => command.extend(cmd![(i * 7919) % 257, element(i)]),
            }
        }
        vec![command]
    }

    /// Now and then a command is bent: wrong arity, odd values, odd case, an unknown name.
    fn mutated(&mut self, mut command: Command) -> Command {
        // A bent score would make the order of a `lex:` key undefined, a bent BY that of SORT.
        let ordered = command.get(1).is_some_and(|key| key.starts_with(b"lex:"))
            || command[0].starts_with(b"SORT");
        if matches!(command[0].as_slice(), b"EVAL" | b"EVALSHA" | b"FCALL") {
            // Bent inside.
            return command;
        }
        // A fourth argument of ZRANK is an error of arity before 7.2, of syntax after.
        if command[0].ends_with(b"RANK") {
            return command;
        }
        match self.rng.below(200) {
            0..=7 if ordered => {}
            0..=2 if command.len() > 1 => {
                let at = 1 + self.rng.below(command.len() - 1);
                command.remove(at);
            }
            3 if command.len() > 1 => {
                let at = 1 + self.rng.below(command.len() - 1);
                let copy = command[at].clone();
                command.insert(at, copy);
            }
            4..=7 if command.len() > 1 => {
                let at = 1 + self.rng.below(command.len() - 1);
                command[at] = self.odd();
                // What reads as a score changed after the oracle's version; see `float`.
                // So did what reads as a weight of SORT, which any string may become.
                let name = command[0].to_ascii_uppercase();
                let score = matches!(name.first(), Some(b'Z' | b'B' | b'G'))
                    || name.windows(3).any(|w| w == b"SET")
                    || name == b"APPEND";
                if score && matches!(command[at].as_slice(), b"" | b" 1" | b"0x10") {
                    command[at] = b"abc".to_vec();
                }
            }
            8 => command.push(self.odd()),
            9..=10 => {
                for b in &mut command[0] {
                    if self.rng.chance(50) {
                        *b = b.to_ascii_lowercase();
                    }
                }
            }
            11 if self.rng.chance(30) => command[0] = b"NOSUCHCOMMAND".to_vec(),
            _ => {}
        }
        command
    }

    /// A value that is a boundary or a mistake for nearly every argument. No small positive number:
    /// as an expiry it would make replies depend on the clock.
    pub(super) fn odd(&mut self) -> Vec<u8> {
        self.rng
            .pick(&[
                "",
                "-1",
                "0",
                "abc",
                "9223372036854775807",
                "-9223372036854775808",
                "9223372036854775808",
                "99999999999999999999",
                "1.5",
                "+1",
                "01",
                " 1",
                "1 ",
                "1e3",
                "nan",
                "inf",
                "-inf",
                "0x10",
                "-0",
                "(1",
                "[a",
                "a\r\nb",
                "\u{e9}",
                "LIMIT",
                "NX",
            ])
            .as_bytes()
            .to_vec()
    }

    /// A key that usually holds `kind`.
    pub(super) fn key(&mut self, kind: Type) -> Vec<u8> {
        let kind = if self.rng.chance(93) {
            kind
        } else {
            [Type::Str, Type::List, Type::Hash, Type::Set, Type::Zset, Type::Stream]
                [self.rng.below(6)]
        };
        let name = match kind {
            Type::Str => "str",
            Type::List => "list",
            Type::Hash => "hash",
            Type::Set => "set",
            Type::Zset => "zset",
            Type::Hll => "hll",
            Type::Geo => "geo",
            Type::Stream => "stream",
        };
        format!("{name}:{}", self.rng.below(4)).into_bytes()
    }

    /// Any key of the pools, now and then an odd one.
    pub(super) fn any_key(&mut self) -> Vec<u8> {
        match self.rng.below(60) {
            0 => Vec::new(),
            1 => b"bin\x00\xff\r\n".to_vec(),
            2 => b"missing".to_vec(),
            _ => {
                let kind = [Type::Str, Type::List, Type::Hash, Type::Set, Type::Zset, Type::Stream]
                    [self.rng.below(6)];
                self.key(kind)
            }
        }
    }

    /// A member, field or element of a small pool.
    pub(super) fn member(&mut self) -> Vec<u8> {
        match self.rng.below(30) {
            0 => Vec::new(),
            1 => b"x".repeat(self.rng.below(80)),
            // Not with the NUL in front: SORT ALPHA compares as C strings, and would take it for "".
            2 => b"\x01\x00\xff\r\n".to_vec(),
            3..=12 => self.rng.range(-3, 12).to_string().into_bytes(),
            13 => self
                .rng
                .pick(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "32768",
                    "-32769",
                    "2147483648",
                    "01",
                    "+1",
                    "1.0",
                ])
                .as_bytes()
                .to_vec(),
            _ => format!("m{}", self.rng.below(14)).into_bytes(),
        }
    }

    /// A string value.
    pub(super) fn value(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0..=5 => self.rng.range(-20, 200).to_string().into_bytes(),
            6 => self
                .rng
                .pick(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "9223372036854775806",
                    "1e3",
                    "3.0",
                    "0.1",
                    "-0",
                    "007",
                    "12345678901234567890",
                    "1.7e308",
                    "-5.25",
                ])
                .as_bytes()
                .to_vec(),
            7 => vec![b'v'; self.rng.below(130)],
            8 => (0..self.rng.below(60)).map(|_| self.rng.bits() as u8).collect(),
            9 => Vec::new(),
            _ => format!("value-{}", self.rng.below(50)).into_bytes(),
        }
    }

    /// An index or count: small most of the time.
    pub(super) fn int(&mut self) -> i64 {
        match self.rng.below(40) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => self.rng.range(-1000, 1000),
            _ => self.rng.range(-6, 12),
        }
    }

    /// A floating-point argument, as text. None that Redis 7 and 8 read differently as a score:
    /// hexadecimal, with a blank in front, empty, or beyond the largest double.
    pub(super) fn float(&mut self) -> String {
        match self.rng.below(16) {
            0 => self
                .rng
                .pick(&[
                    "inf",
                    "-inf",
                    "+inf",
                    "nan",
                    "-0",
                    "5.",
                    ".5",
                    "1e-7",
                    "1e17",
                    "1e21",
                    "abc",
                    "1.7976931348623157e308",
                    "5e-324",
                ])
                .to_string(),
            1 => format!("{}.{}", self.rng.range(-50, 50), self.rng.below(1000)),
            2 => format!("{}e{}", self.rng.range(-9, 9), self.rng.range(-12, 18)),
            3..=5 => format!("{}.5", self.rng.range(-5, 20)),
            _ => self.rng.range(-5, 20).to_string(),
        }
    }

    /// A glob.
    pub(super) fn pattern(&mut self) -> String {
        self.rng
            .pick(&[
                "*", "str:*", "*:1", "?et:?", "[a-m]*", "[^s]*", "m1*", "m?", "\\*", "", "*[0-9]",
                "set:[0-", "**:**", "m[13]", "-*",
            ])
            .to_string()
    }
}
