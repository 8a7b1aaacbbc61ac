//! The one list of options: everything that names, documents, parses or checks an option
//! (flags, `moon.conf`, CONFIG GET/SET, `--help`, the sample file) walks [`TABLE`].
//!
//! An option is added by one row here and one use of its [`OptionId`]; nothing else lists
//! options. Rows hold options that have a meaning today, plus names that Redis'
//! configuration files carry or clients probe ([`Effect::Compat`]).

/// How the text of an option is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `yes|no|true|false|1|0`.
    Bool,
    /// A plain integer in a closed range.
    Int(i64, i64),
    /// Bytes with an optional unit (`1k` = 1000, `1kb` = 1024), in a closed range.
    Memory(i64, i64),
    /// Bytes as in [`Kind::Memory`] up to a bound, or a percentage of `maxmemory` (kept negative).
    MemoryOrPercent(i64),
    /// Seconds; `5m`, `1h` are accepted. Closed range.
    Secs(i64, i64),
    /// Milliseconds; `10s`, `5m` are accepted. Closed range.
    Millis(i64, i64),
    /// Microseconds; `10ms`, `1s` are accepted. Closed range.
    Micros(i64, i64),
    /// An octal file mode.
    Mode,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Free text; empty means "none".
    Text,
    /// An IP address; empty means "none".
    Address,
    /// A file name without a directory part.
    FileName,
    /// One or more words.
    Words,
    /// Host and port of another server, or none of both.
    Master,
    /// Pairs of seconds and changes, or an empty string.
    SavePoints,
    /// Words of SHUTDOWN, or `default`.
    StopWords,
    /// Letters of keyspace event classes.
    EventClasses,
    /// Numbers from 0 to 100.
    Percentiles,
    /// Groups of class, hard limit, soft limit, soft seconds.
    OutputLimits,
}

impl Kind {
    /// Whether its text is several words, each read for itself.
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::Words
                | Self::Master
                | Self::SavePoints
                | Self::StopWords
                | Self::Percentiles
                | Self::OutputLimits
        )
    }
}

/// When a new value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// CONFIG SET acts at once.
    Live,
    /// CONFIG SET is refused with Redis' "can't set immutable config", unless it changes nothing.
    Immutable,
    /// As [`Change::Immutable`], unless `enable-protected-configs` allows it.
    Protected,
    /// For one start: the command line alone may say it. In a file it would be done again at every start.
    CommandLine,
}

/// Whether an option does something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does what its line says.
    Real,
    /// Accepted so that files and clients written for Redis work; changes nothing.
    Compat,
    /// As [`Effect::Compat`], for Redis' tests: CONFIG GET knows it by its full name only.
    Hidden,
}

/// Heading of `--help` and of the sample file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Sockets and clients.
    Network,
    /// The process, its threads and its log.
    Process,
    /// Data and memory.
    Data,
    /// Log, snapshots, durability.
    Persistence,
    /// Replicas.
    Replication,
    /// Passwords and permissions.
    Security,
    /// Names of Redis without a meaning here.
    Compatibility,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network and clients",
            Self::Process => "Process",
            Self::Data => "Data and memory",
            Self::Persistence => "Persistence",
            Self::Replication => "Replication",
            Self::Security => "Security",
            Self::Compatibility => "Accepted for Redis, without effect",
        }
    }

    /// All groups in printing order.
    pub const ALL: [Self; 7] = [
        Self::Network,
        Self::Process,
        Self::Data,
        Self::Persistence,
        Self::Replication,
        Self::Security,
        Self::Compatibility,
    ];
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// The name: lower case, words joined by `-`.
    pub name: &'static str,
    /// Older spellings.
    pub aliases: &'static [&'static str],
    /// How its text is read.
    pub kind: Kind,
    /// Built-in default, in the form a file would have it.
    pub default: &'static str,
    /// When a change takes effect.
    pub change: Change,
    /// Whether it does something.
    pub effect: Effect,
    /// Its heading.
    pub group: Group,
    /// One line for people.
    pub doc: &'static str,
}

