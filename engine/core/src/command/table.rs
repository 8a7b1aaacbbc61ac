//! Looking rows up by name.
//!
//! Built once at start from the groups' row lists. Names are at most [`NAME_MAX`] bytes and
//! unique; a lookup is one hash of the lower-cased name and, nearly always, one comparison.
//!
//! Invariant: a row with [`Flags::LOGGED`] is found by [`CommandTable::resolve_logged`] alone. Clients, scripts,
//! rules of users and listings do not know it.

use super::spec::{CommandSpec, Flags};
use crate::args::Args;
use crate::error::CmdError;

/// Longest command or subcommand name, in bytes.
pub const NAME_MAX: usize = 32;

/// A row in force, with the number under which its statistics are kept.
pub struct Command {
    /// The row.
    pub spec: &'static CommandSpec,
    /// Dense number, usable as an index below [`CommandTable::len`].
    pub id: u16,
    subs: Vec<Command>,
}

impl Command {
    /// Subcommands of a container, in the order of their rows.
    pub fn subs(&self) -> &[Command] {
        &self.subs
    }
}

/// The table of all commands of a server.
pub struct CommandTable {
    commands: Vec<Command>,
    /// Open addressing, index + 1 into `commands`; 0 is free. A power of two, at most half full.
    slots: Vec<u16>,
    /// Rows that only a log uses.
    logged: Vec<Command>,
    len: usize,
}

impl CommandTable {
    /// Builds the table from row lists; panics at start-up if a name occurs twice, which a
    /// test of the assembled table catches.
    pub fn new(groups: &[&'static [CommandSpec]]) -> Self {
        let mut len = 0u16;
        let mut next_id = || {
            len += 1;
            len - 1
        };
        let (mut commands, mut logged) = (Vec::new(), Vec::new());
        for spec in groups.iter().flat_map(|g| g.iter()) {
            let id = next_id();
            if spec.flags.has(Flags::LOGGED) {
                logged.push(Command { spec, id, subs: vec![] });
                continue;
            }
            let subs = spec
                .subs
                .iter()
                .map(|s| Command { spec: s, id: next_id(), subs: vec![] })
                .collect();
            commands.push(Command { spec, id, subs });
        }
        let size = (commands.len() * 4).next_power_of_two();
        let mut slots = vec![0u16; size];
        for (n, c) in commands.iter().enumerate() {
            let mut i = hash(c.spec.name.as_bytes()) as usize & (size - 1);
            while slots[i] != 0 {
                let other = commands[usize::from(slots[i]) - 1].spec.name;
                assert_ne!(other, c.spec.name, "two rows for one command");
                i = (i + 1) & (size - 1);
            }
            slots[i] = n as u16 + 1;
        }
        CommandTable { commands, slots, logged, len: usize::from(len) }
    }

    /// Number of rows, subcommands and those that only a log uses included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Top-level rows in table order.
    pub fn iter(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter()
    }

    /// A top-level row by name, any case.
    pub fn find(&self, name: &[u8]) -> Option<&Command> {
        let mut lower = [0u8; NAME_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let mask = self.slots.len() - 1;
        let mut i = hash(lower) as usize & mask;
        loop {
            let n = usize::from(self.slots[i]);
            if n == 0 {
                return None;
            }
            let c = &self.commands[n - 1];
            if c.spec.name.as_bytes() == lower {
                return Some(c);
            }
            i = (i + 1) & mask;
        }
    }

    /// A row by its full name: `get` or `config|get`, any case.
    pub fn find_full(&self, name: &[u8]) -> Option<&Command> {
        match name.iter().position(|&b| b == b'|') {
            None => self.find(name),
            Some(at) => {
                let container = self.find(&name[..at])?;
                container
                    .subs
                    .iter()
                    .find(|s| sub_name(s.spec).eq_ignore_ascii_case(&name[at + 1..]))
            }
        }
    }

    /// The row a request means, whether its arguments fit or not.
    pub fn meant(&self, args: Args<'_>) -> Option<&Command> {
        let found = self.find(args.get(0))?;
        let sub = args.opt(1).and_then(|name| {
            found.subs.iter().find(|s| sub_name(s.spec).eq_ignore_ascii_case(name))
        });
        Some(sub.unwrap_or(found))
    }

    /// The row a request means, or refusal 1 (unknown) or 2 (arity) of the order of refusals.
    #[inline]
    pub fn resolve(&self, args: Args<'_>) -> Result<&Command, CmdError> {
        let Some(found) = self.find(args.get(0)) else { return Err(unknown(args)) };
        let row = if found.subs.is_empty() || args.len() < 2 {
            found
        } else {
            let sub = args.get(1);
            match found.subs.iter().find(|s| sub_name(s.spec).eq_ignore_ascii_case(sub)) {
                Some(s) => s,
                None if matches!(found.spec.run, super::Run::Container) => {
                    return Err(unknown_sub(found.spec, sub));
                }
                None => found,
            }
        };
        fits(row, args)
    }

    /// The row that an effect in a log means: as [`CommandTable::resolve`], and those that only a log uses.
    pub fn resolve_logged(&self, args: Args<'_>) -> Result<&Command, CmdError> {
        let means = |row: &&Command| {
            let mut words = row.spec.name.split('|');
            let said = |i: usize| args.opt(i).unwrap_or_default();
            (0..).zip(&mut words).all(|(i, word)| said(i).eq_ignore_ascii_case(word.as_bytes()))
        };
        match self.logged.iter().find(means) {
            Some(row) => fits(row, args),
            None => self.resolve(args),
        }
    }
}

fn fits<'t>(row: &'t Command, args: Args<'_>) -> Result<&'t Command, CmdError> {
    match row.spec.arity_fits(args.len()) {
        true => Ok(row),
        false => Err(CmdError::arity(row.spec.name)),
    }
}

/// The part after the bar of a subcommand's name.
pub fn sub_name(spec: &CommandSpec) -> &'static [u8] {
    spec.name.split_once('|').map_or(spec.name, |(_, s)| s).as_bytes()
}

fn hash(lower: &[u8]) -> u32 {
    let mut h = 0x811c_9dc5u32 ^ lower.len() as u32;
    for &b in lower {
        h = (h ^ u32::from(b)).wrapping_mul(0x0100_0193);
    }
    h ^ (h >> 15)
}

/// At most `max` bytes and none behind a NUL, as the `%.*s` of the original prints them.
fn printable(bytes: &[u8], max: usize) -> String {
    let bytes = bytes.split(|b| *b == 0).next().unwrap_or(bytes);
    String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)).into_owned()
}

