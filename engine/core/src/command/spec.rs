//! One row of the command table.

use crate::args::Args;
use crate::error::CmdResult;
use crate::exec::{ReadCx, SessionCx, WriteCx};
use std::ops::BitOr;

/// A command that cannot change anything.
pub type ReadFn = fn(&mut ReadCx<'_>, Args<'_>) -> CmdResult;
/// A command that may change keys.
pub type WriteFn = fn(&mut WriteCx<'_>, Args<'_>) -> CmdResult;
/// A command about the session, the transaction or the server.
pub type SessionFn = fn(&mut SessionCx<'_>, Args<'_>) -> CmdResult;

/// What a row runs. The variant is the write flag: a [`Run::Read`] has no way to mutate.
#[derive(Clone, Copy)]
pub enum Run {
    /// Reads the keyspace.
    Read(ReadFn),
    /// Edits the keyspace; its effects are journaled.
    Write(WriteFn),
    /// Works on session, executor or server.
    Session(SessionFn),
    /// Has subcommands and no function of its own.
    Container,
}

/// A set of [`Flags`] constants, named as `COMMAND INFO` prints them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:expr, $text:expr;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Flags = Flags(1 << $bit);)*
            const NAMES: &'static [(Flags, &'static str)] = &[$((Flags::$name, $text)),*];
        }
    };
}

flags! {
    /// Refused when memory is over `maxmemory`.
    DENYOOM = 0, "denyoom";
    /// Constant or logarithmic time.
    FAST = 1, "fast";
    /// Administration.
    ADMIN = 2, "admin";
    /// Not from scripts.
    NOSCRIPT = 3, "noscript";
    /// Runs while the data set loads.
    LOADING = 4, "loading";
    /// Runs on a replica with stale data.
    STALE = 5, "stale";
    /// Runs before authentication.
    NO_AUTH = 6, "no_auth";
    /// Runs while a script blocks the server.
    ALLOW_BUSY = 7, "allow_busy";
    /// May block the client.
    BLOCKING = 8, "blocking";
    /// Keys cannot be found by fixed positions alone.
    MOVABLEKEYS = 9, "movablekeys";
    /// Not inside MULTI.
    NO_MULTI = 10, "no_multi";
    /// Part of publish and subscribe.
    PUBSUB = 11, "pubsub";
    /// Not shown in SLOWLOG.
    SKIP_SLOWLOG = 12, "skip_slowlog";
    /// Not shown to MONITOR.
    SKIP_MONITOR = 13, "skip_monitor";
    /// May cause a write on a replica (PFCOUNT, scripts).
    MAY_REPLICATE = 14, "may_replicate";
    /// Not while an asynchronous load runs.
    NO_ASYNC_LOADING = 15, "no_async_loading";
    /// Runs at once inside MULTI instead of being queued.
    NOT_QUEUED = 16, "";
    /// Guarded by an `enable-*-command` option.
    PROTECTED = 17, "";
    /// No key checks needed when it has no key.
    NO_MANDATORY_KEYS = 18, "no_mandatory_keys";
    /// Allowed to a RESP2 client in subscriber mode.
    IN_SUBSCRIBE = 19, "";
    /// Only makes the data set smaller; runs on a full disk.
    SHRINKS = 20, "";
    /// Leaves CLIENT CACHING to the command that follows.
    KEEPS_CACHING = 21, "";
    /// Runs what MULTI has queued, and is refused for what that demands.
    RUNS_QUEUE = 22, "";
    /// Changes keys, in units that its function makes of its own accord.
    WRITES = 23, "";
    /// Not where data are only shown ([`Role::Onlooker`](crate::exec::Role::Onlooker)): it writes files, or
    /// changes whose data they are.
    NO_ONLOOKER = 24, "";
    /// How a change is logged, and nothing that is called: only who repeats a log finds the row
    /// ([`CommandTable::resolve_logged`](crate::command::CommandTable::resolve_logged)).
    LOGGED = 25, "";
}

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// Whether all flags of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets, for constants.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The public names of the set flags.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(f, n)| self.has(*f) && !n.is_empty()).map(|(_, n)| *n)
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.and(other)
    }
}

