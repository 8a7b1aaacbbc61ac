//! Verbs on shard manifests: which data files a shard has, and which of the two roots says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moon_formats::DecodeError;
use moon_formats::names;
use moon_formats::page::{HEADER_FIELDS, HEADER_LEN, MAGIC, PAGE_LEN, PageType};
use moon_formats::shard_manifest::{
    Found, Opened, ROOT_FIELDS, Row, Slot, Unreadable, open, read_root,
};

use crate::cli::{Dump, Verb};
use crate::fail::{DAMAGE, Failure, SOUND, worse};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out, Value};
use crate::rebuild;

/// Longest manifest that is read.
const BYTES_MAX: u64 = 1 << 30;
/// What to do about a manifest that cannot be read.
const ADVICE: &str = "no data is lost; write it anew: moon-inspect manifest rebuild";

struct Manifest {
    path: PathBuf,
    /// Shard of its name.
    shard: Option<u16>,
    bytes: Vec<u8>,
}

impl Manifest {
    fn open(&self) -> Result<Opened, Failure> {
        open(&self.bytes).map_err(|e| match e {
            Unreadable::Newer(e) => Failure::decode(&self.path, &e, ADVICE),
            e @ Unreadable::Damaged { .. } => {
                Failure::damage(format!("{}: {e}; {ADVICE}", self.path.display()))
            }
        })
    }
}

