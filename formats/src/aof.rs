//! Manifests of `appendonlydir`: the guard and the part list of a shard.
//!
//! The guard (storage-formats §7.4) stops a server of the reference, which would misread the
//! directory. The part list (§7.5) names the base to load, older bases kept for PITR, where
//! the log must start, and the timelines:
//!
//! ```text
//! moon-aof 3
//! shard <n>
//! base seq <n> file <name> cut <lsn> bytes <n> crc <8 hex>      at most one
//! hist seq <n> file <name> cut <lsn> bytes <n> crc <8 hex>      any number, newest first
//! log from <lsn> seq <n>
//! off at <lsn> seq <n>                                          the log has ended, at most one
//! epoch <e> from <lsn> [forked-at <lsn>]                        at least one, ascending
//! salvage <8 hex> kept <lsn> [unfinished]                       plans carried out, oldest first
//! <word> ...                                                    lines of later Moons, skipped
//! end <crc32c>
//! ```

use crate::error::{Cause, DecodeError};
use crate::marker::SHARDS_MAX;
use crate::names;
use crate::text::{Cursor, Line, close};

/// Version of both manifests.
pub const VERSION: u64 = 3;

/// Text of the guard of a directory with this many shards.
pub fn encode_guard(shards: u16) -> String {
    close(format!("version {VERSION}\nlayout wal-v3\nshards {shards}\n"))
}

/// Reads the guard and gives the number of shards.
pub fn decode_guard(bytes: &[u8]) -> Result<u16, DecodeError> {
    const WHAT: &str = "guard manifest";
    let mut lines = Cursor::new(bytes, WHAT)?;
    version(lines.expect("version")?, WHAT)?;
    let mut line = lines.expect("layout")?;
    line.literal("wal-v3", "layout")?;
    line.finish(WHAT)?;
    let mut line = lines.expect("shards")?;
    let shards = line.number_in(1, SHARDS_MAX, "1 to 1024", "shards")?;
    line.finish(WHAT)?;
    Ok(shards as u16)
}

fn version(mut line: Line<'_>, what: &'static str) -> Result<(), DecodeError> {
    let found = line.number(what)?;
    line.finish(what)?;
    match found {
        VERSION => Ok(()),
        0..VERSION => {
            Err(DecodeError::new(line.offset, what, Cause::Mismatch { expected: VERSION, found }))
        }
        _ => Err(DecodeError::new(line.offset, "manifest version", Cause::Newer { found })),
    }
}

/// A base and what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Its number; the file is `moon.aof.<seq>.base.rdb`.
    pub seq: u64,
    /// LSN of the last effect it holds.
    pub cut: u64,
    /// Size of the file.
    pub bytes: u64,
    /// CRC32C at the end of the file.
    pub crc: u32,
}

/// A timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// Its number, from 1.
    pub epoch: u64,
    /// Its first LSN.
    pub from_lsn: u64,
    /// Last LSN it shares with the timeline before; `None` for the first.
    pub forked_at: Option<u64>,
}

/// Where a log has ended whose shard went on without one (`appendonly no`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its last LSN. A `.rrdshard` with this cut or a later one is newer than the log.
    pub lsn: u64,
    /// Its last segment; later ones are void.
    pub seq: u64,
}

/// A salvage plan that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salvaged {
    /// Checksum of the plan.
    pub plan_crc: u32,
    /// Last LSN that was kept.
    pub kept_lsn: u64,
    /// What the plan sets aside may not have been moved yet.
    pub unfinished: bool,
}

