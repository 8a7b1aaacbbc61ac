//! Points at which a test build stops the process or fails, named for the step they stand behind.
//!
//! `MOON_FAILPOINT=name[:first[-last]]=action[,...]`: at which hits of the point something happens,
//! counted from 1 (without numbers at every hit), and what. What happens is told on standard error.
//! The server reads the variable and hands it in.
//! Only the feature `failpoints` compiles any of this; a release has the names and nothing behind
//! them.
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process dies of SIGKILL |
//! | `stop` | the process stops, as by SIGSTOP |
//! | `error` | the step fails with EIO, where it can fail ([`Point::can_fail`]) |
//! | `full` | the same with ENOSPC |

/// A step of the log, a snapshot or a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// A record is about to be appended.
    LogBeforeAppend,
    /// Records were appended, none of them is written.
    LogAfterAppendBeforeWrite,
    /// A batch was written, not synced.
    LogAfterWriteBeforeSync,
    /// A batch was synced, nobody was told.
    LogAfterSyncBeforeAck,
    /// Replies were given to the kernel.
    LogAfterAck,
    /// The end of the old segment was written.
    RotateEndWritten,
    /// The new segment is durable under a temporary name.
    RotateTmpSynced,
    /// It has its name.
    RotateRenamed,
    /// The name is durable.
    RotateDirSynced,
    /// The first batch of the new segment was written.
    RotateFirstGroup,
    /// A file is suspect and was given up.
    HealSuspect,
    /// The segment that repeats its records is durable under a temporary name.
    HealRewindTmp,
    /// It has its name.
    HealRewindRenamed,
    /// The cut was made.
    SnapshotCut,
    /// The first buffer was written.
    SnapshotFirstBlock,
    /// A later buffer was written.
    SnapshotMidWalk,
    /// A piece of a large value was serialised.
    SnapshotLargeValue,
    /// The walk is over; what ends the file is serialised, not written.
    SnapshotSections,
    /// The last buffer was written, the file is not synced.
    SnapshotTrailer,
    /// The file has its name.
    SnapshotRenamed,
    /// The log is durable up to the cut of a base.
    RewriteWaitDurable,
    /// The new part list is durable under a temporary name.
    RewriteManifestTmp,
    /// It has its name.
    RewriteManifestRenamed,
    /// The name is durable: the base counts.
    RewriteDirSynced,
    /// Old bases are about to be removed.
    RewriteRetention,
    /// The overflow pages of a file table are durable, no root names them.
    ManifestOverflowSynced,
    /// The root of a file table that was not in force is written, not synced.
    ManifestRootWritten,
    /// A file table that was written anew has its name.
    ManifestCompactRenamed,
    /// The part list of the timeline that a fork leaves is kept beside what goes with it.
    ForkKept,
    /// The part list of the new timeline is in force.
    ForkCommitted,
    /// What only the old timeline has is set aside.
    ForkMoved,
    /// The first segment of the new timeline is there.
    ForkSegment,
    /// The base was loaded, the log not read.
    StartAfterBase,
    /// The log was read, nothing was written.
    StartBeforeNewSegment,
}

impl Point {
    /// All of them with their names.
    pub const ALL: [(&'static str, Point); 34] = [
        ("log.before-append", Point::LogBeforeAppend),
        ("log.after-append-before-write", Point::LogAfterAppendBeforeWrite),
        ("log.after-write-before-sync", Point::LogAfterWriteBeforeSync),
        ("log.after-sync-before-ack", Point::LogAfterSyncBeforeAck),
        ("log.after-ack", Point::LogAfterAck),
        ("rotate.end-written", Point::RotateEndWritten),
        ("rotate.tmp-synced", Point::RotateTmpSynced),
        ("rotate.renamed", Point::RotateRenamed),
        ("rotate.dir-synced", Point::RotateDirSynced),
        ("rotate.first-group", Point::RotateFirstGroup),
        ("heal.suspect", Point::HealSuspect),
        ("heal.rewind-tmp", Point::HealRewindTmp),
        ("heal.rewind-renamed", Point::HealRewindRenamed),
        ("snapshot.cut", Point::SnapshotCut),
        ("snapshot.first-block", Point::SnapshotFirstBlock),
        ("snapshot.mid-walk", Point::SnapshotMidWalk),
        ("snapshot.large-value", Point::SnapshotLargeValue),
        ("snapshot.sections", Point::SnapshotSections),
        ("snapshot.trailer", Point::SnapshotTrailer),
        ("snapshot.renamed", Point::SnapshotRenamed),
        ("rewrite.wait-durable", Point::RewriteWaitDurable),
        ("rewrite.manifest-tmp", Point::RewriteManifestTmp),
        ("rewrite.manifest-renamed", Point::RewriteManifestRenamed),
        ("rewrite.dir-synced", Point::RewriteDirSynced),
        ("rewrite.retention", Point::RewriteRetention),
        ("manifest.overflow-synced", Point::ManifestOverflowSynced),
        ("manifest.root-written", Point::ManifestRootWritten),
        ("manifest.compact-renamed", Point::ManifestCompactRenamed),
        ("fork.kept", Point::ForkKept),
        ("fork.committed", Point::ForkCommitted),
        ("fork.moved", Point::ForkMoved),
        ("fork.segment", Point::ForkSegment),
        ("start.after-base", Point::StartAfterBase),
        ("start.before-new-segment", Point::StartBeforeNewSegment),
    ];

    /// Name as `MOON_FAILPOINT` takes it.
    pub fn name(self) -> &'static str {
        Point::ALL.iter().find(|p| p.1 == self).map_or("", |p| p.0)
    }

