//! An append-only file of Redis, in one part or several, replayed into a shard.
//!
//! A file of several parts is a manifest that names a base (an RDB file, or commands) and increments. A file in one
//! part is commands, perhaps behind an RDB preamble. Commands are what Redis propagates: each is one effect, those between
//! MULTI and EXEC one unit. What a crash has cut off at the very end is a loss that has to be accepted; a unit
//! without its EXEC goes with it, whole.

use std::fs;
use std::path::{Path, PathBuf};

use moon_engine::exec::Shard;
use moon_formats::names;
use moon_formats::redis_rdb::Item;
use moon_formats::resp::CommandIter;
use moon_formats::rrdshard::{self, Entry, Stored};
use moon_formats::{Cause, DecodeError};

use crate::facts::{Losses, lose, lose_module};
use crate::fail::Failure;
use crate::filling::Filling;
use crate::input::Input;
use crate::rdb::Reader;
use crate::reference;

/// Longest command.
const COMMAND_MAX: usize = 1 << 30;
/// Bytes to ask for when a command is not there as a whole.
const MORE_MIN: usize = 64 << 10;
/// Longest manifest.
const MANIFEST_MAX: u64 = 1 << 20;

/// The parts, in the order in which they are read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts(Vec<PathBuf>);

impl Parts {
    /// A file in one part.
    pub(crate) fn one(path: &Path) -> Parts {
        Parts(vec![path.into()])
    }

    /// Files in this order.
    pub(crate) fn several(files: Vec<PathBuf>) -> Parts {
        Parts(files)
    }
}

/// Finds the parts of what a path names: a file, an `appendonlydir`, or a directory that has either.
pub(crate) fn find(path: &Path) -> Result<Option<Parts>, Failure> {
    let meta = fs::metadata(path).map_err(|e| Failure::io("read", path, e))?;
    if meta.is_file() {
        return match path.extension().is_some_and(|e| e == "manifest") {
            true => parts_of(path).map(Some),
            false => Ok(Some(Parts::one(path))),
        };
    }
    let mut manifests = Vec::new();
    for dir in [path.to_path_buf(), path.join("appendonlydir")] {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let file = entry.map_err(|e| Failure::io("read", &dir, e))?.path();
            if file.extension().is_some_and(|e| e == "manifest") {
                manifests.push(file);
            }
        }
    }
    match &manifests[..] {
        [] => {
            let single = path.join("appendonly.aof");
            Ok(single.is_file().then(|| Parts::one(&single)))
        }
        [one] => parts_of(one).map(Some),
        [one, two, ..] => Err(Failure::refused(format!(
            "{} and {} are both manifests: name the one that is meant",
            one.display(),
            two.display()
        ))),
    }
}

/// The files that a manifest names: the base, then increments by their numbers.
fn parts_of(manifest: &Path) -> Result<Parts, Failure> {
    let io = |e| Failure::io("read", manifest, e);
    if fs::metadata(manifest).map_err(io)?.len() > MANIFEST_MAX {
        return Err(Failure::damage(manifest, "longer than a manifest can be"));
    }
    let text = fs::read_to_string(manifest).map_err(io)?;
    if manifest.file_name().is_some_and(|name| name == names::AOF_MANIFEST) {
        return Err(Failure::refused(format!(
            "{} is of Moon, not of Redis: name its directory moon:PATH",
            manifest.display()
        )));
    }
    let dir = manifest.parent().unwrap_or(Path::new("."));
    let bad =
        |number: usize, why: &str| Failure::damage(manifest, format!("line {}: {why}", number + 1));
    let (mut base, mut increments) = (None, Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        let words =
            moon_formats::resp::split_words(line.as_bytes()).ok_or(bad(number, "quotes"))?;
        let (mut file, mut seq, mut kind) = (None, None, None);
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(bad(number, "a name without a value")) };
            let value = String::from_utf8(value.clone()).map_err(|_| bad(number, "not text"))?;
            match &name[..] {
                b"file" => file = Some(value),
                b"seq" => seq = value.parse::<u64>().ok(),
                b"type" => kind = Some(value),
                _ => {}
            }
        }
        let (Some(file), Some(seq), Some(kind)) = (file, seq, kind) else {
            return Err(bad(number, "file, seq and type are needed"));
        };
        if file.contains('/') || file.is_empty() || file == ".." {
            return Err(bad(number, "a file of another directory"));
        }
        match &kind[..] {
            "b" if base.is_none() => base = Some(dir.join(file)),
            "i" => increments.push((seq, dir.join(file))),
            // Of a rewrite that has ended; Redis removes them.
            "h" => {}
            _ => return Err(bad(number, "a second base, or a type that is not b, i or h")),
        }
    }
    increments.sort();
    Ok(Parts(base.into_iter().chain(increments.into_iter().map(|(_, file)| file)).collect()))
}

