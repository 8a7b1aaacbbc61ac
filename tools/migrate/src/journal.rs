//! The journal of a run, and the change of names at its end.
//!
//! One idea: a state is written down, durable, before what it says is begun; so whatever a crash leaves, the journal
//! tells which trees may be thrown away and which name is due next. There is no moment at which the target's name
//! stands for a tree that has not been read back.
//!
//! | state | `<to>.new` | `<to>` | resume |
//! |---|---|---|---|
//! | planned, copying | absent, or unfinished | as before | copies again |
//! | verified | whole | as before | changes names |
//! | swapping | whole, or already in place | the old tree, nothing, or the new one | finishes the change |
//! | done | - | the new tree | nothing is left to do |
//! | back | the new tree | the old one | changes names |

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use moon_storage::io::lock::DirLock;

use crate::fail::Failure;

/// First line of the file.
const TITLE: &str = "moon-migrate 1";
/// Longest journal.
const BYTES_MAX: u64 = 64 << 10;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Planned,
    Copying,
    Verified,
    Swapping,
    Done,
    Back,
}

const STATES: [(&str, State); 6] = [
    ("planned", State::Planned),
    ("copying", State::Copying),
    ("verified", State::Verified),
    ("swapping", State::Swapping),
    ("done", State::Done),
    ("back", State::Back),
];

/// A run into a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) state: State,
    pub(crate) from: String,
    /// What the run was told, to be told again.
    pub(crate) databases: Option<u16>,
    pub(crate) accepted: Vec<String>,
    /// Name of the old tree once it has made way; `None` if there was none.
    pub(crate) backup: Option<String>,
    pub(crate) to: PathBuf,
}

/// A name beside the target.
fn beside(to: &Path, suffix: &str) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    to.with_file_name(name)
}

/// Where the new tree is made.
pub(crate) fn new_tree(to: &Path) -> PathBuf {
    beside(to, ".new")
}

fn file_of(to: &Path) -> PathBuf {
    beside(to, ".moon.migrate.journal")
}

fn sync_parent(path: &Path) -> Result<(), Failure> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Failure::io("sync", dir, e))
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).map_err(|e| Failure::io("rename", from, e))?;
    sync_parent(to)
}

fn locked(path: &Path) -> Result<DirLock, Failure> {
    DirLock::acquire(path).map_err(|e| Failure::environment(format!("{e}; stop it first")))
}

/// Whether a directory has anything in it.
pub(crate) fn is_taken(path: &Path) -> Result<bool, Failure> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::io("read", path, e)),
    }
}

