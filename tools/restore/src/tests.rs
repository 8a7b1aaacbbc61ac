//! Goal: chains and targets of every kind are restored to what was, and what cannot be is refused. Method: a
//! shard with its log on a simulated disk, and a model that has executed the same. That nothing breaks where a
//! backup, a restore or a removal is stopped, and that damage is found, is held by the crash matrix (set P).

use std::path::{Path, PathBuf};
use std::rc::Rc;

use moon_engine::exec::Shard;
use moon_formats::backup::{Backup, Codec, Kind as SetKind};
use moon_formats::marker::Marker;
use moon_formats::names;
use moon_formats::resp::encode_command;
use moon_formats::rrdshard::{Extension, Preamble, VERSION, file_flags};
use moon_formats::wal::body::{Payload, RestorePoint};
use moon_formats::wal::{DB_NONE, RecordType};
use moon_storage::io::sim::{Image, SimConfig, SimDisk};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::LogConfig;
use moon_storage::parts::ShardPaths;
use moon_storage::recovery::{Opened, PointTarget, Request, TimePolicy, recover_shard};
use moon_storage::snapshot::{Env, Job, Kind, Pace, Retention, Rewrite, State};
use moon_storage::{marker, whole};

use crate::backup::{Made, Wish, make};
use crate::fail::Failure;
use crate::progress::Progress;
use crate::replay::{Replay, empty};
use crate::repo::Repository;
use crate::restore::{self, Restored, restore};
use crate::source::{Cut, ShardCut, stopped};
use crate::verify;

const SOURCE: &str = "/source";
const REPO: &str = "/repo";
const DATABASES: u16 = 4;
const UUID: [u8; 16] = [7; 16];

/// A server: a shard, its log, and what it was at each of its LSNs.
struct World {
    disk: SimDisk,
    open: Opened,
    shard: Shard,
    writes: u64,
    digests: Vec<(u64, u128)>,
    sets: u32,
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 32 << 10, batch_bytes_max: 8 << 10, ..LogConfig::default() }
}

fn paths() -> ShardPaths {
    ShardPaths::new(Path::new(SOURCE), 0)
}

fn open(disk: &SimDisk, shard: &mut Shard) -> Opened {
    let rt = disk.runtime();
    let (disk_dyn, paths) = (disk.as_dyn(), paths());
    rt.block_on(async {
        let request = Request::new(&*disk_dyn, &paths, 1);
        let mut replay = Replay::new(shard, DATABASES, &[]);
        let recovered = recover_shard(&request, &mut replay, &mut |_| {}).await.expect("recovers");
        recovered.open(disk.as_dyn(), disk.runtime().as_dyn(), config()).await.expect("opens")
    })
}

impl World {
    fn new(seed: u64) -> World {
        let disk = SimDisk::new(SimConfig { record: false, ..SimConfig::default() }, seed);
        let first =
            Marker { uuid: UUID, shards: 1, databases: DATABASES, created_ms: 5, extra: vec![] };
        let dir = Path::new(SOURCE);
        disk.runtime().block_on(marker::write(&disk, dir, &first)).expect("marked");
        let mut shard = empty(DATABASES);
        let open = open(&disk, &mut shard);
        World { disk, open, shard, writes: 0, digests: vec![], sets: 0 }
    }

    fn write(&mut self, count: u64) {
        let rt = self.disk.runtime();
        for _ in 0..count {
            self.writes += 1;
            let n = self.writes;
            let (key, value) =
                (format!("key:{}", n % 23), format!("{n}:").repeat(1 + n as usize % 40));
            let words: Vec<&[u8]> = match n % 5 {
                0 => vec![b"APPEND", key.as_bytes(), value.as_bytes()],
                1 => vec![b"DEL", key.as_bytes()],
                _ => vec![b"SET", key.as_bytes(), value.as_bytes()],
            };
            let mut payload = Vec::new();
            encode_command(&mut payload, words.iter().copied());
            let db = (n % 3) as u16;
            self.shard.apply(db, 0, &payload).expect("applies");
            let lsn = self.open.log.append(RecordType::Command.code(), 0, db, &payload);
            self.digests.push((lsn, self.shard.digest()));
            self.open.log.flush();
            rt.run_for(50_000);
        }
    }

