//! INFO: figures in sections of `key:value` lines (redis-surface §20).

mod persistence;

use std::fmt::Write;
use std::time::Duration;

use moon_engine::args::Args;
use moon_engine::command::{Command, CommandSpec, Flags, Group, Run};
use moon_engine::error::CmdResult;
use moon_engine::exec::{SessionCx, Shard};

use super::{host, latency, row};
use crate::config::{Config, OptionId};
use crate::memory;
use crate::net::{listen, sys};
use crate::service::host::ServerHost;
use crate::service::pubsub::Kind;
use crate::service::shared;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "Returns information and statistics about the server.",
    syntax: "[section [section ...]]",
    acl: &["@dangerous"],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..row("info", Group::Server, "1.0.0", -1, Flags::LOADING.and(Flags::STALE), Run::Session(info))
}];

type Section = fn(&mut String, &View<'_>);

/// The section that `all` leaves out.
const NAMED_ONLY: &str = "debug";

/// Name, whether a bare INFO shows it, and its lines.
const SECTIONS: &[(&str, &str, bool, Section)] = &[
    ("server", "Server", true, server),
    ("clients", "Clients", true, clients),
    ("memory", "Memory", true, memory_section),
    ("persistence", "Persistence", true, persistence::persistence),
    ("stats", "Stats", true, stats),
    ("tls", "TLS", true, tls),
    ("replication", "Replication", true, replication),
    ("cdc", "CDC", true, cdc),
    ("cpu", "CPU", true, cpu),
    ("modules", "Modules", true, |_, _| {}),
    ("commandstats", "Commandstats", false, commandstats),
    ("latencystats", "Latencystats", false, latencystats),
    ("errorstats", "Errorstats", true, errorstats),
    ("cluster", "Cluster", true, |out, _| line(out, "cluster_enabled", 0)),
    ("keyspace", "Keyspace", true, keyspace),
    (NAMED_ONLY, "Debug", false, debug),
];

/// What the sections are written from.
struct View<'a> {
    shard: &'a Shard,
    host: &'a ServerHost,
    config: Config,
}

fn info(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let wanted: Vec<String> =
        a.from(1).iter().map(|w| String::from_utf8_lossy(w).to_ascii_lowercase()).collect();
    let asks = |name: &str| wanted.iter().any(|w| w == name);
    let all = asks("all") || asks("everything");
    let default = wanted.is_empty() || asks("default");
    let config = host(cx)?.shared.with_config(Config::clone);
    let mut text = String::new();
    {
        let host = cx.host.as_any().downcast_mut::<ServerHost>();
        let Some(host) = host else { return Ok(()) };
        let view = View { shard: cx.shard, host, config };
        for (name, title, in_default, write) in SECTIONS {
            if (all && *name != NAMED_ONLY) || (default && *in_default) || asks(name) {
                if !text.is_empty() {
                    text.push_str("\r\n");
                }
                let _ = write!(text, "# {title}\r\n");
                write(&mut text, &view);
            }
        }
    }
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = write!(out, "{key}:{value}\r\n");
}

fn server(out: &mut String, v: &View<'_>) {
    let facts = &v.host.shared.facts;
    let uptime = facts.started.elapsed().as_secs();
    line(out, "redis_version", v.config.text(OptionId::CompatVersion));
    line(out, "redis_git_sha1", "00000000");
    line(out, "redis_git_dirty", 0);
    line(out, "redis_mode", "standalone");
    line(out, "moon_version", crate::VERSION);
    line(out, "os", format_args!("{} {}", os_name(), std::env::consts::ARCH));
    line(out, "arch_bits", usize::BITS);
    line(out, "multiplexing_api", facts.driver);
    line(out, "io_driver_reason", &facts.driver_why);
    line(out, "disk_driver", facts.disk);
    line(out, "disk_driver_reason", &facts.disk_why);
    line(out, "shards", 1);
    line(out, "process_id", std::process::id());
    line(out, "run_id", &facts.run_id);
    let port = match v.config.int(OptionId::Port) {
        0 => v.config.int(OptionId::TlsPort),
        port => port,
    };
    line(out, "tcp_port", port);
    line(out, "server_time_usec", v.shard.now().unix_us);
    line(out, "uptime_in_seconds", uptime);
    line(out, "uptime_in_days", uptime / 86_400);
    line(out, "hz", v.config.int(OptionId::Hz));
    line(out, "configured_hz", v.config.int(OptionId::Hz));
    line(out, "lru_clock", (v.shard.now().unix_ms / 1000) & 0x00ff_ffff);
    line(out, "executable", &facts.executable);
    let file = v.config.file.as_ref().map(|f| f.display().to_string());
    line(out, "config_file", file.unwrap_or_default());
    line(out, "io_threads_active", 0);
    let listeners = v.host.shared.with_listeners(|all| all.clone());
    for (i, l) in listeners.iter().filter(|l| l.is_open).enumerate() {
        let is_unix = l.kind == listen::Kind::Unix;
        let (bind, port) = match l.name.rsplit_once(':') {
            Some((bind, port)) if !is_unix => (bind, format!(",port={port}")),
            _ => (l.name.as_str(), String::new()),
        };
        line(
            out,
            &format!("listener{i}"),
            format_args!("name={},bind={bind}{port}", l.kind.name()),
        );
    }
}

