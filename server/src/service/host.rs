//! The server as the executor and the server's own commands see it.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use moon_engine::acl::Users;
use moon_engine::event::Class;
use moon_storage::log::{Log, LogConfig, Policy};

use super::acks::Acks;
use super::acl::{self, AclLog, CertificateNames};
use super::backup::Backups;
use super::cdc::Cdc;
use super::client::Client;
use super::hotkeys::HotKeys;
use super::latency::Monitor;
use super::lazyfree::Freer;
use super::logins::Logins;
use super::migrate::Migrations;
use super::pubsub::PubSub;
use super::replication::{Following, Replicas};
use super::saver::Saver;
use super::scrub::Scrubbing;
use super::shared::Shared;
use super::slowlog::SlowLog;
use super::stats::{NetStats, Rates, Turns};
use super::stopping::Stopping;
use super::switch::Switch;
use super::tracking::Tracking;
use crate::config::{Config, OptionId};
use crate::net::hub::{HubLimits, Order};
use crate::net::outbox::Outbox;
use crate::net::{Slot, sys};

/// No connection: the shard works on its own.
pub(crate) const NOBODY: Slot = Slot::MAX;

/// Clock of command statistics, see [`sys::ticks`].
#[inline]
pub(crate) fn ticks() -> u64 {
    sys::ticks()
}

/// `appendfsync`.
fn policy(config: &Config) -> Policy {
    match config.text(OptionId::AppendFsync) {
        "always" => Policy::Always,
        "no" => Policy::No,
        _ => Policy::EverySec,
    }
}

/// Settings of a log that is about to be opened.
pub(crate) fn log_config(config: &Config) -> LogConfig {
    // Files are written in whole blocks of the largest size a device may ask for.
    let block = 64 << 10;
    LogConfig {
        policy: policy(config),
        segment_bytes: (config.int(OptionId::WalSegmentSize) as u64).next_multiple_of(block),
        unsynced_bytes_max: config.int(OptionId::WalMaxUnsyncedBytes) as u64,
        disk_free_min_pct: disk_free_min_pct(config),
        sync_fail_timeout_us: sync_fail_timeout_us(config),
        // Until the first look at slots and options (`ShardService::retain_changes`).
        hold_for_readers: true,
        ..LogConfig::default()
    }
}

/// Tells a running log the options that may change.
pub(crate) fn tune(log: &Log, config: &Config) {
    log.set_policy(policy(config));
    log.set_bounds(disk_free_min_pct(config), sync_fail_timeout_us(config));
}

fn disk_free_min_pct(config: &Config) -> u8 {
    u8::try_from(config.int(OptionId::DiskFreeMinPct)).unwrap_or(u8::MAX)
}

fn sync_fail_timeout_us(config: &Config) -> u64 {
    config.int(OptionId::SyncFailTimeout) as u64 * 1_000_000
}

/// Options that the connections work by.
pub(super) fn hub_limits(host: &ServerHost) -> HubLimits {
    host.shared.with_config(|config| HubLimits {
        input_max: config.size(OptionId::ClientQueryBufferLimit),
        input_max_preauth: config.size(OptionId::ClientQueryBufferLimitPreauth),
        output: config.output_limits(),
        idle_secs: config.int(OptionId::Timeout) as u64,
        park_secs: config.int(OptionId::ConnParkSecs) as u64,
        write_timeout_ms: config.int(OptionId::ClientWriteTimeout) as u64,
    })
}

/// Who may use something that is guarded by an `enable-...` option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    No,
    Local,
    Yes,
}

impl Guard {
    fn of(word: &str) -> Self {
        match word {
            "yes" => Self::Yes,
            "local" => Self::Local,
            _ => Self::No,
        }
    }
}

/// CLIENT PAUSE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pause {
    /// End, in milliseconds of the monotonic clock.
    pub(crate) until_ms: u64,
    /// Every command waits, not only writes.
    pub(crate) all: bool,
}

