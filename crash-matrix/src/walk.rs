//! Snapshots of a life: cut, turned with the shard, counted.

use std::rc::Rc;

use moon_engine::snapshot::SnapshotRefused;
use moon_formats::rrdshard::{Extension, Preamble, VERSION, file_flags};
use moon_storage::snapshot::{Env, Finished, Job, Kind, Rewrite, SnapshotError, State};

use crate::bugs;
use crate::life::{Life, marker_of, paths};

/// What a snapshot says of itself.
pub(crate) fn head(cut: u64, seq: u64, wal_first_seq: u64, now_ms: u64) -> (Preamble, Extension) {
    let marker = marker_of();
    let preamble = Preamble {
        version: VERSION,
        shard_id: 0,
        epoch: seq,
        last_lsn: cut,
        created_at_ms: now_ms,
    };
    let extension = Extension {
        flags: file_flags::SELF_CONTAINED,
        features: 0,
        storage_uuid: marker.uuid,
        timeline: 1,
        base_seq: seq,
        last_gtid: 0,
        wal_first_seq,
        mono_us: 1,
        shards: marker.shards,
        databases: marker.databases,
        align_log2: 12,
    };
    (preamble, extension)
}

impl Life {
    /// Makes the cut and starts a snapshot, as the server does between two commands. Nothing
    /// happens while one is under way, or a script is paused.
    pub fn begin_snapshot(&mut self, rewrite: bool) {
        if self.job.is_some() {
            return;
        }
        let cut = bugs::cut(self.bug.engine, self.log.last_lsn());
        let seq = if rewrite { self.parts.take_seq() } else { 0 };
        let wal_first_seq = self.log.start_for(cut + 1).seq;
        let (preamble, extension) = head(cut, seq, wal_first_seq, self.now().unix_ms);
        match self.shard.begin_snapshot(&preamble, &extension) {
            Ok(()) => {}
            Err(SnapshotRefused::ScriptRunning) => return,
            Err(e) => return self.find(format!("O1: no snapshot begins: {e}")),
        }
        #[cfg(feature = "mutants")]
        if let Some(mutant) = self.bug.walk {
            self.shard.break_snapshot(mutant);
        }
        let kind = match rewrite {
            false => Kind::Save,
            true => Kind::Rewrite(Rewrite {
                log: self.log.clone(),
                parts: self.parts.clone(),
                seq,
                retention: self.plan.retention,
            }),
        };
        let rt = self.disk.runtime();
        let env = Env {
            disk: self.disk.as_dyn(),
            rt: rt.as_dyn(),
            paths: paths(),
            pace: self.plan.pace,
            wake: Rc::new(|| {}),
            #[cfg(feature = "mutants")]
            mutant: self.bug.storage,
        };
        self.job = Some(Job::begin(kind, env, cut));
    }

    /// A turn of the snapshot under way; begins the next one if the plan says so.
    pub fn turn_snapshot(&mut self) {
        match &mut self.job {
            None if self.plan.rewrites => self.begin_snapshot(true),
            None if self.plan.saves => self.begin_snapshot(false),
            None => {}
            Some(job) => {
                self.seen.walking += 1;
                if let State::Done(result) = job.turn(&mut self.shard) {
                    self.job = None;
                    self.snapshot_over(&result);
                }
            }
        }
    }

    fn snapshot_over(&mut self, result: &Result<Finished, SnapshotError>) {
        match result {
            Ok(done) if done.seq.is_some() => self.seen.snapshots.0 += 1,
            Ok(done) => {
                self.seen.snapshots.1 += 1;
                self.saves.push((self.disk.moment(), done.cut));
            }
            // The device has no part in this one: the shard could not give what it had at the cut.
            Err(SnapshotError::Source(why)) => {
                self.find(format!("O9: a snapshot lost what it was to hold: {why}"));
            }
            Err(_) => self.seen.snapshots.2 += 1,
        }
    }

    /// A whole snapshot while nothing else happens.
    ///
    /// # Errors
    /// Why it failed.
    pub fn whole_snapshot(&mut self, rewrite: bool) -> Result<(), String> {
        self.plan.rewrites = false;
        self.plan.saves = false;
        self.end_snapshot()?;
        for _ in 0..1000 {
            self.begin_snapshot(rewrite);
            if self.job.is_some() {
                break;
            }
            // A script is paused: its turn comes.
            self.settle(8000);
        }
        self.end_snapshot()
    }

    /// Turns the snapshot under way to its end.
    fn end_snapshot(&mut self) -> Result<(), String> {
        for _ in 0..200_000 {
            let Some(job) = &mut self.job else { return Ok(()) };
            match job.turn(&mut self.shard) {
                State::Working { .. } => {}
                State::WaitingForDisk => {
                    self.log.flush();
                    self.disk.runtime().run_for(100);
                }
                State::Done(result) => {
                    self.job = None;
                    self.snapshot_over(&result);
                    return result.map(|_| ()).map_err(|e| e.to_string());
                }
            }
        }
        Err("a snapshot does not end".into())
    }

    /// Gives up the snapshot under way and waits until its task has cleaned up.
    pub fn cancel_snapshot(&mut self) {
        self.plan.rewrites = false;
        self.plan.saves = false;
        if let Some(job) = &mut self.job {
            job.cancel(&mut self.shard);
        }
        // What it ends with is no matter.
        drop(self.end_snapshot());
    }
}