pub(crate) fn run(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let target = verb.target();
    if let Verb::Rebuild(at) = verb {
        return rebuild::manifest(files, at, out);
    }
    let manifests = manifests(files, &target.path, target.shard)?;
    if let Verb::Ls(_) = verb {
        out.text(&format!(
            "{:>5}{:>9}{:>6}{:>10}{:>14}{:>14}{:>8}{:>12}  {:<24}path",
            "shard",
            "version",
            "root",
            "epoch",
            "redo lsn",
            "flush lsn",
            "files",
            "bytes",
            "other root"
        ));
    }
    let mut code = SOUND;
    let mut failures = Vec::new();
    for m in &manifests {
        if manifests.len() > 1 && !matches!(verb, Verb::Ls(_) | Verb::Verify(_)) {
            out.text(&m.path.display().to_string());
        }
        let one = match verb {
            Verb::Ls(_) => ls(m, out),
            Verb::Header(_) => header(m, out),
            Verb::Dump(args) => dump(m, args, out),
            Verb::Stats(range) => range.no_range("a manifest").and_then(|()| stats(m, out)),
            Verb::Verify(_) => verify(m, out),
            other => Err(Failure::usage(format!(
                "manifest has no verb {}; it has ls, header, dump, stats, verify and rebuild",
                other.name()
            ))),
        };
        match one {
            Ok(one) => code = worse(code, one),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::joined(code, failures)
}

/// Whether a file begins with a page, or lacks its first page and is named as a manifest.
pub(crate) fn is_one(files: &Files, path: &Path) -> Result<bool, Failure> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    Ok(names::parse_shard_manifest(name).is_some() || files.head(path, MAGIC.len())?.0 == MAGIC)
}

/// Whether a directory has manifests in the places where the layout has them.
pub(crate) fn is_dir(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(!found(files, path)?.is_empty())
}

fn manifests(files: &Files, path: &Path, shard: Option<u16>) -> Result<Vec<Manifest>, Failure> {
    let all = match place(files, path)? {
        Place::File if !is_one(files, path)? => {
            return Err(Failure::not_ours(path, "a shard manifest starts with GPNM"));
        }
        Place::File => vec![path.to_owned()],
        _ => found(files, path)?,
    };
    let mut wanted = Vec::new();
    for path in all {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let of = names::parse_shard_manifest(name);
        if shard.is_none() || of == shard {
            let bytes = files.whole(&path, BYTES_MAX)?;
            wanted.push(Manifest { path, shard: of, bytes });
        }
    }
    if wanted.is_empty() {
        let of = shard.map_or_else(String::new, |n| format!(" of shard {n}"));
        return Err(Failure::environment(format!("{}: no shard manifest{of}", path.display())));
    }
    Ok(wanted)
}

/// Manifests in a directory and in the `shard-<n>` below it.
fn found(files: &Files, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut all: Vec<(u16, PathBuf)> = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    let entries = files.list(dir)?;
    let shards = entries.iter().filter(|e| e.is_dir && names::parse_shard_dir(&e.name).is_some());
    dirs.extend(shards.map(|e| dir.join(&e.name)));
    for dir in dirs {
        let entries = files.list(&dir)?;
        let named = entries.iter().filter_map(|e| {
            Some((names::parse_shard_manifest(&e.name).filter(|_| !e.is_dir)?, dir.join(&e.name)))
        });
        all.extend(named);
    }
    all.sort_unstable();
    Ok(all.into_iter().map(|(_, path)| path).collect())
}

fn ls(m: &Manifest, out: &mut Out<'_>) -> Result<u8, Failure> {
    let Opened { slot, found, other } = m.open()?;
    let root = &found.root;
    let other = match &other {
        Ok(epoch) => format!("epoch {epoch}"),
        Err(e) if is_unwritten(e) => "never written".to_owned(),
        Err(e) => format!("damaged: {}", e.what),
    };
    let slot = format!("{slot:?}");
    let fields: Fields = vec![
        ("shard", m.shard.into()),
        ("file", m.path.as_path().into()),
        ("version", found.version.into()),
        ("root", slot.as_str().into()),
        ("epoch", root.epoch.into()),
        ("redo_lsn", root.redo_lsn.into()),
        ("wal_flush_lsn", root.wal_flush_lsn.into()),
        ("files", (root.files.len() as u64).into()),
        ("file_bytes", (m.bytes.len() as u64).into()),
        ("other_root", other.as_str().into()),
    ];
    let text = format!(
        "{:>5}{:>9}{slot:>6}{:>10}{:>14}{:>14}{:>8}{:>12}  {other:<24}{}",
        m.shard.map_or_else(|| "-".to_owned(), |n| n.to_string()),
        found.version,
        root.epoch,
        root.redo_lsn,
        root.wal_flush_lsn,
        root.files.len(),
        m.bytes.len(),
        m.path.display()
    );
    out.item("manifest", fields, &text);
    Ok(SOUND)
}

fn header(m: &Manifest, out: &mut Out<'_>) -> Result<u8, Failure> {
    out.text(&format!("{} ({} bytes)", m.path.display(), m.bytes.len()));
    for slot in [Slot::A, Slot::B] {
        let start = slot.offset() as usize;
        let page = m.bytes.get(start..start + PAGE_LEN).unwrap_or_default();
        let name = format!("{slot:?}");
        let mut lines = vec![format!("root {name}")];
        let mut fields: Fields = vec![("root", name.as_str().into())];
        let all = HEADER_FIELDS.iter().map(|f| (f.0, f.1, f.2));
        let root = ROOT_FIELDS.iter().map(|f| (f.0 + HEADER_LEN, f.1, f.2));
        for (at, size, name) in all.chain(root) {
            let Some(field) = page.get(at..at + size) else { continue };
            let number = field.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
            let text = match name {
                "magic" => field.escape_ascii().to_string(),
                "shard_uuid" => field.iter().map(|b| format!("{b:02x}")).collect(),
                "payload_crc" | "header_crc" => format!("{number:08x}"),
                "page_type" => PageType::from_code(number as u8)
                    .map_or_else(|| format!("{number:#04x}"), |t| t.name().to_owned()),
                _ => number.to_string(),
            };
            lines.push(format!("  {:>5}  {name:<15}  {text}", start + at));
            let is_text = matches!(name, "shard_uuid" | "payload_crc" | "header_crc");
            let is_number = !is_text && text.parse() == Ok(number);
            fields.push((name, if is_number { number.into() } else { Value::Text(text) }));
        }
        if let Err(e) = read_root(&m.bytes, slot) {
            lines.push(format!("  does not count: {e}"));
            fields.push(("error", e.to_string().into()));
        }
        out.item("root", fields, &lines.join("\n"));
    }
    m.open().map(|_| SOUND)
}

/// Name of a page type code.
fn type_name(code: u8) -> String {
    PageType::from_code(code).map_or_else(|| format!("{code:#04x}"), |t| t.name().to_owned())
}

fn status_name(status: u8) -> &'static str {
    match status {
        1 => "active",
        2 => "building",
        3 => "sealed",
        4 => "compacting",
        5 => "tombstone",
        _ => "archived",
    }
}

