//! Goal: whatever the log's switch stands at when power is lost, a start finds a state that the shard
//! was in, not older than what was promised. Method: a toy shard lives through all ways of the switch;
//! power is lost at every operation, and the shard goes on from there.

use std::rc::Rc;

use moon_formats::wal::RecordType;

use crate::io::sim::{Image, SimConfig, SimDisk, SimRng};
use crate::log::{LogConfig, Policy};
use crate::recovery::{Opened, RecoveryError, Request, Unlogged, recover_without_log};
use crate::snapshot::tests::rig::{Canned, Map, Toy, config, encode_all, paths, recover};
use crate::snapshot::{Env, Job, Kind, Pace, Retention, Rewrite, State};

use super::{Standing, begin, end, supersede};

const COMMAND: u8 = RecordType::Command as u8;

/// A shard whose log is switched on and off.
struct Life {
    disk: SimDisk,
    map: Map,
    /// Every state there was, and since which moment.
    states: Vec<(usize, Map)>,
    /// From this moment on no older state may come back than this one.
    floors: Vec<(usize, usize)>,
    log: Option<Opened>,
    standing: Option<Standing>,
    /// A start reads the log.
    counts: bool,
    unlogged: u64,
}

impl Life {
    fn of(disk: SimDisk, map: Map) -> Life {
        let states = vec![(0, map.clone())];
        Life {
            disk,
            map,
            states,
            floors: Vec::new(),
            log: None,
            standing: None,
            counts: false,
            unlogged: 0,
        }
    }

    fn cfg() -> LogConfig {
        config(Policy::Always)
    }

    fn changed(&mut self) {
        self.states.push((self.disk.moment(), self.map.clone()));
    }

    fn promise(&mut self) {
        self.floors.push((self.disk.moment(), self.states.len() - 1));
    }

    fn write(&mut self, records: u64) {
        for _ in 0..records {
            let Some(open) = self.log.clone() else {
                self.unlogged += 1;
                let key = (1 << 60) + self.states.len() as u64 * 1000 + self.unlogged;
                self.map.insert(key, vec![7; 200]);
                self.changed();
                continue;
            };
            let lsn = open.log.last_lsn() + 1;
            let bytes = vec![lsn as u8; 700];
            assert_eq!(open.log.append(COMMAND, 0, 0, &bytes), lsn);
            assert_eq!(self.map.insert(lsn, bytes), None, "lsn {lsn} is used twice");
            self.changed();
            open.log.flush();
            self.disk.runtime().run_for(1500);
            if self.counts && open.log.watermark() >= lsn {
                self.promise();
            }
        }
    }

    fn env(&self) -> Env {
        let rt = self.disk.runtime().as_dyn();
        Env::new(self.disk.as_dyn(), rt, paths(), Pace::default(), Rc::new(|| {}))
    }

    /// A save, or a rewrite; the shard is written to meanwhile.
    fn snapshot(&mut self, rewrite: bool) {
        let cut = match (&self.log, &self.standing) {
            (Some(open), _) => open.log.last_lsn(),
            (None, Some(standing)) => standing.lsn(),
            (None, None) => 0,
        };
        let at = self.states.len() - 1;
        let (kind, seq) = match (&self.log, rewrite) {
            (Some(Opened { log, parts }), true) => {
                let seq = parts.take_seq();
                let (log, parts) = (log.clone(), parts.clone());
                let retention = Retention { bases: 2, window_ms: 0 };
                (Kind::Rewrite(Rewrite { log, parts, seq, retention }), seq)
            }
            _ => (Kind::Save, 0),
        };
        let mut source = Canned::new(encode_all(&self.map, cut, seq, 1000));
        let mut job = Job::begin(kind, self.env(), cut);
        let mut left = 3;
        loop {
            match job.turn(&mut source) {
                State::Done(result) => {
                    result.expect("written");
                    break;
                }
                State::Working { .. } => {}
                State::WaitingForDisk => self.disk.runtime().run_for(50),
            }
            if left > 0 {
                left -= 1;
                self.write(1);
            }
        }
        self.disk.runtime().run_for(2000);
        match rewrite {
            true => {
                self.counts = true;
                self.standing = None;
                self.promise();
            }
            // Without a log the save is all there is.
            false if self.log.is_none() => self.floors.push((self.disk.moment(), at)),
            false => {}
        }
    }

