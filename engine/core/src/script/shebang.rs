//! The first line of a script or library: `#!lua name=... flags=...`.

use crate::error::{CmdError, CmdResult};
use moon_formats::resp::split_words;

/// What a script declares about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ScriptFlags(u8);

impl ScriptFlags {
    /// It never writes.
    pub(crate) const NO_WRITES: ScriptFlags = ScriptFlags(1);
    /// It may write over `maxmemory`.
    pub(crate) const ALLOW_OOM: ScriptFlags = ScriptFlags(2);
    /// It may run on a replica with stale data.
    pub(crate) const ALLOW_STALE: ScriptFlags = ScriptFlags(4);
    /// It does not run in a cluster.
    pub(crate) const NO_CLUSTER: ScriptFlags = ScriptFlags(8);
    /// Its keys may be in several slots.
    pub(crate) const ALLOW_CROSS_SLOT: ScriptFlags = ScriptFlags(16);
    /// No shebang: nothing is known of it.
    pub(crate) const UNDECLARED: ScriptFlags = ScriptFlags(32);

    const NAMES: [(&'static str, ScriptFlags); 5] = [
        ("no-writes", ScriptFlags::NO_WRITES),
        ("allow-oom", ScriptFlags::ALLOW_OOM),
        ("allow-stale", ScriptFlags::ALLOW_STALE),
        ("no-cluster", ScriptFlags::NO_CLUSTER),
        ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT),
    ];

    /// Whether a script with these flags says that it never writes.
    pub(crate) fn never_write(self) -> bool {
        self.has(ScriptFlags::NO_WRITES) && !self.has(ScriptFlags::UNDECLARED)
    }

    /// Whether all of `other` is set.
    pub(crate) fn has(self, other: ScriptFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flag of a name.
    pub(crate) fn named(name: &[u8]) -> Option<ScriptFlags> {
        Self::NAMES.iter().find(|(n, _)| n.as_bytes() == name).map(|(_, f)| *f)
    }

    /// Both sets.
    pub(crate) fn and(self, other: ScriptFlags) -> ScriptFlags {
        ScriptFlags(self.0 | other.0)
    }

    /// Names of the set flags.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(_, f)| self.has(*f)).map(|(n, _)| *n)
    }
}

fn bad(text: &str, what: &[u8]) -> CmdError {
    CmdError::text(format!("ERR {text}{}", String::from_utf8_lossy(what)))
}

/// The words of the first line, and what follows it.
type FirstLine<'a> = (Vec<Vec<u8>>, &'a [u8]);

/// Splits off the first line, if it is a shebang: its words, and the rest from the line break on,
/// so that line numbers stay right. `None` inside: a shebang without end, or with a quote that does not end.
fn split(body: &[u8]) -> Option<Option<FirstLine<'_>>> {
    if !body.starts_with(b"#!") {
        return None;
    }
    let end = body.iter().position(|b| *b == b'\n');
    Some(end.and_then(|end| Some((split_words(&body[..end])?, &body[end..]))))
}

/// The flags and the source of a script of EVAL.
pub(super) fn of_script(body: &[u8]) -> CmdResult<(ScriptFlags, &[u8])> {
    let Some(line) = split(body) else { return Ok((ScriptFlags::UNDECLARED, body)) };
    let (words, source) = line.ok_or(CmdError::fixed("ERR Invalid script shebang"))?;
    let engine = words.first().map_or(&[][..], |w| w);
    if engine != b"#!lua" {
        return Err(bad("Unexpected engine in script shebang: ", engine));
    }
    let mut flags = ScriptFlags::default();
    for word in &words[1..] {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err(bad("Unknown lua shebang option: ", word));
        };
        for name in list.split(|b| *b == b',').filter(|_| !list.is_empty()) {
            let flag = ScriptFlags::named(name)
                .ok_or_else(|| bad("Unexpected flag in script shebang: ", name))?;
            flags = flags.and(flag);
        }
    }
    Ok((flags, source))
}

/// The name and the source of a library.
pub(super) fn of_library(code: &[u8]) -> CmdResult<(Box<[u8]>, &[u8])> {
    const INVALID: CmdError = CmdError::fixed("ERR Invalid library metadata");
    let line = split(code).ok_or(CmdError::fixed("ERR Missing library metadata"))?;
    let (words, source) = line.ok_or(INVALID)?;
    let (engine, rest) = words.split_first().ok_or(INVALID)?;
    let mut name = None;
    for word in rest {
        match word.split_at_checked(5) {
            Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                if name.replace(value).is_some() {
                    return Err(CmdError::fixed(
                        "ERR Invalid metadata value, name argument was given multiple times",
                    ));
                }
            }
            _ => return Err(bad("Invalid metadata value given: ", word)),
        }
    }
    let name: &[u8] = name.ok_or(CmdError::fixed("ERR Library name was not given"))?;
    if !is_name(name) {
        return Err(CmdError::fixed(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        ));
    }
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        let engine = String::from_utf8_lossy(engine);
        return Err(CmdError::text(format!("ERR Engine '{engine}' not found")));
    }
    Ok((name.into(), source))
}

/// Whether this may name a library or function.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}
