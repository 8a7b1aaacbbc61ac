//! A migration into a data directory: its journal lies beside the directory, and says which of the trees there is the data.
//!
//! Invariant: as long as [`unfinished`] says nothing, the directory's name stands for the tree that a server may open,
//! be it the old one or the new one; or nothing has that name, and no migration will give it one of its own accord.
//!
//! Names beside a directory are made from its [`canonical`](crate::io::canonical) path, by whoever opens the directory and by whoever migrates into
//! it. So a link keeps leading where it leads: what changes its name is what it leads to.

use std::io;
use std::path::{Path, PathBuf};

use moon_formats::migration::{Journal, State};
use moon_formats::names;

use crate::io::Disk;
use crate::whole::{self, FileError};

/// A name beside a data directory.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

/// The journal of migrations into `dir`.
pub fn journal(dir: &Path) -> PathBuf {
    beside(dir, names::MIGRATION_JOURNAL_SUFFIX)
}

/// The tree that a migration into `dir` makes.
pub fn new_tree(dir: &Path) -> PathBuf {
    beside(dir, names::MIGRATION_NEW_SUFFIX)
}

/// The directory that has the name of `path` in it.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether there is a directory at `path`.
///
/// # Errors
/// It cannot be listed.
pub async fn is_there(disk: &dyn Disk, path: &Path) -> Result<bool, FileError> {
    match disk.list(path).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(FileError::io(path)(e)),
    }
}

/// The journal of the last migration into `dir`; `None` if there was none.
///
/// # Errors
/// See [`FileError`].
pub async fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Journal>, FileError> {
    whole::decoded(disk, &journal(dir), Journal::decode).await
}

/// Writes the journal of a migration into `dir`. Durable when this returns, and with it all changes of names beside it
/// that were made before.
///
/// # Errors
/// [`FileError::Io`]; the journal that was there is there, or the new one.
pub async fn write(disk: &dyn Disk, dir: &Path, content: &Journal) -> Result<(), FileError> {
    let path = journal(dir);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let written = whole::put(disk, parent(&path), &name, content.encode().as_bytes()).await;
    written.map_err(FileError::io(&path))
}

/// Whether a migration has to be ended before anybody opens `dir`: the state in which it was interrupted. Then the name
/// stands for a tree that is to make way, or for nothing, and what was written there now would be set aside.
///
/// # Errors
/// See [`FileError`].
pub async fn unfinished(disk: &dyn Disk, dir: &Path) -> Result<Option<State>, FileError> {
    let Some(journal) = read(disk, dir).await? else { return Ok(None) };
    let waiting = match (journal.state, &journal.backup) {
        (State::Swapping, _) => new_tree(dir),
        (State::Back, Some(old)) => dir.with_file_name(old),
        _ => return Ok(None),
    };
    Ok(is_there(disk, &waiting).await?.then_some(journal.state))
}

/// Makes the names in a directory and all below it durable.
///
/// # Errors
/// One of them cannot be listed or synced.
pub async fn sync_names(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    for entry in disk.list(path).await.map_err(FileError::io(path))? {
        if entry.is_dir {
            Box::pin(sync_names(disk, &path.join(&entry.name))).await?;
        }
    }
    disk.sync_dir(path).await.map_err(FileError::io(path))
}

/// Removes a directory and all that is in it; nothing happens if it is not there. Interrupted, it leaves a part; a power
/// loss may bring its name back, empty.
///
/// # Errors
/// Something in it cannot be removed.
pub async fn remove_tree(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    let entries = match disk.list(path).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(FileError::io(path)(e)),
    };
    for entry in entries {
        let inner = path.join(&entry.name);
        match entry.is_dir {
            true => Box::pin(remove_tree(disk, &inner)).await?,
            false => {
                let removed = disk.remove(&inner).await;
                removed.map_err(FileError::io(&inner))?;
            }
        }
    }
    disk.sync_dir(path).await.map_err(FileError::io(path))?;
    disk.remove_dir(path).await.map_err(FileError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::{Image, SimConfig, SimDisk};
    use crate::io::{Access, Caching};
    use moon_formats::testing::sample_migration;

    const DIR: &str = "/srv/moon";

    fn with(state: State, trees: &[&str]) -> SimDisk {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let content = Journal { state, ..sample_migration() };
        disk.runtime().block_on(async {
            for tree in trees {
                disk.create_dir_all(&Path::new("/srv").join(tree)).await.expect("a tree");
            }
            disk.create_dir_all(Path::new("/srv")).await.expect("a parent");
            write(&disk, Path::new(DIR), &content).await.expect("written");
        });
        assert_eq!(disk.violations(), []);
        disk.power_loss(Image::None, 1)
    }

    fn ask(disk: &SimDisk) -> Option<State> {
        disk.runtime().block_on(unfinished(disk, Path::new(DIR))).expect("readable")
    }

    #[test]
    fn a_directory_is_open_but_between_two_renames() {
        let (old, new) = ("moon.v1.bak", "moon.new");
        for (state, trees, closed) in [
            (State::Planned, vec!["moon"], false),
            (State::Copying, vec!["moon", new], false),
            (State::Verified, vec!["moon", new], false),
            (State::Swapping, vec!["moon", new], true),
            (State::Swapping, vec![old, new], true),
            (State::Swapping, vec![new], true),
            (State::Swapping, vec![old, "moon"], false),
            (State::Done, vec![old, "moon"], false),
            (State::Back, vec![old, "moon"], true),
            (State::Back, vec![old, new], true),
            (State::Back, vec!["moon", new], false),
        ] {
            assert_eq!(ask(&with(state, &trees)), closed.then_some(state), "{state:?} {trees:?}");
        }
        assert_eq!(ask(&SimDisk::new(SimConfig::default(), 1)), None);
    }

    #[test]
    fn a_damaged_journal_is_an_error() {
        let disk = with(State::Done, &["moon"]);
        assert!(disk.rot(&journal(Path::new(DIR)), 20, 1));
        let found = disk.runtime().block_on(unfinished(&disk, Path::new(DIR)));
        assert!(matches!(found, Err(FileError::Bad { .. })));
    }

    #[test]
    fn a_tree_goes_with_all_that_is_in_it() {
        let disk = with(State::Done, &["moon", "moon.new/a/b"]);
        disk.runtime().block_on(async {
            let tree = Path::new("/srv/moon.new");
            for name in ["x", "a/y", "a/b/z"] {
                let path = tree.join(name);
                disk.open(&path, Access::CreateNew, Caching::Cached).await.expect("a file");
            }
            remove_tree(&disk, tree).await.expect("removed");
            assert!(!is_there(&disk, tree).await.expect("listed"));
            remove_tree(&disk, tree).await.expect("nothing to do");
            assert!(is_there(&disk, Path::new(DIR)).await.expect("listed"));
        });
        assert_eq!(disk.violations(), []);
    }
}
