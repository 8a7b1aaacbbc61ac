//! What a large hash keeps: fields in a [`TimedTable`], short numbers as text.

use moon_ds::{Entry, Item, NewValue, ValueRef};

/// Short numbers take fewer bytes as text than the eight of an integer.
pub(super) fn new_value(value: &[u8]) -> NewValue<'_, ()> {
    match Item::from(value) {
        Item::Int(n) if value.len() >= 8 => NewValue::Int(n),
        _ => NewValue::Bytes(value),
    }
}

#[inline]
pub(super) fn value_of(entry: &Entry<()>) -> Item<'_> {
    match entry.value() {
        ValueRef::Int(n) => Item::Int(n),
        ValueRef::Bytes(b) => Item::Bytes(b),
        ValueRef::Object(()) => Item::Bytes(b""),
    }
}

#[inline]
pub(super) fn is_due(expire_ms: Option<u64>, now_ms: u64) -> bool {
    expire_ms.is_some_and(|at| at <= now_ms)
}
