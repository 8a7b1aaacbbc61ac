//! The command line. What is written here is the manual.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::fail::Failure;

/// Look into the files of Moon. None is ever changed, so a live directory is as good as a
/// stopped one.
#[derive(Debug, Parser)]
#[command(
    name = "moon-inspect",
    version,
    subcommand_help_heading = "Formats",
    subcommand_value_name = "FORMAT",
    after_help = "EXIT CODES:\n  0   sound\n  1   the log ends in a crash tail (verify), two states differ (diff), or the path is \
                  not ours or cannot be read\n  \
                  2   wrong usage\n  70  damage; the message names file, offset and what to do\n\n\
                  JSON:\n  With --json every item is one object on one line. Field names are stable, integers\n  \
                  above 2^53 are strings, bytes that are not UTF-8 are {\"hex\": \"...\"}."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) format: Format,
}

/// What is looked at.
#[derive(Debug, Subcommand)]
pub(crate) enum Format {
    /// The write-ahead log (`shard-<n>/wal-v3/<seq>.wal`).
    ///
    /// PATH is a segment file, a `wal-v3` directory, a `shard-<n>` directory or a whole data
    /// directory (then every shard in turn, or the one of --shard).
    Wal {
        #[command(subcommand)]
        verb: Verb,
    },
    /// Snapshots: bases (`moon.aof.<seq>.base.rdb`), BGSAVE files (`shard-<n>.rrdshard`), and the
    /// files of Redis, Valkey and the reference.
    ///
    /// PATH is a file, or a directory: then every snapshot in it; of a data directory every base
    /// and BGSAVE file. Verbs: ls, header, dump, stats, verify; of a file digest and diff.
    Rdb {
        #[command(subcommand)]
        verb: Verb,
    },
    /// The guard and the part lists of `appendonlydir`: bases, start of the log, timelines.
    ///
    /// PATH is a manifest, `appendonlydir`, a `shard-<n>` in it, or a data directory. Verbs: ls,
    /// header, dump, verify, rebuild.
    Aof {
        #[command(subcommand)]
        verb: Verb,
    },
    /// The file table of a shard (`shard-<n>/shard-<n>.manifest`), with its two roots.
    ///
    /// PATH is the file, a `shard-<n>` directory or a data directory. Verbs: ls, header, dump,
    /// stats, verify, rebuild.
    Manifest {
        #[command(subcommand)]
        verb: Verb,
    },
    /// The data directory: `moon.storage`, manifests and every file by its role.
    ///
    /// Verbs: ls, header, verify, digest, diff.
    Storage {
        #[command(subcommand)]
        verb: Verb,
    },
    /// Whatever PATH is, told by its magic bytes.
    ///
    /// For a data directory ls, header and verify look at the tree, then at part lists, bases, file
    /// tables and the log of each shard; the other verbs at the logs.
    Auto {
        #[command(subcommand)]
        verb: Verb,
    },
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Files with version, LSN range and size.
    ///
    /// State of a log segment: `live` counts, `void` is cut off by a later segment or lies
    /// behind the end, `old` is below the start that the part list names, `bad` has a damaged
    /// header, `reference` is of a reference server, `unread` lies behind damage. A recyclable
    /// segment may be used again once no base, backup or replica needs its records.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal ls /var/lib/moon\n  moon-inspect storage ls /var/lib/moon --json"
    )]
    Ls(Target),
    /// Every field of the header with its offset, and the cut record if there is one.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal header /var/lib/moon/shard-0/wal-v3/000000000001.wal\n  moon-inspect auto header moon.aof.7.base.rdb"
    )]
    Header(Target),
    /// What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a
    /// snapshot offset, database, type, key, value.
    ///
    /// Commands are printed as they would be typed, with escapes for bytes that are not
    /// printable. A `+created` or `+removed` behind one says what it did to its key.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal dump /var/lib/moon --from 1000 --to 1020\n  moon-inspect wal dump /var/lib/moon --key user:7 --full\n  moon-inspect rdb dump dump.rdb --type hash --limit 10"
    )]
    Dump(Dump),
    /// Of a log: records and bytes by type and by command, sizes of batches and sync groups,
    /// percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes,
    /// expiry, compression. Of a file table: files and bytes by type and status.
    ///
    /// Percentiles are upper bounds, at most 1.6 % high.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal stats /var/lib/moon\n  moon-inspect rdb stats dump.rdb --json"
    )]
    Stats(Ranged),
    /// Check every CRC and every rule.
    ///
    /// A snapshot or manifest is `sound` (exit 0) or `damaged` (exit 70), with the offset. A log
    /// says `clean`, `crash tail at ...` (exit 1: normal for a live log or after a kill; the
    /// server starts) or `hole at ...` with the expected LSN h, the durable LSN D and the reason
    /// (exit 70: the server refuses to start).
    ///
    /// With --plan a salvage plan of a data directory is written to a new file: what a start with
    /// `moon --salvage FILE` would keep of each damaged log, and what would be given up. Nothing
    /// happens until then.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect auto verify /var/lib/moon\n  moon-inspect wal verify /var/lib/moon --plan salvage.plan"
    )]
    Verify(Verify),
    /// Print records as a live log grows. Ends with --limit or an interrupt.
    ///
    /// Begins behind the end of the log, or at --from. With --format debezium the records are shown as the
    /// events that CDC.READ gives of them, one a line. What has been written is shown, also if no sync
    /// covers it yet, which CDC.READ waits for.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal tail /var/lib/moon\n  moon-inspect wal tail /var/lib/moon --format debezium --from 1000"
    )]
    Tail(Tail),
    /// The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST.
    ///
    /// A directory is read as a start reads it: part list, base, log.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect storage digest /var/lib/moon\n  moon-inspect storage digest /var/lib/moon --at 1000\n  moon-inspect rdb digest dump.rdb"
    )]
    Digest(At),
    /// What differs between two snapshots, data directories or LSNs, key by key.
    ///
    /// A data directory may be named with an LSN, `DIR@LSN`; --from and --to do the same. So the changes of one
    /// directory between two LSNs are `diff DIR --from LSN --to LSN`.
    ///
    /// `-` is on the left only, `+` on the right only, `!` on both and not the same. Exit code 1 if
    /// there is anything.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect auto diff /var/lib/moon /backup/moon\n  moon-inspect storage diff /var/lib/moon --from 1000 --to 2000\n  moon-inspect storage diff /var/lib/moon@1000 /backup/moon@1000\n  moon-inspect rdb diff old.rdb new.rdb --limit 20"
    )]
    Diff(Diff),
    /// Make a damaged or lost part list (`aof`) or file table (`manifest`) again.
    ///
    /// PATH is a data directory. The new file is written beside the old one, under its name and
    /// `.rebuilt`. A part list follows from the sound bases and the segments of the log; a file
    /// table from the base and the log.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect aof rebuild /var/lib/moon\n  moon-inspect manifest rebuild /var/lib/moon --shard 0"
    )]
    Rebuild(Target),
    /// Which LSN was written when; steps of the clock; restore points; the time range covered.
    ///
    /// A clock that was set back shows as a step. One that was set forward looks like an idle
    /// time and is not told from it.
    #[command(
        after_help = "EXAMPLES:\n  moon-inspect wal times /var/lib/moon --every 60000\n  moon-inspect wal times /var/lib/moon --from 1000 --every 0"
    )]
    Times(Times),
}

