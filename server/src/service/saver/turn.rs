//! The saver's part of a turn of the shard: what begins, goes on and ends, and who is answered.

use moon_engine::snapshot::SnapshotRefused;
use moon_storage::snapshot::{SnapshotError, State};

use super::Last;
use crate::config::OptionId;
use crate::net::conn::Next;
use crate::net::hub::Order;
use crate::service::ShardService;
use crate::service::shared::{HowToStop, StopSave};

impl ShardService {
    /// Looks whether a save point has been reached or the log has grown long. A few times a second.
    pub(in crate::service) fn look_for_saves(&mut self) {
        if self.host.saver.running.is_some() || self.shard.loading || self.host.shared.is_stopping()
        {
            return;
        }
        let now_secs = self.shard.now().unix_ms / 1000;
        let saver = &mut self.host.saver;
        if let Some((secs, changes)) = saver.due_save_point(self.shard.journal.dirty, now_secs)
            && saver.want_save(false).is_ok()
        {
            tracing::info!("{changes} changes in {secs} seconds: saving");
        }
        if let Some(log) = &self.log
            && let Some(why) = saver.why_rewrite(saver.log_since_base(log), now_secs)
            && saver.want_rewrite().is_ok()
        {
            tracing::info!("{why}: a new base is written");
        }
    }

    /// Begins what is wanted, goes on with what is under way.
    #[cold]
    pub(in crate::service) fn save_on(&mut self) {
        let saver = &mut self.host.saver;
        if saver.running.is_none() {
            if saver.is_held {
                return;
            }
            let rewrite = !saver.save_wanted && saver.rewrite_wanted;
            if !rewrite && !saver.save_wanted {
                return;
            }
            let parts = saver.ground().and_then(|g| g.parts.clone()).filter(|_| rewrite);
            match saver.start(&mut self.shard, self.log.as_ref(), parts) {
                Ok(()) if rewrite => saver.rewrite_wanted = false,
                Ok(()) => saver.save_wanted = false,
                // When the script has ended.
                Err(SnapshotRefused::ScriptRunning) => return,
                Err(refused) => {
                    tracing::warn!("cannot save: {refused}");
                    saver.rewrite_wanted = false;
                    saver.save_wanted = false;
                    self.ended(rewrite, Err(refused.to_string()));
                    return;
                }
            }
        }
        if self.host.saver.is_slowed(&self.shard) {
            return;
        }
        let Some(running) = &mut self.host.saver.running else { return };
        let State::Done(result) = running.job.turn(&mut self.shard) else { return };
        let rewrite = running.job.is_rewrite();
        match result {
            Ok(done) => {
                tracing::info!(
                    keys = done.entries,
                    bytes = done.bytes,
                    lsn = done.cut,
                    seconds = %format_args!("{:.3}", done.took_us as f64 / 1e6),
                    "{}",
                    if rewrite { "new base" } else { "DB saved on disk" }
                );
                if let Some(seq) = done.seq {
                    let now_secs = self.shard.now().unix_ms / 1000;
                    self.host.saver.note_base(seq, now_secs);
                }
                self.ended(rewrite, Ok((done.bytes, done.took_us)));
            }
            Err(SnapshotError::Cancelled) => {
                tracing::info!("{} given up", if rewrite { "a new base is" } else { "a save is" });
                self.cancelled();
            }
            Err(error) => {
                tracing::warn!("{}: {error}", if rewrite { "no new base" } else { "save failed" });
                self.ended(rewrite, Err(error.to_string()));
            }
        }
    }

    /// What was under way was not wanted any more, which is no failure.
    fn cancelled(&mut self) {
        let running = self.host.saver.running.take();
        if running.is_some_and(|running| running.job.is_rewrite()) {
            return self.rewrite_ended(false);
        }
        self.answer_save("-ERR Background save cancelled\r\n");
    }

    fn answer_save(&mut self, reply: &str) {
        for slot in std::mem::take(&mut self.host.saver.waiting) {
            self.host.deliver(slot, reply.as_bytes());
            self.host.orders.push(Order::Answered(slot, Next::Continue));
        }
    }

    fn ended(&mut self, rewrite: bool, result: Result<(u64, u64), String>) {
        let now_secs = self.shard.now().unix_ms / 1000;
        let saver = &mut self.host.saver;
        let running = saver.running.take();
        let before = if rewrite { saver.last_rewrite } else { saver.last_save };
        let took_us = result.as_ref().ok().map(|(_, took_us)| *took_us);
        let last = Last {
            ok: result.is_ok(),
            failed: before.failed + u64::from(result.is_err()),
            took_us: took_us.or(before.took_us),
            secs: result.as_ref().ok().map(|(_, took_us)| took_us / 1_000_000),
            tried_secs: now_secs,
        };
        if rewrite {
            saver.last_rewrite = last;
            if let (Ok((bytes, _)), Some(running)) = (&result, running) {
                saver.rewrites += 1;
                saver.base_bytes = *bytes;
                saver.base_secs = now_secs;
                saver.base_log_bytes = running.log_bytes;
                saver.opened_log_bytes = 0;
            }
            return self.rewrite_ended(result.is_ok());
        }
        saver.last_save = last;
        if let (Ok(_), Some(running)) = (&result, running) {
            saver.saves += 1;
            saver.saved_lsn = Some(running.job.cut());
            saver.saved_secs = now_secs;
            let dirty = &mut self.shard.journal.dirty;
            *dirty = dirty.saturating_sub(running.dirty);
        }
        self.shard.save_failed = self.host.saver.stops_writes();
        let reply = match result {
            Ok(_) => "+OK\r\n".to_string(),
            Err(why) => format!("-ERR {}\r\n", why.replace(['\r', '\n'], " ")),
        };
        self.answer_save(&reply);
    }

    /// Begins the save before a stop, if there is to be one.
    pub(crate) fn save_last(&mut self, how: HowToStop) -> bool {
        let none = self.host.shared.with_config(|c| c.is_set(OptionId::Save));
        let saver = &mut self.host.saver;
        let save = match how.save {
            StopSave::Yes => true,
            StopSave::No => false,
            StopSave::AsConfigured => saver.saves_at_stop(self.host.switch.is_on(), none),
        };
        save && saver.ground.is_some() && saver.want_save(false).is_ok()
    }

    /// Gives up what is under way: the server stops.
    pub(crate) fn stop_saving(&mut self) {
        self.host.saver.save_wanted = false;
        self.host.saver.rewrite_wanted = false;
        self.host.saver.slow_until_ms = 0;
        // Without the base that is on its way a start would not find what was logged.
        let is_founding = self.host.switch.is_founding();
        if let Some(running) = &mut self.host.saver.running
            && !(is_founding && running.job.is_rewrite())
        {
            running.job.cancel(&mut self.shard);
            running.is_cancelled = true;
        }
    }

    /// Whether nothing is being written any more.
    pub(crate) fn has_saved(&self) -> bool {
        self.host.saver.is_idle() && self.has_switched()
    }
}
