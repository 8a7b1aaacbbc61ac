//! From a change, or a row of a snapshot, to its envelope.

use std::borrow::Cow;

use super::change::{Change, Effect, Kind, Op, Plane, Reason};
use crate::bytes::Put;
use crate::json::{put_base64, put_bytes, put_f64, put_i64, put_list, put_text, put_u64};
use crate::redis_rdb;
use crate::resp::encode_command;
use crate::value::{Stream, StreamId, Value, ValueType};
use crate::wal::BeforeImage;

/// How effects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Command and arguments as words.
    Debezium,
    /// The command as its RESP2 array in base64.
    Raw,
}

/// What all envelopes of a reader have in common.
#[derive(Debug, Clone)]
pub struct Encoder<'a> {
    /// Name of the source: the uuid of the data directory, or what it was given.
    pub name: Cow<'a, str>,
    /// Shard.
    pub shard: u16,
    /// Timeline.
    pub epoch: u64,
    /// How effects are shown.
    pub format: Format,
    /// Before-images are shown where records hold them.
    pub before: bool,
    /// When envelopes are encoded, milliseconds since 1970.
    pub now_ms: u64,
}

/// Where and when a unit was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// LSN of its record.
    pub lsn: u64,
    /// LSN of the record before it.
    pub previous: u64,
    /// When it was written, microseconds since 1970.
    pub wall_us: i64,
}

/// A change's place in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Number of the unit, if other shards hold parts of it.
    pub gtid: Option<u64>,
    /// Changes in the unit.
    pub changes: usize,
    /// Which of them this is, from 1.
    pub order: usize,
    /// Which of those of the same database, from 1.
    pub order_in_db: usize,
}

/// Place of a row in its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// Its first.
    First,
    /// One in between.
    Middle,
    /// Its last; also where it is the only one.
    Last,
}

/// A row of a snapshot.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Database.
    pub db: u32,
    /// Key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a Value<'a>,
    /// Its time to live, milliseconds since 1970.
    pub ttl_ms: Option<u64>,
    /// Where in the snapshot it stands.
    pub place: Snapshot,
}

/// A key at one moment: a row of a snapshot, or what was there before a change.
struct State<'a> {
    kind: Kind,
    db: Option<u32>,
    key: Option<&'a [u8]>,
    type_name: Option<&'static str>,
    /// `None` if it was left out.
    value: Option<&'a Value<'a>>,
    ttl_ms: Option<u64>,
}