/// Where to look.
#[derive(Debug, Args, Clone)]
pub(crate) struct Target {
    /// File or directory.
    pub(crate) path: PathBuf,
    /// Only this shard of a data directory.
    #[arg(long, value_name = "N")]
    pub(crate) shard: Option<u16>,
    /// One JSON object per item.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A target and a range of LSNs.
#[derive(Debug, Args, Clone)]
pub(crate) struct Ranged {
    #[command(flatten)]
    pub(crate) target: Target,
    /// First LSN.
    #[arg(long, value_name = "LSN", default_value_t = 0)]
    pub(crate) from: u64,
    /// Last LSN.
    #[arg(long, value_name = "LSN", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) to: u64,
}

/// Which records are printed and how.
#[derive(Debug, Args, Clone)]
pub(crate) struct Filter {
    /// Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`),
    /// of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...).
    /// May be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// Only this key of a snapshot; of a log only records that name it: as a key field, or for
    /// commands as any argument behind the name. Escapes as in the output: `\n`, `\\`, `\x00`.
    #[arg(long, value_name = "KEY", value_parser = crate::record::parse_key)]
    pub(crate) key: Option<crate::record::Key>,
    /// Stop after this many items.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// The bytes in hexadecimal below each item.
    #[arg(long)]
    pub(crate) hex: bool,
    /// Arguments in full; without it each is cut at 64 bytes. JSON is always in full.
    #[arg(long)]
    pub(crate) full: bool,
}

/// Arguments of `dump`.
#[derive(Debug, Args, Clone)]
pub(crate) struct Dump {
    #[command(flatten)]
    pub(crate) range: Ranged,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Arguments of `verify`.
#[derive(Debug, Args, Clone)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only).
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
}

/// Arguments of `digest`.
#[derive(Debug, Args, Clone)]
pub(crate) struct At {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Last LSN that counts; by default everything there is. With several shards choose one by --shard.
    #[arg(long, visible_alias = "at", value_name = "LSN")]
    pub(crate) to: Option<u64>,
}

/// Arguments of `diff`.
#[derive(Debug, Args, Clone)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What PATH is compared with; without it, PATH at another LSN.
    pub(crate) other: Option<PathBuf>,
    /// PATH as it was at this LSN.
    #[arg(long, value_name = "LSN")]
    pub(crate) from: Option<u64>,
    /// OTHER, or PATH without one, as it was at this LSN.
    #[arg(long, value_name = "LSN")]
    pub(crate) to: Option<u64>,
    /// Show so many keys at most; all are counted.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// How records are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// As `dump` does.
    Records,
    /// As Debezium events (docs/cdc.md).
    Debezium,
}

