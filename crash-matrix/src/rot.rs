//! Damage at rest (crash-matrix.md §5): of each file one of these comes out: the start is refused,
//! or it answers with the right state. *Started and answered differently* is the failure.

use std::path::{Path, PathBuf};

use moon_formats::names;
use moon_storage::io::sim::{Image, SimDisk, SimRng};
use moon_storage::io::{Access, Caching, Disk};
use xxhash_rust::xxh3::Xxh3;

use crate::figures::{Failure, Outcome};
use crate::life::{DATA, paths};
use crate::oracle::{digest_at, load_save, start_over};
use crate::run::{Effort, Recording, Run};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        offset: u64,
        bit: u64,
    },
    Zero {
        block: u64,
    },
    Truncate {
        bytes: u64,
    },
    /// Two blocks changed places.
    Swap {
        a: u64,
        b: u64,
    },
    /// A write of one block went to the place of another.
    Misdirect {
        from: u64,
        to: u64,
    },
    Remove,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Segment,
    Base,
    Save,
    List,
    Guard,
    Marker,
}

const BLOCK: u64 = 4096;

impl Role {
    /// A kind of damage that shows in a file of this kind. A save that is gone, or a log that
    /// lost its newest part at rest, look like ones that never were.
    fn damage(self, bytes: u64, rng: &mut SimRng) -> Damage {
        let flip = Damage::Flip { offset: rng.below(bytes), bit: rng.below(8) };
        let blocks = bytes / BLOCK;
        let (a, b) = (rng.below(blocks.max(1)), rng.below(blocks.max(1)));
        match (self, rng.below(8)) {
            (_, 6) if a != b => Damage::Swap { a, b },
            (_, 7) if a != b => Damage::Misdirect { from: a, to: b },
            (Role::Segment, 5) => Damage::Zero { block: a },
            (Role::Segment, _) | (_, 0..=2 | 6..) => flip,
            (_, 3) => Damage::Zero { block: rng.below(bytes.div_ceil(BLOCK)) },
            (_, 4) => Damage::Truncate { bytes: rng.below(bytes) },
            (Role::Save, _) => flip,
            _ => Damage::Remove,
        }
    }
}

/// Every file with its role and size.
fn files(disk: &SimDisk) -> Vec<(Role, PathBuf, u64)> {
    let rt = disk.runtime();
    let paths = paths();
    let dirs = [PathBuf::from(DATA), paths.guard_dir(), paths.parts(), paths.own(), paths.log()];
    let mut all = Vec::new();
    for dir in dirs {
        for entry in rt.block_on(disk.list(&dir)).unwrap_or_default() {
            let path = dir.join(&entry.name);
            let role = match () {
                () if entry.is_dir || entry.bytes == 0 => continue,
                () if names::parse_wal_segment(&entry.name).is_some() => Role::Segment,
                () if names::parse_base_file(&entry.name).is_some() => Role::Base,
                () if path == paths.snapshot() => Role::Save,
                () if path == paths.part_list() => Role::List,
                () if entry.name == names::AOF_MANIFEST => Role::Guard,
                () if entry.name == names::MARKER => Role::Marker,
                () => continue,
            };
            all.push((role, path, entry.bytes));
        }
    }
    all
}

impl Damage {
    /// Name as the figures print it.
    fn name(self) -> &'static str {
        match self {
            Damage::Flip { .. } => "flip",
            Damage::Zero { .. } => "zero",
            Damage::Truncate { .. } => "truncate",
            Damage::Swap { .. } => "swap",
            Damage::Misdirect { .. } => "misdirect",
            Damage::Remove => "remove",
        }
    }
}

