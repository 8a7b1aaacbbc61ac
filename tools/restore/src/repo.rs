//! The repository: which sets there are, which builds on which, and how one is made and removed.
//!
//! The one idea: `backup.json` is the set. It is written when everything else of the set is durable, and
//! removed before anything else of it.
//!
//! Invariants:
//! * A set is read whole or is an error; a directory without `backup.json` is no set.
//! * What builds on a set is removed before the set is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use moon_formats::backup::{BYTES_MAX, Backup, Kind};
use moon_formats::names;
use moon_storage::io::Disk;
use moon_storage::whole;

use crate::fail::Failure;

/// A set.
#[derive(Debug, Clone)]
pub struct Set {
    /// Its directory.
    pub dir: PathBuf,
    /// What its list says.
    pub backup: Backup,
}

impl Set {
    /// Its name, that of its directory.
    pub fn name(&self) -> &str {
        &self.backup.set
    }

    /// The set that it builds on.
    pub fn parent(&self) -> Option<&str> {
        match &self.backup.kind {
            Kind::Full => None,
            Kind::Incremental(parent) => Some(parent),
        }
    }
}

/// A full set and what builds on it, in order.
pub type Chain<'a> = Vec<&'a Set>;

/// All that lies in a repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Sets, oldest first.
    pub sets: Vec<Set>,
    /// Sets that cannot be read, and why.
    pub unreadable: Vec<(String, Failure)>,
    /// Directories of backups that were not finished.
    pub unfinished: Vec<PathBuf>,
}

impl Repository {
    /// Looks at a repository; one that is not there is empty.
    ///
    /// # Errors
    /// The directory cannot be read; a set that cannot be is [`Repository::unreadable`].
    pub async fn read(disk: &dyn Disk, dir: &Path) -> Result<Repository, Failure> {
        let mut repository = Repository::default();
        let entries = match disk.list(dir).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(repository),
            Err(e) => return Err(Failure::io("read", dir, e)),
        };
        for entry in entries.iter().filter(|e| e.is_dir && names::is_backup_set(&e.name)) {
            let path = dir.join(&entry.name);
            match read_set(disk, &path, &entry.name).await {
                Ok(Some(set)) => repository.sets.push(set),
                Ok(None) => repository.unfinished.push(path),
                Err(failure) => repository.unreadable.push((entry.name.clone(), failure)),
            }
        }
        repository
            .sets
            .sort_by(|a, b| (a.backup.taken_us, a.name()).cmp(&(b.backup.taken_us, b.name())));
        Ok(repository)
    }

    /// Fails if there is nothing.
    ///
    /// # Errors
    /// There is nothing.
    pub fn or_empty(self, dir: &Path) -> Result<Repository, Failure> {
        if self.sets.is_empty() && self.unreadable.is_empty() {
            let dir = dir.display();
            return Err(Failure::refused(format!("{dir}: no backup is there")));
        }
        Ok(self)
    }

    /// The set with this name; the newest without one.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn find(&self, name: Option<&str>) -> Result<&Set, Failure> {
        let Some(name) = name else {
            return match (self.sets.last(), self.unreadable.first()) {
                (Some(set), _) => Ok(set),
                (None, Some((_, failure))) => Err(failure.again()),
                (None, None) => Err(Failure::refused("no backup is there")),
            };
        };
        if let Some((_, failure)) = self.unreadable.iter().find(|(n, _)| n == name) {
            return Err(failure.again());
        }
        let found = self.sets.iter().find(|set| set.name() == name);
        found.ok_or_else(|| Failure::refused(format!("there is no set {name}")))
    }

    /// A set with all that it builds on.
    ///
    /// # Errors
    /// Something of that is not there, cannot be read or does not fit.
    pub fn chain(&self, set: &str) -> Result<Chain<'_>, Failure> {
        let mut chain = vec![self.find(Some(set))?];
        while let Some(parent) = chain.last().and_then(|set| set.parent()) {
            if chain.iter().any(|set| set.name() == parent) {
                return Err(Failure::damage(Path::new(parent), "it builds on itself"));
            }
            let child = chain.last().map_or("", |set| set.name());
            let parent = self.find(Some(parent)).map_err(|e| Failure {
                code: crate::fail::DAMAGE,
                message: format!("{child} builds on {parent}, which cannot be used: {}", e.message),
            })?;
            chain.push(parent);
        }
        chain.reverse();
        for pair in chain.windows(2) {
            check_link(pair[0], pair[1])?;
        }
        Ok(chain)
    }

    /// Sets that nothing builds on, newest first.
    pub fn leaves(&self) -> Vec<&Set> {
        let is_leaf = |set: &&Set| self.sets.iter().all(|other| other.parent() != Some(set.name()));
        self.sets.iter().rev().filter(is_leaf).collect()
    }

    /// Whole chains, oldest first: full sets, each with everything that builds on it.
    pub fn trees(&self) -> Vec<Vec<&Set>> {
        let mut roots: BTreeMap<&str, &str> = BTreeMap::new();
        let mut trees: Vec<Vec<&Set>> = Vec::new();
        for set in self.sets.iter().filter(|set| set.parent().is_none()) {
            roots.insert(set.name(), set.name());
            trees.push(vec![set]);
        }
        // A child need not come behind its parent if the clock was set back.
        loop {
            let before = roots.len();
            for set in &self.sets {
                let root = set.parent().and_then(|parent| roots.get(parent).copied());
                if let (Some(root), false) = (root, roots.contains_key(set.name())) {
                    roots.insert(set.name(), root);
                    if let Some(tree) = trees.iter_mut().find(|t| t[0].name() == root) {
                        tree.push(set);
                    }
                }
            }
            if roots.len() == before {
                return trees;
            }
        }
    }
}

