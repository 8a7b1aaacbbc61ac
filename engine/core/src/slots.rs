//! Slots: named places in the log that readers of changes hold.
//!
//! A slot is state of the shard like its function libraries: logged when it changes, in the base, there again
//! after a start. What it holds back is the log's business, and the server's to say. It concerns this server
//! alone, so replicas and readers of changes are not told ([`Unit::keep_internal`]).
//!
//! [`Unit::keep_internal`]: crate::journal::Unit

use std::collections::BTreeMap;

use moon_formats::number::Digits;
use moon_formats::rrdshard::section;

use crate::args::Args;
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::exec::{Host, Shard, WriteCx};
use crate::journal::Origin;

/// Longest name.
const NAME_MAX: usize = 64;
/// Most slots of a shard.
const SLOTS_MAX: usize = 1024;

/// A slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The lowest LSN that its reader still needs.
    pub floor_lsn: u64,
    /// When it was made, microseconds since 1970.
    pub created_us: u64,
    /// It held more of the log than it may, and holds nothing any more.
    pub given_up: bool,
}

/// The slots of a shard, by name.
#[derive(Debug, Default)]
pub struct Slots {
    map: BTreeMap<Box<[u8]>, Slot>,
    /// Rises with every change.
    generation: u64,
}

impl Slots {
    /// One of them.
    pub fn get(&self, name: &[u8]) -> Option<Slot> {
        self.map.get(name).copied()
    }

    /// All of them, in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Slot)> {
        self.map.iter().map(|(name, slot)| (&**name, *slot))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Rises with every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn set(&mut self, name: &[u8], slot: Option<Slot>) {
        self.generation += 1;
        match slot {
            Some(slot) => drop(self.map.insert(name.into(), slot)),
            None => drop(self.map.remove(name)),
        }
    }

    /// The payload of their section; `None` without any.
    pub(crate) fn section(&self) -> Option<Vec<u8>> {
        let slots = self.iter().map(|(name, slot)| section::Slot {
            name,
            floor_lsn: slot.floor_lsn,
            created_us: slot.created_us,
            flags: if slot.given_up { section::SLOT_GIVEN_UP } else { 0 },
        });
        let mut payload = Vec::new();
        section::put_slots(&mut payload, slots);
        (!self.is_empty()).then_some(payload)
    }

    /// Takes slots from a snapshot.
    pub(crate) fn load(&mut self, slots: &[section::Slot<'_>]) {
        for slot in slots {
            let section::Slot { name, floor_lsn, created_us, flags } = *slot;
            let given_up = flags & section::SLOT_GIVEN_UP != 0;
            self.set(name, Some(Slot { floor_lsn, created_us, given_up }));
        }
    }
}

/// Whether a new slot may have this name.
///
/// # Errors
/// It is too long, empty, or not made of letters, digits and `_.:-`.
pub fn check_name(name: &[u8]) -> CmdResult {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"_.:-".contains(b);
    if name.is_empty() || name.len() > NAME_MAX || !name.iter().all(fits) {
        return Err(CmdError::fixed(
            "ERR a slot is named with 1 to 64 letters, digits and the characters _ . : -",
        ));
    }
    Ok(())
}

impl Shard {
    /// Makes, moves or drops a slot, in a unit of its own.
    ///
    /// # Errors
    /// There are as many as there may be, or nothing may be logged now.
    pub fn set_slot(&mut self, host: &mut dyn Host, name: &[u8], slot: Option<Slot>) -> CmdResult {
        let set = self.change(host, 0, |ks| ks.set_slot(name, slot))?;
        self.commit_unit(host, Origin::Client);
        self.begin_unit();
        set
    }
}

impl Keyspace<'_> {
    /// Makes, moves or drops a slot, and logs that.
    fn set_slot(&mut self, name: &[u8], slot: Option<Slot>) -> CmdResult {
        self.put_slot(name, slot)?;
        let name_words: [&[u8]; 3] = [b"CDC.SLOT", b"SET", name];
        let Some(slot) = slot else {
            self.effect(&name_words);
            return Ok(());
        };
        let lsn = Digits::of_u64(slot.floor_lsn);
        let created = Digits::of_u64(slot.created_us);
        let state: &[u8] = if slot.given_up { b"1" } else { b"0" };
        let words = [name_words.as_slice(), &[lsn.as_bytes(), created.as_bytes(), state]].concat();
        self.effect(&words);
        Ok(())
    }

    fn put_slot(&mut self, name: &[u8], slot: Option<Slot>) -> CmdResult {
        if slot.is_some() && self.slots.len() >= SLOTS_MAX && self.slots.get(name).is_none() {
            return Err(CmdError::fixed("ERR there are 1024 slots; drop one"));
        }
        self.slots.set(name, slot);
        self.unit.touch_uncounted();
        self.unit.keep_internal();
        Ok(())
    }
}

/// CDC.SLOT SET name [lsn created-us given-up]: the form in which changes of slots are logged. Without more
/// than a name the slot is dropped.
pub fn set(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    check_name(a.get(2))?;
    let number = |at: usize| {
        let number = moon_formats::number::parse_u64(a.get(at));
        number.ok_or(CmdError::fixed("ERR value is not an integer or out of range"))
    };
    let slot = match a.len() {
        3 => None,
        6 => {
            Some(Slot { floor_lsn: number(3)?, created_us: number(4)?, given_up: number(5)? != 0 })
        }
        _ => return Err(CmdError::SYNTAX),
    };
    cx.ks.put_slot(a.get(2), slot)?;
    cx.out.ok();
    Ok(())
}
