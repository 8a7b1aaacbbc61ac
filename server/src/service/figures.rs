//! A copy of what a shard counts, taken by the shard for readers on other threads.

use std::time::Instant;

use moon_engine::exec::stats::Stats;
use moon_storage::log::LogStatus;

use super::ShardService;
use super::backup::BackupFigures;
use super::cdc::CdcFigures;
use super::pubsub::Kind;
use super::replication;
use super::saver::SaverFigures;
use super::scrub::ScrubFigures;
use super::stats::{NetStats, Turns};

/// Figures of one database that holds keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DbFigures {
    pub(crate) index: usize,
    pub(crate) keys: usize,
    /// Keys with a time to live.
    pub(crate) expires: usize,
    pub(crate) bytes: usize,
}

/// Figures of a shard at one moment.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) taken: Instant,
    pub(crate) stats: Stats,
    pub(crate) net: NetStats,
    pub(crate) turns: Turns,
    pub(crate) log: Option<LogStatus>,
    pub(crate) dbs: Vec<DbFigures>,
    /// Clock ticks since the start, and the microseconds that they took.
    pub(crate) pace: (u64, u64),
    pub(crate) clients: usize,
    pub(crate) clients_max: usize,
    pub(crate) blocked: usize,
    pub(crate) clients_bytes: usize,
    /// Replies that have not left, as the last round of the connections found them.
    pub(crate) output_bytes: usize,
    pub(crate) scripts_bytes: usize,
    pub(crate) memory_peak: usize,
    pub(crate) slow_len: usize,
    pub(crate) slow_total: u64,
    pub(crate) channels: usize,
    pub(crate) patterns: usize,
    /// The link to the master is up, of a replica.
    pub(crate) link_up: Option<bool>,
    pub(crate) saver: SaverFigures,
    pub(crate) scrub: ScrubFigures,
    pub(crate) backups: BackupFigures,
    pub(crate) cdc: CdcFigures,
    pub(crate) replication: replication::Figures,
    /// Records and microseconds of the recovery.
    pub(crate) recovered: Option<(u64, u64)>,
}

impl Figures {
    /// Copies the figures of a shard.
    pub(crate) fn of(service: &ShardService, output_bytes: usize) -> Self {
        let (shard, host) = (&service.shard, &service.host);
        let dbs = shard.dbs().iter().enumerate().filter(|(_, db)| !db.is_empty());
        let (eval, functions) = shard.scripts.vm_bytes();
        let (texts, libraries) = shard.scripts.text_bytes();
        Self {
            taken: Instant::now(),
            stats: shard.stats.clone(),
            net: host.stats.clone(),
            turns: host.turns,
            log: host.log.as_ref().map(moon_storage::log::Log::status),
            dbs: dbs
                .map(|(index, db)| DbFigures {
                    index,
                    keys: db.len(),
                    expires: db.expires(),
                    bytes: db.mem_bytes(),
                })
                .collect(),
            pace: host.pace(),
            clients: host.client_count,
            clients_max: host.clients_max,
            blocked: host.blocked_clients(shard),
            clients_bytes: host.clients_bytes,
            output_bytes,
            scripts_bytes: eval + functions + texts + libraries,
            memory_peak: host.memory_peak,
            slow_len: host.slow_log.len(),
            slow_total: host.slow_log.total(),
            channels: host.pubsub.count(Kind::Channel),
            patterns: host.pubsub.count(Kind::Pattern),
            link_up: host.following.as_ref().map(|f| f.is_up()),
            saver: host.saver.figures(shard),
            scrub: host.scrub.figures(),
            backups: host.backups.figures(),
            cdc: CdcFigures::of(host, &shard.slots),
            replication: host.replicas.figures(shard.now().mono_us / 1000),
            recovered: host.recovered,
        }
    }
}
