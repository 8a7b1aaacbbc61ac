//! Directories of the reference server (storage-formats.md, what is marked RO), read and never written.
//!
//! The one idea: its append-only files, or its snapshots where there are none, are the data; its log of other
//! planes says what else there was. What this version has no plane for is counted and named as a loss,
//! so nothing is dropped in silence.
//!
//! Invariants:
//! * Where append-only files and a snapshot contradict each other about which is newer, both are named and nothing is read.
//! * Nothing is created in the directory, not even a lock file.

mod cold;
mod names;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use moon_engine::exec::Shard;
use moon_formats::aof_reference::{Frame, Manifest, SHARDS_MAX};
use moon_formats::names as files;
use moon_formats::resp::CommandIter;
use moon_formats::rrdshard::{Decoder, Item};
pub(crate) use moon_formats::rrdshard::{MAGIC as RRDSHARD_MAGIC, MOON_MAGIC};
use moon_formats::wal::body::{Op, Payload, XactCommit, XactCommitV1};
use moon_formats::wal::{Record, RecordType};
use moon_storage::io::lock::DirLock;
use moon_storage::io::posix::PosixDisk;
use moon_storage::scan::{EndKind, Position, ScanError, ScanOptions, VisitError, Visitor, scan};

use self::names::Names;
use crate::aof::{self, Parts, Stream};
use crate::facts::{Collision, Losses, lose};
use crate::fail::Failure;
use crate::filling::Filling;
use crate::input::Input;
use crate::whole::runtime;
use cold::Cold;

/// Bytes to ask for when something is not there as a whole.
const PIECE: usize = 64 << 10;
/// Longest manifest.
const MANIFEST_MAX: u64 = 1 << 20;

/// Reads a directory into an empty shard; the lock, where there is a file to lock, stays in our hands. Also names that stand for
/// two things.
pub(crate) fn load(
    dir: &Path,
    shard: &mut Shard,
    losses: &mut Losses,
) -> Result<(Option<DirLock>, Vec<Collision>), Failure> {
    let lock =
        DirLock::share(dir).map_err(|e| Failure::environment(format!("{e}; stop it first")))?;
    let (logs, snapshots) = (Logs::find(dir)?, snapshots(dir)?);
    if let (Some(logs), Some(newest)) = (&logs, snapshots.iter().max_by_key(|s| s.1)) {
        contradiction(logs, newest)?;
    }
    let cold = Cold::read(dir, losses)?;
    let mut names = Names::default();
    other_files(dir, &cold, &mut names, losses)?;
    let mut filling = Filling::of_several(shard);
    cold.fill(&mut filling)?;
    match &logs {
        Some(logs) => logs.read(&mut filling, losses)?,
        None => {
            for (path, _) in &snapshots {
                aof::add(&Parts::one(path), &mut filling, losses)?;
            }
        }
    }
    let covered = match (&logs, snapshots.is_empty()) {
        (Some(_), _) => Covered::ByFiles,
        (None, false) => Covered::BySnapshot,
        (None, true) => Covered::Nowhere,
    };
    let mut planes = Planes {
        shard: filling.shard(),
        losses,
        names: &mut names,
        covered,
        dir: PathBuf::new(),
        stream: Stream::default(),
    };
    for n in 0..SHARDS_MAX {
        planes.log(&dir.join(files::shard_dir(n)).join(files::WAL_DIR))?;
    }
    let collisions = names.collisions(filling.shard());
    Ok((lock, collisions))
}

/// Whether a directory looks like one of the reference.
pub(crate) fn is_one(dir: &Path) -> bool {
    let begins = |path: &Path, magic: &[u8]| {
        let mut input = Input::open(path).ok();
        input.as_mut().is_some_and(|i| i.ensure(magic.len()).is_ok() && i.rest().starts_with(magic))
    };
    dir.join(files::AOF_DIR).is_dir()
        || dir.join("appendonly.aof").is_file()
        || dir.join("shard-0.aof").is_file()
        || dir.join(files::shard_dir(0)).is_dir()
        || dir.join(files::shard_snapshot(0)).is_file()
        || begins(&dir.join("dump.rdb"), MOON_MAGIC)
}