    fn begin(&mut self) {
        let rt = self.disk.runtime();
        let after = self.standing.as_ref().map_or(0, Standing::lsn);
        let standing = self.standing.take();
        let paths = paths();
        let begun = begin(self.disk.as_dyn(), rt.as_dyn(), &paths, 1, Self::cfg(), standing, after);
        let (open, standing) = rt.block_on(begun).expect("a log");
        assert!(open.log.last_lsn() >= after, "LSNs rise");
        self.log = Some(open);
        self.standing = Some(standing);
        self.counts = false;
    }

    /// A log that was begun and did not come to count.
    fn abandon(&mut self) {
        let open = self.log.take().expect("a log");
        self.disk.runtime().block_on(open.log.shutdown()).expect("an end");
    }

    fn end(&mut self) {
        let open = self.log.take().expect("a log");
        let ended = end(&self.disk, &open.log, &open.parts);
        self.standing = Some(self.disk.runtime().block_on(ended).expect("an end"));
        self.promise();
    }

    fn supersede(&mut self) {
        let standing = self.standing.take().expect("a standing");
        let cleared = self.disk.runtime().block_on(supersede(&self.disk, &standing));
        let cleared = cleared.expect("cleared");
        assert!(!cleared.holds_data());
        self.standing = Some(cleared);
    }
}

/// Reads the directory as a server does whose option says what the directory says.
fn start(disk: &SimDisk) -> Result<(Map, Option<Unlogged>), RecoveryError> {
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request::new(disk, &paths, 1);
    match disk.runtime().block_on(recover_without_log(&req, &mut toy, &mut |_| {})) {
        Ok(found) => Ok((toy.map, Some(found))),
        Err(RecoveryError::Logged(_)) => recover(disk).map(|(_, toy)| (toy.map, None)),
        Err(e) => Err(e),
    }
}

fn logged(disk: &SimDisk, life: &mut Life) {
    let (found, toy) = recover(disk).expect("starts with a log");
    assert!(toy.map == life.map, "{:?}, not {:?}", toy.map.keys(), life.map.keys());
    let rt = disk.runtime();
    let open = rt.block_on(found.open(disk.as_dyn(), rt.as_dyn(), Life::cfg())).expect("opens");
    life.log = Some(open);
    life.counts = true;
}

/// All ways of the switch.
fn life(seed: u64) -> Life {
    let disk = SimDisk::new(SimConfig::default(), seed);
    let mut life = Life::of(disk.clone(), Map::new());
    logged(&disk, &mut life);
    life.write(4);
    life.snapshot(true);
    life.write(3);
    life.snapshot(false);
    // Off, a save, on.
    life.end();
    life.write(2);
    life.snapshot(false);
    life.supersede();
    life.write(2);
    life.begin();
    life.write(3);
    life.snapshot(true);
    life.write(3);
    // Off and on without a save, with an attempt given up between.
    life.end();
    life.write(2);
    life.begin();
    life.write(3);
    life.abandon();
    life.write(2);
    life.begin();
    life.write(2);
    life.snapshot(true);
    life.write(4);
    // Off, and the next save is late.
    life.end();
    life.write(2);
    life.snapshot(false);
    life.write(1);
    life
}