fn tier_name(tier: u8) -> &'static str {
    match tier {
        1 => "hot",
        2 => "warm",
        3 => "cold",
        _ => "archive",
    }
}

fn dump(m: &Manifest, args: &Dump, out: &mut Out<'_>) -> Result<u8, Failure> {
    args.range.no_range("a manifest")?;
    let filter = &args.filter;
    if filter.key.is_some() {
        return Err(Failure::usage("a file table has no keys"));
    }
    let known = |t: &String| PageType::ALL.iter().any(|p| p.name().eq_ignore_ascii_case(t));
    if let Some(bad) = filter.types.iter().find(|t| !known(t)) {
        let names: Vec<&str> = PageType::ALL.iter().map(|t| t.name()).collect();
        return Err(Failure::usage(format!("no type {bad}; types are {}", names.join(", "))));
    }
    let root = m.open()?.found.root;
    let wanted = root.files.iter().filter(|row| {
        let name = type_name(row.file.file_type);
        filter.types.is_empty() || filter.types.iter().any(|t| t.eq_ignore_ascii_case(&name))
    });
    let limit = usize::try_from(filter.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    for Row { file, dead_lsn, content_xxh64 } in wanted.take(limit) {
        let kind = type_name(file.file_type);
        let (status, tier) = (status_name(file.status), tier_name(file.tier));
        let fields: Fields = vec![
            ("shard", m.shard.into()),
            ("file_id", file.file_id.into()),
            ("type", kind.as_str().into()),
            ("status", status.into()),
            ("tier", tier.into()),
            ("page_size_log2", file.page_size_log2.into()),
            ("page_count", file.page_count.into()),
            ("byte_size", file.byte_size.into()),
            ("created_lsn", file.created_lsn.into()),
            ("db", file.db.into()),
            ("last_modified_lsn", file.last_modified_lsn.into()),
            ("dead_lsn", (*dead_lsn).into()),
            ("content_xxh64", format!("{content_xxh64:016x}").into()),
        ];
        let text = format!(
            "file {} {kind} {status} {tier} db={} pages={} bytes={} created={} modified={} \
             dead={dead_lsn} xxh64={content_xxh64:016x}",
            file.file_id,
            file.db,
            file.page_count,
            file.byte_size,
            file.created_lsn,
            file.last_modified_lsn
        );
        out.item("row", fields, &text);
    }
    Ok(SOUND)
}

fn stats(m: &Manifest, out: &mut Out<'_>) -> Result<u8, Failure> {
    let Found { root, .. } = m.open()?.found;
    let mut counts: BTreeMap<(String, &str, &str), (u64, u64)> = BTreeMap::new();
    for row in &root.files {
        let file = &row.file;
        let key = (type_name(file.file_type), status_name(file.status), tier_name(file.tier));
        let count = counts.entry(key).or_default();
        count.0 += 1;
        count.1 += file.byte_size;
    }
    let bytes: u64 = root.files.iter().map(|r| r.file.byte_size).sum();
    let rows: Vec<Value> = counts
        .iter()
        .map(|((kind, status, tier), (files, bytes))| {
            Value::Map(vec![
                ("type", kind.as_str().into()),
                ("status", (*status).into()),
                ("tier", (*tier).into()),
                ("files", (*files).into()),
                ("bytes", (*bytes).into()),
            ])
        })
        .collect();
    let size = m.bytes.len() as u64;
    let fields: Fields = vec![
        ("shard", m.shard.into()),
        ("file", m.path.as_path().into()),
        ("files", (root.files.len() as u64).into()),
        ("bytes", bytes.into()),
        ("file_bytes", size.into()),
        ("live_bytes", root.live_bytes().into()),
        ("wants_compaction", root.wants_compaction(size).into()),
        ("types", rows.into()),
    ];
    let text = format!(
        "{} files, {bytes} bytes; the table takes {} of {size} bytes",
        root.files.len(),
        root.live_bytes()
    );
    out.item("stats", fields, &text);
    out.text(&format!(
        "\n{:<16}{:<12}{:<10}{:>10}{:>16}",
        "type", "status", "tier", "files", "bytes"
    ));
    for ((kind, status, tier), (files, bytes)) in &counts {
        out.text(&format!("{kind:<16}{status:<12}{tier:<10}{files:>10}{bytes:>16}"));
    }
    Ok(SOUND)
}

/// Cold files of the table that are not there in their size.
fn missing(m: &Manifest, root: &moon_formats::shard_manifest::Root) -> Vec<(PathBuf, String)> {
    let data = m.path.parent().unwrap_or(Path::new(".")).join(names::DATA_DIR);
    // Tombstones may be gone, files under construction are not finished.
    let expected = root.files.iter().filter(|r| !matches!(r.file.status, 2 | 5));
    let cold = expected.filter(|r| r.file.file_type == PageType::KvLeaf.code());
    cold.filter_map(|row| {
        let path = data.join(names::heap_file(row.file.file_id));
        match std::fs::metadata(&path) {
            Ok(meta) if meta.len() >= row.file.byte_size => None,
            Ok(meta) => {
                let listed = row.file.byte_size;
                Some((path, format!("{} bytes, the file table says {listed}", meta.len())))
            }
            Err(e) => Some((path, format!("listed in the file table: {e}"))),
        }
    })
    .collect()
}

fn verify(m: &Manifest, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = m.path.display();
    let opened = match m.open() {
        Ok(opened) => opened,
        Err(failure) if failure.code != DAMAGE => return Err(failure),
        Err(failure) => {
            let fields: Fields = vec![
                ("result", "damaged".into()),
                ("file", m.path.as_path().into()),
                ("error", failure.message.as_str().into()),
            ];
            out.item("manifest", fields, &format!("damaged: {}", failure.message));
            return Ok(DAMAGE);
        }
    };
    let Opened { slot, found, other } = &opened;
    let missing = match m.shard {
        // Only beside its data files can a manifest be held against them.
        Some(_) if m.path.parent().is_some_and(|d| d.join(names::DATA_DIR).is_dir()) => {
            missing(m, &found.root)
        }
        _ => Vec::new(),
    };
    for (path, what) in &missing {
        let fields: Fields = vec![("path", path.as_path().into()), ("what", what.as_str().into())];
        out.item("finding", fields, &format!("damage: {}: {what}", path.display()));
    }
    let (result, code) = if missing.is_empty() { ("sound", SOUND) } else { ("damaged", DAMAGE) };
    let note = match other {
        Ok(epoch) => format!("the other root has epoch {epoch}"),
        Err(e) if is_unwritten(e) => "the other root was never written".to_owned(),
        Err(e) => format!("the other root does not count ({e}), as after a crash in a commit"),
    };
    let fields: Fields = vec![
        ("result", result.into()),
        ("shard", m.shard.into()),
        ("file", m.path.as_path().into()),
        ("version", found.version.into()),
        ("root", format!("{slot:?}").into()),
        ("epoch", found.root.epoch.into()),
        ("files", (found.root.files.len() as u64).into()),
        ("missing", (missing.len() as u64).into()),
        ("other_root", note.as_str().into()),
    ];
    let text = format!(
        "{result}: {path}: root {slot:?}, epoch {}, {} files, {} missing; {note}",
        found.root.epoch,
        found.root.files.len(),
        missing.len()
    );
    out.item("manifest", fields, &text);
    Ok(code)
}

/// A page of zeros.
fn is_unwritten(e: &DecodeError) -> bool {
    matches!(&e.cause, moon_formats::Cause::Magic { found, .. } if *found == [0; 8])
}