/// Part list of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartList {
    /// The shard.
    pub shard: u16,
    /// The base to load; `None` while the log holds everything.
    pub base: Option<Base>,
    /// Older bases kept for PITR, newest first.
    pub history: Vec<Base>,
    /// First LSN the log must hold.
    pub log_from_lsn: u64,
    /// The segment it stands in.
    pub log_from_seq: u64,
    /// Set while the shard does without a log.
    pub ended: Option<Ended>,
    /// Timelines, oldest first.
    pub timelines: Vec<Timeline>,
    /// Salvage plans carried out, oldest first; only the last may be unfinished.
    pub salvaged: Vec<Salvaged>,
    /// Lines of later Moons, kept when the list is written again.
    pub extra: Vec<String>,
}

impl PartList {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut text = format!("moon-aof {VERSION}\nshard {}\n", self.shard);
        let bases = self.base.iter().map(|b| ("base", b));
        for (key, b) in bases.chain(self.history.iter().map(|b| ("hist", b))) {
            let file = names::base_file(b.seq);
            text.push_str(&format!(
                "{key} seq {} file {file} cut {} bytes {} crc {:08x}\n",
                b.seq, b.cut, b.bytes, b.crc
            ));
        }
        text.push_str(&format!("log from {} seq {}\n", self.log_from_lsn, self.log_from_seq));
        if let Some(ended) = self.ended {
            text.push_str(&format!("off at {} seq {}\n", ended.lsn, ended.seq));
        }
        for t in &self.timelines {
            text.push_str(&format!("epoch {} from {}", t.epoch, t.from_lsn));
            if let Some(lsn) = t.forked_at {
                text.push_str(&format!(" forked-at {lsn}"));
            }
            text.push('\n');
        }
        for s in &self.salvaged {
            text.push_str(&format!("salvage {:08x} kept {}", s.plan_crc, s.kept_lsn));
            text.push_str(if s.unfinished { " unfinished\n" } else { "\n" });
        }
        for line in &self.extra {
            text.push_str(line);
            text.push('\n');
        }
        close(text)
    }

    /// Reads the file.
    pub fn decode(bytes: &[u8]) -> Result<PartList, DecodeError> {
        const WHAT: &str = "part list";
        let mut lines = Cursor::new(bytes, WHAT)?;
        version(lines.expect("moon-aof")?, WHAT)?;
        let mut line = lines.expect("shard")?;
        let shard = line.number_in(0, SHARDS_MAX - 1, "0 to 1023", "shard")? as u16;
        line.finish(WHAT)?;
        let mut list = PartList {
            shard,
            base: None,
            history: Vec::new(),
            log_from_lsn: 0,
            log_from_seq: 0,
            ended: None,
            timelines: Vec::new(),
            salvaged: Vec::new(),
            extra: Vec::new(),
        };
        let mut log = false;
        while let Some(mut line) = lines.next() {
            match line.word(WHAT)? {
                "base" if list.base.is_none() && list.history.is_empty() && !log => {
                    list.base = Some(base(&mut line)?);
                }
                "hist" if !log => {
                    let hist = base(&mut line)?;
                    let newer = list.history.last().or(list.base.as_ref());
                    if newer.is_some_and(|b| b.seq <= hist.seq) {
                        return Err(line.form("hist", "bases in descending order"));
                    }
                    list.history.push(hist);
                }
                "log" if !log => {
                    line.literal("from", "log")?;
                    list.log_from_lsn = line.number("log")?;
                    line.literal("seq", "log")?;
                    list.log_from_seq = line.number("log")?;
                    log = true;
                }
                "off" if log && list.ended.is_none() && list.timelines.is_empty() => {
                    line.literal("at", "off")?;
                    let lsn = line.number("off")?;
                    line.literal("seq", "off")?;
                    list.ended = Some(Ended { lsn, seq: line.number("off")? });
                }
                "epoch" if log && list.extra.is_empty() && list.salvaged.is_empty() => {
                    let timeline = timeline(&mut line, list.timelines.last())?;
                    list.timelines.push(timeline);
                }
                "salvage" if !list.timelines.is_empty() && list.extra.is_empty() => {
                    let salvaged = salvaged(&mut line, list.salvaged.last())?;
                    list.salvaged.push(salvaged);
                }
                "base" | "hist" | "log" | "off" | "epoch" | "salvage" => {
                    let order = "base, hist, log, off, epoch, salvage lines in this order";
                    return Err(line.form(WHAT, order));
                }
                // A key this reader does not know; only the known part has a fixed order.
                _ if log => {
                    list.extra.push(line.text.to_owned());
                    continue;
                }
                _ => return Err(line.form(WHAT, "a base, hist or log line")),
            }
            line.finish(WHAT)?;
        }
        if !log || list.timelines.is_empty() {
            let cause = Cause::Form { expected: "closed by a log line and an epoch line" };
            return Err(DecodeError::new(bytes.len() as u64, WHAT, cause));
        }
        Ok(list)
    }
}

