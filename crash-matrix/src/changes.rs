//! Changes read from the log of a life: CDC.READ and CDC.SUBSCRIBE (crash-matrix.md O11; durability.md §13, §14).
//!
//! Readers follow a life page by page while segments rotate and bases free them; the process is stopped at any
//! operation, and they go on from the cursors that they had. What they were given before and after must be the
//! effects of the recovered log, in order, none left out and none twice, and nothing that the log then lost.
//!
//! Readers that hold a slot never find the log gone; one without is told so only when it is. Those of CDC.READ
//! have the whole of a reply or nothing; a subscriber may have had a part of what was sent, and goes on behind
//! the last event it has, so it may be given the head of a unit again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use moon_engine::slots::Slot;
use moon_formats::cdc::{At, Changes, Encoder, Format, Plane};
use moon_formats::wal::RecordType;
use moon_storage::changes::{Cursor, Form, Keep, Page, PageError, Query, read_page};
use moon_storage::io::Runtime;
use moon_storage::io::sim::{SimDisk, SimRng};
use moon_storage::log::{Floor, Log, LogConfig, Policy, ReadError};
use moon_storage::snapshot::Retention;

use crate::bugs::Bug;
use crate::cell::Trouble;
use crate::figures::{Figures, Outcome};
use crate::life::{History, Life, Logged};
use crate::oracle::{Crash, start_at};
use crate::proof::{Proof, Stopped, Trial, prove};
use crate::run::{Effort, Run};
use crate::workload::Workload;

/// Parts of a life; segments rotate, and every third time a base frees old ones, between them.
const PARTS: u64 = 12;
/// Commands of a part.
const COMMANDS: u64 = 14;
/// The slot of the reader that has one.
const SLOT: &[u8] = b"reader";
/// Pages that a reader may need to catch up after a crash.
const PAGES_MAX: u32 = 20_000;

/// Leaves out what the log says of itself: the history has effects alone.
#[derive(Debug, Clone, Copy)]
struct Effects;

impl Keep for Effects {
    fn keeps(&self, _: Option<u32>, _: Option<&[u8]>, plane: Option<Plane>) -> bool {
        plane.is_some()
    }
}

/// A kind of reader.
#[derive(Debug, Clone, Copy)]
struct Habit {
    limit: usize,
    bytes: usize,
    /// Longest pause between two pages, microseconds.
    pause_us: u64,
    /// What it needs is kept for it: all that it has not confirmed.
    holds: bool,
    /// It confirms what was pushed to it before the last page, and may have a part of that.
    pushed: bool,
}

/// A reply of everything, of one event, and of units that do not fit; the last one is slow and holds nothing.
const READS: [Habit; 3] = [
    Habit { limit: 256, bytes: 1 << 20, pause_us: 3000, holds: true, pushed: false },
    Habit { limit: 1, bytes: 1 << 20, pause_us: 500, holds: true, pushed: false },
    Habit { limit: 5, bytes: 400, pause_us: 1_500_000, holds: false, pushed: false },
];
/// Credit without end, and hardly any.
const PUSHES: [Habit; 2] = [
    Habit { limit: 256, bytes: 256 << 10, pause_us: 1000, holds: true, pushed: true },
    Habit { limit: 3, bytes: 256 << 10, pause_us: 200_000, holds: true, pushed: true },
];

/// What a reader is given.
#[derive(Debug, Clone)]
enum Given {
    Page {
        moment: usize,
        /// Events, each with the LSN to go on with behind it.
        events: Vec<(Vec<u8>, u64)>,
        next: (u64, usize),
    },
    /// It was told that the log begins at `oldest`.
    Gone { moment: usize, oldest: u64 },
}

impl Given {
    fn moment(&self) -> usize {
        match self {
            Given::Page { moment, .. } | Given::Gone { moment, .. } => *moment,
        }
    }
}

/// What a reader has been given so far.
type Story = Rc<RefCell<Vec<Given>>>;

struct Past {
    life: Life,
    history: History,
    /// In order of [`habits`].
    stories: Vec<Vec<Given>>,
    /// LSN of each change of the slot, and the floor it has from there on.
    slots: Vec<(u64, u64)>,
    cfg: LogConfig,
    bug: Bug,
}

