//! What is known of a data set: how much there is, what would be lost, and a print of the whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use moon_formats::value::ValueType;
use xxhash_rust::xxh3::xxh3_128;

/// Something that a target cannot hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loss {
    /// How many keys, or commands, or fields.
    pub(crate) count: u64,
    /// What it is, and what becomes of it.
    pub(crate) text: String,
    /// The first of them.
    pub(crate) example: String,
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

/// The keys of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// Sum of the prints of all keys: equal for equal databases in whatever order they were read.
    print: u128,
}

/// What a source holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) databases: BTreeMap<u64, Database>,
    /// Keys and bytes of value bodies by type.
    pub(crate) types: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) functions: u64,
    /// Digest of the whole, if it was loaded.
    pub(crate) digest: Option<u128>,
    pub(crate) losses: Losses,
    /// Things worth a line in the report.
    pub(crate) notes: Vec<String>,
    scratch: Vec<u8>,
}

impl Facts {
    /// Takes a key in.
    pub(crate) fn key(
        &mut self,
        db: u64,
        key: &[u8],
        expire_ms: Option<u64>,
        kind: ValueType,
        body: &[u8],
    ) {
        let print = &mut self.scratch;
        print.clear();
        print.push(kind.code());
        print.extend(expire_ms.map_or(0, |at| at.wrapping_add(1)).to_le_bytes());
        print.extend((key.len() as u64).to_le_bytes());
        print.extend_from_slice(key);
        print.extend_from_slice(body);
        let print = xxh3_128(print);
        let of = self.databases.entry(db).or_default();
        of.keys += 1;
        of.expires += u64::from(expire_ms.is_some());
        of.print = of.print.wrapping_add(print);
        let (keys, bytes) = self.types.entry(type_name(kind)).or_default();
        *keys += 1;
        *bytes += body.len() as u64;
    }

    pub(crate) fn keys(&self) -> u64 {
        self.databases.values().map(|db| db.keys).sum()
    }

    /// Databases that a server needs for these keys.
    pub(crate) fn databases_needed(&self) -> u64 {
        self.databases.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Bytes of keys' values.
    pub(crate) fn bytes(&self) -> u64 {
        self.types.values().map(|(_, bytes)| bytes).sum()
    }

    /// The first difference, in words.
    pub(crate) fn difference(&self, target: &Facts) -> Option<String> {
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
            if self.digest.is_none() && ours.print != theirs.print {
                return Some(format!(
                    "database {number} has {} keys in both, and they differ",
                    ours.keys
                ));
            }
        }
        if self.digest != target.digest {
            return Some("both have the same number of keys, and their digests differ".into());
        }
        (self.functions != target.functions).then(|| {
            format!(
                "{} function libraries in the source and {} in the target",
                self.functions, target.functions
            )
        })
    }

    /// The report of a plan.
    pub(crate) fn report(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").unwrap_or_default();
        for (number, db) in &self.databases {
            line(format!("db{number}: {} keys, {} of them expire", db.keys, db.expires));
        }
        for (name, (keys, bytes)) in &self.types {
            line(format!("{name}: {keys} keys, {bytes} bytes"));
        }
        line(format!(
            "{} keys, {} bytes, {} function libraries",
            self.keys(),
            self.bytes(),
            self.functions
        ));
        for note in &self.notes {
            line(note.clone());
        }
        for (name, Loss { count, text, example }) in &self.losses {
            line(format!("loss {name}: {count} times, first {example}: {text}"));
        }
        out
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
        let why = one.difference(&facts(&[(0, "a", "2"), (0, "b", "1"), (3, "c", "3")]));
        assert!(why.unwrap().contains("they differ"));
        let why = one.difference(&facts(&[(0, "a", "1"), (3, "c", "3")])).unwrap();
        assert!(why.contains("2 keys in the source and 1"), "{why}");
        assert!(one.difference(&facts(&[(0, "a", "1"), (0, "b", "2"), (4, "c", "3")])).is_some());
        assert_eq!((one.databases_needed(), one.keys(), one.bytes()), (4, 3, 3));
    }
}
