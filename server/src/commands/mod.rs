//! Rows of the command table that belong to the server: connections, options, figures.

mod acl;
mod backup;
mod cdc;
mod client;
mod cluster;
mod config;
mod connection;
mod debug;
#[cfg(test)]
mod events;
mod hotkeys;
mod info;
mod latency;
mod lolwut;
mod memory;
mod migrate;
#[cfg(test)]
mod page;
mod pubsub;
mod replication;
mod restorepoint;
mod save;
mod server;
mod slowlog;
mod tracking;
mod wait;

use std::sync::OnceLock;

use moon_engine::command::{CommandSpec, CommandTable, Flags, Group, Run};
use moon_engine::db::LazyFree;
use moon_engine::error::CmdResult;
use moon_engine::exec::{Evictable, MemoryRules, Order, SessionCx, Shard, ShardConfig};
use moon_engine::types::Limits;
use moon_engine::types::stream::Memory;

use crate::config::{Config, OptionId};
use crate::service::host::ServerHost;

/// The table of all commands of this server.
pub(crate) fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut groups = moon_engine::commands::GROUPS.to_vec();
        groups.extend([
            acl::COMMANDS,
            backup::COMMANDS,
            cdc::COMMANDS,
            client::COMMANDS,
            cluster::COMMANDS,
            config::COMMANDS,
            connection::COMMANDS,
            debug::COMMANDS,
            hotkeys::COMMANDS,
            info::COMMANDS,
            latency::COMMANDS,
            lolwut::COMMANDS,
            memory::COMMANDS,
            migrate::COMMANDS,
            pubsub::COMMANDS,
            replication::COMMANDS,
            restorepoint::COMMANDS,
            save::COMMANDS,
            server::COMMANDS,
            slowlog::COMMANDS,
            wait::COMMANDS,
            moon_engine::commands::slots::LOGGED,
        ]);
        CommandTable::new(&groups)
    })
}

/// What a shard is made from.
pub(crate) fn shard_config(config: &Config, seed: u64) -> ShardConfig {
    let mut limits = Limits::default();
    apply_limits(config, &mut limits);
    let databases = config.int(OptionId::Databases) as u16;
    ShardConfig { databases, limits, seed, ..ShardConfig::default() }
}

/// Tells a shard the options that it works by.
pub(crate) fn apply(config: &Config, shard: &mut Shard) {
    apply_limits(config, &mut shard.limits);
    shard.trash.lazy = lazy_free(config);
    shard.journal.images = config.bool(OptionId::CdcBeforeImage);
    shard.set_memory_rules(memory_rules(config));
    shard.stats.histograms = config.bool(OptionId::LatencyTracking);
}

/// Takes over the encoding thresholds.
fn apply_limits(config: &Config, limits: &mut Limits) {
    use OptionId as O;
    let rules = memory_rules(config);
    let by_use = matches!(rules.order, Order::Lru | Order::Lfu);
    limits.shares_integers = rules.max == 0 || rules.evictable == Evictable::None || !by_use;
    limits.list_max_listpack_size = config.int(O::ListMaxListpackSize) as i32;
    limits.list_compress_depth = config.int(O::ListCompressDepth) as u32;
    limits.hash_max_listpack_entries = config.size(O::HashMaxListpackEntries);
    limits.hash_max_listpack_value = config.size(O::HashMaxListpackValue);
    limits.set_max_intset_entries = config.size(O::SetMaxIntsetEntries);
    limits.set_max_listpack_entries = config.size(O::SetMaxListpackEntries);
    limits.set_max_listpack_value = config.size(O::SetMaxListpackValue);
    limits.zset_max_listpack_entries = config.size(O::ZsetMaxListpackEntries);
    limits.zset_max_listpack_value = config.size(O::ZsetMaxListpackValue);
    limits.hll_sparse_max_bytes = config.size(O::HllSparseMaxBytes);
    limits.stream_node_max_bytes = config.size(O::StreamNodeMaxBytes);
    limits.stream_node_max_entries = config.size(O::StreamNodeMaxEntries) as u64;
    limits.stream_idempotence = Memory {
        duration_secs: config.int(O::StreamIdmpDuration) as u32,
        max: config.int(O::StreamIdmpMaxsize) as u32,
    };
    limits.proto_max_bulk_len = config.size(O::ProtoMaxBulkLen);
}

/// Whose values another thread frees.
pub(crate) fn lazy_free(config: &Config) -> LazyFree {
    use OptionId as O;
    LazyFree {
        eviction: config.bool(O::LazyfreeLazyEviction),
        expire: config.bool(O::LazyfreeLazyExpire),
        server_del: config.bool(O::LazyfreeLazyServerDel),
        user_del: config.bool(O::LazyfreeLazyUserDel),
        user_flush: config.bool(O::LazyfreeLazyUserFlush),
    }
}

/// The cap of memory and what happens at it.
fn memory_rules(config: &Config) -> MemoryRules {
    use OptionId as O;
    let (evictable, order) = MemoryRules::policy(config.text(O::MaxMemoryPolicy));
    MemoryRules {
        max: config.size(O::MaxMemory),
        evictable,
        order,
        samples: config.size(O::MaxMemorySamples),
        lfu_log_factor: config.int(O::LfuLogFactor) as u32,
        lfu_decay_minutes: config.int(O::LfuDecayTime) as u32,
    }
}

/// The server behind a command.
fn host<'a>(cx: &'a mut SessionCx<'_>) -> CmdResult<&'a mut ServerHost> {
    cx.host::<ServerHost>()
}

/// Takes over what is listened to, within the command that changes it.
fn relisten(cx: &mut SessionCx<'_>) -> CmdResult {
    let wanted = host(cx)?.wanted();
    cx.shard.listen(wanted);
    Ok(())
}

/// A row of this crate.
const fn row(
    name: &'static str,
    group: Group,
    since: &'static str,
    arity: i16,
    flags: Flags,
    run: Run,
) -> CommandSpec {
    CommandSpec { name, group, since, arity, flags, run, ..CommandSpec::DEFAULT }
}

/// What most connection commands allow.
const ANYTIME: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);

#[cfg(test)]
mod tests {
    use super::*;
    use moon_engine::command::syntax;

    #[test]
    fn rows_are_complete_and_names_unique() {
        let table = table();
        for command in table.iter() {
            let rows = std::iter::once(command).chain(command.subs());
            for c in rows {
                assert!(!c.spec.summary.is_empty(), "{} has no summary", c.spec.name);
                assert!(c.spec.arity != 0, "{}", c.spec.name);
                // Panics on a line that COMMAND DOCS could not show.
                syntax::parse(c.spec);
            }
        }
        assert!(table.find(b"CLIENT").is_some() && table.find(b"info").is_some());
    }
}