/// Command group of the documentation; it is also the base of the ACL category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Any type.
    Generic,
    /// Strings.
    String,
    /// Bits of strings.
    Bitmap,
    /// HyperLogLog.
    HyperLogLog,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Geospatial.
    Geo,
    /// Publish and subscribe.
    PubSub,
    /// MULTI and WATCH.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// Connections.
    Connection,
    /// The server.
    Server,
    /// Cluster.
    Cluster,
}

impl Group {
    /// Name as `COMMAND DOCS` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::Geo => "geo",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }

    /// ACL category the group implies, if it has one.
    pub const fn acl(self) -> Option<&'static str> {
        Some(match self {
            Group::Generic => "@keyspace",
            Group::String => "@string",
            Group::Bitmap => "@bitmap",
            Group::HyperLogLog => "@hyperloglog",
            Group::List => "@list",
            Group::Hash => "@hash",
            Group::Set => "@set",
            Group::SortedSet => "@sortedset",
            Group::Stream => "@stream",
            Group::Geo => "@geo",
            Group::PubSub => "@pubsub",
            Group::Transactions => "@transaction",
            Group::Scripting => "@scripting",
            Group::Connection => "@connection",
            Group::Server | Group::Cluster => return None,
        })
    }
}

/// What a command does with a key (Redis key-spec flags).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads and may change it in place.
    ReadWrite,
    /// Only reads.
    ReadOnly,
    /// Overwrites without reading.
    Overwrite,
    /// Removes.
    Remove,
    /// Names a shard channel: routed as a key is, but there is no key.
    NotKey,
}

impl Access {
    /// Flag of `COMMAND INFO`.
    pub const fn name(self) -> &'static str {
        match self {
            Access::ReadWrite => "RW",
            Access::ReadOnly => "RO",
            Access::Overwrite => "OW",
            Access::Remove => "RM",
            Access::NotKey => "not_key",
        }
    }
}

/// What a command does with the content behind a key (Redis key-spec flags of the second
/// kind). Permissions follow from it: reading needs `ACCESS`, writing any of the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse(u8);

impl KeyUse {
    /// Nothing of the content is told or changed (EXISTS, TYPE).
    pub const NONE: KeyUse = KeyUse(0);
    /// The content comes back, is copied or decides the outcome.
    pub const ACCESS: KeyUse = KeyUse(1);
    /// The content may change or go.
    pub const UPDATE: KeyUse = KeyUse(2);
    /// Content is added, none changes.
    pub const INSERT: KeyUse = KeyUse(4);
    /// Content is removed on purpose.
    pub const DELETE: KeyUse = KeyUse(8);
    /// The other flags depend on the arguments.
    pub const VARIABLE: KeyUse = KeyUse(16);
    /// The spec does not find the keys of every request.
    pub const INCOMPLETE: KeyUse = KeyUse(32);

    /// Both, for constants.
    pub const fn and(self, other: KeyUse) -> KeyUse {
        KeyUse(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: KeyUse) -> bool {
        self.0 & other.0 == other.0
    }

    /// The public names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (KeyUse::ACCESS, "access"),
            (KeyUse::UPDATE, "update"),
            (KeyUse::INSERT, "insert"),
            (KeyUse::DELETE, "delete"),
            (KeyUse::VARIABLE, "variable_flags"),
            (KeyUse::INCOMPLETE, "incomplete"),
        ]
        .into_iter()
        .filter(move |(u, _)| self.has(*u))
        .map(|(_, n)| n)
    }

    const fn usual(access: Access) -> KeyUse {
        match access {
            Access::ReadWrite => KeyUse::ACCESS.and(KeyUse::UPDATE),
            Access::ReadOnly => KeyUse::ACCESS,
            Access::Overwrite => KeyUse::UPDATE,
            Access::Remove => KeyUse::DELETE,
            Access::NotKey => KeyUse::NONE,
        }
    }
}