    /// A new base.
    fn rewrite(&mut self) {
        let rt = self.disk.runtime();
        let (seq, cut) = (self.open.parts.take_seq(), self.open.log.last_lsn());
        let now_us = rt.wall_us() as u64;
        let preamble = Preamble {
            version: VERSION,
            shard_id: 0,
            epoch: seq,
            last_lsn: cut,
            created_at_ms: now_us / 1000,
        };
        let extension = Extension {
            flags: file_flags::SELF_CONTAINED,
            features: 0,
            storage_uuid: UUID,
            timeline: self.open.log.epoch(),
            base_seq: seq,
            last_gtid: 0,
            wal_first_seq: self.open.log.segments().last().map_or(0, |s| s.seq),
            mono_us: now_us,
            shards: 1,
            databases: DATABASES,
            align_log2: 12,
        };
        self.shard.begin_snapshot(&preamble, &extension).expect("begins");
        let kind = Kind::Rewrite(Rewrite {
            log: self.open.log.clone(),
            parts: self.open.parts.clone(),
            seq,
            retention: Retention::default(),
        });
        let env =
            Env::new(self.disk.as_dyn(), rt.as_dyn(), paths(), Pace::default(), Rc::new(|| {}));
        let mut job = Job::begin(kind, env, cut);
        loop {
            match job.turn(&mut self.shard) {
                State::Done(result) => {
                    result.expect("written");
                    break;
                }
                _ => rt.run_for(1000),
            }
        }
        rt.run_for(100_000);
    }

    /// The cut that a server answers MOON.BACKUP BEGIN with.
    fn cut(&self) -> Cut {
        let rt = self.disk.runtime();
        let last = rt.block_on(self.open.log.rotate()).expect("rotates");
        let list = self.open.parts.list();
        let lsn = self.digests.last().map_or(0, |(lsn, _)| *lsn);
        let last_seq = last.map_or(0, |s| s.seq);
        Cut {
            data: PathBuf::from(SOURCE),
            uuid: UUID,
            databases: DATABASES,
            created_ms: 5,
            taken_us: rt.wall_us(),
            shards: vec![ShardCut { list, last_seq, lsn }],
        }
    }

    fn back_up_as(&mut self, incremental: bool, codec: Codec) -> Result<Made, Failure> {
        let cut = self.cut();
        self.sets += 1;
        let made = back_up(&self.disk, &cut, incremental, codec, self.sets);
        self.disk.runtime().run_for(1_000_000);
        made
    }

    fn back_up(&mut self, incremental: bool) -> Made {
        self.back_up_as(incremental, Codec::None).expect("made")
    }

    fn digest(&self, lsn: u64) -> u128 {
        let at = self.digests.iter().rev().find(|(at, _)| *at <= lsn);
        at.map_or_else(|| empty(DATABASES).digest(), |(_, digest)| *digest)
    }

    /// Stops: a clean end, or a kill whose remains the next start finds.
    fn stop(mut self, kill: bool) -> World {
        let rt = self.disk.runtime();
        if kill {
            self.disk = self.disk.kill(3);
            rt.shutdown();
        } else {
            rt.block_on(self.open.log.shutdown()).expect("shuts down");
        }
        self
    }

    fn start(mut self) -> World {
        let want = self.shard.digest();
        self.shard = empty(DATABASES);
        self.open = open(&self.disk, &mut self.shard);
        assert_eq!(self.shard.digest(), want);
        self
    }
}

fn back_up(
    disk: &SimDisk,
    cut: &Cut,
    incremental: bool,
    codec: Codec,
    id: u32,
) -> Result<Made, Failure> {
    let wish = Wish { incremental, codec, digest: true, id };
    let (mut keeps, mut progress) = (|| Ok(()), Progress::silent());
    made_of(disk, make(disk, cut, Path::new(REPO), wish, &mut keeps, &mut progress))
}