/// One run of the set.
pub(crate) fn run(run: &Run, effort: Effort, bug: Bug, first: bool) -> Outcome {
    prove(run, effort, bug, first, record, &[while_alive, crashes])
}

fn habits(run: &Run) -> &'static [Habit] {
    if is_push(run) { &PUSHES } else { &READS }
}

fn is_push(run: &Run) -> bool {
    run.cell.trouble == Trouble::Proof(Proof::Pushes)
}

fn encoder(log: &Log) -> Encoder<'static> {
    let epoch = log.epoch();
    Encoder {
        name: "sim".into(),
        shard: 0,
        epoch,
        format: Format::Debezium,
        before: false,
        now_ms: 1,
    }
}

fn query(habit: &Habit, (lsn, offset): (u64, usize)) -> Query<Effects> {
    let Habit { limit, bytes, .. } = *habit;
    let (cursor, format) = (Cursor::Lsn(lsn), Format::Debezium);
    Query {
        cursor,
        offset,
        limit,
        bytes,
        filter: Effects,
        format,
        before: false,
        form: Form::Element,
    }
}

fn lsn_of(cursor: Cursor) -> u64 {
    match cursor {
        Cursor::Lsn(lsn) => lsn,
        Cursor::Base { .. } => 0,
    }
}

fn given(page: &Page, moment: usize) -> Given {
    let events = page.events().map(|(event, next)| (event.to_vec(), lsn_of(next))).collect();
    Given::Page { moment, events, next: (lsn_of(page.next), page.offset) }
}

/// Reads until it is told to stop.
async fn follow(
    disk: SimDisk,
    log: Log,
    habit: Habit,
    story: Story,
    at: Rc<Cell<u64>>,
    stop: Rc<Cell<bool>>,
    mut rng: SimRng,
) {
    let mut query = query(&habit, (1, 0));
    let (mut kept, mut has) = (None, 1);
    while !stop.get() {
        disk.runtime().sleep_us(1 + rng.below(habit.pause_us)).await;
        if !query.may_find(log.shown_lsn()) {
            continue;
        }
        let lsn = lsn_of(query.cursor);
        let is_there = |reader: &moon_storage::log::Reader| reader.next_lsn() == lsn;
        let mut reader = kept.take().filter(is_there).unwrap_or_else(|| log.reader(lsn));
        match read_page(&mut reader, &query, encoder(&log)).await {
            Ok(page) => {
                story.borrow_mut().push(given(&page, disk.moment()));
                query.go_on(&page);
                kept = Some(reader);
                if let Some((_, behind)) = page.events().last() {
                    at.set(std::mem::replace(&mut has, lsn_of(behind)));
                }
                if !habit.pushed {
                    at.set(lsn_of(query.cursor));
                }
            }
            Err(PageError::Read(ReadError::Gone { oldest })) => {
                story.borrow_mut().push(Given::Gone { moment: disk.moment(), oldest });
                (query.cursor, query.offset) = (Cursor::Lsn(oldest), 0);
                at.set(oldest);
            }
            // The story ends here, and with it what the reader is checked for.
            Err(_) => return,
        }
    }
}

fn record(run: &Run, cfg: LogConfig, bug: Bug, figures: &mut Figures) -> Result<Past, String> {
    let disk = run.disk();
    let mut life = Life::first(&disk, &cfg, bug)?;
    life.plan.plane = run.cell.plane;
    life.plan.retention = Retention { bases: 1, window_ms: 0 };
    let mut work = Workload::new(run.cell.plane, run.seed);
    let mut rng = SimRng::new(run.seed ^ 0x6368_616e);
    let stop = Rc::new(Cell::new(false));
    let mut readers = Vec::new();
    for habit in habits(run) {
        let (story, at) = (Story::default(), Rc::new(Cell::new(1)));
        let (log, rng) = (life.log.clone(), SimRng::new(rng.next_u64()));
        let (to, place, end) = (Rc::clone(&story), Rc::clone(&at), Rc::clone(&stop));
        disk.runtime().spawn(Box::pin(follow(disk.clone(), log, *habit, to, place, end, rng)));
        readers.push((story, at, habit.holds));
    }
    let mut slots = Vec::new();
    for part in 0..PARTS {
        life.drive(&mut work, COMMANDS, &mut rng);
        // As a server does a few times a second.
        let floors = readers.iter().filter(|r| r.2).map(|(_, at, _)| at.get());
        life.log.set_floor(Floor::Cdc, floors.min());
        let floor_lsn = readers[0].1.get();
        let slot = Slot { floor_lsn, created_us: 1, given_up: false };
        slots.push((life.set_slot(SLOT, slot)?, floor_lsn));
        let rotated = disk.runtime().block_on(life.log.rotate());
        rotated.map_err(|e| format!("O11: no rotation: {e}"))?;
        if part % 3 == 2 {
            life.begin_snapshot(true);
        }
    }
    // No pause: some stops meet reading under way.
    life.settle(40_000);
    stop.set(true);
    let history = life.noted(figures, "")?;
    let stories = readers.iter().map(|(story, ..)| story.borrow().clone()).collect();
    Ok(Past { life, history, stories, slots, cfg, bug })
}

