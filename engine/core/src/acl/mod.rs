//! Who may run what on which keys and channels (Redis ACL v2, redis-surface §15).
//!
//! A [`User`] has passwords and selectors; a request is allowed if one selector grants the command,
//! all of its keys and all of its channels together. The executor asks before every request, queued,
//! run from a script or resumed after a wait ([`check`]); keys come from the one key extractor
//! ([`crate::command::keys`]).
//!
//! Invariants:
//! * A change of a user is whole or not at all: rules are applied to a copy, which replaces it.
//! * A session holds the user itself, not a copy, so a change counts from its next request on.
//! * What [`User::describe`] prints makes the same user again.
//! * Passwords exist as SHA-256 only, and are compared in constant time.

mod check;
mod databases;
mod selector;
mod user;

pub use check::{Context, Denial, Reason, check};
pub use selector::{RuleError, Selector};
pub use user::User;

use crate::command::CommandTable;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::OnceLock;

/// A user as sessions hold it.
pub type Handle = Rc<RefCell<User>>;

/// The name of the user that connections have before they authenticate.
pub const DEFAULT: &[u8] = b"default";

/// The command categories in the order in which `ACL CAT` lists them.
pub const CATEGORIES: [&str; 22] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
    "cdc",
];

/// All users of a server.
pub struct Users {
    table: &'static CommandTable,
    users: BTreeMap<Box<[u8]>, Handle>,
    default: Handle,
    /// `acl-pubsub-default allchannels`: new users may use every channel.
    pub open_channels: bool,
}

/// One user of a file that is being loaded: name and rules.
type Entry = (Box<[u8]>, User);

impl Users {
    /// The default user alone, who may do everything without a password.
    pub fn new(table: &'static CommandTable) -> Self {
        let default = Rc::new(RefCell::new(User::unrestricted(table)));
        let users = BTreeMap::from([(DEFAULT.into(), default.clone())]);
        Users { table, users, default, open_channels: false }
    }

    /// The user of connections that have not authenticated.
    pub fn default_user(&self) -> &Handle {
        &self.default
    }

    /// A user by name.
    pub fn get(&self, name: &[u8]) -> Option<&Handle> {
        self.users.get(name)
    }

    /// All users by name.
    pub fn iter(&self) -> impl Iterator<Item = &Handle> {
        self.users.values()
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Never: the default user cannot be removed.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Applies rules to a user, who is made if there is none (ACL SETUSER). The error is what
    /// follows `ERR `.
    ///
    /// # Errors
    /// The first rule that does not hold; nothing has changed then.
    pub fn set(&mut self, name: &[u8], rules: &[&[u8]]) -> Result<Handle, String> {
        let mut user = match self.users.get(name) {
            Some(user) => user.borrow().clone(),
            None => self.fresh(name),
        };
        let rules = merge_selectors(rules).map_err(|at| {
            let rule = String::from_utf8_lossy(rules[at]).into_owned();
            format!("Unmatched parenthesis in acl selector starting at '{rule}'.")
        })?;
        for rule in &rules {
            user.apply(self.table, rule, self.open_channels).map_err(|e| {
                let rule = String::from_utf8_lossy(rule);
                format!("Error in ACL SETUSER modifier '{rule}': {}", e.text())
            })?;
        }
        Ok(self.put(name, user))
    }

    /// Replaces or clears the password of the default user (`requirepass`).
    pub fn set_default_password(&mut self, password: &[u8]) {
        self.default.borrow_mut().set_password(password);
    }

    fn fresh(&self, name: &[u8]) -> User {
        User::new(name, self.table, self.open_channels)
    }

    fn put(&mut self, name: &[u8], user: User) -> Handle {
        if let Some(there) = self.users.get(name) {
            *there.borrow_mut() = user;
            return there.clone();
        }
        let handle = Rc::new(RefCell::new(user));
        self.users.insert(name.into(), handle.clone());
        handle
    }

    /// Removes a user; its connections must be closed. `None` if there is none, or it is the
    /// default user.
    pub fn remove(&mut self, name: &[u8]) -> Option<Handle> {
        if name == DEFAULT { None } else { self.users.remove(name) }
    }

    /// The user that these credentials belong to. Takes as long for users that do not exist.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Handle> {
        let hash = user::sha256(password);
        let user = self.users.get(name);
        let probe = user.unwrap_or(&self.default).borrow();
        let fits = probe.enabled() && (probe.no_password() || probe.has_password(&hash));
        user.filter(|_| fits).cloned()
    }