/// The server around one shard.
pub(crate) struct ServerHost {
    pub(crate) shared: Arc<Shared>,
    pub(super) clients: Vec<Option<Client>>,
    pub(crate) client_count: usize,
    pub(super) next_id: u64,
    /// Bytes that all clients take.
    pub(crate) clients_bytes: usize,
    /// `maxmemory-clients` in bytes; 0 is unlimited.
    pub(super) clients_bytes_max: usize,
    /// The connection whose request runs; [`NOBODY`] between requests.
    pub(crate) current: Slot,
    /// Who listens to which channel.
    pub(crate) pubsub: PubSub,
    /// Who follows every change.
    pub(crate) replicas: Replicas,
    /// Whom this server follows.
    pub(crate) following: Option<Following>,
    /// Clients of a replica may not write.
    pub(super) replica_read_only: bool,
    /// They are shown what may be old while the link is down.
    pub(super) serve_stale: bool,
    /// Who may have which keys in its cache.
    pub(crate) tracking: Tracking,
    /// Who is shown every command.
    pub(super) monitors: BTreeSet<Slot>,
    /// `notify-keyspace-events`.
    pub(super) events: Class,
    /// The last command leaves CLIENT CACHING to the next.
    pub(super) keeps_caching: bool,
    /// Messages for connections whose request does not run.
    pub(crate) outbox: Outbox,
    /// Messages for the current connection: they follow the reply of its request.
    pub(super) own: Vec<u8>,
    /// Hard output limits by class.
    output_max: [u64; 3],
    pub(crate) orders: Vec<Order>,
    /// Listening sockets to take over, by index, or to close (`None`).
    pub(crate) listening: Vec<(u32, Option<OwnedFd>)>,
    pub(crate) pause: Option<Pause>,
    /// Connections held back by it.
    pub(crate) held: Vec<Slot>,
    pub(crate) stats: NetStats,
    pub(crate) rates: Rates,
    pub(crate) memory_peak: usize,
    /// Bytes in use when the server had just been made.
    pub(crate) memory_startup: usize,
    /// `DEBUG PAUSE-CRON`.
    pub(crate) cron_paused: bool,
    pub(crate) slow_log: SlowLog,
    /// Which keys take most.
    pub(crate) hot_keys: HotKeys,
    pub(crate) latency: Monitor,
    /// What writes snapshots.
    pub(crate) saver: Saver,
    /// Reads bases and segments again.
    pub(crate) scrub: Scrubbing,
    /// Where the log stands.
    pub(crate) switch: Switch,
    /// A stop that is under way.
    pub(crate) stopping: Stopping,
    /// What carries keys to other servers.
    pub(crate) migrations: Migrations,
    /// What frees large values.
    pub(crate) freer: Freer,
    /// Clients that wait until their writes are safe.
    pub(crate) acks: Acks,
    /// Who reads changes.
    pub(crate) cdc: Cdc,
    /// Which files backups hold.
    pub(crate) backups: Backups,
    /// `slowlog-log-slower-than` in microseconds; `None` logs nothing.
    pub(super) slow_us: Option<u64>,
    /// Rows of the recovery for INFO: records and microseconds.
    pub(crate) recovered: Option<(u64, u64)>,
    /// The log of the shard.
    pub(crate) log: Option<Log>,
    /// One moment on two clocks.
    start_ticks: u64,
    started: Instant,
    pub(crate) turns: Turns,
    /// Traffic before the last reset of the counters.
    pub(super) traffic_base: (u64, u64),
    /// Who there is, and what each may do.
    pub(crate) users: Users,
    pub(crate) acl_log: AclLog,
    /// How fast passwords are tried.
    pub(crate) logins: Logins,
    /// `tls-auth-clients-user`.
    pub(super) certificate_names: CertificateNames,
    /// `requirepass` as it was taken over last.
    password: String,
    pub(super) debug: Guard,
    protected_configs: Guard,
    protected_mode: bool,
    bind_given: bool,
    hz: u64,
    /// `log-user-data`.
    log_user_data: bool,
    /// How long a script may run before others are told that the server is busy; 0 is for ever.
    pub(super) script_max_us: u64,
    pub(crate) clients_max: usize,
    pub(crate) keepalive_secs: i64,
}

