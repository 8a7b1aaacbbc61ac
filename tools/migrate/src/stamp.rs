//! The files of a source, to see at the end of a copy that nobody has changed them meanwhile.
//!
//! The one idea: servers of others lock nothing, so what a source held when it was read is only worth something if its files are still
//! those that were read. A directory of Moon is in our hands and needs none of this.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use moon_formats::names;

use crate::cli::{Kind, Place};
use crate::fail::Failure;
use crate::host::Host;
use crate::whole;

/// See the module page.
#[derive(Debug)]
pub(crate) struct Stamp {
    roots: Vec<PathBuf>,
    files: Files,
}

/// Length and time of the last change.
type Files = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Stamp {
    /// Looks at a source before it is read; `None` if nobody else can write to it.
    pub(crate) async fn of(host: &Host, from: &Place) -> Result<Option<Stamp>, Failure> {
        if from.kind == Kind::Moon && whole::is_marked(host, &from.path).await {
            return Ok(None);
        }
        let roots = roots(from);
        Ok(Some(Stamp { files: files(&roots)?, roots }))
    }

    /// Refuses a source that has changed since.
    pub(crate) fn check(&self, to: &Path) -> Result<(), Failure> {
        let now = files(&self.roots)?;
        let changed = now.iter().find(|(path, what)| self.files.get(*path) != Some(what));
        let gone = self.files.keys().find(|path| !now.contains_key(*path));
        match changed.map(|(path, _)| path).or(gone) {
            None => Ok(()),
            Some(path) => Err(Failure::refused(format!(
                "{} changed during the copy: stop its server, then moon-migrate resume --to {} copies again",
                path.display(),
                to.display()
            ))),
        }
    }
}

/// What of a source is read: beside files of Redis there may be others, which change as they like.
fn roots(from: &Place) -> Vec<PathBuf> {
    let path = &from.path;
    let names: &[&str] = match from.kind {
        Kind::RedisRdb => &["dump.rdb"],
        Kind::RedisAof => &["appendonly.aof", "appendonlydir"],
        Kind::Redis => &["dump.rdb", "appendonly.aof", "appendonlydir"],
        Kind::Moon => &[],
    };
    let named: Vec<PathBuf> =
        names.iter().map(|name| path.join(name)).filter(|path| path.exists()).collect();
    // A file, a directory of the reference, an `appendonlydir` itself.
    if named.is_empty() { vec![path.clone()] } else { named }
}

fn files(roots: &[PathBuf]) -> Result<Files, Failure> {
    let (mut found, mut waiting) = (Files::new(), roots.to_vec());
    while let Some(path) = waiting.pop() {
        let io = |e| Failure::io("read", &path, e);
        let meta = match fs::metadata(&path) {
            // What reads the source says what is missing; later it has gone.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            meta => meta.map_err(io)?,
        };
        if meta.is_dir() {
            for entry in fs::read_dir(&path).map_err(io)? {
                waiting.push(entry.map_err(io)?.path());
            }
        } else if path.file_name().is_none_or(|name| name != names::LOCK) {
            // The lock is ours.
            found.insert(path, (meta.len(), meta.modified().ok()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whole::runtime;

    fn stamp(from: &str) -> Option<Stamp> {
        let rt = runtime().expect("a runtime");
        let place: Place = from.parse().expect("a place");
        rt.block_on(Stamp::of(&Host::new(&rt), &place)).expect("it can be looked at")
    }

    #[test]
    fn a_change_is_seen_and_the_lock_is_none() {
        let dir = std::env::temp_dir().join(format!("moon-stamp-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::write(dir.join("a/file"), "one").unwrap();
        let first = stamp(&format!("moon:{}", dir.display())).unwrap();
        fs::write(dir.join(names::LOCK), "7").unwrap();
        assert!(first.check(&dir).is_ok());
        fs::write(dir.join("a/file"), "longer").unwrap();
        let failure = first.check(&dir).unwrap_err();
        assert!(failure.code == 2 && failure.message.contains("a/file"), "{}", failure.message);
        fs::remove_file(dir.join("a/file")).unwrap();
        assert!(first.check(&dir).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn of_a_directory_of_redis_only_what_is_read_counts() {
        let dir = std::env::temp_dir().join(format!("moon-stamp-redis-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("appendonlydir")).unwrap();
        fs::write(dir.join("dump.rdb"), "one").unwrap();
        fs::write(dir.join("appendonlydir/incr"), "one").unwrap();
        let all = ["redis-rdb", "redis-aof", "redis"].map(|kind| {
            let from = format!("{kind}:{}", dir.display());
            stamp(&from).unwrap()
        });
        let unchanged = || all.each_ref().map(|stamp| stamp.check(&dir).is_ok());
        fs::write(dir.join("redis.log"), "a line").unwrap();
        assert_eq!(unchanged(), [true; 3]);
        fs::write(dir.join("appendonlydir/incr"), "longer").unwrap();
        assert_eq!(unchanged(), [true, false, false]);
        fs::remove_file(dir.join("dump.rdb")).unwrap();
        assert_eq!(unchanged(), [false; 3]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
