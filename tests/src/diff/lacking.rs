//! Which commands of a sequence the subject lacks.

use super::{Kind, Op};
use crate::client::Client;
use crate::{Command, cmd};
use std::collections::BTreeSet;
use std::io;

fn name(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_ascii_uppercase()
}

/// The names among `ops` that the oracle knows and the subject does not, by COMMAND INFO.
pub fn lacking(
    ops: &[Op],
    oracle: &mut Client,
    subject: &mut Client,
) -> io::Result<BTreeSet<String>> {
    let names: BTreeSet<String> = ops.iter().flat_map(|op| op.commands.iter().map(name)).collect();
    let mut lacking = BTreeSet::new();
    for name in names {
        let info = cmd!["COMMAND", "INFO", name];
        let knows = |client: &mut Client| {
            let reply = client.call(&info)?;
            let row = reply.elements().and_then(|e| e.first()).cloned();
            io::Result::Ok(row.is_some_and(|row| row.elements().is_some()))
        };
        if knows(oracle)? && !knows(subject)? {
            lacking.insert(name);
        }
    }
    Ok(lacking)
}

/// Drops the commands named in `names`.
pub fn without(ops: &mut Vec<Op>, names: &BTreeSet<String>) {
    for op in &mut *ops {
        op.commands.retain(|command| !names.contains(&name(command)));
    }
    ops.retain(|op| {
        !op.commands.is_empty() || matches!(op.kind, Kind::Checkpoint | Kind::Reloaded)
    });
}
