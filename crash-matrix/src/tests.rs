//! A small matrix in every test run: it passes, it repeats, and it notices bugs.

use std::collections::BTreeSet;
use std::path::Path;

use crate::bugs::{BackupBug, Bug, EngineBug, MigrationBug, SaveBug};
use crate::cell::Cell;
use crate::figures::Figures;
use crate::kill::Killed;
use crate::life::table;
use crate::matrix::{execute, migrations, plan, sample, seed_lines};
use crate::migrate::Migration;
use crate::oracle::Crash;
use crate::report::{failpoints_json, kill_json, trace_json};
use crate::run::{Effort, KEPT, Run, Which, parse_line};
use crate::trace::Traced;
use crate::workload::{Plane, Workload, write_rows};

const SMALL: Effort = Effort::sample(16);

#[test]
fn promises_hold_and_runs_repeat() {
    let runs = sample(plan(100, 2, 2), 100, 3);
    let a = execute(&runs, SMALL, Bug::default(), 2, false);
    let failures: Vec<String> =
        a.failures.iter().map(|f| format!("{}\n    {}", f.again, f.text)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(a.figures.power_losses() > 5000, "{}", a.figures.power_losses());
    assert!(a.figures.in_recovery > 100 && a.figures.heals > 10);
    assert!(a.figures.made.1 * 4 >= a.figures.made.0, "{:?}", a.figures.made);
    let b = execute(&runs, SMALL, Bug::default(), 1, false);
    assert_eq!(a.digest, b.digest, "the same seeds gave other outcomes");
}

#[test]
fn all_stops_and_images_of_a_run() {
    let effort = KEPT;
    let cell = Cell::named("ttl-rotate-everysec").expect("a cell");
    let report = execute(&[Run { cell, seed: 5, nth: 0 }], effort, Bug::default(), 1, false);
    assert_eq!(report.failures.len(), 0, "{:?}", report.failures.first());
    assert_eq!(report.figures.stops.0, report.figures.stops.1);
    assert_eq!(report.figures.crashes.len(), 9, "eight images and the kill");
}

#[test]
fn every_point_of_a_life_is_found_and_a_fork_survives_its_crashes() {
    let effort = Effort { all_images: false, ..KEPT };
    for (name, seed) in [("kv-rotate-always+points", 3), ("mixed-rotate-everysec+points", 4)] {
        let cell = Cell::named(name).expect("a cell");
        let report = execute(&[Run { cell, seed, nth: 0 }], effort, Bug::default(), 1, false);
        assert_eq!(report.failures.len(), 0, "{:?}", report.failures.first());
        let (lsns, moments, forks) = report.figures.points;
        assert!(lsns > 30 && moments > 8 && forks > 50, "{name}: {:?}", report.figures.points);
    }
}

const EVERY_STOP: Effort = Effort { all_images: false, ..KEPT };

/// The figures of a cell of set P with a seed.
fn proved(name: &str, seed: u64, effort: Effort) -> Figures {
    let cell = Cell::named(name).expect("a cell");
    let report = execute(&[Run { cell, seed, nth: 0 }], effort, Bug::default(), 1, false);
    assert_eq!(report.failures.len(), 0, "{name}: {:?}", report.failures);
    report.figures
}

#[test]
fn sets_of_a_life_survive_whatever_stops_them_and_restore_to_every_lsn() {
    for (name, seed) in [("kv-rotate-always+backups", 2), ("mixed-rotate-everysec+backups", 3)] {
        let b = proved(name, seed, EVERY_STOP).backups;
        assert!(b.made == 5 && b.restored > 20 && b.crashed > 200 && b.damaged > 40, "{b:?}");
    }
}

#[test]
fn readers_of_changes_go_on_over_any_crash() {
    for (name, seed) in [
        ("ttl-rotate-always+reads", 5),
        ("mixed-rotate-everysec+reads", 6),
        ("stream-rotate-everysec+pushes", 7),
        ("mixed-rotate-no+pushes", 8),
    ] {
        let c = proved(name, seed, Effort::sample(120)).changes;
        assert!(c.events > 1000 && c.crashed > 200, "{name}: {c:?}");
    }
}

#[test]
fn a_life_without_a_log_is_its_last_save() {
    for (name, seed) in [("txn-bgsave-no+unlogged", 9), ("mixed-bgsave-no+unlogged", 10)] {
        let figures = proved(name, seed, EVERY_STOP);
        assert!(figures.crashes_total() > 100, "{name}: {}", figures.crashes_total());
    }
}

#[test]
fn a_migration_survives_a_crash_at_any_operation() {
    let effort = Effort::sample(12);
    let seeds = [1, 2, 3, 7];
    let runs: Vec<Run> = Migration::all()
        .map(|m| Cell::named(&m.name()).expect("a cell"))
        .zip(seeds.into_iter().cycle())
        .map(|(cell, seed)| Run { cell, seed, nth: 0 })
        .collect();
    assert_eq!(runs.len(), 20);
    let report = execute(&runs, effort, Bug::default(), 2, false);
    let failures: Vec<String> =
        report.failures.iter().map(|f| format!("{}\n    {}", f.again, f.text)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let (resumed, undone) = report.figures.migrations;
    assert!(resumed > 200 && undone > 200, "{:?}", report.figures.migrations);
}

#[test]
fn every_bug_of_a_migration_is_noticed() {
    let effort = Effort::sample(12);
    for bug in MigrationBug::ALL {
        let runs = migrations(1, 1);
        let report = execute(&runs, effort, Bug::migration(bug), 2, true);
        assert!(!report.failures.is_empty(), "{bug:?} survived");
    }
}

#[test]
fn every_bug_of_backups_and_of_saves_is_noticed() {
    let backups = BackupBug::ALL.map(|bug| (Bug::backup(bug), "kv-rotate-always+backups"));
    let saves = SaveBug::ALL.map(|bug| (Bug::save(bug), "txn-bgsave-no+unlogged"));
    for (bug, name) in backups.into_iter().chain(saves) {
        let run = Run { cell: Cell::named(name).expect("a cell"), seed: 2, nth: 0 };
        let report = execute(&[run], EVERY_STOP, bug, 1, true);
        assert!(!report.failures.is_empty(), "{bug:?} survived");
    }
}

#[test]
fn every_write_row_is_generated_and_has_an_effect() {
    // Rows that need a lucky state before them are rare: more seeds until all have been seen.
    let none = Effort::sample(2);
    let mut rows: BTreeSet<&str> = write_rows(table()).map(|c| c.spec.name).collect();
    // These write by what they run.
    rows.extend(["eval", "fcall", "exec"]);
    let mut seen = BTreeSet::new();
    for batch in 0..12 {
        let runs: Vec<Run> = sample(plan(7 + batch * 16, 16, 0), batch, 3);
        seen.extend(execute(&runs, none, Bug::default(), 2, false).figures.seen.effective);
        if rows.is_subset(&seen) {
            break;
        }
    }
    let idle: Vec<_> = rows.difference(&seen).collect();
    assert!(idle.is_empty(), "write rows that changed nothing in any run: {idle:?}");
}

#[test]
fn every_engine_bug_is_noticed() {
    let runs = sample(plan(1, 4, 0), 1, 3);
    for bug in EngineBug::ALL {
        let report = execute(&runs, SMALL, Bug::engine(bug), 2, true);
        assert!(!report.failures.is_empty(), "{bug:?} survived");
    }
}

/// `quick` replays them; here they are only read.
#[test]
fn kept_seeds_name_runs_and_the_crash_that_found_them() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let lines = seed_lines(&dir).expect("the seeds");
    assert!(!lines.is_empty());
    for line in lines {
        let which = parse_line(&line).map(|l| l.1);
        assert!(matches!(which, Ok(Which::Way(_))), "{line}: {which:?}");
    }
}

#[test]
fn recovery_takes_no_notice_of_before_images() {
    let effort = Effort::sample(24);
    let runs = ["mixed-rotate-always", "hash-ttl-rewrite-everysec", "txn-bgsave-everysec"]
        .map(|name| Run { cell: Cell::named(name).expect("a cell"), seed: 5, nth: 0 });
    assert!(runs.iter().all(Run::has_images));
    let report = execute(&runs, effort, Bug::default(), 1, false);
    assert_eq!(report.failures.len(), 0, "{:?}", report.failures.first());
}

#[test]
fn the_crashes_of_one_way_are_those_of_the_whole_run() {
    let (run, _) = parse_line("run --cell kv-rotate-always+write-short --seed 2").expect("a line");
    let effort = Effort { all_images: true, ..Effort::sample(8) };
    let all = run.execute(effort, Bug::default(), false).figures;
    let kills = run.execute_only(Some(Crash::Kill), effort, Bug::default(), false).figures;
    assert_eq!(kills.crashes.keys().copied().collect::<Vec<_>>(), ["kill"]);
    assert_eq!(kills.crashes["kill"], all.crashes["kill"]);
}

#[test]
fn figures_of_the_binary_are_json() {
    let killed = Killed { kills: 3, acked: 70, start_ms: 9, ..Killed::default() };
    let done =
        [("epoll always".to_owned(), Ok(killed)), ("x".to_owned(), Err("O2: \"gone\"".into()))];
    let text = String::from_utf8(kill_json(&done)).expect("text");
    assert!(text.contains("\"kills\":3,") && text.contains("\"done\":2,\"failed\":1,"), "{text}");
    assert!(text.contains("{\"name\":\"x\",\"failed\":\"O2: \\\"gone\\\"\"}"), "{text}");
    let traced = Traced { stops: 40, bytes: 5000, acked: 6, images: 2, lost: 1 };
    let runs = [
        ("kv always".to_owned(), Ok(traced)),
        ("kv everysec".to_owned(), Ok(Traced { stops: 2, ..traced })),
        ("ttl always".to_owned(), Err("no log".into())),
    ];
    let text = String::from_utf8(trace_json(&runs)).expect("text");
    let sums = "{\"stops\":42,\"log_bytes\":10000,\"commands_acknowledged\":12,\"images\":4,\"lost_as_promised\":2,";
    assert!(text.starts_with(sums) && text.contains("\"done\":3,\"failed\":1,"), "{text}");
    let one = "{\"name\":\"kv everysec\",\"stops\":2,\"log_bytes\":5000,";
    assert!(
        text.contains(one) && text.contains("{\"name\":\"ttl always\",\"failed\":\"no log\"}"),
        "{text}"
    );
    let cases = String::from_utf8(failpoints_json(9, &[("a".into(), Ok(()))])).expect("text");
    assert!(cases.starts_with("{\"there\":9,\"done\":1,\"failed\":0,\"each\":["), "{cases}");
}

/// A write that went to the wrong place, or two blocks that changed places, are as a flipped bit.
#[test]
fn blocks_in_the_wrong_place_are_refused_or_harmless() {
    let effort = Effort::sample(200);
    let runs = ["kv-rotate-always+rot", "kv-rewrite-everysec+rot", "mixed-rotate-always+rot"]
        .map(|name| Run { cell: Cell::named(name).expect("a cell"), seed: 3, nth: 0 });
    let report = execute(&runs, effort, Bug::default(), 2, false);
    assert_eq!(report.failures.len(), 0, "{:?}", report.failures.first());
    for kind in ["swap", "misdirect", "zero", "flip"] {
        let refused = report.figures.damaged.get(kind).map_or(0, |d| d.0);
        assert!(refused > 5, "{kind}: {refused} refused");
    }
}

#[test]
fn names_and_lines_are_read_back() {
    for cell in Cell::all() {
        assert_eq!(Cell::named(&cell.name()), Some(cell));
    }
    let line = "moon-crash run --cell kv-rotate-no+slow --seed 9 --nth 4 --point 3 --image shorn";
    let (run, crash) = parse_line(line).expect("a line");
    assert_eq!((run.cell.name().as_str(), run.seed, run.nth), ("kv-rotate-no+slow", 9, 4));
    assert_eq!(crash, Which::One((3, Crash::named("shorn").expect("an image"), 0)));
    for bad in ["run --cell none", "run --seed x", "run", "run --cell kv-idle-no --point 3"] {
        assert!(parse_line(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_workload_is_a_function_of_its_seed() {
    let ops = |seed| {
        let mut work = Workload::new(Plane::Kv, seed);
        (0..200).map(|_| work.next(1_700_000_000_000).words).collect::<Vec<_>>()
    };
    assert_eq!(ops(1), ops(1));
    assert_ne!(ops(1), ops(2));
}