/// Fills an empty shard.
pub(crate) fn load(parts: &Parts, shard: &mut Shard, losses: &mut Losses) -> Result<(), Failure> {
    add(parts, &mut Filling::new(shard), losses)
}

/// Reads parts into a shard that holds what does not overlap with them.
pub(crate) fn add(
    parts: &Parts,
    filling: &mut Filling<'_>,
    losses: &mut Losses,
) -> Result<(), Failure> {
    let last = parts.0.len().saturating_sub(1);
    for (number, path) in parts.0.iter().enumerate() {
        let mut replay = Replay { filling: &mut *filling, losses, last: number == last };
        replay.part(path, number == 0)?;
    }
    Ok(())
}

/// One part on its way into the shard.
struct Replay<'a, 'b> {
    filling: &'a mut Filling<'b>,
    losses: &'a mut Losses,
    /// Nothing follows: a crash may have cut it.
    last: bool,
}

impl Replay<'_, '_> {
    fn part(&mut self, path: &Path, first: bool) -> Result<(), Failure> {
        let mut input = Input::open(path)?;
        input.ensure(MORE_MIN)?;
        let begins = |magic: &[u8]| input.rest().starts_with(magic);
        let (is_rdb, is_own) = (
            begins(b"REDIS") || begins(b"VALKEY"),
            begins(reference::MOON_MAGIC) || begins(reference::RRDSHARD_MAGIC),
        );
        if !is_rdb && !is_own {
            if first && !matches!(input.rest().first(), None | Some(b'*' | b'#')) {
                return Err(Failure::refused(format!(
                    "{} begins neither as an RDB file nor as an append-only file",
                    path.display()
                )));
            }
            return self.commands(input, 0);
        }
        if !first {
            return Err(Failure::damage(path, "a snapshot in place of commands"));
        }
        if is_own {
            let offset = reference::snapshot(&mut input, self.filling, self.losses)?;
            return self.commands(input, offset);
        }
        let mut reader = Reader::open(path)?;
        while !reader.next(|item| self.item(item))?.map_err(|why| Failure::damage(path, why))? {}
        let offset = reader.offset();
        self.commands(reader.into_input(), offset)
    }

    /// Takes an item of an RDB file. True at the end.
    fn item(&mut self, item: Item<'_>) -> Result<bool, String> {
        match item {
            Item::Key(k) => {
                if k.idle_secs.is_some() || k.freq.is_some() {
                    let text = "idle time or frequency of use: eviction begins to count anew";
                    lose(self.losses, "use", text, &k.key);
                }
                let entry = Entry {
                    db: u32::try_from(k.db).map_err(|_| format!("database {}", k.db))?,
                    key: &k.key,
                    kind: k.kind,
                    expire_ms: k.expire_ms,
                    access: None,
                    value: Stored::Body {
                        bytes: k.body,
                        value: k.value().map_err(|e| e.to_string())?,
                    },
                    offset: 0,
                };
                let taken = self.filling.item(&rrdshard::Item::Entry(entry), self.losses);
                taken.map(|()| false).map_err(|e| e.to_string())
            }
            Item::Function(source) => {
                let words = [b"FUNCTION".as_slice(), b"LOAD", b"REPLACE", &source];
                let mut effect = Vec::new();
                moon_formats::resp::encode_command(&mut effect, words.into_iter());
                self.filling.shard().apply(0, 0, &effect).map(|()| false).map_err(|e| e.to_string())
            }
            Item::Module(module) => {
                lose_module(self.losses, &module);
                Ok(false)
            }
            Item::End { .. } => Ok(true),
            Item::Head(_) | Item::Aux(..) | Item::Resize(..) => Ok(false),
        }
    }

