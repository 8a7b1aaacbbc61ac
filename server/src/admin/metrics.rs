//! The one list of metrics: /metrics, `docs/metrics.md` and the check of the dashboard walk [`METRICS`].
//!
//! Invariants: a row states a figure that is counted today; labels are bounded ([`LABELS_MAX`] values,
//! then `other`), and never hold keys, values or addresses.

use std::time::Duration;

use moon_engine::exec::stats::{CommandStats, HISTOGRAM_FIRST_BITS};
use moon_storage::log::{LogState, LogStatus, SyncTimes};

use super::text::{Format, Kind, Samples};
use crate::config::OptionId;
use crate::memory::{self, Allocator};
use crate::net::sys;
use crate::service::figures::Figures;
use crate::service::pulse::Phase;
use crate::service::saver::KindFigures;
use crate::service::shared::{Shared, unix_secs};

/// Values of one label; what is beyond them is counted under `other`.
const LABELS_MAX: usize = 200;
/// The only shard.
const SHARD: (&str, &str) = ("shard", "0");
/// Upper bounds of command times in microseconds.
const COMMAND_BOUNDS_US: [u64; 12] =
    [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/// One family.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static str,
    pub(super) help: &'static str,
    write: fn(&View<'_>, &mut Samples),
}

#[cfg(test)]
impl Metric {
    pub(super) fn test(name: &'static str, kind: Kind, labels: &'static str) -> Self {
        Self { name, kind, labels, help: "Help.", write: |_, _| {} }
    }
}

/// What the rows are written from.
struct View<'a> {
    shared: &'a Shared,
    /// What the shard said last, if it has said anything.
    figures: Option<&'a Figures>,
    commands: &'a [Row],
    memory: Allocator,
    rss: usize,
    /// Seconds of a clock tick.
    tick_secs: f64,
}

fn certificates(v: &View<'_>, s: &mut Samples) {
    let Some(tls) = v.shared.tls() else { return };
    let now = unix_secs() as i64;
    s.put(&[("cert", "server")], tls.own.expires_unix - now);
    if let Some(authority) = &tls.authority {
        s.put(&[("cert", "ca")], authority.expires_unix - now);
    }
}

/// One command's figures, or those of all that have no label of their own.
#[derive(Debug, Default)]
struct Row {
    name: &'static str,
    stats: CommandStats,
}

macro_rules! metrics {
    ($( $kind:ident $name:literal [$labels:literal] $help:literal => $write:expr; )+) => {
        /// All metrics, in the order in which they are written.
        pub(super) static METRICS: &[Metric] = &[ $( Metric {
            name: concat!("moon_", $name),
            kind: Kind::$kind,
            labels: $labels,
            help: $help,
            write: $write,
        }, )+ ];
    };
}