fn os_name() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

fn clients(out: &mut String, v: &View<'_>) {
    let mut input = 0;
    let mut output = 0;
    let mut watching = 0;
    let mut subscribed = 0;
    for (_, c) in v.host.clients() {
        input = input.max(c.figures.input);
        output = output.max(c.figures.output + c.held);
        watching += usize::from(c.is_watching());
        subscribed += usize::from(c.is_subscribed());
    }
    line(out, "connected_clients", v.host.client_count);
    line(out, "cluster_connections", 0);
    line(out, "maxclients", v.host.clients_max);
    line(out, "client_recent_max_input_buffer", input);
    line(out, "client_recent_max_output_buffer", output);
    let waits = v.shard.wait_figures();
    line(out, "blocked_clients", v.host.blocked_clients(v.shard));
    line(out, "tracking_clients", v.host.tracking.clients);
    line(out, "pubsub_clients", subscribed);
    line(out, "watching_clients", watching);
    line(out, "total_watched_keys", v.shard.watched_keys());
    line(out, "clients_in_timeout_table", waits.timed + v.host.acks.timed());
    line(out, "total_blocking_keys", waits.keys);
    line(out, "total_blocking_keys_on_nokey", waits.without_key);
}

fn memory_section(out: &mut String, v: &View<'_>) {
    let a = memory::allocator();
    // What is compared with maxmemory, so that a client that sets it by this figure gets what it expects.
    let (_, garbage) = v.host.freer.pending(&v.shard.trash);
    let counted = v.shard.mem_bytes() + garbage as usize + v.shard.outside_bytes;
    let used = if v.shard.outside_bytes == 0 { a.allocated } else { counted };
    let rss = memory::rss();
    let dataset = v.shard.mem_bytes();
    let peak = v.host.memory_peak.max(used);
    let overhead = used.saturating_sub(dataset);
    line(out, "used_memory", used);
    line(out, "used_memory_human", memory::human(used as u64));
    line(out, "used_memory_rss", rss);
    line(out, "used_memory_rss_human", memory::human(rss as u64));
    line(out, "used_memory_peak", peak);
    line(out, "used_memory_peak_human", memory::human(peak as u64));
    let part = |n: usize, of: usize| format!("{:.2}%", n as f64 * 100.0 / of.max(1) as f64);
    line(out, "used_memory_peak_perc", part(used, peak));
    line(out, "used_memory_overhead", overhead);
    line(out, "used_memory_dataset", dataset);
    line(out, "used_memory_dataset_perc", part(dataset, used));
    // A table grows by a segment at a time, and that in one step.
    line(out, "mem_overhead_db_hashtable_rehashing", 0);
    line(out, "allocator_allocated", a.allocated);
    line(out, "allocator_active", a.active);
    line(out, "allocator_resident", a.resident);
    line(out, "total_system_memory", memory::total());
    line(out, "total_system_memory_human", memory::human(memory::total()));
    scripts(out, v);
    let max = v.config.int(OptionId::MaxMemory);
    line(out, "maxmemory", max);
    line(out, "maxmemory_human", memory::human(max as u64));
    line(out, "maxmemory_policy", v.config.text(OptionId::MaxMemoryPolicy));
    let ratio = rss as f64 / a.allocated.max(1) as f64;
    line(out, "mem_fragmentation_ratio", format_args!("{ratio:.2}"));
    line(out, "mem_fragmentation_bytes", rss as i64 - a.allocated as i64);
    // All memory counts toward the cap.
    line(out, "mem_not_counted_for_evict", 0);
    line(out, "mem_clients_normal", v.host.clients_bytes);
    line(out, "mem_clients_slaves", 0);
    line(out, "mem_allocator", "jemalloc");
    line(out, "active_defrag_running", 0);
    let (pending, _) = v.host.freer.pending(&v.shard.trash);
    let (freed, left) = v.shard.scripts.freed_later();
    line(out, "lazyfree_pending_objects", pending + left);
    line(out, "lazyfreed_objects", v.host.freer.freed() + freed);
}

