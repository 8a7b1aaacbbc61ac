//! What is in snapshots and data directories, replayed through the engine: digests and differences.
//!
//! A directory is read as a start reads it: part list, base, log. So the state here is the one that a
//! server would serve, and its digest the one that DEBUG DIGEST would give.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use moon_engine::command::CommandTable;
use moon_engine::commands::replay_table;
use moon_engine::db::{Live, type_name};
use moon_engine::digest::value_digest;
use moon_engine::exec::{Shard, ShardConfig};
use moon_engine::redis_digest;
use moon_engine::snapshot::Loader;
use moon_formats::aof;
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::rrdshard::{Entry, Item, Stored};
use moon_formats::wal::{Body, Record};
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{RecoveryError, Target};
use moon_storage::scan::{Position, VisitError, Visitor};

use crate::cli::{At, Diff};
use crate::fail::{ENVIRONMENT, Failure, SOUND};
use crate::logs::{Files, Place, place};
use crate::out::{Fields, Out};
use crate::rdb::source;
use crate::record::{quoted, with_body};

/// Bytes of a key shown to a person.
const SHOWN_MAX: usize = 64;

fn table() -> &'static CommandTable {
    static TABLE: OnceLock<CommandTable> = OnceLock::new();
    TABLE.get_or_init(replay_table)
}

fn empty(databases: u16) -> Shard {
    Shard::new(table(), &ShardConfig { databases, ..ShardConfig::default() })
}

/// The data of a shard, or of a file.
struct State {
    number: Option<u16>,
    shard: Shard,
    /// LSN of the last effect in it.
    lsn: Option<u64>,
}

/// Shards and databases of a data directory: what the marker says; without one, what there is.
pub(crate) fn shape(files: &Files, dir: &Path) -> Result<(u16, u16), Failure> {
    let marker = files.text(&dir.join(names::MARKER))?;
    if let Some(Ok(marker)) = marker.map(|text| Marker::decode(&text)) {
        return Ok((marker.shards, marker.databases));
    }
    let guard = files.text(&dir.join(names::AOF_DIR).join(names::AOF_MANIFEST))?;
    let databases = ShardConfig::default().databases;
    if let Some(Ok(shards)) = guard.map(|text| aof::decode_guard(&text)) {
        return Ok((shards, databases));
    }
    let shards = files.list(dir)?.iter().filter_map(|e| names::parse_shard_dir(&e.name)).max();
    Ok((shards.map_or(1, |n| n.saturating_add(1)), databases))
}

fn load(files: &Files, path: &Path, shard: Option<u16>, to: u64) -> Result<Vec<State>, Failure> {
    match place(files, path)? {
        Place::File if to != u64::MAX => {
            Err(Failure::usage("a snapshot is of one LSN: there is nothing to choose by --to"))
        }
        Place::File => Ok(vec![load_file(files, path)?]),
        Place::Data => {
            let (shards, databases) = shape(files, path)?;
            let wanted: Vec<u16> = (0..shards).filter(|n| shard.is_none_or(|s| s == *n)).collect();
            if wanted.is_empty() {
                let e = format!("{}: {shards} shards", path.display());
                return Err(Failure::environment(e));
            }
            if to != u64::MAX && wanted.len() > 1 {
                let e = format!("{shards} shards, and an LSN is of one of them: choose by --shard");
                return Err(Failure::usage(e));
            }
            let one = |n| load_shard(files, &ShardPaths::new(path, n), shards, databases, to);
            wanted.into_iter().map(one).collect()
        }
        _ => Err(Failure::not_ours(path, "a data directory or a snapshot is needed")),
    }
}

/// A snapshot of any kind. It is read twice: first it is checked, and its databases are counted.
fn load_file(files: &Files, path: &Path) -> Result<State, Failure> {
    let mut databases = u64::from(ShardConfig::default().databases);
    let mut lsn = None;
    source::read(files, path, &mut |_, item| {
        match item {
            source::Item::Head(head) => {
                lsn = head.extension.map(|_| head.preamble.last_lsn);
            }
            source::Item::Key(key) => databases = databases.max(key.db.saturating_add(1)),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    let say = |e: &dyn std::fmt::Display| Failure::damage(format!("{}: {e}", path.display()));
    let databases = u16::try_from(databases).map_err(|_| say(&"a database beyond 65534"))?;
    let mut shard = empty(databases);
    let mut loader = Loader::new(&mut shard);
    let mut refused = None;
    source::read(files, path, &mut |offset, item| {
        let source::Item::Key(key) = item else { return ControlFlow::Continue(()) };
        let value = match &key.place {
            source::Where::Here { body, value } | source::Where::Joined { body, value } => {
                Stored::Body { bytes: body, value: value.clone() }
            }
            source::Where::Cold(ptr) => Stored::Cold(*ptr),
        };
        let source::Key { key, kind, expire_ms, db, .. } = key;
        // The first reading has seen that it is small.
        let db = u32::try_from(db).unwrap_or(u32::MAX);
        let entry = Entry { db, key, kind, expire_ms, access: None, value, offset };
        match loader.item(&Item::Entry(entry)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                refused = Some(say(&e));
                ControlFlow::Break(())
            }
        }
    })?;
    drop(loader);
    refused.map_or(Ok(State { number: None, shard, lsn }), Err)
}

/// Fills a shard from base and log, up to an LSN.
struct Replay<'a> {
    loader: Loader<'a>,
    databases: u16,
    to: u64,
    lsn: u64,
    /// Cut of a base that lies behind `to`.
    beyond: Option<u64>,
}

impl Visitor for Replay<'_> {
    fn record(&mut self, r: &Record<'_>, _: Position) -> Result<ControlFlow<()>, VisitError> {
        // What lies behind is checked and does not count.
        if r.lsn > self.to {
            return Ok(ControlFlow::Continue(()));
        }
        self.lsn = r.lsn;
        let shard = self.loader.shard();
        let applied = with_body(r, |body| match body {
            Some(Body::Command(command)) => shard.apply(r.db, 0, command.resp),
            _ => Ok(()),
        });
        applied?.map_err(|e| format!("record at lsn {} does not apply: {e}", r.lsn))?;
        Ok(ControlFlow::Continue(()))
    }
}

