//! Verbs on snapshots: bases, BGSAVE files, and the files of Redis, Valkey and the reference.

mod dump;
mod header;
mod ls;
pub(crate) mod source;
mod stats;
mod value;
mod verify;

use std::path::{Path, PathBuf};

use moon_formats::aof::{Base, PartList};
use moon_formats::names;

use crate::cli::Verb;
use crate::data;
use crate::fail::{Failure, SOUND, worse};
use crate::logs::{Files, Place, place};
use crate::out::Out;

/// First bytes of each kind of file.
const MAGICS: [&[u8]; 4] = [b"RRDSHARD", b"MOON", b"REDIS", b"VALKEY"];
/// What to do about a snapshot that is damaged.
const ADVICE: &str = "restore the file from a backup or a replica; nothing was changed";

/// What refers to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listed {
    /// Named by the part list as the base to load.
    Base(Base),
    /// Named by it as an older base.
    History(Base),
    /// A base that no part list names.
    Orphan,
    /// A file of its own: BGSAVE, or not of ours.
    Alone,
}

impl Listed {
    fn name(&self) -> &'static str {
        match self {
            Listed::Base(_) => "base",
            Listed::History(_) => "hist",
            Listed::Orphan => "orphan",
            Listed::Alone => "snapshot",
        }
    }

    fn base(&self) -> Option<&Base> {
        match self {
            Listed::Base(base) | Listed::History(base) => Some(base),
            Listed::Orphan | Listed::Alone => None,
        }
    }
}

/// A snapshot that a path stands for.
struct Snapshot {
    path: PathBuf,
    /// From the name of the directory.
    shard: Option<u16>,
    listed: Listed,
}

pub(crate) fn run(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let target = verb.target();
    match verb {
        Verb::Digest(args) => return data::digest(files, args, out),
        Verb::Diff(args) => return data::diff(files, args, out),
        _ => {}
    }
    let snapshots = snapshots(files, &target.path, target.shard)?;
    if let Verb::Ls(_) = verb {
        return ls::run(files, &snapshots, out);
    }
    let mut code = SOUND;
    let mut failures = Vec::new();
    for (i, snapshot) in snapshots.iter().enumerate() {
        if snapshots.len() > 1 && !matches!(verb, Verb::Verify(_)) {
            let gap = if i > 0 { "\n" } else { "" };
            out.text(&format!("{gap}{}", snapshot.path.display()));
        }
        let one = match verb {
            Verb::Header(_) => header::run(files, snapshot, out),
            Verb::Dump(args) => dump::run(files, snapshot, args, out),
            Verb::Stats(range) => stats::run(files, snapshot, range, out),
            Verb::Verify(_) => verify::run(files, snapshot, out),
            other => Err(Failure::usage(format!(
                "rdb has no verb {}; it has ls, header, dump, stats, verify, digest and diff",
                other.name()
            ))),
        };
        match one {
            Ok(one) => code = worse(code, one),
            // The other files can be looked at all the same.
            Err(failure) => failures.push(failure),
        }
        if out.has_failed() {
            break;
        }
    }
    Failure::joined(code, failures)
}

/// Whether a file is a snapshot, by its first bytes.
pub(crate) fn is_one(files: &Files, path: &Path) -> Result<bool, Failure> {
    let (head, _) = files.head(path, 8)?;
    Ok(MAGICS.iter().any(|magic| head.starts_with(magic)))
}

/// Whether a directory has snapshots in it.
pub(crate) fn is_dir(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(!found(files, path)?.is_empty())
}

fn snapshots(files: &Files, path: &Path, shard: Option<u16>) -> Result<Vec<Snapshot>, Failure> {
    let all = match place(files, path)? {
        Place::File if !is_one(files, path)? => {
            return Err(Failure::not_ours(
                path,
                "a snapshot starts with RRDSHARD, MOON, REDIS or VALKEY",
            ));
        }
        Place::File => {
            let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let parts = part_list(files, dir.unwrap_or(Path::new(".")))?;
            let listed = listed(name, parts.as_ref());
            vec![Snapshot { path: path.to_owned(), shard: None, listed }]
        }
        _ => found(files, path)?,
    };
    let wanted: Vec<Snapshot> =
        all.into_iter().filter(|s| shard.is_none() || s.shard == shard).collect();
    if wanted.is_empty() {
        let of = shard.map_or_else(String::new, |n| format!(" of shard {n}"));
        return Err(Failure::environment(format!("{}: no snapshot{of}", path.display())));
    }
    Ok(wanted)
}

/// The part list in a directory; `None` if there is none that can be read.
fn part_list(files: &Files, dir: &Path) -> Result<Option<PartList>, Failure> {
    let text = files.text(&dir.join(names::AOF_MANIFEST))?;
    Ok(text.and_then(|text| PartList::decode(&text).ok()))
}

fn listed(name: &str, parts: Option<&PartList>) -> Listed {
    let Some(seq) = names::parse_base_file(name) else { return Listed::Alone };
    let Some(parts) = parts else { return Listed::Orphan };
    match (parts.base.filter(|b| b.seq == seq), parts.history.iter().find(|b| b.seq == seq)) {
        (Some(base), _) => Listed::Base(base),
        (None, Some(base)) => Listed::History(*base),
        (None, None) => Listed::Orphan,
    }
}

/// Snapshots in a directory and in the places below it where the layout has them.
fn found(files: &Files, dir: &Path) -> Result<Vec<Snapshot>, Failure> {
    let mut all = in_dir(files, dir, None)?;
    let mut entries = files.list(dir)?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut below = Vec::new();
    for entry in entries.into_iter().filter(|e| e.is_dir) {
        if entry.name == names::AOF_DIR {
            let bases = dir.join(&entry.name);
            let shards = files.list(&bases)?.into_iter().filter(|e| e.is_dir);
            below.extend(shards.map(|e| (bases.join(&e.name), e.name)));
        } else {
            below.push((dir.join(&entry.name), entry.name));
        }
    }
    let mut shards: Vec<(u16, PathBuf)> = below
        .into_iter()
        .filter_map(|(path, name)| Some((names::parse_shard_dir(&name)?, path)))
        .collect();
    shards.sort_unstable();
    for (shard, path) in shards {
        all.extend(in_dir(files, &path, Some(shard))?);
    }
    Ok(all)
}

fn in_dir(files: &Files, dir: &Path, shard: Option<u16>) -> Result<Vec<Snapshot>, Failure> {
    let parts = part_list(files, dir)?;
    let full = std::path::absolute(dir).map_err(|e| Failure::io(dir, e))?;
    let name = full.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let shard = shard.or_else(|| names::parse_shard_dir(name));
    let mut names: Vec<String> = files
        .list(dir)?
        .into_iter()
        .filter(|e| !e.is_dir && !names::is_temporary(&e.name))
        .map(|e| e.name)
        .filter(|n| {
            names::parse_base_file(n).is_some()
                || names::parse_shard_snapshot(n).is_some()
                || n.ends_with(".rdb")
        })
        .collect();
    // Numbers in order: shorter ones first.
    names.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let snapshot = |name: String| {
        let listed = listed(&name, parts.as_ref());
        Snapshot { path: dir.join(&name), shard, listed }
    };
    Ok(names.into_iter().map(snapshot).collect())
}
