//! All integration tests in one binary. They need the programs that `scripts/setup.sh` installs.

mod acks;
mod acl;
mod admin;
mod backup;
mod busy;
mod cdc;
mod clients;
mod debug;
mod differential;
mod disk;
mod exchange;
mod flushes;
mod harness;
mod hotkeys;
mod inspect;
mod key_migration;
mod logins;
mod migrate;
mod migrate_pages;
mod migrate_states;
mod migrate_values;
mod pitr;
mod process;
mod replication;
mod salvage;
mod saving;
mod scripts;
mod scrub;
mod supervision;
mod switch;
mod tls;
mod tls_links;
mod tools;
mod waiting;
mod wire;

/// Commands of the differential tester that Moon lacks. The differential tests hold this list against
/// the server, so one that arrives must leave it.
const LACKING: [&str; 0] = [];
