//! A key with all that belongs to it, on its way into a snapshot (storage-formats §5.3).

use crate::db::Live;
use crate::persist;
use crate::types::Object;
use moon_ds::ValueRef;
use moon_formats::rrdshard::{Encoder, Key};
use moon_formats::value::ValueType;

/// Body bytes from which on a value stands apart from its key. Less in this crate's tests, so that they get there.
const LARGE_BYTES: usize = if cfg!(test) { 16 << 10 } else { 256 << 10 };
/// Bytes in memory below which a collection's body is not large: an element takes a byte at least, and
/// four bytes more in the body.
const SMALL_OBJECT: usize = LARGE_BYTES / 16;
/// Bytes around key and value, at most.
const FRAME: usize = 64;

/// Bytes that the item of an entry takes at most.
pub(super) fn size_bound(entry: &Live) -> usize {
    let value = match entry.value() {
        ValueRef::Int(_) => 24,
        ValueRef::Bytes(b) => b.len(),
        ValueRef::Object(Object::Stream(_)) => LARGE_BYTES,
        ValueRef::Object(o) => o.mem_bytes().saturating_mul(16),
    };
    entry.key().len() + FRAME + value.min(LARGE_BYTES)
}

/// A key in the block at hand whose value comes later.
pub(super) struct Later {
    pub(super) id: u64,
    pub(super) key: Box<[u8]>,
    pub(super) what: What,
}

/// What such a value is.
pub(super) enum What {
    /// A string of this length.
    Text(usize),
    /// A collection to be walked.
    Object,
    /// A body, for there is no way to write the value in parts.
    Body(Vec<u8>),
}

/// Appends the item of an entry to the block at hand. If its value is large, the value is put off.
pub(super) fn put_item(entry: &Live, encoder: &mut Encoder, counts: bool, later: &mut Vec<Later>) {
    let key = Key {
        key: entry.key(),
        expire_ms: entry.expire_ms(),
        access: Some(stored_access(entry.access(), counts)),
    };
    let value = entry.value();
    let mut body = Vec::new();
    let apart = match value {
        ValueRef::Int(_) => None,
        ValueRef::Bytes(b) if b.len() > LARGE_BYTES => {
            Some((ValueType::String, What::Text(b.len())))
        }
        ValueRef::Bytes(_) => None,
        ValueRef::Object(o) if o.wants_walk() => Some((o.body_type(), What::Object)),
        // The blocks of a stream name fields once, the body names them with every entry.
        ValueRef::Object(o @ Object::Stream(_)) => whole(o, &mut body),
        ValueRef::Object(o) if o.mem_bytes() > SMALL_OBJECT => whole(o, &mut body),
        ValueRef::Object(_) => None,
    };
    let put = match apart {
        Some((kind, what)) => encoder
            .large(&key, kind)
            .map(|id| later.push(Later { id, key: entry.key().into(), what })),
        None => encoder.entry(&key, |out| match body.is_empty() {
            true => persist::put_body(value, out),
            false => {
                out.extend_from_slice(&body);
                entry.object().map_or(ValueType::String, Object::body_type)
            }
        }),
    };
    // A block is ended long before it is full, and a large value is never put into one.
    put.expect("an item fits into its block");
}

/// Serialises a collection that may be large into `body`, or, if it is, for later.
fn whole(object: &Object, body: &mut Vec<u8>) -> Option<(ValueType, What)> {
    object.to_body(body);
    let large = body.len() > LARGE_BYTES;
    large.then(|| (object.body_type(), What::Body(std::mem::take(body))))
}

/// Bit of a stored access word that says that it counts uses.
const COUNTS: u32 = 1 << moon_ds::ACCESS_BITS;

/// The access field of an entry as it is stored: what it means depends on the policy of the server that
/// wrote it.
fn stored_access(access: u32, counts: bool) -> u32 {
    access | if counts { COUNTS } else { 0 }
}

/// The access field that a stored one gives under a policy that counts uses, or does not; `None` if the
/// server that wrote it tracked the other.
pub(super) fn loaded_access(stored: u32, counts: bool) -> Option<u32> {
    ((stored & COUNTS != 0) == counts).then_some(stored & (COUNTS - 1))
}
