complete -c moon -l config -d 'The same as FILE' -r -F
complete -c moon -l bind -d 'Addresses to listen on; `-addr` may be missing, `*` is every IPv4, `::` every IPv6 address. [127.0.0.1] (live)' -r
complete -c moon -l bind-source-addr -d 'Address that the link to a followed server comes from; empty leaves it to the system. [none] (live)' -r
complete -c moon -l port -d 'TCP port; 0 opens none. [6379] (live)' -r
complete -c moon -l tls-port -d 'TCP port that speaks TLS; 0 opens none. [0] (live)' -r
complete -c moon -l unixsocket -d 'Path of a Unix socket to listen on. [none]' -r
complete -c moon -l unixsocketperm -d 'Mode of the Unix socket. [0700]' -r
complete -c moon -l tcp-backlog -d 'Connections the kernel may queue before they are accepted. [1024]' -r
complete -c moon -l protected-mode -d 'Without a password and an explicit bind, serve loopback clients only. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l maxclients -d 'Clients at once; more are refused. [10000] (live)' -r
complete -c moon -l timeout -d 'Close clients idle for so many seconds; 0 never. [0] (live)' -r
complete -c moon -l tcp-keepalive -d 'Seconds between TCP keepalive probes of new connections; 0 none. [300] (live)' -r
complete -c moon -l client-query-buffer-limit -d 'Unparsed input a client may have before it is closed. [1gb] (live)' -r
complete -c moon -l client-query-buffer-limit-preauth -d 'The same before the client has authenticated. [64kb] (live)' -r
complete -c moon -l client-output-buffer-limit -d 'Unsent replies a client may have before it is closed: class, hard limit, soft limit, seconds over the soft limit. [normal 256mb 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60] (live)' -r
complete -c moon -l notify-keyspace-events -d 'Events of keys that are published: `K` and `E` name the channels, the other letters the classes; `A` is most of them. [none] (live)' -r
complete -c moon -l tracking-table-max-keys -d 'Keys remembered for client-side caches; beyond it some are invalidated early. 0 is unlimited. [1000000] (live)' -r
complete -c moon -l client-write-timeout-ms -d 'Close a client that takes none of its replies for so long; 0 never. [60000] (live)' -r
complete -c moon -l proto-max-bulk-len -d 'Longest argument. [512mb] (live)' -r
complete -c moon -l conn-park-secs -d 'Idle clients give their buffers back after so many seconds; 0 never. [60] (live)' -r
complete -c moon -l io-driver -d 'Network driver; `auto` probes io_uring at start. [auto]' -r -f -a "auto\t''
uring\t''
epoll\t''"
complete -c moon -l uring-entries -d 'Submission queue entries of the network ring. [1024]' -r
complete -c moon -l io-busy-poll-us -d 'Look so long for new requests before sleeping, while they come that soon; 0 sleeps at once. [20] (live)' -r
complete -c moon -l shards -d 'Shard threads; only 1 for now. [1]' -r
complete -c moon -l databases -d 'Number of databases. [16]' -r
complete -c moon -l loglevel -d 'Least important log lines that are written. [notice] (live)' -r -f -a "debug\t''
verbose\t''
notice\t''
warning\t''
nothing\t''"
complete -c moon -l logfile -d 'Log file; empty is standard output. [none]' -r -F
complete -c moon -l log-format -d 'Form of log lines: for people, or JSON objects (docs/log-schema.md). [text]' -r -f -a "text\t''
json\t''"
complete -c moon -l log-user-data -d 'Log lines about clients tell the names that clients have given themselves. [no] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l pidfile -d 'File that holds the number of the process while it runs; empty is none. [none]' -r -F
complete -c moon -l supervised -d 'Tell a service manager how the start goes: `auto` if NOTIFY_SOCKET is set, `systemd` warns if it is not, `no` never; `upstart` does nothing. [auto]' -r -f -a "no\t''
auto\t''
systemd\t''
upstart\t''"
complete -c moon -l dir -d 'Data directory; empty picks the user\'s data directory. [none]' -r -f -a "(__fish_complete_directories)"
complete -c moon -l hz -d 'How often a second expiry and housekeeping run. [10] (live)' -r
complete -c moon -l active-expire-effort -d 'How much time expiry may take. [1] (live)' -r
complete -c moon -l shutdown-timeout -d 'Seconds a stop waits for replicas to catch up, and then for replies to leave. [10] (live)' -r
complete -c moon -l shutdown-on-sigterm -d 'How SIGTERM stops the server: words of SHUTDOWN (`save`, `nosave`, `now`, `force`), or `default`. [default] (live)' -r
complete -c moon -l shutdown-on-sigint -d 'The same of SIGINT. [default] (live)' -r
complete -c moon -l slowlog-log-slower-than -d 'Microseconds from which on a command goes into the slow log; 0 logs all, -1 none. [10000] (live)' -r
complete -c moon -l slowlog-max-len -d 'Entries that the slow log keeps. [128] (live)' -r
complete -c moon -l latency-monitor-threshold -d 'Milliseconds from which on the latency monitor takes a sample; 0 is off. [0] (live)' -r
complete -c moon -l latency-tracking -d 'Count how long each command takes, for INFO latencystats and LATENCY HISTOGRAM. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l latency-tracking-info-percentiles -d 'Percentiles that INFO latencystats shows. [50 99 99.9] (live)' -r
complete -c moon -l enable-debug-command -d 'Who may run DEBUG. [no]' -r -f -a "no\t''
yes\t''
local\t''"
complete -c moon -l enable-protected-configs -d 'Who may change protected options with CONFIG SET. [no]' -r -f -a "no\t''
yes\t''
local\t''"
complete -c moon -l admin-port -d 'TCP port of /healthz, /readyz and /metrics; 0 opens none. [0]' -r
complete -c moon -l admin-bind -d 'Addresses of the admin port, as for `bind`. [127.0.0.1]' -r
complete -c moon -l compat-version -d '`redis_version` told to clients. [7.4.0]' -r
complete -c moon -l strict-config -d 'Unknown options in files are errors; `no` makes them warnings. [yes]' -r -f -a "yes\t''
no\t''"
complete -c moon -l maxmemory -d 'Memory the process may use; at the cap keys are evicted or writes refused. 0 is unlimited. [0] (live)' -r
complete -c moon -l maxmemory-policy -d 'Which keys go at the cap: all or those with a time to live, by last use, frequency of use, chance or time to live. [noeviction] (live)' -r -f -a "volatile-lru\t''
volatile-lfu\t''
volatile-random\t''
volatile-ttl\t''
allkeys-lru\t''
allkeys-lfu\t''
allkeys-random\t''
noeviction\t''"
complete -c moon -l maxmemory-samples -d 'Keys looked at for each that is evicted. [5] (live)' -r
complete -c moon -l maxmemory-clients -d 'Memory that all clients together may take for requests and replies, in bytes or percent of `maxmemory`; beyond it the largest are closed. 0 is unlimited. [0] (live)' -r
complete -c moon -l lfu-log-factor -d 'How much more use each further count of an LFU counter takes. [10] (live)' -r
complete -c moon -l lfu-decay-time -d 'Minutes without use that take one off an LFU counter; 0 never. [1] (live)' -r
complete -c moon -l appendonly -d 'Keep the log; `no` keeps data in memory and in saves. Switched on, the log counts once its first base is written. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l disk-driver -d 'Files of the data directory: `dma` is io_uring on a thread of its own, `posix` plain calls on a pool; `auto` takes what measured better. [auto]' -r -f -a "auto\t''
dma\t''
posix\t''"
complete -c moon -l appendfsync -d 'What a reply waits for: the disk, or the kernel with a sync each second, or the kernel. [everysec] (live)' -r -f -a "always\t''
everysec\t''
no\t''"
complete -c moon -l wal-segment-size -d 'Size of a log file; rounded up to whole blocks. [16mb]' -r
complete -c moon -l wal-max-unsynced-bytes -d 'Writes wait while so much of the log is not on the disk. [64mb]' -r
complete -c moon -l sync-fail-timeout -d 'Clients that wait for a disk that fails are told and closed after so many seconds. [60] (live)' -r
complete -c moon -l disk-free-min-pct -d 'Refuse writes below this share of free disk space; 0 never. [5] (live)' -r
complete -c moon -l save -d 'Save the data set after so many seconds if so many keys have changed; several pairs. [none] (live)' -r
complete -c moon -l stop-writes-on-bgsave-error -d 'Refuse writes while the last save has failed, if there are save points. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l auto-aof-rewrite-percentage -d 'Write a new base when the log has grown by so many percent of the last one; 0 never. [100] (live)' -r
complete -c moon -l auto-aof-rewrite-min-size -d 'A log shorter than this is never rewritten for its length. [64mb] (live)' -r
complete -c moon -l max-wal-size -d 'Write a new base when the log behind the last one is longer than this and than a tenth of it; what else needs the log keeps it. 0 never. [256mb] (live)' -r
complete -c moon -l recovery-target-secs -d 'Write a new base when a start would read the log behind the last one for longer, by the speed of the last start; not before the log is a tenth of the base. 0 never. [10] (live)' -r
complete -c moon -l pitr-bases -d 'Bases that are kept, the newest included, with the log from the oldest on. [1] (live)' -r
complete -c moon -l pitr-window -d 'Keep the bases and the log from which any moment of so many seconds past can be restored. [0] (live)' -r
complete -c moon -l scrub-mb-per-sec -d 'Megabytes a second at which bases and sealed log segments are read again, once an hour at most, to find damage while the data are in memory; 0 never. [8] (live)' -r
complete -c moon -l cdc-retain-bytes -d 'So much of the log is kept for readers of changes that have no slot. [256mb] (live)' -r
complete -c moon -l cdc-retain-secs -d 'The log is kept for so long for readers of changes that have no slot, whatever its length. [0] (live)' -r
complete -c moon -l cdc-slot-max-bytes -d 'A slot that holds more of the log is given up, and its reader told so; 0 for no limit. [0] (live)' -r
complete -c moon -l cdc-name -d 'Name of this server in change events; empty for the uuid of its data directory. [none] (live)' -r
complete -c moon -l snapshot-cow-max -d 'Writes wait while a snapshot holds so much of what they have changed. [64mb] (live)' -r
complete -c moon -l salvage -d 'Start a damaged data directory with what this plan of `moon-inspect wal verify --plan` keeps of it. [none]' -r -F
complete -c moon -l snapshot-mb-per-sec -d 'Megabytes a second that a snapshot writes at most; 0 is as fast as the disk. [0] (live)' -r
complete -c moon -l replicaof -d 'Host and port of the server to follow. REPLICAOF changes it. [none]' -r
complete -c moon -l masterauth -d 'Password that the server to follow asks for. [none] (live)' -r
complete -c moon -l masteruser -d 'User to follow it as; empty is its default user. [none] (live)' -r
complete -c moon -l replica-serve-stale-data -d 'Answer reads while the link to the followed server is down. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l replica-read-only -d 'Refuse writes of clients while another server is followed. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l min-replicas-to-write -d 'Refuse writes while fewer replicas follow closely; 0 never. [0] (live)' -r
complete -c moon -l min-replicas-max-lag -d 'Seconds of silence after which a replica does not count for it; 0 counts none and refuses nothing. [10] (live)' -r
complete -c moon -l repl-backlog-size -d 'Bytes of the stream to replicas that are kept for those that come again. [64mb] (live)' -r
complete -c moon -l repl-backlog-ttl -d 'Seconds after the last replica has left until what is kept for it is dropped; 0 never. [3600] (live)' -r
complete -c moon -l repl-timeout -d 'Seconds without a sign of life after which a replica is closed. [60] (live)' -r
complete -c moon -l repl-ping-replica-period -d 'Seconds between two PINGs in the stream to replicas. [10] (live)' -r
complete -c moon -l aclfile -d 'File of the users; without it they are `user` lines of the configuration. [none]' -r -F
complete -c moon -l acllog-max-len -d 'Denied requests that ACL LOG keeps. [128] (live)' -r
complete -c moon -l acl-pubsub-default -d 'Channels that new users may use. [resetchannels] (live)' -r -f -a "resetchannels\t''
allchannels\t''"
complete -c moon -l requirepass -d 'Password of the default user; empty is none. [none] (live)' -r
complete -c moon -l auth-rate-limit -d 'Logins per second of an address after 5 that failed; others wait for their turn, or are refused if that is more than 5 seconds away. 0 is any number. [10] (live)' -r
complete -c moon -l tls-cert-file -d 'Certificate of the server and those between it and its authority, in PEM; read again on SIGHUP. [none] (live)' -r -F
complete -c moon -l tls-key-file -d 'Its private key, in PEM; read again on SIGHUP. [none] (live)' -r -F
complete -c moon -l tls-key-file-pass -d 'Password of the private key if it is encrypted. [none] (live)' -r
complete -c moon -l tls-ca-cert-file -d 'Authorities that the certificates of clients are checked by, in PEM; read again on SIGHUP. [none] (live)' -r -F
complete -c moon -l tls-ca-cert-dir -d 'Directory of such files. [none] (live)' -r -f -a "(__fish_complete_directories)"
complete -c moon -l tls-auth-clients -d 'Whether TLS clients must show a certificate; as long as it is not set and there is no authority to check one by, `no`. [yes] (live)' -r -f -a "yes\t''
no\t''
optional\t''"
complete -c moon -l tls-auth-clients-user -d 'Part of a client\'s certificate that names the user it is logged in as. [off] (live)' -r -f -a "off\t''
CN\t''
URI\t''"
complete -c moon -l tls-protocols -d 'Versions of TLS, `TLSv1.2 TLSv1.3` or one of them; empty is both. [none] (live)' -r
complete -c moon -l tls-ciphersuites -d 'Cipher suites of TLS 1.3, divided by colons; empty is all. [none] (live)' -r
complete -c moon -l tls-ciphers -d 'Cipher suites of TLS 1.2 as OpenSSL names them; empty is all. [none] (live)' -r
complete -c moon -l tls-prefer-server-ciphers -d 'The server\'s order of cipher suites counts, not the client\'s. [no] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l tls-replication -d 'The link to the followed server speaks TLS; replicas are told of tls-port. [no] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l tls-cluster -d 'MIGRATE speaks TLS to the other server. [no] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l tls-client-cert-file -d 'Certificate that is shown to other servers; empty is that of tls-cert-file. [none] (live)' -r -F
complete -c moon -l tls-client-key-file -d 'Its private key, in PEM. [none] (live)' -r -F
complete -c moon -l tls-client-key-file-pass -d 'Password of this key if it is encrypted. [none] (live)' -r
complete -c moon -l tls-session-caching -d 'Clients may resume sessions, by tickets that they keep. [yes] (live)' -r -f -a "yes\t''
no\t''"
complete -c moon -l check-config -d 'Parse everything, report all errors, start nothing'
complete -c moon -l print-config -d 'Print every option with its value and origin'
complete -c moon -l sample-config -d 'Print a commented configuration file'
complete -c moon -s v -l version -d 'Print versions'
complete -c moon -s h -l help -d 'Print help (see more with \'--help\')'
