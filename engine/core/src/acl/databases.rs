//! Databases that a set of rights is good for: the rules `db=`, `alldbs` and `resetdbs` of Valkey 9.1.
//!
//! A request needs the database that its connection is in, if it has to do with keys, and those that it
//! names. Who says nothing of databases may use all.

use super::selector::RuleError;
use crate::args::Args;
use crate::command::{CommandSpec, DbSpec, Group, Run};
use moon_formats::number::parse_i64;

/// Most databases that a rule names: each request is held against the list.
const NAMED_MAX: usize = 1024;

/// All databases, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Databases {
    All,
    /// In the order in which they were given.
    These(Vec<u16>),
}

impl Databases {
    /// `db=0,3`: these, beside those that were named before.
    pub(super) fn add(&mut self, list: &[u8]) -> Result<(), RuleError> {
        let mut these = match self {
            Databases::All => Vec::new(),
            Databases::These(these) => these.clone(),
        };
        for number in list.split(|b| *b == b',') {
            let number = parse_i64(number).and_then(|n| u16::try_from(n).ok());
            let number = number.ok_or(RuleError::Syntax)?;
            if !these.contains(&number) {
                these.push(number);
            }
        }
        if these.len() > NAMED_MAX {
            return Err(RuleError::Syntax);
        }
        *self = Databases::These(these);
        Ok(())
    }

    pub(super) fn has(&self, db: u16) -> bool {
        match self {
            Databases::All => true,
            Databases::These(these) => these.contains(&db),
        }
    }

    /// What a request needs and has not: the index of the argument that names the database, 0 for that of its
    /// connection.
    pub(super) fn lacks(&self, spec: &CommandSpec, args: Args<'_>, db: u16) -> Option<usize> {
        if *self == Databases::All {
            return None;
        }
        // What is no number is the command's own error: it touches nothing then.
        let named = |at: usize| {
            let number = args.opt(at).and_then(parse_i64)?;
            u16::try_from(number).ok().filter(|db| !self.has(*db)).map(|_| at)
        };
        let by_name = match spec.databases {
            DbSpec::Own => None,
            DbSpec::Named(indices) => indices.iter().find_map(|at| named(*at)),
            DbSpec::After(word) => {
                (1..args.len()).find(|at| args.is(*at, word)).and_then(|at| named(at + 1))
            }
            DbSpec::All => Some(0),
        };
        by_name.or_else(|| (has_keys(spec) && !self.has(db)).then_some(0))
    }

    /// The rules that make it; none if all may be used.
    pub(super) fn describe(&self) -> Option<String> {
        match self {
            Databases::All => None,
            Databases::These(these) if these.is_empty() => Some("resetdbs".into()),
            Databases::These(these) => {
                let list: Vec<String> = these.iter().map(u16::to_string).collect();
                Some(format!("resetdbs db={}", list.join(",")))
            }
        }
    }
}

/// Whether a command has to do with keys of its connection's database.
fn has_keys(spec: &CommandSpec) -> bool {
    let of_data =
        matches!(spec.run, Run::Read(_) | Run::Write(_)) && spec.group != Group::Scripting;
    of_data || !spec.keys.is_empty()
}