    /// One line of a file.
    fn check_entry(&self, words: &[Vec<u8>]) -> Result<Entry, String> {
        let [first, name, rules @ ..] = words else {
            return Err("should start with user keyword followed by the username".into());
        };
        if first != b"user" {
            return Err("should start with user keyword followed by the username".into());
        }
        if has_blanks(name) {
            let name = String::from_utf8_lossy(name);
            return Err(format!("username '{name}' contains invalid characters"));
        }
        let mut user = self.fresh(name);
        let rules: Vec<&[u8]> = rules.iter().map(Vec::as_slice).collect();
        let rules = merge_selectors(&rules)
            .map_err(|_| "Unmatched parenthesis in selector definition".to_string())?;
        for rule in &rules {
            user.apply(self.table, rule, self.open_channels).map_err(|e| match e {
                RuleError::Unknown => {
                    let rule = String::from_utf8_lossy(rule);
                    format!("Error in applying operation '{rule}': {}", e.text())
                }
                // Other rules may hold secrets.
                e => e.text().to_string(),
            })?;
        }
        Ok((name.as_slice().into(), user))
    }

    /// Replaces all users by those of a file's text, one `user NAME RULE...` a line (ACL LOAD).
    /// Users that stay keep their sessions; returned are those that are gone.
    ///
    /// # Errors
    /// All that is wrong, with `name` and line numbers; nothing has changed then.
    pub fn load(&mut self, name: &str, text: &[u8]) -> Result<Vec<Handle>, String> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut errors = String::new();
        for (n, line) in text.split(|b| *b == b'\n').enumerate() {
            let words: Vec<Vec<u8>> = line
                .split(|b| matches!(b, b' ' | b'\t' | b'\r'))
                .filter(|w| !w.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
            if words.is_empty() || words[0].starts_with(b"#") {
                continue;
            }
            match self.check_entry(&words) {
                Ok((user, _)) if entries.iter().any(|(there, _)| *there == user) => {
                    let user = String::from_utf8_lossy(&user);
                    errors += &format!("{name}:{}: Duplicate user '{user}' found. ", n + 1);
                }
                Ok(entry) => entries.push(entry),
                Err(e) => errors += &format!("{name}:{}: {e}. ", n + 1),
            }
        }
        if !errors.is_empty() {
            return Err(errors
                + "WARNING: ACL errors detected, no change to the previously active ACL rules was \
                   performed");
        }
        Ok(self.replace(entries))
    }

    fn replace(&mut self, mut entries: Vec<Entry>) -> Vec<Handle> {
        if !entries.iter().any(|(name, _)| &**name == DEFAULT) {
            entries.push((DEFAULT.into(), User::unrestricted(self.table)));
        }
        let mut gone = std::mem::take(&mut self.users);
        for (name, user) in entries {
            if let Some(handle) = gone.remove(&name) {
                *handle.borrow_mut() = user;
                self.users.insert(name, handle);
            } else {
                self.users.insert(name, Rc::new(RefCell::new(user)));
            }
        }
        gone.into_values().collect()
    }

    /// The text that [`Users::load`] takes.
    pub fn save(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for user in self.iter() {
            text.extend(user.borrow().line());
            text.push(b'\n');
        }
        text
    }
}

/// Fuzz entry: any file of users is taken whole or refused, and what is saved loads as the same.
///
/// # Panics
/// If it does not.
pub fn hostile(data: &[u8]) {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    let table = TABLE.get_or_init(|| CommandTable::new(crate::commands::GROUPS));
    let mut users = Users::new(table);
    let before = users.save();
    if users.load("file", data).is_err() {
        assert_eq!(users.save(), before, "a refused file has changed something");
        return;
    }
    let saved = users.save();
    let mut again = Users::new(table);
    if let Err(e) = again.load("file", &saved) {
        panic!("a saved file is refused: {e}");
    }
    assert_eq!(again.save(), saved);
}

/// Whether a name could not stand in a file of users.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter().any(|b| b.is_ascii_whitespace() || matches!(b, 0 | 0x0b))
}

/// Joins what stands between parentheses to one rule. The error is the index of the argument that
/// opens and does not close.
fn merge_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, usize> {
    let mut rules: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (i, word) in words.iter().enumerate() {
        match &mut open {
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if word.ends_with(b")")
                    && let Some((_, selector)) = open.take()
                {
                    rules.push(selector);
                }
            }
            None if word.starts_with(b"(") && !word.ends_with(b")") => {
                open = Some((i, word.to_vec()));
            }
            None => rules.push(word.to_vec()),
        }
    }
    match open {
        Some((at, _)) => Err(at),
        None => Ok(rules),
    }
}