/// That a set goes on where the one it builds on ends.
fn check_link(parent: &Set, child: &Set) -> Result<(), Failure> {
    let wrong = |what: &str| {
        let text = format!("{what} is not that of {}, on which it builds", parent.name());
        Err(Failure::damage(&child.dir.join(names::BACKUP), text))
    };
    let (a, b) = (&parent.backup, &child.backup);
    if (a.uuid, a.shards.len(), a.databases) != (b.uuid, b.shards.len(), b.databases) {
        return wrong("its data directory");
    }
    for (a, b) in a.shards.iter().zip(&b.shards) {
        if a.parts.timelines != b.parts.timelines {
            return wrong("its timeline");
        }
        if b.lsn_from != a.lsn_to + 1 {
            return wrong("its first lsn, less one,");
        }
        let next = if a.sealed { a.last_seq + 1 } else { a.last_seq };
        if b.first_seq != 0 && a.last_seq != 0 && b.first_seq != next {
            return wrong("its first segment");
        }
        if b.last_seq < a.last_seq {
            return wrong("its last segment");
        }
    }
    Ok(())
}

async fn read_set(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<Set>, Failure> {
    let path = dir.join(names::BACKUP);
    let text = whole::read_up_to(disk, &path, BYTES_MAX).await;
    let Some(text) = text.map_err(|e| Failure::stored(&path, &e))? else { return Ok(None) };
    let backup = Backup::decode(&text).map_err(|e| Failure::decode(&path, &e))?;
    if backup.set != name {
        return Err(Failure::damage(&path, format!("it is that of {}", backup.set)));
    }
    Ok(Some(Set { dir: dir.to_owned(), backup }))
}

/// Removes what is left of a backup that was not finished, or of a set whose removal was not.
///
/// # Errors
/// Something cannot be removed.
pub async fn clear(disk: &dyn Disk, dir: &Path) -> Result<(), Failure> {
    // The list first: from then on it is no set.
    let list = dir.join(names::BACKUP);
    whole::remove(disk, &list).await.map_err(|e| Failure::io("remove", &list, e))?;
    disk.sync_dir(dir).await.map_err(|e| Failure::io("sync", dir, e))?;
    let mut dirs = vec![dir.to_owned()];
    let mut at = 0;
    while let Some(dir) = dirs.get(at).cloned() {
        let entries = disk.list(&dir).await.map_err(|e| Failure::io("read", &dir, e))?;
        for entry in entries {
            let path = dir.join(&entry.name);
            match entry.is_dir {
                true => dirs.push(path),
                false => disk.remove(&path).await.map_err(|e| Failure::io("remove", &path, e))?,
            }
        }
        disk.sync_dir(&dir).await.map_err(|e| Failure::io("sync", &dir, e))?;
        at += 1;
    }
    for dir in dirs.iter().rev() {
        disk.remove_dir(dir).await.map_err(|e| Failure::io("remove", dir, e))?;
    }
    match dir.parent() {
        Some(parent) => disk.sync_dir(parent).await.map_err(|e| Failure::io("sync", parent, e)),
        None => Ok(()),
    }
}

/// Which chains go, oldest first: beyond the newest `keep`, and not needed for any moment since `edge_us`.
/// A rule that is not given spares nothing; one that spares a chain is enough.
pub fn superfluous<'a>(
    trees: &[Vec<&'a Set>],
    keep: Option<usize>,
    edge_us: Option<i64>,
) -> Vec<Vec<&'a Set>> {
    let mut go = Vec::new();
    for (i, tree) in trees.iter().enumerate() {
        let newer = trees.len() - 1 - i;
        let by_number = keep.is_some_and(|keep| newer < keep);
        // A chain is needed up to the moment from which the next one reaches.
        let next = trees.get(i + 1).map(|next| next[0].backup.taken_us);
        let by_time = edge_us.is_some_and(|edge| next.is_none_or(|next| next > edge));
        // The newest chain never goes.
        if !by_number && !by_time && newer > 0 {
            go.push(tree.clone());
        }
    }
    go
}