/// Every change of a history with its place: LSN, number in its unit, record.
struct Expected<'a> {
    history: &'a History,
    places: Vec<(u64, usize, usize)>,
}

impl<'a> Expected<'a> {
    fn of(history: &'a History) -> Result<Expected<'a>, String> {
        let mut places = Vec::new();
        for (r, record) in history.iter().enumerate() {
            let changes = changes_of(record)?;
            let shown = changes.placed().enumerate();
            let shown = shown.filter(|(_, (change, _))| change.kind.plane().is_some());
            places.extend(shown.map(|(i, _)| (record.lsn, i, r)));
        }
        Ok(Expected { history, places })
    }

    /// Which change comes next for a cursor.
    fn at(&self, (lsn, offset): (u64, usize)) -> usize {
        self.places.partition_point(|p| p.0 < lsn || (p.0 == lsn && p.1 < offset))
    }

    /// The first change of the unit that the one at `place` is in, or that ends before it.
    fn unit(&self, place: usize) -> usize {
        let lsn = place.checked_sub(1).map_or(0, |p| self.places[p].0);
        self.places.partition_point(|p| p.0 < lsn)
    }

    /// An event must be the change at `place`. Its clock and the LSN before it are its own word.
    fn is(&self, place: usize, event: &[u8], log: &Log) -> Result<(), String> {
        let text = String::from_utf8_lossy(event);
        let Some((lsn, i, r)) = self.places.get(place).copied() else {
            return Err(format!("O11: an event that no record has: {}", start_of(&text)));
        };
        let record = &self.history[r];
        let (wall_us, previous) = own_word(&text)
            .ok_or_else(|| format!("O11: an event without place: {}", start_of(&text)))?;
        let before = r.checked_sub(1).map_or(0, |r| self.history[r].lsn);
        if previous < before || previous >= lsn {
            return Err(format!("O11: lsn {previous} is named as the one before lsn {lsn}"));
        }
        let changes = changes_of(record)?;
        let Some((change, unit)) = changes.placed().nth(i) else {
            return Err("O11: no such change".into());
        };
        let mut want = Vec::new();
        encoder(log).put_change(&mut want, change, &At { lsn, previous, wall_us }, &unit);
        match want == event {
            true => Ok(()),
            false => Err(format!(
                "O11: lsn {lsn} change {i} was expected, this came: {}",
                start_of(&text)
            )),
        }
    }
}

fn changes_of(record: &Logged) -> Result<Changes<'_>, String> {
    let changes = Changes::of(RecordType::Command.code(), record.flags, record.db, &record.payload);
    changes.map_err(|e| format!("O11: record {} is not understood: {e}", record.lsn))
}

/// When an event says that it was written, and which LSN was before it.
fn own_word(text: &str) -> Option<(i64, u64)> {
    let number = |after: &str, end: char| text.split_once(after)?.1.split_once(end).map(|n| n.0);
    let wall = number(",\"ts_us\":", ',')?.parse().ok()?;
    let sequence = number(",\"sequence\":\"[\\\"", '\\')?;
    Some((wall, sequence.split_once(':')?.1.parse().ok()?))
}

fn start_of(text: &str) -> String {
    text.chars().take(160).collect()
}

/// A reader, and what it must be given next.
struct Reader<'a> {
    expected: &'a Expected<'a>,
    log: &'a Log,
    next: usize,
    /// Where it goes on.
    cursor: (u64, usize),
    events: u64,
}

