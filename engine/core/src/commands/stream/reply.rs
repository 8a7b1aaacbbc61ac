//! Entries as replies write them.

use super::ids::IdText;
use crate::commands::put_item;
use crate::types::stream::{Entry, Log, StreamId};
use moon_formats::resp::Reply;

pub(super) fn put_id(out: &mut Reply<'_>, id: StreamId) {
    out.bulk(IdText::of(id).as_bytes());
}

/// Names and values in one array.
pub(super) fn put_fields(out: &mut Reply<'_>, entry: &Entry<'_>) {
    out.array(entry.fields.len() * 2);
    for (name, value) in entry.fields.clone() {
        put_item(out, name);
        put_item(out, value);
    }
}

/// Id and fields.
pub(super) fn put_entry(out: &mut Reply<'_>, entry: &Entry<'_>) {
    out.array(2);
    put_id(out, entry.id);
    put_fields(out, entry);
}

/// An array of entries.
pub(super) fn put_entries<'a>(out: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'a>>) {
    let head = out.defer();
    let mut n = 0;
    for entry in entries {
        put_entry(out, &entry);
        n += 1;
    }
    out.array_at(head, n);
}

/// The entry of that id, if it is there.
pub(super) fn put_by_id(out: &mut Reply<'_>, log: &Log, id: StreamId) -> bool {
    let entry = log.get(id);
    if let Some(entry) = &entry {
        put_entry(out, entry);
    }
    entry.is_some()
}
