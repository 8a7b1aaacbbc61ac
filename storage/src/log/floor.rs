//! The one answer to "what may be recycled".
//!
//! A floor is the lowest LSN that somebody still needs. A segment may go when its last LSN is
//! below every floor. Without a base nothing may go: the log is all there is.

use std::cell::Cell;

/// Who keeps a part of the log alive (durability.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// First LSN after the cut of the oldest base listed in the manifest.
    Base,
    /// First LSN that the point-in-time window needs.
    Pitr,
    /// Slowest change-stream slot or cursor window.
    Cdc,
    /// Pin of a running backup.
    Backup,
    /// Replication backlog.
    Replica,
    /// Oldest open reader of the log.
    Reader,
    /// What a plane of the shard has not in a durable form of its own yet.
    Plane,
}

const COUNT: usize = 7;

/// The floors of one shard.
#[derive(Debug, Default)]
pub struct Floors([Cell<Option<u64>>; COUNT]);

impl Floors {
    /// Sets the lowest LSN that `floor` needs, or lifts it with `None`.
    pub fn set(&self, floor: Floor, lsn: Option<u64>) {
        self.0[floor as usize].set(lsn);
    }

    /// Reads one floor.
    pub fn get(&self, floor: Floor) -> Option<u64> {
        self.0[floor as usize].get()
    }

    /// The lowest LSN that must stay readable; 0 while there is no base.
    pub fn lowest(&self) -> u64 {
        if self.get(Floor::Base).is_none() {
            return 0;
        }
        self.0.iter().filter_map(Cell::get).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_go_without_a_base() {
        let floors = Floors::default();
        floors.set(Floor::Cdc, Some(50));
        assert_eq!(floors.lowest(), 0);
        floors.set(Floor::Base, Some(70));
        assert_eq!(floors.lowest(), 50);
        floors.set(Floor::Cdc, None);
        assert_eq!(floors.lowest(), 70);
        floors.set(Floor::Backup, Some(3));
        assert_eq!(floors.lowest(), 3);
    }
}