macro_rules! options {
    ($( $group:ident, $effect:ident {
        $( $id:ident = $name:literal $(/ $alias:literal)?, $kind:expr, $default:literal, $change:ident, $doc:literal; )+
    } )+) => {
        /// Names a row of [`TABLE`] in code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum OptionId { $($( #[doc = concat!("`", $name, "`")] $id, )+)+ }

        /// Every option, indexed by [`OptionId`].
        pub static TABLE: &[Opt] = &[ $($( Opt {
            name: $name,
            aliases: &[$($alias)?],
            kind: $kind,
            default: $default,
            change: Change::$change,
            effect: Effect::$effect,
            group: Group::$group,
            doc: $doc,
        }, )+)+ ];

        /// Ids in table order.
        pub static IDS: &[OptionId] = &[ $($( OptionId::$id, )+)+ ];
    };
}

const I32: i64 = i32::MAX as i64;
const MAX: i64 = i64::MAX;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

options! {
Network, Real {
    Bind = "bind", Kind::Words, "127.0.0.1", Live, "Addresses to listen on; `-addr` may be missing, `*` is every IPv4, `::` every IPv6 address.";
    BindSourceAddr = "bind-source-addr", Kind::Address, "", Live, "Address that the link to a followed server comes from; empty leaves it to the system.";
    Port = "port", Kind::Int(0, 65535), "6379", Live, "TCP port; 0 opens none.";
    TlsPort = "tls-port", Kind::Int(0, 65535), "0", Live, "TCP port that speaks TLS; 0 opens none.";
    UnixSocket = "unixsocket", Kind::Text, "", Immutable, "Path of a Unix socket to listen on.";
    UnixSocketPerm = "unixsocketperm", Kind::Mode, "0700", Immutable, "Mode of the Unix socket.";
    TcpBacklog = "tcp-backlog", Kind::Int(1, I32), "1024", Immutable, "Connections the kernel may queue before they are accepted.";
    ProtectedMode = "protected-mode", Kind::Bool, "yes", Live, "Without a password and an explicit bind, serve loopback clients only.";
    MaxClients = "maxclients", Kind::Int(1, 1 << 24), "10000", Live, "Clients at once; more are refused.";
    Timeout = "timeout", Kind::Secs(0, I32), "0", Live, "Close clients idle for so many seconds; 0 never.";
    TcpKeepalive = "tcp-keepalive", Kind::Secs(0, I32), "300", Live, "Seconds between TCP keepalive probes of new connections; 0 none.";
    ClientQueryBufferLimit = "client-query-buffer-limit", Kind::Memory(MIB, MAX), "1gb", Live, "Unparsed input a client may have before it is closed.";
    ClientQueryBufferLimitPreauth = "client-query-buffer-limit-preauth", Kind::Memory(16 * KIB, MAX), "64kb", Live, "The same before the client has authenticated.";
    ClientOutputBufferLimit = "client-output-buffer-limit", Kind::OutputLimits, "normal 256mb 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60", Live, "Unsent replies a client may have before it is closed: class, hard limit, soft limit, seconds over the soft limit.";
    NotifyKeyspaceEvents = "notify-keyspace-events", Kind::EventClasses, "", Live, "Events of keys that are published: `K` and `E` name the channels, the other letters the classes; `A` is most of them.";
    TrackingTableMaxKeys = "tracking-table-max-keys", Kind::Int(0, MAX), "1000000", Live, "Keys remembered for client-side caches; beyond it some are invalidated early. 0 is unlimited.";
    ClientWriteTimeout = "client-write-timeout-ms", Kind::Millis(0, I32), "60000", Live, "Close a client that takes none of its replies for so long; 0 never.";
    ProtoMaxBulkLen = "proto-max-bulk-len", Kind::Memory(MIB, 1 << 32), "512mb", Live, "Longest argument.";
    ConnParkSecs = "conn-park-secs", Kind::Secs(0, I32), "60", Live, "Idle clients give their buffers back after so many seconds; 0 never.";
    IoDriver = "io-driver", Kind::Enum(&["auto", "uring", "epoll"]), "auto", Immutable, "Network driver; `auto` probes io_uring at start.";
    UringEntries = "uring-entries", Kind::Int(64, 32768), "1024", Immutable, "Submission queue entries of the network ring.";
    IoBusyPollUs = "io-busy-poll-us", Kind::Micros(0, 1_000_000), "20", Live, "Look so long for new requests before sleeping, while they come that soon; 0 sleeps at once.";
}
Process, Real {
    Shards = "shards", Kind::Int(0, 1024), "1", Immutable, "Shard threads; only 1 for now.";
    Databases = "databases", Kind::Int(1, 65534), "16", Immutable, "Number of databases.";
    LogLevel = "loglevel", Kind::Enum(&["debug", "verbose", "notice", "warning", "nothing"]), "notice", Live, "Least important log lines that are written.";
    LogFile = "logfile", Kind::Text, "", Immutable, "Log file; empty is standard output.";
    LogFormat = "log-format", Kind::Enum(&["text", "json"]), "text", Immutable, "Form of log lines: for people, or JSON objects (docs/log-schema.md).";
    LogUserData = "log-user-data", Kind::Bool, "no", Live, "Log lines about clients tell the names that clients have given themselves.";
    PidFile = "pidfile", Kind::Text, "", Immutable, "File that holds the number of the process while it runs; empty is none.";
    Supervised = "supervised", Kind::Enum(&["no", "auto", "systemd", "upstart"]), "auto", Immutable, "Tell a service manager how the start goes: `auto` if NOTIFY_SOCKET is set, `systemd` warns if it is not, `no` never; `upstart` does nothing.";
    Dir = "dir", Kind::Text, "", Immutable, "Data directory; empty picks the user's data directory.";
    Hz = "hz", Kind::Int(1, 500), "10", Live, "How often a second expiry and housekeeping run.";
    ActiveExpireEffort = "active-expire-effort", Kind::Int(1, 10), "1", Live, "How much time expiry may take.";
    ShutdownTimeout = "shutdown-timeout", Kind::Secs(0, I32), "10", Live, "Seconds a stop waits for replicas to catch up, and then for replies to leave.";
    ShutdownOnSigterm = "shutdown-on-sigterm", Kind::StopWords, "default", Live, "How SIGTERM stops the server: words of SHUTDOWN (`save`, `nosave`, `now`, `force`), or `default`.";
    ShutdownOnSigint = "shutdown-on-sigint", Kind::StopWords, "default", Live, "The same of SIGINT.";
    SlowlogLogSlowerThan = "slowlog-log-slower-than", Kind::Int(-1, MAX), "10000", Live, "Microseconds from which on a command goes into the slow log; 0 logs all, -1 none.";
    SlowlogMaxLen = "slowlog-max-len", Kind::Int(0, MAX), "128", Live, "Entries that the slow log keeps.";
    LatencyMonitorThreshold = "latency-monitor-threshold", Kind::Int(0, MAX), "0", Live, "Milliseconds from which on the latency monitor takes a sample; 0 is off.";
    LatencyTracking = "latency-tracking", Kind::Bool, "yes", Live, "Count how long each command takes, for INFO latencystats and LATENCY HISTOGRAM.";
    LatencyPercentiles = "latency-tracking-info-percentiles", Kind::Percentiles, "50 99 99.9", Live, "Percentiles that INFO latencystats shows.";
    EnableDebugCommand = "enable-debug-command", Kind::Enum(&["no", "yes", "local"]), "no", Immutable, "Who may run DEBUG.";
    EnableProtectedConfigs = "enable-protected-configs", Kind::Enum(&["no", "yes", "local"]), "no", Immutable, "Who may change protected options with CONFIG SET.";
    AdminPort = "admin-port", Kind::Int(0, 65535), "0", Immutable, "TCP port of /healthz, /readyz and /metrics; 0 opens none.";
    AdminBind = "admin-bind", Kind::Words, "127.0.0.1", Immutable, "Addresses of the admin port, as for `bind`.";
    CompatVersion = "compat-version", Kind::Text, "7.4.0", Immutable, "`redis_version` told to clients.";
    StrictConfig = "strict-config", Kind::Bool, "yes", Immutable, "Unknown options in files are errors; `no` makes them warnings.";
}
Data, Real {
    MaxMemory = "maxmemory", Kind::Memory(0, MAX), "0", Live, "Memory the process may use; at the cap keys are evicted or writes refused. 0 is unlimited.";
    MaxMemoryPolicy = "maxmemory-policy", Kind::Enum(&["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"]), "noeviction", Live, "Which keys go at the cap: all or those with a time to live, by last use, frequency of use, chance or time to live.";
    MaxMemorySamples = "maxmemory-samples", Kind::Int(1, 64), "5", Live, "Keys looked at for each that is evicted.";
    MaxMemoryClients = "maxmemory-clients", Kind::MemoryOrPercent(MAX), "0", Live, "Memory that all clients together may take for requests and replies, in bytes or percent of `maxmemory`; beyond it the largest are closed. 0 is unlimited.";
    LfuLogFactor = "lfu-log-factor", Kind::Int(0, I32), "10", Live, "How much more use each further count of an LFU counter takes.";
    LfuDecayTime = "lfu-decay-time", Kind::Int(0, I32), "1", Live, "Minutes without use that take one off an LFU counter; 0 never.";
}
Persistence, Real {
    AppendOnly = "appendonly", Kind::Bool, "yes", Live, "Keep the log; `no` keeps data in memory and in saves. Switched on, the log counts once its first base is written.";
    DiskDriver = "disk-driver", Kind::Enum(&["auto", "dma", "posix"]), "auto", Immutable, "Files of the data directory: `dma` is io_uring on a thread of its own, `posix` plain calls on a pool; `auto` takes what measured better.";
    AppendFsync = "appendfsync", Kind::Enum(&["always", "everysec", "no"]), "everysec", Live, "What a reply waits for: the disk, or the kernel with a sync each second, or the kernel.";
    WalSegmentSize = "wal-segment-size", Kind::Memory(64 * KIB, 1 << 30), "16mb", Immutable, "Size of a log file; rounded up to whole blocks.";
    WalMaxUnsyncedBytes = "wal-max-unsynced-bytes", Kind::Memory(MIB, 256 * MIB), "64mb", Immutable, "Writes wait while so much of the log is not on the disk.";
    SyncFailTimeout = "sync-fail-timeout", Kind::Secs(1, 86_400), "60", Live, "Clients that wait for a disk that fails are told and closed after so many seconds.";
    DiskFreeMinPct = "disk-free-min-pct", Kind::Int(0, 50), "5", Live, "Refuse writes below this share of free disk space; 0 never.";
    Save = "save", Kind::SavePoints, "", Live, "Save the data set after so many seconds if so many keys have changed; several pairs.";
    StopWritesOnBgsaveError = "stop-writes-on-bgsave-error", Kind::Bool, "yes", Live, "Refuse writes while the last save has failed, if there are save points.";
    AutoAofRewritePercentage = "auto-aof-rewrite-percentage", Kind::Int(0, I32), "100", Live, "Write a new base when the log has grown by so many percent of the last one; 0 never.";
    AutoAofRewriteMinSize = "auto-aof-rewrite-min-size", Kind::Memory(0, MAX), "64mb", Live, "A log shorter than this is never rewritten for its length.";
    MaxWalSize = "max-wal-size", Kind::Memory(0, MAX), "256mb", Live, "Write a new base when the log behind the last one is longer than this and than a tenth of it; what else needs the log keeps it. 0 never.";
    RecoveryTargetSecs = "recovery-target-secs", Kind::Secs(0, I32), "10", Live, "Write a new base when a start would read the log behind the last one for longer, by the speed of the last start; not before the log is a tenth of the base. 0 never.";
    PitrBases = "pitr-bases", Kind::Int(1, 1000), "1", Live, "Bases that are kept, the newest included, with the log from the oldest on.";
    PitrWindow = "pitr-window", Kind::Secs(0, I32), "0", Live, "Keep the bases and the log from which any moment of so many seconds past can be restored.";
    RecoveryTargetLsn = "recovery-target-lsn", Kind::Text, "", CommandLine, "Recover to this LSN, the last one that counts; `0:N` names the shard too.";
    RecoveryTargetTime = "recovery-target-time", Kind::Text, "", CommandLine, "Recover to this time, as `2026-01-31T23:59:59Z`: what was written later does not count.";
    RecoveryTargetName = "recovery-target-name", Kind::Text, "", CommandLine, "Recover to the restore point of this name.";
    RecoveryTargetGtid = "recovery-target-gtid", Kind::Text, "", CommandLine, "Recover to the restore point with this number.";
    RecoveryMode = "recovery-mode", Kind::Enum(&["fork", "inspect"]), "fork", CommandLine, "What follows a recovery target: `fork` goes on from there on a timeline of its own, `inspect` only shows the data as they were and writes nothing; without a target, as they are at the end of the log.";
    RecoveryTimePolicy = "recovery-time-policy", Kind::Enum(&["refuse", "first", "last"]), "refuse", CommandLine, "Which point is meant if several fit: the clock was set back, or a name was given twice. `refuse` lists them.";
    RecoveryDryRun = "recovery-dry-run", Kind::Bool, "no", CommandLine, "Say what a recovery target would find and cut, write nothing, and stop.";
    ScrubMbPerSec = "scrub-mb-per-sec", Kind::Int(0, I32), "8", Live, "Megabytes a second at which bases and sealed log segments are read again, once an hour at most, to find damage while the data are in memory; 0 never.";
    CdcRetainBytes = "cdc-retain-bytes", Kind::Memory(0, MAX), "256mb", Live, "So much of the log is kept for readers of changes that have no slot.";
    CdcRetainSecs = "cdc-retain-secs", Kind::Secs(0, MAX), "0", Live, "The log is kept for so long for readers of changes that have no slot, whatever its length.";
    CdcSlotMaxBytes = "cdc-slot-max-bytes", Kind::Memory(0, MAX), "0", Live, "A slot that holds more of the log is given up, and its reader told so; 0 for no limit.";
    CdcName = "cdc-name", Kind::Text, "", Live, "Name of this server in change events; empty for the uuid of its data directory.";
    CdcBeforeImage = "cdc-before-image", Kind::Bool, "no", Live, "The log says how a key was before it changed, and change events show it.";
    SnapshotCowMax = "snapshot-cow-max", Kind::Memory(MIB, MAX), "64mb", Live, "Writes wait while a snapshot holds so much of what they have changed.";
    Salvage = "salvage", Kind::Text, "", CommandLine, "Start a damaged data directory with what this plan of `moon-inspect wal verify --plan` keeps of it.";
    SnapshotMbPerSec = "snapshot-mb-per-sec", Kind::Int(0, I32), "0", Live, "Megabytes a second that a snapshot writes at most; 0 is as fast as the disk.";
}
Replication, Real {
    ReplicaOf = "replicaof" / "slaveof", Kind::Master, "", Immutable, "Host and port of the server to follow. REPLICAOF changes it.";
    MasterAuth = "masterauth", Kind::Text, "", Live, "Password that the server to follow asks for.";
    MasterUser = "masteruser", Kind::Text, "", Live, "User to follow it as; empty is its default user.";
    ReplicaServeStaleData = "replica-serve-stale-data" / "slave-serve-stale-data", Kind::Bool, "yes", Live, "Answer reads while the link to the followed server is down.";
    ReplicaReadOnly = "replica-read-only" / "slave-read-only", Kind::Bool, "yes", Live, "Refuse writes of clients while another server is followed.";
    MinReplicasToWrite = "min-replicas-to-write" / "min-slaves-to-write", Kind::Int(0, I32), "0", Live, "Refuse writes while fewer replicas follow closely; 0 never.";
    MinReplicasMaxLag = "min-replicas-max-lag" / "min-slaves-max-lag", Kind::Int(0, I32), "10", Live, "Seconds of silence after which a replica does not count for it; 0 counts none and refuses nothing.";
    ReplBacklogSize = "repl-backlog-size", Kind::Memory(1, MAX), "64mb", Live, "Bytes of the stream to replicas that are kept for those that come again.";
    ReplBacklogTtl = "repl-backlog-ttl", Kind::Int(0, MAX), "3600", Live, "Seconds after the last replica has left until what is kept for it is dropped; 0 never.";
    ReplTimeout = "repl-timeout", Kind::Int(1, I32), "60", Live, "Seconds without a sign of life after which a replica is closed.";
    ReplPingReplicaPeriod = "repl-ping-replica-period" / "repl-ping-slave-period", Kind::Int(1, I32), "10", Live, "Seconds between two PINGs in the stream to replicas.";
}
Security, Real {
    AclFile = "aclfile", Kind::Text, "", Immutable, "File of the users; without it they are `user` lines of the configuration.";
    AclLogMaxLen = "acllog-max-len", Kind::Int(0, MAX), "128", Live, "Denied requests that ACL LOG keeps.";
    AclPubsubDefault = "acl-pubsub-default", Kind::Enum(&["resetchannels", "allchannels"]), "resetchannels", Live, "Channels that new users may use.";
    RequirePass = "requirepass", Kind::Text, "", Live, "Password of the default user; empty is none.";
    AuthRateLimit = "auth-rate-limit", Kind::Int(0, 1_000_000), "10", Live, "Logins per second of an address after 5 that failed; others wait for their turn, or are refused if that is more than 5 seconds away. 0 is any number.";
    TlsCertFile = "tls-cert-file", Kind::Text, "", Live, "Certificate of the server and those between it and its authority, in PEM; read again on SIGHUP.";
    TlsKeyFile = "tls-key-file", Kind::Text, "", Live, "Its private key, in PEM; read again on SIGHUP.";
    TlsKeyFilePass = "tls-key-file-pass", Kind::Text, "", Live, "Password of the private key if it is encrypted.";
    TlsCaCertFile = "tls-ca-cert-file", Kind::Text, "", Live, "Authorities that the certificates of clients are checked by, in PEM; read again on SIGHUP.";
    TlsCaCertDir = "tls-ca-cert-dir", Kind::Text, "", Live, "Directory of such files.";
    TlsAuthClients = "tls-auth-clients", Kind::Enum(&["yes", "no", "optional"]), "yes", Live, "Whether TLS clients must show a certificate; as long as it is not set and there is no authority to check one by, `no`.";
    TlsAuthClientsUser = "tls-auth-clients-user", Kind::Enum(&["off", "CN", "URI"]), "off", Live, "Part of a client's certificate that names the user it is logged in as.";
    TlsProtocols = "tls-protocols", Kind::Text, "", Live, "Versions of TLS, `TLSv1.2 TLSv1.3` or one of them; empty is both.";
    TlsCipherSuites = "tls-ciphersuites", Kind::Text, "", Live, "Cipher suites of TLS 1.3, divided by colons; empty is all.";
    TlsCiphers = "tls-ciphers", Kind::Text, "", Live, "Cipher suites of TLS 1.2 as OpenSSL names them; empty is all.";
    TlsPreferServerCiphers = "tls-prefer-server-ciphers", Kind::Bool, "no", Live, "The server's order of cipher suites counts, not the client's.";
    TlsReplication = "tls-replication", Kind::Bool, "no", Live, "The link to the followed server speaks TLS; replicas are told of tls-port.";
    TlsCluster = "tls-cluster", Kind::Bool, "no", Live, "MIGRATE speaks TLS to the other server.";
    TlsClientCertFile = "tls-client-cert-file", Kind::Text, "", Live, "Certificate that is shown to other servers; empty is that of tls-cert-file.";
    TlsClientKeyFile = "tls-client-key-file", Kind::Text, "", Live, "Its private key, in PEM.";
    TlsClientKeyFilePass = "tls-client-key-file-pass", Kind::Text, "", Live, "Password of this key if it is encrypted.";
    TlsSessionCaching = "tls-session-caching", Kind::Bool, "yes", Live, "Clients may resume sessions, by tickets that they keep.";
}
Compatibility, Compat {
    AppendFilename = "appendfilename", Kind::FileName, "appendonly.aof", Immutable, "Name kept for clients that ask.";
    AppendDirname = "appenddirname", Kind::FileName, "appendonlydir", Immutable, "Name kept for clients that ask.";
    DbFilename = "dbfilename", Kind::FileName, "dump.rdb", Immutable, "Name kept for clients that ask.";
    HashMaxListpackEntries = "hash-max-listpack-entries" / "hash-max-ziplist-entries", Kind::Int(0, MAX), "512", Live, "Encoding limit of Redis.";
    HashMaxListpackValue = "hash-max-listpack-value" / "hash-max-ziplist-value", Kind::Memory(0, MAX), "64", Live, "Encoding limit of Redis.";
    ListMaxListpackSize = "list-max-listpack-size" / "list-max-ziplist-size", Kind::Int(-I32, I32), "-2", Live, "Encoding limit of Redis.";
    ListCompressDepth = "list-compress-depth", Kind::Int(0, I32), "0", Live, "Encoding limit of Redis.";
    SetMaxIntsetEntries = "set-max-intset-entries", Kind::Int(0, MAX), "512", Live, "Encoding limit of Redis.";
    SetMaxListpackEntries = "set-max-listpack-entries", Kind::Int(0, MAX), "128", Live, "Encoding limit of Redis.";
    SetMaxListpackValue = "set-max-listpack-value", Kind::Int(0, MAX), "64", Live, "Encoding limit of Redis.";
    ZsetMaxListpackEntries = "zset-max-listpack-entries" / "zset-max-ziplist-entries", Kind::Int(0, MAX), "128", Live, "Encoding limit of Redis.";
    ZsetMaxListpackValue = "zset-max-listpack-value" / "zset-max-ziplist-value", Kind::Memory(0, MAX), "64", Live, "Encoding limit of Redis.";
    HllSparseMaxBytes = "hll-sparse-max-bytes", Kind::Memory(0, MAX), "3000", Live, "Encoding limit of Redis.";
    StreamNodeMaxBytes = "stream-node-max-bytes", Kind::Memory(0, MAX), "4096", Live, "Encoding limit of Redis.";
    StreamIdmpDuration = "stream-idmp-duration", Kind::Int(1, 86_400), "100", Live, "Seconds that a stream remembers idempotent ids.";
    StreamIdmpMaxsize = "stream-idmp-maxsize", Kind::Int(1, 10_000), "100", Live, "Idempotent ids of a producer that a stream remembers.";
    StreamNodeMaxEntries = "stream-node-max-entries", Kind::Int(0, MAX), "100", Live, "Encoding limit of Redis.";
    Daemonize = "daemonize", Kind::Bool, "no", Immutable, "The process stays in the foreground; use a supervisor.";
    AlwaysShowLogo = "always-show-logo", Kind::Bool, "no", Immutable, "Redis' start picture.";
    SetProcTitle = "set-proc-title", Kind::Bool, "yes", Immutable, "Process title of Redis.";
    ProcTitleTemplate = "proc-title-template", Kind::Text, "{title} {listen-addr} {server-mode}", Immutable, "Process title of Redis.";
    LocaleCollate = "locale-collate", Kind::Text, "", Immutable, "Collation of Redis.";
    SyslogEnabled = "syslog-enabled", Kind::Bool, "no", Immutable, "Syslog of Redis.";
    RdbCompression = "rdbcompression", Kind::Bool, "yes", Live, "RDB option of Redis.";
    RdbChecksum = "rdbchecksum", Kind::Bool, "yes", Immutable, "RDB option of Redis.";
    SanitizeDumpPayload = "sanitize-dump-payload", Kind::Enum(&["no", "yes", "clients"]), "no", Live, "RDB option of Redis.";
    RdbDelSyncFiles = "rdb-del-sync-files", Kind::Bool, "no", Live, "RDB option of Redis.";
    RdbSaveIncrementalFsync = "rdb-save-incremental-fsync", Kind::Bool, "yes", Live, "RDB option of Redis.";
    NoAppendfsyncOnRewrite = "no-appendfsync-on-rewrite", Kind::Bool, "no", Live, "AOF option of Redis.";
    AofLoadTruncated = "aof-load-truncated", Kind::Bool, "yes", Live, "AOF option of Redis.";
    AofUseRdbPreamble = "aof-use-rdb-preamble", Kind::Bool, "yes", Live, "AOF option of Redis.";
    AofTimestampEnabled = "aof-timestamp-enabled", Kind::Bool, "no", Live, "AOF option of Redis.";
    AofRewriteIncrementalFsync = "aof-rewrite-incremental-fsync", Kind::Bool, "yes", Live, "AOF option of Redis.";
    ReplicaPriority = "replica-priority" / "slave-priority", Kind::Int(0, I32), "100", Live, "Replication option of Redis.";
    ReplicaLazyFlush = "replica-lazy-flush" / "slave-lazy-flush", Kind::Bool, "no", Live, "Replication option of Redis.";
    ReplDisklessSync = "repl-diskless-sync", Kind::Bool, "yes", Live, "Replication option of Redis.";
    ReplDisklessSyncDelay = "repl-diskless-sync-delay", Kind::Int(0, I32), "5", Live, "Replication option of Redis.";
    ReplDisklessSyncMaxReplicas = "repl-diskless-sync-max-replicas", Kind::Int(0, I32), "0", Live, "Replication option of Redis.";
    ReplDisklessLoad = "repl-diskless-load", Kind::Enum(&["disabled", "on-empty-db", "swapdb"]), "disabled", Live, "Replication option of Redis.";
    ReplDisableTcpNodelay = "repl-disable-tcp-nodelay", Kind::Bool, "no", Live, "Replication option of Redis.";
    TlsDhParamsFile = "tls-dh-params-file", Kind::Text, "", Live, "No cipher suite here needs one.";
    TlsSessionCacheSize = "tls-session-cache-size", Kind::Int(0, I32), "20480", Live, "Sessions live in tickets, not in the server.";
    TlsSessionCacheTimeout = "tls-session-cache-timeout", Kind::Int(0, I32), "300", Live, "Tickets are good for 12 hours at most.";
    LazyfreeLazyEviction = "lazyfree-lazy-eviction", Kind::Bool, "no", Live, "Evicted large values are freed by another thread.";
    LazyfreeLazyExpire = "lazyfree-lazy-expire", Kind::Bool, "no", Live, "Expired large values are freed by another thread.";
    LazyfreeLazyServerDel = "lazyfree-lazy-server-del", Kind::Bool, "no", Live, "Replaced large values are freed by another thread.";
    LazyfreeLazyUserDel = "lazyfree-lazy-user-del", Kind::Bool, "no", Live, "DEL frees as UNLINK does.";
    LazyfreeLazyUserFlush = "lazyfree-lazy-user-flush", Kind::Bool, "no", Live, "FLUSHALL and FLUSHDB without a mode are ASYNC.";
    IoThreads = "io-threads", Kind::Int(1, 128), "1", Immutable, "Each shard serves its own clients.";
    OomScoreAdj = "oom-score-adj", Kind::Enum(&["no", "yes", "relative", "absolute"]), "no", Live, "OOM killer setting of Redis.";
    OomScoreAdjValues = "oom-score-adj-values", Kind::Words, "0 200 800", Live, "OOM killer setting of Redis.";
    DisableThp = "disable-thp", Kind::Bool, "yes", Immutable, "Huge page setting of Redis.";
    LuaTimeLimit = "busy-reply-threshold" / "lua-time-limit", Kind::Millis(0, MAX), "5000", Live, "Slow script limit of Redis.";
    ClusterEnabled = "cluster-enabled", Kind::Enum(&["no"]), "no", Immutable, "Cluster mode is not available.";
    EnableModuleCommand = "enable-module-command", Kind::Enum(&["no", "yes", "local"]), "no", Immutable, "Modules cannot be loaded.";
    PropagationErrorBehavior = "propagation-error-behavior", Kind::Enum(&["ignore", "panic", "panic-on-replicas"]), "ignore", Live, "An effect that does not apply always stops recovery.";
    ActiveRehashing = "activerehashing", Kind::Bool, "yes", Live, "The table never rehashes as a whole.";
    ActiveDefrag = "activedefrag", Kind::Bool, "no", Live, "Defragmentation of Redis.";
    DynamicHz = "dynamic-hz", Kind::Bool, "yes", Live, "Timer setting of Redis.";
    JemallocBgThread = "jemalloc-bg-thread", Kind::Bool, "yes", Live, "Allocator setting of Redis.";
    CrashLogEnabled = "crash-log-enabled", Kind::Bool, "yes", Live, "Crash log setting of Redis.";
    CrashMemcheckEnabled = "crash-memcheck-enabled", Kind::Bool, "yes", Live, "Crash log setting of Redis.";
}
Compatibility, Hidden {
    RdbKeySaveDelay = "rdb-key-save-delay", Kind::Int(-I32, I32), "0", Live, "Microseconds for each key that a save takes at least, for Redis' tests.";
    KeyLoadDelay = "key-load-delay", Kind::Int(-I32, I32), "0", Live, "Slows Redis' loading down for its tests.";
}
}