fn base(line: &mut Line<'_>) -> Result<Base, DecodeError> {
    line.literal("seq", "base")?;
    let seq = line.number("base seq")?;
    line.literal("file", "base")?;
    if names::parse_base_file(line.word("base file")?) != Some(seq) {
        return Err(line.form("base file", "moon.aof.<seq>.base.rdb with the same seq"));
    }
    line.literal("cut", "base")?;
    let cut = line.number("base cut")?;
    line.literal("bytes", "base")?;
    let bytes = line.number("base bytes")?;
    line.literal("crc", "base")?;
    let crc = line.hex32("base crc")?;
    Ok(Base { seq, cut, bytes, crc })
}

fn timeline(line: &mut Line<'_>, before: Option<&Timeline>) -> Result<Timeline, DecodeError> {
    let epoch = line.number_in(1, u64::MAX, "at least 1", "epoch")?;
    line.literal("from", "epoch")?;
    let from_lsn = line.number("epoch")?;
    let forked_at = match line.is_done() {
        true => None,
        false => {
            line.literal("forked-at", "epoch")?;
            Some(line.number("epoch")?)
        }
    };
    // Oldest first; every timeline but the first says where it left the one before.
    let in_order = match (before, forked_at) {
        (None, None) => true,
        (Some(b), Some(at)) => b.epoch < epoch && b.from_lsn < from_lsn && at < from_lsn,
        _ => false,
    };
    if !in_order {
        return Err(line.form("epoch", "timelines in ascending order, all but the first forked"));
    }
    Ok(Timeline { epoch, from_lsn, forked_at })
}

