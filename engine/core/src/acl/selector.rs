//! One set of rights: commands, keys, channels.
//!
//! Invariant: `rules`, applied in order to all or no commands, give `bits` and `first_args` again.

use super::CATEGORIES;
use super::databases::Databases;
use crate::command::{Command, CommandTable, KeyUse};
use crate::glob::glob_match;

/// What a rule is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// No such command or category.
    Unknown,
    /// Not a rule.
    Syntax,
    /// A key pattern after `~*`.
    KeysAfterAll,
    /// A channel pattern after `&*`.
    ChannelsAfterAll,
    /// The password to remove is not there.
    NoSuchPassword,
    /// Not 64 lower-case hexadecimal digits.
    BadHash,
    /// `+config|get|x`.
    FirstArgOfSub,
}

impl RuleError {
    /// The text of Redis.
    pub fn text(self) -> &'static str {
        match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
                 not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::FirstArgOfSub => "Allowing first-arg of a subcommand is not supported",
        }
    }
}

/// Keys that match may be read, written, or both.
#[derive(Clone, PartialEq, Eq)]
struct KeyPattern {
    pattern: Box<[u8]>,
    read: bool,
    write: bool,
}

impl KeyPattern {
    fn describe(&self) -> Vec<u8> {
        let mark: &[u8] = match (self.read, self.write) {
            (true, true) => b"~",
            (true, false) => b"%R~",
            (false, _) => b"%W~",
        };
        [mark, &*self.pattern].concat()
    }
}

/// A set of rights.
#[derive(Clone)]
pub struct Selector {
    /// Allowed commands, by their number.
    bits: Vec<u64>,
    /// `+@all` and no command taken away since.
    all_commands: bool,
    /// `+@all` is what `rules` begin with.
    from_all: bool,
    /// `+get`, `-@write`, ... in the order in which they were given.
    rules: Vec<String>,
    /// Commands that are allowed with this first argument only.
    first_args: Vec<(u16, Box<[u8]>)>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Box<[u8]>>,
    pub(super) databases: Databases,
}

impl Selector {
    /// No rights, except for channels if those are open.
    pub(super) fn new(table: &CommandTable, open_channels: bool) -> Self {
        Selector {
            bits: vec![0; table.len().div_ceil(64)],
            all_commands: false,
            from_all: false,
            rules: Vec::new(),
            first_args: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: open_channels,
            channels: Vec::new(),
            databases: Databases::All,
        }
    }

    /// All rights.
    pub(super) fn unrestricted(table: &CommandTable) -> Self {
        let mut all = Selector::new(table, true);
        all.set_all(true);
        all.all_keys = true;
        all
    }

