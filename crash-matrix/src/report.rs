//! The figures as a table and as `crash-matrix.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use moon_formats::json::Object;

use crate::cell::Cell;
use crate::kill::Killed;
use crate::matrix::Report;
use crate::trace::Traced;

/// Broken promises by the number of their check.
fn broken(report: &Report, check: &str) -> usize {
    report.failures.iter().filter(|f| f.text.starts_with(check)).count()
}

/// The checks whose failures are counted apart.
const CHECKS: [(&str, &str); 13] = [
    ("O1:", "did not start"),
    ("O2:", "acknowledged writes lost, or no prefix"),
    ("O3:", "units torn"),
    ("O9:", "recovery not repeatable, live and log differ"),
    ("O10:", "LSN used twice"),
    ("O11:", "changes missed, repeated or shown too early"),
    ("O12:", "files left"),
    ("O13:", "degraded states hidden, acks while degraded"),
    ("O14:", "points in time missed, forks undone, backups not restored"),
    ("O15:", "migrations: trees damaged, or not ended"),
    ("D:", "silent damage"),
    ("manners", "bad manners on the disk"),
    ("after a read error", "not started after a read error"),
];

/// Cells, crashes and failures of each plane.
fn by_plane(report: &Report) -> BTreeMap<&'static str, [u64; 3]> {
    let mut planes: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for (name, crashes, failures) in &report.cells {
        let plane = Cell::named(name).map_or("", |c| c.plane.name());
        let [cells, all, broken] = planes.entry(plane).or_default();
        *cells += 1;
        *all += crashes;
        *broken += *failures as u64;
    }
    planes
}

/// The table.
pub fn text(report: &Report) -> String {
    let f = &report.figures;
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<44} {value}");
    };
    let failed = report.cells.iter().filter(|c| c.2 > 0).count();
    let there = Cell::all().len();
    row("cells run / failed / there", format!("{} / {failed} / {there}", report.cells.len()));
    for (plane, [cells, crashes, broken]) in by_plane(report) {
        let text = format!("{cells} cells, {crashes} crashes, {broken} failures");
        row(&format!("  {plane}"), text);
    }
    row("kept seeds replayed", report.kept.to_string());
    row("runs recorded", f.runs.to_string());
    row("commands / records logged", format!("{} / {}", f.commands, f.records));
    let share = f.made.1 * 100 / f.made.0.max(1);
    row("commands that must not apply twice", format!("{share} %"));
    row("write rows that had an effect", f.seen.effective.len().to_string());
    row("stop points tried / there", format!("{} / {}", f.stops.0, f.stops.1));
    row("power losses", f.power_losses().to_string());
    row("  of these during a recovery", f.in_recovery.to_string());
    row("  that left the bytes of another one", f.alike.to_string());
    for (name, n) in &f.crashes {
        row(&format!("  {name}"), n.to_string());
    }
    row("records replayed by recoveries", f.replayed.to_string());
    for (policy, (lost, span)) in &f.lost {
        let text = format!("{lost}, longest span {:.3} s", *span as f64 / 1e6);
        row(&format!("unsynced acks lost as promised, {policy}"), text);
    }
    let errors: Vec<String> = f.struck.iter().map(|(n, c)| format!("{n} {c}")).collect();
    row("errors injected", errors.join(", "));
    row("logs healed / writes refused meanwhile", format!("{} / {}", f.heals, f.seen.refused));
    row("turns with the intake stopped", f.seen.paused.to_string());
    let (bases, saves, failed) = f.seen.snapshots;
    row("bases / saves / snapshots that met an error", format!("{bases} / {saves} / {failed}"));
    row("damage at rest: refused / harmless", format!("{} / {}", f.damage.0, f.damage.1));
    for (kind, (refused, harmless)) in &f.damaged {
        row(&format!("  {kind}"), format!("{refused} / {harmless}"));
    }
    let (lsns, moments, forks) = f.points;
    let points = format!("{lsns} / {moments} / {forks}");
    row("recovered to LSNs / times, names / forks crashed", points);
    let (resumed, undone) = f.migrations;
    row("migrations resumed / rolled back after a crash", format!("{resumed} / {undone}"));
    let b = f.backups;
    let backups = format!("{} / {} / {} / {}", b.made, b.restored, b.crashed, b.damaged);
    row("backups made / restored / crashed / damage found", backups);
    let c = f.changes;
    let changes = format!("{} / {} / {}", c.events, c.crashed, c.gone);
    row("events compared / crashes / readers left behind", changes);
    for (check, name) in CHECKS {
        row(&format!("{} {name}", check.trim_end_matches(':')), broken(report, check).to_string());
    }
    row("digest of all outcomes", format!("{:016x}", report.digest));
    row("seconds", format!("{:.1}", report.seconds));
    for failure in report.failures.iter().take(20) {
        let _ = writeln!(out, "FAILED {}\n    {}", failure.again, failure.text);
    }
    if report.failures.len() > 20 {
        let _ = writeln!(out, "and {} more", report.failures.len() - 20);
    }
    out
}

