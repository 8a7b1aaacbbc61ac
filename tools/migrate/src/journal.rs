//! The journal of a run, and the change of names at its end.
//!
//! One idea: a state is written down, durable, before what it says is begun; so whatever a crash leaves, the journal
//! tells which trees may be thrown away and which name is due next. There is no moment at which the target's name
//! stands for a tree that has not been read back.
//!
//! | state | `<to>.new` | `<to>` | resume |
//! |---|---|---|---|
//! | planned | absent | as before | copies |
//! | copying | absent, or unfinished | as before | copies again |
//! | verified | whole | as before | changes names; copies again if the source has changed |
//! | swapping | whole, or already in place | the old tree, nothing, or the new one | finishes the change |
//! | done | - | the new tree | nothing is left to do |
//! | back | the new tree | the old one | changes names, unless the source has changed |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use moon_formats::migration::{self as format, State};
use moon_formats::names::{MARKER, migration_backup};
use moon_storage::io::Disk;
use moon_storage::migration::{self, is_there, new_tree, parent};
use moon_storage::whole;

use crate::cli::{Kind, Place};
use crate::fail::Failure;
use crate::host::Host;

/// Most old trees beside a target.
const BACKUPS_MAX: u64 = 9999;

/// A run into a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    /// What is written down.
    pub(crate) said: format::Journal,
    /// The target, by its whole path.
    pub(crate) to: PathBuf,
}

/// Gives a tree another name, for good.
async fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), Failure> {
    disk.rename(from, to).await.map_err(|e| Failure::io("rename", from, e))?;
    let dir = parent(to);
    disk.sync_dir(dir).await.map_err(|e| Failure::io("sync", dir, e))
}

async fn exists(disk: &dyn Disk, path: &Path) -> Result<bool, Failure> {
    is_there(disk, path).await.map_err(|e| Failure::migration(&e))
}

/// Whether a directory has anything in it.
pub(crate) async fn is_taken(disk: &dyn Disk, path: &Path) -> Result<bool, Failure> {
    match disk.list(path).await {
        Ok(entries) => Ok(!entries.is_empty()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::io("read", path, e)),
    }
}

/// The last name of a target, which others are made from.
fn name_of(to: &Path) -> Result<&str, Failure> {
    let name = to.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| Failure::refused(format!("{}: the target has no name", to.display())))
}

impl Journal {
    /// The journal of a run that is planned; nothing is written yet.
    ///
    /// # Errors
    /// The target has no name.
    pub(crate) fn new(
        to: PathBuf,
        from: String,
        databases: Option<u16>,
        accepted: Vec<String>,
    ) -> Result<Journal, Failure> {
        name_of(&to)?;
        let said = format::Journal {
            state: State::Planned,
            from,
            source: None,
            databases,
            accepted,
            backup: None,
        };
        Ok(Journal { said, to })
    }

    /// The journal of the run into `to`, if one was begun.
    pub(crate) async fn read(host: &Host, to: &Path) -> Result<Option<Journal>, Failure> {
        name_of(to)?;
        let said = migration::read(&*host.disk, to).await.map_err(|e| Failure::migration(&e))?;
        Ok(said.map(|said| Journal { said, to: to.into() }))
    }

    /// Whether the source is the target.
    pub(crate) fn is_in_place(&self) -> bool {
        self.said.from == Place { kind: Kind::Moon, path: self.to.clone() }.to_string()
    }

    /// Writes a state down, durable.
    pub(crate) async fn enter(&mut self, host: &Host, state: State) -> Result<(), Failure> {
        self.said.state = state;
        let written = migration::write(&*host.disk, &self.to, &self.said).await;
        written.map_err(|e| Failure::migration(&e))
    }

