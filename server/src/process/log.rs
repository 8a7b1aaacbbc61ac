//! The server's log: one line per event, written by a small `tracing` subscriber.
//!
//! ```text
//! 2026-01-31T12:00:00.123Z notice  net  listening, recovering shards=1
//! ```
//! time (RFC 3339, UTC), level (Redis' words), component (last part of the module path),
//! message, `key=value` fields. Never keys, values or passwords.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The least important level written: 0 debug, 1 verbose, 2 notice, 3 warning, 4 nothing.
static LEVEL: AtomicU8 = AtomicU8::new(2);

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

struct Log {
    file: Option<Mutex<File>>,
}

/// Installs the subscriber: to a file, or to standard output for an empty path.
pub(crate) fn install(path: &str) -> io::Result<()> {
    let file = if path.is_empty() {
        None
    } else {
        let open = OpenOptions::new().create(true).append(true).open(Path::new(path));
        Some(Mutex::new(
            open.map_err(|e| io::Error::new(e.kind(), format!("logfile {path}: {e}")))?,
        ))
    };
    tracing::subscriber::set_global_default(Log { file }).map_err(io::Error::other)
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("moon")
            && rank(*metadata.level()).0 >= LEVEL.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        let component = metadata.target().rsplit("::").next().unwrap_or_default();
        let text = format!(
            "{} {:<7} {component:<8} {}{}\n",
            timestamp(SystemTime::now()),
            rank(*metadata.level()).1,
            line.message,
            line.fields
        );
        // A log that cannot be written has nowhere to say so.
        let _ = match &self.file {
            Some(file) => match file.lock() {
                Ok(mut file) => file.write_all(text.as_bytes()),
                Err(_) => Ok(()),
            },
            None => io::stdout().lock().write_all(text.as_bytes()),
        };
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

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn add(&mut self, field: &Field, value: &str) {
        // One event is one line, whatever a message carries.
        let value = value.replace(['\n', '\r'], " ");
        if field.name() == "message" {
            self.message = value;
        } else if value.is_empty() || value.contains([' ', '"', '=']) {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
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
    use std::time::Duration;

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
}
