//! `<directory>.moon.migrate.journal`, the journal of a run of moon-migrate (durability §17).
//!
//! ```text
//! moon-migrate 1            version of the journal
//! state <word>              one of the names of `State`
//! from <kind>:<path>        the source
//! source <128 bits>         at most one: print of what was copied, 32 lower-case hexadecimal digits
//! databases <1..=65534>     at most one: what the run was told
//! accept <loss>             any number: losses that are accepted
//! backup <name>             at most one: the name of the old tree once it has made way
//! end <crc32c>
//! ```
//!
//! Bytes of a path or name that are not printable ASCII, blanks and `%` are written as `%` and two lower-case hexadecimal
//! digits. A line that is not known is refused: a run that does not know what it was told must not go on.

use crate::error::{Cause, DecodeError};
use crate::marker::DATABASES_MAX;
use crate::text::{Cursor, Line, close, is_lower_hex};

/// Version of the journal.
pub const VERSION: u64 = 1;

/// Digits of the print of a source.
const PRINT_DIGITS: usize = 32;

const WHAT: &str = "moon.migrate.journal";

/// How far a run has come. A state is written down, durable, before what it says is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// What is to be done is settled; nothing has been written.
    Planned,
    /// The new tree is absent or unfinished, and belongs to the run.
    Copying,
    /// The new tree is whole and has been read back.
    Verified,
    /// The old tree is making way for the new one.
    Swapping,
    /// The new tree has the name.
    Done,
    /// The new tree is making way for the old one, or has.
    Back,
}

impl State {
    /// All states with their names in the journal, in the order in which a run comes to them.
    pub const ALL: [(&str, State); 6] = [
        ("planned", State::Planned),
        ("copying", State::Copying),
        ("verified", State::Verified),
        ("swapping", State::Swapping),
        ("done", State::Done),
        ("back", State::Back),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        State::ALL.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

/// Content of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// How far the run has come.
    pub state: State,
    /// The source: kind and path.
    pub from: String,
    /// Print of what the source held when it was read: keys and values, and what of it is not carried. `None` in a journal that
    /// does not know it.
    pub source: Option<u128>,
    /// Databases of the new directory, where the run was told.
    pub databases: Option<u16>,
    /// Losses that are accepted, by name.
    pub accepted: Vec<String>,
    /// Name of the old tree once it has made way; `None` if there was none, or it is not known yet.
    pub backup: Option<String>,
}

impl Journal {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut text = format!("moon-migrate {VERSION}\nstate {}\n", self.state.name());
        let mut line = |name: &str, value: &str| text.push_str(&format!("{name} {value}\n"));
        line("from", &escaped(&self.from));
        if let Some(print) = self.source {
            line("source", &format!("{print:032x}"));
        }
        if let Some(n) = self.databases {
            line("databases", &n.to_string());
        }
        for loss in &self.accepted {
            line("accept", &escaped(loss));
        }
        if let Some(name) = &self.backup {
            line("backup", &escaped(name));
        }
        close(text)
    }

    /// Reads the file. [`Cause::Newer`] if a later Moon wrote it.
    ///
    /// # Errors
    /// The text is damaged or not a journal.
    pub fn decode(bytes: &[u8]) -> Result<Journal, DecodeError> {
        let mut lines = Cursor::new(bytes, WHAT)?;
        let mut line = lines.expect("moon-migrate")?;
        let found = line.number("moon.migrate.journal version")?;
        if found != VERSION {
            let cause = match found > VERSION {
                true => Cause::Newer { found },
                false => Cause::Value { expected: "1", found },
            };
            return Err(DecodeError::new(line.offset, "moon.migrate.journal version", cause));
        }
        line.finish(WHAT)?;
        let mut line = lines.expect("state")?;
        let word = line.word("state")?;
        let state = State::ALL.iter().find(|(name, _)| *name == word).map(|(_, state)| *state);
        let state = state.ok_or_else(|| line.form("state", "a state of a run"))?;
        line.finish(WHAT)?;
        let mut line = lines.expect("from")?;
        let from = text(&mut line, "from")?;
        let mut journal = Journal {
            state,
            from,
            source: None,
            databases: None,
            accepted: Vec::new(),
            backup: None,
        };
        // How far the order of the lines has come.
        let mut at = 0;
        while let Some(mut line) = lines.next() {
            let place = match line.word(WHAT)? {
                "source" => 1,
                "databases" => 2,
                "accept" => 3,
                "backup" => 4,
                _ => return Err(line.form(WHAT, "a line that this Moon knows")),
            };
            if place < at || (place == at && place != 3) {
                return Err(line.form(WHAT, "lines in their order"));
            }
            at = place;
            match place {
                1 => {
                    let word = line.word("source")?;
                    let is_print = word.len() == PRINT_DIGITS && word.bytes().all(is_lower_hex);
                    let print = u128::from_str_radix(word, 16).ok().filter(|_| is_print);
                    let print =
                        print.ok_or_else(|| line.form("source", "32 hexadecimal digits"))?;
                    journal.source = Some(print);
                    line.finish(WHAT)?;
                }
                2 => {
                    let n = line.number_in(1, DATABASES_MAX, "1 to 65534", "databases")?;
                    journal.databases = Some(n as u16);
                    line.finish(WHAT)?;
                }
                3 => journal.accepted.push(text(&mut line, "accept")?),
                _ => {
                    let name = text(&mut line, "backup")?;
                    if name.contains('/') {
                        return Err(line.form("backup", "a name in the same directory"));
                    }
                    journal.backup = Some(name);
                }
            }
        }
        Ok(journal)
    }
}