fn check(life: &Life, stop: usize, image: Image, seed: u64, deep: bool) -> Result<(), String> {
    let Some(disk) = life.disk.power_loss_at(stop, image, seed) else { return Ok(()) };
    let (map, found) = start(&disk).map_err(|e| format!("does not start: {e}"))?;
    let floor = life.floors.iter().filter(|f| f.0 <= stop).map(|f| f.1).max().unwrap_or(0);
    let newest = life.states.iter().filter(|s| s.0 <= stop).count();
    let known = life.states[floor..newest.max(floor + 1)].iter().any(|(_, state)| *state == map);
    if !known {
        return Err(format!("{} keys are no state from {floor} to {newest}", map.len()));
    }
    if !deep {
        disk.runtime().shutdown();
        return Ok(());
    }
    // It goes on: with the log, or by switching it on.
    let mut next = Life::of(disk.clone(), map);
    match found {
        None => logged(&disk, &mut next),
        Some(found) => {
            next.standing = found.standing().cloned();
            next.write(1);
            next.begin();
            next.snapshot(true);
        }
    }
    next.write(2);
    next.end();
    next.write(1);
    next.snapshot(false);
    next.supersede();
    next.begin();
    next.snapshot(true);
    next.write(2);
    if let Some(v) = disk.violations().first() {
        return Err(format!("manners after a start: {v:?}"));
    }
    let again = disk.power_loss(Image::None, seed);
    let (map, _) = start(&again).map_err(|e| format!("does not start again: {e}"))?;
    if map != next.map {
        return Err("the next start has another state".into());
    }
    disk.runtime().shutdown();
    again.runtime().shutdown();
    Ok(())
}

#[test]
fn power_lost_at_every_operation_of_the_switch() {
    let mut rng = SimRng::new(11);
    for seed in [1, 2] {
        let life = life(seed);
        assert_eq!(life.disk.violations().first(), None);
        for stop in 0..life.disk.stop_count() {
            for image in [Image::None, Image::Subset, Image::ALL[rng.below(8) as usize]] {
                let deep = rng.below(12) == 0;
                let checked = check(&life, stop, image, rng.next_u64(), deep);
                assert_eq!(checked, Ok(()), "seed {seed}, stop {stop} {image:?}");
            }
        }
        life.disk.runtime().shutdown();
    }
}

#[test]
fn a_log_that_ended_goes_on_where_the_server_is_started_with_one() {
    let disk = SimDisk::new(SimConfig::default(), 3);
    let mut life = Life::of(disk.clone(), Map::new());
    logged(&disk, &mut life);
    life.write(3);
    life.end();
    let ended = life.map.clone();
    // Void: written between a begin and a commit that never came.
    life.begin();
    life.write(2);
    life.abandon();
    let after = disk.power_loss(Image::None, 1);
    life.disk.runtime().shutdown();
    let mut next = Life::of(after.clone(), ended.clone());
    logged(&after, &mut next);
    next.write(2);
    let last = after.power_loss(Image::None, 1);
    assert!(recover(&last).expect("starts").1.map == next.map);
    after.runtime().shutdown();
}

#[test]
fn which_start_is_refused() {
    let disk = SimDisk::new(SimConfig::default(), 4);
    let mut life = Life::of(disk.clone(), Map::new());
    life.write(2);
    life.snapshot(false);
    assert!(matches!(recover(&disk), Err(RecoveryError::SavedWithoutLog(_))));
    life.begin();
    assert!(matches!(recover(&disk), Err(RecoveryError::SavedWithoutLog(_))), "not committed");
    life.snapshot(true);
    assert!(recover(&disk).expect("starts").1.map == life.map);
    let mut toy = Toy::default();
    let paths = paths();
    let req = Request::new(&disk, &paths, 1);
    let found = disk.runtime().block_on(recover_without_log(&req, &mut toy, &mut |_| {}));
    assert!(matches!(found, Err(RecoveryError::Logged(_))));
    life.end();
    let (map, found) = start(&disk).expect("starts");
    assert!(matches!(found, Some(Unlogged::Log(..))));
    assert!(map == life.map);
    life.disk.runtime().shutdown();
}
