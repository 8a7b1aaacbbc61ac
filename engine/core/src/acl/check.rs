//! The question itself: may this user run this request?

use super::User;
use super::selector::Selector;
use crate::args::Args;
use crate::command::keys::for_each_key;
use crate::command::{Command, Flags, KeyUse};
use crate::error::CmdError;

/// Where a request comes from (`ACL LOG`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A client.
    Toplevel,
    /// A transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// Name in `ACL LOG`.
    pub fn name(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// What is missing. Of several selectors the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A database.
    Database,
    /// Reading every key, which a pattern in an option needs (SORT BY, GET).
    Pattern,
}

/// A request that no selector grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What is missing.
    pub reason: Reason,
    /// Index of the argument that names it.
    pub at: usize,
}

impl Denial {
    /// The error of a request.
    pub fn error(self, user: &User, command: &Command, args: Args<'_>) -> CmdError {
        match self.reason {
            Reason::Command => CmdError::text(format!("NOPERM {}", no_command(user, command))),
            Reason::Key => CmdError::fixed("NOPERM No permissions to access a key"),
            Reason::Channel => CmdError::fixed("NOPERM No permissions to access a channel"),
            Reason::Database => CmdError::fixed("NOPERM No permissions to access a database"),
            Reason::Pattern => CmdError::text(format!("ERR {}", no_pattern(args.get(self.at)))),
        }
    }

    /// The error of a queued request, whose user has lost a right since.
    pub fn error_at_exec(self) -> CmdError {
        let reason = match self.reason {
            Reason::Command => "no permission to execute the command or subcommand",
            Reason::Key | Reason::Pattern => "no permission to touch the specified keys",
            Reason::Channel => "no permission to access one of the channels used as arguments",
            Reason::Database => "no permission to access the database",
        };
        CmdError::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the \
             EXEC call. This command is no longer allowed for the following reason: {reason}"
        ))
    }

    /// What ACL DRYRUN says: with names.
    pub fn explain(self, user: &User, command: &Command, args: Args<'_>) -> String {
        let what = match self.reason {
            Reason::Command => return no_command(user, command),
            Reason::Pattern => return no_pattern(args.get(self.at)),
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Database => {
                let name = String::from_utf8_lossy(user.name());
                return format!("User {name} has no permissions to access the database");
            }
        };
        let name = String::from_utf8_lossy(user.name());
        let object = String::from_utf8_lossy(args.get(self.at));
        format!("User {name} has no permissions to access the '{object}' {what}")
    }
}

fn no_command(user: &User, command: &Command) -> String {
    let name = String::from_utf8_lossy(user.name());
    format!("User {name} has no permissions to run the '{}' command", command.spec.name)
}

fn no_pattern(option: &[u8]) -> String {
    let option = String::from_utf8_lossy(option).to_ascii_uppercase();
    format!("{option} option of SORT denied due to insufficient ACL permissions.")
}

/// Whether some selector of the user grants the request of a connection that is in database `db`.
///
/// # Errors
/// What the selector that comes closest does not grant.
#[inline]
pub fn check(user: &User, command: &Command, args: Args<'_>, db: u16) -> Result<(), Denial> {
    if user.is_unrestricted() { Ok(()) } else { check_selectors(user, command, args, db) }
}

#[cold]
fn check_selectors(user: &User, command: &Command, args: Args<'_>, db: u16) -> Result<(), Denial> {
    let mut closest = Denial { reason: Reason::Command, at: 0 };
    for selector in user.selectors() {
        match grants(selector, command, args, db) {
            Ok(()) => return Ok(()),
            Err(denial) => closest = closest.max(denial),
        }
    }
    Err(closest)
}

fn grants(selector: &Selector, command: &Command, args: Args<'_>, db: u16) -> Result<(), Denial> {
    let spec = command.spec;
    if !spec.flags.has(Flags::NO_AUTH)
        && !selector.allows_command(command, (args.len() > 1).then(|| args.get(1)))
    {
        return Err(Denial { reason: Reason::Command, at: 0 });
    }
    if let Some(at) = selector.databases.lacks(spec, args, db) {
        return Err(Denial { reason: Reason::Database, at });
    }
    if !selector.has_all_keys() {
        let mut denied = None;
        // A wrong number of keys is the command's own error: it touches none then.
        let _ = for_each_key(spec, args, |at, key| {
            if denied.is_none() && !selector.allows_key(args.get(at), key.usage) {
                denied = Some(at);
            }
        });
        if let Some(at) = denied {
            return Err(Denial { reason: Reason::Key, at });
        }
        if let Some(at) = pattern_option(command, args)
            && !selector.allows_every_key(KeyUse::ACCESS)
        {
            return Err(Denial { reason: Reason::Pattern, at });
        }
    }
    if let Some(channels) = spec.channels
        && !selector.has_all_channels()
    {
        for at in channels.range(args.len()) {
            if !selector.allows_channel(args.get(at), channels.patterns) {
                return Err(Denial { reason: Reason::Channel, at });
            }
        }
    }
    Ok(())
}

/// Where an option stands whose value may name any key.
fn pattern_option(command: &Command, args: Args<'_>) -> Option<usize> {
    let options = command.spec.key_patterns;
    if options.is_empty() {
        return None;
    }
    (2..args.len().saturating_sub(1)).find(|&i| {
        let star = args.get(i + 1).contains(&b'*');
        options.iter().any(|o| args.is(i, o.name) && (star || !o.only_with_star))
    })
}