/// Reads a snapshot that a file begins with; returns its length.
pub(crate) fn snapshot(
    input: &mut Input,
    filling: &mut Filling<'_>,
    losses: &mut Losses,
) -> Result<u64, Failure> {
    let path = input.path().to_owned();
    let mut decoder = Decoder::new();
    let mut fed = 0u64;
    loop {
        match decoder.next().map_err(|e| Failure::decode(&path, &e))? {
            Some(Item::End(_)) => break,
            Some(item) => {
                filling.item(&item, losses).map_err(|why| Failure::damage(&path, why))?;
            }
            None => {
                input.ensure(PIECE)?;
                let rest = input.rest();
                if rest.is_empty() {
                    decoder.close();
                    continue;
                }
                decoder.feed(rest);
                fed += rest.len() as u64;
                input.consume(rest.len());
            }
        }
    }
    // What was read too far: the commands behind a preamble.
    let rest = decoder.rest().len();
    input.give_back(rest);
    Ok(fed - rest as u64)
}

/// Append-only files.
enum Logs {
    /// One log for all shards, read in this order.
    Plain(Vec<PathBuf>),
    /// For each shard a snapshot and frames.
    PerShard(Vec<(PathBuf, PathBuf)>),
}

impl Logs {
    fn find(dir: &Path) -> Result<Option<Logs>, Failure> {
        let files = dir.join(files::AOF_DIR);
        let manifest = files.join(files::AOF_MANIFEST);
        if !manifest.exists() {
            let single = dir.join("appendonly.aof");
            let mut plain: Vec<PathBuf> = single.is_file().then_some(single).into_iter().collect();
            let of = |n: u16| dir.join(format!("shard-{n}.aof"));
            plain.extend((0..SHARDS_MAX).map(of).filter(|path| path.is_file()));
            return Ok((!plain.is_empty()).then_some(Logs::Plain(plain)));
        }
        let io = |e| Failure::io("read", &manifest, e);
        if fs::metadata(&manifest).map_err(io)?.len() > MANIFEST_MAX {
            return Err(Failure::damage(&manifest, "longer than a manifest can be"));
        }
        let text = fs::read(&manifest).map_err(io)?;
        match Manifest::decode(&text).map_err(|e| Failure::decode(&manifest, &e))? {
            Manifest::TopLevel { base, incr, .. } => {
                let named = base.into_iter().chain(incr);
                Ok(Some(Logs::Plain(named.map(|name| files.join(name)).collect())))
            }
            Manifest::PerShard { seq, shards } => {
                let of = |n: u16| {
                    let dir = files.join(files::shard_dir(n));
                    (dir.join(files::base_file(seq)), dir.join(format!("moon.aof.{seq}.incr.aof")))
                };
                Ok(Some(Logs::PerShard((0..shards).map(of).collect())))
            }
            Manifest::Native => Err(Failure::refused(format!(
                "{} is of a directory of Moon, and there is no {} beside it: was it removed?",
                manifest.display(),
                files::MARKER
            ))),
        }
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Logs::Plain(files) => files.iter().map(PathBuf::as_path).collect(),
            Logs::PerShard(shards) => {
                shards.iter().flat_map(|(base, incr)| [base.as_path(), incr.as_path()]).collect()
            }
        }
    }

    fn read(&self, filling: &mut Filling<'_>, losses: &mut Losses) -> Result<(), Failure> {
        match self {
            Logs::Plain(files) => {
                // Files of shards have nothing to do with each other, those of a manifest follow one another.
                let is_set = files.iter().all(|f| f.extension().is_some_and(|e| e == "aof"))
                    && files.len() > 1;
                match is_set {
                    true => files
                        .iter()
                        .try_for_each(|file| aof::add(&Parts::one(file), filling, losses)),
                    false => aof::add(&Parts::several(files.clone()), filling, losses),
                }
            }
            Logs::PerShard(shards) => {
                let mut frames = Frames::default();
                for (base, incr) in shards {
                    if base.is_file() {
                        aof::add(&Parts::one(base), filling, losses)?;
                    } else {
                        let text = "a shard has no snapshot: what only that held is missing";
                        lose(losses, "base", text, base.to_string_lossy().as_bytes());
                    }
                    if incr.is_file() {
                        frames.read(incr, filling.shard(), losses)?;
                    }
                }
                frames.ordered(filling.shard())
            }
        }
    }
}

