//! What is known of a data set: how much there is, what would be lost, and a print of each of its parts.
//!
//! The one idea: each database, and what stands beside the databases, is one number that does not depend on the
//! order in which it was read; so two data sets are compared part by part, and a difference has a place.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use moon_formats::crc::{key_slot, slot_shard};
use moon_formats::json::Object;
use moon_formats::redis_rdb::Module;
use moon_formats::value::ValueType;
use moon_report::Report;
use xxhash_rust::xxh3::xxh3_128;

/// Shards of a directory that this version writes.
pub(crate) const SHARDS: u16 = 1;
/// Bytes of a key in a file besides its name and its value: lengths, type, time to live, its part of the frame of a block.
const KEY_OVERHEAD: u64 = 24;

/// Something that a target cannot hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loss {
    /// How many keys, or commands, or fields.
    pub(crate) count: u64,
    /// What it is, and what becomes of it.
    pub(crate) text: String,
    /// How many of each kind, where there are several.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// The first of them.
    pub(crate) example: String,
}

/// A name that stands for two things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collision {
    /// The name, readable.
    pub(crate) name: String,
    /// What it stands for.
    pub(crate) text: String,
}

/// Losses by the name under which they can be accepted.
pub(crate) type Losses = BTreeMap<&'static str, Loss>;

/// One more loss of this name.
pub(crate) fn lose(losses: &mut Losses, name: &'static str, text: &str, example: &[u8]) {
    let loss = losses.entry(name).or_insert_with(|| Loss {
        text: text.into(),
        example: example.escape_ascii().to_string(),
        ..Loss::default()
    });
    loss.count += 1;
}

/// One more piece of data of a module, which is skipped.
pub(crate) fn lose_module(losses: &mut Losses, module: &Module<'_>) {
    let name = "module";
    let example = match &module.key {
        Some(key) => key.as_ref(),
        None => b"a field beside the keys",
    };
    lose(losses, name, "data of modules are left out", example);
    let kind = String::from_utf8_lossy(&module.name).into_owned();
    if let Some(loss) = losses.get_mut(name) {
        *loss.kinds.entry(kind).or_default() += 1;
    }
}

/// How the contents of databases are printed: only equal measures can be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Of the bodies of values, as they are stored: for data that only passes by.
    #[default]
    Bodies,
    /// Of what a client could read: for data that was loaded.
    Digest,
}

/// The keys of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// Sum of the prints of all keys: equal for equal databases in whatever order they were read.
    pub(crate) print: u128,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) keys: u64,
    /// Bytes of the keys themselves.
    pub(crate) key_bytes: u64,
    /// Bytes of the bodies of their values.
    pub(crate) value_bytes: u64,
}

impl Amount {
    fn add(&mut self, key: &[u8], body: &[u8]) {
        self.keys += 1;
        self.key_bytes += key.len() as u64;
        self.value_bytes += body.len() as u64;
    }

    fn members(&self, o: Object) -> Object {
        o.number("keys", self.keys)
            .number("key_bytes", self.key_bytes)
            .number("value_bytes", self.value_bytes)
    }

    fn text(&self) -> String {
        let Amount { keys, key_bytes, value_bytes } = self;
        format!("{keys} keys, {key_bytes} bytes of keys, {value_bytes} bytes of values")
    }
}

/// What a source holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) measure: Measure,
    pub(crate) databases: BTreeMap<u64, Database>,
    pub(crate) types: BTreeMap<&'static str, Amount>,
    /// By the shard of the target that a key would be in.
    pub(crate) shards: BTreeMap<u16, Amount>,
    pub(crate) functions: u64,
    /// Sum of the prints of the libraries.
    functions_print: u128,
    function_bytes: u64,
    pub(crate) losses: Losses,
    pub(crate) collisions: Vec<Collision>,
    /// Things worth a line in the report.
    pub(crate) notes: Vec<String>,
    scratch: Vec<u8>,
}

impl Facts {
    /// Nothing yet.
    pub(crate) fn new(measure: Measure) -> Facts {
        Facts { measure, ..Facts::default() }
    }

    /// Takes a key in.
    pub(crate) fn key(
        &mut self,
        db: u64,
        key: &[u8],
        expire_ms: Option<u64>,
        kind: ValueType,
        body: &[u8],
    ) {
        let of = self.databases.entry(db).or_default();
        of.keys += 1;
        of.expires += u64::from(expire_ms.is_some());
        self.types.entry(type_name(kind)).or_default().add(key, body);
        self.shards.entry(slot_shard(key_slot(key), SHARDS)).or_default().add(key, body);
        if self.measure == Measure::Digest {
            return;
        }
        let print = &mut self.scratch;
        print.clear();
        print.push(kind.code());
        print.extend(expire_ms.map_or(0, |at| at.wrapping_add(1)).to_le_bytes());
        print.extend((key.len() as u64).to_le_bytes());
        print.extend_from_slice(key);
        print.extend_from_slice(body);
        of.print = of.print.wrapping_add(xxh3_128(print));
    }