fn made_of<T>(disk: &SimDisk, future: impl Future<Output = T>) -> T {
    disk.runtime().block_on(future)
}

fn repository(disk: &SimDisk) -> Repository {
    made_of(disk, Repository::read(disk, Path::new(REPO))).expect("readable")
}

fn restore_to(
    disk: &SimDisk,
    to: &str,
    set: Option<&str>,
    target: Option<PointTarget>,
) -> Result<Restored, Failure> {
    let wish = restore::Wish {
        set: set.map(str::to_owned),
        targets: target.into_iter().collect(),
        policy: TimePolicy::Refuse,
        verify: true,
    };
    let (dyn_disk, rt) = (disk.as_dyn(), disk.runtime());
    let dyn_rt: Rc<dyn Runtime> = rt.as_dyn();
    let (repository, mut progress) = (repository(disk), Progress::silent());
    let restored = restore(&dyn_disk, &dyn_rt, &repository, Path::new(to), &wish, &mut progress);
    rt.block_on(restored).map(|(_, shards)| shards[0].clone())
}

/// What a start on a directory would serve; `None` if it is no data.
fn served(disk: &SimDisk, dir: &str) -> Option<(u128, u64)> {
    let dir = Path::new(dir);
    made_of(disk, async {
        marker::read(disk, dir).await.expect("a marker or none")?;
        let paths = ShardPaths::new(dir, 0);
        let mut shard = empty(DATABASES);
        let mut replay = Replay::new(&mut shard, DATABASES, &[]);
        let request = Request::new(disk, &paths, 1);
        let recovered = recover_shard(&request, &mut replay, &mut |_| {}).await.expect("recovers");
        let epoch = recovered.end.epoch;
        Some((replay.end(u64::MAX), epoch))
    })
}

fn check(disk: &SimDisk, deep: bool) -> Vec<Failure> {
    let (repository, mut progress) = (repository(disk), Progress::silent());
    let found = verify::check(disk, &repository, None, deep, &mut progress);
    made_of(disk, found).expect("looked at").failures
}

/// A chain of a full set and three increments, with rewrites, a clean restart and a kill between them.
fn chain_of_four(codec: Codec) -> (World, Vec<Made>) {
    let mut world = World::new(1);
    let mut made = Vec::new();
    world.write(60);
    world.rewrite();
    world.write(40);
    made.push(world.back_up_as(false, codec).expect("made"));
    world.write(70);
    made.push(world.back_up_as(true, codec).expect("made"));
    world = world.stop(false).start();
    world.write(50);
    made.push(world.back_up_as(true, codec).expect("made"));
    world.write(5);
    world = world.stop(true).start();
    world.write(60);
    made.push(world.back_up_as(true, codec).expect("made"));
    (world, made)
}

fn part(made: &Made) -> &moon_formats::backup::ShardPart {
    &made.set.backup.shards[0]
}