    /// Applies commands to the end of the file; `offset` is where they begin.
    fn commands(&mut self, mut input: Input, mut offset: u64) -> Result<(), Failure> {
        let path = input.path().to_owned();
        let mut stream = Stream::default();
        loop {
            if skip_annotation(&mut input, &mut offset)? {
                continue;
            }
            if input.rest().is_empty() {
                if input.has_ended() {
                    break;
                }
                input.ensure(MORE_MIN)?;
                continue;
            }
            let mut words = Vec::new();
            let mut commands = CommandIter::new(input.rest(), offset);
            match commands.next_into(&mut words) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(e) if is_cut(&e) && !input.has_ended() => {
                    let have = input.rest().len();
                    if have > COMMAND_MAX {
                        return Err(Failure::damage(&path, "a command is longer than 1 GiB"));
                    }
                    input.ensure((have * 2).max(MORE_MIN))?;
                    continue;
                }
                Err(e) if is_cut(&e) && self.last => {
                    let text = "a command that a crash has cut off at the end of the file";
                    let rest = format!("offset {offset}, {} bytes", input.rest().len());
                    lose(self.losses, "tail", text, rest.as_bytes());
                    break;
                }
                Err(e) => return Err(Failure::decode(&path, &e)),
            }
            let taken = commands.position();
            let bytes = input.rest().get(..taken).unwrap_or_default();
            stream.take(self.filling.shard(), &words, bytes, (&path, offset))?;
            input.consume(taken);
            offset += taken as u64;
        }
        if let Some(at) = stream.open_since() {
            if !self.last {
                return Err(Failure::damage(&path, format!("MULTI at offset {at} has no EXEC")));
            }
            let text = "a transaction without its EXEC at the end of the file";
            lose(self.losses, "tail", text, format!("offset {at}").as_bytes());
        }
        Ok(())
    }
}

/// Commands as they come, one after another: each is an effect, those between MULTI and EXEC one unit.
#[derive(Default)]
pub(crate) struct Stream {
    /// Database that the next one is for.
    db: u16,
    /// Where a unit began, and its effects so far.
    unit: Option<(u64, Vec<u8>)>,
}

impl Stream {
    /// Takes the next command, `words`, which are `bytes`; `place` is the file and the offset in it.
    pub(crate) fn take(
        &mut self,
        shard: &mut Shard,
        words: &[&[u8]],
        bytes: &[u8],
        (path, offset): (&Path, u64),
    ) -> Result<(), Failure> {
        let is =
            |name: &str| words.first().is_some_and(|w| w.eq_ignore_ascii_case(name.as_bytes()));
        let at = |why: &dyn std::fmt::Display| {
            Failure::refused(format!(
                "{}: command at offset {offset}: {why}; if a server before Redis 7 has logged a script \
                 there, rewrite the file on it first (BGREWRITEAOF), which leaves only data in it",
                path.display()
            ))
        };
        if is("SELECT") {
            let number = words.get(1).and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
            self.db = number.ok_or_else(|| at(&"SELECT of no database"))?;
            if let Some((_, unit)) = &mut self.unit {
                unit.extend_from_slice(bytes);
            }
        } else if is("MULTI") {
            if self.unit.replace((offset, select(self.db))).is_some() {
                return Err(at(&"MULTI within MULTI"));
            }
        } else if is("EXEC") {
            let Some((_, effects)) = self.unit.take() else {
                return Err(at(&"EXEC without MULTI"));
            };
            shard.apply(self.db, 0, &effects).map_err(|e| at(&e))?;
        } else if let Some((_, unit)) = &mut self.unit {
            unit.extend_from_slice(bytes);
        } else {
            shard.apply(self.db, 0, bytes).map_err(|e| at(&e))?;
        }
        Ok(())
    }

    /// Database that the next command is for.
    pub(crate) fn db(&self) -> u16 {
        self.db
    }

    /// Where the unit began that has not ended.
    pub(crate) fn open_since(&self) -> Option<u64> {
        self.unit.as_ref().map(|(at, _)| *at)
    }
}

/// Whether more bytes might make a command of it: a count of words that are not there yet is one reason.
fn is_cut(e: &DecodeError) -> bool {
    e.is_truncated() || matches!(e.cause, Cause::Count { .. })
}

/// The effect that selects a database: a unit begins in the one selected before it.
fn select(db: u16) -> Vec<u8> {
    let mut effect = Vec::new();
    let number = db.to_string();
    let words = [b"SELECT".as_slice(), number.as_bytes()];
    moon_formats::resp::encode_command(&mut effect, words.into_iter());
    effect
}

/// Skips a line `#TS:...`. True if there was one.
fn skip_annotation(input: &mut Input, offset: &mut u64) -> Result<bool, Failure> {
    if input.rest().first() != Some(&b'#') {
        return Ok(false);
    }
    loop {
        if let Some(end) = input.rest().iter().position(|b| *b == b'\n') {
            input.consume(end + 1);
            *offset += end as u64 + 1;
            return Ok(true);
        }
        let have = input.rest().len();
        if input.has_ended() || have > MORE_MIN {
            let path = input.path().to_owned();
            return Err(Failure::damage(&path, format!("offset {offset}: a line without an end")));
        }
        input.ensure(have + MORE_MIN)?;
    }
}
