//! Which bases stay listed, and the removal of what is not (durability.md §7).
//!
//! Invariant: a file goes only when the list without it is durable, and never one that a list of
//! unknown fate may name.

use moon_formats::aof::{Base, PartList};
use moon_formats::names;

use crate::parts::{bases, without_base};
use crate::recovery::read_head;
use crate::scan::LogStart;
use crate::whole;

use super::{Rewrite, Shared};

/// Which older bases are kept for a restore to a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `pitr-bases`: so many, the new one included.
    pub bases: usize,
    /// `pitr-window`, milliseconds: all that are needed to go back so far.
    pub window_ms: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { bases: 1, window_ms: 0 }
    }
}

impl Retention {
    /// How many of `created_ms`, newest first, are kept; `None` is a base of unknown age.
    fn kept(&self, created_ms: &[Option<u64>], now_ms: u64) -> usize {
        let count = self.bases.max(1).min(created_ms.len());
        if self.window_ms == 0 {
            return count;
        }
        let edge = now_ms.saturating_sub(self.window_ms);
        // The newest base before the window is where a restore into the window begins.
        let before = created_ms.iter().position(|t| t.is_some_and(|t| t <= edge));
        count.max(before.map_or(created_ms.len(), |i| i + 1))
    }
}

/// The list that names `base` and the older bases that stay, and the bases it drops.
pub(super) async fn next_list(job: &Shared, rewrite: &Rewrite, base: Base) -> (PartList, Vec<u64>) {
    let old = rewrite.parts.list();
    let mut all = vec![base];
    all.extend(bases(&old));
    // The log that has ended does not lead from its bases to this one.
    let last_of_log = old.ended.map_or(usize::MAX, |_| 1);
    let now_ms = (job.env.rt.wall_us() / 1000).max(0) as u64;
    let mut created = vec![Some(now_ms)];
    for old in &all[1..] {
        created.push(match rewrite.retention.window_ms {
            0 => None,
            _ => created_ms(job, old.seq).await,
        });
    }
    let pinned = rewrite.parts.pinned();
    let for_backup = all.iter().filter(|b| pinned.is_some_and(|seq| b.seq >= seq)).count();
    let kept = rewrite.retention.kept(&created, now_ms).max(for_backup).min(last_of_log);
    let dropped = all[kept..].iter().map(|b| b.seq).collect();
    all.truncate(kept);
    let mut list = match old.timelines.is_empty() {
        false => old,
        true => without_base(old.shard, 1, LogStart { lsn: 1, seq: 0 }),
    };
    list.base = Some(base);
    list.ended = None;
    list.history = all.split_off(1);
    (list, dropped)
}

/// When a base was made; `None` if it cannot be read, which keeps it.
async fn created_ms(job: &Shared, seq: u64) -> Option<u64> {
    let head = read_head(&*job.env.disk, &job.env.paths.base(seq)).await.ok()?;
    Some(head.preamble.created_at_ms)
}

/// Removes bases that no list names, `also` those numbers, and temporary files. Failures are
/// told and left for the next time.
pub(super) async fn remove_unlisted(job: &Shared, rewrite: &Rewrite, also: &[u64]) {
    let dir = job.env.paths.parts();
    let disk = &*job.env.disk;
    let entries = match disk.list(&dir).await {
        Ok(entries) => entries,
        Err(e) => {
            tracing::warn!(path = %dir.display(), error = %e, "old bases stay");
            return;
        }
    };
    let goes = |name: &str| match names::parse_base_file(name) {
        Some(seq) => also.contains(&seq) || (seq != rewrite.seq && rewrite.parts.is_unlisted(seq)),
        None => names::is_temporary(name),
    };
    let mut removed = false;
    for entry in entries.iter().filter(|e| !e.is_dir && goes(&e.name)) {
        let path = dir.join(&entry.name);
        match whole::remove(disk, &path).await {
            Ok(()) => removed = true,
            Err(e) => tracing::warn!(path = %path.display(), error = %e, "old base stays"),
        }
    }
    if removed && let Err(e) = disk.sync_dir(&dir).await {
        tracing::warn!(path = %dir.display(), error = %e, "removal of old bases may not last");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept() {
        let keep = |bases, window_ms| Retention { bases, window_ms };
        let ages = [Some(1000), Some(900), Some(700), Some(100)];
        for (retention, now, want) in [
            (keep(1, 0), 1000, 1),
            (keep(0, 0), 1000, 1),
            (keep(3, 0), 1000, 3),
            (keep(9, 0), 1000, 4),
            // A restore to 850 begins with the base of 700.
            (keep(1, 150), 1000, 3),
            (keep(1, 100), 1000, 2),
            (keep(2, 0), 1000, 2),
            (keep(1, 5000), 1000, 4),
            (keep(4, 50), 1000, 4),
        ] {
            assert_eq!(retention.kept(&ages, now), want, "{retention:?}");
        }
        assert_eq!(keep(1, 10).kept(&[Some(50), None], 50), 2, "unknown age is kept");
    }
}