impl OptionId {
    /// The row.
    pub fn opt(self) -> &'static Opt {
        &TABLE[self as usize]
    }

    /// Looks an option up by name or alias. The name is folded first: case is ignored and
    /// `_` is `-`.
    pub fn find(name: &str) -> Option<Self> {
        let folded = fold(name);
        IDS.iter().copied().find(|id| {
            let opt = id.opt();
            opt.name == folded || opt.aliases.contains(&folded.as_str())
        })
    }
}

/// Lower case with `-` between words: the form names are compared in.
pub fn fold(name: &str) -> String {
    name.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_folded() {
        let mut seen = HashSet::new();
        for opt in TABLE {
            for name in std::iter::once(&opt.name).chain(opt.aliases) {
                assert_eq!(fold(name), *name);
                assert!(seen.insert(*name), "{name} appears twice");
            }
            assert!(opt.doc.ends_with('.'), "{}: a sentence", opt.name);
        }
    }

    #[test]
    fn ids_index_the_table() {
        for (i, id) in IDS.iter().enumerate() {
            assert_eq!(*id as usize, i);
        }
        assert_eq!(OptionId::find("TCP_KeepAlive"), Some(OptionId::TcpKeepalive));
        assert_eq!(OptionId::find("slave-priority"), Some(OptionId::ReplicaPriority));
        assert_eq!(OptionId::find("no-such"), None);
    }
}
