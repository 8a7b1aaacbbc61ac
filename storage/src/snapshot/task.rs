//! The task of a job: writes the file, then does what makes it count.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;

use moon_formats::aof::Base;
use moon_formats::names;
use moon_formats::shard_manifest::Row;
use moon_formats::wal::body::Payload;
use moon_formats::wal::{self, Checkpoint, CheckpointKind, RecordType};

use crate::failpoint::{self, Point, reach};
use crate::files::take_dead;
use crate::io::{Access, Caching, File, write_whole};
use crate::log::{Floor, LogState};
use crate::manifest::Moment;
use crate::whole::{self, How, Steps, aside};

use super::{BUFFER_BYTES, Finished, Kind, Rewrite, Shared, SnapshotError, retention};

/// Wait between looks at a log that is degraded.
const DEGRADED_US: u64 = 100_000;

/// Runs a job to its end and leaves the result.
pub(super) async fn run(shared: Rc<Shared>) {
    let result = shared.work().await;
    let failure = shared.failure.borrow_mut().take();
    *shared.result.borrow_mut() = Some(failure.map_or(result, Err));
    (shared.env.wake)();
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + use<> {
    let path = path.to_owned();
    move |cause| SnapshotError::Io { doing, path, cause }
}

impl Shared {
    async fn work(&self) -> Result<Finished, SnapshotError> {
        let (path, seq) = match &self.kind {
            Kind::Save => (self.env.paths.snapshot(), None),
            Kind::Rewrite(r) => (self.env.paths.base(r.seq), Some(r.seq)),
        };
        let (bytes, ending) = self.write_file(&path).await?;
        if let Kind::Rewrite(rewrite) = &self.kind {
            let base = Base { seq: rewrite.seq, cut: self.cut, bytes, crc: ending.crc };
            if let Err(e) = self.commit(rewrite, base).await {
                // Durable but not listed: nothing needs it.
                if rewrite.parts.is_unlisted(rewrite.seq) {
                    self.discard(&path).await;
                }
                return Err(e);
            }
        }
        Ok(Finished {
            seq,
            cut: self.cut,
            bytes,
            entries: ending.entries,
            crc: ending.crc,
            took_us: self.env.rt.mono_us().saturating_sub(self.started_us),
        })
    }

    fn go_on(&self) -> Result<(), SnapshotError> {
        match self.cancelled.get() {
            true => Err(SnapshotError::Cancelled),
            false => Ok(()),
        }
    }

    /// Removes a file of a failed attempt. Best effort: the first error is the one to report,
    /// and what stays is removed after the next start or rewrite.
    async fn discard(&self, path: &Path) {
        if let Err(e) = whole::remove(&*self.env.disk, path).await {
            tracing::warn!(path = %path.display(), error = %e, "file of a failed snapshot stays");
        }
    }

    /// The file, durable under its name.
    async fn write_file(&self, path: &Path) -> Result<(u64, super::Ending), SnapshotError> {
        let aside = aside(path);
        let written = match self.write_aside(&aside).await {
            Ok(written) => self.name_file(&aside, path).await.map(|()| written),
            Err(e) => Err(e),
        };
        if written.is_err() {
            self.discard(&aside).await;
        }
        written
    }

    async fn write_aside(&self, aside: &Path) -> Result<(u64, super::Ending), SnapshotError> {
        let disk = &*self.env.disk;
        let dir = aside.parent().unwrap_or(Path::new("/"));
        disk.create_dir_all(dir).await.map_err(at("create the directory", dir))?;
        whole::remove(disk, aside).await.map_err(at("remove a temporary file", aside))?;
        let file = disk
            .open(aside, Access::CreateNew, Caching::Direct)
            .await
            .map_err(at("create a snapshot", aside))?;
        let (mut bytes, mut padding) = (0, 0);
        while let Some(mut buffer) = self.next_buffer().await? {
            let len = buffer.len();
            bytes += len as u64;
            // Only the last buffer ends within a block.
            buffer.resize(len.next_multiple_of(disk.alignment()), 0);
            padding = buffer.len() - len;
            let start = bytes - len as u64;
            write_pieces(&*file, start, &buffer, disk.alignment())
                .await
                .map_err(at("write a snapshot", aside))?;
            let first = start == 0;
            let point = if first { Point::SnapshotFirstBlock } else { Point::SnapshotMidWalk };
            reach(point).map_err(at("write a snapshot", aside))?;
            self.written.set(bytes);
            *self.spare.borrow_mut() = Some(buffer);
            self.writing.set(false);
            (self.env.wake)();
        }
        let Some(ending) = self.ending.get() else { return Err(SnapshotError::Cancelled) };
        reach(Point::SnapshotTrailer).map_err(at("write a snapshot", aside))?;
        if padding > 0 {
            file.truncate(bytes).await.map_err(at("cut a snapshot to its length", aside))?;
        }
        self.go_on()?;
        if !mutant!(self.env, ManifestBeforePayload) {
            file.sync().await.map_err(at("sync a snapshot", aside))?;
        }
        Ok((bytes, ending))
    }

    async fn name_file(&self, aside: &Path, path: &Path) -> Result<(), SnapshotError> {
        self.go_on()?;
        let disk = &*self.env.disk;
        disk.rename(aside, path).await.map_err(at("name a snapshot", path))?;
        reach(Point::SnapshotRenamed).map_err(at("name a snapshot", path))?;
        if mutant!(self.env, NoDirSyncAfterBaseRename) {
            return Ok(());
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        disk.sync_dir(dir).await.map_err(at("sync the directory", dir))
    }

    /// The next buffer to write; `None` after the last one.
    async fn next_buffer(&self) -> Result<Option<Vec<u8>>, SnapshotError> {
        std::future::poll_fn(|cx| {
            if let Err(e) = self.go_on() {
                return Poll::Ready(Err(e));
            }
            if let Some(buffer) = self.next.borrow_mut().take() {
                self.writing.set(true);
                return Poll::Ready(Ok(Some(buffer)));
            }
            if self.ending.get().is_some() {
                return Poll::Ready(Ok(None));
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    // ---- rewrite ----

    async fn commit(&self, rewrite: &Rewrite, base: Base) -> Result<(), SnapshotError> {
        let Rewrite { log, parts, .. } = rewrite;
        let disk = &*self.env.disk;
        if !mutant!(self.env, ManifestBeforeLog) {
            self.wait_durable(rewrite).await?;
        }
        let list_path = parts.paths().part_list();
        reach(Point::RewriteWaitDurable).map_err(at("wait for the log", &list_path))?;
        let (mut list, dropped) = retention::next_list(self, rewrite, base).await;
        let oldest = list.history.last().unwrap_or(&base).cut;
        // What followers of changes still need is part of the log after a start as well.
        let followed = log.floors().get(Floor::Cdc).unwrap_or(u64::MAX).max(log.oldest_lsn());
        let start = log.start_for(followed.min(oldest + 1));
        (list.log_from_lsn, list.log_from_seq) = (start.lsn, start.seq);
        self.go_on()?;
        if mutant!(self.env, RemovedBeforeCommit) {
            retention::remove_unlisted(self, rewrite, &dropped).await;
        }
        let how = How {
            no_dir_sync: mutant!(self.env, NoDirSyncAfterManifestRename),
            steps: Steps::Rewrite,
        };
        parts.commit_as(disk, list, how).await.map_err(SnapshotError::Parts)?;
        // The base counts. Nothing after this can fail the rewrite.
        if log.status().state != LogState::Closed {
            let kind = CheckpointKind::BaseCommitted;
            let mut payload = Vec::new();
            Checkpoint::new(base.cut, base.seq, base.crc, kind).put(&mut payload);
            log.append(RecordType::Checkpoint.code(), 0, wal::DB_NONE, &payload);
        }
        let dead = self.commit_table(rewrite, base, oldest).await;
        if log.status().state != LogState::Closed {
            log.base_committed(base.cut, start);
        }
        failpoint::pass(Point::RewriteRetention);
        for row in dead {
            self.discard(&self.env.paths.cold().join(names::heap_file(row.file.file_id))).await;
        }
        retention::remove_unlisted(self, rewrite, &[]).await;
        Ok(())
    }

    /// The file table follows the list; the files whose rows have gone. A failure costs nothing but the
    /// room they take.
    async fn commit_table(&self, rewrite: &Rewrite, base: Base, oldest_cut: u64) -> Vec<Row> {
        let Some(table) = rewrite.parts.table() else { return Vec::new() };
        let flushed_lsn = match mutant!(self.env, TableAheadOfLog) {
            true => rewrite.log.last_lsn(),
            false => rewrite.log.durable_lsn(),
        };
        let moment = Moment { redo_lsn: base.cut, flushed_lsn };
        let mut dead = Vec::new();
        let done = table.commit(&*self.env.disk, moment, |rows| {
            dead = take_dead(rows, oldest_cut);
        });
        match done.await {
            Ok(()) => dead,
            Err(e) => {
                tracing::warn!(error = %e, "the file table stays as it was");
                Vec::new()
            }
        }
    }

    /// Waits until the log holds everything up to the cut: a base that is ahead of its log would
    /// leave acknowledged records behind it without the ones before.
    async fn wait_durable(&self, rewrite: &Rewrite) -> Result<(), SnapshotError> {
        let log = &rewrite.log;
        while log.durable_lsn() < self.cut {
            self.go_on()?;
            if log.status().state == LogState::Closed {
                return Err(SnapshotError::Cancelled);
            }
            match log.sync().await {
                Err(_) => self.env.rt.sleep_us(DEGRADED_US).await,
                Ok(()) if log.last_lsn() < self.cut => {
                    let text = format!("its cut {} lies beyond the log", self.cut);
                    return Err(SnapshotError::Source(text));
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Writes all of `bytes` in pieces of at most a buffer.
async fn write_pieces(file: &dyn File, pos: u64, bytes: &[u8], align: usize) -> io::Result<()> {
    for (i, piece) in bytes.chunks(BUFFER_BYTES).enumerate() {
        write_whole(file, pos + (i * BUFFER_BYTES) as u64, piece, align).await?;
    }
    Ok(())
}
