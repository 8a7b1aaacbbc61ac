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
mod stamp;
mod upgrade;
mod whole;
mod write;

use std::io::{ErrorKind, Write};
use std::path::Path;

use moon_formats::json::Object;
use moon_formats::migration::State;
use moon_formats::{names, redis_rdb};
use moon_report::Report;
use moon_storage::migration::{self, new_tree};

use cli::{Kind, Place, Resume, Run, Target, Upgrade, Verb};
use facts::{Losses, Measure, SHARDS};
use journal::{Journal, is_taken};
use room::{Room, known_shards};
use source::Source;
use stamp::Stamp;
use upgrade::nothing_to_do;

pub use cli::Cli;
pub use fail::Failure;
pub use host::Host;

/// Databases of a new directory, unless told otherwise.
const DATABASES: u16 = 16;

/// Does what the command line says. What it has to report goes to `sink`, for a program or for a person.
///
/// # Errors
/// How the run ends other than with everything carried.
pub async fn run(cli: &Cli, host: &Host, sink: &mut dyn Write) -> Result<(), Failure> {
    let mut out = Report::new(sink, cli.json);
    let result = act(&cli.verb, host, &mut out).await;
    match (result, out.finish()) {
        (Ok(()), Some(e)) => Err(Failure::environment(format!("cannot write the report: {e}"))),
        (result, _) => result,
    }
}

async fn act(verb: &Verb, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Plan(run) => plan(run, host, out).await,
        Verb::Run(run) if run.dry_run => plan(run, host, out).await,
        Verb::Run(run) => carry(run, host, out).await,
        Verb::Verify(run) => verify(run, host, out).await,
        Verb::Upgrade(of) => upgrade(of, host, out).await,
        Verb::Resume(of) => resume(of, host, out).await,
        Verb::Rollback(undo) => roll_back(&undo.to, host, out).await,
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

async fn plan(run: &Run, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    if run.to.0.kind == Kind::Moon {
        may_make_way(host, &run.to.0.path).await?;
    }
    let (source, databases) = look(run, host).await?;
    source.facts.report(out);
    let to = &run.to.0;
    let exists = match to.kind {
        Kind::Moon => is_taken(&*host.disk, &to.path).await?,
        _ => to.path.exists(),
    };
    let mut text = format!("target: {to}, {databases} databases");
    if to.kind == Kind::Moon && exists {
        text.push_str(
            "\nthe target exists: it would stay beside the new one, as <target>.v<n>.bak",
        );
    }
    let object = |o: Object| {
        o.text("target", &to.to_string())
            .number("databases", databases.into())
            .flag("exists", exists)
    };
    out.item("target", object, &text);
    if to.kind != Kind::Moon {
        is_absent(&to.path)?;
    }
    fits(&source, run, host, out).await?;
    accept(&source.facts.losses, &run.accept_loss)
}

/// There is room for the target.
async fn fits(
    source: &Source,
    run: &Run,
    host: &Host,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let room = Room::look(host, &source.facts, &run.to.0).await?;
    room.report(out);
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

/// A directory makes way for the new tree only if it is empty or has data of Moon in it: a wrong path must not move away what is
/// somebody else's.
async fn may_make_way(host: &Host, to: &Path) -> Result<(), Failure> {
    let entries = match host.disk.list(to).await {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            let text = format!("{} is a file, and the target is to be a directory", to.display());
            return Err(Failure::refused(text));
        }
        Err(e) => return Err(Failure::io("read", to, e)),
    };
    let other = entries.iter().find(|entry| entry.name != names::LOCK);
    match other {
        Some(entry) if !whole::is_marked(host, to).await && !reference::is_one(to) => {
            Err(Failure::refused(format!(
                "{} holds something else than data of Moon ({}): name a directory that is new, empty, or one of Moon",
                to.display(),
                entry.name
            )))
        }
        _ => Ok(()),
    }
}

/// A file of Redis is never written over.
fn is_absent(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::refused(format!(
            "{} exists, and nothing is written over: remove it, or choose another name",
            path.display()
        ))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::io("read", path, e)),
    }
}

