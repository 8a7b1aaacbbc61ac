//! Settings: the option table, the file and flag parsers, and the values in force.
//!
//! Precedence is command line over file over built-in default; nothing is read from the
//! environment. Every text goes through the same parser ([`value::parse`]), whether it
//! comes from a flag, a file or CONFIG SET.

mod cli;
mod file;
mod glob;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod page;
mod recovery;
mod rewrite;
pub mod table;
pub mod value;

use std::fmt;
use std::path::PathBuf;

pub use cli::{Action, help, parse_args};
pub use file::hostile;
pub use glob::matches as glob_matches;
pub(crate) use recovery::{Mode, Wanted, wanted};
pub(crate) use rewrite::{replace_file, rewrite};
pub use table::OptionId;
use table::{Change, Effect, IDS, TABLE};
pub use value::{OutputLimit, Value, memory as memory_size};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of a file.
    File(String, usize),
    /// The command line.
    Flag,
    /// CONFIG SET.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{path}:{line}"),
            Self::Flag => f.write_str("flag"),
            Self::Set => f.write_str("CONFIG SET"),
        }
    }
}

/// One refused setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// File and line, or "command line".
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// The values in force, one for each row of [`TABLE`].
#[derive(Debug, Clone)]
pub struct Config {
    settings: Vec<Setting>,
    /// Users: what `user` lines define, `user NAME RULE...` each.
    pub users: Vec<String>,
    /// The file they were read from, if any.
    pub file: Option<PathBuf>,
    /// Things worth a log line: names without effect, unknown names when not strict.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Setting {
    value: Value,
    origin: Origin,
}

impl Default for Config {
    fn default() -> Self {
        let settings = TABLE
            .iter()
            .map(|opt| {
                let words = file::split_words(opt.default).expect("defaults are well formed");
                let words = match opt.kind.is_list() {
                    true => words,
                    false => vec![opt.default.to_string()],
                };
                let value = value::parse(opt.kind, &words, None).expect("defaults parse");
                Setting { value, origin: Origin::Default }
            })
            .collect();
        Self { settings, users: Vec::new(), file: None, notes: Vec::new() }
    }
}

impl Config {
    /// Keeps the value that an option has come to have.
    pub(crate) fn note(&mut self, id: OptionId, value: Value) {
        self.settings[id as usize] = Setting { value, origin: Origin::Set };
    }

    /// The value of an option.
    pub fn value(&self, id: OptionId) -> &Value {
        &self.settings[id as usize].value
    }

    /// Where the value of an option came from.
    pub fn origin(&self, id: OptionId) -> &Origin {
        &self.settings[id as usize].origin
    }

    /// A yes/no option.
    pub fn bool(&self, id: OptionId) -> bool {
        match self.value(id) {
            Value::Bool(b) => *b,
            other => unreachable!("{} is no bool: {other:?}", id.opt().name),
        }
    }

    /// A number in the unit of the option: bytes, seconds, ...
    pub fn int(&self, id: OptionId) -> i64 {
        match self.value(id) {
            Value::Int(n) => *n,
            other => unreachable!("{} is no number: {other:?}", id.opt().name),
        }
    }

    /// A number as a size.
    pub fn size(&self, id: OptionId) -> usize {
        usize::try_from(self.int(id)).unwrap_or(0)
    }

    /// A word or text.
    pub fn text(&self, id: OptionId) -> &str {
        match self.value(id) {
            Value::Text(s) => s,
            other => unreachable!("{} is no text: {other:?}", id.opt().name),
        }
    }

    /// A list of words.
    pub fn words(&self, id: OptionId) -> &[String] {
        match self.value(id) {
            Value::Words(w) => w,
            other => unreachable!("{} is no list: {other:?}", id.opt().name),
        }
    }

    /// Output buffer limits: normal, replica, pubsub.
    pub fn output_limits(&self) -> [OutputLimit; 3] {
        match self.value(OptionId::ClientOutputBufferLimit) {
            Value::Limits(l) => *l,
            other => unreachable!("no limits: {other:?}"),
        }
    }

    /// True if the operator gave this option a value.
    pub fn is_set(&self, id: OptionId) -> bool {
        *self.origin(id) != Origin::Default
    }

    /// The text CONFIG GET answers.
    pub fn shown(&self, id: OptionId) -> String {
        value::Shown(id.opt().kind, self.value(id)).to_string()
    }

    /// Puts a value in force.
    pub(crate) fn put(
        &mut self,
        id: OptionId,
        words: &[String],
        origin: Origin,
    ) -> Result<(), String> {
        let slot = &mut self.settings[id as usize];
        let value = value::parse(id.opt().kind, words, Some(&slot.value))?;
        *slot = Setting { value, origin };
        Ok(())
    }