    /// Takes a library of functions in.
    pub(crate) fn library(&mut self, source: &[u8]) {
        self.functions += 1;
        self.function_bytes += source.len() as u64;
        self.functions_print = self.functions_print.wrapping_add(xxh3_128(source));
    }

    /// All keys.
    pub(crate) fn total(&self) -> Amount {
        self.types.values().fold(Amount::default(), |sum, of| Amount {
            keys: sum.keys + of.keys,
            key_bytes: sum.key_bytes + of.key_bytes,
            value_bytes: sum.value_bytes + of.value_bytes,
        })
    }

    pub(crate) fn keys(&self) -> u64 {
        self.total().keys
    }

    /// Databases that a server needs for these keys.
    pub(crate) fn databases_needed(&self) -> u64 {
        self.databases.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Bytes of a file with all of it, uncompressed.
    pub(crate) fn file_bytes(&self) -> u64 {
        let Amount { keys, key_bytes, value_bytes } = self.total();
        key_bytes + value_bytes + keys * KEY_OVERHEAD + self.function_bytes
    }

    /// The first difference, in words. Both must have the same measure.
    pub(crate) fn difference(&self, target: &Facts) -> Option<String> {
        debug_assert_eq!(self.measure, target.measure, "prints of two kinds");
        let empty = Database::default();
        let numbers = self.databases.keys().chain(target.databases.keys());
        for number in numbers {
            let ours = self.databases.get(number).unwrap_or(&empty);
            let theirs = target.databases.get(number).unwrap_or(&empty);
            if ours.keys != theirs.keys {
                return Some(format!(
                    "database {number} has {} keys in the source and {} in the target",
                    ours.keys, theirs.keys
                ));
            }
            if ours.print != theirs.print {
                return Some(format!(
                    "database {number} has {} keys in both, and they differ: digest {:032x} in the source, \
                     {:032x} in the target",
                    ours.keys, ours.print, theirs.print
                ));
            }
        }
        if self.functions != target.functions {
            return Some(format!(
                "{} function libraries in the source and {} in the target",
                self.functions, target.functions
            ));
        }
        (self.functions_print != target.functions_print)
            .then(|| format!("{} function libraries in both, and they differ", self.functions))
    }

    /// A print of all that can be compared, and of what is not carried: another one says that the source has changed.
    pub(crate) fn print(&self) -> u128 {
        let mut text =
            format!("{:?} {} {:032x}", self.measure, self.functions, self.functions_print);
        for (number, Database { keys, expires, print }) in &self.databases {
            let _ = write!(text, " {number} {keys} {expires} {print:032x}");
        }
        for (name, loss) in &self.losses {
            let _ = write!(text, " {name} {}", loss.count);
            for (kind, count) in &loss.kinds {
                let _ = write!(text, " {kind} {count}");
            }
        }
        xxh3_128(text.as_bytes())
    }

    /// An item for each part that can be compared, with its digest.
    pub(crate) fn digests(&self, out: &mut Report<'_>) {
        for (number, Database { keys, print, .. }) in &self.databases {
            let digest = format!("{print:032x}");
            let text = format!("db{number}: {keys} keys, digest {digest}");
            let object =
                |o: Object| o.number("db", *number).number("keys", *keys).text("digest", &digest);
            out.item("database", object, &text);
        }
        let digest = format!("{:032x}", self.functions_print);
        let text = format!("functions: {} libraries, digest {digest}", self.functions);
        let object = |o: Object| o.number("libraries", self.functions).text("digest", &digest);
        out.item("functions", object, &text);
    }

    /// The report of a plan.
    pub(crate) fn report(&self, out: &mut Report<'_>) {
        for (number, Database { keys, expires, .. }) in &self.databases {
            let text = format!("db{number}: {keys} keys, {expires} of them expire");
            let object = |o: Object| {
                o.number("db", *number).number("keys", *keys).number("expires", *expires)
            };
            out.item("database", object, &text);
        }
        for (name, of) in &self.types {
            let object = |o: Object| of.members(o.text("type", name));
            out.item("type", object, &format!("{name}: {}", of.text()));
        }
        let total = self.total();
        let text = format!("{}, {} function libraries", total.text(), self.functions);
        out.item("total", |o| total.members(o).number("functions", self.functions), &text);
        for shard in 0..SHARDS {
            let of = self.shards.get(&shard).copied().unwrap_or_default();
            let percent = (of.keys * 100).checked_div(total.keys).unwrap_or_default();
            let text = format!("shard {shard} of {SHARDS}: {}, {percent} % of all", of.text());
            let object = |o: Object| {
                let o = o.number("shard", shard.into()).number("shards", SHARDS.into());
                of.members(o).number("percent", percent)
            };
            out.item("shard", object, &text);
        }
        for note in &self.notes {
            out.note(note);
        }
        for Collision { name, text } in &self.collisions {
            let line = format!("collision {name}: {text}");
            out.item("collision", |o| o.text("name", name).text("text", text), &line);
        }
        for (name, Loss { count, text, kinds, example }) in &self.losses {
            let mut text = text.clone();
            for (i, (kind, count)) in kinds.iter().enumerate() {
                let _ = write!(text, "{} {kind} {count}", if i == 0 { ":" } else { "," });
            }
            let line = format!("loss {name}: {count} times, first {example}: {text}");
            let object = |o: Object| {
                o.text("name", name)
                    .number("count", *count)
                    .text("first", example)
                    .text("text", &text)
            };
            out.item("loss", object, &line);
        }
    }
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::String => "string",
        ValueType::List => "list",
        ValueType::Set => "set",
        ValueType::Hash => "hash",
        ValueType::ZSet => "zset",
        ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => "stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(keys: &[(u64, &str, &str)]) -> Facts {
        let mut facts = Facts::default();
        for (db, key, value) in keys {
            facts.key(*db, key.as_bytes(), None, ValueType::String, value.as_bytes());
        }
        facts
    }

