//! Deliberate bugs: those of the storage layer by name, and those of the engine made here.
//!
//! Those of moon-migrate, of backups and of saves without a log are made by the disk that they work on. An engine bug sits between
//! the shard and its log, or between recovery and the shard, so the shipped engine carries no such branch.

use crate::life::NoHost;
use crate::proof::Proof;
use moon_engine::exec::Shard;
use moon_formats::resp::{CommandIter, encode_command};
#[cfg(feature = "mutants")]
use moon_storage::mutant::Mutant;

/// A broken line around the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineBug {
    /// The DEL of an expired key is not logged.
    ExpiryNotLogged,
    /// One effect in forty is not logged.
    EffectDropped,
    /// A time to live is logged as it was given, relative to now.
    TtlRelative,
    /// One effect in ten is logged twice.
    EffectTwice,
    /// The commands of one EXEC become a record each.
    UnitSplit,
    /// The arrays of a unit are logged in reverse.
    UnitReversed,
    /// An effect that removes several members or keys (SPOP logs one) loses the last.
    RemovalShort,
    /// An effect is logged for database 0, whatever database it changed.
    WrongDatabase,
    /// Replay drops keys that have expired by now.
    ExpiryDuringReplay,
    /// Replay applies the last record a second time.
    LastRecordTwice,
    /// Replay leaves out every 50th record.
    ReplaySkips,
    /// The removal of fields is not logged, be it a client's or that of fields that expired.
    FieldsStay,
    /// The time to live of fields is not logged.
    FieldTtlDropped,
    /// What a consumer of a group was given or acknowledged is not logged.
    GroupForgotten,
    /// A base says that it holds one record more than it does.
    BaseCutLate,
    /// A base says that it holds one record less than it does.
    BaseCutEarly,
}

impl EngineBug {
    /// All of them.
    pub const ALL: [EngineBug; 16] = [
        EngineBug::ExpiryNotLogged,
        EngineBug::EffectDropped,
        EngineBug::TtlRelative,
        EngineBug::EffectTwice,
        EngineBug::UnitSplit,
        EngineBug::UnitReversed,
        EngineBug::RemovalShort,
        EngineBug::WrongDatabase,
        EngineBug::ExpiryDuringReplay,
        EngineBug::LastRecordTwice,
        EngineBug::ReplaySkips,
        EngineBug::FieldsStay,
        EngineBug::FieldTtlDropped,
        EngineBug::GroupForgotten,
        EngineBug::BaseCutLate,
        EngineBug::BaseCutEarly,
    ];
}

/// A broken line of moon-migrate, made by a disk that does less than it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationBug {
    /// The journal gets its name before its bytes are synced.
    JournalUnsynced,
    /// The directory around the trees is not synced after a rename.
    NamesUnsynced,
    /// The new tree gets the name before its bytes are synced.
    TreeUnsynced,
    /// Names change without a word in the journal.
    SwapUnannounced,
    /// The new tree is marked as data before they are written.
    MarkerFirst,
}

impl MigrationBug {
    /// All of them.
    pub const ALL: [MigrationBug; 5] = [
        MigrationBug::JournalUnsynced,
        MigrationBug::NamesUnsynced,
        MigrationBug::TreeUnsynced,
        MigrationBug::SwapUnannounced,
        MigrationBug::MarkerFirst,
    ];
}

/// A broken line of moon-restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupBug {
    /// The list of a set is written before its files are synced.
    SetUnsynced,
    /// A set is done before the names of its files, and its own, are durable.
    SetNamesUnsynced,
    /// What is restored is marked as data before it is.
    RestoreMarkedFirst,
    /// The list of a set is removed after its files.
    ListRemovedLast,
}

impl BackupBug {
    /// All of them.
    pub const ALL: [BackupBug; 4] = [
        BackupBug::SetUnsynced,
        BackupBug::SetNamesUnsynced,
        BackupBug::RestoreMarkedFirst,
        BackupBug::ListRemovedLast,
    ];
}

/// A broken line of the saves of a life without a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveBug {
    /// A save is answered, and has its name, before its bytes are synced.
    SaveUnsynced,
    /// A save is answered before its name is durable.
    SaveNameUnsynced,
    /// The last save is removed before the next one has its name.
    LastSaveRemovedFirst,
}

