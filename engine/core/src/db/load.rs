//! Keys that come from a snapshot: put in as they were, told to nobody.

use super::{Access, Db};
use crate::types::Object;
use moon_ds::{Lookup, NewValue};

impl Db {
    /// Makes room for about so many keys, see [`moon_ds::Table::reserve`].
    pub(crate) fn reserve(&mut self, keys: usize) {
        self.table.reserve(keys);
    }

    /// Puts a key in; false, and nothing is changed, if it is there already. `access` is the access field as
    /// it was, `None` for that of a key that has just come into being.
    pub(crate) fn load(
        &mut self,
        key: &[u8],
        value: NewValue<'_, Object>,
        expire_ms: Option<u64>,
        access: Option<u32>,
        clock: &Access,
    ) -> bool {
        let (bytes, next) = match &value {
            NewValue::Object(o) => (o.mem_bytes(), o.next_expire()),
            NewValue::Int(_) | NewValue::Bytes(_) => (0, None),
        };
        let Lookup::Vacant(place) = self.table.lookup(key) else { return false };
        let mut entry = place.insert(value);
        if expire_ms.is_some() {
            entry.set_expire(expire_ms);
        }
        match access {
            Some(access) => entry.set_access(access),
            None => clock.begin(&entry),
        }
        self.object_bytes += bytes;
        self.retime(key, None, next);
        true
    }
}
