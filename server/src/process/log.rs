//! The server's log: one line per event, written by a small `tracing` subscriber.
//!
//! ```text
//! 2026-01-31T12:00:00.123Z notice  net  listening, recovering shards=1
//! {"time":"2026-01-31T12:00:00.123Z","level":"notice","component":"net","message":"listening, recovering","shards":1}
//! ```
//! Time (RFC 3339, UTC), level (Redis' words), component (last part of the module path), message,
//! fields; the second form is `log-format json`, its schema is `docs/log-schema.md`.
//!
//! Invariants: never keys, values or passwords; an event is one line, whatever its texts hold; at most
//! [`BURST`] lines of one kind (a place in the code) per [`WINDOW`], and a line that counts those
//! left out; a file that cannot be written stops nobody.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The least important level written: 0 debug, 1 verbose, 2 notice, 3 warning, 4 nothing.
static LEVEL: AtomicU8 = AtomicU8::new(2);
/// The log of this process.
static LOG: OnceLock<Log> = OnceLock::new();

/// Lines of one kind in a [`WINDOW`].
const BURST: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// Sets the level by its name in `loglevel`.
pub(crate) fn set_level(name: &str) {
    let level = match name {
        "debug" => 0,
        "verbose" => 1,
        "warning" => 3,
        "nothing" => 4,
        _ => 2,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

fn rank(level: Level) -> (u8, &'static str) {
    match level {
        Level::TRACE => (0, "debug"),
        Level::DEBUG => (1, "verbose"),
        Level::INFO => (2, "notice"),
        Level::WARN => (3, "warning"),
        Level::ERROR => (3, "error"),
    }
}

/// Where lines go, and in which form.
#[derive(Debug)]
struct Log {
    json: bool,
    /// Empty is standard output.
    path: String,
    file: Mutex<Option<File>>,
    kinds: Mutex<HashMap<Identifier, Kind>>,
}

/// Lines of one kind in the window that began at `since`.
#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    dropped: u64,
    component: &'static str,
    message: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &str) -> io::Result<Option<File>> {
    if path.is_empty() {
        return Ok(None);
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(Some).map_err(|e| io::Error::new(e.kind(), format!("logfile {path}: {e}")))
}

/// Installs the subscriber: to a file, or to standard output for an empty path.
pub(crate) fn install(path: &str, json: bool) -> io::Result<()> {
    let file = Mutex::new(open(path)?);
    let log = Log { json, path: path.into(), file, kinds: Mutex::default() };
    LOG.set(log).map_err(|_| io::Error::other("the log is installed once"))?;
    tracing::subscriber::set_global_default(Installed).map_err(io::Error::other)
}

/// Opens the log file again, after it has been moved away. The old one stays if that fails.
pub(crate) fn reopen() -> io::Result<()> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let file = open(&log.path)?;
    *lock(&log.file) = file;
    Ok(())
}

/// Writes a crash report, unless this thread or another is in the middle of writing.
pub(super) fn last_words(fields: &[(&'static str, &str)]) {
    let Some(log) = LOG.get() else { return };
    let Ok(mut file) = log.file.try_lock() else { return };
    let mut line = Line::new("error", "crash");
    line.message = "bug: the process ends".into();
    for (name, value) in fields {
        line.add(name, Value::Text((*value).into()));
    }
    let text = line.render(log.json, SystemTime::now());
    let _ = match &mut *file {
        Some(file) => file.write_all(text.as_bytes()),
        None => io::stdout().lock().write_all(text.as_bytes()),
    };
}

/// Writes how many lines were left out, for kinds that have come to rest. Called once a second.
pub(crate) fn report_dropped() {
    if let Some(log) = LOG.get() {
        let lines = due(&mut lock(&log.kinds), Instant::now());
        lines.iter().for_each(|line| log.write(line));
    }
}

/// Lines about kinds whose window is over.
fn due(kinds: &mut HashMap<Identifier, Kind>, now: Instant) -> Vec<Line> {
    let mut lines = Vec::new();
    kinds.retain(|_, kind| {
        let over = now.duration_since(kind.since) >= WINDOW;
        if over && kind.dropped > 0 {
            lines.push(kind.summary());
        }
        !over
    });
    lines
}

impl Kind {
    fn summary(&self) -> Line {
        let mut line = Line::new("warning", self.component);
        line.message = "lines left out".into();
        line.add("dropped", Value::Number(self.dropped.to_string()));
        line.add("of", Value::Text(self.message.clone()));
        line
    }
}

/// Counts a line of a kind; false if there were too many. The second value is what is to be said
/// about the window before.
fn count(
    kinds: &mut HashMap<Identifier, Kind>,
    id: Identifier,
    line: &Line,
    now: Instant,
) -> (bool, Option<Line>) {
    let fresh = || Kind {
        since: now,
        written: 0,
        dropped: 0,
        component: line.component,
        message: line.message.chars().take(80).collect(),
    };
    let kind = kinds.entry(id).or_insert_with(fresh);
    let mut before = None;
    if now.duration_since(kind.since) >= WINDOW {
        before = (kind.dropped > 0).then(|| kind.summary());
        *kind = fresh();
    }
    if kind.written < BURST {
        kind.written += 1;
        (true, before)
    } else {
        kind.dropped += 1;
        (false, before)
    }
}

impl Log {
    fn write(&self, line: &Line) {
        let text = line.render(self.json, SystemTime::now());
        // A log that cannot be written has nowhere to say so.
        let _ = match &mut *lock(&self.file) {
            Some(file) => file.write_all(text.as_bytes()),
            None => io::stdout().lock().write_all(text.as_bytes()),
        };
    }
}

/// What `tracing` calls.
struct Installed;

impl Subscriber for Installed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (metadata.target().starts_with("moon") || metadata.target() == "script")
            && rank(*metadata.level()).0 >= LEVEL.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let Some(log) = LOG.get() else { return };
        let metadata = event.metadata();
        let component = metadata.target().rsplit("::").next().unwrap_or_default();
        let mut line = Line::new(rank(*metadata.level()).1, component);
        event.record(&mut line);
        let counted = count(&mut lock(&log.kinds), metadata.callsite(), &line, Instant::now());
        if let Some(before) = counted.1 {
            log.write(&before);
        }
        if counted.0 {
            log.write(&line);
        }
    }

    // Spans are not used.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The value of a field.
#[derive(Debug)]
enum Value {
    /// As it stands: a number, `true` or `false`.
    Number(String),
    Text(String),
}

/// One line before it is written.
#[derive(Debug)]
struct Line {
    level: &'static str,
    component: &'static str,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    fn new(level: &'static str, component: &'static str) -> Self {
        Self { level, component, message: String::new(), fields: Vec::new() }
    }

    fn add(&mut self, name: &'static str, value: Value) {
        match value {
            Value::Text(text) | Value::Number(text) if name == "message" => self.message = text,
            value => self.fields.push((name, value)),
        }
    }

    fn render(&self, json: bool, at: SystemTime) -> String {
        let mut out = String::new();
        if json {
            let _ = write!(
                out,
                "{{\"time\":\"{}\",\"level\":\"{}\",\"component\":\"{}\",\"message\":",
                timestamp(at),
                self.level,
                self.component
            );
            put_json(&mut out, &self.message);
            for (name, value) in &self.fields {
                let _ = write!(out, ",\"{name}\":");
                match value {
                    Value::Number(number) => out.push_str(number),
                    Value::Text(text) => put_json(&mut out, text),
                }
            }
            out.push_str("}\n");
            return out;
        }
        let (time, level) = (timestamp(at), self.level);
        let _ = write!(out, "{time} {level:<7} {:<8} {}", self.component, one_line(&self.message));
        for (name, value) in &self.fields {
            let (Value::Number(text) | Value::Text(text)) = value;
            let text = one_line(text);
            let _ = if text.is_empty() || text.contains([' ', '"', '=']) {
                write!(out, " {name}={text:?}")
            } else {
                write!(out, " {name}={text}")
            };
        }
        out.push('\n');
        out
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A JSON string (RFC 8259 §7).
fn put_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), Value::Text(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::Number(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), Value::Number(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), Value::Number(value.to_string()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), Value::Text(format!("{value:?}")));
    }
}

