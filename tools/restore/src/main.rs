//! `moon-restore`: the command line around backups, and how it talks to a server.
//!
//! Invariants: what is asked for is done by the library; a server's lease is kept while its files are read.

mod cli;
mod lease;
mod link;

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use moon_formats::backup::{Backup, Codec};
use moon_formats::json::Object;
use moon_formats::time::utc;
use moon_report::Report;
use moon_restore::fail::{DONE, Failure, USAGE};
use moon_restore::progress::{Progress, size};
use moon_restore::repo::{self, Repository, Set};
use moon_restore::source::Cut;
use moon_restore::{backup, restore as restoring, source, verify as verifying};
use moon_storage::io::Disk;
use moon_storage::io::local::LocalRuntime;
use moon_storage::io::lock::DirLock;
use moon_storage::io::posix::PosixDisk;
use moon_storage::recovery::PointTarget;

use cli::{Cli, Kind, Verb};
use lease::Lease;
use link::{Address, Link};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors, and go to the standard output.
            let code = if e.use_stderr() { USAGE } else { DONE };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let mut sink = io::stdout().lock();
    let mut out = Report::new(&mut sink, cli.verb.json());
    let result = run(&cli.verb, &mut out);
    let written = out.finish();
    let failure = match (result, written) {
        (Ok(()), None) => return ExitCode::from(DONE),
        (Err(failure), _) => failure,
        (Ok(()), Some(e)) => Failure::environment(format!("cannot write the output: {e}")),
    };
    // Nothing is left to be done about an error on the way out.
    let _ = writeln!(io::stderr(), "moon-restore: {}", failure.message);
    ExitCode::from(failure.code)
}

fn run(verb: &Verb, out: &mut Report<'_>) -> Result<(), Failure> {
    let disk: Rc<dyn Disk> = Rc::new(PosixDisk::new());
    let rt = LocalRuntime::new();
    let rt = rt.map_err(|e| Failure::environment(format!("cannot start: {e}")))?;
    let result = match verb {
        Verb::Backup { kind: Kind::Full(args) } => back_up(&*disk, &rt, args, false, out),
        Verb::Backup { kind: Kind::Incr(args) } => back_up(&*disk, &rt, args, true, out),
        Verb::List(args) => list(&*disk, &rt, args, out),
        Verb::Show(args) => show(&*disk, &rt, args, out),
        Verb::Prune(args) => prune(&*disk, &rt, args, out),
        Verb::Verify(args) => verify(&*disk, &rt, args, out),
        Verb::Restore(args) => restore(&disk, &rt, args, out),
    };
    rt.shutdown();
    result
}

impl Verb {
    fn json(&self) -> bool {
        match self {
            Verb::Backup { kind: Kind::Full(args) | Kind::Incr(args) } => args.json,
            Verb::List(args) => args.json,
            Verb::Show(args) => args.repo.json,
            Verb::Prune(args) => args.repo.json,
            Verb::Verify(args) => args.repo.json,
            Verb::Restore(args) => args.repo.json,
        }
    }
}

/// Microseconds since 1970.
fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// Makes a directory that only its owner reads, if it is not there, and locks it.
fn lock(dir: &Path) -> Result<DirLock, Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| Failure::io("make", dir, e))?;
    DirLock::acquire(dir).map_err(|e| Failure::environment(e.to_string()))
}

/// What tells a set from others of the same second.
fn random_id() -> Result<u32, Failure> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 4];
    let read = fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Failure::io("read", source, e))?;
    Ok(u32::from_le_bytes(bytes))
}

/// Looks at the source of a backup before anything is made, be it a lock: what is not ours stays as it is.
fn is_data(disk: &dyn Disk, rt: &LocalRuntime, dir: &Path) -> Result<(), Failure> {
    if !dir.is_dir() {
        return Err(Failure::environment(format!(
            "{} is no directory; a running server is named by HOST:PORT or unix:PATH",
            dir.display()
        )));
    }
    rt.block_on(source::marker_of(disk, dir)).map(drop)
}

