//! Verbs on `appendonlydir`: the guard, and the part list of each shard.

use std::path::{Path, PathBuf};

use moon_formats::DecodeError;
use moon_formats::aof::{self, Base, PartList};
use moon_formats::names;
use moon_formats::rrdshard::{Decoder, Head, Item};
use moon_storage::parts::holds_nothing;

use crate::cli::{Dump, Verb};
use crate::fail::{DAMAGE, Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out, Value, hex_dump};
use crate::rebuild;

/// What to do about a manifest that is damaged.
const ADVICE: &str = "restore the file from a backup, or write it anew: moon-inspect aof rebuild";
/// First words of a part list and of a guard.
const MAGICS: [&[u8]; 2] = [b"moon-aof ", b"version "];
/// Bytes in which the head of a base ends.
const HEAD_BYTES: usize = 128;

/// A manifest.
struct Manifest {
    path: PathBuf,
    /// Shard of the directory; `None` for the guard.
    shard: Option<u16>,
    text: Vec<u8>,
}

enum Content {
    Guard(u16),
    Parts(PartList),
}

impl Manifest {
    fn decode(&self) -> Result<Content, DecodeError> {
        match self.text.starts_with(MAGICS[0]) || self.shard.is_some() {
            true => PartList::decode(&self.text).map(Content::Parts),
            false => aof::decode_guard(&self.text).map(Content::Guard),
        }
    }
}

pub(crate) fn run(files: &Files, verb: &Verb, out: &mut Out<'_>) -> Result<u8, Failure> {
    let target = verb.target();
    if let Verb::Rebuild(at) = verb {
        return rebuild::aof(files, at, out);
    }
    let manifests = manifests(files, &target.path, target.shard)?;
    match verb {
        Verb::Ls(_) => ls(files, &manifests, out),
        Verb::Header(_) => header(&manifests, out),
        Verb::Dump(args) => dump(&manifests, args, out),
        Verb::Verify(_) => verify(files, &manifests, out),
        other => Err(Failure::usage(format!(
            "aof has no verb {}; it has ls, header, dump, verify and rebuild",
            other.name()
        ))),
    }
}

/// Whether a file is a manifest, by its first word.
pub(crate) fn is_one(files: &Files, path: &Path) -> Result<bool, Failure> {
    let (head, _) = files.head(path, 9)?;
    Ok(MAGICS.iter().any(|magic| head.starts_with(magic)))
}

/// Whether a directory has manifests in the places where the layout has them.
pub(crate) fn is_dir(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(!found(files, path)?.is_empty())
}

fn manifests(files: &Files, path: &Path, shard: Option<u16>) -> Result<Vec<Manifest>, Failure> {
    let all = match place(files, path)? {
        Place::File if !is_one(files, path)? => {
            return Err(Failure::not_ours(path, "a manifest starts with moon-aof or version"));
        }
        Place::File => load(files, path)?.into_iter().collect(),
        _ => found(files, path)?,
    };
    let wanted: Vec<Manifest> =
        all.into_iter().filter(|m| shard.is_none() || m.shard == shard).collect();
    if wanted.is_empty() {
        let of = shard.map_or_else(String::new, |n| format!(" of shard {n}"));
        return Err(Failure::environment(format!("{}: no manifest{of}", path.display())));
    }
    Ok(wanted)
}

fn load(files: &Files, path: &Path) -> Result<Option<Manifest>, Failure> {
    let Some(text) = files.text(path)? else { return Ok(None) };
    let full = std::path::absolute(path).map_err(|e| Failure::io(path, e))?;
    let dir = full.parent().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
    Ok(Some(Manifest { path: path.to_owned(), shard: names::parse_shard_dir(dir), text }))
}

/// The guard and every part list of a data directory, of `appendonlydir` or of a shard in it.
fn found(files: &Files, dir: &Path) -> Result<Vec<Manifest>, Failure> {
    let below = dir.join(names::AOF_DIR);
    let top = if below.is_dir() { below } else { dir.to_owned() };
    let mut all: Vec<Manifest> = load(files, &top.join(names::AOF_MANIFEST))?.into_iter().collect();
    let mut shards: Vec<u16> =
        files.list(&top)?.iter().filter_map(|e| names::parse_shard_dir(&e.name)).collect();
    shards.sort_unstable();
    for shard in shards {
        all.extend(load(files, &top.join(names::shard_dir(shard)).join(names::AOF_MANIFEST))?);
    }
    Ok(all)
}

fn say(m: &Manifest, e: &DecodeError) -> Failure {
    Failure::decode(&m.path, e, ADVICE)
}

/// Bases with what the part list calls them.
fn bases(parts: &PartList) -> impl Iterator<Item = (&'static str, &Base)> {
    let history = parts.history.iter().map(|b| ("hist", b));
    parts.base.iter().map(|b| ("base", b)).chain(history)
}

