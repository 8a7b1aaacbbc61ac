//! A salvage plan: what a start is to keep of a damaged directory, and what is given up.
//!
//! ```text
//! moon-salvage 1
//! uuid <32 hex>                                            the directory it was made for
//! created <unix ms>
//! shard <n>                                                at least one; the lines below belong to it
//! list <8 hex>                                             checksum of its part list
//! hole <reason> segment <seq> offset <n> expected <lsn> durable <lsn>
//! base seq <n> cut <lsn>                                   the base to load; none: the log is everything
//! keep up-to <lsn> records <n> bytes <n>                   of the log
//! log from <lsn> seq <n>                                   where the log begins; segment 0: no log is kept
//! timeline <e> from <lsn>                                  begins behind what is kept; none: nothing is given up
//! lose from <lsn> to <lsn> found <n> bytes <n>             any number, ascending
//! cut segment <seq> bytes <n> crc <8 hex>                  stays, and is copied; at most one
//! aside segment <seq> bytes <n> crc <8 hex>                any number, ascending
//! aside base <seq> bytes <n> crc <8 hex>                   any number, ascending
//! end <crc32c>
//! ```
//!
//! Everything but `created` follows from the directory, so a plan is compared with one made anew to
//! see whether the directory is still the same.

use crate::error::{Cause, DecodeError};
use crate::marker::{SHARDS_MAX, read_uuid};
use crate::text::{Cursor, Line, checksum, close};

/// Version of a plan.
pub const VERSION: u64 = 1;

const WHAT: &str = "salvage plan";

/// What proves that the log is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A record is missing that a later batch or a base says was durable.
    Record,
    /// A record is missing that a later cut keeps.
    KeptRecord,
    /// The first block of a segment is damaged.
    Header,
    /// A segment is missing.
    Segment,
    /// There is no log.
    Log,
    /// A segment does not continue the one before.
    Chain,
    /// A segment is of an older timeline than the one before.
    Epoch,
}

impl Reason {
    const ALL: [(&'static str, Reason); 7] = [
        ("record-missing", Reason::Record),
        ("kept-record-missing", Reason::KeptRecord),
        ("header-damaged", Reason::Header),
        ("segment-missing", Reason::Segment),
        ("log-missing", Reason::Log),
        ("chain-broken", Reason::Chain),
        ("epoch-went-back", Reason::Epoch),
    ];

    /// Whether something may be lost that nothing speaks of: it was in files that are gone or cannot be read.
    pub fn hides_more(self) -> bool {
        matches!(self, Reason::Log | Reason::Segment | Reason::Header)
    }

    /// The word in the plan.
    pub fn word(self) -> &'static str {
        Reason::ALL.iter().find(|r| r.1 == self).map_or("", |r| r.0)
    }
}

/// Where reading ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// What proves it.
    pub reason: Reason,
    /// Damaged or missing segment; 0 if it is the whole log.
    pub segment: u64,
    /// Offset in it.
    pub offset: u64,
    /// LSN expected there.
    pub next_lsn: u64,
    /// Highest LSN known durable.
    pub durable_lsn: u64,
}

/// The base to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBase {
    /// Its number.
    pub seq: u64,
    /// LSN of the last effect it holds.
    pub cut: u64,
}

/// LSNs that are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// First of them.
    pub from_lsn: u64,
    /// Last of them.
    pub to_lsn: u64,
    /// How many stand in batches whose head can still be read.
    pub found: u64,
    /// Bytes of these batches.
    pub bytes: u64,
}

impl Lost {
    /// Number of LSNs.
    pub fn records(&self) -> u64 {
        (self.to_lsn - self.from_lsn).saturating_add(1)
    }
}

/// A file by its number, and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    /// Number of the segment or base.
    pub seq: u64,
    /// Size.
    pub bytes: u64,
    /// CRC32C of all of it.
    pub crc: u32,
}

