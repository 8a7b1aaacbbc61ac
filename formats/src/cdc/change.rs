//! From a record to its changes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::commands::{Role, row};
use super::envelope::Unit;
use crate::error::{Cause, DecodeError};
use crate::number::parse_u64;
use crate::resp::encode_command;
use crate::wal::body::{Op as XactOp, Queue, SubRecord};
use crate::wal::{
    BeforeImage, Body, Command, DB_NONE, EffectMeta, KeyPlace, RecordType, record_flags,
};

/// What happened, in Debezium's letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A key came into being.
    Create,
    /// A key changed.
    Update,
    /// A key went.
    Delete,
    /// A row of a snapshot.
    Read,
    /// All keys of a database, or of all, went.
    Truncate,
    /// Something that is no key.
    Message,
}

impl Op {
    /// The letter of `op`.
    pub fn letter(self) -> &'static str {
        match self {
            Op::Create => "c",
            Op::Update => "u",
            Op::Delete => "d",
            Op::Read => "r",
            Op::Truncate => "t",
            Op::Message => "m",
        }
    }
}

/// Why a key changed, where that was nobody's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A client's command.
    Client,
    /// A time to live ran out.
    Expire,
    /// Memory was short.
    Evict,
}

impl Reason {
    /// Word of `source.reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Client => "client",
            Reason::Expire => "expire",
            Reason::Evict => "evict",
        }
    }
}

/// What kind of record a change is from (`record_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keys of all types but streams.
    Kv,
    /// Streams.
    Stream,
    /// A version of a key.
    TemporalUpsert,
    /// Nodes and edges.
    Graph,
    /// End of validity of a node or edge.
    GraphTemporal,
    /// Workspaces.
    Workspace,
    /// Queues.
    Mq,
    /// Definitions and vectors of indexes.
    Index,
    /// A base was committed, or the server stopped.
    Checkpoint,
    /// A named point.
    RestorePoint,
}

/// What a reader may ask for (`PLANES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Plane {
    /// Keys but streams.
    Kv = 1,
    /// Streams.
    Stream = 2,
    /// Graphs.
    Graph = 4,
    /// Temporal versions.
    Temporal = 8,
    /// Workspaces.
    Ws = 16,
    /// Queues.
    Mq = 32,
    /// Indexes.
    Index = 64,
}

impl Plane {
    /// All of them, by the word that asks for each.
    pub const ALL: [(Plane, &'static str); 7] = [
        (Plane::Kv, "kv"),
        (Plane::Stream, "stream"),
        (Plane::Graph, "graph"),
        (Plane::Temporal, "temporal"),
        (Plane::Ws, "ws"),
        (Plane::Mq, "mq"),
        (Plane::Index, "index"),
    ];
}

impl Kind {
    /// Word of `record_type`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kv => "kv",
            Kind::Stream => "stream",
            Kind::TemporalUpsert => "temporal_upsert",
            Kind::Graph => "graph",
            Kind::GraphTemporal => "graph_temporal",
            Kind::Workspace => "workspace",
            Kind::Mq => "mq",
            Kind::Index => "index",
            Kind::Checkpoint => "checkpoint",
            Kind::RestorePoint => "restore_point",
        }
    }

    /// Its plane; checkpoints and restore points belong to all.
    pub fn plane(self) -> Option<Plane> {
        Some(match self {
            Kind::Kv => Plane::Kv,
            Kind::Stream => Plane::Stream,
            Kind::TemporalUpsert => Plane::Temporal,
            Kind::Graph | Kind::GraphTemporal => Plane::Graph,
            Kind::Workspace => Plane::Ws,
            Kind::Mq => Plane::Mq,
            Kind::Index => Plane::Index,
            Kind::Checkpoint | Kind::RestorePoint => return None,
        })
    }
}

/// What a change says beyond its key.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<'a> {
    /// A logged command, and its RESP2 array.
    Command {
        /// Name and arguments.
        words: Vec<&'a [u8]>,
        /// The whole array.
        raw: Cow<'a, [u8]>,
    },
    /// A record of another type: its name and its fields in words.
    Record {
        /// Name of the type.
        name: &'static str,
        /// Its fields, as moon-inspect prints them.
        text: String,
    },
}