impl Target for Replay<'_> {
    fn restart(&mut self) {
        self.loader.restart(empty(self.databases));
        self.lsn = 0;
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), VisitError> {
        if let Item::Head(head) = item {
            self.lsn = head.preamble.last_lsn;
            if self.lsn > self.to {
                // An older base may do.
                self.beyond = Some(self.lsn);
                return Err("it holds later effects".into());
            }
        }
        self.loader.item(item).map_err(Into::into)
    }
}

fn load_shard(
    files: &Files,
    paths: &ShardPaths,
    shards: u16,
    databases: u16,
    to: u64,
) -> Result<State, Failure> {
    let number = Some(paths.shard);
    let say = |e: RecoveryError| Failure { code: e.exit_code(), message: e.to_string() };
    if files.is_in_save(paths).map_err(say)? {
        return Ok(State { number, ..load_file(files, &paths.snapshot())? });
    }
    let mut shard = empty(databases);
    let loader = Loader::new(&mut shard);
    let mut replay = Replay { loader, databases, to, lsn: 0, beyond: None };
    let recovered = files.recover(paths, shards, &mut replay);
    let (lsn, beyond) = (replay.lsn, replay.beyond);
    match (recovered, beyond) {
        (Ok(_), _) => Ok(State { number, shard, lsn: Some(lsn) }),
        (Err(RecoveryError::Base(path, _)), Some(cut)) => Err(Failure::usage(format!(
            "{}: it holds effects up to lsn {cut}, and no older base is listed; --to {cut} or above",
            path.display()
        ))),
        (Err(e), _) => Err(say(e)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `digest`: one line a shard.
pub(crate) fn digest(files: &Files, args: &At, out: &mut Out<'_>) -> Result<u8, Failure> {
    let (path, to) = side(&args.target.path, args.to)?;
    let to = to.unwrap_or(u64::MAX);
    for State { number, shard, lsn } in load(files, &path, args.target.shard, to)? {
        let keys: u64 = shard.dbs().iter().map(|db| db.len() as u64).sum();
        let digest = hex(&redis_digest::of_all(shard.dbs()));
        let fields: Fields = vec![
            ("path", path.as_path().into()),
            ("shard", number.into()),
            ("lsn", lsn.into()),
            ("keys", keys.into()),
            ("digest", digest.as_str().into()),
            ("moon_digest", format!("{:032x}", shard.digest()).into()),
        ];
        let of = number.map_or_else(String::new, |n| format!("shard {n} "));
        let at = lsn.map_or_else(String::new, |lsn| format!(" at lsn {lsn}"));
        out.item("digest", fields, &format!("{of}{digest}  {keys} keys{at}"));
    }
    Ok(SOUND)
}

/// What a key is, for comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    kind: &'static str,
    value: u128,
    expire_ms: Option<u64>,
}

fn known(entry: &Live) -> Known {
    let (kind, value) = (type_name(&entry.value()), value_digest(entry));
    Known { kind, value, expire_ms: entry.expire_ms() }
}

type Keys = BTreeMap<(u16, Vec<u8>), Known>;

fn keys(states: &[State]) -> Keys {
    let mut all = Keys::new();
    for state in states {
        for (number, db) in (0u16..).zip(state.shard.dbs()) {
            all.extend(db.table().iter().map(|e| ((number, e.key().to_vec()), known(e))));
        }
    }
    all
}

/// A side of a comparison: a path, and the last LSN that counts. `DIR@LSN` says both, if no file has that name.
fn side(path: &Path, lsn: Option<u64>) -> Result<(PathBuf, Option<u64>), Failure> {
    let name = path.to_string_lossy();
    let at = name.rsplit_once('@').and_then(|(dir, at)| Some((dir, at.parse::<u64>().ok()?)));
    match (at, lsn) {
        (Some((_, at)), Some(lsn)) if !path.exists() => Err(Failure::usage(format!(
            "{} is at lsn {at}, and at lsn {lsn} by an option: one of the two",
            path.display()
        ))),
        (Some((dir, at)), None) if !path.exists() => Ok((PathBuf::from(dir), Some(at))),
        _ => Ok((path.to_owned(), lsn)),
    }
}

/// `diff`: one line a key that is not the same.
pub(crate) fn diff(files: &Files, args: &Diff, out: &mut Out<'_>) -> Result<u8, Failure> {
    let path = &args.target.path;
    if args.other.is_none() && args.from.is_none() && args.to.is_none() {
        return Err(Failure::usage(format!(
            "what is {} compared with? Name another path, or LSNs by --from and --to",
            path.display()
        )));
    }
    let (left_path, left_at) = side(path, args.from)?;
    let other = match &args.other {
        Some(other) => side(other, args.to)?,
        None => (left_path.clone(), args.to),
    };
    let shard = args.target.shard;
    let read = |path: &Path, at: Option<u64>| {
        let states = load(files, path, shard, at.unwrap_or(u64::MAX))?;
        let lsn = match &states[..] {
            [one] => one.lsn,
            _ => None,
        };
        Ok::<_, Failure>((keys(&states), lsn))
    };
    let (left, left_lsn) = read(&left_path, left_at)?;
    let (mut right, right_lsn) = read(&other.0, other.1)?;
    let mut shown = args.limit.unwrap_or(u64::MAX);
    let (mut same, mut only_left, mut differ) = (0u64, 0u64, 0u64);
    let mut show = |what: &str, key: &(u16, Vec<u8>), l: Option<&Known>, r: Option<&Known>| {
        if shown == 0 {
            return;
        }
        shown -= 1;
        line(out, what, key, l, r);
    };
    for (key, l) in &left {
        match right.remove(key) {
            Some(r) if r == *l => same += 1,
            Some(r) => {
                differ += 1;
                show("differs", key, Some(l), Some(&r));
            }
            None => {
                only_left += 1;
                show("left", key, Some(l), None);
            }
        }
    }
    right.iter().for_each(|(key, r)| show("right", key, None, Some(r)));
    let only_right = right.len() as u64;
    let is_same = only_left + only_right + differ == 0;
    let fields: Fields = vec![
        ("result", if is_same { "same" } else { "different" }.into()),
        ("same", same.into()),
        ("only_left", only_left.into()),
        ("only_right", only_right.into()),
        ("differ", differ.into()),
        ("left_lsn", left_lsn.into()),
        ("right_lsn", right_lsn.into()),
    ];
    let between = match (left_lsn, right_lsn) {
        (Some(left), Some(right)) if left_at.is_some() || other.1.is_some() => {
            format!(" (lsn {left} and lsn {right})")
        }
        _ => String::new(),
    };
    let text = match is_same {
        true => format!("same: {same} keys{between}"),
        false => format!(
            "different: {only_left} keys on the left only, {only_right} on the right only, {differ} \
             differ, {same} are the same{between}"
        ),
    };
    out.item("diff", fields, &text);
    Ok(if is_same { SOUND } else { ENVIRONMENT })
}

fn line(
    out: &mut Out<'_>,
    what: &str,
    (db, key): &(u16, Vec<u8>),
    left: Option<&Known>,
    right: Option<&Known>,
) {
    let expires = |k: &Known| k.expire_ms.map_or_else(|| "never".to_owned(), |ms| ms.to_string());
    let (sign, how) = match (left, right) {
        (Some(l), Some(r)) => {
            let mut how = Vec::new();
            if l.kind != r.kind {
                how.push(format!("type {} and {}", l.kind, r.kind));
            } else if l.value != r.value {
                how.push("value".to_owned());
            }
            if l.expire_ms != r.expire_ms {
                how.push(format!("expires {} and {}", expires(l), expires(r)));
            }
            ('!', how.join(", "))
        }
        (Some(_), None) => ('-', String::new()),
        _ => ('+', String::new()),
    };
    let kind = left.or(right).map_or("", |k| k.kind);
    let side = |k: Option<&Known>| {
        k.map(|k| vec![("type", k.kind.into()), ("expires_ms", k.expire_ms.into())])
    };
    let fields: Fields = vec![
        ("where", what.into()),
        ("db", (*db).into()),
        ("key", key.as_slice().into()),
        ("left", side(left).into()),
        ("right", side(right).into()),
        ("value_differs", left.zip(right).map(|(l, r)| l.value != r.value).into()),
    ];
    let gap = if how.is_empty() { "" } else { ": " };
    out.item("key", fields, &format!("{sign} db={db} {kind} {}{gap}{how}", quoted(key, SHOWN_MAX)));
}
