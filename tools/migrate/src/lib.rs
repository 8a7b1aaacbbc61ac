//! `moon-migrate`: data of Redis, Valkey and Moon, carried into a directory of Moon or out of one.
//!
//! The one idea: nothing here knows how to write data. Files of Redis are read by the codec that replication
//! and RESTORE use, a new directory is opened and filled by the storage crate as a server would, and it is read back
//! by recovery before it gets its name. What this tool adds is the order of these steps and a journal of it.
//!
//! Invariants: a source is never changed; a target's name stands for the old tree or for a whole new one; what cannot
//! be carried is named and counted before anything is written.

mod aof;
mod cli;
mod export;
mod facts;
mod fail;
mod filling;
mod host;
mod input;
mod journal;
mod rdb;
mod reference;
mod room;
mod source;
mod upgrade;
mod whole;
mod write;

use std::io::Write;
use std::path::Path;

use moon_formats::migration::State;
use moon_formats::redis_rdb;
use moon_storage::migration::{self, new_tree};

use cli::{Kind, Place, Run, Target, Undo, Upgrade, Verb};
use facts::{Losses, Measure, SHARDS};
use journal::{Journal, is_taken};
use room::{Room, known_shards};
use source::Source;
use upgrade::{Stamp, nothing_to_do};

pub use cli::Cli;
pub use fail::Failure;
pub use host::Host;

/// Databases of a new directory, unless told otherwise.
const DATABASES: u16 = 16;

/// Does what the command line says. What it has to report goes to `out`.
///
/// # Errors
/// How the run ends other than with everything carried.
pub async fn run(cli: &Cli, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    match &cli.verb {
        Verb::Plan(run) => plan(run, host, out).await,
        Verb::Run(run) if run.dry_run => plan(run, host, out).await,
        Verb::Run(run) => carry(run, host, out).await,
        Verb::Verify(run) => verify(run, host, out).await,
        Verb::Upgrade(of) => upgrade(of, host, out).await,
        Verb::Resume(undo) => resume(undo, host, out).await,
        Verb::Rollback(undo) => roll_back(undo, host, out).await,
    }
}

/// The digest of a data directory of Moon, as DEBUG DIGEST of a server in it would show it.
///
/// # Errors
/// It cannot be read, or is damaged.
pub async fn digest(host: &Host, directory: &Path) -> Result<Option<u128>, Failure> {
    let source = Source::open_directory(host, directory, false).await?;
    Ok(source.shard().map(|shard| shard.digest()))
}

fn say(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes())
        .map_err(|e| Failure::environment(format!("cannot write the report: {e}")))
}

/// Reads the source and judges it against the target.
async fn look(run: &Run, host: &Host) -> Result<(Source, u16), Failure> {
    known_shards(run.shards)?;
    let mut source = Source::open(host, &run.from).await?;
    let needed = source.facts.databases_needed();
    let usual = u64::from(source.databases().unwrap_or(DATABASES));
    let databases = run.databases.map_or(needed.max(usual), u64::from);
    if databases < needed {
        return Err(Failure::refused(format!(
            "the source uses {needed} databases, and the target is to have {databases}"
        )));
    }
    let databases = u16::try_from(databases)
        .ok()
        .filter(|n| *n <= 65534)
        .ok_or_else(|| Failure::refused("there are keys in a database beyond 65533"))?;
    if run.to.0.kind != Kind::Moon {
        source.load(databases)?;
        let mut losses = std::mem::take(&mut source.facts.losses);
        if let Some(shard) = source.shard() {
            export::losses(shard, run.rdb_version, &mut losses)?;
        }
        source.facts.losses = losses;
    }
    Ok((source, databases))
}

async fn plan(run: &Run, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let (source, databases) = look(run, host).await?;
    say(out, &source.facts.report())?;
    let to = &run.to.0;
    say(out, &format!("target: {to}, {databases} databases\n"))?;
    if to.kind == Kind::Moon && is_taken(&*host.disk, &to.path).await? {
        say(out, "the target exists: it would stay beside the new one, as <target>.v<n>.bak\n")?;
    }
    fits(&source, run, host, out).await?;
    accept(&source.facts.losses, &run.accept_loss)
}

