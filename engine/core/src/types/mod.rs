//! The value types of the keyspace.
//!
//! Strings live in the table entry itself; every other type is an [`Object`]. A type is one
//! folder here and one variant there, matched without wildcard arms, so the compiler lists what
//! a new type must provide.
//!
//! Each type is one pointer: to a packed block while it is small, to a large structure of
//! moon-ds afterwards. Which it is follows Redis' rules for `OBJECT ENCODING` and the [`Limits`] handed to
//! each write. Elements go in as bytes and come out as [`Item`]s, without allocation. Nothing here draws
//! randomness: what picks at random takes a source of random words.

mod attached;
mod digest;
mod hash;
mod limits;
mod list;
mod sample;
mod set;
pub mod stream;
mod walk;
mod zset;

use std::ops::Range;

use moon_formats::value::{Value, ValueType};

pub use hash::{Hash, HashIter};
pub use limits::Limits;
pub use list::{List, ListIter, ListIterBack};
use moon_ds::Listpack;
pub use moon_ds::chunklist::End;
pub use moon_ds::{Item, ItemBuf, Upsert};
pub use set::{Set, SetIter, difference, intersection, union, union_each};
pub use stream::Stream;
pub use zset::{LexBound, LexRange, ScoreRange, ZSet, ZSetIter};

/// A collection as the table keeps it.
#[derive(Debug, Clone)]
pub enum Object {
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    ZSet(ZSet),
    /// A stream.
    Stream(Stream),
}

const _: () = assert!(size_of::<Object>() == 16);

impl Object {
    /// About how many allocations it consists of: what freeing it costs (Redis `lazyfreeGetFreeEffort`).
    pub fn allocations(&self) -> usize {
        match self {
            Object::List(list) => list.allocations(),
            Object::Hash(hash) => hash.allocations(),
            Object::Set(set) => set.allocations(),
            Object::ZSet(zset) => zset.allocations(),
            Object::Stream(stream) => stream.allocations(),
        }
    }

    /// The listpack it is kept as, if it is one.
    pub fn packed(&self) -> Option<&Listpack> {
        match self {
            Object::List(list) => list.packed(),
            Object::Hash(hash) => hash.packed(),
            Object::Set(set) => set.packed(),
            Object::ZSet(zset) => zset.packed(),
            Object::Stream(_) => None,
        }
    }