    /// That nobody uses the old tree, which the run will want to rename, and that nothing stands where the new one is to
    /// be made: better said before the copy than after.
    pub(crate) async fn is_free(&self, host: &Host) -> Result<(), Failure> {
        let new = new_tree(&self.to);
        if self.said.state == State::Planned && exists(&*host.disk, &new).await? {
            return Err(Failure::refused(format!("{} is in the way; remove it", new.display())));
        }
        match is_taken(&*host.disk, &self.to).await? {
            true => host.locked(&self.to).map(drop),
            false => Ok(()),
        }
    }

    /// From now on what is in the place of the new tree belongs to the run; what an interrupted copy has left there goes.
    pub(crate) async fn begin_copy(&mut self, host: &Host) -> Result<(), Failure> {
        if self.said.state != State::Copying {
            self.enter(host, State::Copying).await?;
        }
        let (disk, new) = (&*host.disk, new_tree(&self.to));
        // Its marker goes first: a part of a tree is no data.
        let unmarked = async {
            whole::remove(disk, &new.join(MARKER)).await?;
            disk.sync_dir(&new).await
        };
        match unmarked.await {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(Failure::io("remove", &new, e));
            }
            _ => {}
        }
        migration::remove_tree(disk, &new).await.map_err(|e| Failure::migration(&e))
    }

    /// Gives the new tree the target's name; what had it stays under another one. May be begun again wherever it
    /// was interrupted.
    pub(crate) async fn swap(&mut self, host: &Host) -> Result<(), Failure> {
        let (disk, new) = (&*host.disk, new_tree(&self.to));
        if self.said.state == State::Back {
            self.roll_back(host).await?;
        }
        if matches!(self.said.state, State::Verified | State::Back) {
            self.said.backup = match is_taken(disk, &self.to).await? {
                true => Some(self.free_backup_name(disk).await?),
                false => None,
            };
            self.enter(host, State::Swapping).await?;
        }
        if exists(disk, &new).await? {
            if let Some(backup) = &self.said.backup {
                let backup = self.to.with_file_name(backup);
                if !exists(disk, &backup).await? && exists(disk, &self.to).await? {
                    let _lock = host.locked(&self.to)?;
                    rename(disk, &self.to, &backup).await?;
                }
            }
            if self.said.backup.is_some() && is_taken(disk, &self.to).await? {
                return Err(Failure::refused(format!(
                    "{} was made after the old tree had made way; move it away",
                    self.to.display()
                )));
            }
            // An empty directory makes way by itself.
            rename(disk, &new, &self.to).await?;
        }
        self.enter(host, State::Done).await
    }

    async fn free_backup_name(&self, disk: &dyn Disk) -> Result<String, Failure> {
        let (name, dir) = (name_of(&self.to)?, parent(&self.to));
        let taken = disk.list(dir).await.map_err(|e| Failure::io("read", dir, e))?;
        (1..=BACKUPS_MAX)
            .map(|n| migration_backup(name, n))
            .find(|backup| !taken.iter().any(|entry| entry.name == *backup))
            .ok_or_else(|| {
                Failure::refused("there are 9999 old trees beside the target; remove some")
            })
    }

    /// Undoes a change of names: the new tree becomes `<to>.new` again, the old one gets its name back. May be begun
    /// again wherever it was interrupted.
    pub(crate) async fn roll_back(&mut self, host: &Host) -> Result<(), Failure> {
        let (disk, new) = (&*host.disk, new_tree(&self.to));
        match self.said.state {
            State::Done | State::Back => {}
            State::Swapping => Box::pin(self.swap(host)).await?,
            State::Planned | State::Copying | State::Verified => {
                return Err(Failure::refused(
                    "the run has not changed any name; remove <target>.new and the journal if it is \
                     not wanted",
                ));
            }
        }
        let Some(backup) = self.said.backup.clone() else {
            return Err(Failure::refused("there was nothing before the run: there is no old tree"));
        };
        let backup = self.to.with_file_name(backup);
        if !exists(disk, &backup).await? {
            return match self.said.state {
                State::Back => Ok(()),
                _ => Err(Failure::refused(format!("{} is gone", backup.display()))),
            };
        }
        if exists(disk, &self.to).await? {
            if exists(disk, &new).await? {
                return Err(Failure::refused(format!("{} is in the way", new.display())));
            }
            let _lock = host.locked(&self.to)?;
            self.enter(host, State::Back).await?;
            rename(disk, &self.to, &new).await?;
        }
        rename(disk, &backup, &self.to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_storage::io::sim::{SimConfig, SimDisk};
    use moon_storage::io::{Access, Caching};

    const TO: &str = "/srv/data";

    /// A simulated machine, and a run into a directory on it.
    struct Scene {
        disk: SimDisk,
        host: Host,
        to: PathBuf,
    }

    fn scene() -> Scene {
        let disk = SimDisk::new(SimConfig::default(), 1);
        let rt: std::rc::Rc<dyn moon_storage::io::Runtime> = std::rc::Rc::new(disk.runtime());
        let host = Host { disk: disk.as_dyn(), rt, lock: |_| Ok(None), uuid: || Ok([7; 16]) };
        let scene = Scene { disk, host, to: TO.into() };
        scene.run(async |host| host.disk.create_dir_all(Path::new("/srv")).await.expect("made"));
        scene
    }

    impl Scene {
        fn run<T>(&self, act: impl AsyncFnOnce(&Host) -> T) -> T {
            self.disk.runtime().block_on(act(&self.host))
        }

        fn beside(&self, suffix: &str) -> PathBuf {
            PathBuf::from(format!("{TO}{suffix}"))
        }

        fn tree(&self, path: &Path, text: &str) {
            self.run(async |host| {
                host.disk.create_dir_all(path).await.expect("made");
                whole::put(&*host.disk, path, "file", text.as_bytes()).await.expect("written");
            });
        }

        fn text(&self, path: &Path) -> String {
            self.run(async |host| {
                let file = path.join("file");
                let file = host.disk.open(&file, Access::Read, Caching::Cached).await;
                let bytes = file.expect("there").read_at(0, 4096).await.expect("read");
                String::from_utf8(bytes).expect("text")
            })
        }

        fn is_there(&self, path: &Path) -> bool {
            self.run(async |host| is_there(&*host.disk, path).await.expect("listed"))
        }

        fn rename(&self, from: &Path, to: &Path) {
            self.run(async |host| rename(&*host.disk, from, to).await.expect("renamed"));
        }

        fn enter(&self, state: State, backup: Option<&str>) -> Journal {
            let said = format::Journal {
                state,
                from: "redis-rdb:/a b/dump.rdb".into(),
                source: Some(7),
                databases: Some(20),
                accepted: vec!["use".into(), "tail".into()],
                backup: backup.map(str::to_owned),
            };
            let mut journal = Journal { said, to: self.to.clone() };
            self.run(async |host| journal.enter(host, state).await.expect("written"));
            journal
        }

        fn read(&self) -> Option<Journal> {
            self.run(async |host| Journal::read(host, &self.to).await.expect("readable"))
        }

        fn swap(&self) -> Result<(), Failure> {
            let mut journal = self.read().expect("a journal");
            self.run(async |host| journal.swap(host).await)
        }

        fn roll_back(&self) -> Result<(), Failure> {
            let mut journal = self.read().expect("a journal");
            self.run(async |host| journal.roll_back(host).await)
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let scene = scene();
        assert_eq!(scene.read(), None);
        let journal = scene.enter(State::Copying, Some("data.v3.bak"));
        assert_eq!(scene.read(), Some(journal));
        assert!(scene.disk.rot(&migration::journal(&scene.to), 30, 4));
        let damaged = scene.run(async |host| Journal::read(host, &scene.to).await);
        assert_eq!(damaged.unwrap_err().code, 70);
    }

    #[test]
    fn what_stands_in_the_way_is_not_touched() {
        let scene = scene();
        let new = new_tree(&scene.to);
        scene.tree(&new, "not ours");
        let journal = scene.enter(State::Planned, None);
        let refused = scene.run(async |host| journal.is_free(host).await);
        assert_eq!(refused.unwrap_err().code, 2);
        assert_eq!(scene.text(&new), "not ours");
        // What a copy has left is.
        let mut journal = scene.enter(State::Copying, None);
        scene.run(async |host| {
            journal.is_free(host).await.expect("free");
            journal.begin_copy(host).await.expect("removed");
        });
        assert!(!scene.is_there(&new));
    }

    #[test]
    fn a_target_has_a_name() {
        let new = |to: &str| Journal::new(to.into(), "moon:/x".into(), None, Vec::new());
        assert_eq!(new("/").unwrap_err().code, 2);
        assert!(new("/data").is_ok());
    }

    #[test]
    fn the_new_tree_takes_the_name_and_gives_it_back() {
        let scene = scene();
        let (to, new) = (&scene.to, new_tree(&scene.to));
        scene.tree(to, "old");
        scene.tree(&scene.beside(".v1.bak"), "older");
        scene.tree(&new, "new");
        scene.enter(State::Verified, None);
        scene.swap().unwrap();
        let state = scene.read().map(|journal| journal.said.state);
        assert_eq!((scene.text(to).as_str(), state), ("new", Some(State::Done)));
        assert_eq!(scene.text(&scene.beside(".v2.bak")), "old");
        scene.roll_back().unwrap();
        assert_eq!((scene.text(to), scene.text(&new)), ("old".into(), "new".into()));
        scene.roll_back().unwrap();
        scene.swap().unwrap();
        let trees = (scene.text(to), scene.text(&scene.beside(".v2.bak")));
        assert_eq!(trees, ("new".into(), "old".into()));
    }

    #[test]
    fn a_change_of_names_is_finished_wherever_it_was_cut() {
        for step in 0..=3 {
            let scene = scene();
            let (to, new, backup) = (&scene.to, new_tree(&scene.to), scene.beside(".v1.bak"));
            scene.tree(to, "old");
            scene.tree(&new, "new");
            match step {
                0 => scene.enter(State::Verified, None),
                _ => scene.enter(State::Swapping, Some("data.v1.bak")),
            };
            if step > 1 {
                scene.rename(to, &backup);
            }
            if step > 2 {
                scene.rename(&new, to);
            }
            scene.swap().unwrap();
            let trees = (scene.text(to), scene.text(&backup));
            assert_eq!(trees, ("new".into(), "old".into()), "step {step}");
            assert!(!scene.is_there(&new));
        }
    }

    #[test]
    fn a_rollback_is_finished_wherever_it_was_cut() {
        for (step, resume) in [(0, false), (1, false), (0, true), (1, true)] {
            let scene = scene();
            let to = &scene.to;
            scene.tree(to, "new");
            scene.tree(&scene.beside(".v1.bak"), "old");
            scene.enter(State::Back, Some("data.v1.bak"));
            if step > 0 {
                scene.rename(to, &new_tree(to));
            }
            match resume {
                true => scene.swap().unwrap(),
                false => scene.roll_back().unwrap(),
            }
            assert_eq!(scene.text(to), if resume { "new" } else { "old" }, "step {step}");
        }
    }

    #[test]
    fn without_an_old_tree_there_is_no_way_back() {
        let scene = scene();
        scene.tree(&new_tree(&scene.to), "new");
        scene.enter(State::Verified, None);
        assert_eq!(scene.roll_back().unwrap_err().code, 2);
        scene.swap().unwrap();
        assert_eq!(scene.text(&scene.to), "new");
        assert_eq!(scene.read().and_then(|journal| journal.said.backup), None);
        assert_eq!(scene.roll_back().unwrap_err().code, 2);
    }
}
