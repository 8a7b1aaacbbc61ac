//! The journal of a migration, beside a data directory: how far moon-migrate has come, and what goes on from there.

use std::path::Path;

use moon_formats::migration::{Journal, State};
use moon_formats::names::MIGRATION_JOURNAL_SUFFIX;
use moon_storage::migration::new_tree;

use crate::fail::{Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out, Value};

/// First word of a journal.
const MAGIC: &[u8] = b"moon-migrate ";

/// Whether a file is a journal, by its content.
pub(crate) fn is_one(files: &Files, path: &Path) -> Result<bool, Failure> {
    Ok(place(files, path)? == Place::File && files.head(path, MAGIC.len())?.0 == MAGIC)
}

/// `header` of a journal.
pub(crate) fn header(files: &Files, path: &Path, out: &mut Out<'_>) -> Result<u8, Failure> {
    let text = files.text(path)?.unwrap_or_default();
    let advice = "which tree is whole is said by moon-inspect storage verify of each; then move the journal away";
    let said = Journal::decode(&text).map_err(|e| Failure::decode(path, &e, advice))?;
    let whole = path.display().to_string();
    let target = whole.strip_suffix(MIGRATION_JOURNAL_SUFFIX);
    let print = said.source.map(|print| format!("{print:032x}"));
    let accepted = said.accepted.iter().map(|loss| Value::from(loss.as_str())).collect();
    let next = next(said.state);
    let fields: Fields = vec![
        ("file", path.into()),
        ("target", target.into()),
        ("state", said.state.name().into()),
        ("from", said.from.as_str().into()),
        ("source", print.clone().into()),
        ("databases", said.databases.into()),
        ("accepted", Value::List(accepted)),
        ("backup", said.backup.clone().into()),
        ("next", next.into()),
    ];
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let new = target.map(|target| new_tree(Path::new(target)).display().to_string());
    let text = format!(
        "{whole} ({} bytes)\n  a run of moon-migrate into {}, from {}\n  state {}: {next}\n  print of the source {}\n  \
         old tree {}, new tree {}",
        text.len(),
        or_none(target),
        said.from,
        said.state.name(),
        or_none(print.as_deref()),
        or_none(said.backup.as_deref()),
        or_none(new.as_deref())
    );
    out.item("migration", fields, &text);
    Ok(SOUND)
}

/// What there is to be done in a state.
fn next(state: State) -> &'static str {
    match state {
        State::Planned | State::Copying => "the target is as it was; moon-migrate resume copies",
        State::Verified => "the target is as it was; moon-migrate resume changes the names",
        State::Swapping => {
            "the names are changing, no server starts; moon-migrate resume ends it, rollback undoes it"
        }
        State::Done => "nothing is left to do; moon-migrate rollback undoes it",
        State::Back => {
            "undone, or on the way to it; moon-migrate rollback ends it, resume brings the new tree back"
        }
    }
}