/// What becomes of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// The shard.
    pub shard: u16,
    /// Checksum of its part list.
    pub list_crc: u32,
    /// The damage.
    pub hole: Hole,
    /// The base to load; `None` while the log is everything.
    pub base: Option<KeptBase>,
    /// Last LSN that is kept.
    pub keep_lsn: u64,
    /// Records of the log up to there, from where the log begins.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First LSN the log must hold from now on.
    pub log_from_lsn: u64,
    /// The segment it stands in; 0 if no segment is kept.
    pub log_from_seq: u64,
    /// Number and first LSN of the timeline that begins; `None` if nothing is given up.
    pub timeline: Option<(u64, u64)>,
    /// What is given up, ascending.
    pub lost: Vec<Lost>,
    /// The segment that is kept up to `keep_lsn`.
    pub cut: Option<FileMark>,
    /// Segments that are set aside.
    pub segments: Vec<FileMark>,
    /// Bases that are set aside.
    pub bases: Vec<FileMark>,
}

/// A plan for a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Identity of the directory.
    pub uuid: [u8; 16],
    /// Unix time of its making in milliseconds.
    pub created_ms: u64,
    /// Damaged shards, ascending.
    pub shards: Vec<ShardPlan>,
}

impl Plan {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let uuid: String = self.uuid.iter().map(|b| format!("{b:02x}")).collect();
        let mut text =
            format!("moon-salvage {VERSION}\nuuid {uuid}\ncreated {}\n", self.created_ms);
        for shard in &self.shards {
            shard.put(&mut text);
        }
        close(text)
    }

    /// Checksum in the last line of its text; names the plan.
    pub fn checksum(&self) -> u32 {
        checksum(&self.encode())
    }

    /// What is planned for `shard`.
    pub fn shard(&self, shard: u16) -> Option<&ShardPlan> {
        self.shards.iter().find(|s| s.shard == shard)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Cause::Newer`] if a later Moon wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Plan, DecodeError> {
        let mut lines = Cursor::new(bytes, WHAT)?;
        let mut line = lines.expect("moon-salvage")?;
        match line.number(WHAT)? {
            VERSION => {}
            found if found > VERSION => {
                let cause = Cause::Newer { found };
                return Err(DecodeError::new(line.offset, "salvage plan version", cause));
            }
            found => {
                let cause = Cause::Value { expected: "1", found };
                return Err(DecodeError::new(line.offset, "salvage plan version", cause));
            }
        }
        line.finish(WHAT)?;
        let mut line = lines.expect("uuid")?;
        let uuid = read_uuid(&mut line)?;
        line.finish(WHAT)?;
        let mut line = lines.expect("created")?;
        let created_ms = line.number("created")?;
        line.finish(WHAT)?;
        let mut plan = Plan { uuid, created_ms, shards: Vec::new() };
        let mut next = lines.next();
        while let Some(line) = next {
            let last = plan.shards.last().map(|s| s.shard);
            let (shard, rest) = ShardPlan::read(line, last, &mut lines)?;
            plan.shards.push(shard);
            next = rest;
        }
        match plan.shards.is_empty() {
            true => {
                let cause = Cause::Form { expected: "one shard at least" };
                Err(DecodeError::new(bytes.len() as u64, WHAT, cause))
            }
            false => Ok(plan),
        }
    }
}

impl ShardPlan {
    fn put(&self, text: &mut String) {
        let Hole { reason, segment, offset, next_lsn, durable_lsn } = self.hole;
        text.push_str(&format!(
            "shard {}\nlist {:08x}\nhole {} segment {segment} offset {offset} expected {next_lsn} durable \
             {durable_lsn}\n",
            self.shard,
            self.list_crc,
            reason.word()
        ));
        if let Some(KeptBase { seq, cut }) = self.base {
            text.push_str(&format!("base seq {seq} cut {cut}\n"));
        }
        text.push_str(&format!(
            "keep up-to {} records {} bytes {}\nlog from {} seq {}\n",
            self.keep_lsn, self.records, self.bytes, self.log_from_lsn, self.log_from_seq
        ));
        if let Some((epoch, from)) = self.timeline {
            text.push_str(&format!("timeline {epoch} from {from}\n"));
        }
        for Lost { from_lsn, to_lsn, found, bytes } in &self.lost {
            text.push_str(&format!(
                "lose from {from_lsn} to {to_lsn} found {found} bytes {bytes}\n"
            ));
        }
        let files = self.cut.iter().map(|f| ("cut segment", f));
        let files = files.chain(self.segments.iter().map(|f| ("aside segment", f)));
        for (what, f) in files.chain(self.bases.iter().map(|f| ("aside base", f))) {
            text.push_str(&format!("{what} {} bytes {} crc {:08x}\n", f.seq, f.bytes, f.crc));
        }
    }

    /// Reads the lines of a shard, of which `line` is the first, and gives the one behind them.
    fn read<'a>(
        mut line: Line<'a>,
        last: Option<u16>,
        lines: &mut Cursor<'a>,
    ) -> Result<(ShardPlan, Option<Line<'a>>), DecodeError> {
        line.literal("shard", WHAT)?;
        let shard = line.number_in(0, SHARDS_MAX - 1, "0 to 1023", "shard")? as u16;
        if last.is_some_and(|last| last >= shard) {
            return Err(line.form("shard", "shards in ascending order"));
        }
        line.finish(WHAT)?;
        let mut line = lines.expect("list")?;
        let list_crc = line.hex32("list")?;
        line.finish(WHAT)?;
        let mut line = lines.expect("hole")?;
        let hole = read_hole(&mut line)?;
        line.finish(WHAT)?;
        let mut next = lines.next();
        let base = match take(&mut next, "base") {
            None => None,
            Some(mut line) => {
                let seq = numbered(&mut line, "seq")?;
                let cut = numbered(&mut line, "cut")?;
                line.finish(WHAT)?;
                next = lines.next();
                Some(KeptBase { seq, cut })
            }
        };
        let end = hole.next_lsn;
        let missing = |line: Option<Line<'_>>, expected| {
            let offset = line.map_or(0, |l| l.offset);
            DecodeError::new(offset, WHAT, Cause::Form { expected })
        };
        let Some(mut line) = take(&mut next, "keep") else {
            return Err(missing(next, "a keep line"));
        };
        let keep_lsn = numbered(&mut line, "up-to")?;
        let records = numbered(&mut line, "records")?;
        let bytes = numbered(&mut line, "bytes")?;
        line.finish(WHAT)?;
        if base.is_some_and(|b| b.cut > keep_lsn) || (base.is_none() && keep_lsn >= end) {
            return Err(line.form("keep", "not before the base, and without one before the hole"));
        }
        let mut line = lines.expect("log")?;
        let log_from_lsn = numbered(&mut line, "from")?;
        let log_from_seq = numbered(&mut line, "seq")?;
        line.finish(WHAT)?;
        let mut plan = ShardPlan {
            shard,
            list_crc,
            hole,
            base,
            keep_lsn,
            records,
            bytes,
            log_from_lsn,
            log_from_seq,
            timeline: None,
            lost: Vec::new(),
            cut: None,
            segments: Vec::new(),
            bases: Vec::new(),
        };
        next = lines.next();
        if let Some(mut line) = take(&mut next, "timeline") {
            let epoch = line.number_in(2, u64::MAX, "at least 2", "timeline")?;
            let from = numbered(&mut line, "from")?;
            line.finish(WHAT)?;
            if from <= keep_lsn {
                return Err(line.form("timeline", "behind what is kept"));
            }
            plan.timeline = Some((epoch, from));
            next = lines.next();
        }
        while let Some(mut line) = take(&mut next, "lose") {
            let lost = read_lost(&mut line)?;
            let before = plan.lost.last().map_or(keep_lsn, |l| l.to_lsn);
            let below = plan.timeline.map_or(0, |t| t.1);
            if lost.from_lsn <= before || lost.to_lsn >= below {
                return Err(
                    line.form("lose", "ascending, between what is kept and the new timeline")
                );
            }
            plan.lost.push(lost);
            next = lines.next();
        }
        if let Some(mut line) = take(&mut next, "cut") {
            line.literal("segment", "cut")?;
            plan.cut = Some(read_file(&mut line, None)?);
            next = lines.next();
        }
        while let Some(mut line) = take(&mut next, "aside") {
            let files = match line.word("aside")? {
                "segment" if plan.bases.is_empty() => &mut plan.segments,
                "base" => &mut plan.bases,
                _ => return Err(line.form("aside", "segments, then bases")),
            };
            let file = read_file(&mut line, files.last())?;
            files.push(file);
            next = lines.next();
        }
        Ok((plan, next))
    }
}

/// The line if its first word is `key`, behind that word.
fn take<'a>(next: &mut Option<Line<'a>>, key: &'static str) -> Option<Line<'a>> {
    let mut line = next.clone()?;
    line.literal(key, WHAT).ok()?;
    *next = None;
    Some(line)
}

fn numbered(line: &mut Line<'_>, key: &'static str) -> Result<u64, DecodeError> {
    line.literal(key, WHAT)?;
    line.number(key)
}

fn read_hole(line: &mut Line<'_>) -> Result<Hole, DecodeError> {
    let word = line.word("hole")?;
    let Some((_, reason)) = Reason::ALL.into_iter().find(|r| r.0 == word) else {
        return Err(line.form("hole", "a known reason"));
    };
    Ok(Hole {
        reason,
        segment: numbered(line, "segment")?,
        offset: numbered(line, "offset")?,
        next_lsn: numbered(line, "expected")?,
        durable_lsn: numbered(line, "durable")?,
    })
}

fn read_lost(line: &mut Line<'_>) -> Result<Lost, DecodeError> {
    let lost = Lost {
        from_lsn: numbered(line, "from")?,
        to_lsn: numbered(line, "to")?,
        found: numbered(line, "found")?,
        bytes: numbered(line, "bytes")?,
    };
    line.finish(WHAT)?;
    match lost.from_lsn <= lost.to_lsn && lost.found <= lost.records() {
        true => Ok(lost),
        false => Err(line.form("lose", "a range, and no more records found than it has")),
    }
}

fn read_file(line: &mut Line<'_>, before: Option<&FileMark>) -> Result<FileMark, DecodeError> {
    let seq = line.number("file")?;
    let bytes = numbered(line, "bytes")?;
    line.literal("crc", WHAT)?;
    let crc = line.hex32("crc")?;
    line.finish(WHAT)?;
    match before.is_none_or(|b| b.seq < seq) {
        true => Ok(FileMark { seq, bytes, crc }),
        false => Err(line.form("file", "files in ascending order")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_salvage_plan;

    fn with(from: &str, to: &str) -> Result<Plan, DecodeError> {
        let text = sample_salvage_plan().encode();
        assert!(text.contains(from), "{from}");
        let body = text.rsplit_once("end ").unwrap().0.replacen(from, to, 1);
        Plan::decode(close(body).as_bytes())
    }

    #[test]
    fn comes_back() {
        let plan = sample_salvage_plan();
        let text = plan.encode();
        assert_eq!(Plan::decode(text.as_bytes()), Ok(plan.clone()));
        assert!(text.ends_with(&format!("end {:08x}\n", plan.checksum())), "{text}");
        assert_eq!(plan.shard(2).map(|s| s.keep_lsn), Some(44));
        assert_eq!(plan.shard(1), None);
    }

    #[test]
    fn order_and_form_are_checked_with_a_good_checksum() {
        for (from, to) in [
            ("moon-salvage 1", "moon-salvage 0"),
            ("shard 2", "shard 0"),
            ("shard 2", "shard 1024"),
            ("record-missing", "gone"),
            ("keep up-to 120409", "keep up-to 120344"),
            ("keep up-to 44", "keep up-to 45"),
            ("timeline 2 from 33700001", "timeline 2 from 120409"),
            ("timeline 2 from 33700001", "timeline 1 from 33700001"),
            ("timeline 2 from 33700001\n", ""),
            ("lose from 120410", "lose from 120409"),
            ("lose from 120410 to 130000", "lose from 120410 to 120409"),
            ("found 9000", "found 9592"),
            ("aside segment 42", "aside segment 43"),
            ("aside segment 42", "aside file 42"),
            ("aside base 6", "aside base 6 6"),
            ("cut segment 41", "cut base 41"),
            ("log from 98212 seq 41\n", ""),
            ("uuid 01", "uuid 0"),
        ] {
            assert!(with(from, to).is_err(), "{to}");
        }
        assert!(with("moon-salvage 1", "moon-salvage 2").unwrap_err().is_newer());
        assert!(Plan::decode(close("moon-salvage 1\n".into()).as_bytes()).is_err());
    }
}
