//! Verbs on the data directory: the marker, the manifests, and every file by its role.

pub(crate) mod journal;
mod tree;

use std::path::{Path, PathBuf};

use moon_formats::DecodeError;
use moon_formats::aof;
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::time::utc;

use crate::cli::Verb;
use crate::data;
use crate::fail::{DAMAGE, Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out, Value};

use tree::{Finding, Tree};

/// First word of the marker.
const MAGIC: &[u8] = b"moon-storage ";

pub(crate) fn run(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &verb.target().path;
    match verb {
        Verb::Header(_) if journal::is_one(files, path)? => journal::header(files, path, out),
        Verb::Header(_) => header(files, path, out),
        Verb::Ls(_) => ls(files, &data_dir(files, path)?, out),
        Verb::Verify(_) => verify(files, &data_dir(files, path)?, out),
        Verb::Digest(args) => data::digest(files, args, out),
        Verb::Diff(args) => data::diff(files, args, out),
        other => Err(Failure::usage(format!(
            "storage has no verb {}; it has ls, header, verify, digest and diff (for records: \
             moon-inspect wal {})",
            other.name(),
            other.name()
        ))),
    }
}

/// Whether a file is the marker, by its content.
pub(crate) fn is_text(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(files.head(path, MAGIC.len())?.0 == MAGIC)
}

/// Whether a data directory has a log.
pub(crate) fn has_logs(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(files.list(path)?.iter().any(|e| {
        e.is_dir
            && names::parse_shard_dir(&e.name).is_some()
            && path.join(&e.name).join(names::WAL_DIR).is_dir()
    }))
}

/// The data directory a path stands for: itself, or that of the marker.
fn data_dir(files: &Files, path: &Path) -> Result<PathBuf, Failure> {
    match place(files, path)? {
        Place::Data => Ok(path.to_owned()),
        Place::File if is_text(files, path)? => {
            let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
            Ok(dir.unwrap_or(Path::new(".")).to_owned())
        }
        Place::File => Err(Failure::not_ours(path, "moon.storage starts with moon-storage")),
        _ => Err(Failure::not_ours(path, "a data directory holds moon.storage")),
    }
}

/// What the marker of a directory says.
enum Marked {
    Sound(Marker),
    Bad(DecodeError),
    /// There is none, but there is data: the layout of the reference.
    Absent,
}

fn marker(files: &Files, dir: &Path) -> Result<Marked, Failure> {
    Ok(match files.text(&dir.join(names::MARKER))? {
        None => Marked::Absent,
        Some(text) => match Marker::decode(&text) {
            Ok(marker) => Marked::Sound(marker),
            Err(e) => Marked::Bad(e),
        },
    })
}

fn no_marker(dir: &Path) -> Failure {
    Failure::environment(format!(
        "{}: no moon.storage: the layout of a reference server, or a directory that was never \
         initialised; run: moon-migrate",
        dir.display()
    ))
}

fn bad_marker(path: &Path, e: &DecodeError) -> Failure {
    let path = path.display();
    if e.is_newer() {
        return Failure::environment(format!(
            "{path}: {e}; nothing is damaged: use the moon-inspect of that version"
        ));
    }
    Failure::damage(format!(
        "{path}: {e}; restore this file from a backup of the same data directory; the logs are \
         readable without it (moon-inspect wal)"
    ))
}

fn header(files: &Files, path: &Path, out: &mut Out<'_>) -> Result<u8, Failure> {
    let file = match place(files, path)? {
        Place::File => path.to_owned(),
        _ => data_dir(files, path)?.join(names::MARKER),
    };
    let Some(text) = files.text(&file)? else { return Err(no_marker(path)) };
    let is_marker = file.file_name().is_some_and(|n| n == names::MARKER);
    if !is_marker && !text.starts_with(MAGIC) {
        return Err(Failure::not_ours(path, "moon.storage starts with moon-storage"));
    }
    let mut lines = vec![format!("{} ({} bytes)", file.display(), text.len())];
    let mut offset = 0;
    let mut rows = Vec::new();
    for line in text.split_inclusive(|b| *b == b'\n') {
        let shown = line.strip_suffix(b"\n").unwrap_or(line);
        lines.push(format!("  {offset:>4}  {}", shown.escape_ascii()));
        rows.push(Value::Map(vec![("offset", (offset as u64).into()), ("line", shown.into())]));
        offset += line.len();
    }
    let marker = Marker::decode(&text);
    let mut fields: Fields = vec![("file", file.as_path().into()), ("lines", rows.into())];
    match &marker {
        Ok(m) => {
            lines.push(format!("  created {}", utc((m.created_ms as i64).saturating_mul(1000))));
            let uuid: String = m.uuid.iter().map(|b| format!("{b:02x}")).collect();
            fields.push(("uuid", uuid.into()));
            fields.push(("shards", m.shards.into()));
            fields.push(("databases", m.databases.into()));
            fields.push(("created_ms", m.created_ms.into()));
        }
        Err(e) => fields.push(("error", e.to_string().into())),
    }
    out.item("marker", fields, &lines.join("\n"));
    marker.map(|_| SOUND).map_err(|e| bad_marker(&file, &e))
}