/// The same for programs.
pub fn json(report: &Report) -> String {
    let f = &report.figures;
    let mut out = String::from("{\n");
    let mut number = |name: &str, value: u64| {
        let _ = writeln!(out, "  \"{name}\": {value},");
    };
    number("cells_there", Cell::all().len() as u64);
    number("cells_failed", report.cells.iter().filter(|c| c.2 > 0).count() as u64);
    number("commands_made", f.made.0);
    number("commands_not_idempotent", f.made.1);
    number("write_rows_effective", f.seen.effective.len() as u64);
    number("cells", report.cells.len() as u64);
    number("runs", f.runs);
    number("commands", f.commands);
    number("records", f.records);
    number("stops_tried", f.stops.0);
    number("stops_there", f.stops.1);
    number("power_losses", f.power_losses());
    number("power_losses_in_recovery", f.in_recovery);
    number("crashes_alike", f.alike);
    number("kills_simulated", f.crashes.get("kill").copied().unwrap_or(0));
    number("records_replayed", f.replayed);
    number("log_heals", f.heals);
    number("writes_refused", f.seen.refused);
    number("bases", f.seen.snapshots.0);
    number("saves", f.seen.snapshots.1);
    number("snapshots_failed", f.seen.snapshots.2);
    number("damage_refused", f.damage.0);
    number("damage_harmless", f.damage.1);
    number("points_by_lsn", f.points.0);
    number("points_by_time_or_name", f.points.1);
    number("forks_crashed", f.points.2);
    number("migrations_resumed", f.migrations.0);
    number("migrations_rolled_back", f.migrations.1);
    number("backups_made", f.backups.made);
    number("backups_restored", f.backups.restored);
    number("backups_crashed", f.backups.crashed);
    number("backups_damage_found", f.backups.damaged);
    number("events_compared", f.changes.events);
    number("events_crashed", f.changes.crashed);
    number("events_readers_gone", f.changes.gone);
    number("failures", report.failures.len() as u64);
    let map = |items: Vec<String>| format!("{{{}}}", items.join(", "));
    let images = f.crashes.iter().map(|(n, c)| format!("\"{n}\": {c}")).collect();
    let errors = f.struck.iter().map(|(n, c)| format!("\"{n}\": {c}")).collect();
    let broken = CHECKS
        .iter()
        .map(|(c, _)| format!("\"{}\": {}", c.trim_end_matches(':'), broken(report, c)));
    let broken = map(broken.collect());
    let failed: Vec<String> =
        report.failures.iter().map(|f| format!("\"{}\"", f.again.replace('"', "'"))).collect();
    let planes = by_plane(report).into_iter().map(|(plane, [cells, crashes, failures])| {
        format!(
            "\"{plane}\": {{\"cells\": {cells}, \"crashes\": {crashes}, \"failures\": {failures}}}"
        )
    });
    let pair = |names: [&str; 2], (a, b): (u64, u64)| {
        format!("{{\"{}\": {a}, \"{}\": {b}}}", names[0], names[1])
    };
    let damage = f
        .damaged
        .iter()
        .map(|(kind, n)| format!("\"{kind}\": {}", pair(["refused", "harmless"], *n)));
    let lost = f
        .lost
        .iter()
        .map(|(policy, n)| format!("\"{policy}\": {}", pair(["records", "longest_span_us"], *n)));
    let _ = writeln!(out, "  \"planes\": {},", map(planes.collect()));
    let _ = writeln!(out, "  \"damage\": {},", map(damage.collect()));
    let _ = writeln!(out, "  \"unsynced_acks_lost\": {},", map(lost.collect()));
    let _ = writeln!(out, "  \"images\": {},", map(images));
    let _ = writeln!(out, "  \"errors_injected\": {},", map(errors));
    let _ = writeln!(out, "  \"broken\": {broken},");
    let _ = writeln!(out, "  \"repeat\": [{}],", failed.join(", "));
    let _ = writeln!(out, "  \"digest\": \"{:016x}\",", report.digest);
    let _ = writeln!(out, "  \"seconds\": {:.1}\n}}", report.seconds);
    out
}