fn scripts(out: &mut String, v: &View<'_>) {
    let scripts = &v.shard.scripts;
    let (eval, functions) = scripts.vm_bytes();
    let (texts, libraries) = scripts.text_bytes();
    let human = |n: usize| memory::human(n as u64);
    line(out, "used_memory_lua", eval);
    line(out, "used_memory_vm_eval", eval);
    line(out, "used_memory_lua_human", human(eval));
    line(out, "used_memory_scripts_eval", texts);
    line(out, "number_of_cached_scripts", scripts.cached());
    line(out, "number_of_functions", scripts.functions());
    line(out, "number_of_libraries", scripts.libraries());
    line(out, "used_memory_vm_functions", functions);
    line(out, "used_memory_vm_total", eval + functions);
    line(out, "used_memory_vm_total_human", human(eval + functions));
    line(out, "used_memory_functions", libraries);
    line(out, "used_memory_scripts", texts + libraries);
    line(out, "used_memory_scripts_human", human(texts + libraries));
}

fn ok(ok: bool) -> &'static str {
    if ok { "ok" } else { "err" }
}

fn stats(out: &mut String, v: &View<'_>) {
    let s = &v.shard.stats;
    let n = &v.host.stats;
    let kbps = |rate: u64| format!("{:.2}", rate as f64 / 1024.0);
    line(out, "total_connections_received", n.accepted);
    line(out, "total_commands_processed", s.commands);
    line(out, "instantaneous_ops_per_sec", v.host.rates.ops.mean());
    line(out, "total_net_input_bytes", n.bytes_in);
    line(out, "total_net_output_bytes", n.bytes_out);
    line(out, "total_net_repl_input_bytes", 0);
    line(out, "total_net_repl_output_bytes", v.host.replicas.stats.bytes_out);
    line(out, "instantaneous_input_kbps", kbps(v.host.rates.input.mean()));
    line(out, "instantaneous_output_kbps", kbps(v.host.rates.output.mean()));
    line(out, "rejected_connections", n.rejected);
    line(out, "sync_full", v.host.replicas.stats.full);
    line(out, "sync_partial_ok", v.host.replicas.stats.partial_ok);
    line(out, "sync_partial_err", v.host.replicas.stats.partial_err);
    line(out, "expired_subkeys", s.expired_subkeys);
    line(out, "expired_keys", s.expired_keys);
    line(out, "evicted_keys", s.evicted_keys);
    line(out, "evicted_clients", n.evicted_clients);
    line(out, "evicted_scripts", v.shard.scripts.evicted);
    line(out, "keyspace_hits", s.keyspace_hits);
    line(out, "keyspace_misses", s.keyspace_misses);
    line(out, "pubsub_channels", v.host.pubsub.count(Kind::Channel));
    line(out, "pubsub_patterns", v.host.pubsub.count(Kind::Pattern));
    line(out, "pubsubshard_channels", v.host.pubsub.count(Kind::Shard));
    let (keys, items, prefixes) = v.host.tracking.totals();
    line(out, "tracking_total_keys", keys);
    line(out, "tracking_total_items", items);
    line(out, "tracking_total_prefixes", prefixes);
    line(out, "migrate_cached_sockets", v.host.migrations.kept());
    line(out, "latest_fork_usec", 0);
    line(out, "total_forks", 0);
    line(out, "total_error_replies", s.error_replies);
    let turns = &v.host.turns;
    let commands: u64 = s.by_command.iter().map(|row| row.ticks()).sum();
    line(out, "total_turns", turns.count);
    line(out, "eventloop_cycles", turns.count);
    line(out, "eventloop_duration_sum", v.host.ticks_to_us(turns.busy));
    line(out, "eventloop_duration_cmd_sum", v.host.ticks_to_us(commands));
    line(out, "instantaneous_eventloop_cycles_per_sec", v.host.rates.turns.mean());
    line(out, "instantaneous_eventloop_duration_usec", v.host.rates.turn_us.mean());
    line(out, "client_query_buffer_limit_disconnections", n.query_limit);
    line(out, "client_output_buffer_limit_disconnections", n.output_limit);
    line(out, "client_write_timeout_disconnections", n.write_timeouts);
    line(out, "acl_access_denied_auth", n.auth_failures);
    line(out, "auth_delayed", v.host.logins.delayed);
    line(out, "auth_refused", v.host.logins.refused);
    line(out, "acl_access_denied_cmd", n.denied_commands);
    line(out, "acl_access_denied_key", n.denied_keys);
    line(out, "acl_access_denied_channel", n.denied_channels);
    line(out, "acl_access_denied_db", n.denied_databases);
    line(out, "acl_access_denied_tls_cert", n.denied_certificates);
}