    pub(super) fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.databases == Databases::All
    }

    pub(super) fn has_all_keys(&self) -> bool {
        self.all_keys
    }

    pub(super) fn has_all_channels(&self) -> bool {
        self.all_channels
    }

    fn set_all(&mut self, allow: bool) {
        self.bits.fill(if allow { u64::MAX } else { 0 });
        (self.all_commands, self.from_all) = (allow, allow);
        self.rules.clear();
        self.first_args.clear();
    }

    fn set_bit(&mut self, id: u16, allow: bool) {
        let (word, bit) = (usize::from(id) / 64, 1u64 << (id % 64));
        if allow {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
            self.all_commands = false;
        }
    }

    fn set_command(&mut self, command: &Command, allow: bool) {
        self.set_bit(command.id, allow);
        self.first_args.retain(|(id, _)| *id != command.id);
        for sub in command.subs() {
            self.set_bit(sub.id, allow);
        }
    }

    /// Appends a rule and drops those before it that it overrides.
    fn note_rule(&mut self, name: &str, allow: bool) {
        let name = name.to_ascii_lowercase();
        self.rules.retain(|rule| {
            let there = &rule[1..];
            let rest = there.strip_prefix(name.as_str());
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        self.rules.push(format!("{}{name}", if allow { '+' } else { '-' }));
    }

    fn set_category(
        &mut self,
        table: &CommandTable,
        name: &str,
        allow: bool,
    ) -> Result<(), RuleError> {
        let bare = name.strip_prefix('@').unwrap_or(name).to_ascii_lowercase();
        if !CATEGORIES.contains(&bare.as_str()) {
            return Err(RuleError::Unknown);
        }
        self.note_rule(name, allow);
        for command in table.iter() {
            if in_category(command, &bare) {
                self.set_command(command, allow);
            }
            for sub in command.subs().iter().filter(|sub| in_category(sub, &bare)) {
                self.set_command(sub, allow);
            }
        }
        Ok(())
    }

    /// `+name`: a command, a subcommand, or a command with a first argument.
    fn allow_command(&mut self, table: &CommandTable, name: &str) -> Result<(), RuleError> {
        let Some((command, last)) = name.rsplit_once('|') else {
            let command = table.find(name.as_bytes()).ok_or(RuleError::Unknown)?;
            self.set_command(command, true);
            self.note_rule(command.spec.name, true);
            return Ok(());
        };
        let command = table.find_full(command.as_bytes()).ok_or(RuleError::Unknown)?;
        if command.spec.name.contains('|') {
            return Err(RuleError::FirstArgOfSub);
        }
        if last.is_empty() {
            return Err(RuleError::Syntax);
        }
        if command.subs().is_empty() {
            let arg: Box<[u8]> = last.as_bytes().into();
            let same = |(id, there): &(u16, Box<[u8]>)| {
                *id == command.id && there.eq_ignore_ascii_case(&arg)
            };
            if !self.first_args.iter().any(same) {
                self.first_args.push((command.id, arg));
            }
        } else {
            let sub = table.find_full(name.as_bytes()).ok_or(RuleError::Unknown)?;
            self.set_command(sub, true);
        }
        self.note_rule(name, true);
        Ok(())
    }

    /// Applies one rule.
    pub(super) fn apply(&mut self, table: &CommandTable, rule: &[u8]) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            self.all_keys = true;
            self.keys.clear();
        } else if is("resetkeys") {
            self.all_keys = false;
            self.keys.clear();
        } else if is("allchannels") || is("&*") {
            self.all_channels = true;
            self.channels.clear();
        } else if is("resetchannels") {
            self.all_channels = false;
            self.channels.clear();
        } else if is("alldbs") {
            self.databases = Databases::All;
        } else if is("resetdbs") {
            self.databases = Databases::These(Vec::new());
        } else if let Some((name, list)) = rule.split_at_checked(3)
            && name.eq_ignore_ascii_case(b"db=")
        {
            self.databases.add(list)?;
        } else if is("allcommands") || is("+@all") {
            self.set_all(true);
        } else if is("nocommands") || is("-@all") {
            self.set_all(false);
        } else if matches!(rule, [b'~' | b'%', ..]) {
            self.add_keys(rule)?;
        } else if let [b'&', pattern @ ..] = rule {
            if self.all_channels {
                return Err(RuleError::ChannelsAfterAll);
            }
            if super::has_blanks(pattern) {
                return Err(RuleError::Syntax);
            }
            if !self.channels.iter().any(|c| **c == *pattern) {
                self.channels.push(pattern.into());
            }
        } else if let [sign @ (b'+' | b'-'), name @ ..] = rule {
            let name = std::str::from_utf8(name).map_err(|_| RuleError::Unknown)?;
            let allow = *sign == b'+';
            if name.starts_with('@') {
                return self.set_category(table, name, allow);
            }
            if allow {
                return self.allow_command(table, name);
            }
            let command = table.find_full(name.as_bytes()).ok_or(RuleError::Unknown)?;
            self.set_command(command, false);
            self.note_rule(command.spec.name, false);
        } else {
            return Err(RuleError::Syntax);
        }
        Ok(())
    }

    /// `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::KeysAfterAll);
        }
        let at = rule.iter().position(|b| *b == b'~').ok_or(RuleError::Syntax)?;
        let (read, write) = match rule[..at].to_ascii_uppercase().as_slice() {
            b"" | b"%RW" | b"%WR" => (true, true),
            b"%R" => (true, false),
            b"%W" => (false, true),
            _ => return Err(RuleError::Syntax),
        };
        let pattern = &rule[at + 1..];
        if super::has_blanks(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|k| *k.pattern == *pattern) {
            Some(there) => {
                there.read |= read;
                there.write |= write;
            }
            None => self.keys.push(KeyPattern { pattern: pattern.into(), read, write }),
        }
        Ok(())
    }

    /// Whether it grants the command, its first argument given.
    pub(super) fn allows_command(&self, command: &Command, first_arg: Option<&[u8]>) -> bool {
        let (word, bit) = (usize::from(command.id) / 64, 1u64 << (command.id % 64));
        self.all_commands
            || self.bits.get(word).is_some_and(|w| w & bit != 0)
            || first_arg.is_some_and(|arg| {
                let mut allowed = self.first_args.iter();
                allowed.any(|(id, a)| *id == command.id && a.eq_ignore_ascii_case(arg))
            })
    }

    /// Whether it grants this use of a key.
    pub(super) fn allows_key(&self, key: &[u8], usage: KeyUse) -> bool {
        self.all_keys
            || self.keys.iter().any(|k| allows_use(k, usage) && glob_match(&k.pattern, key, false))
    }

    /// Whether it grants this use of every key.
    pub(super) fn allows_every_key(&self, usage: KeyUse) -> bool {
        self.all_keys || self.keys.iter().any(|k| allows_use(k, usage) && *k.pattern == *b"*")
    }

    /// Whether it grants a channel, or a pattern of channels.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|allowed| match is_pattern {
                true => **allowed == *channel,
                false => glob_match(allowed, channel, false),
            })
    }

    /// Rules of the commands, from none or all of them.
    pub fn describe_commands(&self) -> String {
        let mut text = String::from(if self.from_all { "+@all" } else { "-@all" });
        for rule in &self.rules {
            text.push(' ');
            text.push_str(rule);
        }
        text
    }

    /// Rules of the keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        self.keys.iter().map(KeyPattern::describe).collect::<Vec<_>>().join(&b' ')
    }

    /// Rules of the channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let each = self.channels.iter().map(|c| [b"&", &**c].concat());
        each.collect::<Vec<_>>().join(&b' ')
    }

    /// Rules of the databases; none if all may be used.
    pub fn describe_databases(&self) -> Option<String> {
        self.databases.describe()
    }

    /// Rules that make this selector.
    pub(super) fn describe(&self) -> Vec<u8> {
        let mut words = vec![self.describe_keys()];
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        words.push(self.describe_channels());
        words.extend(self.databases.describe().map(String::into_bytes));
        words.push(self.describe_commands().into_bytes());
        words.retain(|w| !w.is_empty());
        words.join(&b' ')
    }
}

fn allows_use(pattern: &KeyPattern, usage: KeyUse) -> bool {
    let writes =
        usage.has(KeyUse::INSERT) || usage.has(KeyUse::DELETE) || usage.has(KeyUse::UPDATE);
    (pattern.read || !usage.has(KeyUse::ACCESS)) && (pattern.write || !writes)
}

/// Whether a command belongs to a category, given without `@`.
pub(super) fn in_category(command: &Command, name: &str) -> bool {
    command.spec.acl_categories().iter().any(|c| c.strip_prefix('@') == Some(name))
}