/// A series, case or run by its name, with its figures or the promise that it broke.
pub type Done<T> = (String, Result<T, String>);

/// The document of a layer that runs the binary: how many were done and failed, sums, and each of them.
fn document<T>(sums: Object, done: &[Done<T>], one: impl Fn(Object, &T) -> Object) -> Vec<u8> {
    let failed = done.iter().filter(|d| d.1.is_err()).count();
    let each = done.iter().map(|(name, result)| {
        let named = Object::default().text("name", name);
        match result {
            Ok(figures) => one(named, figures),
            Err(why) => named.text("failed", why),
        }
    });
    let whole = sums.number("done", done.len() as u64).number("failed", failed as u64);
    let mut text = whole.list("each", each).close();
    text.push(b'\n');
    text
}

/// The figures of layer K for programs.
pub fn kill_json(done: &[Done<Killed>]) -> Vec<u8> {
    let figures = |object: Object, k: &Killed| {
        object
            .number("kills", k.kills.into())
            .number("kills_in_activity", k.in_activity.into())
            .number("kills_near_sync", k.near_sync.into())
            .number("commands_acknowledged", k.acked)
            .number("commands_in_doubt", k.in_doubt.0)
            .number("commands_in_doubt_applied", k.in_doubt.1)
            .number("slowest_start_ms", k.start_ms)
    };
    let mut sum = Killed::default();
    done.iter().filter_map(|d| d.1.as_ref().ok()).for_each(|k| sum.add(k));
    document(figures(Object::default(), &sum), done, figures)
}

/// Those of layer K-fp, of `there` cases.
pub fn failpoints_json(there: usize, done: &[Done<()>]) -> Vec<u8> {
    document(Object::default().number("there", there as u64), done, |object, ()| object)
}

/// Those of layer T.
pub fn trace_json(done: &[Done<Traced>]) -> Vec<u8> {
    let figures = |object: Object, t: &Traced| {
        object
            .number("stops", t.stops)
            .number("log_bytes", t.bytes)
            .number("commands_acknowledged", t.acked)
            .number("images", t.images)
            .number("lost_as_promised", t.lost)
    };
    let mut sum = Traced::default();
    for t in done.iter().filter_map(|d| d.1.as_ref().ok()) {
        sum = Traced {
            stops: sum.stops + t.stops,
            bytes: sum.bytes + t.bytes,
            acked: sum.acked + t.acked,
            images: sum.images + t.images,
            lost: sum.lost + t.lost,
        };
    }
    document(figures(Object::default(), &sum), done, figures)
}