    /// Whether the step can answer with an error.
    pub fn can_fail(self) -> bool {
        !matches!(
            self,
            Point::LogBeforeAppend
                | Point::LogAfterAck
                | Point::HealSuspect
                | Point::SnapshotCut
                | Point::SnapshotLargeValue
                | Point::SnapshotSections
                | Point::RewriteRetention
        )
    }
}

/// Comes to a point.
///
/// # Errors
/// What the environment asks for at this hit; never without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_point: Point) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, reach};

/// Comes to a point of a step that cannot fail.
#[inline(always)]
pub fn pass(point: Point) {
    // Only an error is dropped, and such a point has none.
    drop(reach(point));
}

#[cfg(feature = "failpoints")]
mod armed {
    use super::Point;
    use crate::io::raise;
    use std::io::{self, Write};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Kill,
        Stop,
        Error,
        Full,
    }

    struct Armed {
        point: Point,
        first: u64,
        last: u64,
        action: Action,
        hits: AtomicU64,
    }

    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

    /// Says what happens at which points, in the words of `MOON_FAILPOINT`; once, before anything
    /// comes to one.
    pub fn arm(text: &str) {
        let all = text.split(',').filter(|t| !t.is_empty()).filter_map(read);
        drop(ARMED.set(all.collect()));
    }

    /// Comes to a point.
    ///
    /// # Errors
    /// What was asked for at this hit.
    pub fn reach(point: Point) -> io::Result<()> {
        for a in ARMED.get().into_iter().flatten().filter(|a| a.point == point) {
            let hit = a.hits.fetch_add(1, Ordering::Relaxed) + 1;
            if hit < a.first || hit > a.last {
                continue;
            }
            tell(&format!("failpoint {} hit {hit}: {:?}\n", point.name(), a.action));
            match a.action {
                Action::Kill => raise(libc::SIGKILL),
                Action::Stop => raise(libc::SIGSTOP),
                Action::Error => return Err(io::Error::from_raw_os_error(libc::EIO)),
                Action::Full => return Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            }
        }
        Ok(())
    }

    fn tell(text: &str) {
        // Nobody may be listening.
        drop(io::stderr().write_all(text.as_bytes()));
    }

    fn read(text: &str) -> Option<Armed> {
        let armed = parse(text);
        if armed.is_none() {
            tell(&format!("MOON_FAILPOINT: {text} is not name[:first[-last]]=action\n"));
        }
        armed
    }

    fn parse(text: &str) -> Option<Armed> {
        let (at, action) = text.split_once('=')?;
        let (name, hits) = at.split_once(':').unwrap_or((at, ""));
        let (first, last) = match hits.split_once('-') {
            _ if hits.is_empty() => (1, u64::MAX),
            None => (hits.parse().ok()?, hits.parse().ok()?),
            Some((a, b)) => (a.parse().ok()?, b.parse().ok()?),
        };
        let action = match action {
            "kill" => Action::Kill,
            "stop" => Action::Stop,
            "error" => Action::Error,
            "full" => Action::Full,
            _ => return None,
        };
        let point = Point::ALL.iter().find(|p| p.0 == name)?.1;
        Some(Armed { point, first, last, action, hits: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_the_environment_says() {
            let read = |text| parse(text).map(|a| (a.point.name(), a.first, a.last, a.action));
            assert_eq!(
                read("rotate.renamed=kill"),
                Some(("rotate.renamed", 1, u64::MAX, Action::Kill))
            );
            assert_eq!(read("heal.suspect:3=stop"), Some(("heal.suspect", 3, 3, Action::Stop)));
            assert_eq!(read("log.after-ack:2-5=full"), Some(("log.after-ack", 2, 5, Action::Full)));
            for bad in ["", "rotate.renamed", "rotate.renamed=", "x=kill", "heal.suspect:a=kill"] {
                assert_eq!(read(bad), None, "{bad}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_one_name() {
        let names: std::collections::BTreeSet<_> = Point::ALL.iter().map(|p| p.0).collect();
        let points: std::collections::HashSet<_> = Point::ALL.iter().map(|p| p.1).collect();
        assert_eq!((names.len(), points.len()), (34, 34));
        assert!(Point::ALL.iter().all(|p| p.1.name() == p.0));
    }

    #[test]
    fn a_point_that_nobody_asked_for_lets_pass() {
        for (_, point) in Point::ALL {
            assert!(reach(point).is_ok());
        }
    }
}