fn back_up(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    args: &cli::Backup,
    incremental: bool,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let dir = Path::new(&args.from);
    let address = Address::parse(&args.from).filter(|_| !dir.is_dir());
    if address.is_none() {
        is_data(disk, rt, dir)?;
    }
    let _lock = lock(&args.to)?;
    let wish = backup::Wish {
        incremental,
        codec: if args.compress { Codec::Zstd } else { Codec::None },
        digest: !args.no_digest,
        id: random_id()?,
    };
    let mut progress = Progress::new(args.json);
    let made = match address {
        None => {
            let _lock = DirLock::acquire(dir).map_err(|e| {
                Failure::environment(format!("{e}; of a running server give the address instead"))
            })?;
            let cut = rt.block_on(source::stopped(disk, dir, now_us()))?;
            make(disk, rt, &cut, args, wish, &mut || Ok(()), &mut progress)
        }
        Some(address) => {
            let (lease, mut cut) = Lease::begin(Link::open(&address, &args.access)?)?;
            let made = rt.block_on(lease::check_here(disk, &mut cut)).and_then(|()| {
                make(disk, rt, &cut, args, wish, &mut || lease.holds(), &mut progress)
            });
            if let (Err(failure), true) = (lease.end(made.is_ok()), made.is_ok()) {
                // The set is there, whatever has become of the lease since it was asked for last.
                let text =
                    format!("the server does not know that it was backed up: {}", failure.message);
                out.note(&text);
            }
            made
        }
    };
    progress.clear();
    let made = made?;
    if let Some(why) = &made.why_full {
        let text = format!("a full backup, because an incremental one cannot be made: {why}");
        out.note(&text);
    }
    say_set(&made.set, out);
    Ok(())
}

fn make(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    cut: &Cut,
    args: &cli::Backup,
    wish: backup::Wish,
    keeps: backup::Keeps<'_>,
    progress: &mut Progress,
) -> Result<backup::Made, Failure> {
    rt.block_on(backup::make(disk, cut, &args.to, wish, keeps, progress))
}

fn say_set(set: &Set, out: &mut Report<'_>) {
    let Backup { kind, shards, taken_us, .. } = &set.backup;
    let lsns: Vec<String> =
        shards.iter().map(|p| format!("lsn {} to {}", p.lsn_from, p.lsn_to)).collect();
    let bytes = set.backup.stored_bytes();
    let text =
        format!("{}  {kind}  {}  {}  {}", set.name(), utc(*taken_us), lsns.join(", "), size(bytes));
    let object = |o: Object| {
        o.text("set", set.name())
            .text("type", &kind.to_string())
            .option("parent", set.parent(), Object::text)
            .text("taken", &utc(*taken_us))
            .number("bytes", bytes)
            .list(
                "shards",
                shards.iter().map(|p| {
                    Object::default()
                        .number("shard", p.shard.into())
                        .number("lsn_from", p.lsn_from)
                        .number("lsn_to", p.lsn_to)
                }),
            )
    };
    out.item("set", object, &text);
}

/// Says what cannot be used, and with which code that ends a run that has done all else.
fn say_unreadable(repository: &Repository, out: &mut Report<'_>) -> Option<Failure> {
    for (name, failure) in &repository.unreadable {
        let text = format!("{name}  unreadable: {}", failure.message);
        let object = |o: Object| o.text("set", name).text("error", &failure.message);
        out.item("unreadable", object, &text);
    }
    let worst = repository.unreadable.iter().max_by_key(|(_, failure)| failure.code);
    worst.map(|(name, failure)| Failure {
        code: failure.code,
        message: format!(
            "{} of the sets cannot be read, {name} among them",
            repository.unreadable.len()
        ),
    })
}