/// One change: of a key, of all keys, or of something that is no key.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// What happened.
    pub op: Op,
    /// What kind of record says so.
    pub kind: Kind,
    /// Database; `None` for all of them, or none.
    pub db: Option<u16>,
    /// Key, if it is about one.
    pub key: Option<Cow<'a, [u8]>>,
    /// Type of the key's value, as far as the effect tells.
    pub value_type: Option<&'static str>,
    /// The effect.
    pub effect: Effect<'a>,
    /// New value of a string.
    pub value: Option<&'a [u8]>,
    /// New time to live, milliseconds since 1970.
    pub ttl_ms: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// The key as it was before the command.
    pub before: Option<BeforeImage<'a>>,
}

/// The changes of one record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes<'a> {
    /// In order.
    pub list: Vec<Change<'a>>,
    /// Number of the unit if other shards hold parts of it.
    pub gtid: Option<u64>,
}

impl<'a> Changes<'a> {
    /// The changes that a record with this type code, flags, database and payload (unpacked) says. None for
    /// a record that is not shown.
    ///
    /// # Errors
    /// The payload is damaged, or of a newer Moon.
    pub fn of(code: u8, flags: u8, db: u16, payload: &'a [u8]) -> Result<Changes<'a>, DecodeError> {
        let mut changes = Changes::default();
        if flags & record_flags::INTERNAL != 0 {
            return Ok(changes);
        }
        let Some(rtype) = RecordType::from_code(code) else {
            // A type that readers may skip says nothing to one that does not know it.
            let skipped = code >= 0xC0;
            let cause = Cause::Newer { found: u64::from(code) };
            let newer = DecodeError::new(0, "record type", cause);
            return if skipped { Ok(changes) } else { Err(newer) };
        };
        changes.add(rtype, flags, db, payload, 0)?;
        Ok(changes)
    }

    /// The changes, each with its place in the unit.
    pub fn placed(&self) -> impl Iterator<Item = (&Change<'a>, Unit)> {
        let (gtid, changes) = (self.gtid, self.list.len());
        let mut in_db: Vec<(Option<u16>, usize)> = Vec::new();
        self.list.iter().enumerate().map(move |(i, change)| {
            let order_in_db = match in_db.iter_mut().find(|(db, _)| *db == change.db) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    in_db.push((change.db, 1));
                    1
                }
            };
            (change, Unit { gtid, changes, order: i + 1, order_in_db })
        })
    }

    fn add(
        &mut self,
        rtype: RecordType,
        flags: u8,
        db: u16,
        payload: &'a [u8],
        offset: u64,
    ) -> Result<(), DecodeError> {
        let packed = record_flags::LZ4 | record_flags::ZSTD;
        let body = Body::decode(rtype, flags & !packed, payload, offset)?;
        let mut record = |op, kind, db, key: Option<Cow<'a, [u8]>>| {
            let (name, text) = (rtype.name(), body.to_string());
            let effect = Effect::Record { name, text };
            let reason = Reason::Client;
            self.list.push(Change {
                op,
                kind,
                db,
                key,
                value_type: None,
                effect,
                value: None,
                ttl_ms: None,
                reason,
                before: None,
            });
        };
        let some_db = (db != DB_NONE).then_some(db);
        let queue = |q: &Queue<'a>| (u16::try_from(q.db).ok(), Some(Cow::Borrowed(q.key)));
        match &body {
            Body::Command(command) => return self.commands(command, db),
            Body::Xact(unit) => return self.subs(&unit.subs),
            Body::XactPart(unit) => {
                self.gtid = Some(unit.gtid);
                return self.subs(&unit.subs);
            }
            Body::XactCommit(unit) => self.ops(&unit.ops, u16::try_from(unit.db).ok()),
            Body::XactCommitV1(unit) => self.ops(&unit.ops, Some(0)),
            Body::Checkpoint(_) => record(Op::Message, Kind::Checkpoint, None, None),
            Body::RestorePoint(_) => record(Op::Message, Kind::RestorePoint, None, None),
            Body::TemporalUpsert(t) => {
                record(Op::Update, Kind::TemporalUpsert, some_db, Some(Cow::Borrowed(t.key)));
            }
            Body::GraphTemporal(_) => record(Op::Update, Kind::GraphTemporal, some_db, None),
            Body::VectorUpsert(v) => {
                record(Op::Update, Kind::Index, some_db, Some(Cow::Borrowed(v.key)));
            }
            Body::VectorDelete(v) => {
                record(Op::Delete, Kind::Index, some_db, Some(Cow::Borrowed(v.key)));
            }
            Body::WorkspaceCreate(_) | Body::WorkspaceDrop(_) => {
                record(Op::Message, Kind::Workspace, None, None);
            }
            Body::MqCreate(m) => {
                let (db, key) = queue(&m.queue);
                record(Op::Create, Kind::Mq, db, key);
            }
            Body::MqAck(m) => {
                let (db, key) = queue(&m.queue);
                record(Op::Update, Kind::Mq, db, key);
            }
            Body::MqPush(m) => {
                let (db, key) = queue(&m.queue);
                record(Op::Update, Kind::Mq, db, key);
            }
            Body::MqPop(m) => {
                let (db, key) = queue(&m.queue);
                record(Op::Update, Kind::Mq, db, key);
            }
            Body::MqDrop(m) => {
                let (db, key) = queue(&m.queue);
                record(Op::Delete, Kind::Mq, db, key);
            }
            Body::MqTrigger(_) => record(Op::Message, Kind::Mq, some_db, None),
            // Where bytes lie is nobody's change.
            Body::Pad(_)
            | Body::BatchHead(_)
            | Body::SegmentEnd(_)
            | Body::Cut(_)
            | Body::FullPageImage(_)
            | Body::VectorTxnCommit(_)
            | Body::VectorTxnAbort(_)
            | Body::VectorCheckpoint(_)
            | Body::TemporalAnchor(_)
            | Body::FileCreate(_)
            | Body::FileDelete(_)
            | Body::FileTierChange(_)
            | Body::Spill(_)
            | Body::XactBegin(_)
            | Body::XactAbort(_) => {}
        }
        Ok(())
    }

    fn subs(&mut self, subs: &[SubRecord<'a>]) -> Result<(), DecodeError> {
        for sub in subs.iter().filter(|s| s.flags & record_flags::INTERNAL == 0) {
            self.add(sub.rtype, sub.flags, sub.db, sub.payload, sub.offset)?;
        }
        Ok(())
    }

    /// Transactions of the reference: strings, and nothing about what was there.
    fn ops(&mut self, ops: &[XactOp<'a>], db: Option<u16>) {
        for op in ops {
            let (op, key, value) = match op {
                XactOp::Set { key, value } => (Op::Update, *key, Some(*value)),
                XactOp::Del { key } => (Op::Delete, *key, None),
            };
            self.list.push(Change {
                op,
                kind: Kind::Kv,
                db,
                key: Some(Cow::Borrowed(key)),
                value_type: Some("string"),
                effect: Effect::Record { name: RecordType::XactCommit.name(), text: String::new() },
                value,
                ttl_ms: None,
                reason: Reason::Client,
                before: None,
            });
        }
    }

    fn commands(&mut self, command: &Command<'a>, mut db: u16) -> Result<(), DecodeError> {
        let mut effects = command.effects();
        let (mut words, mut metas) = (Vec::new(), Vec::new());
        let mut rest = command.resp;
        while effects.next_into(&mut words, &mut metas)? {
            let taken = array_len(&words).min(rest.len());
            let (raw, behind) = rest.split_at(taken);
            rest = behind;
            let name = words.first().copied().unwrap_or_default();
            let known = row(name);
            match known.role {
                Role::Hidden => continue,
                Role::Select => {
                    let number = words.get(1).and_then(|n| parse_u64(n));
                    db = number.and_then(|n| u16::try_from(n).ok()).unwrap_or(db);
                    continue;
                }
                Role::Flush | Role::FlushAll | Role::Server => {
                    let (op, db) = match known.role {
                        Role::Flush => (Op::Truncate, Some(db)),
                        Role::FlushAll => (Op::Truncate, None),
                        _ => (Op::Message, None),
                    };
                    self.list.push(change(op, db, None, known.kind, &words, raw));
                    continue;
                }
                Role::Plain
                | Role::Value
                | Role::Pairs
                | Role::CountedPairs
                | Role::Expire
                | Role::Remove => {}
            }
            if metas.is_empty() {
                // Keys of a removal from before records said what became of them.
                let keys = if known.role == Role::Remove { words.len() } else { 2 };
                let removed = known.role == Role::Remove;
                for word in 1..keys.max(2) {
                    let place = Some(KeyPlace { word: word as u32, db });
                    metas.push(EffectMeta { removed, place, ..EffectMeta::default() });
                }
            }
            // What a key that goes leaves behind elsewhere comes first (RENAME).
            let (gone, there): (Vec<&EffectMeta<'_>>, Vec<&EffectMeta<'_>>) =
                metas.iter().partition(|m| m.removed);
            let mut last_pairs = last_pairs(&words, known.role);
            for meta in there.into_iter().chain(gone) {
                let (mut word, db) = meta.place.map_or((1, db), |p| (p.word as usize, p.db));
                let Some(key) = words.get(word) else { continue };
                if let Some(last) = &mut last_pairs {
                    // Of a key that is named twice the last value counts, and it is one change.
                    let Some(last) = last.remove(key) else { continue };
                    word = last;
                }
                let op = match (meta.created, meta.removed) {
                    (_, true) => Op::Delete,
                    (true, false) => Op::Create,
                    (false, false) => Op::Update,
                };
                let mut one = change(op, Some(db), Some(key), known.kind, &words, raw);
                one.reason = match () {
                    () if meta.expired => Reason::Expire,
                    () if meta.evicted => Reason::Evict,
                    () => Reason::Client,
                };
                one.before = meta.before;
                let next = words.get(word + 1).copied();
                match known.role {
                    Role::Value => {
                        one.value = next;
                        one.ttl_ms = time_to_live(words.get(word + 2..).unwrap_or_default());
                    }
                    Role::Pairs | Role::CountedPairs => {
                        one.value = next;
                        let (own, options) = own_pair(&words, word, known.role);
                        one.ttl_ms = time_to_live(options);
                        let mut raw = Vec::new();
                        encode_command(&mut raw, own.iter().copied());
                        one.effect = Effect::Command { words: own, raw: Cow::Owned(raw) };
                    }
                    Role::Expire => one.ttl_ms = next.and_then(parse_u64),
                    _ => {}
                }
                self.list.push(one);
            }
        }
        Ok(())
    }
}

fn change<'a>(
    op: Op,
    db: Option<u16>,
    key: Option<&'a [u8]>,
    value_type: Option<&'static str>,
    words: &[&'a [u8]],
    raw: &'a [u8],
) -> Change<'a> {
    let kind = if value_type == Some("stream") { Kind::Stream } else { Kind::Kv };
    Change {
        op,
        kind,
        db,
        key: key.map(Cow::Borrowed),
        value_type,
        effect: Effect::Command { words: words.to_vec(), raw: Cow::Borrowed(raw) },
        value: None,
        ttl_ms: None,
        reason: Reason::Client,
        before: None,
    }
}