impl Reader<'_> {
    fn take(&mut self, given: &Given) -> Result<(), String> {
        match given {
            Given::Page { events, next, .. } => {
                for (event, _) in events {
                    self.expected.is(self.next, event, self.log)?;
                    self.next += 1;
                    self.events += 1;
                }
                self.cursor = *next;
                let due = self.expected.at(*next);
                if due != self.next {
                    return Err(format!("O11: the cursor {next:?} passes over changes"));
                }
            }
            Given::Gone { oldest, .. } => {
                let due = self.expected.at((*oldest, 0));
                if due < self.next || (*oldest, 0) <= self.cursor {
                    return Err(format!("O11: gone up to lsn {oldest}, and that was read"));
                }
                (self.next, self.cursor) = (due, (*oldest, 0));
            }
        }
        Ok(())
    }
}

/// What readers were given of a life that nothing stopped.
fn while_alive(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let expected = Expected::of(&past.history)?;
    let oldest = past.life.log.oldest_lsn();
    for (story, habit) in past.stories.iter().zip(habits(t.run)) {
        let log = &past.life.log;
        let mut reader = Reader { expected: &expected, log, next: 0, cursor: (1, 0), events: 0 };
        for given in story {
            reader.take(given)?;
            if let Given::Gone { oldest: told, .. } = given
                && (habit.holds || *told > oldest)
            {
                return Err(format!("O11: gone up to lsn {told}, the log begins at {oldest}"));
            }
        }
        if habit.holds && reader.events == 0 {
            return Err("O11: a reader was given nothing".into());
        }
        t.out.changes.events += reader.events;
        t.out.changes.gone +=
            story.iter().filter(|g| matches!(g, Given::Gone { .. })).count() as u64;
        t.hash.update(&reader.events.to_le_bytes());
        t.hash.update(&reader.cursor.0.to_le_bytes());
    }
    Ok(())
}

/// The process is stopped at operations of the life, and its readers go on.
fn crashes(t: &mut Trial<'_, Past>) -> Result<(), String> {
    let past = t.past;
    let (disk, mut rng) = (&past.life.disk, SimRng::new(t.run.seed ^ 0x7374_6f70));
    t.each_crash(disk, 0..disk.stop_count(), &mut rng, "", |t, left| {
        let events = after_crash(t.run, past, left)?;
        t.out.changes.crashed += 1;
        t.out.changes.events += events;
        t.hash.update(&events.to_le_bytes());
        Ok(())
    })
}

/// Starts on what is left, goes on, and compares what each reader has before and after. Events compared.
fn after_crash(run: &Run, past: &Past, left: &Stopped) -> Result<u64, String> {
    let Stopped { disk, stop, crash, seed } = left;
    let (stop, seed) = (*stop, *seed);
    let found = start_at(disk, &past.history, &past.cfg, past.bug, true, None)?;
    let end = found.kept.checked_sub(1).map_or(0, |k| past.history[k].lsn);
    let kept_slot = past.slots.iter().rev().find(|s| s.0 <= end).map(|s| s.1);
    let slot = found.shard.slots.get(SLOT).map(|slot| slot.floor_lsn);
    if slot != kept_slot {
        return Err(format!("O11: the slot is at {slot:?}, it was at {kept_slot:?}"));
    }
    let shared: History = past.history[..found.kept].to_vec();
    let used = past.history.partition_point(|r| r.moment <= stop);
    let taken = used.checked_sub(1).map_or(0, |i| past.history[i].lsn);
    let (cfg, bug) = (past.cfg.clone(), past.bug);
    let mut next = Life::start(disk, cfg, found.found, found.shard, shared, taken, bug)
        .map_err(|e| format!("O1: the log does not open: {e}"))?;
    let mut work = Workload::new(run.cell.plane, seed ^ 1);
    let mut rng = SimRng::new(seed ^ 2);
    next.drive(&mut work, 10, &mut rng);
    next.sync().map_err(|e| format!("O11: cannot sync after recovery: {e}"))?;
    let history = next.history.borrow().clone();
    let expected = Expected::of(&history)?;
    // Where nothing is promised against a loss of power, a reader may have what was lost.
    let may_be_ahead = past.cfg.policy == Policy::No && matches!(crash, Crash::Power(_));
    let mut events = 0;
    for (story, habit) in past.stories.iter().zip(habits(run)) {
        let log = &next.log;
        let mut reader = Reader { expected: &expected, log, next: 0, cursor: (1, 0), events: 0 };
        match may_be_ahead {
            true => {
                reader.cursor = (log.oldest_lsn(), 0);
                reader.next = expected.at(reader.cursor);
            }
            false => before(run, &mut reader, story, stop, end, &mut rng)?,
        }
        catch_up(&next, &mut reader, habit)?;
        events += reader.events;
    }
    if let Some(finding) = next.findings.borrow().first() {
        return Err(finding.clone());
    }
    next.close();
    Ok(events)
}