impl Encoder<'_> {
    /// Appends the envelope of a change.
    pub fn put_change(&self, out: &mut Vec<u8>, change: &Change<'_>, at: &At, unit: &Unit) {
        out.put(b"{\"before\":");
        match (change.before, &change.key) {
            (Some(image), Some(_)) if self.before => self.put_before(out, change, &image),
            // The key alone, as of a table whose replica identity is its primary key.
            (_, Some(key)) if change.op == Op::Delete => {
                out.push(b'{');
                put_identity(out, change.kind, change.db.map(u32::from), Some(key));
                out.push(b'}');
            }
            _ => out.put(b"null"),
        }
        out.put(b",\"after\":");
        match change.op {
            Op::Delete => out.put(b"null"),
            _ => self.put_after(out, change),
        }
        let reason = (change.op == Op::Delete || change.reason != Reason::Client)
            .then(|| change.reason.name());
        let db = change.db.map(u32::from);
        self.put_source(out, at, "false", db, change.kind, reason);
        self.put_tail(out, change.op);
        if unit.changes < 2 && unit.gtid.is_none() {
            out.put(b"null}");
            return;
        }
        out.put(b"{\"id\":\"");
        match unit.gtid {
            Some(gtid) => {
                out.put(b"g:");
                put_u64(out, gtid);
            }
            None => {
                put_u64(out, u64::from(self.shard));
                out.push(b':');
                put_u64(out, at.lsn);
            }
        }
        out.put(b"\",\"total_order\":");
        put_u64(out, unit.order as u64);
        out.put(b",\"data_collection_order\":");
        put_u64(out, unit.order_in_db as u64);
        out.put(b"}}");
    }

    /// The plane that a row with this value belongs to.
    pub fn plane_of(&self, value: &Value<'_>) -> Plane {
        match kind_of(value.value_type()) {
            Kind::Stream => Plane::Stream,
            _ => Plane::Kv,
        }
    }

    /// Appends the envelope of a row; `at` is the cut of its snapshot.
    pub fn put_row(&self, out: &mut Vec<u8>, row: &Row<'_>, at: &At) {
        let value_type = row.value.value_type();
        let kind = kind_of(value_type);
        out.put(b"{\"before\":null,\"after\":");
        let state = State {
            kind,
            db: Some(row.db),
            key: Some(row.key),
            type_name: Some(type_name(value_type)),
            value: Some(row.value),
            ttl_ms: row.ttl_ms,
        };
        self.put_state(out, &state);
        let snapshot = match row.place {
            Snapshot::First => "first",
            Snapshot::Middle => "true",
            Snapshot::Last => "last",
        };
        self.put_source(out, at, snapshot, Some(row.db), kind, None);
        self.put_tail(out, Op::Read);
        out.put(b"null}");
    }

    /// What was there before a change, as a row of a snapshot of that moment would show it.
    fn put_before(&self, out: &mut Vec<u8>, change: &Change<'_>, image: &BeforeImage<'_>) {
        let value_type = ValueType::from_code(image.kind);
        // The record's checksum was good, so a body that cannot be read is of a newer Moon.
        let value = image.body.and_then(|body| Value::decode(body, image.kind, 0).ok());
        let state = State {
            kind: value_type.map_or(change.kind, kind_of),
            db: change.db.map(u32::from),
            key: change.key.as_deref(),
            type_name: value_type.map(type_name).or(change.value_type),
            value: value.as_ref(),
            ttl_ms: image.ttl_ms,
        };
        self.put_state(out, &state);
    }

    /// The one form of a whole key.
    fn put_state(&self, out: &mut Vec<u8>, state: &State<'_>) {
        out.push(b'{');
        put_identity(out, state.kind, state.db, state.key);
        out.put(b",\"type\":");
        match state.type_name {
            Some(name) => put_text(out, name),
            None => out.put(b"null"),
        }
        let raw = match (self.format, state.key, state.value) {
            (Format::Raw, Some(key), Some(value)) => restoring(key, value, state.ttl_ms),
            _ => None,
        };
        match (raw, state.value) {
            (Some(resp), _) => put_raw(out, &resp),
            (None, Some(value)) => {
                out.put(b",\"command\":null,\"args\":[],\"value\":");
                put_value(out, value);
            }
            (None, None) => {
                out.put(b",\"command\":null,\"args\":[],\"value_omitted\":true");
            }
        }
        put_ttl(out, state.ttl_ms);
        out.push(b'}');
    }

    fn put_after(&self, out: &mut Vec<u8>, change: &Change<'_>) {
        out.push(b'{');
        put_identity(out, change.kind, change.db.map(u32::from), change.key.as_deref());
        out.put(b",\"type\":");
        match change.value_type {
            Some(name) => put_text(out, name),
            None => out.put(b"null"),
        }
        match (&change.effect, self.format) {
            (Effect::Command { raw, .. }, Format::Raw) => put_raw(out, raw),
            (Effect::Command { words, .. }, Format::Debezium) => {
                out.put(b",\"command\":");
                put_bytes(out, words.first().copied().unwrap_or_default());
                out.put(b",\"args\":");
                put_list(out, words.iter().skip(1), |out, word| put_bytes(out, word));
            }
            (Effect::Record { name, text }, _) => {
                out.put(b",\"command\":");
                put_text(out, name);
                out.put(b",\"args\":");
                let text = (!text.is_empty()).then_some(text);
                put_list(out, text.into_iter(), |out, text| put_text(out, text));
            }
        }
        if let Some(value) = change.value {
            out.put(b",\"value\":");
            put_bytes(out, value);
        }
        put_ttl(out, change.ttl_ms);
        out.push(b'}');
    }

    fn put_source(
        &self,
        out: &mut Vec<u8>,
        at: &At,
        snapshot: &str,
        db: Option<u32>,
        kind: Kind,
        reason: Option<&str>,
    ) {
        out.put(b",\"source\":{\"version\":\"moon-1\",\"connector\":\"moon\",\"name\":");
        put_text(out, &self.name);
        out.put(b",\"ts_ms\":");
        put_i64(out, at.wall_us.div_euclid(1000));
        out.put(b",\"ts_us\":");
        put_i64(out, at.wall_us);
        out.put(b",\"snapshot\":");
        put_text(out, snapshot);
        out.put(b",\"db\":");
        match db {
            Some(db) => put_text(out, &db.to_string()),
            None => out.put(b"null"),
        }
        // A list in a string, as Debezium has it.
        out.put(b",\"sequence\":\"[\\\"");
        put_u64(out, self.epoch);
        out.push(b':');
        put_u64(out, at.previous);
        out.put(b"\\\",\\\"");
        put_u64(out, self.epoch);
        out.push(b':');
        put_u64(out, at.lsn);
        out.put(b"\\\"]\",\"shard\":");
        put_u64(out, u64::from(self.shard));
        out.put(b",\"lsn\":");
        put_u64(out, at.lsn);
        out.put(b",\"epoch\":");
        put_u64(out, self.epoch);
        out.put(b",\"record_type\":");
        put_text(out, kind.name());
        if let Some(reason) = reason {
            out.put(b",\"reason\":");
            put_text(out, reason);
        }
        out.push(b'}');
    }

    fn put_tail(&self, out: &mut Vec<u8>, op: Op) {
        out.put(b",\"op\":");
        put_text(out, op.letter());
        out.put(b",\"ts_ms\":");
        put_u64(out, self.now_ms);
        out.put(b",\"transaction\":");
    }
}