/// Where each key of several pairs stands last; `None` for a command that has not several.
fn last_pairs<'a>(words: &[&'a [u8]], role: Role) -> Option<HashMap<&'a [u8], usize>> {
    let (first, end) = match role {
        Role::Pairs => (1, words.len()),
        Role::CountedPairs => (2, pairs_end(words)),
        _ => return None,
    };
    let keys = words.get(..end)?.iter().copied().enumerate().skip(first).step_by(2);
    (end > first + 2).then(|| keys.map(|(at, key)| (key, at)).collect())
}

/// Where the pairs behind a number of them end.
fn pairs_end(words: &[&[u8]]) -> usize {
    let pairs = words.get(1).and_then(|n| parse_u64(n)).and_then(|n| usize::try_from(n).ok());
    let end = pairs.and_then(|n| n.checked_mul(2)?.checked_add(2)).unwrap_or(words.len());
    end.min(words.len())
}

/// The command as it would be for one of its keys alone, so that who may see that key sees no other's value;
/// and its options.
fn own_pair<'w, 'a>(
    words: &'w [&'a [u8]],
    word: usize,
    role: Role,
) -> (Vec<&'a [u8]>, &'w [&'a [u8]]) {
    let name = words.first().copied().unwrap_or_default();
    let pair = words.iter().skip(word).take(2).copied();
    if role == Role::Pairs {
        return (std::iter::once(name).chain(pair).collect(), &[]);
    }
    let options = words.get(pairs_end(words)..).unwrap_or_default();
    let one: &[u8] = b"1";
    ([name, one].into_iter().chain(pair).chain(options.iter().copied()).collect(), options)
}

/// The time among the options of a new value.
fn time_to_live(options: &[&[u8]]) -> Option<u64> {
    let at = options.iter().position(|word| word.eq_ignore_ascii_case(b"PXAT"))?;
    options.get(at + 1).and_then(|n| parse_u64(n))
}

/// Bytes of a command as an array.
fn array_len(words: &[&[u8]]) -> usize {
    let head = |n: usize| 4 + n.checked_ilog10().unwrap_or(0) as usize;
    head(words.len()) + words.iter().map(|w| head(w.len()) + w.len() + 2).sum::<usize>()
}