    /// Name as TYPE prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::List(_) => "list",
            Object::Hash(_) => "hash",
            Object::Set(_) => "set",
            Object::ZSet(_) => "zset",
            Object::Stream(_) => "stream",
        }
    }

    /// Name as OBJECT ENCODING prints it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::List(v) => v.encoding(),
            Object::Hash(v) => v.encoding(),
            Object::Set(v) => v.encoding(),
            Object::ZSet(v) => v.encoding(),
            Object::Stream(v) => v.encoding(),
        }
    }

    /// Heap bytes, the entry in the table not counted.
    pub fn mem_bytes(&self) -> usize {
        match self {
            Object::List(v) => v.mem_bytes(),
            Object::Hash(v) => v.mem_bytes(),
            Object::Set(v) => v.mem_bytes(),
            Object::ZSet(v) => v.mem_bytes(),
            Object::Stream(v) => v.mem_bytes(),
        }
    }

    /// When the next field of a hash expires; `None` if none does, and for other types.
    pub fn next_expire(&self) -> Option<u64> {
        match self {
            Object::Hash(v) => v.next_expire(),
            Object::List(_) | Object::Set(_) | Object::ZSet(_) | Object::Stream(_) => None,
        }
    }

    /// Number of elements (fields, members, entries).
    pub fn len(&self) -> usize {
        match self {
            Object::List(v) => v.len(),
            Object::Hash(v) => v.len(),
            Object::Set(v) => v.len(),
            Object::ZSet(v) => v.len(),
            Object::Stream(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no key has it for a value: it is empty, and no stream.
    pub(crate) fn vanishes(&self) -> bool {
        match self {
            Object::List(v) => v.vanishes(),
            Object::Hash(v) => v.vanishes(),
            Object::Set(v) => v.vanishes(),
            Object::ZSet(v) => v.vanishes(),
            Object::Stream(v) => v.vanishes(),
        }
    }

    /// A fingerprint of the content, the same for every encoding, and for every order where the type has
    /// none.
    pub fn digest(&self) -> u128 {
        match self {
            Object::List(v) => v.digest(),
            Object::Hash(v) => v.digest(),
            Object::Set(v) => v.digest(),
            Object::ZSet(v) => v.digest(),
            Object::Stream(v) => v.digest(),
        }
    }

    /// Type code of the value body (storage-formats §6).
    pub fn body_type(&self) -> ValueType {
        match self {
            Object::Hash(_) => ValueType::Hash,
            Object::List(_) => ValueType::List,
            Object::Set(_) => ValueType::Set,
            Object::ZSet(_) => ValueType::ZSet,
            Object::Stream(s) if s.noted_idempotence().is_some() => ValueType::Stream3,
            Object::Stream(_) => ValueType::Stream2,
        }
    }

    /// The collection of a decoded value body; `None` for a string, which is none, for a stream whose parts
    /// contradict each other, and if an element occurs twice, which no server writes.
    pub fn from_value(value: Value<'_>, limits: &Limits) -> Option<Object> {
        let (object, announced) = match value {
            Value::String(_) => return None,
            Value::Hash(h) => {
                let n = h.pairs.len();
                (Object::Hash(Hash::from_pairs(h.pairs, h.ttls, limits)), n)
            }
            Value::List(e) => {
                let n = e.len();
                (Object::List(List::from_elements(e, limits)), n)
            }
            Value::Set(e) => {
                let n = e.len();
                (Object::Set(Set::from_members(e, limits)), n)
            }
            Value::ZSet(z) => {
                let n = z.len();
                (Object::ZSet(ZSet::from_members(z, limits)), n)
            }
            Value::Stream(s) => {
                let n = s.entries.len();
                (Object::Stream(Stream::from_value(s, limits)?), n)
            }
        };
        (object.len() == announced).then_some(object)
    }

    /// Appends the value body (storage-formats §6).
    pub fn to_body(&self, out: &mut Vec<u8>) {
        match self {
            Object::List(v) => v.to_body(out),
            Object::Hash(v) => v.to_body(out),
            Object::Set(v) => v.to_body(out),
            Object::ZSet(v) => v.to_body(out),
            Object::Stream(v) => v.to_body(out),
        }
    }
}

/// A type that [`crate::db::Keyspace::edit`] can hand out.
pub trait Collection: Sized {
    /// An empty collection.
    fn new() -> Self;
    /// This type in an object.
    fn of(object: &Object) -> Option<&Self>;
    /// This type in an object, to edit.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// As an object.
    fn into_object(self) -> Object;
    /// Whether the key goes: an empty collection does not exist as one, unless it is a stream.
    fn vanishes(&self) -> bool;
    /// Heap bytes, constant time.
    fn mem_bytes(&self) -> usize;
    /// When the next element expires, if elements of the type can.
    fn next_expire(&self) -> Option<u64>;
}

macro_rules! collection {
    ($($ty:ident keeps an empty key: $keeps:literal, next expiry: $next_expire:expr;)*) => {$(
        impl Collection for $ty {
            fn new() -> Self {
                $ty::new()
            }

            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$ty(v) => Some(v),
                    _ => None,
                }
            }

            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                match object {
                    Object::$ty(v) => Some(v),
                    _ => None,
                }
            }

            fn into_object(self) -> Object {
                Object::$ty(self)
            }

            #[inline]
            fn vanishes(&self) -> bool {
                !$keeps && $ty::len(self) == 0
            }

            #[inline]
            fn mem_bytes(&self) -> usize {
                $ty::mem_bytes(self)
            }

            #[inline]
            fn next_expire(&self) -> Option<u64> {
                let next_expire: fn(&Self) -> Option<u64> = $next_expire;
                next_expire(self)
            }
        }

        impl Default for $ty {
            fn default() -> Self {
                $ty::new()
            }
        }
    )*};
}

collection! {
    List keeps an empty key: false, next expiry: |_| None;
    Hash keeps an empty key: false, next expiry: Hash::next_expire;
    Set keeps an empty key: false, next expiry: |_| None;
    ZSet keeps an empty key: false, next expiry: |_| None;
    Stream keeps an empty key: true, next expiry: |_| None;
}

/// The elements that an inclusive range of indexes names, where negative ones count from the end
/// (LRANGE, LTRIM, ZRANGE, GETRANGE): empty if none.
pub fn index_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from = if start < 0 { start.saturating_add(len).max(0) } else { start };
    let to = if stop < 0 { stop.saturating_add(len) } else { stop.min(len - 1) };
    if from > to || from >= len { 0..0 } else { from as usize..to as usize + 1 }
}

/// The element that an index names, where a negative one counts from the end (LINDEX, LSET).
pub fn index_at(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|i| *i < len)
}

#[cfg(test)]
mod tests;