fn put_identity(out: &mut Vec<u8>, kind: Kind, db: Option<u32>, key: Option<&[u8]>) {
    out.put(b"\"record_type\":");
    put_text(out, kind.name());
    out.put(b",\"db\":");
    match db {
        Some(db) => put_u64(out, u64::from(db)),
        None => out.put(b"null"),
    }
    out.put(b",\"key\":");
    match key {
        Some(key) => put_bytes(out, key),
        None => out.put(b"null"),
    }
}

/// The command that makes a key as it is; `None` if there is no payload for its value.
fn restoring(key: &[u8], value: &Value<'_>, ttl_ms: Option<u64>) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    redis_rdb::Encoder::default().dump(value, &mut payload).ok()?;
    let ttl = ttl_ms.unwrap_or(0).to_string();
    let words: [&[u8]; 6] = [b"RESTORE", key, ttl.as_bytes(), &payload, b"ABSTTL", b"REPLACE"];
    let mut resp = Vec::new();
    encode_command(&mut resp, words.into_iter());
    Some(resp)
}

fn put_raw(out: &mut Vec<u8>, resp: &[u8]) {
    out.put(b",\"raw_resp\":\"");
    put_base64(out, resp);
    out.push(b'"');
}

fn put_ttl(out: &mut Vec<u8>, ttl_ms: Option<u64>) {
    if let Some(ms) = ttl_ms {
        out.put(b",\"ttl_ms\":");
        put_u64(out, ms);
    }
}

fn kind_of(value_type: ValueType) -> Kind {
    match value_type {
        ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => Kind::Stream,
        _ => Kind::Kv,
    }
}

/// The name of a type as TYPE answers it.
fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::String => "string",
        ValueType::Hash => "hash",
        ValueType::List => "list",
        ValueType::Set => "set",
        ValueType::ZSet => "zset",
        ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => "stream",
    }
}

/// A whole value: a string as itself, collections as lists; pairs are lists of two, fields that expire of
/// three.
fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::String(bytes) => put_bytes(out, bytes),
        Value::List(items) | Value::Set(items) => {
            put_list(out, items.clone(), put_bytes);
        }
        Value::Hash(hash) => {
            let times: std::collections::HashMap<&[u8], u64> = hash.ttls.clone().collect();
            put_list(out, hash.pairs.clone(), |out, (field, value)| {
                out.push(b'[');
                put_bytes(out, field);
                out.push(b',');
                put_bytes(out, value);
                if let Some(ms) = times.get(field) {
                    out.push(b',');
                    put_u64(out, *ms);
                }
                out.push(b']');
            });
        }
        Value::ZSet(members) => put_list(out, members.clone(), |out, (member, score)| {
            out.push(b'[');
            put_bytes(out, member);
            out.push(b',');
            put_f64(out, score);
            out.push(b']');
        }),
        Value::Stream(stream) => put_stream(out, stream),
    }
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_text(out, &format!("{}-{}", id.ms, id.seq));
}

fn put_stream(out: &mut Vec<u8>, stream: &Stream<'_>) {
    out.put(b"{\"last_id\":");
    put_id(out, stream.last);
    out.put(b",\"entries\":");
    put_list(out, stream.entries.clone(), |out, entry| {
        out.push(b'[');
        put_id(out, entry.id);
        out.push(b',');
        let words = entry.fields.flat_map(|(field, value)| [field, value]);
        put_list(out, words, put_bytes);
        out.push(b']');
    });
    out.put(b",\"groups\":");
    put_list(out, stream.groups.iter(), |out, group| {
        out.put(b"{\"name\":");
        put_bytes(out, group.name);
        out.put(b",\"last_delivered_id\":");
        put_id(out, group.last_delivered);
        out.put(b",\"pending\":");
        put_list(out, group.pel.iter(), |out, pending| {
            out.push(b'[');
            put_id(out, pending.id);
            out.push(b',');
            put_bytes(out, pending.consumer);
            out.push(b',');
            put_u64(out, pending.delivery_ms);
            out.push(b',');
            put_u64(out, pending.deliveries);
            out.push(b']');
        });
        out.push(b'}');
    });
    out.push(b'}');
}
