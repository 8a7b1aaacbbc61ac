//! A directory carried into the newest format, in its place.
//!
//! The one idea: an upgrade is a run whose source and target have the same name. So the old tree stays as
//! `<dir>.v<n>.bak`, and a crash leaves it usable.
//!
//! | directory | what an upgrade does |
//! |---|---|
//! | of the reference (no `moon.storage`: revision 0) | carries it over |
//! | of this version's revision | nothing |
//! | of a later one | refuses, with the number that is not known |

use moon_formats::json::Object;
use moon_formats::marker::REVISION;
use moon_report::Report;
use moon_storage::marker;

use crate::cli::{Kind, Place};
use crate::fail::Failure;
use crate::host::Host;
use crate::reference;

/// Looks at a directory that is to be upgraded, and says so if there is nothing to do.
pub(crate) async fn nothing_to_do(
    host: &Host,
    place: &Place,
    out: &mut Report<'_>,
) -> Result<bool, Failure> {
    let path = &place.path;
    if place.kind != Kind::Moon {
        return Err(Failure::refused("only a directory of Moon is upgraded"));
    }
    match marker::read(&*host.disk, path).await {
        Ok(Some(_)) => {
            let target = path.display().to_string();
            let text = format!("{target} has revision {REVISION}, the newest: nothing to do");
            let object = |o: Object| o.text("target", &target).number("revision", REVISION);
            out.item("newest", object, &text);
            Ok(true)
        }
        Ok(None) if reference::is_one(path) => Ok(false),
        Ok(None) => {
            Err(Failure::refused(format!("{} is no data directory of Moon", path.display())))
        }
        Err(e) => Err(Failure::refused(e.to_string())),
    }
}
