//! The file grammar: one option a line, quoted words, `#` comments, `include`.
//!
//! Invariant: reading never stops at the first error; every refused line is reported with
//! its file and line number.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::table::{Change, Effect, Kind};
use super::{Config, ConfigError, OptionId, Origin, glob_matches};

const DEPTH_MAX: usize = 8;
const FILE_MAX: u64 = 16 << 20;
const LINE_MAX: usize = 64 << 10;

/// Reads files into a [`Config`].
pub(super) struct Reader<'a> {
    pub(super) config: &'a mut Config,
    pub(super) errors: Vec<ConfigError>,
    /// Options seen in files, with the place of the first: a second one is an error.
    seen: HashMap<OptionId, String>,
    unknown: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(config: &'a mut Config) -> Self {
        Self { config, errors: Vec::new(), seen: HashMap::new(), unknown: Vec::new() }
    }

    /// Reads one file, or standard input for `-`.
    pub(super) fn read(&mut self, path: &Path, depth: usize) {
        let name = path.display().to_string();
        let text = if name == "-" {
            let mut text = String::new();
            std::io::stdin().take(FILE_MAX).read_to_string(&mut text).map(|_| text)
        } else {
            read_limited(path)
        };
        match text {
            Ok(text) => self.read_text(&name, &text, depth),
            Err(e) => self.errors.push(ConfigError { at: name, what: e.to_string() }),
        }
    }

    pub(super) fn read_text(&mut self, name: &str, text: &str, depth: usize) {
        for (i, line) in text.lines().enumerate() {
            let at = || format!("{name}:{}", i + 1);
            if line.len() > LINE_MAX {
                self.errors.push(ConfigError { at: at(), what: "line too long".into() });
                continue;
            }
            match split_words(line) {
                Err(what) => self.errors.push(ConfigError { at: at(), what: what.into() }),
                Ok(words) if words.is_empty() => {}
                Ok(words) => {
                    if let Err(what) = self.line(name, i + 1, &words, depth) {
                        self.errors.push(ConfigError { at: at(), what });
                    }
                }
            }
        }
    }

    fn line(
        &mut self,
        name: &str,
        line: usize,
        words: &[String],
        depth: usize,
    ) -> Result<(), String> {
        let (key, args) = words.split_first().expect("checked by the caller");
        if key.eq_ignore_ascii_case("include") {
            return self.include(name, args, depth);
        }
        if key.eq_ignore_ascii_case("user") {
            let plain = |w: &String| {
                !w.is_empty() && !w.starts_with(['"', '\'']) && !w.contains(char::is_whitespace)
            };
            if !args.iter().all(plain) {
                return Err("names and rules of users have neither quotes nor blanks".into());
            }
            self.config.users.push(format!("user {}", args.join(" ")));
            return Ok(());
        }
        if key.eq_ignore_ascii_case("loadmodule") {
            return Err("modules cannot be loaded".into());
        }
        let Some(id) = OptionId::find(key) else {
            let what = format!("unknown option '{key}'");
            self.unknown.push(ConfigError { at: format!("{name}:{line}"), what });
            return Ok(());
        };
        if id.opt().change == Change::CommandLine {
            return Err(format!(
                "option '{}' is for one start and is given on the command line only",
                id.opt().name
            ));
        }
        let repeatable = matches!(id.opt().kind, Kind::SavePoints | Kind::OutputLimits);
        let at = format!("{name}:{line}");
        let first = self.seen.get(&id).cloned();
        if let Some(first) = &first
            && !repeatable
        {
            return Err(format!("option '{}' is already set at {first}", id.opt().name));
        }
        let mut args = args.to_vec();
        // `save` lines add up, except that an empty one forgets those before it.
        if first.is_some() && id.opt().kind == Kind::SavePoints && args != [""] {
            args.insert(0, self.config.shown(id));
        }
        if args.is_empty() && !matches!(id.opt().kind, Kind::Words | Kind::Master) {
            return Err("wrong number of arguments".into());
        }
        self.config
            .put(id, &args, Origin::File(name.to_string(), line))
            .map_err(|why| format!("{}: {why}", id.opt().name))?;
        if id.opt().effect != Effect::Real && first.is_none() {
            self.config
                .notes
                .push(format!("{at}: '{}' is accepted and has no effect", id.opt().name));
        }
        self.seen.entry(id).or_insert(at);
        Ok(())
    }

    fn include(&mut self, from: &str, args: &[String], depth: usize) -> Result<(), String> {
        let [pattern] = args else { return Err("include takes one path".into()) };
        if depth >= DEPTH_MAX {
            return Err(format!("include nested deeper than {DEPTH_MAX}"));
        }
        let mut path = PathBuf::from(pattern);
        if path.is_relative()
            && let Some(parent) = Path::new(from).parent()
        {
            path = parent.join(path);
        }
        for file in expand(&path)? {
            self.read(&file, depth + 1);
        }
        Ok(())
    }

    /// Ends the reading: unknown names are errors or, if `strict` or else the file says
    /// `strict-config no`, notes.
    pub(super) fn finish(mut self, strict: Option<bool>) -> Vec<ConfigError> {
        if strict.unwrap_or_else(|| self.config.bool(OptionId::StrictConfig)) {
            self.errors.append(&mut self.unknown);
        } else {
            self.config.notes.extend(self.unknown.iter().map(|e| format!("{e}, ignored")));
        }
        self.errors
    }
}