metrics! {
Gauge "build_info" ["version, commit"] "Always 1; the labels tell what runs." => |_, s| {
    s.put(&[("version", crate::VERSION), ("commit", crate::COMMIT)], 1);
};
Gauge "start_time_seconds" [""] "When the process started, in seconds since 1970." => |v, s| s.one(v.shared.facts.started_unix_secs);
Gauge "up_shards" [""] "Shards that have turned within the last 5 seconds." => |v, s| s.one(u8::from(super::stuck(v.shared).is_none()));
Gauge "shard_heartbeat_age_seconds" ["shard"] "Time since the last turn of a shard's thread." => |v, s| s.put(&[SHARD], super::silence(v.shared).as_secs_f64());
Gauge "ready" [""] "1 if /readyz answers 200." => |v, s| s.one(u8::from(super::unready(v.shared).is_none()));
Gauge "loading" [""] "1 while data is being recovered." => |v, s| s.one(u8::from(v.shared.pulse.phase() == Phase::Loading));
Gauge "figures_age_seconds" [""] "Age of the shard's figures below: more than a second if it is stuck." => |v, s| of(v, |f| s.one(f.taken.elapsed().as_secs_f64()));
Counter "process_cpu_seconds_total" ["mode"] "Time on the processor, in user and system mode." => |_, s| {
    let (user, system) = sys::cpu_times(false);
    s.put(&[("mode", "user")], micros(user));
    s.put(&[("mode", "system")], micros(system));
};
Counter "connections_total" [""] "Connections accepted." => |v, s| of(v, |f| s.one(f.net.accepted));
Counter "rejected_connections_total" [""] "Connections refused: too many clients, or protected mode." => |v, s| of(v, |f| s.one(f.net.rejected));
Gauge "connected_clients" [""] "Clients that are connected." => |v, s| of(v, |f| s.one(f.clients));
Gauge "shard_connected_clients" ["shard"] "The same, by shard." => |v, s| of(v, |f| s.put(&[SHARD], f.clients));
Gauge "maxclients" [""] "Clients that may be connected at once." => |v, s| of(v, |f| s.one(f.clients_max));
Gauge "blocked_clients" [""] "Clients that wait in a command." => |v, s| of(v, |f| s.one(f.blocked));
Gauge "client_output_bytes" [""] "Replies that have not left, of all clients." => |v, s| of(v, |f| s.one(f.output_bytes));
Counter "closed_clients_total" ["reason"] "Clients closed by a limit." => |v, s| of(v, |f| {
    s.put(&[("reason", "query_buffer")], f.net.query_limit);
    s.put(&[("reason", "output_buffer")], f.net.output_limit);
    s.put(&[("reason", "write_timeout")], f.net.write_timeouts);
    s.put(&[("reason", "maxmemory_clients")], f.net.evicted_clients);
});
Counter "auth_failures_total" [""] "Logins with a wrong name or password." => |v, s| of(v, |f| s.one(f.net.auth_failures));
Counter "acl_denied_total" ["kind"] "Requests denied for want of a right." => |v, s| of(v, |f| {
    s.put(&[("kind", "command")], f.net.denied_commands);
    s.put(&[("kind", "key")], f.net.denied_keys);
    s.put(&[("kind", "channel")], f.net.denied_channels);
    s.put(&[("kind", "database")], f.net.denied_databases);
    s.put(&[("kind", "certificate")], f.net.denied_certificates);
});
Counter "tls_handshakes_total" ["result"] "TLS handshakes by how they ended; `plain` are peers that did not speak TLS." => |v, s| of(v, |f| {
    s.put(&[("result", "ok")], f.net.tls_handshakes);
    s.put(&[("result", "failed")], f.net.tls_failures - f.net.tls_plain);
    s.put(&[("result", "plain")], f.net.tls_plain);
});
Gauge "tls_cert_expiry_seconds" ["cert"] "Time until a TLS certificate ends, negative behind that: the server's own, and of the authorities of clients the first." => certificates;
Counter "network_receive_bytes_total" [""] "Bytes received from clients." => |v, s| of(v, |f| s.one(f.net.bytes_in));
Counter "network_transmit_bytes_total" [""] "Bytes sent to clients." => |v, s| of(v, |f| s.one(f.net.bytes_out));
Counter "commands_processed_total" [""] "Commands run, those inside EXEC and scripts included." => |v, s| of(v, |f| s.one(f.stats.commands));
Counter "commands_total" ["cmd"] "Commands run, by command." => |v, s| v.commands.iter().for_each(|r| s.put(&[("cmd", r.name)], r.stats.calls));
Histogram "command_duration_seconds" ["cmd"] "How long commands take, without waiting and network (needs latency-tracking)." => command_times;
Counter "command_errors_total" ["cmd"] "Commands that ran and answered an error." => |v, s| v.commands.iter().for_each(|r| s.put(&[("cmd", r.name)], r.stats.failed));
Counter "command_rejections_total" ["cmd"] "Commands refused before they ran." => |v, s| v.commands.iter().for_each(|r| s.put(&[("cmd", r.name)], r.stats.rejected));
Counter "error_replies_total" ["code"] "Error replies by their first word." => |v, s| of(v, |f| error_replies(f, s));
Gauge "slowlog_length" [""] "Entries of the slow log." => |v, s| of(v, |f| s.one(f.slow_len));
Counter "slowlog_total" [""] "Commands that were slow enough for the slow log." => |v, s| of(v, |f| s.one(f.slow_total));
Gauge "keys" ["db"] "Keys of a database that is not empty." => |v, s| by_db(v, s, |db| db.keys);
Gauge "expires" ["db"] "Those of them with a time to live." => |v, s| by_db(v, s, |db| db.expires);
Gauge "db_used_memory_bytes" ["db"] "Bytes of its keys and values." => |v, s| by_db(v, s, |db| db.bytes);
Counter "keyspace_hits_total" [""] "Reads that found their key." => |v, s| of(v, |f| s.one(f.stats.keyspace_hits));
Counter "keyspace_misses_total" [""] "Reads that did not." => |v, s| of(v, |f| s.one(f.stats.keyspace_misses));
Counter "expired_keys_total" [""] "Keys removed because their time ran out." => |v, s| of(v, |f| s.one(f.stats.expired_keys));
Counter "expired_fields_total" [""] "Hash fields removed because their time ran out." => |v, s| of(v, |f| s.one(f.stats.expired_subkeys));
Counter "evicted_keys_total" [""] "Keys removed because memory was short." => |v, s| of(v, |f| s.one(f.stats.evicted_keys));
Gauge "pubsub_channels" [""] "Channels with a subscriber." => |v, s| of(v, |f| s.one(f.channels));
Gauge "pubsub_patterns" [""] "Patterns with a subscriber." => |v, s| of(v, |f| s.one(f.patterns));
Gauge "used_memory_bytes" [""] "Bytes in use by the program." => |v, s| s.one(v.memory.allocated);
Gauge "rss_bytes" [""] "Bytes of memory that the process holds." => |v, s| s.one(v.rss);
Gauge "memory_peak_bytes" [""] "The most that was in use." => |v, s| of(v, |f| s.one(f.memory_peak.max(v.memory.allocated)));
Gauge "memory_bytes" ["kind"] "Bytes in use by what they are for; `other` is all that is not named." => memory_kinds;
Gauge "fragmentation_ratio" [""] "Memory held by memory in use." => |v, s| s.one(v.rss as f64 / v.memory.allocated.max(1) as f64);
Gauge "maxmemory_bytes" [""] "The cap (maxmemory); 0 is none." => |v, s| s.one(v.shared.with_config(|c| c.int(OptionId::MaxMemory)));
Gauge "log_state" ["shard, state"] "1 for the state that the log is in." => |v, s| of_log(v, |_| {
    let now = v.shared.pulse.log();
    LogState::ALL.iter().for_each(|state| s.put(&[SHARD, ("state", state.name())], u8::from(*state == now)));
});
Gauge "last_lsn" ["shard"] "Number of the last write." => |v, s| of_log(v, |l| s.put(&[SHARD], l.last_lsn));
Gauge "written_lsn" ["shard"] "Number of the last write that the kernel has." => |v, s| of_log(v, |l| s.put(&[SHARD], l.written_lsn));
Gauge "durable_lsn" ["shard"] "Number of the last write that the disk has." => |v, s| of_log(v, |l| s.put(&[SHARD], l.durable_lsn));
Gauge "unsynced_bytes" ["shard"] "Bytes of writes that are not on the disk." => |v, s| of_log(v, |l| s.put(&[SHARD], l.unsynced_bytes));
Gauge "unsynced_seconds" ["shard"] "Age of the oldest write that is not on the disk." => |v, s| of_log(v, |l| s.put(&[SHARD], l.unsynced_ms as f64 / 1e3));
Histogram "log_sync_seconds" ["shard"] "How long syncs of the log take; under `always` with the write before each." => |v, s| of_log(v, |l| sync_times(&l.sync_times, s));
Counter "log_syncs_total" ["shard"] "Syncs that ended well." => |v, s| of_log(v, |l| s.put(&[SHARD], l.syncs));
Counter "log_batches_total" ["shard"] "Groups of records written." => |v, s| of_log(v, |l| s.put(&[SHARD], l.batches));
Counter "log_errors_total" ["shard, op"] "Writes and syncs that failed." => |v, s| of_log(v, |l| {
    s.put(&[SHARD, ("op", "write")], l.write_errors);
    s.put(&[SHARD, ("op", "sync")], l.sync_errors);
});
Counter "log_heals_total" ["shard"] "Suspect files replaced." => |v, s| of_log(v, |l| s.put(&[SHARD], l.log_heals));
Counter "log_backpressure_seconds_total" ["shard"] "Time during which writes had to wait for the disk." => |v, s| of_log(v, |l| s.put(&[SHARD], micros(l.log_backpressure_us)));
Counter "wal_bytes_total" ["shard"] "Bytes of records written." => |v, s| of_log(v, |l| s.put(&[SHARD], l.written_bytes));
Gauge "wal_size_bytes" ["shard"] "Bytes of the log's files." => |v, s| of_log(v, |l| s.put(&[SHARD], l.segment_bytes));
Gauge "wal_segments" ["shard"] "Files of the log." => |v, s| of_log(v, |l| s.put(&[SHARD], l.segments));
Counter "wal_rotations_total" ["shard"] "Files begun." => |v, s| of_log(v, |l| s.put(&[SHARD], l.rotations));
Gauge "disk_free_bytes" [""] "Free bytes of the data directory's file system." => |v, s| of_log(v, |l| if let Some(space) = sized(l) { s.one(space.free) });
Gauge "disk_size_bytes" [""] "Its size." => |v, s| of_log(v, |l| if let Some(space) = sized(l) { s.one(space.total) });
Gauge "recovery_seconds" [""] "How long the recovery took at the start." => |v, s| of(v, |f| if let Some((_, us)) = f.recovered { s.one(micros(us)) });
Gauge "recovery_records" [""] "Records that it read." => |v, s| of(v, |f| if let Some((records, _)) = f.recovered { s.one(records) });
Counter "snapshots_total" ["kind"] "Snapshots written: `save` for SAVE, BGSAVE and save points, `rewrite` for a new base of the log." => |v, s| snapshots(v, s, |k| Some(k.done as f64));
Counter "snapshot_failures_total" ["kind"] "Snapshots that failed." => |v, s| snapshots(v, s, |k| Some(k.failed as f64));
Gauge "snapshot_in_progress" ["kind"] "1 while one is being written." => |v, s| snapshots(v, s, |k| Some(f64::from(u8::from(k.running))));
Gauge "snapshot_duration_seconds" ["kind"] "How long the last took." => |v, s| snapshots(v, s, |k| k.took_us.map(micros));
Gauge "snapshot_pending_bytes" [""] "What changes have had written ahead of the snapshot under way, in memory." => |v, s| of(v, |f| s.one(f.saver.pending_bytes));
Gauge "base_age_seconds" [""] "Age of what a start reads first: the base of the log, or the save without one." => |v, s| of(v, |f| if f.saver.base_secs > 0 { s.one(unix_secs().saturating_sub(f.saver.base_secs)) });
Gauge "pitr_oldest_timestamp_seconds" [""] "When the oldest base that is kept was made: from there on any moment can be restored." => |v, s| of(v, |f| if f.saver.oldest_restore_secs > 0 { s.one(f.saver.oldest_restore_secs) });
Gauge "backups_running" [""] "Backups that hold files of the server." => |v, s| of(v, |f| s.one(f.backups.leases));
Counter "backup_leases_expired_total" [""] "Backups whose time was over before they were ended." => |v, s| of(v, |f| s.one(f.backups.expired));
Gauge "backup_last_success_timestamp_seconds" [""] "When the last backup ended well, since the start." => |v, s| of(v, |f| if f.backups.ended_secs > 0 { s.one(f.backups.ended_secs) });
Gauge "base_bytes" [""] "Size of the base of the log." => |v, s| of(v, |f| s.one(f.saver.base_bytes));
Counter "scrub_bytes_total" [""] "Bytes of bases and log segments read again to find damage." => |v, s| of(v, |f| s.one(f.scrub.bytes));
Counter "scrub_findings_total" [""] "Files found damaged so." => |v, s| of(v, |f| s.one(f.scrub.found));
Gauge "damaged_files" [""] "Bases and log segments that are damaged and still needed." => |v, s| of(v, |f| s.one(f.scrub.damaged));
Gauge "replicas" [""] "Replicas that follow the stream." => |v, s| of(v, |f| s.one(f.replication.online));
Counter "replication_syncs_total" ["kind"] "Replicas that were given a file (`full`), went on where they were (`partial`), or could not (`refused`, which leads to a file)." => |v, s| of(v, |f| {
    s.put(&[("kind", "full")], f.replication.syncs.full);
    s.put(&[("kind", "partial")], f.replication.syncs.partial_ok);
    s.put(&[("kind", "refused")], f.replication.syncs.partial_err);
});
Counter "replication_transmit_bytes_total" [""] "Bytes sent to replicas." => |v, s| of(v, |f| s.one(f.replication.syncs.bytes_out));
Gauge "replication_offset" [""] "Position in the stream, in bytes: of a replica, that of its master's stream." => |v, s| of(v, |f| s.one(f.replication.offset));
Gauge "replication_lag_bytes" [""] "What the slowest replica has not confirmed." => |v, s| of(v, |f| if let Some((bytes, _)) = f.replication.lag { s.one(bytes) });
Gauge "replication_lag_ms" [""] "Milliseconds since the quietest replica was heard of; replicas confirm every second." => |v, s| of(v, |f| if let Some((_, ms)) = f.replication.lag { s.one(ms) });
Gauge "replica_link_up" [""] "1 while the stream of the master comes; replicas only." => |v, s| of(v, |f| if let Some(up) = f.link_up { s.one(u8::from(up)) });
Gauge "cdc_subscribers" [""] "Connections that changes are pushed to." => |v, s| of(v, |f| s.one(f.cdc.subscribers.len()));
Gauge "cdc_subscriber_lag_lsn" ["client"] "Records that a subscriber, by its client id, has not been sent." => |v, s| of(v, |f| {
    let lags = f.cdc.subscribers.iter().map(|(client, lag)| (client.to_string(), *lag));
    bounded(s, "client", lags, u64::max);
});
Gauge "cdc_slots" [""] "Slots that keep the log for a reader of changes." => |v, s| of(v, |f| s.one(f.cdc.slots.len()));
Gauge "cdc_slots_invalidated" [""] "Those of them that held more of the log than they may, and hold nothing any more." => |v, s| of(v, |f| s.one(f.cdc.slots.iter().filter(|slot| slot.given_up).count()));
Gauge "cdc_lag_lsn" ["slot"] "Records that the reader of a slot has not acknowledged." => |v, s| of(v, |f| {
    bounded(s, "slot", f.cdc.slots.iter().map(|slot| (slot.name.to_string(), slot.lag)), u64::max);
});
Gauge "cdc_slot_held_bytes" ["slot"] "Bytes of the log's files from a slot's place on." => |v, s| of(v, |f| {
    bounded(s, "slot", f.cdc.slots.iter().map(|slot| (slot.name.to_string(), slot.held_bytes)), u64::max);
});
Counter "cdc_events_sent_total" [""] "Changes handed to readers." => |v, s| of(v, |f| s.one(f.cdc.events_sent));
Counter "shard_turns_total" ["shard"] "Turns of a shard's thread." => |v, s| of(v, |f| s.put(&[SHARD], f.turns.count));
Counter "shard_busy_seconds_total" ["shard"] "Time that its thread worked rather than waited; the rate is its load." => |v, s| of(v, |f| s.put(&[SHARD], f.turns.busy as f64 * v.tick_secs));
}