    #[test]
    fn order_does_not_matter_and_content_does() {
        let one = facts(&[(0, "a", "1"), (0, "b", "2"), (3, "c", "3")]);
        assert_eq!(one.difference(&facts(&[(3, "c", "3"), (0, "b", "2"), (0, "a", "1")])), None);
        let why = one.difference(&facts(&[(0, "a", "2"), (0, "b", "1"), (3, "c", "3")])).unwrap();
        assert!(why.contains("database 0") && why.contains("they differ"), "{why}");
        let why = one.difference(&facts(&[(0, "a", "1"), (0, "b", "2"), (3, "c", "4")])).unwrap();
        assert!(why.contains("database 3") && why.contains("they differ"), "{why}");
        let why = one.difference(&facts(&[(0, "a", "1"), (3, "c", "3")])).unwrap();
        assert!(why.contains("2 keys in the source and 1"), "{why}");
        assert!(one.difference(&facts(&[(0, "a", "1"), (0, "b", "2"), (4, "c", "3")])).is_some());
        assert_eq!((one.databases_needed(), one.keys()), (4, 3));
    }

    #[test]
    fn libraries_are_compared_by_what_they_say() {
        let with = |sources: &[&str]| {
            let mut facts = facts(&[(0, "a", "1")]);
            sources.iter().for_each(|source| facts.library(source.as_bytes()));
            facts
        };
        assert_eq!(with(&["one", "two"]).difference(&with(&["two", "one"])), None);
        let why = with(&["one"]).difference(&with(&["two"])).unwrap();
        assert!(why.contains("1 function libraries in both"), "{why}");
        assert!(with(&["one"]).difference(&with(&[])).is_some());
    }

    fn report(facts: &Facts, json: bool) -> String {
        let mut sink = Vec::new();
        let mut out = Report::new(&mut sink, json);
        facts.report(&mut out);
        assert!(out.finish().is_none());
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn a_report_counts_keys_and_values_apart() {
        let mut facts = facts(&[(0, "abc", "12345"), (2, "d", "6")]);
        lose(&mut facts.losses, "use", "what becomes of it", b"k\n");
        let text = report(&facts, false);
        let all = "2 keys, 4 bytes of keys, 6 bytes of values";
        for line in [
            &format!("string: {all}"),
            &format!("{all}, 0 function libraries"),
            &format!("shard 0 of 1: {all}, 100 % of all"),
            "db2: 1 keys, 0 of them expire",
            "loss use: 1 times, first k\\n: what becomes of it",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} in {text}");
        }
        let json = report(&facts, true);
        assert_eq!(json.lines().count(), text.lines().count());
        let all = r#""keys":2,"key_bytes":4,"value_bytes":6"#;
        for line in [
            &format!(r#"{{"kind":"type","type":"string",{all}}}"#),
            &format!(r#"{{"kind":"total",{all},"functions":0}}"#),
            &format!(r#"{{"kind":"shard","shard":0,"shards":1,{all},"percent":100}}"#),
            r#"{"kind":"database","db":2,"keys":1,"expires":0}"#,
            r#"{"kind":"loss","name":"use","count":1,"first":"k\\n","text":"what becomes of it"}"#,
        ] {
            assert!(json.lines().any(|l| l == line), "{line:?} in {json}");
        }
        assert!(report(&Facts::default(), false).contains("shard 0 of 1: 0 keys"));
    }

    #[test]
    fn a_source_that_changes_has_another_print() {
        let one = facts(&[(0, "a", "1"), (3, "b", "2")]);
        assert_eq!(one.print(), facts(&[(3, "b", "2"), (0, "a", "1")]).print());
        let mut lost = one.clone();
        lose(&mut lost.losses, "use", "", b"");
        let mut with_library = one.clone();
        with_library.library(b"source");
        let other = [facts(&[(0, "a", "1"), (3, "b", "3")]), lost, with_library];
        assert!(other.iter().all(|other| other.print() != one.print()));
    }
}
