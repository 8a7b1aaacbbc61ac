//! Planes: state of a shard beside its keys (queues, workspaces, temporal values, graphs, vectors, text).
//!
//! The one idea: a plane is whatever can be rebuilt from a section of a snapshot and records of the log. It
//! names the types of its records and its section; the shard does the rest, in the places where it does
//! it for keys: units are logged through the journal, the cut copies the section, recovery loads
//! section and records in the order of the log.
//!
//! Invariants:
//! * A record type belongs to one plane, a section to one plane. A record of a plane that this shard does not
//!   have is refused at recovery, as is a required section: neither is passed over.
//! * A plane changes by its records only, so that log, snapshot and memory cannot disagree.
//! * A derived plane can be made from keys and required planes. Its section saves time: one that is missing,
//!   unknown or damaged is dropped, and the plane rebuilt once the log has been read.
//! * [`Plane::floor`] is the oldest LSN that a plane still needs in the log; nothing older is kept for it.

#[cfg(test)]
mod tests;

use crate::db::Db;
use crate::error::CmdResult;
use crate::exec::Shard;
use crate::journal::ApplyError;
use moon_formats::DecodeError;
use moon_formats::rrdshard::{Section, section};
use moon_formats::wal::RecordType;
use std::any::Any;

/// What a plane's part of a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneSection {
    /// Code of the section (storage-formats §6.1).
    pub code: u16,
    /// Version that is written, and the newest that is read.
    pub version: u16,
    /// The plane can be rebuilt without it.
    pub derived: bool,
}

/// State beside the keys of a shard.
pub trait Plane: Any {
    /// Name in messages.
    fn name(&self) -> &'static str;

    /// Types of its records.
    fn records(&self) -> &'static [RecordType];

    /// Its section.
    fn section(&self) -> PlaneSection;

    /// The payloads of its section as of now: the cut. At most 64 MiB each; none for an empty plane.
    fn save(&self) -> Vec<Vec<u8>>;

    /// Takes one payload of its section, of `version` or an older one.
    ///
    /// # Errors
    /// It is damaged. A derived plane is cleared then and rebuilt.
    fn load(&mut self, version: u16, payload: &[u8], offset: u64) -> Result<(), DecodeError>;

    /// Applies one of its records: when it is made, and when the log is read back.
    ///
    /// # Errors
    /// It is damaged, or does not fit the state. It succeeded once, so recovery stops.
    fn apply(&mut self, record: RecordType, db: u16, payload: &[u8]) -> Result<(), ApplyError>;

    /// Forgets everything.
    fn clear(&mut self);

    /// Makes a derived plane from the keys, after recovery.
    fn rebuild(&mut self, dbs: &[Db]) {
        let _ = dbs;
    }

    /// Lowest LSN of the log that it still needs beside the last base; `None` for none.
    fn floor(&self) -> Option<u64> {
        None
    }

    /// The plane as its own type.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Makes an empty plane.
pub type NewPlane = fn() -> Box<dyn Plane>;

/// The planes of a shard.
#[derive(Default)]
pub(crate) struct Planes {
    all: Vec<Member>,
}

struct Member {
    plane: Box<dyn Plane>,
    /// Derived, and its section was there and whole, or nothing has to be rebuilt.
    is_loaded: bool,
}

/// What became of a section of a snapshot.
pub(crate) enum Loaded {
    /// A plane has taken it.
    Taken,
    /// It belongs to a derived plane that will be rebuilt.
    Dropped,
    /// No plane of this shard knows it.
    Unknown,
}

impl Planes {
    /// Empty planes. Panics if two claim the same record type or section.
    pub(crate) fn new(makers: &[NewPlane]) -> Planes {
        let all: Vec<Member> =
            makers.iter().map(|new| Member { plane: new(), is_loaded: false }).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                let shared = a.plane.records().iter().any(|r| b.plane.records().contains(r));
                let (a, b) = (&a.plane, &b.plane);
                assert!(
                    !shared && a.section().code != b.section().code,
                    "planes {} and {} claim the same records or section",
                    a.name(),
                    b.name()
                );
            }
        }
        Planes { all }
    }

    fn of_record(&mut self, record: RecordType) -> Option<&mut Member> {
        self.all.iter_mut().find(|m| m.plane.records().contains(&record))
    }

    /// Codes of the sections, and the newest version of each that is read.
    pub(crate) fn sections(&self) -> Vec<(u16, u16)> {
        let of = |m: &Member| (m.plane.section().code, m.plane.section().version);
        self.all.iter().map(of).collect()
    }

    /// Sections of a snapshot whose cut is now: code, version, flags, payload.
    pub(crate) fn save(&self) -> Vec<(u16, u16, u32, Vec<u8>)> {
        let mut sections = Vec::new();
        for Member { plane, .. } in &self.all {
            let PlaneSection { code, version, derived } = plane.section();
            let flags = if derived { 0 } else { section::REQUIRED };
            sections.extend(plane.save().into_iter().map(|bytes| (code, version, flags, bytes)));
        }
        sections
    }

    /// Hands a section of a snapshot to its plane.
    pub(crate) fn load(&mut self, of: &Section<'_>) -> Result<Loaded, DecodeError> {
        let Some(member) = self.all.iter_mut().find(|m| m.plane.section().code == of.section)
        else {
            return Ok(Loaded::Unknown);
        };
        let known = member.plane.section();
        if of.version > known.version {
            return Ok(if known.derived { Loaded::Dropped } else { Loaded::Unknown });
        }
        match member.plane.load(of.version, of.payload, of.offset) {
            Ok(()) => {
                member.is_loaded = true;
                Ok(Loaded::Taken)
            }
            Err(_) if known.derived => {
                member.plane.clear();
                member.is_loaded = false;
                Ok(Loaded::Dropped)
            }
            Err(e) => Err(e),
        }
    }
}