impl SaveBug {
    /// All of them.
    pub const ALL: [SaveBug; 3] =
        [SaveBug::SaveUnsynced, SaveBug::SaveNameUnsynced, SaveBug::LastSaveRemovedFirst];
}

/// The bug of a run, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bug {
    /// Around the engine.
    pub engine: Option<EngineBug>,
    /// Around moon-migrate.
    pub migration: Option<MigrationBug>,
    /// Around moon-restore.
    pub backup: Option<BackupBug>,
    /// Around saves without a log.
    pub save: Option<SaveBug>,
    /// In the storage layer.
    #[cfg(feature = "mutants")]
    pub storage: Option<Mutant>,
    /// In the walk of a snapshot.
    #[cfg(feature = "mutants")]
    pub walk: Option<moon_engine::snapshot::Mutant>,
}

impl Bug {
    /// A bug around the engine.
    pub fn engine(bug: EngineBug) -> Bug {
        Bug { engine: Some(bug), ..Bug::default() }
    }

    /// A bug around moon-migrate.
    pub fn migration(bug: MigrationBug) -> Bug {
        Bug { migration: Some(bug), ..Bug::default() }
    }

    /// A bug around moon-restore.
    pub fn backup(bug: BackupBug) -> Bug {
        Bug { backup: Some(bug), ..Bug::default() }
    }

    /// A bug around saves without a log.
    pub fn save(bug: SaveBug) -> Bug {
        Bug { save: Some(bug), ..Bug::default() }
    }

    /// Whether it breaks the walk of a snapshot.
    pub fn is_of_the_walk(&self) -> bool {
        #[cfg(feature = "mutants")]
        return self.walk.is_some();
        #[cfg(not(feature = "mutants"))]
        false
    }

    /// The proofs of set P that must notice it; none if the crashes of any life do.
    pub fn proofs(&self) -> &'static [Proof] {
        if self.backup.is_some() {
            return &[Proof::Backups];
        }
        if self.save.is_some() {
            return &[Proof::Unlogged];
        }
        #[cfg(feature = "mutants")]
        return match self.storage {
            Some(mutant) if Mutant::POINTS.contains(&mutant) => &[Proof::Points],
            Some(mutant) if Mutant::CHANGES.contains(&mutant) => &[Proof::Reads, Proof::Pushes],
            _ => &[],
        };
        #[cfg(not(feature = "mutants"))]
        &[]
    }

    /// Every bug this build can run, with its name.
    pub fn all() -> Vec<(String, Bug)> {
        let engine = EngineBug::ALL.iter().map(|b| (format!("{b:?}"), Bug::engine(*b)));
        let migration = MigrationBug::ALL.iter().map(|b| (format!("{b:?}"), Bug::migration(*b)));
        let backup = BackupBug::ALL.iter().map(|b| (format!("{b:?}"), Bug::backup(*b)));
        let save = SaveBug::ALL.iter().map(|b| (format!("{b:?}"), Bug::save(*b)));
        let all: Vec<_> = engine.chain(migration).chain(backup).chain(save).collect();
        #[cfg(feature = "mutants")]
        let all = {
            let mut all = all;
            let proofs = Mutant::POINTS.iter().chain(&Mutant::CHANGES);
            let storage = Mutant::LOG.iter().chain(&Mutant::SNAPSHOT).chain(proofs);
            all.extend(
                storage.map(|m| (format!("{m:?}"), Bug { storage: Some(*m), ..Bug::default() })),
            );
            let walk = moon_engine::snapshot::Mutant::ALL.iter();
            all.extend(walk.map(|m| (format!("{m:?}"), Bug { walk: Some(*m), ..Bug::default() })));
            all
        };
        all
    }
}

/// The cut that a snapshot is given instead of the true one.
pub(crate) fn cut(bug: Option<EngineBug>, cut: u64) -> u64 {
    match bug {
        Some(EngineBug::BaseCutLate) => cut + 1,
        Some(EngineBug::BaseCutEarly) => cut.saturating_sub(1),
        _ => cut,
    }
}