    /// Replaces a value that was computed rather than given (the resolved `dir`).
    pub(crate) fn resolve(&mut self, id: OptionId, value: Value) {
        self.settings[id as usize].value = value;
    }

    /// Options whose name matches one of the patterns, each once, in table order. A
    /// pattern without wildcards also finds aliases and answers under the name asked.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        let mut rows: Vec<(String, String)> = Vec::new();
        for pattern in patterns {
            let pattern = String::from_utf8_lossy(pattern).to_ascii_lowercase();
            let mut add = |name: &str, id: OptionId| {
                if !rows.iter().any(|(have, _)| have == name) {
                    rows.push((name.to_string(), self.shown(id)));
                }
            };
            if pattern.contains(['*', '?', '[']) {
                for &id in IDS.iter().filter(|id| id.opt().effect != Effect::Hidden) {
                    let names = std::iter::once(&id.opt().name).chain(id.opt().aliases);
                    for name in names.filter(|n| glob_matches(pattern.as_bytes(), n.as_bytes())) {
                        add(name, id);
                    }
                }
            } else if let Some(id) = OptionId::find(&pattern) {
                add(&pattern, id);
            }
        }
        rows
    }

    /// CONFIG SET: all pairs or none. `protected_ok` says whether this client may change
    /// protected options. Returns the ids that were set. The error is the whole text
    /// behind `ERR `, as Redis words it (`configSetCommand`).
    pub fn set(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        protected_ok: bool,
    ) -> Result<Vec<OptionId>, String> {
        let failed = |name: &str, why: &str| {
            format!("CONFIG SET failed (possibly related to argument '{name}') - {why}")
        };
        let mut ids = Vec::with_capacity(pairs.len());
        let mut refused = None;
        for (name, text) in pairs {
            let name = String::from_utf8_lossy(name);
            let Some(id) = OptionId::find(&name) else {
                return Err(format!(
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                ));
            };
            if refused.is_none() {
                refused = match id.opt().change {
                    Change::Immutable if !self.is_in_force(id, text) => {
                        Some(failed(&name, "can't set immutable config"))
                    }
                    Change::Protected if !protected_ok => {
                        Some(failed(&name, "can't set protected config"))
                    }
                    Change::CommandLine if !self.is_in_force(id, text) => {
                        Some(failed(&name, "is given on the command line only"))
                    }
                    _ if ids.contains(&id) => Some(failed(&name, "duplicate parameter")),
                    _ => None,
                };
            }
            ids.push(id);
        }
        if let Some(text) = refused {
            return Err(text);
        }
        let before: Vec<Setting> =
            ids.iter().map(|&id| self.settings[id as usize].clone()).collect();
        for (i, (id, (_, text))) in ids.iter().zip(pairs).enumerate() {
            let word = String::from_utf8_lossy(text).into_owned();
            if matches!(id.opt().change, Change::Immutable | Change::CommandLine) {
                continue;
            }
            if let Err(why) = self.put(*id, &[word], Origin::Set) {
                for (id, old) in ids[..i].iter().zip(before) {
                    self.settings[*id as usize] = old;
                }
                return Err(failed(id.opt().name, &why));
            }
        }
        Ok(ids)
    }

    fn is_in_force(&self, id: OptionId, text: &[u8]) -> bool {
        let word = String::from_utf8_lossy(text).into_owned();
        let value = value::parse(id.opt().kind, &[word], None);
        value.is_ok_and(|v| value::Shown(id.opt().kind, &v).to_string() == self.shown(id))
    }

    /// `--print-config`: every option with value and origin.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for &id in IDS {
            let line = format!("{} {}", id.opt().name, file::quote(&self.shown(id), id.opt().kind));
            out.push_str(&format!("{line:<56} # {}\n", self.origin(id)));
        }
        out
    }
}

/// The sample `moon.conf`: every real option, commented, at its default.
pub fn sample_file() -> String {
    let mut out = String::from(
        "# moon.conf: every option at its built-in default. Remove the leading '#' to change one.\n\
         # Format: name value...; the same names work as flags (--name value).\n",
    );
    for group in table::Group::ALL {
        if group == table::Group::Compatibility {
            continue;
        }
        out.push_str(&format!("\n## {}\n", group.title()));
        let in_file = |o: &&table::Opt| {
            o.group == group && o.effect == Effect::Real && o.change != Change::CommandLine
        };
        for opt in TABLE.iter().filter(in_file) {
            let live = if opt.change == Change::Live { " (live)" } else { "" };
            out.push_str(&format!(
                "\n# {}{live}\n#{} {}\n",
                opt.doc,
                opt.name,
                file::quote(opt.default, opt.kind)
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests;