/// Whether a record of this type changes what a shard holds; the others are the log's own.
fn is_data(record: RecordType) -> bool {
    use RecordType as R;
    !matches!(
        record,
        R::Command
            | R::Pad
            | R::BatchHead
            | R::SegmentEnd
            | R::Cut
            | R::FullPageImage
            | R::Checkpoint
            | R::RestorePoint
            | R::FileCreate
            | R::FileDelete
            | R::FileTierChange
    )
}

impl Shard {
    /// Applies a record of the log at recovery, whatever its type: effects on keys, or what a plane has logged.
    ///
    /// # Errors
    /// It does not apply, or belongs to a plane that this shard does not have: passing it over would lose
    /// what it says.
    pub fn apply_record(
        &mut self,
        code: u8,
        flags: u8,
        db: u16,
        payload: &[u8],
    ) -> Result<(), ApplyError> {
        let Some(record) = RecordType::from_code(code) else { return Ok(()) };
        if record == RecordType::Command {
            return self.apply(db, flags, payload);
        }
        if record == RecordType::RestorePoint {
            return self.pass_restore_point(flags, payload);
        }
        match self.planes.of_record(record) {
            Some(member) => member.plane.apply(record, db, payload),
            None if is_data(record) => Err(ApplyError {
                cause: format!("it is a {}, which this version does not know", record.name()),
            }),
            None => Ok(()),
        }
    }

    /// Changes a plane by one of its records, as a unit of its own: applied, then logged. Between two commands
    /// only.
    ///
    /// # Errors
    /// The log takes no writes, or the record does not apply; nothing has changed then.
    pub fn change_plane(&mut self, record: RecordType, db: u16, payload: &[u8]) -> CmdResult {
        if let Some(log) = self.journal.log() {
            log.admit(false)?;
        }
        let Some(member) = self.planes.of_record(record) else {
            return Err(crate::error::CmdError::text(format!(
                "ERR no plane has {}",
                record.name()
            )));
        };
        let applied = member.plane.apply(record, db, payload);
        applied.map_err(|e| crate::error::CmdError::text(format!("ERR {e}")))?;
        self.journal.append_record(record, db, payload);
        Ok(())
    }

    /// Rebuilds derived planes whose section was not there or not whole. Once, after recovery; their names.
    pub fn rebuild_planes(&mut self) -> Vec<&'static str> {
        let mut rebuilt = Vec::new();
        for Member { plane, is_loaded } in &mut self.planes.all {
            if plane.section().derived && !std::mem::replace(is_loaded, true) {
                plane.rebuild(&self.dbs);
                rebuilt.push(plane.name());
            }
        }
        rebuilt
    }

    /// Lowest LSN of the log that a plane still needs; `None` for none.
    pub fn plane_floor(&self) -> Option<u64> {
        self.planes.all.iter().filter_map(|m| m.plane.floor()).min()
    }

    /// The plane of a type, if the shard has it.
    pub fn plane<P: Plane>(&mut self) -> Option<&mut P> {
        self.planes.all.iter_mut().find_map(|m| m.plane.as_any().downcast_mut::<P>())
    }
}
