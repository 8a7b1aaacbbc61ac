//! What a panic leaves behind: a report, and an end of the process (a half-working store is worse than none).
//!
//! The report names version, thread, place, a back trace and the commands that the thread ran last, by
//! name only. It goes to standard error and, in one line, to the log.

use std::cell::Cell;

use super::{complain, log};
use crate::net::sys;

/// Commands remembered.
const LAST: usize = 16;
/// Bytes of a panic's text that are kept: enough for ours, too little for a value.
const TEXT_MAX: usize = 200;

thread_local! {
    static COMMANDS: [Cell<&'static str>; LAST] = const { [const { Cell::new("") }; LAST] };
    static AT: Cell<usize> = const { Cell::new(0) };
}

/// Remembers that this thread begins to run a command.
#[inline]
pub(crate) fn note(command: &'static str) {
    let at = AT.get();
    COMMANDS.with(|all| all[at % LAST].set(command));
    AT.set(at.wrapping_add(1));
}

/// The commands that this thread ran last, the latest first.
fn last_commands() -> Vec<&'static str> {
    let end = AT.get();
    let at = |back| COMMANDS.with(|all| all[end.wrapping_sub(back) % LAST].get());
    (1..=LAST).map(at).filter(|name| !name.is_empty()).collect()
}

/// Makes a panic anywhere write its report and end the process.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let mut text = text.unwrap_or("no text").to_string();
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let commands = last_commands().join(" ");
        let trace = std::backtrace::Backtrace::force_capture();
        let (version, commit) = (crate::VERSION, crate::COMMIT);
        complain(&format!(
            "bug: version {version} ({commit}) thread {thread:?} at {place}: {text}\n\
             last commands, latest first: {commands}\n{trace}\n\
             The log is crash-safe: start again to recover. Please report this text.",
        ));
        log::last_words(&[
            ("version", version),
            ("commit", commit),
            ("thread", thread),
            ("place", &place),
            ("text", &text),
            ("commands", &commands),
        ]);
        sys::exit_on_abort(false);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_commands_are_kept() {
        assert_eq!(last_commands(), [""; 0]);
        note("set");
        note("get");
        assert_eq!(last_commands(), ["get", "set"]);
        for _ in 0..LAST {
            note("incr");
        }
        assert_eq!(last_commands(), ["incr"; LAST]);
    }
}