/// Certificates under the names that Valkey 9 gives them, and how handshakes end.
fn tls(out: &mut String, v: &View<'_>) {
    let n = &v.host.stats;
    let tls = v.host.shared.tls();
    line(out, "tls_enabled", u8::from(tls.is_some()));
    if let Some(tls) = tls {
        let now = shared::unix_secs() as i64;
        for (who, facts) in [("server", Some(&tls.own)), ("ca", tls.authority.as_ref())] {
            let Some(facts) = facts else { continue };
            let left = facts.expires_unix - now;
            line(out, &format!("tls_{who}_cert_serial"), &facts.serial);
            line(out, &format!("tls_{who}_cert_expires_at"), facts.expires_unix);
            line(out, &format!("tls_{who}_cert_expires_in_seconds"), left);
            line(out, &format!("tls_{who}_cert_expires_in_days"), left.div_euclid(86_400));
        }
    }
    line(out, "tls_handshakes", n.tls_handshakes);
    line(out, "tls_handshake_failures", n.tls_failures);
    line(out, "tls_plain_connections", n.tls_plain);
}

/// Shown to those who ask for it by name.
fn debug(out: &mut String, v: &View<'_>) {
    let turns = &v.host.turns;
    line(out, "eventloop_duration_aof_sum", v.host.ticks_to_us(turns.flush));
    line(out, "eventloop_duration_cron_sum", v.host.ticks_to_us(turns.cron));
    line(out, "eventloop_duration_max", v.host.ticks_to_us(turns.longest));
    line(out, "eventloop_cmd_per_cycle_max", turns.commands_max);
}

fn cdc(out: &mut String, v: &View<'_>) {
    let (subscribers, lag) = v.host.followers();
    let given_up = v.shard.slots.iter().filter(|(_, slot)| slot.given_up).count();
    line(out, "cdc_subscribers", subscribers);
    line(out, "cdc_lag_max_lsn", lag);
    line(out, "cdc_events_sent", v.host.cdc.sent);
    line(out, "cdc_slots", v.shard.slots.len());
    line(out, "cdc_slots_invalidated", given_up);
}