/// The sets of a tree, those that build on others first.
pub fn order_of_removal<'a>(tree: &[&'a Set]) -> Vec<&'a Set> {
    // A tree lists a set behind the one that it builds on.
    tree.iter().rev().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::testing::sample_backup;

    pub(crate) fn set(n: u32, parent: Option<u32>, taken_us: i64) -> Set {
        let name = |n| names::backup_set(0, n);
        let kind = parent.map_or(Kind::Full, |p| Kind::Incremental(name(p)));
        let mut backup = sample_backup(kind);
        backup.set = name(n);
        backup.taken_us = taken_us;
        Set { dir: PathBuf::from("/r").join(name(n)), backup }
    }

    fn chained(n: u32, parent: &Set, taken_us: i64) -> Set {
        let mut child = set(n, Some(0), taken_us);
        child.backup.kind = Kind::Incremental(parent.name().to_owned());
        let (a, b) = (&parent.backup.shards[0], &mut child.backup.shards[0]);
        b.parts.timelines = a.parts.timelines.clone();
        b.lsn_from = a.lsn_to + 1;
        b.lsn_to = b.lsn_from + 9;
        b.first_seq = a.last_seq + 1;
        b.last_seq = b.first_seq;
        child
    }

    fn repository() -> Repository {
        let full = set(1, None, 100);
        let one = chained(2, &full, 200);
        let two = chained(3, &one, 300);
        let other = set(4, None, 400);
        Repository { sets: vec![full, one, two, other], ..Repository::default() }
    }

    fn names_of(sets: &[&Set]) -> Vec<String> {
        sets.iter().map(|s| s.name().to_owned()).collect()
    }

    #[test]
    fn chains_go_from_the_full_set_to_the_one_asked_for() {
        let all = repository();
        let names: Vec<String> = all.sets.iter().map(|s| s.name().to_owned()).collect();
        assert_eq!(names_of(&all.chain(&names[2]).unwrap()), names[..3]);
        assert_eq!(names_of(&all.chain(&names[0]).unwrap()), names[..1]);
        assert_eq!(names_of(&all.leaves()), [names[3].clone(), names[2].clone()]);
        let trees: Vec<_> = all.trees().iter().map(|t| names_of(t)).collect();
        assert_eq!(trees, [names[..3].to_vec(), names[3..].to_vec()]);
    }

    #[test]
    fn a_broken_link_is_damage() {
        type Change = fn(&mut Set);
        let changes: [Change; 6] = [
            |s| s.backup.shards[0].lsn_from += 1,
            |s| s.backup.shards[0].first_seq += 1,
            |s| s.backup.shards[0].last_seq = 1,
            |s| s.backup.uuid = [1; 16],
            |s| s.backup.databases = 1,
            |s| s.backup.shards[0].parts.timelines[0].epoch = 2,
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut all = repository();
            change(&mut all.sets[1]);
            let name = all.sets[2].name().to_owned();
            assert_eq!(all.chain(&name).unwrap_err().code, 70, "change {i}");
        }
        let mut all = repository();
        all.sets.remove(1);
        let name = all.sets[1].name().to_owned();
        let e = all.chain(&name).unwrap_err();
        assert!(e.code == 70 && e.message.contains("builds on"), "{e:?}");
        assert_eq!(all.trees().len(), 2, "what has lost its parent is in no tree");
    }

    #[test]
    fn pruning_takes_whole_chains_and_never_the_newest() {
        let all = repository();
        let trees = all.trees();
        let gone = |keep, edge| superfluous(&trees, keep, edge).len();
        assert_eq!(gone(Some(1), None), 1);
        assert_eq!(gone(Some(2), None), 0);
        assert_eq!(gone(None, Some(250)), 0, "the moment 250 is in the first chain");
        assert_eq!(gone(None, Some(400)), 1);
        assert_eq!(gone(None, Some(i64::MAX)), 1);
        assert_eq!(gone(Some(1), Some(399)), 0, "one rule is enough to stay");
        assert_eq!(gone(Some(0), Some(i64::MAX)), 1);
    }

    mod random {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Sets in any order of times, each full or on one before it.
            #[test]
            fn pruning_breaks_no_chain(
                plan in prop::collection::vec((any::<bool>(), 0usize..20, 0i64..1000), 1..20),
                keep in prop::option::of(0usize..6),
                edge in prop::option::of(0i64..1000),
            ) {
                let mut sets: Vec<Set> = Vec::new();
                for (i, (full, parent, taken_us)) in plan.into_iter().enumerate() {
                    let n = i as u32 + 1;
                    let made = match sets.get(parent % sets.len().max(1)) {
                        Some(parent) if !full => chained(n, parent, taken_us),
                        _ => set(n, None, taken_us),
                    };
                    sets.push(made);
                }
                let mut all = Repository { sets, ..Repository::default() };
                all.sets.sort_by_key(|s| s.backup.taken_us);
                let trees = all.trees();
                prop_assert_eq!(trees.iter().map(Vec::len).sum::<usize>(), all.sets.len());
                let gone: Vec<String> =
                    superfluous(&trees, keep, edge).concat().iter().map(|s| s.name().to_owned()).collect();
                let newest = trees.last().map(|t| names_of(t)).unwrap_or_default();
                prop_assert!(newest.iter().all(|n| !gone.contains(n)));
                prop_assert!(trees.len() - superfluous(&trees, keep, edge).len() >= keep.unwrap_or(1).min(trees.len()));
                // In the order of removal nothing that is left ever builds on something that is gone.
                let mut left = all.sets.clone();
                for tree in superfluous(&trees, keep, edge) {
                    for set in crate::repo::order_of_removal(&tree) {
                        left.retain(|s| s.name() != set.name());
                        for s in &left {
                            let whole = s.parent().is_none_or(|p| left.iter().any(|o| o.name() == p));
                            prop_assert!(whole, "{} lost {:?}", s.name(), s.parent());
                        }
                    }
                }
                let rest = Repository { sets: left, ..Repository::default() };
                for s in &rest.sets {
                    prop_assert!(rest.chain(s.name()).is_ok());
                }
            }
        }
    }
}