fn list(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    args: &cli::Repo,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let repository = rt.block_on(Repository::read(disk, &args.repo))?.or_empty(&args.repo)?;
    for set in &repository.sets {
        say_set(set, out);
    }
    for tree in repository.trees() {
        let first = &tree[0].backup;
        let latest = tree.iter().map(|set| set.backup.taken_us).max().unwrap_or(first.taken_us);
        let text = format!(
            "chain of {}: {} sets, any moment from {} to {}",
            tree[0].name(),
            tree.len(),
            utc(first.taken_us),
            utc(latest)
        );
        let object = |o: Object| {
            o.text("set", tree[0].name())
                .number("sets", tree.len() as u64)
                .text("from", &utc(first.taken_us))
                .text("to", &utc(latest))
        };
        out.item("chain", object, &text);
    }
    match say_unreadable(&repository, out) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn show(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    args: &cli::Show,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let repository = rt.block_on(Repository::read(disk, &args.repo.repo))?;
    let repository = repository.or_empty(&args.repo.repo)?;
    let set = repository.find(args.set.as_deref())?;
    say_set(set, out);
    let backup = &set.backup;
    let chain = repository.chain(set.name())?;
    let uuid: String = backup.uuid.iter().map(|b| format!("{b:02x}")).collect();
    let text = format!(
        "directory {uuid}, {} databases, moon-restore {}; to restore it {} sets are needed",
        backup.databases,
        backup.tool,
        chain.len()
    );
    let object = |o: Object| {
        o.text("uuid", &uuid)
            .number("databases", backup.databases.into())
            .text("tool", &backup.tool)
            .number("sets", chain.len() as u64)
    };
    out.item("directory", object, &text);
    for part in &backup.shards {
        let time = |us: Option<i64>| us.map_or("-".to_owned(), utc);
        let digest = part.digest.map(|d| format!("{d:032x}"));
        let text = format!(
            "shard {}: timeline {}, lsn {} to {}, written {} to {}, digest {}",
            part.shard,
            part.epoch(),
            part.lsn_from,
            part.lsn_to,
            time(part.from_us),
            time(part.to_us),
            digest.as_deref().unwrap_or("-")
        );
        let utc_of = |o: Object, name: &str, us: i64| o.text(name, &utc(us));
        let object = |o: Object| {
            o.number("shard", part.shard.into())
                .number("epoch", part.epoch())
                .number("lsn_from", part.lsn_from)
                .number("lsn_to", part.lsn_to)
                .option("from", part.from_us, utc_of)
                .option("to", part.to_us, utc_of)
                .option("digest", digest.as_deref(), Object::text)
        };
        out.item("shard", object, &text);
    }
    for file in &backup.files {
        let path = file.stored_path();
        let text = format!("{path}  {}  {:016x}", size(file.stored_bytes), file.xxh64);
        let object = |o: Object| {
            o.text("path", &path)
                .number("bytes", file.bytes)
                .number("stored_bytes", file.stored_bytes)
                .text("xxh64", &format!("{:016x}", file.xxh64))
                .text("stored_xxh64", &format!("{:016x}", file.stored_xxh64))
        };
        out.item("file", object, &text);
    }
    Ok(())
}

fn prune(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    args: &cli::Prune,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    // A wrong path is not made into a repository.
    let found = rt.block_on(Repository::read(disk, &args.repo.repo))?;
    if found.unfinished.is_empty() {
        found.or_empty(&args.repo.repo)?;
    }
    let _lock = lock(&args.repo.repo)?;
    let repository = rt.block_on(Repository::read(disk, &args.repo.repo))?;
    let trees = repository.trees();
    let keep = args.keep.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let edge_us = args.keep_days.map(|days| {
        let us = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(86_400_000_000);
        now_us().saturating_sub(us)
    });
    let gone = repo::superfluous(&trees, keep, edge_us);
    for tree in &gone {
        for set in repo::order_of_removal(tree) {
            if !args.dry_run {
                rt.block_on(repo::clear(disk, &set.dir))?;
            }
            let word = if args.dry_run { "would be removed" } else { "removed" };
            let bytes = set.backup.stored_bytes();
            let text = format!("{}  {word}  {}", set.name(), size(bytes));
            let object = |o: Object| {
                o.text("set", set.name()).flag("removed", !args.dry_run).number("bytes", bytes)
            };
            out.item("pruned", object, &text);
        }
    }
    for dir in repository.unfinished.iter().filter(|_| !args.dry_run) {
        rt.block_on(repo::clear(disk, dir))?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let text = format!("{name}  removed: it was not finished");
        out.item("unfinished", |o| o.text("set", &name), &text);
    }
    // What cannot be read, or has lost what it builds on, stays for somebody to look at.
    match say_unreadable(&repository, out) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn verify(
    disk: &dyn Disk,
    rt: &LocalRuntime,
    args: &cli::Verify,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let repository = rt.block_on(Repository::read(disk, &args.repo.repo))?;
    let repository = repository.or_empty(&args.repo.repo)?;
    let mut progress = Progress::new(args.repo.json);
    let found = verifying::check(disk, &repository, args.set.as_deref(), args.deep, &mut progress);
    let found = rt.block_on(found)?;
    progress.clear();
    for failure in &found.failures {
        out.item("finding", |o| o.text("text", &failure.message), &failure.message);
    }
    let text = format!(
        "{} sets, {} files, {}: {}{}",
        found.sets,
        found.files,
        size(found.bytes),
        match found.failures.len() {
            0 => "sound".to_owned(),
            n => format!("{n} findings"),
        },
        match (args.deep, found.compared) {
            (false, _) => String::new(),
            (true, n) => format!(", {n} digests compared"),
        }
    );
    let object = |o: Object| {
        o.number("sets", found.sets as u64)
            .number("files", found.files)
            .number("bytes", found.bytes)
            .number("findings", found.failures.len() as u64)
            .number("digests_compared", found.compared as u64)
    };
    out.item("verified", object, &text);
    match found.failures.iter().max_by_key(|failure| failure.code) {
        None => Ok(()),
        Some(worst) => Err(Failure {
            code: worst.code,
            message: format!("{}: not sound", args.repo.repo.display()),
        }),
    }
}

/// What the command line says of the target, for each shard.
fn targets(args: &cli::Restore) -> Result<Vec<PointTarget>, Failure> {
    let one = args.target_time.map(PointTarget::Time);
    let name = args.target_name.as_ref().map(|name| PointTarget::Name(name.clone().into_bytes()));
    if let Some(target) = one.or(name).or(args.target_gtid.map(PointTarget::Gtid)) {
        return Ok(vec![target]);
    }
    let mut lsns = args.target_lsn.clone();
    lsns.sort_unstable();
    for (i, (shard, _)) in lsns.iter().enumerate() {
        if usize::from(*shard) != i {
            return Err(Failure::refused(
                "--target-lsn needs one lsn for every shard, from shard 0 on",
            ));
        }
    }
    Ok(lsns.into_iter().map(|(_, lsn)| PointTarget::Lsn(lsn)).collect())
}

fn restore(
    disk: &Rc<dyn Disk>,
    rt: &LocalRuntime,
    args: &cli::Restore,
    out: &mut Report<'_>,
) -> Result<(), Failure> {
    let repository = rt.block_on(Repository::read(&**disk, &args.repo.repo))?;
    let repository = repository.or_empty(&args.repo.repo)?;
    let wish = restoring::Wish {
        set: args.set.clone(),
        targets: targets(args)?,
        policy: args.time_policy,
        verify: args.verify,
    };
    let mut progress = Progress::new(args.repo.json);
    // Once more behind the lock, which would be made in a directory of somebody else's too.
    rt.block_on(restoring::check_empty(&**disk, &args.to))?;
    let _lock = lock(&args.to)?;
    let dyn_rt = rt.as_dyn();
    let restored = restoring::restore(disk, &dyn_rt, &repository, &args.to, &wish, &mut progress);
    let restored = rt.block_on(restored);
    progress.clear();
    let (set, shards) = restored?;
    for shard in &shards {
        let time = shard.wall_us.map_or(String::new(), |us| format!(" of {}", utc(us)));
        let checked = match (shard.keys, shard.compared) {
            (Some(keys), 0) => format!(", {keys} keys, replayed"),
            (Some(keys), n) => {
                format!(", {keys} keys, replayed and equal to the backup at {n} points")
            }
            (None, _) => ", not replayed".to_owned(),
        };
        let text = format!("shard {}: up to lsn {}{time}{checked}", shard.shard, shard.lsn);
        let object = |o: Object| {
            o.number("shard", shard.shard.into())
                .number("lsn", shard.lsn)
                .option("time", shard.wall_us, |o, name, us| o.text(name, &utc(us)))
                .option("keys", shard.keys, Object::number)
                .option("digest", shard.digest, |o, name, d| o.text(name, &format!("{d:032x}")))
                .number("digests_compared", shard.compared as u64)
        };
        out.item("shard", object, &text);
    }
    let text = format!("{} is restored from {set}", args.to.display());
    let object = |o: Object| o.text("dir", &args.to.display().to_string()).text("set", &set);
    out.item("restored", object, &text);
    Ok(())
}
