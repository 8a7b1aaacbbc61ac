//! Restore points: places in the log with a name and a global number, to recover to (durability §12).
//!
//! The one idea: a point is a record of the log and nothing else. What the shard keeps of it is the highest
//! number in use, which every snapshot says in its head; so numbers rise over restarts and rewrites.
//!
//! Invariant: on one timeline a number names one point. Names may be given again; whoever recovers to
//! one that was is asked which is meant.

use crate::error::{CmdError, CmdResult};
use crate::exec::Shard;
use crate::journal::ApplyError;
use moon_formats::wal::body::{Payload, RestorePoint};
use moon_formats::wal::{DB_NONE, RecordType};

/// Longest name.
pub const NAME_MAX: usize = 128;

/// A point that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Its global number.
    pub gtid: u64,
    /// LSN of its record: the last one that counts in a recovery to it.
    pub lsn: u64,
}

/// Whether a point may have this name: one that needs no quotes on a command line.
pub fn is_name(name: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"_.:-".contains(b);
    (1..=NAME_MAX).contains(&name.len()) && name.iter().all(fits)
}

impl Shard {
    /// Names the place behind everything that has been logged. Between two units only.
    ///
    /// # Errors
    /// The name is none, there is no log, or it takes no records now.
    pub fn add_restore_point(&mut self, name: &[u8]) -> CmdResult<Made> {
        if !is_name(name) {
            return Err(CmdError::fixed(
                "ERR a restore point is named with 1 to 128 letters, digits and the characters _ . : -",
            ));
        }
        let Some(log) = self.journal.log() else {
            return Err(CmdError::fixed(
                "ERR there is no log to name a place in: the server runs with appendonly no",
            ));
        };
        log.admit(false)?;
        let gtid = self.last_gtid + 1;
        let wall_us = i64::try_from(self.now.unix_us).unwrap_or(i64::MAX);
        let mut payload = Vec::new();
        RestorePoint { gtid, wall_us, name }.put(&mut payload);
        let lsn = log.append(RecordType::RestorePoint, 0, DB_NONE, &payload);
        self.last_gtid = gtid;
        Ok(Made { gtid, lsn })
    }

    /// Highest global number in use; 0 for none.
    pub fn last_gtid(&self) -> u64 {
        self.last_gtid
    }

    /// A restore point comes by when the log is read back.
    pub(crate) fn pass_restore_point(
        &mut self,
        flags: u8,
        payload: &[u8],
    ) -> Result<(), ApplyError> {
        let point = RestorePoint::decode(payload, flags, 0);
        let point = point.map_err(|e| ApplyError { cause: e.to_string() })?;
        self.last_gtid = self.last_gtid.max(point.gtid);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::command::CommandTable;
    use crate::commands::GROUPS;
    use crate::exec::ShardConfig;
    use crate::journal::EffectSink;
    use crate::snapshot::{Fill, Loader};
    use moon_formats::rrdshard::{Decoder, Extension, Item, Preamble, VERSION, file_flags};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::OnceLock;

    type Record = (RecordType, u8, u16, Vec<u8>);

    #[derive(Default)]
    struct Records(RefCell<Vec<Record>>);

    impl EffectSink for Records {
        fn append(&self, record: RecordType, flags: u8, db: u16, payload: &[u8]) -> u64 {
            self.0.borrow_mut().push((record, flags, db, payload.to_vec()));
            self.last_lsn()
        }

        fn last_lsn(&self) -> u64 {
            self.0.borrow().len() as u64
        }

        fn admit(&self, _: bool) -> CmdResult {
            Ok(())
        }
    }

    fn shard() -> Shard {
        static TABLE: OnceLock<CommandTable> = OnceLock::new();
        let table = TABLE.get_or_init(|| CommandTable::new(GROUPS));
        let mut shard = Shard::new(table, &ShardConfig { databases: 1, ..ShardConfig::default() });
        shard.set_now(Now::new(1_700_000_000_000_000, 1));
        shard
    }

    #[test]
    fn numbers_rise_over_log_and_snapshot() {
        let mut one = shard();
        assert!(one.add_restore_point(b"no-log").is_err());
        let log = Rc::new(Records::default());
        one.journal.attach(log.clone());
        assert_eq!(one.add_restore_point(b"a").expect("made"), Made { gtid: 1, lsn: 1 });
        assert_eq!(one.add_restore_point(b"a").expect("made"), Made { gtid: 2, lsn: 2 });
        for name in [&b""[..], b"with blank", b"line\r\n", &[b'x'; NAME_MAX + 1]] {
            assert!(one.add_restore_point(name).is_err(), "{}", name.escape_ascii());
        }
        assert_eq!(one.journal.dirty, 0, "no key has changed");
        // What a start reads back.
        let mut two = shard();
        for (record, flags, db, payload) in &*log.0.borrow() {
            two.apply_record(record.code(), *flags, *db, payload).expect("applies");
        }
        assert_eq!(two.last_gtid(), 2);
        let (record, flags, db, payload) = log.0.borrow()[0].clone();
        assert!(two.apply_record(record.code(), flags, db, &payload[1..]).is_err());
        // And what it finds in a base, whose log has gone.
        let preamble =
            Preamble { version: VERSION, shard_id: 0, epoch: 1, last_lsn: 2, created_at_ms: 1 };
        let extension = Extension {
            flags: file_flags::SELF_CONTAINED,
            features: 0,
            storage_uuid: [1; 16],
            timeline: 1,
            base_seq: 1,
            last_gtid: 0,
            wal_first_seq: 1,
            mono_us: 1,
            shards: 1,
            databases: 1,
            align_log2: 12,
        };
        two.begin_snapshot(&preamble, &extension).expect("begins");
        let mut file = Vec::new();
        while !matches!(two.fill_snapshot(&mut file, 4096), Fill::End(_)) {}
        let mut three = shard();
        let mut decoder = Decoder::new();
        decoder.feed(&file);
        decoder.close();
        let mut loader = Loader::new(&mut three);
        while let Some(item) = decoder.next().expect("decodes") {
            loader.item(&item).expect("loads");
            if matches!(item, Item::End(_)) {
                break;
            }
        }
        loader.finish().expect("whole");
        three.journal.attach(Rc::new(Records::default()));
        assert_eq!(three.add_restore_point(b"b").expect("made").gtid, 3);
    }
}
