//! The command line. What is written here is the manual.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use moon_formats::time::parse_rfc3339;
use moon_storage::recovery::TimePolicy;

/// Back up data directories of Moon, check the backups, and restore them. A source is never changed.
#[derive(Debug, Parser)]
#[command(
    name = "moon-restore",
    version,
    after_help = "\
A repository is a directory with one directory per backup: set-<utc>-<id>. A full set stands alone; an
incremental one holds the log behind the set before it. backup.json is written last: a set without it
is not there.

EXIT CODES:
  0   done
  1   wrong usage, or the environment: a path that cannot be read or written, a server that does not answer
  2   refused, nothing was changed: a directory with data in it, a moment that no backup reaches
  3   what was restored or replayed is not what was backed up
  70  damage; the message names the file

With --json every item is one object on one line. Field names are stable, integers above 2^53 are strings."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a backup of a running server or of a stopped one's directory.
    Backup {
        #[command(subcommand)]
        kind: Kind,
    },
    /// All sets, oldest first, and the moments that they reach.
    #[command(after_help = "EXAMPLES:\n  moon-restore list /srv/backups")]
    List(Repo),
    /// What a set holds.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore show /srv/backups\n  moon-restore show --json /srv/backups"
    )]
    Show(Show),
    /// Remove chains that are not needed any more. A chain is a full set with everything that builds on
    /// it; it goes as a whole or stays.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore prune /srv/backups --keep-days 30 --dry-run\n  moon-restore prune /srv/backups --keep 4"
    )]
    Prune(Prune),
    /// Check every size and checksum, and that the log of each chain is whole.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore verify /srv/backups\n  moon-restore verify --deep /srv/backups"
    )]
    Verify(Verify),
    /// Write a new data directory from a backup.
    ///
    /// Without a target it holds the newest set. The log is cut there and goes on as a timeline of its
    /// own, so a restored server and the one it came from can be told apart.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore restore /srv/backups --to /var/lib/moon\n  moon-restore restore /srv/backups --to /var/lib/moon --target-time 2026-01-31T23:59:59Z"
    )]
    Restore(Restore),
}

/// Kinds of backups.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// Everything.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore backup full --from 127.0.0.1:6379 --to /srv/backups\n  moon-restore backup full --from /var/lib/moon --to /srv/backups --compress"
    )]
    Full(Backup),
    /// What the newest set does not hold; a full one if there is none to build on.
    #[command(
        after_help = "EXAMPLES:\n  moon-restore backup incr --from 127.0.0.1:6379 --to /srv/backups"
    )]
    Incr(Backup),
}

/// From where to where.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// A running server on this machine, HOST:PORT or unix:PATH; or the data directory of a stopped one.
    #[arg(long, value_name = "ADDRESS|DIR")]
    pub(crate) from: String,
    /// The repository; made if it is not there.
    #[arg(long, value_name = "REPO")]
    pub(crate) to: PathBuf,
    /// Compress files with zstd.
    #[arg(long)]
    pub(crate) compress: bool,
    /// Do not replay what is backed up. This takes no memory for the data, but nothing is known then
    /// that verify --deep and restore could compare with.
    #[arg(long)]
    pub(crate) no_digest: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    /// One JSON object per item.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to speak to a server.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// User; it needs the command MOON.BACKUP.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// File whose first line is the password. Without it the variable MOON_RESTORE_PASSWORD is
    /// looked at.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Speak TLS.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Certificates of the authorities that the server's is checked by.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Certificate to show to the server.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Name that the server's certificate must have; by default the host of the address.
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub(crate) tls_name: Option<String>,
}

/// Which repository.
#[derive(Debug, Args)]
pub(crate) struct Repo {
    /// The repository.
    pub(crate) repo: PathBuf,
    /// One JSON object per item.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) repo: Repo,
    /// Name of the set; by default the newest.
    pub(crate) set: Option<String>,
}