impl Journal {
    /// The journal of the run into `to`, if one was begun.
    pub(crate) fn read(to: &Path) -> Result<Option<Journal>, Failure> {
        let path = file_of(to);
        match fs::metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::io("read", &path, e)),
            Ok(meta) if meta.len() > BYTES_MAX => {
                return Err(Failure::damage(&path, "longer than a journal can be"));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, e))?;
        let journal = Journal::decode(&text, to);
        journal.map(Some).ok_or_else(|| Failure::damage(&path, "not a journal of moon-migrate"))
    }

    fn decode(text: &str, to: &Path) -> Option<Journal> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return None;
        }
        let (mut state, mut from, mut databases, mut accepted, mut backup) =
            (None, None, None, Vec::new(), None);
        for line in lines {
            let (name, value) = line.split_once(' ')?;
            match name {
                "state" => state = STATES.iter().find(|(n, _)| *n == value).map(|(_, s)| *s),
                "from" => from = Some(value.to_owned()),
                "databases" => databases = Some(value.parse().ok()?),
                "accept" => accepted.push(value.to_owned()),
                "backup" if !value.contains('/') => backup = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(Journal { state: state?, from: from?, databases, accepted, backup, to: to.into() })
    }

    fn encode(&self) -> String {
        let state = STATES.iter().find(|(_, s)| *s == self.state).map_or("", |(n, _)| n);
        let mut text = format!("{TITLE}\nstate {state}\nfrom {}\n", self.from);
        if let Some(n) = self.databases {
            text.push_str(&format!("databases {n}\n"));
        }
        for loss in &self.accepted {
            text.push_str(&format!("accept {loss}\n"));
        }
        if let Some(name) = &self.backup {
            text.push_str(&format!("backup {name}\n"));
        }
        text
    }

    /// Writes a state down, durable.
    pub(crate) fn enter(&mut self, state: State) -> Result<(), Failure> {
        self.state = state;
        let path = file_of(&self.to);
        let aside = beside(&path, ".tmp");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(self.encode().as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| Failure::io("write", &aside, e))?;
        rename(&aside, &path)
    }

    /// That nobody uses the old tree, which the run will want to rename: better said before the copy than after.
    pub(crate) fn is_free(&self) -> Result<(), Failure> {
        match is_taken(&self.to)? {
            true => locked(&self.to).map(drop),
            false => Ok(()),
        }
    }

    /// Removes what an interrupted copy has left.
    pub(crate) fn clear_new_tree(&self) -> Result<(), Failure> {
        let path = new_tree(&self.to);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Failure::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Gives the new tree the target's name; what had it stays under another one. May be begun again wherever it
    /// was interrupted.
    pub(crate) fn swap(&mut self) -> Result<(), Failure> {
        let new = new_tree(&self.to);
        if self.state == State::Back {
            self.roll_back()?;
        }
        if matches!(self.state, State::Verified | State::Back) {
            self.backup = match is_taken(&self.to)? {
                true => Some(self.free_backup_name()?),
                false => None,
            };
            self.enter(State::Swapping)?;
        }
        if new.exists() {
            if let Some(backup) = &self.backup {
                let backup = self.to.with_file_name(backup);
                if !backup.exists() && self.to.exists() {
                    let _lock = locked(&self.to)?;
                    rename(&self.to, &backup)?;
                }
            }
            // An empty directory makes way by itself.
            rename(&new, &self.to)?;
        }
        self.enter(State::Done)
    }

    fn free_backup_name(&self) -> Result<String, Failure> {
        let name = self.to.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            return Err(Failure::refused("the target's name is not text"));
        };
        (1..10_000)
            .map(|n| format!("{name}.v{n}.bak"))
            .find(|backup| !self.to.with_file_name(backup).exists())
            .ok_or_else(|| {
                Failure::refused("there are 9999 old trees beside the target; remove some")
            })
    }

    /// Undoes a change of names: the new tree becomes `<to>.new` again, the old one gets its name back.
    pub(crate) fn roll_back(&mut self) -> Result<(), Failure> {
        let new = new_tree(&self.to);
        match self.state {
            State::Done | State::Back => {}
            State::Swapping => self.swap()?,
            State::Planned | State::Copying | State::Verified => {
                return Err(Failure::refused(
                    "the run has not changed any name; remove <target>.new and the journal if it is \
                     not wanted",
                ));
            }
        }
        let Some(backup) = self.backup.clone() else {
            return Err(Failure::refused("there was nothing before the run: there is no old tree"));
        };
        let backup = self.to.with_file_name(backup);
        if !backup.exists() && self.state == State::Back {
            return Ok(());
        }
        if !backup.exists() {
            return Err(Failure::refused(format!("{} is gone", backup.display())));
        }
        if self.to.exists() {
            if new.exists() {
                return Err(Failure::refused(format!("{} is in the way", new.display())));
            }
            let _lock = locked(&self.to)?;
            self.enter(State::Back)?;
            rename(&self.to, &new)?;
        }
        rename(&backup, &self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place for a target, emptied.
    fn target(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("moon-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir.join("data")
    }

    fn tree(path: &Path, text: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("file"), text).unwrap();
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path.join("file")).unwrap()
    }

    fn journal(to: &Path) -> Journal {
        Journal {
            state: State::Planned,
            from: "redis-rdb:/a b/dump.rdb".into(),
            databases: Some(20),
            accepted: vec!["use".into(), "tail".into()],
            backup: None,
            to: to.into(),
        }
    }

    fn reread(to: &Path) -> Journal {
        Journal::read(to).unwrap().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let to = target("codec");
        assert_eq!(Journal::read(&to).unwrap(), None);
        let mut journal = journal(&to);
        journal.backup = Some("data.v3.bak".into());
        journal.enter(State::Copying).unwrap();
        assert_eq!(reread(&to), journal);
        fs::write(file_of(&to), "moon-migrate 1\nstate flying\nfrom x\n").unwrap();
        assert_eq!(Journal::read(&to).unwrap_err().code, 70);
    }

    #[test]
    fn the_new_tree_takes_the_name_and_gives_it_back() {
        let to = target("swap");
        tree(&to, "old");
        fs::create_dir(beside(&to, ".v1.bak")).unwrap();
        tree(&new_tree(&to), "new");
        let mut journal = journal(&to);
        journal.enter(State::Verified).unwrap();
        reread(&to).swap().unwrap();
        assert_eq!((text(&to).as_str(), reread(&to).state), ("new", State::Done));
        assert_eq!(text(&beside(&to, ".v2.bak")), "old");
        reread(&to).roll_back().unwrap();
        assert_eq!((text(&to), text(&new_tree(&to))), ("old".into(), "new".into()));
        reread(&to).roll_back().unwrap();
        reread(&to).swap().unwrap();
        assert_eq!((text(&to), text(&beside(&to, ".v2.bak"))), ("new".into(), "old".into()));
    }

    #[test]
    fn a_change_of_names_is_finished_wherever_it_was_cut() {
        for step in 0..=3 {
            let to = target(&format!("cut{step}"));
            let backup = beside(&to, ".v1.bak");
            tree(&to, "old");
            tree(&new_tree(&to), "new");
            let mut journal = journal(&to);
            journal.enter(State::Verified).unwrap();
            if step > 0 {
                journal.backup = Some("data.v1.bak".into());
                journal.enter(State::Swapping).unwrap();
            }
            if step > 1 {
                fs::rename(&to, &backup).unwrap();
            }
            if step > 2 {
                fs::rename(new_tree(&to), &to).unwrap();
            }
            reread(&to).swap().unwrap();
            assert_eq!((text(&to), text(&backup)), ("new".into(), "old".into()), "step {step}");
            assert!(!new_tree(&to).exists());
        }
    }

    #[test]
    fn a_rollback_is_finished_wherever_it_was_cut() {
        for (step, resume) in [(0, false), (1, false), (0, true), (1, true)] {
            let to = target(&format!("back{step}{resume}"));
            let backup = beside(&to, ".v1.bak");
            tree(&to, "new");
            tree(&backup, "old");
            let mut journal = journal(&to);
            journal.backup = Some("data.v1.bak".into());
            journal.enter(State::Back).unwrap();
            if step > 0 {
                fs::rename(&to, new_tree(&to)).unwrap();
            }
            match resume {
                true => reread(&to).swap().unwrap(),
                false => reread(&to).roll_back().unwrap(),
            }
            assert_eq!(text(&to), if resume { "new" } else { "old" }, "step {step}");
        }
    }

    #[test]
    fn without_an_old_tree_there_is_no_way_back() {
        let to = target("fresh");
        tree(&new_tree(&to), "new");
        let mut journal = journal(&to);
        journal.enter(State::Verified).unwrap();
        assert_eq!(journal.roll_back().unwrap_err().code, 2);
        journal.swap().unwrap();
        assert_eq!((text(&to), journal.backup.is_none()), ("new".into(), true));
        assert_eq!(journal.roll_back().unwrap_err().code, 2);
    }
}