#[test]
fn full_and_increments_restore_to_every_boundary_and_between() {
    for codec in [Codec::None, Codec::Zstd] {
        let (world, made) = chain_of_four(codec);
        for (i, one) in made.iter().enumerate() {
            let is_full = one.set.backup.kind == SetKind::Full;
            assert_eq!(is_full, i == 0, "{:?}: {:?}", one.set.name(), one.why_full);
            let lsn_to = part(one).lsn_to;
            assert_eq!(part(one).digest, Some(world.digest(lsn_to)));
            let to = format!("/restored-{i}");
            let restored =
                restore_to(&world.disk, &to, Some(one.set.name()), None).expect("restored");
            assert_eq!((restored.lsn, restored.compared), (lsn_to, i + 1));
            assert_eq!(served(&world.disk, &to), Some((world.digest(lsn_to), 2)));
            // Everything that was there a moment ago can be had, and what goes on is a timeline of its own.
            let between = lsn_to - 7;
            let to = format!("/between-{i}");
            let target = PointTarget::Lsn(between);
            let restored = restore_to(&world.disk, &to, None, Some(target)).expect("restored");
            assert_eq!(restored.lsn, between);
            assert_eq!(served(&world.disk, &to), Some((world.digest(between), 2)), "lsn {between}");
        }
        assert!(check(&world.disk, false).is_empty());
        assert_eq!(check(&world.disk, true).len(), 0);
        let cut = part(&made[0]).lsn_from - 1;
        let past = restore_to(&world.disk, "/x", None, Some(PointTarget::Lsn(cut - 1)));
        assert_eq!(past.expect_err("before the base").code, 2);
        let last = part(&made[3]).lsn_to;
        let ahead = restore_to(&world.disk, "/x", None, Some(PointTarget::Lsn(last + 1)));
        assert_eq!(ahead.expect_err("behind the end").code, 2);
        let taken = made[3].set.backup.taken_us;
        let ahead = restore_to(&world.disk, "/x", None, Some(PointTarget::Time(taken + 1)));
        assert_eq!(ahead.expect_err("nobody knows").code, 2);
        assert_eq!(world.disk.violations(), []);
    }
}

#[test]
fn a_moment_between_two_writes_is_that_of_the_first() {
    let mut world = World::new(3);
    world.write(10);
    world.back_up(false);
    let before = world.digests.last().expect("written").0;
    let rt = world.disk.runtime();
    rt.run_for(5_000_000);
    let moment = rt.wall_us();
    rt.run_for(5_000_000);
    world.write(10);
    world.back_up(true);
    let restored = restore_to(&world.disk, "/then", None, Some(PointTarget::Time(moment)));
    assert_eq!(restored.expect("restored").lsn, before);
    assert_eq!(served(&world.disk, "/then").expect("data").0, world.digest(before));
}

#[test]
fn a_restore_point_is_found_in_whichever_chain_has_it() {
    let mut world = World::new(12);
    let mut wanted = Vec::new();
    for (gtid, incremental) in [(7, false), (8, true), (9, false)] {
        world.write(10);
        let name = format!("before-{gtid}");
        let mut payload = Vec::new();
        RestorePoint { gtid, wall_us: 1, name: name.as_bytes() }.put(&mut payload);
        let code = RecordType::RestorePoint.code();
        let lsn = world.open.log.append(code, 0, DB_NONE, &payload);
        world.digests.push((lsn, world.shard.digest()));
        wanted.push((name, gtid, lsn));
        world.write(10);
        world.back_up(incremental);
        // What lies before is in no later chain.
        world.rewrite();
    }
    for (name, gtid, lsn) in wanted {
        for target in [PointTarget::Name(name.clone().into_bytes()), PointTarget::Gtid(gtid)] {
            let to = format!("/{name}-{}", matches!(target, PointTarget::Gtid(_)));
            let restored = restore_to(&world.disk, &to, None, Some(target)).expect("restored");
            assert_eq!(restored.lsn, lsn, "{name}");
            assert_eq!(served(&world.disk, &to).expect("data").0, world.digest(lsn), "{name}");
        }
    }
    let nobody = restore_to(&world.disk, "/x", None, Some(PointTarget::Name(b"none".to_vec())));
    assert_eq!(nobody.expect_err("no such point").code, 2);
}