/// There is room for the target.
async fn fits(source: &Source, run: &Run, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let room = Room::look(host, &source.facts, &run.to.0).await?;
    say(out, &room.report())?;
    room.check(run.ignore_free_space)
}

/// Nothing is lost but what was accepted.
fn accept(losses: &Losses, accepted: &[String]) -> Result<(), Failure> {
    let names: Vec<&str> = losses.keys().copied().collect();
    if let Some(unknown) = accepted.iter().find(|a| !names.contains(&a.as_str())) {
        return Err(Failure::refused(format!(
            "--accept-loss {unknown}: nothing of this name would be lost"
        )));
    }
    let open: Vec<&str> =
        names.into_iter().filter(|name| !accepted.iter().any(|a| a == name)).collect();
    match open.is_empty() {
        true => Ok(()),
        false => Err(Failure::losses(format!(
            "this would be lost: {}; --accept-loss {} to carry the rest",
            open.join(", "),
            open.join(",")
        ))),
    }
}

async fn carry(run: &Run, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let to = &run.to.0;
    match to.kind {
        Kind::Moon => {}
        _ if to.path.exists() => {
            return Err(Failure::refused(format!("{} exists", to.path.display())));
        }
        _ => return export_to(run, host, out).await,
    }
    let to = to.absolute()?.path;
    if let Some(old) = Journal::read(host, &to).await?
        && !matches!(old.said.state, State::Done)
    {
        return Err(Failure::refused(
            "an earlier run into this target was interrupted: moon-migrate resume, or remove <target>.new \
             and the journal",
        ));
    }
    let stamp = Stamp::in_place(&run.from.path, &to)?;
    let (source, databases) = accepted(run, host, out).await?;
    let from = run.from.absolute()?.to_string();
    let mut journal = Journal::new(to, from, run.databases, run.accept_loss.clone())?;
    journal.is_free(&of_names(host, &source, stamp.as_ref())).await?;
    journal.enter(host, State::Planned).await?;
    copy_and_swap(journal, source, databases, stamp, host, out).await
}

/// The source, once it is settled that it can go over.
async fn accepted(run: &Run, host: &Host, out: &mut dyn Write) -> Result<(Source, u16), Failure> {
    let (source, databases) = look(run, host).await?;
    say(out, &source.facts.report())?;
    fits(&source, run, host, out).await?;
    accept(&source.facts.losses, &run.accept_loss)?;
    Ok((source, databases))
}

/// The host for changes of names: a source that is the target is locked already.
fn of_names(host: &Host, source: &Source, stamp: Option<&Stamp>) -> Host {
    match stamp.is_some() && source.is_locked() {
        true => host.holding(),
        false => host.clone(),
    }
}

async fn copy_and_swap(
    mut journal: Journal,
    mut source: Source,
    databases: u16,
    stamp: Option<Stamp>,
    host: &Host,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let new = new_tree(&journal.to);
    journal.begin_copy(host).await?;
    write::directory(host, &new, databases, source.stream()).await?;
    compare(&source, host, &new).await?;
    stamp.as_ref().map_or(Ok(()), Stamp::check)?;
    journal.enter(host, State::Verified).await?;
    journal.swap(&of_names(host, &source, stamp.as_ref())).await?;
    let end = format!("{} keys are in {}\n", source.facts.keys(), journal.to.display());
    say(out, &end)?;
    match &journal.said.backup {
        Some(name) => say(out, &format!("what was there before is in {name}\n")),
        None => Ok(()),
    }
}

/// That a directory holds what the source holds.
async fn compare(source: &Source, host: &Host, target: &Path) -> Result<(), Failure> {
    let found = match source.facts.measure {
        Measure::Bodies => whole::survey(host, target).await?,
        Measure::Digest => Source::open_directory(host, target, false).await?.facts,
    };
    match source.facts.difference(&found) {
        None => Ok(()),
        Some(why) => Err(Failure::differs(format!("{}: {why}", target.display()))),
    }
}

