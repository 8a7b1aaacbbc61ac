//! The section of the log, of saves and rewrites.

use moon_storage::log::LogState;

use super::{View, line, ok};
use crate::config::OptionId;

/// Seconds since something began; -1 for nothing.
fn running_secs(v: &View<'_>, runs: bool) -> i64 {
    let now_ms = v.shard.now().mono_us / 1000;
    match v.host.saver.progress() {
        Some((_, since_ms)) if runs => (now_ms.saturating_sub(since_ms) / 1000) as i64,
        _ => -1,
    }
}

fn saves(out: &mut String, v: &View<'_>) {
    let saver = &v.host.saver;
    let saving = saver.is_saving();
    line(out, "rdb_bgsave_in_progress", u8::from(saving));
    line(out, "rdb_last_save_time", saver.saved_secs);
    line(out, "rdb_last_bgsave_status", ok(saver.last_save.ok));
    line(out, "rdb_last_bgsave_time_sec", saver.last_save.secs.map_or(-1, |s| s as i64));
    line(out, "rdb_current_bgsave_time_sec", running_secs(v, saving));
    line(out, "rdb_saves", saver.saves);
    if let Some(progress) = v.shard.snapshot_progress() {
        line(out, "current_save_keys_processed", progress.keys_done);
        line(out, "current_save_keys_total", progress.keys_total);
        let done = progress.keys_done as f64 * 100.0 / progress.keys_total.max(1) as f64;
        line(out, "current_fork_perc", format_args!("{done:.2}"));
        line(out, "snapshot_pending_bytes", progress.pending_bytes);
        line(out, "snapshot_held_bytes", progress.held_bytes);
    }
    if let Some((bytes, _)) = saver.progress() {
        line(out, "snapshot_written_bytes", bytes);
    }
}

fn rewrites(out: &mut String, v: &View<'_>) {
    let saver = &v.host.saver;
    let rewrites = saver.is_rewriting() || (v.host.switch.is_founding() && !v.shard.loading);
    line(out, "aof_rewrite_in_progress", u8::from(rewrites));
    line(out, "aof_rewrite_scheduled", u8::from(saver.is_rewrite_scheduled()));
    line(out, "aof_last_rewrite_time_sec", saver.last_rewrite.secs.map_or(-1, |s| s as i64));
    line(out, "aof_current_rewrite_time_sec", running_secs(v, saver.is_rewriting()));
    line(out, "aof_last_bgrewrite_status", ok(saver.last_rewrite.ok));
    line(out, "aof_rewrites", saver.rewrites);
    line(out, "aof_base_size", saver.base_bytes());
}

pub(super) fn persistence(out: &mut String, v: &View<'_>) {
    let progress = &v.host.shared.progress;
    use std::sync::atomic::Ordering::Relaxed;
    let loading = v.shard.loading;
    line(out, "loading", u8::from(loading));
    line(out, "async_loading", 0);
    if loading {
        let total = progress.bytes_total.load(Relaxed);
        let done = progress.bytes_done.load(Relaxed).min(total);
        line(out, "loading_start_time", v.host.shared.facts.started_unix_secs);
        line(out, "loading_total_bytes", total);
        line(out, "loading_loaded_bytes", done);
        let percent = done as f64 * 100.0 / total.max(1) as f64;
        line(out, "loading_loaded_perc", format_args!("{percent:.2}"));
    }
    line(out, "rdb_changes_since_last_save", v.shard.journal.dirty);
    saves(out, v);
    let inspected = v.host.shared.facts.inspected().is_some();
    line(out, "aof_enabled", u8::from(v.config.bool(OptionId::AppendOnly) && !inspected));
    rewrites(out, v);
    if let Some((records, micros)) = v.host.recovered {
        line(out, "recovered_records", records);
        line(out, "recovery_usec", micros);
    }
    if let Some(point) = &v.host.shared.facts.point {
        line(out, "recovery_mode", if inspected { "inspect" } else { "fork" });
        line(out, "recovery_target_lsn", point.point.lsn);
        line(out, "recovery_target_time", point.wall_us.map_or(0, |us| us / 1_000_000));
    }
    let Some(log) = &v.host.log else {
        let none = if inspected { "inspect" } else { "snapshot-only" };
        line(out, "durability", if loading { "loading" } else { none });
        return;
    };
    let s = log.status();
    let counts = v.host.switch.is_on();
    line(
        out,
        "durability",
        if counts { v.config.text(OptionId::AppendFsync) } else { "snapshot-only" },
    );
    line(out, "aof_last_write_status", if s.last_write_ok { "ok" } else { "err" });
    line(out, "aof_current_size", s.segment_bytes);
    line(out, "log_state", s.state.name());
    line(out, "log_state_since", s.state_since_us / 1_000_000);
    if s.state != LogState::Ok {
        line(out, "log_cause", s.cause.replace(['\r', '\n'], " "));
    }
    let since_base = v.host.saver.log_since_base(log);
    line(out, "log_since_base", since_base);
    line(out, "recovery_estimate_ms", v.host.saver.replay_ms(since_base));
    if let Some((lsn, secs)) = v.host.saver.oldest_restore() {
        line(out, "pitr_bases", v.host.saver.bases());
        line(out, "pitr_oldest_lsn", lsn);
        line(out, "pitr_oldest_time", secs);
    }
    if let Some((epoch, forked_at)) = v.host.saver.timeline() {
        line(out, "timeline", epoch);
        line(out, "timeline_forked_at_lsn", forked_at.unwrap_or(0));
    }
    let backups = v.host.backups.figures();
    line(out, "backups_running", backups.leases);
    if let (Some(lsn), Some(until_us)) = (backups.floor_lsn, backups.until_us) {
        let left_us = until_us.saturating_sub(v.shard.now().mono_us);
        line(out, "backup_floor_lsn", lsn);
        line(out, "backup_lease_ends_in_sec", left_us / 1_000_000);
    }
    line(out, "backup_leases_expired", backups.expired);
    line(out, "backup_last_success_time", backups.ended_secs);
    if let Some(scrub) = v.host.scrub.status() {
        let state = if scrub.damaged.is_empty() { "ok" } else { "base_damaged" };
        line(out, "base_state", state);
        line(out, "scrub_in_progress", u8::from(scrub.running));
        line(out, "scrub_passes", scrub.passes);
        line(out, "scrub_bytes", scrub.bytes);
        line(out, "scrub_findings", scrub.found);
        for (n, (path, what)) in scrub.damaged.iter().enumerate() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            line(out, &format!("scrub_damaged{n}"), format_args!("{name}: {what}"));
        }
    }
    line(out, "last_lsn", s.last_lsn);
    line(out, "written_lsn", s.written_lsn);
    line(out, "durable_lsn", s.durable_lsn);
    line(out, "unsynced_bytes", s.unsynced_bytes);
    line(out, "unsynced_ms", s.unsynced_ms);
    line(out, "sync_errors", s.sync_errors);
    line(out, "write_errors", s.write_errors);
    line(out, "log_heals", s.log_heals);
    line(out, "log_backpressure_us", s.log_backpressure_us);
    line(out, "log_batches", s.batches);
    line(out, "log_syncs", s.syncs);
    line(out, "log_segments", s.segments);
    line(out, "log_rotations", s.rotations);
    line(out, "log_recycled", s.recycled);
}
