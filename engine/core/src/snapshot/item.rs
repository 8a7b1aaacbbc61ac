//! A key with all that belongs to it, on its way into a snapshot (storage-formats §5.3).

use super::queue::Shared;
use crate::db::Live;
use crate::persist;
use crate::types::Object;
use moon_ds::ValueRef;
use moon_formats::rrdshard::{Encoder, Key};

/// Body bytes from which on a value stands apart from its key.
const LARGE_BYTES: usize = 256 << 10;
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

/// Appends the item of an entry to the block at hand. The body of a large value is put off.
pub(super) fn put_item(entry: &Live, encoder: &mut Encoder, shared: &Shared) {
    let key = Key {
        key: entry.key(),
        expire_ms: entry.expire_ms(),
        access: Some(stored_access(entry.access(), shared.counts)),
    };
    let value = entry.value();
    let maybe_large = match value {
        ValueRef::Int(_) => false,
        ValueRef::Bytes(b) => b.len() > LARGE_BYTES,
        // The blocks of a stream name fields once, the body names them with every entry.
        ValueRef::Object(Object::Stream(_)) => true,
        ValueRef::Object(o) => o.mem_bytes() > SMALL_OBJECT,
    };
    let mut body = Vec::new();
    let put = if maybe_large {
        let kind = persist::put_body(value, &mut body);
        if body.len() > LARGE_BYTES {
            encoder.large(&key, kind).map(|id| shared.put_off(id, body))
        } else {
            encoder.entry(&key, |out| {
                out.extend_from_slice(&body);
                kind
            })
        }
    } else {
        encoder.entry(&key, |out| persist::put_body(value, out))
    };
    // A block is ended long before it is full, and a large value is never put into one.
    put.expect("an item fits into its block");
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