async fn carry(run: &Run, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    let to = &run.to.0;
    if to.kind != Kind::Moon {
        is_absent(&to.path)?;
        return export_to(run, host, out).await;
    }
    let to = to.canonical()?.path;
    may_make_way(host, &to).await?;
    if let Some(old) = Journal::read(host, &to).await?
        && !matches!(old.said.state, State::Done)
    {
        return Err(Failure::refused(format!(
            "an earlier run into this target was interrupted (state {}): moon-migrate resume --to {}, or \
             remove <target>.new and the journal",
            old.said.state.name(),
            to.display()
        )));
    }
    let stamp = Stamp::of(host, &run.from).await?;
    let (source, databases) = accepted(run, host, out).await?;
    let from = run.from.canonical()?.to_string();
    let mut journal = Journal::new(to, from, run.databases, run.accept_loss.clone())?;
    journal.said.source = Some(source.facts.print());
    journal.is_free(&of_names(host, &source, &journal)).await?;
    journal.enter(host, State::Planned).await?;
    copy_and_swap(journal, source, databases, stamp, host, out).await
}

/// The source, once it is settled that it can go over.
async fn accepted(run: &Run, host: &Host, out: &mut Report<'_>) -> Result<(Source, u16), Failure> {
    let (source, databases) = look(run, host).await?;
    source.facts.report(out);
    fits(&source, run, host, out).await?;
    accept(&source.facts.losses, &run.accept_loss)?;
    Ok((source, databases))
}