/// Fuzz entry: any text is read or refused line by line, and what is rewritten reads as the same.
///
/// # Panics
/// If it does not.
pub fn hostile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // At this depth no other file is read.
    let read = |text: &str| {
        let mut config = Config::default();
        let mut reader = Reader::new(&mut config);
        reader.read_text("file", text, DEPTH_MAX);
        let errors = reader.finish(None);
        (config, errors)
    };
    let (config, errors) = read(text);
    if !errors.is_empty() {
        return;
    }
    let (again, errors) = read(&super::rewrite::render(&config, text, false));
    assert!(errors.is_empty(), "rewritten: {}", errors[0]);
    for id in super::table::IDS.iter().copied() {
        assert_eq!(again.value(id), config.value(id), "{}", id.opt().name);
    }
    assert_eq!(again.users, config.users);
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut file = fs::File::open(path)?.take(FILE_MAX + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(std::io::Error::other("file too large"));
    }
    Ok(text)
}

/// A path whose last part may be a glob. No match of a glob is fine, as in Redis.
fn expand(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?', '[']) {
        return Ok(vec![path.to_path_buf()]);
    }
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(dir).map_err(|e| format!("include {}: {e}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|e| glob_matches(name.as_bytes(), e.file_name().as_encoded_bytes()))
        .map(|e| e.path())
        .collect();
    files.sort();
    Ok(files)
}

/// Splits a line into words: blanks separate, `"..."` with `\n \r \t \a \b \xHH \" \\`,
/// `'...'` with `\'`; a closing quote ends the word. `#` at the start of a word begins a
/// comment, except in a `user` line, where it begins the hash of a password.
pub(super) fn split_words(line: &str) -> Result<Vec<String>, &'static str> {
    const UNBALANCED: &str = "unbalanced quotes";
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut i = 0;
    loop {
        while i < bytes.len() && bytes[i].is_ascii_whitespace() {
            i += 1;
        }
        let in_user = words.first().is_some_and(|w: &String| w.eq_ignore_ascii_case("user"));
        if i >= bytes.len() || (bytes[i] == b'#' && !in_user) {
            return Ok(words);
        }
        let mut word = Vec::new();
        let quote = bytes[i];
        if quote == b'"' || quote == b'\'' {
            i += 1;
            loop {
                match bytes.get(i) {
                    None => return Err(UNBALANCED),
                    Some(b) if *b == quote => {
                        i += 1;
                        break;
                    }
                    Some(b'\\') if i + 1 < bytes.len() => {
                        let (byte, len) = unescape(&bytes[i + 1..], quote);
                        if byte.is_none() {
                            word.push(b'\\');
                        }
                        word.extend(byte);
                        i += 1 + len;
                    }
                    Some(b) => {
                        word.push(*b);
                        i += 1;
                    }
                }
            }
            if bytes.get(i).is_some_and(|b| !b.is_ascii_whitespace()) {
                return Err(UNBALANCED);
            }
        } else {
            while i < bytes.len() && !bytes[i].is_ascii_whitespace() {
                word.push(bytes[i]);
                i += 1;
            }
        }
        words.push(String::from_utf8(word).map_err(|_| "not UTF-8")?);
    }
}

/// The byte behind a backslash and how many input bytes it took; `None` keeps the
/// backslash as it is.
fn unescape(rest: &[u8], quote: u8) -> (Option<u8>, usize) {
    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    match rest {
        [b'\'', ..] if quote == b'\'' => (Some(b'\''), 1),
        _ if quote == b'\'' => (None, 0),
        [b'x', a, b, ..] if hex(*a).is_some() && hex(*b).is_some() => {
            (hex(*a).zip(hex(*b)).map(|(a, b)| a * 16 + b), 3)
        }
        [b'n', ..] => (Some(b'\n'), 1),
        [b'r', ..] => (Some(b'\r'), 1),
        [b't', ..] => (Some(b'\t'), 1),
        [b'a', ..] => (Some(7), 1),
        [b'b', ..] => (Some(8), 1),
        [b, ..] => (Some(*b), 1),
        [] => (None, 0),
    }
}

/// Writes a value so that [`split_words`] reads it back. Lists stay unquoted.
pub(super) fn quote(text: &str, kind: Kind) -> String {
    if !text.is_empty() && (kind.is_list() || !text.contains([' ', '"', '\'', '\\', '#', '\t'])) {
        return text.to_string();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
