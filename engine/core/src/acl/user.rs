//! One user: whether it may log in, with which passwords, and its selectors.

use super::selector::{RuleError, Selector};
use crate::command::{CommandTable, KeyUse};
use sha2::{Digest, Sha256};

/// A password as it is kept.
type Hash = [u8; 32];

pub(super) fn sha256(password: &[u8]) -> Hash {
    Sha256::digest(password).into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// 64 lower-case hexadecimal digits.
fn parse_hash(text: &[u8]) -> Option<Hash> {
    if text.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

/// A user.
#[derive(Clone)]
pub struct User {
    name: Box<[u8]>,
    on: bool,
    no_password: bool,
    skips_sanitizing: bool,
    passwords: Vec<Hash>,
    /// The first is the root: what rules outside parentheses change.
    selectors: Vec<Selector>,
    /// Everything is allowed: nothing has to be looked at.
    unrestricted: bool,
}

impl User {
    /// A user who may do nothing and is off.
    pub(super) fn new(name: &[u8], table: &CommandTable, open_channels: bool) -> Self {
        let root = Selector::new(table, open_channels);
        User {
            name: name.into(),
            on: false,
            no_password: false,
            skips_sanitizing: false,
            passwords: Vec::new(),
            selectors: vec![root],
            unrestricted: false,
        }
    }

    /// The default user of a new server.
    pub(super) fn unrestricted(table: &CommandTable) -> Self {
        let mut user = User::new(super::DEFAULT, table, true);
        (user.on, user.no_password) = (true, true);
        user.selectors[0] = Selector::unrestricted(table);
        user.unrestricted = true;
        user
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether it may log in.
    pub fn enabled(&self) -> bool {
        self.on
    }

    /// Whether any password will do.
    pub fn no_password(&self) -> bool {
        self.no_password
    }

    /// Whether a connection that has not authenticated may act as this user.
    pub fn needs_no_login(&self) -> bool {
        self.on && self.no_password
    }

    /// Whether it may do everything.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// The selectors, the root first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether it may read a key, or what is no key of a database or of all.
    pub fn may_read(&self, db: Option<u16>, key: Option<&[u8]>) -> bool {
        self.unrestricted
            || self.selectors.iter().any(|s| {
                db.is_none_or(|db| s.databases.has(db))
                    && key.is_none_or(|key| s.has_all_keys() || s.allows_key(key, KeyUse::ACCESS))
            })
    }

    /// Whether a password is one of its own, in a time that does not tell how wrong it is.
    pub(super) fn has_password(&self, hash: &Hash) -> bool {
        let mut found = false;
        for there in &self.passwords {
            let differ = there.iter().zip(hash).fold(0, |d, (a, b)| d | (a ^ b));
            found |= differ == 0;
        }
        found
    }

    /// One password instead of those there are; an empty one is none.
    pub(super) fn set_password(&mut self, password: &[u8]) {
        self.passwords.clear();
        self.no_password = password.is_empty();
        if !password.is_empty() {
            self.passwords.push(sha256(password));
        }
    }

    /// Applies one rule.
    pub(super) fn apply(
        &mut self,
        table: &CommandTable,
        rule: &[u8],
        open_channels: bool,
    ) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if rule.is_empty() {
        } else if is("on") {
            self.on = true;
        } else if is("off") {
            self.on = false;
        } else if is("skip-sanitize-payload") {
            self.skips_sanitizing = true;
        } else if is("sanitize-payload") {
            self.skips_sanitizing = false;
        } else if is("nopass") {
            self.no_password = true;
            self.passwords.clear();
        } else if is("resetpass") {
            self.no_password = false;
            self.passwords.clear();
        } else if is("clearselectors") {
            self.selectors.truncate(1);
        } else if is("reset") {
            *self = User::new(&self.name, table, open_channels);
        } else if let [kind @ (b'>' | b'#' | b'<' | b'!'), text @ ..] = rule {
            let hash = match kind {
                b'>' | b'<' => sha256(text),
                _ => parse_hash(text).ok_or(RuleError::BadHash)?,
            };
            let at = self.passwords.iter().position(|p| *p == hash);
            if matches!(kind, b'>' | b'#') {
                self.no_password = false;
                if at.is_none() {
                    self.passwords.push(hash);
                }
            } else {
                self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
            }
        } else if let Some(inner) = rule.strip_prefix(b"(").and_then(|r| r.strip_suffix(b")")) {
            let mut selector = Selector::new(table, open_channels);
            for rule in inner.split(u8::is_ascii_whitespace).filter(|r| !r.is_empty()) {
                // In the description it would end the selector.
                if rule.ends_with(b")") {
                    return Err(RuleError::Syntax);
                }
                selector.apply(table, rule)?;
            }
            self.selectors.push(selector);
        } else {
            self.selectors[0].apply(table, rule)?;
        }
        self.unrestricted = self.selectors.iter().any(Selector::is_unrestricted);
        Ok(())
    }

    /// `on`, `off`, `nopass` and so on.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.on { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.push(if self.skips_sanitizing {
            "skip-sanitize-payload"
        } else {
            "sanitize-payload"
        });
        flags
    }

    /// SHA-256 of the passwords, in hexadecimal.
    pub fn passwords(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(hex)
    }

    /// Rules that make this user.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.flags().join(" ").into_bytes();
        for password in self.passwords() {
            text.extend_from_slice(format!(" #{password}").as_bytes());
        }
        for (n, selector) in self.selectors.iter().enumerate() {
            let (before, behind): (&[u8], &[u8]) = if n == 0 { (b" ", b"") } else { (b" (", b")") };
            text.extend_from_slice(before);
            text.extend(selector.describe());
            text.extend_from_slice(behind);
        }
        text
    }

    /// `user NAME RULES`, as ACL LIST and files have it.
    pub fn line(&self) -> Vec<u8> {
        [b"user ", &*self.name, b" ", &self.describe()].concat()
    }

    /// Whether some selector allows a channel; a pattern must be one of the allowed ones itself.
    pub fn may_use_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|s| s.allows_channel(channel, is_pattern))
    }
}