#[test]
fn stopped_directories_are_backed_up_whatever_stopped_them() {
    for kill in [false, true] {
        let mut world = World::new(4);
        world.write(50);
        let made = world.back_up(false);
        world.write(21);
        world = world.stop(kill);
        let stopped_cut = |world: &World, now_us| {
            made_of(&world.disk, stopped(&world.disk, Path::new(SOURCE), now_us)).expect("a cut")
        };
        let now_us = world.disk.runtime().wall_us();
        let cut = stopped_cut(&world, now_us);
        let second = back_up(&world.disk, &cut, true, Codec::None, 2).expect("made");
        assert_eq!(part(&second).lsn_from, part(&made).lsn_to + 1, "{:?}", second.why_full);
        assert_eq!(part(&second).digest, Some(world.shard.digest()));
        assert_eq!(part(&second).sealed, !kill);
        // The server goes on, and so does the chain.
        let digest = world.shard.digest();
        world = world.start();
        world.sets = 2;
        world.write(30);
        let third = world.back_up(true);
        assert_eq!(third.set.parent(), Some(second.set.name()), "{:?}", third.why_full);
        assert_eq!(check(&world.disk, true).len(), 0);
        restore_to(&world.disk, "/second", Some(second.set.name()), None).expect("restored");
        assert_eq!(served(&world.disk, "/second").expect("data").0, digest);
        restore_to(&world.disk, "/third", None, None).expect("restored");
        assert_eq!(served(&world.disk, "/third").expect("data").0, world.shard.digest());
    }
}

#[test]
fn an_increment_without_news_and_a_directory_without_data_are_sets_too() {
    let mut world = World::new(5);
    let nothing = world.back_up(false);
    assert_eq!((part(&nothing).lsn_to, nothing.set.backup.files.len()), (0, 0));
    world.write(10);
    let first = world.back_up(true);
    assert_eq!(first.set.parent(), Some(nothing.set.name()), "{:?}", first.why_full);
    let same = world.back_up(true);
    assert_eq!((part(&same).lsn_to, same.set.backup.files.len()), (10, 0));
    world.write(10);
    let last = world.back_up(true);
    assert_eq!(last.set.parent(), Some(same.set.name()), "{:?}", last.why_full);
    assert_eq!(check(&world.disk, true).len(), 0);
    for (i, (set, lsn)) in
        [(&nothing, 0), (&first, 10), (&same, 10), (&last, 20)].iter().enumerate()
    {
        let to = format!("/{i}");
        restore_to(&world.disk, &to, Some(set.set.name()), None).expect("restored");
        assert_eq!(served(&world.disk, &to).expect("data").0, world.digest(*lsn), "{i}");
    }
}

#[test]
fn a_log_that_does_not_go_on_there_is_backed_up_in_full() {
    let mut world = World::new(6);
    assert!(world.back_up(true).why_full.expect("why").contains("no earlier set"));
    world.write(60);
    world.back_up(true);
    // The log behind the set goes with two rewrites.
    world.write(60);
    world.rewrite();
    world.write(60);
    world.rewrite();
    let full = world.back_up(true);
    assert!(
        full.why_full.as_deref().expect("why").contains("no longer reaches"),
        "{:?}",
        full.why_full
    );
    // The directory was restored to an earlier point: the same numbers, other records.
    let lsn = part(&full).lsn_to;
    restore_to(&world.disk, "/other", None, None).expect("restored");
    let mut cut = world.cut();
    cut.data = PathBuf::from("/other");
    let disk = &world.disk;
    let other = made_of(disk, stopped(disk, Path::new("/other"), disk.runtime().wall_us()));
    let forked = back_up(disk, &other.expect("a cut"), true, Codec::None, 99).expect("made");
    assert!(forked.why_full.as_deref().expect("why").contains("another timeline"), "{forked:?}");
    assert_eq!((part(&forked).epoch(), forked.set.backup.kind.clone()), (2, SetKind::Full));
    assert!(part(&forked).lsn_to >= lsn);
    assert_eq!(check(disk, true).len(), 0);
}

#[test]
fn nothing_is_restored_over_data_or_anything_else() {
    let mut world = World::new(7);
    world.write(10);
    world.back_up(false);
    let e = restore_to(&world.disk, SOURCE, None, None).expect_err("data");
    assert!(e.code == 2 && e.message.contains("holds data"), "{e:?}");
    let disk = &world.disk;
    let path = Path::new("/file");
    made_of(disk, disk.create_dir_all(path)).expect("made");
    made_of(disk, whole::put(disk, path, "letter", b"dear")).expect("written");
    let e = restore_to(disk, "/file", None, None).expect_err("not empty");
    assert!(e.code == 2 && e.message.contains("not empty"), "{e:?}");
}