/// Arguments of `tail`.
#[derive(Debug, Args, Clone)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) target: Target,
    /// First LSN; by default the next one to be written.
    #[arg(long, value_name = "LSN")]
    pub(crate) from: Option<u64>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// How records are shown. With `debezium`, --key means the key that changed, --limit counts events,
    /// and --hex and --full mean nothing.
    #[arg(long, value_enum, default_value_t = Form::Records)]
    pub(crate) format: Form,
    /// Milliseconds between two looks.
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) interval: u64,
}

/// Arguments of `times`.
#[derive(Debug, Args, Clone)]
pub(crate) struct Times {
    #[command(flatten)]
    pub(crate) range: Ranged,
    /// At most one row per so many milliseconds of log time; 0 prints every batch.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) every: u64,
}

impl Ranged {
    /// Refuses a range where there are no LSNs.
    pub(crate) fn no_range(&self, what: &str) -> Result<(), Failure> {
        match (self.from, self.to) {
            (0, u64::MAX) => Ok(()),
            _ => Err(Failure::usage(format!("{what} has no LSNs to choose by --from and --to"))),
        }
    }
}

impl Verb {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Verb::Ls(_) => "ls",
            Verb::Header(_) => "header",
            Verb::Dump(_) => "dump",
            Verb::Stats(_) => "stats",
            Verb::Verify(_) => "verify",
            Verb::Tail(_) => "tail",
            Verb::Times(_) => "times",
            Verb::Digest(_) => "digest",
            Verb::Diff(_) => "diff",
            Verb::Rebuild(_) => "rebuild",
        }
    }

    pub(crate) fn target(&self) -> &Target {
        match self {
            Verb::Ls(t) | Verb::Header(t) | Verb::Rebuild(t) => t,
            Verb::Verify(v) => &v.target,
            Verb::Digest(a) => &a.target,
            Verb::Diff(d) => &d.target,
            Verb::Stats(r) => &r.target,
            Verb::Dump(d) => &d.range.target,
            Verb::Tail(t) => &t.target,
            Verb::Times(t) => &t.range.target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_is_current() {
        moon_manual::hold(Cli::command());
    }
}