fn ls(files: &Files, dir: &Path, out: &mut Out<'_>) -> Result<u8, Failure> {
    let shards = match marker(files, dir)? {
        Marked::Sound(m) => Some(m.shards),
        Marked::Bad(_) | Marked::Absent => None,
    };
    let tree = Tree::walk(files, dir, shards)?;
    out.text(&format!("{:<18}{:<10}{:>14}  path", "role", "state", "bytes"));
    for row in &tree.rows {
        let fields: Fields = vec![
            ("path", row.path.as_str().into()),
            ("role", row.role.into()),
            ("state", row.state.into()),
            ("file_bytes", row.bytes.into()),
            ("directory", row.is_dir.into()),
        ];
        let bytes = if row.is_dir { "-".to_owned() } else { row.bytes.to_string() };
        let slash = if row.is_dir { "/" } else { "" };
        let text = format!("{:<18}{:<10}{bytes:>14}  {}{slash}", row.role, row.state, row.path);
        out.item("file", fields, &text);
    }
    Ok(SOUND)
}

/// Marker, guard and part lists, and whether every file they name is there.
fn verify(files: &Files, dir: &Path, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = dir.join(names::MARKER);
    let marker = match marker(files, dir)? {
        Marked::Sound(marker) => marker,
        Marked::Bad(e) => return Err(bad_marker(&path, &e)),
        Marked::Absent => return Err(no_marker(dir)),
    };
    let mut tree = Tree::walk(files, dir, Some(marker.shards))?;
    let guard = dir.join(names::AOF_DIR).join(names::AOF_MANIFEST);
    if let Some(text) = files.text(&guard)? {
        match aof::decode_guard(&text) {
            Ok(shards) if shards == marker.shards => {}
            Ok(shards) => tree.damaged(
                &guard,
                format!("the guard says {shards} shards, moon.storage {}", marker.shards),
            ),
            Err(e) => tree.damaged(&guard, e.to_string()),
        }
    }
    for Finding { level, path, what, advice } in &tree.findings {
        let fields: Fields = vec![
            ("level", (*level).into()),
            ("path", path.as_str().into()),
            ("what", what.as_str().into()),
            ("advice", (*advice).into()),
        ];
        out.item("finding", fields, &format!("{level}: {path}: {what}; {advice}"));
    }
    let damage = tree.findings.iter().filter(|f| f.level == "damage").count() as u64;
    let notes = tree.findings.len() as u64 - damage;
    let result = if damage > 0 { "damaged" } else { "sound" };
    let count = |state: &str| tree.rows.iter().filter(|r| r.state == state).count() as u64;
    let files_total = tree.rows.iter().filter(|r| !r.is_dir).count() as u64;
    let fields: Fields = vec![
        ("result", result.into()),
        ("dir", dir.into()),
        ("shards", marker.shards.into()),
        ("files", files_total.into()),
        ("damage", damage.into()),
        ("notes", notes.into()),
        ("orphans", count("orphan").into()),
        ("temporary", count("temporary").into()),
        ("foreign", count("foreign").into()),
    ];
    let text = format!(
        "{result}: {}: {} shards, {files_total} files, {damage} damaged, {} orphans, {} temporary, \
         {} foreign; records are checked by: moon-inspect wal verify {}",
        dir.display(),
        marker.shards,
        count("orphan"),
        count("temporary"),
        count("foreign"),
        dir.display()
    );
    out.item("storage", fields, &text);
    Ok(if damage > 0 { DAMAGE } else { SOUND })
}