/// What is appended in place of a unit: database and payload of each record.
pub(crate) fn distort(
    bug: Option<EngineBug>,
    now_ms: u64,
    count: u64,
    db: u16,
    payload: &[u8],
) -> Vec<(u16, Vec<u8>)> {
    let one = |p: Vec<u8>| vec![(db, p)];
    let Some(bug) = bug else { return one(payload.to_vec()) };
    let mut arrays = arrays(payload);
    arrays.iter_mut().for_each(|words| words[0].make_ascii_uppercase());
    match bug {
        EngineBug::ExpiryNotLogged if arrays.len() == 1 && arrays[0][0] == b"DEL" => vec![],
        EngineBug::FieldsStay => without(arrays, db, &[b"HDEL"]),
        EngineBug::FieldTtlDropped => without(arrays, db, &[b"HPEXPIREAT"]),
        EngineBug::GroupForgotten => without(arrays, db, &[b"XCLAIM", b"XACK", b"XACKDEL"]),
        EngineBug::EffectDropped if count % 40 == 39 => vec![],
        EngineBug::TtlRelative => {
            for words in &mut arrays {
                for i in 1..words.len() {
                    if words[i - 1] == b"PXAT" {
                        words[i - 1] = b"PX".to_vec();
                        let at: u64 = String::from_utf8_lossy(&words[i]).parse().unwrap_or(0);
                        words[i] = at.saturating_sub(now_ms).max(1).to_string().into_bytes();
                    }
                }
            }
            one(encode(&arrays))
        }
        EngineBug::EffectTwice if count % 10 == 9 => one([payload, payload].concat()),
        EngineBug::UnitSplit if !arrays.iter().any(|w| w[0] == b"SELECT") => {
            arrays.iter().map(|w| (db, encode(std::slice::from_ref(w)))).collect()
        }
        EngineBug::UnitReversed if !arrays.iter().any(|w| w[0] == b"SELECT") => {
            arrays.reverse();
            one(encode(&arrays))
        }
        EngineBug::RemovalShort => {
            for words in &mut arrays {
                if words[0].ends_with(b"REM") && words.len() > 3 {
                    words.pop();
                }
                if words[0] == b"DEL" && words.len() > 2 {
                    words.pop();
                }
            }
            one(encode(&arrays))
        }
        EngineBug::WrongDatabase => vec![(0, payload.to_vec())],
        _ => one(payload.to_vec()),
    }
}

/// A unit without the effects of some names; no record if nothing is left.
fn without(mut arrays: Vec<Vec<Vec<u8>>>, db: u16, names: &[&[u8]]) -> Vec<(u16, Vec<u8>)> {
    arrays.retain(|words| !names.contains(&words[0].as_slice()));
    if arrays.is_empty() { vec![] } else { vec![(db, encode(&arrays))] }
}

/// Whether a unit does nothing but take away keys or fields, as that of expired ones does.
pub(crate) fn only_removes(payload: &[u8]) -> bool {
    let removals: [&[u8]; 3] = [b"DEL", b"UNLINK", b"HDEL"];
    arrays(payload).iter().all(|w| removals.contains(&w[0].to_ascii_uppercase().as_slice()))
}

/// Applies a record as recovery does, or as a bug would have it.
pub(crate) fn apply(
    bug: Option<EngineBug>,
    shard: &mut Shard,
    index: usize,
    (db, flags): (u16, u8),
    payload: &[u8],
) -> Result<(), moon_engine::journal::ApplyError> {
    if bug == Some(EngineBug::ReplaySkips) && index % 50 == 49 {
        return Ok(());
    }
    shard.apply(db, flags, payload)?;
    if bug == Some(EngineBug::ExpiryDuringReplay) {
        while shard.expire_cycle(&mut NoHost, 100) > 0 {}
    }
    Ok(())
}

fn arrays(payload: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let mut words = Vec::new();
    let mut iter = CommandIter::new(payload, 0);
    while let Ok(true) = iter.next_into(&mut words) {
        all.push(words.iter().map(|w| w.to_vec()).collect());
    }
    all
}

fn encode(arrays: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for words in arrays {
        encode_command(&mut out, words.iter().map(Vec::as_slice));
    }
    out
}