impl ServerHost {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (users, password) = shared.with_config(|config| {
            let users = acl::initial(config, shared.facts.users.as_ref());
            (users, config.text(OptionId::RequirePass).to_string())
        });
        // The text was read and checked before the first connection.
        let users = users.unwrap_or_else(|e| unreachable!("users checked at start: {e}"));
        Self {
            shared,
            clients: Vec::new(),
            client_count: 0,
            next_id: 1,
            clients_bytes: 0,
            clients_bytes_max: 0,
            current: NOBODY,
            pubsub: PubSub::default(),
            replicas: Replicas::new(),
            following: None,
            replica_read_only: true,
            serve_stale: true,
            tracking: Tracking::default(),
            monitors: BTreeSet::new(),
            events: Class::NONE,
            keeps_caching: false,
            outbox: Outbox::default(),
            own: Vec::new(),
            output_max: [0; 3],
            orders: Vec::new(),
            listening: Vec::new(),
            pause: None,
            held: Vec::new(),
            stats: NetStats::default(),
            rates: Rates::default(),
            memory_peak: 0,
            memory_startup: crate::memory::allocated(),
            cron_paused: false,
            slow_log: SlowLog::default(),
            hot_keys: HotKeys::new(super::shared::unix_ms(), ticks()),
            latency: Monitor::default(),
            saver: Saver::default(),
            scrub: Scrubbing::default(),
            switch: Switch::default(),
            stopping: Stopping::default(),
            migrations: Migrations::default(),
            freer: Freer::default(),
            acks: Acks::default(),
            cdc: Cdc::default(),
            backups: Backups::default(),
            slow_us: None,
            recovered: None,
            log: None,
            start_ticks: ticks(),
            started: Instant::now(),
            turns: Turns::default(),
            traffic_base: (0, 0),
            users,
            acl_log: AclLog::default(),
            logins: Logins::default(),
            certificate_names: CertificateNames::None,
            password,
            debug: Guard::No,
            protected_configs: Guard::No,
            protected_mode: true,
            bind_given: false,
            hz: 10,
            log_user_data: false,
            script_max_us: 0,
            clients_max: 0,
            keepalive_secs: 0,
        }
    }

    /// Takes over options.
    pub(crate) fn refresh(&mut self, config: &Config) {
        let password = config.text(OptionId::RequirePass);
        if password != self.password {
            self.password = password.to_string();
            self.users.set_default_password(password.as_bytes());
        }
        self.users.open_channels = config.text(OptionId::AclPubsubDefault) == "allchannels";
        self.certificate_names = match config.text(OptionId::TlsAuthClientsUser) {
            "CN" => CertificateNames::CommonName,
            "URI" => CertificateNames::Uri,
            _ => CertificateNames::None,
        };
        self.logins.set_rate(config.int(OptionId::AuthRateLimit) as u64);
        self.acl_log.set_max(config.size(OptionId::AclLogMaxLen));
        self.debug = Guard::of(config.text(OptionId::EnableDebugCommand));
        self.protected_configs = Guard::of(config.text(OptionId::EnableProtectedConfigs));
        self.protected_mode = config.bool(OptionId::ProtectedMode);
        self.bind_given = config.is_set(OptionId::Bind);
        self.hz = config.int(OptionId::Hz) as u64;
        self.log_user_data = config.bool(OptionId::LogUserData);
        self.script_max_us = (config.int(OptionId::LuaTimeLimit) as u64).saturating_mul(1000);
        self.clients_max = config.size(OptionId::MaxClients);
        self.slow_us = u64::try_from(config.int(OptionId::SlowlogLogSlowerThan)).ok();
        self.slow_log.set_max(config.size(OptionId::SlowlogMaxLen));
        self.latency.threshold = config.int(OptionId::LatencyMonitorThreshold) as u64;
        self.keepalive_secs = config.int(OptionId::TcpKeepalive);
        self.events =
            Class::parse(config.text(OptionId::NotifyKeyspaceEvents)).unwrap_or(Class::NONE);
        self.saver.refresh(config);
        self.scrub.refresh(config);
        self.switch.wanted =
            config.bool(OptionId::AppendOnly) && self.shared.facts.inspected().is_none();
        self.replicas.refresh(config);
        self.cdc.refresh(config);
        self.replica_read_only = config.bool(OptionId::ReplicaReadOnly);
        self.serve_stale = config.bool(OptionId::ReplicaServeStaleData);
        self.tracking.max_keys = config.size(OptionId::TrackingTableMaxKeys);
        self.output_max = config.output_limits().map(|l| l.hard);
        self.clients_bytes_max = match config.int(OptionId::MaxMemoryClients) {
            // A percentage of no cap is none.
            percent @ ..0 => {
                let max = config.int(OptionId::MaxMemory).unsigned_abs();
                (max / 100).saturating_mul(percent.unsigned_abs()) as usize
            }
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
    }

    pub(super) fn may_log_user_data(&self) -> bool {
        self.log_user_data
    }

    /// The name that a client has given itself, if the log may tell it.
    pub(crate) fn logged_name(&self, slot: Slot) -> Option<&str> {
        let client = self.client(slot).filter(|_| self.log_user_data)?;
        Some(client.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Notes that a client's script keeps all others waiting.
    pub(crate) fn say_slow(&self, slot: Slot) {
        let client = self.client(slot).map_or(0, |c| c.id);
        let millis = self.script_max_us / 1000;
        tracing::warn!(
            client,
            name = self.logged_name(slot),
            millis,
            "slow script: the server is busy until it ends or is killed"
        );
    }

    /// True if the default user has a password, or is off.
    pub(crate) fn needs_password(&self) -> bool {
        !self.users.default_user().borrow().needs_no_login()
    }

    /// True if only loopback clients are let in.
    pub(crate) fn is_protected(&self) -> bool {
        self.protected_mode && !self.needs_password() && !self.bind_given
    }

    /// Milliseconds between two runs of the housekeeping.
    pub(crate) fn period_ms(&self) -> u64 {
        1000 / self.hz.clamp(1, 500)
    }

    /// Whether the current client may change protected options.
    pub(crate) fn protected_config_ok(&self) -> bool {
        self.guard_ok(self.protected_configs)
    }

    pub(super) fn guard_ok(&self, guard: Guard) -> bool {
        match guard {
            Guard::No => false,
            Guard::Yes => true,
            Guard::Local => self.client(self.current).is_some_and(|c| c.peer.is_loopback),
        }
    }

    /// Says something to a client that did not ask, in its own protocol. It stands in the
    /// client's output where it happened: behind the reply of the request that runs if that is
    /// the client's own, before the client's next reply otherwise.
    pub(crate) fn deliver(&mut self, slot: Slot, message: &[u8]) {
        if slot == self.current {
            self.own.extend_from_slice(message);
            return;
        }
        if self.cdc.is_sending(slot) {
            self.send_rest(slot);
        }
        self.deliver_at(slot, message, self.log.as_ref().map_or(0, Log::last_lsn));
    }

    /// The same for what waits for the write of another record, or with 0 for none.
    pub(crate) fn deliver_at(&mut self, slot: Slot, message: &[u8], lsn: u64) {
        let max = self.output_max[self.output_class(slot)];
        self.outbox.push(slot, message, lsn, max);
    }

    /// Ends a request: what was said to its own connection follows its reply.
    #[inline]
    pub(crate) fn end_request(&mut self, slot: Slot, in_multi: bool, out: &mut Vec<u8>) {
        if self.tracking.clients > 0 {
            self.end_tracked_request(slot, in_multi);
        }
        self.current = NOBODY;
        if !self.own.is_empty() {
            out.append(&mut self.own);
        }
    }

    /// Ends a pause: held requests run at the next turn.
    pub(crate) fn unpause(&mut self) {
        self.pause = None;
        self.resume_held();
    }

    /// What keeps requests back: CLIENT PAUSE, or a stop that is under way.
    #[inline]
    pub(super) fn pause_in_force(&self) -> Option<Pause> {
        self.pause.or(self.stopping.pause)
    }

    /// Whether there is any.
    pub(crate) fn is_paused(&self) -> bool {
        self.pause_in_force().is_some()
    }

    /// Runs held requests at the next turn; whoever must still wait is held again.
    pub(crate) fn resume_held(&mut self) {
        self.orders.extend(self.held.drain(..).map(Order::Resume));
    }

    /// Takes the bytes received and sent since the start.
    #[inline]
    pub(crate) fn traffic(&mut self, bytes_in: u64, bytes_out: u64) {
        self.stats.bytes_in = bytes_in - self.traffic_base.0;
        self.stats.bytes_out = bytes_out - self.traffic_base.1;
    }

    /// From how many ticks on a command is worth a word: for the slow log or the latency monitor.
    pub(crate) fn slow_ticks(&self) -> u64 {
        let watched = self.latency.threshold.checked_mul(1000).filter(|us| *us > 0);
        let Some(us) = self.slow_us.into_iter().chain(watched).min() else { return u64::MAX };
        let (elapsed, elapsed_us) = self.pace();
        u64::try_from(u128::from(us) * u128::from(elapsed) / u128::from(elapsed_us))
            .unwrap_or(u64::MAX)
    }

    /// Ticks since the start, and the microseconds that they took.
    pub(crate) fn pace(&self) -> (u64, u64) {
        let elapsed = ticks().wrapping_sub(self.start_ticks).max(1);
        (elapsed, (self.started.elapsed().as_micros() as u64).max(1))
    }

    /// Ticks as microseconds: the rate is measured over the life of the server.
    pub(crate) fn ticks_to_us(&self, count: u64) -> u64 {
        let (elapsed, elapsed_us) = self.pace();
        (u128::from(count) * u128::from(elapsed_us) / u128::from(elapsed)) as u64
    }
}
