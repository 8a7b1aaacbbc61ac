//! What INFO, ROLE and /metrics tell of replicas.

use super::{Replica, Replicas, State, SyncStats};
use crate::service::host::ServerHost;

/// What INFO and ROLE show of a replica.
pub(crate) struct ReplicaFigures {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) state: &'static str,
    pub(crate) offset: u64,
    pub(crate) lag_secs: u64,
}

/// Figures of all of them together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Replicas that follow the stream.
    pub(crate) online: usize,
    /// Position behind the last byte of the stream.
    pub(crate) offset: u64,
    /// Bytes of the stream that are kept.
    pub(crate) kept_bytes: usize,
    /// What the slowest replica has not confirmed, in bytes, and milliseconds since the quietest was heard of;
    /// `None` without replicas.
    pub(crate) lag: Option<(u64, u64)>,
    pub(crate) syncs: SyncStats,
}

impl Replicas {
    /// Figures of all replicas.
    pub(crate) fn figures(&self, now_ms: u64) -> Figures {
        let online = |r: &&Replica| matches!(r.state, State::Online);
        let (offset, kept_bytes) = (self.offset(), self.backlog().1);
        let behind = self.list.iter().filter(online).map(|r| offset.saturating_sub(r.acked)).max();
        let silent =
            self.list.iter().filter(online).map(|r| now_ms.saturating_sub(r.acked_ms)).max();
        Figures {
            online: self.list.iter().filter(online).count(),
            offset,
            kept_bytes,
            lag: behind.zip(silent),
            syncs: self.stats,
        }
    }
}

impl ServerHost {
    /// Figures of all replicas.
    pub(crate) fn replica_figures(&self, now_ms: u64) -> Vec<ReplicaFigures> {
        let figures = |r: &Replica| {
            let peer = self.client(r.slot).map(|c| c.peer.addr.clone()).unwrap_or_default();
            let host = peer.rsplit_once(':').map_or(peer.as_str(), |(host, _)| host);
            ReplicaFigures {
                address: r.announced.address.clone().unwrap_or_else(|| host.into()),
                port: r.announced.port,
                state: r.state_name(),
                offset: r.acked,
                lag_secs: now_ms.saturating_sub(r.acked_ms) / 1000,
            }
        };
        self.replicas.list.iter().map(figures).collect()
    }
}
