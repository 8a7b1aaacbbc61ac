//! What the commands of each plane are. Around them go those of all types, so that nothing is
//! tried alone.

use moon_engine::command::Group;

use super::{Words, Workload, words};

/// What the commands are mostly about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// All types.
    Kv,
    /// Times to live: set, changed, ending before, during and after the stop.
    Ttl,
    /// The same for fields of hashes.
    HashTtl,
    /// Consumer groups, pending entries, trims, deletions that mind the groups.
    Stream,
    /// Scripts and functions of several effects, some of which fail half way.
    Script,
    /// MULTI and EXEC, watched keys, errors inside.
    Txn,
    /// All at once.
    Mixed,
}

impl Plane {
    /// All of them by name.
    pub const ALL: [(&'static str, Plane); 7] = [
        ("kv", Plane::Kv),
        ("ttl", Plane::Ttl),
        ("hash-ttl", Plane::HashTtl),
        ("stream", Plane::Stream),
        ("script", Plane::Script),
        ("txn", Plane::Txn),
        ("mixed", Plane::Mixed),
    ];

    /// Name as cells print it.
    pub fn name(self) -> &'static str {
        Plane::ALL.iter().find(|p| p.1 == self).map_or("", |p| p.0)
    }

    /// Whether its commands are those of all types. Their sequences stay what they were when the
    /// kept seeds found their bugs, so nothing more may be drawn for them.
    fn is_general(self) -> bool {
        matches!(self, Plane::Kv | Plane::Ttl)
    }

    /// How many commands in a thousand come as a transaction.
    pub(super) fn transactions(self) -> u64 {
        match self {
            Plane::Txn => 400,
            Plane::Mixed => 100,
            _ => 40,
        }
    }
}

/// Rows of hashes whose fields expire.
const FIELD_ROWS: [&str; 13] = [
    "hexpire",
    "hpexpire",
    "hexpireat",
    "hpexpireat",
    "hpersist",
    "hgetex",
    "hsetex",
    "hgetdel",
    "hdel",
    "hincrbyfloat",
    "hsetnx",
    "hset",
    "hmset",
];

/// Scripts of three keys and two arguments. What the log holds of each is its effects alone, as one
/// record, also of those that fail after some of them.
const SCRIPTS: [&str; 9] = [
    "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) \
     redis.call('HSET', KEYS[3], ARGV[1], ARGV[2]) return 1",
    "for i = 1, tonumber(ARGV[2]) do redis.call('APPEND', KEYS[1], ARGV[1] .. i .. ';') end",
    // What it takes is chance, and time is the clock's: the log must say what came of it.
    "local m = redis.call('SPOP', KEYS[3]) if m then redis.call('SADD', KEYS[3], m, m .. 'x') end \
     redis.call('SET', KEYS[1], redis.call('TIME')[2], 'PX', 300) return m",
    // Fails after two effects, which stay.
    "redis.call('INCRBY', KEYS[1], ARGV[2]) redis.call('LPUSH', KEYS[2], ARGV[1]) \
     return redis.call('INCR', KEYS[2])",
    "local r = redis.pcall('LPUSH', KEYS[1], ARGV[1]) if r.err then \
     redis.call('RPUSH', KEYS[2], ARGV[1]) redis.call('RPUSH', KEYS[2], r.err) end return 1",
    "redis.call('SELECT', ARGV[2] % 4) redis.call('RPUSH', KEYS[2], ARGV[1]) \
     redis.call('SELECT', (ARGV[2] + 1) % 4) redis.call('INCR', KEYS[1])",
    "redis.call('HSET', KEYS[3], 'm1', ARGV[1], 'm2', ARGV[2]) \
     redis.call('HPEXPIRE', KEYS[3], 150, 'FIELDS', 1, 'm1') redis.call('PEXPIRE', KEYS[1], 200)",
    "redis.call('ZADD', KEYS[3], math.random(100), ARGV[1]) redis.call('RENAME', KEYS[3], KEYS[3]) \
     redis.call('XADD', 'stream0', 'MAXLEN', '~', 40, '*', 'f', ARGV[1]) return 1",
    "for _, k in ipairs(KEYS) do redis.call('DEL', k) end redis.call('SET', KEYS[1], ARGV[1]) \
     redis.call('DEL', KEYS[1]) return redis.call('INCR', KEYS[1])",
];

/// A function of three keys and two arguments.
const LIBRARY: &str = "#!lua name=several\n\
    redis.register_function('several', function(keys, args)\n\
    redis.call('INCR', keys[1]) redis.call('RPUSH', keys[2], args[1])\n\
    redis.call('HINCRBY', keys[3], 'n', args[2]) return redis.status_reply('done') end)";

