//! What the names of commands in effects say: the type they work on, and what their words mean.
//!
//! The table is `commands.txt`, one line a command, sorted: name, type, role; `-` for none. It is generated
//! from the command table of the server, which is the only list of commands.

use std::collections::HashMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("commands.txt");
/// Longest name looked up.
const NAME_MAX: usize = 32;

/// What the words of a command mean beyond its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing that an envelope shows by itself.
    Plain,
    /// The word behind the key is the new value of a string; options may hold its time to live.
    Value,
    /// The word behind each key is its new value.
    Pairs,
    /// The same, behind the number of keys and before options that hold for all of them.
    CountedPairs,
    /// The word behind the key is a time to live, milliseconds since 1970.
    Expire,
    /// Its keys go.
    Remove,
    /// All keys of the database go.
    Flush,
    /// All keys of all databases go.
    FlushAll,
    /// Names another database for the effects behind it.
    Select,
    /// Changes something that is no key.
    Server,
    /// Concerns this server alone.
    Hidden,
}

const ROLES: [(Role, &str); 11] = [
    (Role::Plain, "-"),
    (Role::Value, "value"),
    (Role::Pairs, "pairs"),
    (Role::CountedPairs, "counted-pairs"),
    (Role::Expire, "expire"),
    (Role::Remove, "remove"),
    (Role::Flush, "flush-one"),
    (Role::FlushAll, "flush-all"),
    (Role::Select, "db"),
    (Role::Server, "server"),
    (Role::Hidden, "hidden"),
];

/// Type and role of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Type of value that the command works on, if it works on one.
    pub(super) kind: Option<&'static str>,
    pub(super) role: Role,
}

/// What a name says; nothing for one that this version does not know.
pub(super) fn row(name: &[u8]) -> Row {
    static ROWS: OnceLock<HashMap<&'static [u8], Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| TABLE.lines().filter_map(read_row).collect());
    let mut lower = [0; NAME_MAX];
    let unknown = Row { kind: None, role: Role::Plain };
    let Some(lower) = lower.get_mut(..name.len()) else { return unknown };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    rows.get(&*lower).copied().unwrap_or(unknown)
}

fn read_row(line: &'static str) -> Option<(&'static [u8], Row)> {
    let mut words = line.split(' ');
    let (name, kind, role) = (words.next()?, words.next()?, words.next()?);
    let role = ROLES.iter().find(|(_, text)| *text == role)?.0;
    Some((name.as_bytes(), Row { kind: (kind != "-").then_some(kind), role }))
}

/// Appends a line of the table, for the generator.
pub fn put_row(out: &mut String, name: &str, kind: Option<&str>, role: Role) {
    let text = ROLES.iter().find(|(r, _)| *r == role).map_or("-", |(_, text)| text);
    out.push_str(&format!("{name} {} {text}\n", kind.unwrap_or("-")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads() {
        let rows: Vec<_> = TABLE.lines().map(|line| read_row(line).expect(line)).collect();
        assert!(rows.len() > 50 && rows.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(row(b"HsEt"), Row { kind: Some("hash"), role: Role::Plain });
        assert_eq!(row(&[b'x'; 99]).kind, None);
    }
}