fn ls(files: &Files, manifests: &[Manifest], out: &mut Out<'_>) -> Result<u8, Failure> {
    out.text(&format!(
        "{:>5}  {:<9}{:>8}{:>16}{:>16}  {:<10}{:<9}file",
        "shard", "part", "number", "lsn", "bytes", "crc", "state"
    ));
    let mut failure = None;
    for m in manifests {
        let dir = m.path.parent().unwrap_or(Path::new("."));
        let mut row = |part: &str, number: u64, lsn: Option<u64>, base: Option<&Base>| {
            let (mut state, mut file) = ("-", None);
            if let Some(base) = base {
                let path = dir.join(names::base_file(base.seq));
                state = match files.head(&path, 1) {
                    Err(_) => "missing",
                    Ok((_, bytes)) if bytes != base.bytes => "size",
                    Ok(_) => "ok",
                };
                file = Some(path);
            }
            let fields: Fields = vec![
                ("shard", m.shard.into()),
                ("part", part.into()),
                ("number", number.into()),
                ("lsn", lsn.into()),
                ("bytes", base.map(|b| b.bytes).into()),
                ("crc", base.map(|b| format!("{:08x}", b.crc)).into()),
                ("state", state.into()),
                ("file", file.as_deref().into()),
            ];
            let dash = |v: Option<String>| v.unwrap_or_else(|| "-".into());
            let text = format!(
                "{:>5}  {part:<9}{number:>8}{:>16}{:>16}  {:<10}{state:<9}{}",
                dash(m.shard.map(|n| n.to_string())),
                dash(lsn.map(|n| n.to_string())),
                dash(base.map(|b| b.bytes.to_string())),
                dash(base.map(|b| format!("{:08x}", b.crc))),
                dash(file.map(|f| f.display().to_string())),
            );
            out.item("part", fields, &text);
        };
        match m.decode() {
            Ok(Content::Guard(shards)) => row("guard", shards.into(), None, None),
            Ok(Content::Parts(parts)) => {
                bases(&parts).for_each(|(part, b)| row(part, b.seq, Some(b.cut), Some(b)));
                row("log", parts.log_from_seq, Some(parts.log_from_lsn), None);
                if let Some(ended) = parts.ended {
                    row("off", ended.seq, Some(ended.lsn), None);
                }
                for t in &parts.timelines {
                    row("timeline", t.epoch, Some(t.from_lsn), None);
                }
            }
            Err(e) => failure = Some(say(m, &e)),
        }
    }
    failure.map_or(Ok(SOUND), Err)
}

fn header(manifests: &[Manifest], out: &mut Out<'_>) -> Result<u8, Failure> {
    let mut failure = None;
    for m in manifests {
        let mut text = vec![format!("{} ({} bytes)", m.path.display(), m.text.len())];
        let mut rows = Vec::new();
        for (offset, line) in lines(&m.text) {
            text.push(format!("  {offset:>4}  {}", line.escape_ascii()));
            rows.push(Value::Map(vec![("offset", offset.into()), ("line", line.into())]));
        }
        let mut fields: Fields = vec![("file", m.path.as_path().into()), ("lines", rows.into())];
        match m.decode() {
            Ok(Content::Guard(shards)) => fields.push(("shards", shards.into())),
            Ok(Content::Parts(parts)) => fields.push(("shard", parts.shard.into())),
            Err(e) => {
                fields.push(("error", e.to_string().into()));
                failure = Some(say(m, &e));
            }
        }
        out.item("manifest", fields, &text.join("\n"));
    }
    failure.map_or(Ok(SOUND), Err)
}

/// Lines with their offsets.
fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut offset = 0;
    text.split_inclusive(|b| *b == b'\n').map(move |line| {
        let at = offset;
        offset += line.len() as u64;
        (at, line.strip_suffix(b"\n").unwrap_or(line))
    })
}

/// The lines as items; `--type` is the first word of a line.
fn dump(manifests: &[Manifest], args: &Dump, out: &mut Out<'_>) -> Result<u8, Failure> {
    args.range.no_range("a manifest")?;
    let filter = &args.filter;
    if filter.key.is_some() {
        return Err(Failure::usage("a manifest has no keys"));
    }
    let mut left = filter.limit.unwrap_or(u64::MAX);
    let mut failure = None;
    for m in manifests {
        for (offset, line) in lines(&m.text) {
            let word = line.split(|b| *b == b' ').next().unwrap_or_default();
            let is_type =
                filter.types.is_empty() || filter.types.iter().any(|t| t.as_bytes() == word);
            if !is_type || left == 0 {
                continue;
            }
            left -= 1;
            let shard = m.shard.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let mut text = format!("{shard} {offset} {}", line.escape_ascii());
            if filter.hex {
                text.push_str(&hex_dump(line, offset));
            }
            let fields: Fields =
                vec![("shard", m.shard.into()), ("offset", offset.into()), ("line", line.into())];
            out.item("line", fields, &text);
        }
        if let Err(e) = m.decode() {
            failure = Some(say(m, &e));
        }
    }
    failure.map_or(Ok(SOUND), Err)
}