#[test]
fn a_source_that_has_not_kept_its_promise_gives_no_set() {
    let mut world = World::new(11);
    world.write(20);
    let cut = world.cut();
    let wish = Wish { incremental: false, codec: Codec::None, digest: true, id: 1 };
    let mut keeps = || Err(Failure::refused("gone"));
    let mut progress = Progress::silent();
    let made = make(&world.disk, &cut, Path::new(REPO), wish, &mut keeps, &mut progress);
    assert_eq!(made_of(&world.disk, made).expect_err("no set").message, "gone");
    let left = repository(&world.disk);
    assert!(left.sets.is_empty() && left.unfinished.is_empty());
}

mod damage {
    use super::*;

    /// A repository of two chains, on a disk of its own for each damage.
    fn damaged(world: &World) -> SimDisk {
        world.disk.power_loss(Image::None, 1)
    }

    fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) {
        let (dir, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        made_of(disk, whole::put(disk, dir, name, bytes)).expect("written");
    }

    fn caught(disk: &SimDisk, deep: bool, what: &str) {
        let found = check(disk, deep);
        assert!(!found.is_empty(), "{what}: not found");
        let code = if deep { 3 } else { 70 };
        assert!(found.iter().any(|f| f.code == code), "{what}: {found:?}");
    }

    /// A list that somebody has edited, with a checksum that is right again.
    #[test]
    fn edited_lists_are_caught() {
        let (world, made) = chain_of_four(Codec::None);
        type Edit = fn(&mut Backup);
        let edits: [(&str, bool, Edit); 9] = [
            ("digest", true, |b| b.shards[0].digest = b.shards[0].digest.map(|d| d ^ 1)),
            ("lsn_to", false, |b| b.shards[0].lsn_to -= 1),
            ("lsn_to ahead", false, |b| b.shards[0].lsn_to += 1),
            ("bytes", false, |b| {
                let file = b.files.last_mut().unwrap();
                file.bytes -= 1;
                file.stored_bytes -= 1;
            }),
            ("xxh64", false, |b| {
                b.files[0].xxh64 ^= 1;
                b.files[0].stored_xxh64 ^= 1;
            }),
            ("uuid", false, |b| b.uuid[3] ^= 1),
            ("timeline", false, |b| b.shards[0].parts.timelines[0].epoch += 1),
            ("name", false, |b| b.set = names::backup_set(0, 1)),
            ("codec", false, |b| b.files[0].codec = Codec::Zstd),
        ];
        for one in &made {
            for (what, deep, edit) in &edits {
                if *what == "uuid" && one.set.name() != made[1].set.name() {
                    continue;
                }
                let disk = damaged(&world);
                let mut backup = one.set.backup.clone();
                edit(&mut backup);
                write(&disk, &one.set.dir.join(names::BACKUP), &backup.encode());
                caught(&disk, *deep, &format!("{}: {what}", one.set.name()));
                if *deep {
                    assert!(check(&disk, false).is_empty(), "only a replay can tell");
                    let e =
                        restore_to(&disk, "/x", Some(one.set.name()), None).expect_err("differs");
                    assert_eq!(e.code, 3);
                    assert_eq!(served(&disk, "/x"), None, "what differs is not data");
                }
            }
        }
    }

    /// Files that are damaged after they were looked at are found when they are copied.
    #[test]
    fn nothing_damaged_is_restored() {
        let (world, made) = chain_of_four(Codec::None);
        for one in &made {
            for file in &one.set.backup.files {
                let disk = damaged(&world);
                let path = one.set.dir.join(file.stored_path());
                assert!(disk.rot(&path, file.stored_bytes - 1, 1));
                let e = restore_to(&disk, "/x", None, None).expect_err("damaged");
                assert!(e.code == 70 && e.message.contains(&*path.to_string_lossy()), "{e:?}");
                assert_eq!(served(&disk, "/x"), None);
            }
        }
    }
}
