//! The command line. What is written here is the manual.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};

use moon_storage::io::canonical;

use crate::facts::SHARDS;
use crate::fail::Failure;

/// Move data between Redis, Valkey and Moon. A source is never changed.
#[derive(Debug, Parser)]
#[command(
    name = "moon-migrate",
    version,
    after_help = "\
SOURCES AND TARGETS (KIND:PATH; a target without a kind is a directory of Moon):
  redis-rdb:PATH   a dump.rdb, or a directory with one; RDB 1 to 15, Valkey 80 and 81. As a target:
                   a new file
  redis-aof:PATH   an appendonlydir, a directory with one, or a single appendonly.aof, with or without
                   an RDB preamble. As a target: a new directory to start redis-server in
  redis:PATH       a source: whichever of the two there is
  moon:PATH        a data directory of a stopped server; as a source also one of the reference server,
                   versions 0.1 to 0.8

STATES OF A RUN into a directory of Moon: planned, copying, verified, swapping, done. They are kept
in <target>.moon.migrate.journal; the new tree is written as <target>.new, read back, and only then
given its name. A directory that was there before stays as <target>.v<n>.bak. A target that is a link
stays one: what it leads to changes its name, and journal and trees are beside that.

JSON:
  With --json every item is one object on one line. Field names are stable, integers above 2^53 are strings.

EXIT CODES:
  0   everything was carried (plan: would be)
  1   the environment: a path that cannot be read or written, a directory in use
  2   refused, nothing was written: wrong usage, a source that cannot be carried, or a target that
      does not fit where it is to be
  3   the target does not hold what the source holds
  4   something would be lost, named in the report; run again with --accept-loss
  70  the source is damaged; the message names file and offset"
)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// One JSON object for each item.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read everything and say what a run would do. Writes nothing.
    #[command(
        after_help = "EXAMPLES:\n  moon-migrate plan --from redis-rdb:/var/lib/redis/dump.rdb --to /var/lib/moon"
    )]
    Plan(Run),
    /// Carry the data over.
    #[command(
        after_help = "EXAMPLES:\n  moon-migrate run --from redis:/var/lib/redis --to /var/lib/moon\n  moon-migrate run --from moon:/var/lib/moon --to redis-rdb:dump.rdb --rdb-version 12"
    )]
    Run(Run),
    /// Compare a target with the source: keys, databases, digests. Writes nothing.
    #[command(
        after_help = "EXAMPLES:\n  moon-migrate verify --from redis:/var/lib/redis --to /var/lib/moon"
    )]
    Verify(Run),
    /// Carry a directory of an older format into the newest one, in its place; the old tree stays as
    /// <dir>.v<n>.bak. A directory of the newest format is left as it is.
    #[command(
        after_help = "EXAMPLES:\n  moon-migrate upgrade --to /var/lib/moon --dry-run\n  moon-migrate upgrade --to /var/lib/moon"
    )]
    Upgrade(Upgrade),
    /// Go on with a run that was interrupted.
    #[command(
        after_help = "EXAMPLES:\n  moon-migrate resume --to /var/lib/moon\n  moon-migrate resume --to /var/lib/moon --ignore-source"
    )]
    Resume(Resume),
    /// Put the directory that a run has replaced back under its name.
    #[command(after_help = "EXAMPLES:\n  moon-migrate rollback --to /var/lib/moon")]
    Rollback(Undo),
}

/// From where to where.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The source, KIND:PATH.
    #[arg(long, value_name = "KIND:PATH")]
    pub(crate) from: Place,
    /// The target, KIND:PATH, or a directory of Moon.
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: Target,
    /// Shards of the target. A server of this version has one: any other number is refused.
    #[arg(long, default_value_t = SHARDS, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
    /// Databases of the target; by default what a directory of Moon has, 16 otherwise, and never
    /// fewer than the source uses.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65534))]
    pub(crate) databases: Option<u16>,
    /// RDB version of a Redis target: 10 is read by Redis 7.0, 11 by Redis 7.2 and Valkey 7.2 to
    /// 8.1, 12 by Redis 7.4.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(9..=14))]
    pub(crate) rdb_version: u16,
    /// Losses that are accepted, as the report names them.
    #[arg(long, value_name = "LOSS", value_delimiter = ',')]
    pub(crate) accept_loss: Vec<String>,
    /// Write although the target seems not to fit: the figure does not know of a file system that
    /// compresses, nor of room that is about to be made.
    #[arg(long)]
    pub(crate) ignore_free_space: bool,
    /// Do what plan does.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which directory.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Target,
    /// Databases that it is to have; by default 16, and never fewer than it uses.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65534))]
    pub(crate) databases: Option<u16>,
    /// Losses that are accepted, as the report names them.
    #[arg(long, value_name = "LOSS", value_delimiter = ',')]
    pub(crate) accept_loss: Vec<String>,
    /// Write although the new tree seems not to fit beside the old one.
    #[arg(long)]
    pub(crate) ignore_free_space: bool,
    /// Read everything and say what would be done. Writes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which run, and how.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The directory that the run was to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Target,
    /// Put the new tree in its place although the source has changed since it was copied, or cannot be read any more. What was
    /// written to the source since is not in it.
    #[arg(long)]
    pub(crate) ignore_source: bool,
}