fn replication(out: &mut String, v: &View<'_>) {
    let now_ms = v.shard.now().mono_us / 1000;
    match &v.host.following {
        None => line(out, "role", "master"),
        Some(f) => {
            line(out, "role", "slave");
            line(out, "master_host", &f.host);
            line(out, "master_port", f.port);
            line(out, "master_link_status", if f.is_up() { "up" } else { "down" });
            let heard = f.slot().and_then(|slot| v.host.client(slot));
            let quiet_ms = heard.map(|c| now_ms.saturating_sub(c.figures.active_ms));
            let quiet_secs = quiet_ms.map_or(-1, |ms| (ms / 1000) as i64);
            line(out, "master_last_io_seconds_ago", quiet_secs);
            line(out, "master_sync_in_progress", u8::from(f.is_syncing()));
            line(out, "slave_read_repl_offset", f.position());
            line(out, "slave_repl_offset", f.position());
            if !f.is_up() {
                let secs = now_ms.saturating_sub(f.down_since_ms) / 1000;
                line(out, "master_link_down_since_seconds", secs);
            }
            line(out, "slave_priority", v.config.int(OptionId::ReplicaPriority));
            line(out, "slave_read_only", u8::from(v.config.bool(OptionId::ReplicaReadOnly)));
            line(out, "replica_announced", 1);
        }
    }
    let replicas = v.host.replica_figures(now_ms);
    line(out, "connected_slaves", replicas.len());
    for (i, r) in replicas.iter().enumerate() {
        line(
            out,
            &format!("slave{i}"),
            format_args!(
                "ip={},port={},state={},offset={},lag={}",
                r.address, r.port, r.state, r.offset, r.lag_secs
            ),
        );
    }
    line(out, "master_failover_state", "no-failover");
    line(out, "master_replid", v.host.replicas.id());
    let second = v.host.replicas.second();
    let none = "0".repeat(40);
    line(out, "master_replid2", second.map_or(none.as_str(), |(id, _)| id));
    line(out, "master_repl_offset", v.host.replicas.offset());
    // Positions count from 1 there.
    line(out, "second_repl_offset", second.map_or(-1, |(_, at)| at as i64 + 1));
    let (begin, len) = v.host.replicas.backlog();
    line(out, "repl_backlog_active", u8::from(v.host.replicas.is_active()));
    line(out, "repl_backlog_size", v.config.int(OptionId::ReplBacklogSize));
    // Redis counts bytes from 1.
    line(out, "repl_backlog_first_byte_offset", if len > 0 { begin + 1 } else { 0 });
    line(out, "repl_backlog_histlen", len);
}

fn cpu(out: &mut String, _: &View<'_>) {
    let secs = |us: u64| {
        let d = Duration::from_micros(us);
        format!("{}.{:06}", d.as_secs(), d.subsec_micros())
    };
    let (user, system) = sys::cpu_times(false);
    line(out, "used_cpu_sys", secs(system));
    line(out, "used_cpu_user", secs(user));
    let (user, system) = sys::cpu_times(true);
    line(out, "used_cpu_sys_children", secs(system));
    line(out, "used_cpu_user_children", secs(user));
}

fn commandstats(out: &mut String, v: &View<'_>) {
    let mut row = |c: &Command| {
        let Some(s) = v.shard.stats.by_command.get(usize::from(c.id)) else { return };
        if s.calls + s.rejected == 0 {
            return;
        }
        let usec = v.host.ticks_to_us(s.ticks());
        let each = usec as f64 / s.calls.max(1) as f64;
        line(
            out,
            &format!("cmdstat_{}", c.spec.name),
            format_args!(
                "calls={},usec={usec},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                s.calls, s.rejected, s.failed
            ),
        );
    };
    for command in v.shard.table().iter() {
        row(command);
        command.subs().iter().for_each(&mut row);
    }
}

fn latencystats(out: &mut String, v: &View<'_>) {
    let wanted: Vec<(&str, f64)> = v
        .config
        .words(OptionId::LatencyPercentiles)
        .iter()
        .filter_map(|word| Some((word.as_str(), word.parse().ok()?)))
        .collect();
    let mut row = |c: &Command| {
        let Some(s) = v.shard.stats.by_command.get(usize::from(c.id)) else { return };
        let buckets = latency::buckets(&s.histogram, v.host);
        let Some(total) = buckets.last_key_value().map(|(_, sum)| *sum) else { return };
        let shown: Vec<String> = wanted
            .iter()
            .map(|(word, percent)| {
                // The bucket that holds the command at this place of all, sorted by time.
                let rank = (percent / 100.0 * total as f64).ceil().max(1.0) as u64;
                let bound = buckets.iter().find(|(_, sum)| **sum >= rank).map_or(0, |(us, _)| *us);
                format!("p{word}={bound}.000")
            })
            .collect();
        line(out, &format!("latency_percentiles_usec_{}", c.spec.name), shown.join(","));
    };
    for command in v.shard.table().iter() {
        row(command);
        command.subs().iter().for_each(&mut row);
    }
}

fn errorstats(out: &mut String, v: &View<'_>) {
    for (code, count) in &v.shard.stats.errors {
        line(out, &format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn keyspace(out: &mut String, v: &View<'_>) {
    for (i, db) in v.shard.dbs().iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        line(
            out,
            &format!("db{i}"),
            format_args!(
                "keys={},expires={},avg_ttl=0,subexpiry={}",
                db.len(),
                db.expires(),
                db.field_expires()
            ),
        );
    }
}
