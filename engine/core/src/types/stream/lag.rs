//! How many entries a group has read, and how many it has yet to read.
//!
//! Both are exact or unknown. Ids are not positions, so what is known follows from counters: of
//! the entries ever added, those up to an id can be told where no deletion lies in between.

use moon_formats::value::StreamId;

use super::{Group, Log};

impl Log {
    /// Whether an entry at or above `from` was deleted, trimming apart.
    fn has_gap_from(&self, from: StreamId) -> bool {
        !self.is_empty() && self.max_deleted_id() != StreamId::MIN && from <= self.max_deleted_id()
    }

    /// How many entries were ever added up to this id, if that can be told.
    pub fn count_up_to(&self, id: StreamId) -> Option<u64> {
        let added = self.entries_added();
        if added == 0 || (self.is_empty() && id <= self.last_id()) {
            return Some(added);
        }
        if (id != StreamId::MIN && id < self.max_deleted_id()) || id > self.last_id() {
            return None;
        }
        if id == self.last_id() {
            return Some(added);
        }
        let gap =
            self.max_deleted_id() != StreamId::MIN && self.max_deleted_id() >= self.first_id();
        let before_first = added.checked_sub(self.len())?;
        match id.cmp(&self.first_id()) {
            _ if gap => None,
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has yet to read, if that can be told. Negative if its counter was set
    /// beyond what was added.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added() == 0 || self.is_empty() {
            return Some(0);
        }
        if group.last_id < self.first_id() && self.max_deleted_id() < self.first_id() {
            return i64::try_from(self.len()).ok();
        }
        let read = match group.entries_read {
            Some(read) if !self.has_gap_from(group.last_id) => Some(read),
            _ => self.count_up_to(group.last_id),
        };
        read.map(|read| self.entries_added().wrapping_sub(read) as i64)
    }
}

impl Group {
    /// The entry is the next one that the group reads. The count ends where commands and files can no
    /// longer write it.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        let read = match self.entries_read {
            Some(read) if !log.has_gap_from(self.last_id) => Some(read.saturating_add(1)),
            read if log.entries_added() == 0 => read,
            _ => log.count_up_to(id),
        };
        self.entries_read = read.map(|n| n.min(i64::MAX as u64));
        self.last_id = id;
    }
}