/// Has a reader take what it was given up to the stop, and leaves it where it goes on.
fn before(
    run: &Run,
    reader: &mut Reader<'_>,
    story: &[Given],
    stop: usize,
    end: u64,
    rng: &mut SimRng,
) -> Result<(), String> {
    let had = &story[..story.partition_point(|given| given.moment() <= stop)];
    let mut acked = (1, 0);
    for (i, given) in had.iter().enumerate() {
        let mut given = given.clone();
        if let Given::Page { events, next, .. } = &mut given {
            // The connection ends with the process, perhaps within a page.
            if is_push(run) && i + 1 == had.len() {
                events.truncate(rng.below(events.len() as u64 + 1) as usize);
                *next = (0, 0);
            }
            if let Some((event, behind)) = events.last() {
                let lsn = reader.expected.places.get(reader.next + events.len() - 1).map(|p| p.0);
                if lsn.is_none_or(|lsn| lsn > end) {
                    let text = start_of(&String::from_utf8_lossy(event));
                    return Err(format!(
                        "O11: the log ends at lsn {end}, and this was given: {text}"
                    ));
                }
                acked = (*behind, 0);
            }
            if *next == (0, 0) {
                // In doubt: what it has is what it was given, and no reply says more.
                for (event, _) in events.iter() {
                    reader.expected.is(reader.next, event, reader.log)?;
                    reader.next += 1;
                    reader.events += 1;
                }
                continue;
            }
        }
        reader.take(&given)?;
        if let Given::Gone { oldest, .. } = given {
            acked = (oldest, 0);
        }
    }
    if is_push(run) {
        // At least once: it goes on behind the last event that it has.
        let again = reader.expected.at(acked);
        if again > reader.next || again < reader.expected.unit(reader.next) {
            return Err(format!("O11: behind the cursor {acked:?} changes are missed or repeated"));
        }
        (reader.next, reader.cursor) = (again, acked);
    }
    Ok(())
}

/// Reads on from the reader's cursor to the end.
fn catch_up(life: &Life, reader: &mut Reader<'_>, habit: &Habit) -> Result<(), String> {
    let log = &life.log;
    let rt = life.disk.runtime();
    let mut query = query(habit, reader.cursor);
    let mut from = log.reader(reader.cursor.0);
    for _ in 0..PAGES_MAX {
        let page = rt.block_on(read_page(&mut from, &query, encoder(log)));
        let was = match page {
            Ok(page) => {
                query.go_on(&page);
                let given = given(&page, 0);
                reader.take(&given)?;
                if page.is_last && !query.may_find(log.shown_lsn()) {
                    let left = reader.expected.places.len() - reader.next;
                    return match left {
                        0 => Ok(()),
                        n => Err(format!("O11: {n} changes are not given after a crash")),
                    };
                }
                continue;
            }
            Err(PageError::Read(ReadError::Gone { oldest })) => Given::Gone { moment: 0, oldest },
            Err(PageError::Read(e)) => return Err(format!("O11: after a crash: {e}")),
            Err(PageError::Damaged { lsn, text }) => {
                return Err(format!("O11: after a crash, lsn {lsn}: {text}"));
            }
        };
        let Given::Gone { oldest, .. } = was else { continue };
        let cut = life.parts.with(|list| list.base.map_or(0, |base| base.cut));
        if habit.holds || oldest != log.oldest_lsn() || oldest > cut + 1 {
            return Err(format!("O11: gone up to lsn {oldest}, and the base has {cut}"));
        }
        reader.take(&was)?;
        query.cursor = Cursor::Lsn(oldest);
        query.offset = 0;
        from = log.reader(oldest);
    }
    let (at, shown) = (query.cursor, log.shown_lsn());
    Err(format!("O11: a reader stays at {at:?}, and lsn {shown} is shown"))
}
