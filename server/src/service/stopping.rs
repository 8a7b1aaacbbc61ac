//! A stop that can still be given up: writes wait, replicas catch up, the data are saved (redis-surface §20).
//!
//! Connections and reads go on until nothing can fail any more; if the save does, and nobody insists, the
//! server goes on as if nothing had been. How a stop proceeds from there is the loop's business.

use super::ShardService;
use super::host::Pause;
use super::shared::{HowToStop, StopSave};
use crate::config::OptionId;
use crate::net::Slot;
use crate::net::conn::Next;
use crate::net::hub::Order;

const FAILED: &[u8] = b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n";

/// What belongs to a stop.
#[derive(Default)]
pub(crate) struct Stopping {
    /// Writes wait.
    pub(super) pause: Option<Pause>,
    /// There is no way back.
    is_final: bool,
    /// Clients of SHUTDOWN: they hear of it if nothing comes of it.
    waiting: Vec<Slot>,
    /// The running request is a SHUTDOWN.
    asked: bool,
}

impl Stopping {
    /// Has the client of the running request wait for the end.
    pub(crate) fn wait(&mut self, slot: Slot) {
        self.asked = true;
        self.waiting.push(slot);
    }

    /// Whether the request that has run asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Forgets a client that is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.waiting.retain(|s| *s != slot);
    }

    /// Whether it may be given up.
    pub(crate) fn may_be_aborted(&self) -> bool {
        !self.is_final
    }

    /// Clients that wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl ShardService {
    /// Has writes wait, and replicas say what they have. Returns when it is enough, in milliseconds of the
    /// monotonic clock.
    pub(crate) fn begin_stop(&mut self, how: HowToStop, now_ms: u64) -> u64 {
        self.host.stopping.pause = Some(Pause { until_ms: u64::MAX, all: false });
        self.shard.expiry_paused = true;
        if how.now {
            return now_ms;
        }
        let secs = self.host.shared.with_config(|c| c.int(OptionId::ShutdownTimeout)) as u64;
        self.host.replicas.ask_for_confirmation();
        if !self.host.replicas.have_all() {
            tracing::info!("waiting for replicas before the stop");
        }
        now_ms.saturating_add(secs.saturating_mul(1000))
    }

    /// Whether nothing is left to wait for: replicas have everything, and no script runs whose data are to be
    /// saved.
    pub(crate) fn may_stop(&self, how: HowToStop) -> bool {
        self.host.replicas.have_all() && (!self.is_busy() || how.save == StopSave::No)
    }

    /// Ends a script that has had its time. One that has written is dropped with what it has done, and what is
    /// in memory is not saved any more: half of a script is nobody's data. False if it takes another turn.
    pub(crate) fn end_script(&mut self, how: &mut HowToStop) -> bool {
        if !self.is_busy() {
            return true;
        }
        if how.save != StopSave::No && self.shard.stop_script() {
            return false;
        }
        tracing::warn!("a script that has written is dropped, and nothing is saved");
        self.shard.abandon_script();
        self.host.stopping.is_final = true;
        how.save = StopSave::No;
        true
    }

    /// Everything is as before, but for saves that were under way.
    pub(crate) fn give_stop_up(&mut self) {
        self.stop_saving();
        self.host.stopping.pause = None;
        self.shard.expiry_paused = self.host.is_paused();
        self.host.resume_held();
        self.host.shared.cancel_stop();
        for slot in std::mem::take(&mut self.host.stopping.waiting) {
            self.host.deliver(slot, FAILED);
            self.host.orders.push(Order::Answered(slot, Next::Continue));
        }
    }
}