/// The last word of a line, written by [`escaped`].
fn text(line: &mut Line<'_>, what: &'static str) -> Result<String, DecodeError> {
    let word = line.word(what)?;
    let text = unescaped(word).filter(|text| escaped(text) == word);
    let text = text.ok_or_else(|| line.form(what, "text with its escapes"))?;
    line.finish(what)?;
    Ok(text)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'!'..=b'~' if b != b'%' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02x}")),
        }
    }
    out
}

fn unescaped(word: &str) -> Option<String> {
    let mut out = Vec::with_capacity(word.len());
    let mut bytes = word.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        if !digits.into_iter().all(is_lower_hex) {
            return None;
        }
        out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_migration;
    use proptest::prelude::*;

    fn with(from: &str, to: &str) -> Result<Journal, DecodeError> {
        let text = sample_migration().encode();
        assert!(text.contains(from), "{from}");
        let body = text.rsplit_once("end ").unwrap().0.replace(from, to);
        Journal::decode(close(body).as_bytes())
    }

    #[test]
    fn what_is_no_journal_is_refused_with_a_good_checksum() {
        for (from, to) in [
            ("state swapping", "state flying"),
            ("state swapping\n", ""),
            ("databases 20", "databases 0"),
            ("databases 20\n", "databases 20\ndatabases 20\n"),
            ("source 0", "source +"),
            ("source 0", "source F"),
            ("source 0", "source "),
            ("databases 20\n", "databases 20\nsource 0123456789abcdef0123456789abcdef\n"),
            ("accept use\n", "accept use twice\n"),
            ("backup moon.v1.bak\n", "backup ../moon.v1.bak\n"),
            ("backup moon.v1.bak\n", "backup moon.v1.bak\naccept late\n"),
            ("backup moon.v1.bak\n", "backup moon.v1.bak\nshards 4\n"),
            ("%20", "%2"),
            ("%20", "%41"),
            ("%20", "%C3"),
            ("%20", "%ff"),
        ] {
            assert!(with(from, to).is_err(), "{to}");
        }
        assert!(with("moon-migrate 1", "moon-migrate 2").unwrap_err().is_newer());
        assert!(with("moon-migrate 1", "moon-migrate 0").is_err());
    }

    proptest! {
        #[test]
        fn comes_back(
            state in 0usize..6,
            from in "[^/]{1,20}/.{0,40}",
            source in proptest::option::of(proptest::num::u128::ANY),
            databases in proptest::option::of(1u16..=65534),
            accepted in proptest::collection::vec("[a-z]{1,8}", 0..4),
            backup in proptest::option::of("[^/]{1,20}"),
        ) {
            let state = State::ALL[state].1;
            let journal = Journal { state, from, source, databases, accepted, backup };
            prop_assert_eq!(Journal::decode(journal.encode().as_bytes()), Ok(journal));
        }

        #[test]
        fn any_text_is_a_journal_or_an_error(text in "[a-z0-9 \n%:/-]{0,80}") {
            let _ = Journal::decode(text.as_bytes());
            let _ = Journal::decode(close(text).as_bytes());
        }
    }
}