fn salvaged(line: &mut Line<'_>, before: Option<&Salvaged>) -> Result<Salvaged, DecodeError> {
    let plan_crc = line.hex32("salvage")?;
    line.literal("kept", "salvage")?;
    let kept_lsn = line.number("salvage")?;
    let unfinished = !line.is_done();
    if unfinished {
        line.literal("unfinished", "salvage")?;
    }
    match before.is_some_and(|b| b.unfinished) {
        true => Err(line.form("salvage", "behind plans that were carried out")),
        false => Ok(Salvaged { plan_crc, kept_lsn, unfinished }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "moon-aof 3\nshard 0\n\
        base seq 7 file moon.aof.7.base.rdb cut 120345 bytes 9933221 crc 1a2b3c4d\n\
        hist seq 6 file moon.aof.6.base.rdb cut 98211 bytes 9120003 crc 99aa0011\n\
        log from 98212 seq 41\n\
        epoch 1 from 1\n\
        epoch 2 from 16900001 forked-at 88100\n";

    #[test]
    fn the_example_of_the_spec_comes_back() {
        let text = close(BODY.into());
        let list = PartList::decode(text.as_bytes()).unwrap();
        assert_eq!(list.base.unwrap().cut, 120345);
        assert_eq!(list.history[0].crc, 0x99aa_0011);
        assert_eq!((list.log_from_lsn, list.log_from_seq), (98212, 41));
        assert_eq!(list.timelines[1].forked_at, Some(88100));
        assert_eq!(list.encode(), text);
    }

    #[test]
    fn order_and_form_are_checked_with_a_good_checksum() {
        for (from, to) in [
            ("moon-aof 3", "moon-aof 4"),
            ("moon-aof 3", "moon-aof 2"),
            ("shard 0", "shard 1024"),
            ("moon.aof.7.base", "moon.aof.8.base"),
            ("moon.aof.7.base", "../moon.aof.7.base"),
            ("crc 1a2b3c4d", "crc 1A2B3C4D"),
            ("crc 1a2b3c4d", "crc 1a2b3c4d more"),
            ("hist seq 6 file moon.aof.6", "hist seq 8 file moon.aof.8"),
            ("log from 98212 seq 41\n", ""),
            ("epoch 1 from 1\n", ""),
            ("epoch 1 from 1\n", "epoch 3 from 1\n"),
            ("epoch 1 from 1\n", "epoch 0 from 1\n"),
            ("hist", "base"),
            (" forked-at 88100", ""),
            ("shard 0\n", "shard 0\nnew line\n"),
        ] {
            assert!(BODY.contains(from), "{from}");
            let text = close(BODY.replace(from, to));
            assert!(PartList::decode(text.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn a_log_that_has_ended_says_where() {
        let text = close(BODY.replace("epoch 1 from", "off at 130000 seq 44\nepoch 1 from"));
        let list = PartList::decode(text.as_bytes()).unwrap();
        assert_eq!(list.ended, Some(Ended { lsn: 130_000, seq: 44 }));
        assert_eq!(list.encode(), text);
        for (from, to) in [
            ("off at 130000 seq 44\n", "off at 130000\n"),
            ("off at 130000 seq 44\n", "off at 130000 seq 44\noff at 130000 seq 44\n"),
            (
                "log from 98212 seq 41\noff at 130000 seq 44\n",
                "off at 130000 seq 44\nlog from 98212 seq 41\n",
            ),
        ] {
            let body = BODY.replace("epoch 1 from", "off at 130000 seq 44\nepoch 1 from");
            assert!(body.contains(from), "{from}");
            assert!(PartList::decode(close(body.replace(from, to)).as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn plans_that_were_carried_out() {
        let text = close(format!(
            "{BODY}salvage 0badcafe kept 88100\nsalvage 1badcafe kept 88101 unfinished\nnote x\n"
        ));
        let list = PartList::decode(text.as_bytes()).unwrap();
        let of = |plan_crc, kept_lsn, unfinished| Salvaged { plan_crc, kept_lsn, unfinished };
        assert_eq!(list.salvaged, [of(0x0bad_cafe, 88_100, false), of(0x1bad_cafe, 88_101, true)]);
        assert_eq!(list.encode(), text);
        for bad in [
            "salvage 1 kept 2\n",
            "salvage 0badcafe kept\n",
            "salvage 0badcafe kept 1 finished\n",
            "salvage 0badcafe kept 1 unfinished\nsalvage 0badcafe kept 1\n",
            "salvage 0badcafe kept 1\nepoch 9 from 99000001 forked-at 1\n",
            "note x\nsalvage 0badcafe kept 1\n",
        ] {
            let text = close(format!("{BODY}{bad}"));
            assert!(PartList::decode(text.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_of_later_moons_are_kept() {
        let text = close(format!("{BODY}note x\n"));
        let list = PartList::decode(text.as_bytes()).unwrap();
        assert_eq!(list.extra, ["note x"]);
        assert_eq!(list.encode(), text);
    }

    #[test]
    fn guard() {
        let text = encode_guard(4);
        assert!(text.starts_with("version 3\nlayout wal-v3\nshards 4\nend "));
        assert_eq!(decode_guard(text.as_bytes()), Ok(4));
        assert!(decode_guard(close("version 4\n".into()).as_bytes()).unwrap_err().is_newer());
        assert!(decode_guard(close("version 2\n".into()).as_bytes()).is_err());
    }
}