/// The host for changes of names: a source that is the target is locked already.
fn of_names(host: &Host, source: &Source, journal: &Journal) -> Host {
    match source.is_locked() && journal.is_in_place() {
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
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let new = new_tree(&journal.to);
    journal.said.source = Some(source.facts.print());
    journal.begin_copy(host).await?;
    write::directory(host, &new, databases, source.stream()).await?;
    compare(&source, host, &new).await?;
    stamp.as_ref().map_or(Ok(()), |stamp| stamp.check(&journal.to))?;
    journal.enter(host, State::Verified).await?;
    journal.swap(&of_names(host, &source, &journal)).await?;
    carried(source.facts.keys(), &journal.to, journal.said.backup.as_deref(), out);
    Ok(())
}

/// How a run has ended.
fn carried(keys: u64, to: &Path, backup: Option<&str>, out: &mut Report<'_>) {
    let target = to.display().to_string();
    let mut text = format!("{keys} keys are in {target}");
    if let Some(name) = backup {
        text.push_str(&format!("\nwhat was there before is in {name}"));
    }
    let object = |o: Object| {
        o.number("keys", keys).text("target", &target).option("backup", backup, Object::text)
    };
    out.item("carried", object, &text);
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
async fn upgrade(of: &Upgrade, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    let place = &of.to.0;
    if nothing_to_do(host, place, out).await? {
        return Ok(());
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

async fn export_to(run: &Run, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
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
    carried(source.facts.keys() - left_out, &to.path, None, out);
    Ok(())
}

async fn verify(run: &Run, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
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
            source.facts.digests(out);
            let keys = source.facts.keys();
            out.item("same", |o| o.number("keys", keys), &format!("{keys} keys, no difference"));
            Ok(())
        }
    }
}

async fn directory(to: &Target, host: &Host) -> Result<Journal, Failure> {
    let Target(place) = to;
    if place.kind != Kind::Moon {
        return Err(Failure::refused("only a run into a directory of Moon has a journal"));
    }
    let to = place.canonical()?.path;
    let Some(journal) = Journal::read(host, &to).await? else {
        let text = format!("there is no journal of a run into {}", to.display());
        return Err(Failure::refused(text));
    };
    // A run that was killed may have left a state that a power loss still takes back: nothing is built on it before.
    let parent = migration::parent(&to);
    host.disk.sync_dir(parent).await.map_err(|e| Failure::io("sync", parent, e))?;
    Ok(journal)
}

async fn resume(of: &Resume, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    let mut journal = directory(&of.to, host).await?;
    let from: Place = journal.said.from.parse().map_err(Failure::refused)?;
    match journal.said.state {
        State::Planned | State::Copying => copy_again(journal, from, of, host, out).await,
        State::Verified | State::Back if !of.ignore_source => {
            if journal.said.state == State::Back {
                // The source may be the target, and that have no name at this moment.
                journal.roll_back(host).await?;
            }
            match as_copied(&journal, &from, host).await? {
                Some(source) => {
                    journal.swap(&of_names(host, &source, &journal)).await?;
                    stands(&journal, out);
                    Ok(())
                }
                // Nobody has seen the copy yet.
                None if journal.said.state == State::Verified => {
                    out.note("the source has changed since it was copied: it is copied again");
                    copy_again(journal, from, of, host, out).await
                }
                None => Err(Failure::refused(format!(
                    "{from} has changed since it was copied, and {new} does not have it. To carry what it holds \
                     now, move {new} and {log} away and run again; to give {new} the name all the same, \
                     moon-migrate resume --ignore-source --to {to}",
                    new = new_tree(&journal.to).display(),
                    log = migration::journal(&journal.to).display(),
                    to = journal.to.display()
                ))),
            }
        }
        State::Verified | State::Swapping | State::Back => {
            journal.swap(host).await?;
            stands(&journal, out);
            Ok(())
        }
        State::Done => {
            let text = format!("the run is done: {} is the new tree", journal.to.display());
            stood(&journal, "new", &text, out);
            Ok(())
        }
    }
}

/// The source, if it holds what was copied; `None` if it has changed.
async fn as_copied(
    journal: &Journal,
    from: &Place,
    host: &Host,
) -> Result<Option<Source>, Failure> {
    let source = Source::open(host, from).await.map_err(|e| Failure {
        message: format!(
            "{}; the source cannot be compared with what was copied of it. --ignore-source puts the copy in its place \
             all the same",
            e.message
        ),
        ..e
    })?;
    Ok((journal.said.source == Some(source.facts.print())).then_some(source))
}

async fn copy_again(
    journal: Journal,
    from: Place,
    of: &Resume,
    host: &Host,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let run = Run {
        from,
        to: of.to.clone(),
        shards: SHARDS,
        databases: journal.said.databases,
        rdb_version: redis_rdb::VERSION,
        accept_loss: journal.said.accepted.clone(),
        // What the interrupted copy takes is free again in a moment.
        ignore_free_space: true,
        dry_run: false,
    };
    let stamp = Stamp::of(host, &run.from).await?;
    let (source, databases) = accepted(&run, host, out).await?;
    journal.is_free(&of_names(host, &source, &journal)).await?;
    copy_and_swap(journal, source, databases, stamp, host, out).await
}

fn stands(journal: &Journal, out: &mut Report<'_>) {
    stood(journal, "new", &format!("{} is the new tree", journal.to.display()), out);
}

/// Which of the trees has the name.
fn stood(journal: &Journal, tree: &str, text: &str, out: &mut Report<'_>) {
    let target = journal.to.display().to_string();
    let backup = journal.said.backup.as_deref();
    let object = |o: Object| {
        o.text("target", &target).text("tree", tree).option("backup", backup, Object::text)
    };
    out.item("names", object, text);
}

async fn roll_back(to: &Target, host: &Host, out: &mut Report<'_>) -> Result<(), Failure> {
    let mut journal = directory(to, host).await?;
    journal.roll_back(host).await?;
    stood(&journal, "old", &format!("{} is the old tree again", journal.to.display()), out);
    Ok(())
}