impl Workload {
    /// A command of the plane in seven cases of ten.
    pub(super) fn of_plane(&mut self, client: usize, now_ms: u64) -> Option<Words> {
        if self.plane.is_general() || self.rng.chance(300) {
            return None;
        }
        let plane = match self.plane {
            Plane::Mixed => Plane::ALL[self.rng.below(6) as usize].1,
            plane => plane,
        };
        match plane {
            Plane::HashTtl => Some(self.fields(client, now_ms)),
            Plane::Stream => Some(self.entries(client, now_ms)),
            Plane::Script => Some(self.script(client)),
            _ => None,
        }
    }

    /// What may come in front of MULTI.
    pub(super) fn watch(&mut self) -> Option<Words> {
        let watches = !self.plane.is_general() && self.rng.chance(200);
        watches.then(|| vec![b"WATCH".to_vec(), self.key(Group::Generic)])
    }

    fn fields(&mut self, client: usize, now_ms: u64) -> Words {
        let key = self.key(Group::Hash);
        let ms = (1 + self.rng.below(400)).to_string();
        let (a, b) = (self.rng.below(8), self.rng.below(8));
        let (a, b) = (format!("m{a}").into_bytes(), format!("m{b}").into_bytes());
        let line = |text: &str, more: Vec<Vec<u8>>| {
            let mut all: Words = text.split(' ').map(|w| w.as_bytes().to_vec()).collect();
            all[1].clone_from(&key);
            all.extend(more);
            all
        };
        match self.rng.below(100) {
            0..=19 => line("HSET key", vec![a, self.token(client), b, self.content(client)]),
            20..=37 => line(&format!("HPEXPIRE key {ms} FIELDS 2"), vec![a, b]),
            38..=47 => {
                let (x, y) = (self.token(client), self.token(client));
                line(&format!("HSETEX key PX {ms} FIELDS 2"), vec![a, x, b, y])
            }
            48..=52 => line(&format!("HGETEX key PX {ms} FIELDS 1"), vec![a]),
            53..=57 => line("HINCRBY key", vec![a, b"3".to_vec()]),
            58..=61 => line("HGETALL key", vec![]),
            62..=64 => line("HMGET key", vec![a, b]),
            65..=66 => line(&format!("PEXPIRE key {ms}"), vec![]),
            67..=68 => line("RENAME key", vec![self.key(Group::Hash)]),
            69..=70 => line("COPY key", vec![self.key(Group::Hash), b"REPLACE".to_vec()]),
            _ => {
                let pick = self.rng.below(FIELD_ROWS.len() as u64) as usize;
                self.row_named(FIELD_ROWS[pick], client, now_ms)
            }
        }
    }

    fn entries(&mut self, client: usize, now_ms: u64) -> Words {
        match self.rng.below(100) {
            0..=29 => self.row_named("xadd", client, now_ms),
            30..=44 => self.row_named("xreadgroup", client, now_ms),
            45..=49 => words(&["XGROUP", "CREATE", "stream0", "group", "0", "MKSTREAM"]),
            50..=53 => self.row_named("xack", client, now_ms),
            54..=57 => self.row_named("xackdel", client, now_ms),
            58..=60 => words(&["XTRIM", "stream0", "MAXLEN", &self.rng.below(30).to_string()]),
            _ => {
                let rows = (0..self.rows.len()).filter(|r| self.is_of(*r, Group::Stream));
                let rows: Vec<usize> = rows.collect();
                let pick = rows[self.rng.below(rows.len() as u64) as usize];
                self.instance(pick, client, now_ms)
            }
        }
    }

    fn is_of(&self, row: usize, group: Group) -> bool {
        self.rows[row].spec.group == group
    }

    fn script(&mut self, client: usize) -> Words {
        let (name, text) = match self.rng.below(100) {
            0..=7 => return words(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]),
            8..=29 => ("FCALL", "several"),
            _ => ("EVAL", SCRIPTS[self.rng.below(SCRIPTS.len() as u64) as usize]),
        };
        let third = [Group::Hash, Group::Set, Group::SortedSet][self.rng.below(3) as usize];
        let mut all = words(&[name, text, "3"]);
        all.push(self.key(Group::String));
        all.push(self.key(Group::List));
        all.push(self.key(third));
        all.push(self.token(client));
        all.push((1 + self.rng.below(6)).to_string().into_bytes());
        self.not_idempotent += 1;
        all
    }
}