/// Carries a directory into the newest format, in its place.
async fn upgrade(of: &Upgrade, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let place = &of.to.0;
    if let Some(why) = nothing_to_do(host, place).await? {
        return say(out, &why);
    }
    let run = Run {
        from: place.clone(),
        to: of.to.clone(),
        shards: SHARDS,
        databases: of.databases,
        rdb_version: redis_rdb::VERSION,
        accept_loss: of.accept_loss.clone(),
        ignore_free_space: of.ignore_free_space,
        dry_run: of.dry_run,
    };
    match of.dry_run {
        true => plan(&run, host, out).await,
        false => carry(&run, host, out).await,
    }
}

async fn export_to(run: &Run, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let (source, _) = accepted(run, host, out).await?;
    let to = &run.to.0;
    let Some(shard) = source.shard() else {
        return Err(Failure::environment("the source was not loaded"));
    };
    match to.kind {
        Kind::RedisRdb => export::rdb(&to.path, shard, run.rdb_version)?,
        _ => export::aof(&to.path, shard, run.rdb_version)?,
    }
    let left_out = source.facts.losses.get("value").map_or(0, |loss| loss.count);
    let keys = source.facts.keys() - left_out;
    say(out, &format!("{keys} keys are in {}\n", to.path.display()))
}

async fn verify(run: &Run, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    known_shards(run.shards)?;
    // A server may have written since: only the digest can tell, and only of a whole.
    let whole = async |place| {
        let mut source = Source::open(host, place).await?;
        source.load(u16::try_from(source.facts.databases_needed()).unwrap_or(u16::MAX))?;
        Ok(source)
    };
    let (source, target) = (whole(&run.from).await?, whole(&run.to.0).await?);
    match source.facts.difference(&target.facts) {
        Some(why) => Err(Failure::differs(why)),
        None => {
            say(out, &source.facts.digests())?;
            say(out, &format!("{} keys, no difference\n", source.facts.keys()))
        }
    }
}

async fn directory(undo: &Undo, host: &Host) -> Result<Journal, Failure> {
    let Target(Place { kind, path }) = &undo.to;
    if *kind != Kind::Moon {
        return Err(Failure::refused("only a run into a directory of Moon has a journal"));
    }
    let to = undo.to.0.absolute()?.path;
    let Some(journal) = Journal::read(host, &to).await? else {
        let text = format!("there is no journal of a run into {}", path.display());
        return Err(Failure::refused(text));
    };
    // A run that was killed may have left a state that a power loss still takes back: nothing is built on it before.
    let parent = migration::parent(&to);
    host.disk.sync_dir(parent).await.map_err(|e| Failure::io("sync", parent, e))?;
    Ok(journal)
}

async fn resume(undo: &Undo, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let mut journal = directory(undo, host).await?;
    match journal.said.state {
        State::Planned | State::Copying => {
            let from = journal.said.from.parse().map_err(Failure::refused)?;
            let run = Run {
                from,
                to: undo.to.clone(),
                shards: SHARDS,
                databases: journal.said.databases,
                rdb_version: redis_rdb::VERSION,
                accept_loss: journal.said.accepted.clone(),
                // What the interrupted copy takes is free again in a moment.
                ignore_free_space: true,
                dry_run: false,
            };
            let stamp = Stamp::in_place(&run.from.path, &journal.to)?;
            let (source, databases) = accepted(&run, host, out).await?;
            journal.is_free(&of_names(host, &source, stamp.as_ref())).await?;
            copy_and_swap(journal, source, databases, stamp, host, out).await
        }
        State::Verified | State::Swapping | State::Back => {
            journal.swap(host).await?;
            say(out, &format!("{} is the new tree\n", journal.to.display()))
        }
        State::Done => say(out, "the run is done\n"),
    }
}

async fn roll_back(undo: &Undo, host: &Host, out: &mut dyn Write) -> Result<(), Failure> {
    let mut journal = directory(undo, host).await?;
    journal.roll_back(host).await?;
    say(out, &format!("{} is the old tree again\n", journal.to.display()))
}
