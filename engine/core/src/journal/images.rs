//! How keys were before a unit changed them (`cdc-before-image`).
//!
//! The one idea: whoever is about to change a key has it taken down first, as a value body; the mark that says
//! what became of the key claims that image. An image that no mark claims (the edit changed nothing) goes at
//! the end of its command.
//!
//! Invariants:
//! * An image shows a key as it was before the running command, not between two of its changes.
//! * A unit holds at most [`UNIT_MAX`] bytes of bodies, none of them longer than [`BODY_MAX`]; beyond that a
//!   key is taken down without its value. So a record with images stays far below the longest one.

use crate::db::Live;
use crate::persist;
use crate::types::Object;
use moon_ds::ValueRef;
use moon_formats::value::ValueType;
use moon_formats::wal::BeforeImage;
use std::ops::Range;

/// Longest value body in an image, in bytes.
const BODY_MAX: usize = 64 << 10;
/// Bytes in memory from which on a collection is not written down to see how long its body is.
const OBJECT_MAX: usize = 128 << 10;
/// Most bytes of bodies in one unit.
const UNIT_MAX: usize = 16 << 20;
/// Bytes that the buffer keeps from unit to unit.
const KEPT_MAX: usize = 1 << 20;
/// Among so many of the last images a key is looked for: a command has its marks right behind its changes.
const WINDOW: usize = 4;

/// What an entry of the marks says of the key before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: there was no key, or nobody asks.
    Nothing,
    /// The image with this number.
    Image(u32),
    /// The same without its value: an effect of the same command came between.
    Bare(u32),
    /// An effect of the same command made the key.
    Made,
}

struct Image {
    /// The key, in the buffer of keys.
    key: Range<u32>,
    db: u16,
    kind: u8,
    ttl_ms: Option<u64>,
    /// Where the body stands; empty if it was left out.
    body: Range<u32>,
    claimed: bool,
}

/// The images of a unit. Buffers are kept from unit to unit.
#[derive(Default)]
pub(super) struct Images {
    /// Somebody asks for them.
    pub(super) wanted: bool,
    images: Vec<Image>,
    keys: Vec<u8>,
    bodies: Vec<u8>,
    /// Where those of the running command begin.
    open: usize,
}

impl Images {
    /// Begins a unit.
    #[inline]
    pub(super) fn begin(&mut self, wanted: bool) {
        self.wanted = wanted;
        if !self.images.is_empty() {
            self.images.clear();
            self.keys.clear();
            self.bodies.clear();
            self.bodies.shrink_to(KEPT_MAX);
        }
        self.open = 0;
    }

    /// Takes a key down that is about to change, unless it has been and did not.
    pub(super) fn take(&mut self, db: u16, entry: &Live) {
        if self.find(db, entry.key()).is_some_and(|n| !self.images[n].claimed) {
            return;
        }
        let key = self.keys.len() as u32;
        self.keys.extend_from_slice(entry.key());
        let begin = self.bodies.len();
        let value = entry.value();
        let kind = match is_short(&value) {
            true => persist::put_body(value, &mut self.bodies),
            false => entry.object().map_or(ValueType::String, Object::body_type),
        };
        if self.bodies.len() - begin > BODY_MAX || self.bodies.len() > UNIT_MAX {
            self.bodies.truncate(begin);
        }
        self.images.push(Image {
            key: key..self.keys.len() as u32,
            db,
            kind: kind.code(),
            ttl_ms: entry.expire_ms(),
            body: begin as u32..self.bodies.len() as u32,
            claimed: false,
        });
    }

    /// The last one of a key that the running command has taken.
    fn find(&self, db: u16, key: &[u8]) -> Option<usize> {
        let open = self.images.get(self.open..).unwrap_or_default();
        let last = open.iter().enumerate().rev().take(WINDOW);
        let mut same = last.filter(|(_, image)| image.db == db && self.key(image) == key);
        same.next().map(|(n, _)| self.open + n)
    }

    fn key(&self, image: &Image) -> &[u8] {
        &self.keys[image.key.start as usize..image.key.end as usize]
    }

    /// What there was of a key whose change is being marked. `again`: one command may have changed it by an
    /// effect before this one.
    #[inline]
    pub(super) fn claim(&mut self, db: u16, key: &[u8], again: bool) -> Before {
        if self.images.len() == self.open {
            return Before::Nothing;
        }
        let Some(n) = self.find(db, key) else { return Before::Nothing };
        match std::mem::replace(&mut self.images[n].claimed, true) {
            false => Before::Image(n as u32),
            true if again => Before::Bare(n as u32),
            true => Before::Nothing,
        }
    }

    /// What an effect says whose command has changed the key by another effect before it. `created`: it made
    /// the key.
    pub(super) fn between(&self, before: Before, created: bool) -> Before {
        match before {
            Before::Image(n) | Before::Bare(n) => Before::Bare(n),
            Before::Nothing if self.wanted && created => Before::Made,
            other => other,
        }
    }

    /// The running command has ended.
    #[inline]
    pub(super) fn close(&mut self) {
        while self.images.len() > self.open
            && let Some(image) = self.images.pop_if(|image| !image.claimed)
        {
            self.keys.truncate(image.key.start as usize);
            self.bodies.truncate(image.body.start as usize);
        }
        self.open = self.images.len();
    }

    /// As a record holds it; `bodies`: it has room for them.
    pub(super) fn shown(&self, before: Before, bodies: bool) -> Option<BeforeImage<'_>> {
        let (n, whole) = match before {
            Before::Nothing => return None,
            Before::Made => {
                let kind = BeforeImage::NO_TYPE;
                return Some(BeforeImage { kind, ttl_ms: None, body: None });
            }
            Before::Image(n) => (n, bodies),
            Before::Bare(n) => (n, false),
        };
        let Image { kind, ttl_ms, body, .. } = &self.images[n as usize];
        let body = &self.bodies[body.start as usize..body.end as usize];
        let body = Some(body).filter(|body| whole && !body.is_empty());
        Some(BeforeImage { kind: *kind, ttl_ms: *ttl_ms, body })
    }
}

/// Whether a value is so short that its body may be written to be looked at.
fn is_short(value: &ValueRef<'_, Object>) -> bool {
    match value {
        ValueRef::Int(_) => true,
        ValueRef::Bytes(b) => b.len() <= BODY_MAX,
        ValueRef::Object(Object::Stream(s)) => {
            s.mem_bytes() <= OBJECT_MAX && s.has_body_within(BODY_MAX)
        }
        ValueRef::Object(o) => o.mem_bytes() <= OBJECT_MAX,
    }
}