/// Head and closing checksum of a base.
fn base_ends(files: &Files, path: &Path) -> Result<Result<(Head, u32, u64), String>, Failure> {
    let (bytes, size) = files.head(path, HEAD_BYTES)?;
    let mut decoder = Decoder::new();
    decoder.feed(&bytes);
    decoder.close();
    let head = match decoder.next() {
        Ok(Some(Item::Head(head))) => head,
        Ok(_) => return Ok(Err("no head".into())),
        Err(e) => return Ok(Err(e.to_string())),
    };
    let tail = files.tail(path, 4)?;
    let crc = tail.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    Ok(Ok((head, crc, size)))
}

/// What disagrees between a base and what is said of it; cheap, the content is for `rdb verify`.
fn base_problem(
    files: &Files,
    path: &Path,
    shard: u16,
    base: &Base,
) -> Result<Option<String>, Failure> {
    if !path.exists() {
        return Ok(Some("listed as a base but missing".into()));
    }
    let (head, crc, size) = match base_ends(files, path)? {
        Ok(ends) => ends,
        Err(what) => return Ok(Some(what)),
    };
    let seq = head.extension.map_or(0, |e| e.base_seq);
    let said = [
        ("bytes", size, base.bytes),
        ("shard", head.preamble.shard_id.into(), shard.into()),
        ("base_seq", seq, base.seq),
        ("cut", head.preamble.last_lsn, base.cut),
    ];
    let differs = said.iter().find(|(_, found, listed)| found != listed);
    Ok(match differs {
        Some((what, found, listed)) => Some(format!("{what} {found}, the part list says {listed}")),
        None if crc != base.crc => {
            Some(format!("crc {crc:08x}, the part list says {:08x}", base.crc))
        }
        None => None,
    })
}

fn verify(files: &Files, manifests: &[Manifest], out: &mut Out<'_>) -> Result<u8, Failure> {
    let mut damage: Vec<(PathBuf, String)> = Vec::new();
    let (mut listed, mut shards) = (0u64, None);
    for m in manifests {
        match m.decode() {
            Err(e) if e.is_newer() => return Err(say(m, &e)),
            Err(e) => damage.push((m.path.clone(), e.to_string())),
            Ok(Content::Guard(n)) => shards = Some(n),
            Ok(Content::Parts(parts)) => {
                if m.shard.is_some_and(|shard| shard != parts.shard) {
                    let what = format!("the part list is that of shard {}", parts.shard);
                    damage.push((m.path.clone(), what));
                }
                let dir = m.path.parent().unwrap_or(Path::new("."));
                for (_, base) in bases(&parts) {
                    listed += 1;
                    let path = dir.join(names::base_file(base.seq));
                    if let Some(what) = base_problem(files, &path, parts.shard, base)? {
                        damage.push((path, what));
                    }
                }
                damage.extend(log_start(dir, &parts));
            }
        }
    }
    if let Some(n) = shards {
        let beyond = manifests.iter().find(|m| m.shard.is_some_and(|shard| shard >= n));
        damage.extend(beyond.map(|m| (m.path.clone(), format!("the guard says {n} shards"))));
    }
    for (path, what) in &damage {
        let fields: Fields = vec![("path", path.as_path().into()), ("what", what.as_str().into())];
        out.item("finding", fields, &format!("damage: {}: {what}; {ADVICE}", path.display()));
    }
    let (result, code) = if damage.is_empty() { ("sound", SOUND) } else { ("damaged", DAMAGE) };
    let fields: Fields = vec![
        ("result", result.into()),
        ("manifests", (manifests.len() as u64).into()),
        ("bases", listed.into()),
        ("damage", (damage.len() as u64).into()),
    ];
    let text = format!(
        "{result}: {} manifests, {listed} bases, {} damaged; what is in a base is checked by: \
         moon-inspect rdb verify",
        manifests.len(),
        damage.len()
    );
    out.item("aof", fields, &text);
    Ok(code)
}

/// The segment in which the log must start, if the log lies where the layout has it. A list that was
/// written before the first segment names none.
fn log_start(dir: &Path, parts: &PartList) -> Option<(PathBuf, String)> {
    if parts.log_from_seq == 0 || holds_nothing(parts) {
        return None;
    }
    let data = dir.parent()?.parent()?;
    let log = data.join(names::shard_dir(parts.shard)).join(names::WAL_DIR);
    let segment = log.join(names::wal_segment(parts.log_from_seq));
    (log.is_dir() && !segment.exists())
        .then(|| (segment, "the log starts in this segment, which is missing".into()))
}
