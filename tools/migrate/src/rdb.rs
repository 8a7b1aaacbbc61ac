//! A file of Redis or Valkey, streamed into a base of Moon.
//!
//! One idea: the hash order in which a base is cut belongs to its writer, and a reader only checks that the
//! ranges cover it. So the n-th block of a database is given the n-th position, the last one all that are
//! left, and keys go over in the order of the file: memory holds one value and one block, however long the
//! file is.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use moon_formats::redis_rdb::{FileReader, Item, Limits, Step};
use moon_formats::rrdshard::{Encoder, HASH_END, KEY_MAX, Key, Unfit, section};
use moon_storage::snapshot::{Fill, Source};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::facts::{Facts, lose, lose_module};
use crate::fail::Failure;
use crate::input::Input;

/// Bytes of items in a block, about.
const BLOCK_BYTES: usize = 64 << 10;
/// Value bodies from this length on stand apart from their keys.
const LARGE_BYTES: usize = 256 << 10;
/// Bytes of such a value in one chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of function libraries in one section.
const SECTION_BYTES: usize = 32 << 20;

/// Pulls items out of a file.
pub(crate) struct Reader {
    input: Input,
    file: FileReader,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Reader, Failure> {
        Ok(Reader {
            input: Input::open(path)?,
            file: FileReader::new(Limits::default()).skip_modules(),
        })
    }

    /// Hands the next item to `f`. After the end there is none.
    pub(crate) fn next<R>(&mut self, f: impl FnOnce(Item<'_>) -> R) -> Result<R, Failure> {
        loop {
            let step = self.file.next(self.input.rest(), self.input.has_ended());
            let wanted = match step {
                Ok(Step::Item(taken, item)) => {
                    let result = f(item);
                    self.input.consume(taken);
                    return Ok(result);
                }
                Ok(Step::More(wanted)) => wanted,
                Err(e) => return Err(Failure::decode(self.input.path(), &e)),
            };
            self.input.ensure(wanted)?;
        }
    }

    /// What follows the end: the commands behind the preamble of an append-only file.
    pub(crate) fn into_input(self) -> Input {
        self.input
    }

    /// How much of the file has been read.
    pub(crate) fn offset(&self) -> u64 {
        self.file.offset()
    }
}

/// Reads a whole file and says what is in it. A key that is there twice is damage: no server writes one, and none
/// would load a base with it.
pub(crate) fn survey(path: &Path) -> Result<Facts, Failure> {
    let mut reader = Reader::open(path)?;
    let mut facts = Facts::default();
    let mut prints = Vec::new();
    loop {
        let ended = reader.next(|item| {
            if let Item::Key(k) = &item {
                prints.push(name_print(k.db, &k.key));
            }
            take(item, &mut facts)
        })?;
        if ended {
            break;
        }
    }
    match repeated(prints) {
        suspects if suspects.is_empty() => Ok(facts),
        suspects => keys_come_once(path, &suspects).map(|()| facts),
    }
}

/// Print of the name of a key: 8 bytes are kept for each.
fn name_print(db: u64, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, db)
}