/// Commands that count in one order over all shards: by number, then as they were found.
#[derive(Default)]
struct Frames(BTreeMap<(u64, usize), Ordered>);

struct Ordered {
    db: u16,
    command: Vec<u8>,
    place: (PathBuf, u64),
}

impl Frames {
    fn read(&mut self, path: &Path, shard: &mut Shard, losses: &mut Losses) -> Result<(), Failure> {
        let mut input = Input::open(path)?;
        let (mut stream, mut offset) = (Stream::default(), 0u64);
        loop {
            let frame = match Frame::decode(input.rest(), offset) {
                Ok(frame) => frame,
                Err(e) if e.is_truncated() && !input.has_ended() => {
                    let have = input.rest().len();
                    input.ensure((have * 2).max(PIECE))?;
                    continue;
                }
                Err(_) if input.rest().is_empty() => break,
                Err(e) if e.is_truncated() => {
                    let text = "a command that a crash has cut off at the end of the file";
                    let rest = format!("offset {offset}, {} bytes", input.rest().len());
                    lose(losses, "tail", text, rest.as_bytes());
                    break;
                }
                Err(e) => return Err(Failure::decode(path, &e)),
            };
            let len = frame.frame_len();
            match frame.words.as_slice() {
                [] => {}
                _ if frame.is_ordered => {
                    let db = stream.db();
                    let place = (path.to_path_buf(), offset);
                    let later = Ordered { db, command: frame.command.to_vec(), place };
                    self.0.insert((frame.lsn, self.0.len()), later);
                }
                words => stream.take(shard, words, frame.command, (path, offset))?,
            }
            input.consume(len);
            offset += len as u64;
        }
        if let Some(at) = stream.open_since() {
            let text = "a transaction without its EXEC at the end of the file";
            lose(losses, "tail", text, format!("offset {at}").as_bytes());
        }
        Ok(())
    }

    /// After all shards.
    fn ordered(self, shard: &mut Shard) -> Result<(), Failure> {
        for Ordered { db, command, place: (path, offset) } in self.0.into_values() {
            shard.apply(db, 0, &command).map_err(|e| {
                Failure::refused(format!("{}: command at offset {offset}: {e}", path.display()))
            })?;
        }
        Ok(())
    }
}

/// Snapshots, and when each was changed last.
fn snapshots(dir: &Path) -> Result<Vec<(PathBuf, SystemTime)>, Failure> {
    let mut found = Vec::new();
    let dump = dir.join("dump.rdb");
    let mut candidates = vec![dump];
    for n in 0..SHARDS_MAX {
        let name = files::shard_snapshot(n);
        candidates.extend([dir.join(&name), dir.join(files::shard_dir(n)).join(&name)]);
    }
    for path in candidates.into_iter().filter(|path| path.is_file()) {
        found.push((path.clone(), changed(&path)?));
    }
    if found.len() > 1 && found.first().is_some_and(|(path, _)| path.ends_with("dump.rdb")) {
        let (one, other) = (found[0].0.display(), found[1].0.display());
        return Err(Failure::refused(format!(
            "{one} and {other} are both snapshots of everything: move the one away that is not meant"
        )));
    }
    Ok(found)
}

fn changed(path: &Path) -> Result<SystemTime, Failure> {
    let read = || fs::metadata(path)?.modified();
    read().map_err(|e| Failure::io("read", path, e))
}