fn unknown(args: Args<'_>) -> CmdError {
    let mut list = String::new();
    for a in args.from(1) {
        if list.len() >= 128 {
            break;
        }
        list.push_str(&format!("'{}' ", printable(a, 128 - list.len())));
    }
    CmdError::text(format!(
        "ERR unknown command '{}', with args beginning with: {list}",
        printable(args.get(0), 128)
    ))
}

fn unknown_sub(container: &CommandSpec, sub: &[u8]) -> CmdError {
    CmdError::text(format!(
        "ERR unknown subcommand '{}'. Try {} HELP.",
        printable(sub, 128),
        container.name.to_ascii_uppercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{GROUPS, replay_table, slots};

    #[test]
    fn what_only_a_log_says_is_found_by_its_replay_alone() {
        let table = replay_table();
        let words: [&[u8]; 3] = [b"CDC.slot", b"Set", b"name"];
        let found = table.resolve_logged(Args::new(&words)).expect("a form of the log");
        assert_eq!(found.spec.name, "cdc.slot|set");
        assert!(usize::from(found.id) < table.len());
        assert!(table.resolve(Args::new(&words)).is_err());
        assert!(table.meant(Args::new(&words)).is_none());
        assert!(table.find_full(b"cdc.slot|set").is_none());
        let mut rows = table.iter().flat_map(|c| std::iter::once(c).chain(c.subs()));
        assert!(rows.all(|row| !row.spec.flags.has(Flags::LOGGED)));
        assert!(table.resolve_logged(Args::new(&words[..2])).is_err(), "an arity");
        let other: [&[u8]; 3] = [b"cdc.slot", b"setx", b"name"];
        assert!(table.resolve_logged(Args::new(&other)).is_err());
        let plain: [&[u8]; 2] = [b"get", b"a"];
        assert!(table.resolve_logged(Args::new(&plain)).is_ok());
        let without = CommandTable::new(GROUPS);
        assert!(without.resolve_logged(Args::new(&words)).is_err());
        assert_eq!(table.len(), without.len() + slots::LOGGED.len());
    }
}