/// A figure for each of the first [`LABELS_MAX`] values of a label, and one for all others, made of theirs.
fn bounded(
    s: &mut Samples,
    label: &'static str,
    figures: impl Iterator<Item = (String, u64)>,
    both: fn(u64, u64) -> u64,
) {
    let mut other = None;
    for (i, (value, figure)) in figures.enumerate() {
        match i < LABELS_MAX {
            true => s.put(&[(label, &value)], figure),
            false => other = Some(other.map_or(figure, |held| both(held, figure))),
        }
    }
    if let Some(other) = other {
        s.put(&[(label, "other")], other);
    }
}

fn snapshots(v: &View<'_>, s: &mut Samples, figure: impl Fn(&KindFigures) -> Option<f64>) {
    let Some(f) = v.figures else { return };
    for (kind, figures) in [("save", &f.saver.save), ("rewrite", &f.saver.rewrite)] {
        if let Some(value) = figure(figures) {
            s.put(&[("kind", kind)], value);
        }
    }
}

fn micros(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

fn of(v: &View<'_>, f: impl FnOnce(&Figures)) {
    if let Some(figures) = v.figures {
        f(figures);
    }
}

fn of_log(v: &View<'_>, f: impl FnOnce(&LogStatus)) {
    if let Some(status) = v.figures.and_then(|figures| figures.log.as_ref()) {
        f(status);
    }
}

/// The file system, if it has a size of its own.
fn sized(log: &LogStatus) -> Option<moon_storage::io::Space> {
    log.space.filter(|space| space.total != u64::MAX)
}

fn error_replies(f: &Figures, s: &mut Samples) {
    let mut other = 0;
    for (i, (code, n)) in f.stats.errors.iter().enumerate() {
        // Fewer codes are counted than labels allowed.
        if i < LABELS_MAX { s.put(&[("code", code)], n) } else { other += n }
    }
    if other > 0 {
        s.put(&[("code", "other")], other);
    }
}

fn by_db(
    v: &View<'_>,
    s: &mut Samples,
    figure: impl Fn(&crate::service::figures::DbFigures) -> usize,
) {
    let Some(figures) = v.figures else { return };
    // By number, so that the same databases have labels of their own from one look to the next.
    let mut other = None;
    for db in &figures.dbs {
        match db.index < LABELS_MAX {
            true => s.put(&[("db", &db.index.to_string())], figure(db)),
            false => *other.get_or_insert(0) += figure(db),
        }
    }
    if let Some(other) = other {
        s.put(&[("db", "other")], other);
    }
}

fn memory_kinds(v: &View<'_>, s: &mut Samples) {
    let Some(f) = v.figures else { return };
    let keyspace: usize = f.dbs.iter().map(|db| db.bytes).sum();
    let named = [
        ("keyspace", keyspace),
        ("clients", f.clients_bytes),
        ("lua_scripts", f.scripts_bytes),
        ("replication_backlog", f.replication.kept_bytes),
    ];
    let mut rest = v.memory.allocated;
    for (kind, bytes) in named {
        s.put(&[("kind", kind)], bytes);
        rest = rest.saturating_sub(bytes);
    }
    s.put(&[("kind", "other")], rest);
}

fn sync_times(times: &SyncTimes, s: &mut Samples) {
    let bounds = SyncTimes::BOUNDS_US.map(micros);
    s.histogram(&[SHARD], &bounds, &times.counts, micros(times.sum_us));
}

fn command_times(v: &View<'_>, s: &mut Samples) {
    let bounds = COMMAND_BOUNDS_US.map(micros);
    for row in v.commands {
        let mut counts = [0; COMMAND_BOUNDS_US.len() + 1];
        for (i, n) in row.stats.histogram.iter().enumerate() {
            let us = (1u64 << (i as u32 + HISTOGRAM_FIRST_BITS)) as f64 * v.tick_secs * 1e6;
            counts[COMMAND_BOUNDS_US.partition_point(|bound| (*bound as f64) < us)] +=
                u64::from(*n);
        }
        if counts.iter().any(|n| *n > 0) {
            let sum = row.stats.ticks_in_histogram as f64 * v.tick_secs;
            s.histogram(&[("cmd", row.name)], &bounds, &counts, sum);
        }
    }
}

/// What must be the same from one look to the next, so that counters only grow.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Seconds of a clock tick, as measured at the first look.
    tick_secs: Option<f64>,
    /// Commands with a label of their own, by id.
    named: Vec<u16>,
}

