//! Values on their way out of the keyspace and back: as value bodies, in the RDB form of other servers.
//!
//! The types turn themselves into bodies and are made from them; here is what stands above a single type. A
//! value that holds an element twice is refused: it came from a damaged or hostile source.

use crate::clock::Now;
use crate::db::CopiedValue;
use crate::types::{Limits, Object};
use moon_ds::ValueRef;
use moon_formats::number::{Digits, parse_i64};
use moon_formats::redis_rdb::{self, Encoder, Payload, Unfit};
use moon_formats::value::{self, Hash, Value, ValueType};
use std::collections::HashSet;

/// Largest value body that a payload may grow to, in bytes.
const BODY_MAX: usize = 1 << 30;

/// Appends the body of a value and returns its type.
pub(crate) fn put_body(value: ValueRef<'_, Object>, out: &mut Vec<u8>) -> ValueType {
    match value {
        ValueRef::Int(n) => value::put_string(out, Digits::of_i64(n).as_bytes()),
        ValueRef::Bytes(b) => value::put_string(out, b),
        ValueRef::Object(o) => {
            o.to_body(out);
            return o.body_type();
        }
    }
    ValueType::String
}

/// What the table keeps for a decoded value; `None` if an element occurs twice.
pub(crate) fn from_value(value: Value<'_>, limits: &Limits) -> Option<CopiedValue> {
    Some(match value {
        Value::String(s) => match parse_i64(s) {
            Some(n) => CopiedValue::Int(n),
            None => CopiedValue::Bytes(s.into()),
        },
        collection => CopiedValue::Object(Object::from_value(collection, limits)?),
    })
}

/// Appends the DUMP payload of a value.
pub(crate) fn put_payload(value: ValueRef<'_, Object>, out: &mut Vec<u8>) -> Result<(), Unfit> {
    put_payload_for(&[redis_rdb::VERSION_MAX], value, out)
}

/// Appends the DUMP payload of a value in the oldest version that holds it.
pub(crate) fn put_oldest_payload(
    value: ValueRef<'_, Object>,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    put_payload_for(&[redis_rdb::VERSION_LOWEST, redis_rdb::VERSION_MAX], value, out)
}

/// For readers of the first of these versions that the value has a form in.
fn put_payload_for(
    versions: &[u16],
    value: ValueRef<'_, Object>,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let mut body = Vec::new();
    let kind = put_body(value, &mut body);
    let value = Value::decode(&body, kind.code(), 0).expect("bodies just written are sound");
    let mut done = Ok(());
    for version in versions {
        done = Encoder::new(*version).dump(&value, out);
        if done.is_ok() {
            break;
        }
    }
    done
}

/// Why a payload was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPayload {
    /// Its frame: version or checksum.
    Frame,
    /// Its content.
    Content,
}

/// A value that came in a payload.
pub(crate) struct Restored {
    /// The value; `None` if all its fields have expired.
    pub value: Option<CopiedValue>,
    /// A payload of exactly this value, if the one that came is not: fields have expired meanwhile, or its
    /// checksum was wrong and not looked at.
    pub payload: Option<Vec<u8>>,
}

/// Reads a payload. Fields that have expired are left out.
pub(crate) fn read_payload(
    payload: &[u8],
    now: Now,
    limits: &Limits,
) -> Result<Restored, BadPayload> {
    let bad = |_| BadPayload::Content;
    let payload =
        Payload::open(payload, limits.unchecked_payloads).map_err(|_| BadPayload::Frame)?;
    let bounds = redis_rdb::Limits { body_max: BODY_MAX, ..redis_rdb::Limits::default() };
    let mut body = Vec::new();
    let mut kind = payload.decode(&bounds, &mut body).map_err(bad)?;
    let mut changed = !payload.intact;
    if let Ok(Value::Hash(hash)) = Value::decode(&body, kind.code(), 0)
        && hash.ttls.clone().any(|(_, at)| at <= now.unix_ms)
    {
        let Some(rest) = without_expired(hash, now.unix_ms) else {
            return Ok(Restored { value: None, payload: None });
        };
        body = rest;
        kind = ValueType::Hash;
        changed = true;
    }
    let value = Value::decode(&body, kind.code(), 0).map_err(bad)?;
    let mut again = None;
    if changed {
        let mut out = Vec::new();
        Encoder::default().dump(&value, &mut out).map_err(|_| BadPayload::Content)?;
        again = Some(out);
    }
    let value = from_value(value, limits).ok_or(BadPayload::Content)?;
    Ok(Restored { value: Some(value), payload: again })
}

/// The body of a hash without the fields that have expired; `None` if none is left.
fn without_expired(hash: Hash<'_>, now_ms: u64) -> Option<Vec<u8>> {
    let due: HashSet<&[u8]> =
        hash.ttls.clone().filter(|(_, at)| *at <= now_ms).map(|(f, _)| f).collect();
    let pairs: Vec<(&[u8], &[u8])> = hash.pairs.filter(|(f, _)| !due.contains(f)).collect();
    let ttls: Vec<(&[u8], u64)> = hash.ttls.filter(|(f, _)| !due.contains(f)).collect();
    if pairs.is_empty() {
        return None;
    }
    let mut out = Vec::new();
    value::put_hash(&mut out, pairs.into_iter(), ttls.into_iter());
    Some(out)
}