/// Which run.
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// The directory that the run was to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Target,
}

/// Kinds of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An RDB file.
    RedisRdb,
    /// An append-only file in one part or several.
    RedisAof,
    /// Either of them.
    Redis,
    /// A data directory of Moon.
    Moon,
}

const KINDS: [(&str, Kind); 4] = [
    ("redis-rdb", Kind::RedisRdb),
    ("redis-aof", Kind::RedisAof),
    ("redis", Kind::Redis),
    ("moon", Kind::Moon),
];

/// A kind and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
}

impl Place {
    /// The same place by its canonical path: a run may be resumed in another directory, or by way of another link.
    ///
    /// # Errors
    /// A path that a line of the journal cannot hold.
    pub(crate) fn canonical(&self) -> Result<Place, Failure> {
        let path = canonical(&self.path).map_err(|e| Failure::io("find", &self.path, e))?;
        match path.to_str() {
            Some(text) if !text.contains(['\n', '\r']) => Ok(Place { kind: self.kind, path }),
            _ => Err(Failure::refused(format!(
                "{}: the journal holds only paths that are text in one line; rename it",
                path.display()
            ))),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        write!(f, "{name}:{}", self.path.display())
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let (name, path) = text.split_once(':').unwrap_or(("", text));
        let kind = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        match kind {
            Some(kind) if !path.is_empty() => Ok(Place { kind, path: path.into() }),
            Some(_) => Err(format!("{name}: needs a path")),
            None => {
                let known = KINDS.map(|(name, _)| name).join(", ");
                Err(format!("'{text}' is not KIND:PATH with one of the kinds {known}"))
            }
        }
    }
}

/// A place to write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) Place);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let named = text.split_once(':').is_some_and(|(n, _)| KINDS.iter().any(|(k, _)| *k == n));
        let place = match named {
            true => text.parse()?,
            false if text.is_empty() => return Err("needs a path".into()),
            false => Place { kind: Kind::Moon, path: text.into() },
        };
        match place.kind {
            Kind::Redis => Err("a target is redis-rdb:FILE or redis-aof:DIR".into()),
            _ => Ok(Target(place)),
        }
    }
}

impl Cli {
    /// The command line `moon-migrate <words>`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(words: &[&str]) -> Result<Cli, String> {
        let words = ["moon-migrate"].iter().chain(words);
        Cli::try_parse_from(words).map_err(|e| e.to_string())
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
    fn places_say_what_they_are() {
        let place: Place = "redis-rdb:/a/dump.rdb".parse().unwrap();
        assert_eq!(
            (place.kind, place.to_string().as_str()),
            (Kind::RedisRdb, "redis-rdb:/a/dump.rdb")
        );
        let relative: Place = "redis-rdb:dump.rdb".parse().unwrap();
        assert!(relative.canonical().unwrap().path.ends_with("dump.rdb"));
        assert!(relative.canonical().unwrap().path.is_absolute());
        let two_lines: Place = "redis-rdb:/a\nb".parse().unwrap();
        assert_eq!(two_lines.canonical().unwrap_err().code, 2);
        assert!("dump.rdb".parse::<Place>().unwrap_err().contains("redis-rdb"));
        assert!("moon:".parse::<Place>().unwrap_err().contains("path"));
        assert_eq!("x:/y".parse::<Target>().unwrap().0.path, PathBuf::from("x:/y"), "a directory");
        assert!("redis:/y".parse::<Target>().is_err());
    }
}