/// Where a key spec starts looking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At this argument.
    Index(u16),
    /// After this keyword, searched from an argument on (negative: from the end, backwards).
    Keyword(&'static str, i16),
}

/// How a key spec goes on from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Find {
    /// Keys from the start to `last` (relative to the start; -1 = last argument, -2 = the one
    /// before it), every `step` arguments.
    Range {
        /// Last key, see above.
        last: i16,
        /// Distance between keys.
        step: u16,
        /// With `last` -1: keys are only this fraction of the arguments (2: the first half); 0: all.
        limit: u16,
    },
    /// The start holds the number of keys; the first follows `first` arguments later.
    KeyNum {
        /// Distance from the count to the first key.
        first: u16,
        /// Distance between keys.
        step: u16,
    },
}

/// One key specification of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// Start.
    pub begin: Begin,
    /// Continuation.
    pub find: Find,
    /// Use of the keys.
    pub access: Access,
    /// Use of what is behind them.
    pub usage: KeyUse,
}

impl KeySpec {
    /// A spec whose use of the content is the usual one of `access`.
    pub const fn new(begin: Begin, find: Find, access: Access) -> Self {
        KeySpec { begin, find, access, usage: KeyUse::usual(access) }
    }

    /// One key at argument `i`.
    pub const fn one(i: u16, access: Access) -> Self {
        KeySpec::new(Begin::Index(i), Find::Range { last: 0, step: 1, limit: 0 }, access)
    }

    /// Keys from argument `i` to `last` (see [`Find::Range`]) every `step`.
    pub const fn range(i: u16, last: i16, step: u16, access: Access) -> Self {
        KeySpec::new(Begin::Index(i), Find::Range { last, step, limit: 0 }, access)
    }

    /// Argument `i` counts the keys that follow it.
    pub const fn counted(i: u16, access: Access) -> Self {
        KeySpec::new(Begin::Index(i), Find::KeyNum { first: 1, step: 1 }, access)
    }

    /// The same with another use of the content.
    pub const fn using(self, usage: KeyUse) -> Self {
        KeySpec { usage, ..self }
    }

    /// Flags as `COMMAND INFO` prints them.
    pub fn flag_names(&self) -> Vec<&'static str> {
        std::iter::once(self.access.name()).chain(self.usage.names()).collect()
    }
}

/// Where the names of channels are, for commands that publish or subscribe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelSpec {
    /// Index of the first one.
    pub first: usize,
    /// How many there are; 0: all arguments that follow.
    pub count: usize,
    /// They are patterns of channels.
    pub patterns: bool,
}

impl ChannelSpec {
    /// The channel at one argument.
    pub const fn one(first: usize) -> Self {
        ChannelSpec { first, count: 1, patterns: false }
    }

    /// All arguments from one on.
    pub const fn all(first: usize, patterns: bool) -> Self {
        ChannelSpec { first, count: 0, patterns }
    }

    /// Indices of the names in a request of `argc` arguments.
    pub fn range(&self, argc: usize) -> std::ops::Range<usize> {
        let end = if self.count == 0 { argc } else { argc.min(self.first + self.count) };
        self.first..end
    }
}

/// An option whose value is a pattern of keys that are read (SORT BY and GET).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PatternOption {
    /// The option.
    pub name: &'static str,
    /// A value without `*` reads no key.
    pub only_with_star: bool,
}