/// Prints that occur more than once.
fn repeated(mut prints: Vec<u64>) -> HashSet<u64> {
    prints.sort_unstable();
    prints.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

/// Reads a file again for keys whose names have one of these prints: different names may share one.
fn keys_come_once(path: &Path, suspects: &HashSet<u64>) -> Result<(), Failure> {
    let mut reader = Reader::open(path)?;
    let mut seen = HashSet::new();
    let (mut first, mut more) = (None, 0u64);
    loop {
        let offset = reader.offset();
        let ended = reader.next(|item| {
            if let Item::Key(k) = &item
                && suspects.contains(&name_print(k.db, &k.key))
                && !seen.insert((k.db, k.key.to_vec()))
            {
                let name = k.key.escape_ascii();
                match first {
                    None => {
                        first = Some(format!(
                            "offset {offset}: key {name} of database {} is there twice",
                            k.db
                        ));
                    }
                    Some(_) => more += 1,
                }
            }
            matches!(item, Item::End { .. })
        })?;
        if ended {
            break;
        }
    }
    match first {
        None => Ok(()),
        Some(text) => Err(Failure::damage(
            path,
            format!("{text} ({more} more such keys); redis-server does not load the file either"),
        )),
    }
}

/// Takes an item into account. True at the end.
pub(crate) fn take(item: Item<'_>, facts: &mut Facts) -> bool {
    match item {
        Item::Key(k) => {
            if k.idle_secs.is_some() || k.freq.is_some() {
                let text = "idle time or frequency of use: eviction begins to count anew";
                lose(&mut facts.losses, "use", text, &k.key);
            }
            facts.key(k.db, &k.key, k.expire_ms, k.kind, k.body);
        }
        Item::Module(module) => lose_module(&mut facts.losses, &module),
        Item::Function(source) => facts.library(&source),
        Item::End { checked: false } => {
            facts.notes.push("the file has no checksum: damage in it may go unnoticed".into());
            return true;
        }
        Item::End { checked: true } => return true,
        Item::Head(format) => {
            facts.notes.push(format!("format {:?} {}", format.magic, format.version));
        }
        Item::Aux(name, value) if *name == *b"redis-ver" || *name == *b"valkey-ver" => {
            facts.notes.push(format!("written by version {}", value.escape_ascii()));
        }
        Item::Aux(..) | Item::Resize(..) => {}
    }
    false
}

/// A value whose key is written.
struct Large {
    id: u64,
    body: Vec<u8>,
    at: usize,
}

/// A base that is being written, block by block.
struct Blocks {
    encoder: Encoder,
    /// Next position of each database.
    at: BTreeMap<u32, u64>,
    /// Database of the block that is being filled.
    open: Option<u32>,
    large: Option<Large>,
    functions: Vec<Vec<u8>>,
    databases: u16,
    /// The file has no further item.
    ended: bool,
}

impl Blocks {
    fn item(&mut self, item: Item<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let key = match item {
            Item::Key(key) => key,
            Item::Function(source) => {
                self.functions.push(source.into_owned());
                return Ok(());
            }
            Item::End { .. } => {
                self.ended = true;
                return Ok(());
            }
            // The survey has named what is skipped, and the loss was accepted.
            Item::Head(_) | Item::Aux(..) | Item::Resize(..) | Item::Module(_) => return Ok(()),
        };
        let db = match u16::try_from(key.db) {
            Ok(db) if db < self.databases => u32::from(db),
            _ => return Err(Failure::refused(format!("there are keys in database {}", key.db))),
        };
        if key.key.len() > KEY_MAX {
            return Err(Failure::refused(format!("a key is longer than {KEY_MAX} bytes")));
        }
        if self.open.is_some_and(|open| open != db) || self.encoder.block_len() >= BLOCK_BYTES {
            self.end_block(out);
        }
        let head = Key { key: &key.key, expire_ms: key.expire_ms, access: None };
        let mut apart = key.body.len() > LARGE_BYTES;
        loop {
            self.begin_block(db, out);
            let put = match apart {
                true => self.encoder.large(&head, key.kind).map(Some),
                false => {
                    let body = |out: &mut Vec<u8>| {
                        out.extend_from_slice(key.body);
                        key.kind
                    };
                    self.encoder.entry(&head, body).map(|()| None)
                }
            };
            match put {
                Ok(None) => return Ok(()),
                Ok(Some(id)) => {
                    self.large = Some(Large { id, body: key.body.to_vec(), at: 0 });
                    self.end_block(out);
                    return Ok(());
                }
                Err(Unfit::BlockFull) => self.end_block(out),
                Err(Unfit::TooLarge) if !apart => apart = true,
                Err(Unfit::TooLarge) => {
                    return Err(Failure::refused("a key does not fit into a base"));
                }
            }
        }
    }

    /// Appends the next piece of the large value, if there is one.
    fn chunk(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(mut large) = self.large.take() else { return false };
        let to = large.body.len().min(large.at + CHUNK_BYTES);
        let last = to == large.body.len();
        self.encoder.chunk(large.id, &large.body[large.at..to], last, out);
        large.at = to;
        self.large = (!last).then_some(large);
        true
    }

    fn begin_block(&mut self, db: u32, out: &mut Vec<u8>) {
        if self.open.replace(db).is_none() {
            self.encoder.select(db, out);
            self.encoder.begin(*self.at.entry(db).or_default());
        }
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        if let Some(at) = self.open.take().and_then(|db| self.at.get_mut(&db)) {
            *at += 1;
            self.encoder.end(*at, out);
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) -> Result<Fill, Failure> {
        self.end_block(out);
        let Blocks { mut encoder, at, functions, .. } = self;
        for (db, at) in at {
            encoder.select(db, out);
            encoder.begin(at);
            encoder.end(HASH_END, out);
        }
        for source in functions {
            if source.len() > SECTION_BYTES {
                return Err(Failure::refused("a library of functions is longer than 32 MiB"));
            }
            let mut payload = Vec::new();
            section::put_functions(&mut payload, [&source[..]].into_iter());
            let (code, version) = (section::FUNCTIONS, section::VERSION);
            encoder.section(code, version, section::REQUIRED, &payload, out);
        }
        let end = encoder.finish(out).map_err(|e| Failure::environment(e.to_string()))?;
        Ok(Fill::End { entries: end.entries, crc: end.crc })
    }
}

/// The file as the source of a base.
pub(crate) struct Stream {
    reader: Reader,
    /// `None` when the base is complete or given up.
    blocks: Option<Blocks>,
    head: Vec<u8>,
    /// Why the file could not be carried.
    pub(crate) failure: Option<Failure>,
}

impl Stream {
    /// From the start of the file at `path`; `head` is what the encoder has written so far.
    pub(crate) fn new(
        path: &Path,
        databases: u16,
        encoder: Encoder,
        head: Vec<u8>,
    ) -> Result<Stream, Failure> {
        let blocks = Blocks {
            encoder,
            at: BTreeMap::new(),
            open: None,
            large: None,
            functions: Vec::new(),
            databases,
            ended: false,
        };
        Ok(Stream { reader: Reader::open(path)?, blocks: Some(blocks), head, failure: None })
    }

    fn step(&mut self, out: &mut Vec<u8>) -> Result<Option<Fill>, Failure> {
        let Some(mut blocks) = self.blocks.take() else {
            return Err(Failure::environment("the base has been given up"));
        };
        if !blocks.chunk(out) {
            if blocks.ended {
                return blocks.finish(out).map(Some);
            }
            self.reader.next(|item| blocks.item(item, out))??;
        }
        self.blocks = Some(blocks);
        Ok(None)
    }
}

impl Source for Stream {
    fn fill(&mut self, out: &mut Vec<u8>, budget: usize) -> Fill {
        out.append(&mut self.head);
        let until = out.len() + budget;
        while out.len() < until {
            match self.step(out) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(failure) => {
                    let text = failure.message.clone();
                    self.failure = Some(failure);
                    return Fill::Lost(text);
                }
            }
        }
        Fill::More
    }

    fn pending(&self) -> usize {
        0
    }

    fn abort(&mut self) {
        self.blocks = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::redis_rdb::{Encoder, FileWriter};
    use moon_formats::value::Value;

    /// The survey of a file with these keys.
    fn survey_of(name: &str, keys: &[(u64, &str)]) -> Result<Facts, Failure> {
        let mut file = FileWriter::new(Encoder::new(11));
        for (db, key) in keys {
            file.select(*db);
            file.key(key.as_bytes(), None, None, None, &Value::String(b"value")).expect("fits");
        }
        let path = std::env::temp_dir().join(format!("moon-rdb-{name}-{}", std::process::id()));
        std::fs::write(&path, file.finish()).expect("written");
        let facts = survey(&path);
        std::fs::remove_file(&path).expect("removed");
        facts
    }

    #[test]
    fn a_key_that_is_there_twice_is_named() {
        let facts = survey_of("once", &[(0, "a"), (1, "a"), (0, "b")]).expect("each comes once");
        assert_eq!(facts.keys(), 3);
        let keys = [(0, "a"), (1, "twice"), (0, "b"), (1, "twice"), (0, "a")];
        let failure = survey_of("twice", &keys).expect_err("two keys come twice");
        assert_eq!(failure.code, 70, "{}", failure.message);
        let named = "key twice of database 1 is there twice (1 more such keys)";
        assert!(failure.message.contains(named), "{}", failure.message);
        assert!(failure.message.contains("offset "), "{}", failure.message);
    }

    #[test]
    fn equal_prints_of_different_names_are_no_finding() {
        assert_eq!(repeated(vec![3, 1, 2, 1]), HashSet::from([1]));
        let path = std::env::temp_dir().join(format!("moon-rdb-prints-{}", std::process::id()));
        let mut file = FileWriter::new(Encoder::new(11));
        file.select(0);
        for key in [b"a", b"b"] {
            file.key(key, None, None, None, &Value::String(b"")).expect("fits");
        }
        std::fs::write(&path, file.finish()).expect("written");
        let suspects = HashSet::from([name_print(0, b"a"), name_print(0, b"b")]);
        let looked = keys_come_once(&path, &suspects);
        std::fs::remove_file(&path).expect("removed");
        assert!(looked.is_ok());
    }
}