impl Kept {
    /// The text of /metrics.
    pub(super) fn render(
        &mut self,
        shared: &Shared,
        figures: Option<&Figures>,
        format: Format,
    ) -> String {
        let mut tick_secs = self.tick_secs.unwrap_or_default();
        if let (None, Some(f)) = (self.tick_secs, figures) {
            tick_secs = f.pace.1 as f64 / 1e6 / f.pace.0.max(1) as f64;
            self.tick_secs = Some(tick_secs);
        }
        let commands = figures.map(|f| self.commands(f)).unwrap_or_default();
        let view = View {
            shared,
            figures,
            commands: &commands,
            memory: memory::allocator(),
            rss: memory::rss(),
            tick_secs,
        };
        let mut samples = Samples::new();
        for metric in METRICS {
            samples.begin(format, metric);
            (metric.write)(&view, &mut samples);
        }
        samples.finish(format)
    }

    /// Commands that were called or refused: the first [`LABELS_MAX`] to be so by name.
    fn commands(&mut self, figures: &Figures) -> Vec<Row> {
        let (mut rows, mut other) = (Vec::new(), Row { name: "other", ..Row::default() });
        let table = crate::commands::table();
        for c in table.iter().flat_map(|c| std::iter::once(c).chain(c.subs())) {
            let Some(stats) = figures.stats.by_command.get(usize::from(c.id)) else { continue };
            if stats.calls + stats.rejected == 0 {
                continue;
            }
            if self.named.contains(&c.id) || self.named.len() < LABELS_MAX {
                if !self.named.contains(&c.id) {
                    self.named.push(c.id);
                }
                rows.push(Row { name: c.spec.name, stats: *stats });
            } else {
                other.stats.add(stats);
            }
        }
        if other.stats.calls + other.stats.rejected > 0 {
            rows.push(other);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn page() -> String {
        let mut out = String::from(
            "# Metrics\n\nGenerated from the list of metrics by `cargo xtask gen`; change the rows, not \
             this page. What each\nfigure means for operation, the dashboard and the alerts are in \
             [monitoring](monitoring.md).\n\n| metric | kind | labels | what it is |\n|---|---|---|---|\n",
        );
        for m in METRICS {
            let (name, kind, help) = (m.name, m.kind.name(), m.help);
            out.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", m.labels));
        }
        out
    }

    #[test]
    fn the_page_of_metrics_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        if std::env::var_os("MOON_WRITE_PAGES").is_some() {
            std::fs::write(&path, page()).expect("the page can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page(), "docs/metrics.md is stale: run `cargo xtask gen`");
    }

    #[test]
    fn names_are_unique_and_say_their_kind() {
        let mut seen = HashSet::new();
        for m in METRICS {
            assert!(seen.insert(m.name), "{} appears twice", m.name);
            assert_eq!(m.kind == Kind::Counter, m.name.ends_with("_total"), "{}", m.name);
            assert!(m.help.ends_with(['.', ')']) && !m.help.contains('\n'), "{}", m.name);
        }
    }
}