/// False if the damage changes nothing.
fn apply(disk: &SimDisk, path: &Path, bytes: u64, damage: Damage) -> bool {
    let rt = disk.runtime();
    let open = || rt.block_on(disk.open(path, Access::ReadWrite, Caching::Cached));
    match damage {
        Damage::Flip { offset, bit } => disk.rot(path, offset, 1 << bit),
        Damage::Swap { a, b } | Damage::Misdirect { from: a, to: b } => open().is_ok_and(|file| {
            let read = |block| rt.block_on(file.read_at(block * BLOCK, BLOCK as usize));
            let (Ok(first), Ok(second)) = (read(a), read(b)) else { return false };
            let write =
                |block, bytes: &[u8]| rt.block_on(file.write_at(block * BLOCK, bytes)).is_ok();
            let swaps = matches!(damage, Damage::Swap { .. });
            first != second && write(b, &first) && (!swaps || write(a, &second))
        }),
        Damage::Remove => rt.block_on(disk.remove(path)).is_ok(),
        Damage::Truncate { bytes } => {
            open().is_ok_and(|file| rt.block_on(file.truncate(bytes)).is_ok())
        }
        Damage::Zero { block } => {
            let len = BLOCK.min(bytes - block * BLOCK) as usize;
            open().is_ok_and(|file| {
                let old = rt.block_on(file.read_at(block * BLOCK, len)).unwrap_or_default();
                old.iter().any(|b| *b != 0)
                    && rt.block_on(file.write_at(block * BLOCK, &vec![0; len])).is_ok()
            })
        }
    }
}

/// Damages the files of a finished run, one at a time.
pub(crate) fn run(
    run: &Run,
    recording: &Recording,
    effort: Effort,
    out: &mut Outcome,
    hash: &mut Xxh3,
) {
    let Recording { life, history, cfg, bug } = recording;
    let whole = life.disk.power_loss(Image::All, run.seed);
    let clean = match start_over(&whole, history, cfg, *bug, true) {
        Ok(found) => found,
        Err(text) => {
            out.failures.push(Failure { again: run.line(), text });
            return;
        }
    };
    let mut rng = SimRng::new(run.seed ^ 0x0072_6f74 ^ run.nth << 8);
    let files = files(&whole);
    let count = effort.stops.unwrap_or(400) * 2;
    for i in 0..count {
        // Half of it in the log, whose files are the largest.
        let log = i % 2 == 0;
        let some: Vec<_> = files.iter().filter(|f| (f.0 == Role::Segment) == log).collect();
        let Some((role, path, bytes)) = some.get(rng.below(some.len().max(1) as u64) as usize)
        else {
            continue;
        };
        let damage = role.damage(*bytes, &mut rng);
        let disk = whole.power_loss(Image::All, run.seed);
        disk.set_recording(false);
        if !apply(&disk, path, *bytes, damage) {
            continue;
        }
        hash.update(format!("{role:?} {damage:?}").as_bytes());
        let floor = clean.end.durable_lsn.min(clean.end.last_lsn);
        let result = match role {
            Role::Save => match load_save(&disk, cfg) {
                Err(_) => Ok(true),
                Ok(Some((cut, shard))) if digest_at(history, cut) == Some(shard.digest()) => {
                    Ok(false)
                }
                Ok(_) => Err("D: another save was loaded".to_owned()),
            },
            _ => match start_over(&disk, history, cfg, *bug, true) {
                Err(e) if e.starts_with("O1: does not start") => Ok(true),
                Err(e) => Err(e),
                Ok(found) if found.end.last_lsn < floor => {
                    Err(format!("D: ends at {}, {floor} was durable", found.end.last_lsn))
                }
                Ok(found) => {
                    let want = found.kept.checked_sub(1).and_then(|i| history[i].digest.get());
                    match want {
                        Some(want) if want != found.shard.digest() => {
                            Err("D: started with another state".to_owned())
                        }
                        _ => Ok(false),
                    }
                }
            },
        };
        disk.runtime().shutdown();
        hash.update(&[u8::from(matches!(result, Ok(true)))]);
        let kind = out.figures.damaged.entry(damage.name()).or_default();
        match result {
            Ok(true) => {
                kind.0 += 1;
                out.figures.damage.0 += 1;
            }
            Ok(false) => {
                kind.1 += 1;
                out.figures.damage.1 += 1;
            }
            Err(text) => {
                let text = format!("{text} ({} {damage:?})", path.display());
                out.failures.push(Failure { again: run.line(), text });
            }
        }
    }
    whole.runtime().shutdown();
}