/// A snapshot that is younger than every append-only file: the last server ran without them, or did not.
fn contradiction(logs: &Logs, newest: &(PathBuf, SystemTime)) -> Result<(), Failure> {
    let mut youngest = None;
    for path in logs.files().into_iter().filter(|path| path.is_file()) {
        youngest = youngest.max(Some((changed(path)?, path)));
    }
    match youngest {
        Some((at, path)) if newest.1 > at => Err(Failure::refused(format!(
            "{} was written after {}: did the last server run without append-only files? Move the one away that \
             is not meant",
            newest.0.display(),
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Where the keys are that commands in the log of the planes speak of.
#[derive(Clone, Copy, PartialEq)]
enum Covered {
    /// In append-only files: what the log says of keys has been read already.
    ByFiles,
    /// In a snapshot, which does not say how far of the log it covers.
    BySnapshot,
    /// Nowhere else.
    Nowhere,
}

/// Reads the logs of the other planes.
struct Planes<'a, 'b> {
    shard: &'a mut Shard,
    losses: &'b mut Losses,
    names: &'b mut Names,
    covered: Covered,
    /// The log that is being read, and how far its commands have come.
    dir: PathBuf,
    stream: Stream,
}

impl Planes<'_, '_> {
    fn log(&mut self, dir: &Path) -> Result<(), Failure> {
        let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
        let is_segment = |name: &std::ffi::OsStr| {
            name.to_str().is_some_and(|name| files::parse_wal_segment(name).is_some())
        };
        if !entries.flatten().any(|entry| is_segment(&entry.file_name())) {
            return Ok(());
        }
        (self.dir, self.stream) = (dir.into(), Stream::default());
        let opts = ScanOptions { reference: true, ..ScanOptions::default() };
        let end = runtime()?.block_on(scan(&PosixDisk::new(), dir, &opts, self));
        let end = end.map_err(|e| match e {
            ScanError::Newer { .. } => Failure::refused(e.to_string()),
            ScanError::Io { .. } => Failure::environment(e.to_string()),
            other => Failure::damage(dir, other),
        })?;
        if let EndKind::Hole(hole) = &end.kind {
            return Err(Failure::damage(dir, hole));
        }
        Ok(())
    }

    /// Commands about keys, or about something else.
    fn commands(&mut self, r: &Record<'_>, payload: &[u8]) -> Result<(), VisitError> {
        let mut words = Vec::new();
        let mut commands = CommandIter::new(payload, r.payload_offset());
        let mut from = 0;
        while commands.next_into(&mut words)? {
            let bytes = payload.get(from..commands.position()).unwrap_or_default();
            from = commands.position();
            let name = words.first().copied().unwrap_or_default().to_ascii_uppercase();
            if let (b"GRAPH.CREATE", Some(graph)) = (&name[..], words.get(1)) {
                self.names.graph(graph);
            }
            if let Some((plane, what)) = plane_of(&name) {
                lose(self.losses, plane, what, words.get(1).copied().unwrap_or_default());
                continue;
            }
            match self.covered {
                Covered::ByFiles => {}
                Covered::Nowhere => {
                    let place = (self.dir.as_path(), r.offset);
                    let taken = self.stream.take(self.shard, &words, bytes, place);
                    taken.map_err(|e| e.message)?;
                }
                Covered::BySnapshot => self.doubtful(r.lsn),
            }
        }
        Ok(())
    }

    fn doubtful(&mut self, lsn: u64) {
        let text = "commands in the log, which the snapshot may hold or not: it does not say";
        lose(self.losses, "log", text, format!("lsn {lsn}").as_bytes());
    }

    /// Strings that a transaction has written.
    fn transaction(&mut self, db: u16, ops: &[Op<'_>], lsn: u64) -> Result<(), VisitError> {
        for op in ops {
            let words: Vec<&[u8]> = match op {
                Op::Set { key, value } => vec![b"SET", key, value],
                Op::Del { key } => vec![b"DEL", key],
            };
            match self.covered {
                Covered::ByFiles => {}
                Covered::Nowhere => {
                    let mut effect = Vec::new();
                    moon_formats::resp::encode_command(&mut effect, words.into_iter());
                    self.shard.apply(db, 0, &effect).map_err(|e| e.to_string())?;
                }
                Covered::BySnapshot => self.doubtful(lsn),
            }
        }
        Ok(())
    }
}

impl Visitor for Planes<'_, '_> {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        let Some(kind) = RecordType::from_code(r.code) else {
            return Ok(ControlFlow::Continue(()));
        };
        let payload = r.raw_payload()?;
        let example = format!("lsn {}", r.lsn);
        let mut lost = |name, what| lose(self.losses, name, what, example.as_bytes());
        match kind {
            RecordType::Command => self.commands(r, &payload)?,
            RecordType::XactCommit => {
                let commit = XactCommit::decode(&payload, r.flags, r.payload_offset())?;
                let db = u16::try_from(commit.db).map_err(|_| "a database beyond 65535")?;
                self.transaction(db, &commit.ops, r.lsn)?;
            }
            RecordType::XactCommitV1 => {
                let commit = XactCommitV1::decode(&payload, r.flags, r.payload_offset())?;
                self.transaction(0, &commit.ops, r.lsn)?;
            }
            RecordType::WorkspaceCreate | RecordType::WorkspaceDrop => {
                lost("workspace", "changes of workspaces");
            }
            RecordType::MqCreate
            | RecordType::MqAck
            | RecordType::MqPush
            | RecordType::MqPop
            | RecordType::MqTrigger
            | RecordType::MqDrop => lost("queue", "changes of durable queues"),
            RecordType::TemporalUpsert | RecordType::TemporalAnchor => {
                lost("temporal", "versions of keys in time");
            }
            RecordType::GraphTemporal => lost("graph", "changes of graphs"),
            RecordType::VectorUpsert
            | RecordType::VectorDelete
            | RecordType::VectorTxnCommit
            | RecordType::VectorTxnAbort
            | RecordType::VectorCheckpoint => lost("vector", "changes of vector indexes"),
            RecordType::Spill => lost("cold", "keys whose values were moved to cold files"),
            // They say where pages are, or where a reader may begin.
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The plane of a command that this version does not have.
fn plane_of(name: &[u8]) -> Option<(&'static str, &'static str)> {
    let planes: [(&[u8], _, _); 6] = [
        (b"GRAPH.", "graph", "changes of graphs"),
        (b"FT.", "search", "changes of search indexes"),
        (b"TEMPORAL.", "temporal", "versions of keys in time"),
        (b"WS.", "workspace", "changes of workspaces"),
        (b"MQ.", "queue", "changes of durable queues"),
        (b"TXN.", "transaction", "transactions over several stores"),
    ];
    planes
        .iter()
        .find(|(prefix, ..)| name.starts_with(prefix))
        .map(|(_, plane, what)| (*plane, *what))
}

/// Files of planes that this version does not have.
fn other_files(
    dir: &Path,
    cold: &Cold,
    planes: &mut Names,
    losses: &mut Losses,
) -> Result<(), Failure> {
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        let io = |e| Failure::io("read", &dir, e);
        for entry in fs::read_dir(&dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type().map_err(io)?;
            if kind.is_dir() {
                waiting.push(path);
                continue;
            }
            if planes.file(&path, &name, losses)? {
                continue;
            }
            let found = match &*name {
                n if files::parse_heap_file(n).is_some() => match cold.knows(&path) {
                    true => None,
                    false => {
                        Some(("cold", "files of cold values for which there is no file table"))
                    }
                },
                n if n.ends_with(".csr") => Some(("graph", "a file of graphs")),
                n if n.ends_with(".mpf") || n == "hnsw_graph.bin" || n == "tq_codes.bin" => {
                    Some(("vector", "a file of vector indexes"))
                }
                _ => None,
            };
            if let Some((plane, what)) = found {
                lose(losses, plane, what, path.to_string_lossy().as_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