/// Databases that a command touches beside that of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DbSpec {
    /// None.
    Own,
    /// Those that these arguments name.
    Named(&'static [usize]),
    /// The one named after this keyword.
    After(&'static str),
    /// All of them.
    All,
}

/// Arguments that are nobody's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secret {
    /// From this argument to the end.
    From(usize),
    /// So many arguments after this keyword.
    After(&'static str, usize),
}

/// One command: what it is, what it may do, and the function that does it.
pub struct CommandSpec {
    /// Lower-case name; a subcommand is written `container|sub`.
    pub name: &'static str,
    /// Group.
    pub group: Group,
    /// Redis version that brought it.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Time complexity.
    pub complexity: &'static str,
    /// Arguments counted with the name; negative: at least that many.
    pub arity: i16,
    /// Grammar of the arguments after the name, in the notation of the Redis docs:
    /// `key [NX | XX] [EX seconds | PX milliseconds] element [element ...]`.
    pub syntax: &'static str,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// What a request does with its keys, for specs whose use is [`KeyUse::VARIABLE`].
    pub key_use: Option<fn(Args<'_>) -> (Access, KeyUse)>,
    /// Indices of a request's keys, where no spec can say; all are used as the first spec has it.
    pub key_range: Option<fn(Args<'_>) -> std::ops::Range<usize>>,
    /// Which databases it touches.
    pub databases: DbSpec,
    /// Where channels are.
    pub channels: Option<ChannelSpec>,
    /// Options that read keys by pattern.
    pub key_patterns: &'static [PatternOption],
    /// Properties.
    pub flags: Flags,
    /// ACL categories beyond those that group and flags imply, with `@`.
    pub acl: &'static [&'static str],
    /// Arguments that monitors and logs must not show.
    pub secrets: &'static [Secret],
    /// Hints for proxies and clients: `nondeterministic_output`, `request_policy:...`.
    pub tips: &'static [&'static str],
    /// The function.
    pub run: Run,
    /// Subcommands of a container.
    pub subs: &'static [CommandSpec],
}

impl CommandSpec {
    /// Values for fields that most rows leave alone.
    pub const DEFAULT: CommandSpec = CommandSpec {
        name: "",
        group: Group::Generic,
        since: "1.0.0",
        summary: "",
        complexity: "O(1)",
        arity: 1,
        syntax: "",
        keys: &[],
        key_use: None,
        key_range: None,
        databases: DbSpec::Own,
        channels: None,
        key_patterns: &[],
        flags: Flags::NONE,
        acl: &[],
        secrets: &[],
        tips: &[],
        run: Run::Container,
        subs: &[],
    };

    /// Whether it changes keys.
    pub const fn is_write(&self) -> bool {
        matches!(self.run, Run::Write(_)) || self.flags.has(Flags::WRITES)
    }

    /// Whether it reads keys and, as far as clients can tell, changes none: PFCOUNT may note what it
    /// has counted, which is a write to the log and to nobody else.
    pub const fn is_read(&self) -> bool {
        match self.run {
            Run::Read(_) => true,
            Run::Write(_) => self.flags.has(Flags::MAY_REPLICATE),
            Run::Session(_) | Run::Container => false,
        }
    }

    /// Whether argument `i` of a request must not be shown.
    pub fn is_secret(&self, args: Args<'_>, i: usize) -> bool {
        self.secrets.iter().any(|s| match *s {
            Secret::From(first) => i >= first,
            Secret::After(word, count) => (1..=count).any(|d| i > d && args.is(i - d, word)),
        })
    }

    /// All ACL categories, sorted, with `@`.
    pub fn acl_categories(&self) -> Vec<&'static str> {
        let mut cats: Vec<&'static str> = self.acl.to_vec();
        // Generic commands are about keys, but for those that say what else they are about.
        let elsewhere = self.group == Group::Generic && cats.iter().any(|c| *c != "@dangerous");
        if !matches!(self.run, Run::Container) && !elsewhere {
            cats.extend(self.group.acl());
        }
        cats.push(if self.flags.has(Flags::FAST) { "@fast" } else { "@slow" });
        if self.is_read() {
            cats.push("@read");
        } else if self.is_write() {
            cats.push("@write");
        }
        if self.flags.has(Flags::ADMIN) {
            cats.extend(["@admin", "@dangerous"]);
        }
        if self.flags.has(Flags::BLOCKING) {
            cats.push("@blocking");
        }
        cats.sort_unstable();
        cats.dedup();
        cats
    }

    /// Whether `argc` arguments (name included) fit the arity.
    pub const fn arity_fits(&self, argc: usize) -> bool {
        if self.arity >= 0 {
            argc == self.arity as usize
        } else {
            argc >= self.arity.unsigned_abs() as usize
        }
    }
}