/// RFC 3339 in UTC with milliseconds. Days to a date after Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms" (`civil_from_days`).
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, secs) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    let ms = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (secs, want) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.007Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_millis(7);
            assert_eq!(timestamp(at), want);
        }
    }

    fn line(message: &str) -> Line {
        let mut line = Line::new("notice", "net");
        line.message = message.into();
        line
    }

    #[test]
    fn both_forms_are_one_line() {
        let mut line = line("two\nlines \"quoted\"");
        line.add("n", Value::Number("3".into()));
        line.add("why", Value::Text("a b\u{1}\\".into()));
        let text = line.render(false, UNIX_EPOCH);
        let want = "1970-01-01T00:00:00.000Z notice  net      two lines \"quoted\" n=3 why=\"a b\\u{1}\\\\\"\n";
        assert_eq!(text, want);
        let want = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"notice\",\"component\":\"net\",\
                    \"message\":\"two\\nlines \\\"quoted\\\"\",\"n\":3,\"why\":\"a b\\u0001\\\\\"}\n";
        assert_eq!(line.render(true, UNIX_EPOCH), want);
    }

    #[test]
    fn too_many_lines_of_a_kind_are_counted_instead() {
        let id = tracing::callsite!(name: "test", kind: tracing::metadata::Kind::EVENT, fields: x);
        let id = tracing::Callsite::metadata(id).callsite();
        let (mut kinds, start) = (HashMap::new(), Instant::now());
        let mut written = 0;
        for _ in 0..BURST + 50 {
            written += u32::from(count(&mut kinds, id.clone(), &line("often"), start).0);
        }
        assert_eq!(written, BURST);
        assert!(due(&mut kinds, start + WINDOW / 2).is_empty());
        // The next line of the kind says how many were left out, or the clock does.
        let later = start + WINDOW;
        let (goes, before) = count(&mut kinds, id.clone(), &line("often"), later);
        let text = before.expect("a summary").render(false, UNIX_EPOCH);
        assert!(goes && text.ends_with("lines left out dropped=50 of=often\n"), "{text}");
        for _ in 0..BURST {
            count(&mut kinds, id.clone(), &line("often"), later);
        }
        let lines = due(&mut kinds, later + WINDOW);
        assert_eq!(lines.len(), 1);
        assert!(kinds.is_empty() && due(&mut kinds, later + 2 * WINDOW).is_empty());
    }
}
