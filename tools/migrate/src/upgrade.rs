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

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use moon_formats::marker::REVISION;
use moon_formats::names;
use moon_storage::marker;

use crate::cli::{Kind, Place};
use crate::fail::Failure;
use crate::host::Host;
use crate::reference;

/// Looks at a directory that is to be upgraded. With what is said if there is nothing to do.
pub(crate) async fn nothing_to_do(host: &Host, place: &Place) -> Result<Option<String>, Failure> {
    let path = &place.path;
    if place.kind != Kind::Moon {
        return Err(Failure::refused("only a directory of Moon is upgraded"));
    }
    match marker::read(&*host.disk, path).await {
        Ok(Some(_)) => {
            let path = path.display();
            Ok(Some(format!("{path} has revision {REVISION}, the newest: nothing to do\n")))
        }
        Ok(None) if reference::is_one(path) => Ok(None),
        Ok(None) => {
            Err(Failure::refused(format!("{} is no data directory of Moon", path.display())))
        }
        Err(e) => Err(Failure::refused(e.to_string())),
    }
}

/// The files of a tree, to see later that nobody has changed them: old servers lock nothing.
#[derive(Debug)]
pub(crate) struct Stamp {
    dir: PathBuf,
    files: Files,
}

/// Length and time of the last change.
type Files = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Stamp {
    /// Looks at a source that is also the target; `None` if it is not.
    pub(crate) fn in_place(from: &Path, to: &Path) -> Result<Option<Stamp>, Failure> {
        match (from.canonicalize(), to.canonicalize()) {
            (Ok(a), Ok(b)) if a == b => Ok(Some(Stamp { dir: from.into(), files: files(from)? })),
            _ => Ok(None),
        }
    }

    /// Refuses a tree that has changed since.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let now = files(&self.dir)?;
        let changed = now.iter().find(|(path, what)| self.files.get(*path) != Some(what));
        let gone = self.files.keys().find(|path| !now.contains_key(*path));
        match changed.map(|(path, _)| path).or(gone) {
            None => Ok(()),
            Some(path) => Err(Failure::refused(format!(
                "{} changed during the copy: stop its server, then moon-migrate resume copies again",
                path.display()
            ))),
        }
    }
}

fn files(dir: &Path) -> Result<Files, Failure> {
    let (mut found, mut waiting) = (Files::new(), vec![dir.to_path_buf()]);
    while let Some(dir) = waiting.pop() {
        let io = |e| Failure::io("read", &dir, e);
        for entry in fs::read_dir(&dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let meta = entry.metadata().map_err(io)?;
            match meta.is_dir() {
                true => waiting.push(entry.path()),
                // Ours.
                false if entry.file_name() == names::LOCK => {}
                false => {
                    found.insert(entry.path(), (meta.len(), meta.modified().ok()));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_the_lock_is_none() {
        let dir = std::env::temp_dir().join(format!("moon-stamp-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::write(dir.join("a/file"), "one").unwrap();
        assert!(Stamp::in_place(&dir, &dir.join("a")).unwrap().is_none());
        assert!(Stamp::in_place(&dir, &dir.join("absent")).unwrap().is_none());
        let stamp = Stamp::in_place(&dir, &dir.join("a/..")).unwrap().unwrap();
        fs::write(dir.join(names::LOCK), "7").unwrap();
        assert!(stamp.check().is_ok());
        fs::write(dir.join("a/file"), "longer").unwrap();
        let failure = stamp.check().unwrap_err();
        assert!(failure.code == 2 && failure.message.contains("a/file"), "{}", failure.message);
        fs::remove_file(dir.join("a/file")).unwrap();
        assert!(stamp.check().is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