/// Arguments of `prune`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("rule").required(true).multiple(true))]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) repo: Repo,
    /// Keep so many chains, the newest ones.
    #[arg(long, value_name = "N", group = "rule", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep: Option<u64>,
    /// Keep what is needed to restore any moment of so many days.
    #[arg(long, value_name = "DAYS", group = "rule")]
    pub(crate) keep_days: Option<u64>,
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) repo: Repo,
    /// Only this set and those that it builds on.
    pub(crate) set: Option<String>,
    /// Replay into memory, and compare with the digests of the time of the backup.
    #[arg(long)]
    pub(crate) deep: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target"))]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) repo: Repo,
    /// The new data directory: one that does not exist, or is empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Only this set and those that it builds on.
    #[arg(long)]
    pub(crate) set: Option<String>,
    /// Up to this LSN: SHARD:LSN, one for every shard; with one shard a plain number is enough.
    #[arg(long, value_name = "LSN", group = "target", value_delimiter = ',', value_parser = parse_lsn)]
    pub(crate) target_lsn: Vec<(u16, u64)>,
    /// Up to this moment, RFC 3339: 2026-01-31T23:59:59Z.
    #[arg(long, value_name = "TIME", group = "target", value_parser = parse_time)]
    pub(crate) target_time: Option<i64>,
    /// Up to this restore point (MOON.RESTOREPOINT).
    #[arg(long, value_name = "NAME", group = "target")]
    pub(crate) target_name: Option<String>,
    /// Up to the restore point with this number.
    #[arg(long, value_name = "GTID", group = "target")]
    pub(crate) target_gtid: Option<u64>,
    /// What is taken if the clock was set back and a moment fits several points: refuse, first or last.
    #[arg(long, value_name = "WHICH", default_value = "refuse", value_parser = parse_policy)]
    pub(crate) time_policy: TimePolicy,
    /// Replay what was restored, and compare with the digests of the time of the backup: yes or no.
    #[arg(long, value_name = "YES|NO", default_value = "yes", num_args = 0..=1,
          default_missing_value = "yes", value_parser = parse_yes)]
    pub(crate) verify: bool,
}

fn parse_lsn(text: &str) -> Result<(u16, u64), String> {
    let (shard, lsn) = text.split_once(':').unwrap_or(("0", text));
    let parsed = shard.parse().ok().zip(lsn.parse().ok());
    parsed.ok_or_else(|| format!("'{text}' is not LSN or SHARD:LSN"))
}

fn parse_time(text: &str) -> Result<i64, String> {
    parse_rfc3339(text)
        .ok_or_else(|| format!("'{text}' is not a time such as 2026-01-31T23:59:59Z"))
}

fn parse_policy(text: &str) -> Result<TimePolicy, String> {
    match text {
        "refuse" => Ok(TimePolicy::Refuse),
        "first" => Ok(TimePolicy::First),
        "last" => Ok(TimePolicy::Last),
        _ => Err("refuse, first or last".into()),
    }
}

fn parse_yes(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_is_current() {
        moon_manual::hold(Cli::command());
    }

    #[test]
    fn targets_exclude_each_other_and_prune_needs_a_rule() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["moon-restore"], words].concat());
        let restore = ["restore", "r", "--to", "d"];
        for (more, fits) in [
            (&["--target-lsn", "5"][..], true),
            (&["--target-lsn", "0:5,1:7"], true),
            (&["--target-lsn", "x"], false),
            (&["--target-lsn", "5", "--target-time", "2026-01-31T23:59:59Z"], false),
            (&["--target-time", "yesterday"], false),
            (&["--verify", "no"], true),
            (&["--verify"], true),
            (&["--time-policy", "middle"], false),
        ] {
            assert_eq!(parse(&[&restore[..], more].concat()).is_ok(), fits, "{more:?}");
        }
        assert!(parse(&["prune", "r"]).is_err());
        assert!(parse(&["prune", "r", "--keep", "0"]).is_err());
        assert!(parse(&["prune", "r", "--keep", "2", "--keep-days", "7"]).is_ok());
        assert!(parse(&["backup", "full", "--from", "a:1", "--to", "r", "--tls-ca", "f"]).is_err());
    }
}
