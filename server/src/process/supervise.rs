//! The main thread while the server runs: signals, progress, the service manager.

use std::fs;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::notify::Notify;
use super::{EXIT_ENVIRONMENT, log};
use crate::config::OptionId;
use crate::net::sys;
use crate::runtime::ShardEnd;
use crate::service::pulse::Phase;
use crate::service::shared::{HowToStop, Shared, unix_secs};
use crate::tls;

/// How often it looks after the log and the progress.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a dump waits for the shard's figures.
const DUMP_WAIT: Duration = Duration::from_millis(500);

/// Waits for the end of the shard's thread; the exit code.
pub(super) fn supervise(shared: &Shared, thread: JoinHandle<ShardEnd>, mut notify: Notify) -> u8 {
    let mut signalled = false;
    let mut kept_at = Instant::now();
    let mut certificates = tls::Watch::default();
    look_at_certificates(shared, &mut certificates);
    while !thread.is_finished() && shared.pulse.phase() != Phase::Ended {
        match sys::wait_signal(notify.pause()) {
            Some(signal) if sys::STOP_SIGNALS.contains(&signal) => {
                // One that was given up does not count.
                if signalled && shared.is_stopping() {
                    tracing::warn!(signal, "second signal: stopping at once");
                    sys::exit_now(128 + signal);
                }
                signalled = true;
                tracing::info!(signal, "stop asked for by a signal");
                shared.request_stop(how_to_stop(shared, signal));
            }
            Some(sys::RELOAD_SIGNAL) => reload(shared),
            Some(sys::DUMP_SIGNAL) => dump(shared),
            // The shard's thread has something to tell.
            Some(_) | None => {}
        }
        let now = Instant::now();
        notify.look(shared, now);
        if now.duration_since(kept_at) >= HOUSEKEEPING {
            kept_at = now;
            log::report_dropped();
            look_at_certificates(shared, &mut certificates);
            if shared.progress.loading.load(Relaxed) {
                report_progress(shared);
            }
        }
    }
    notify.look(shared, Instant::now());
    match thread.join() {
        Ok(ShardEnd::Stopped) => {
            tracing::info!("stopped: ready to exit, bye bye...");
            0
        }
        Ok(ShardEnd::Failed(code, text)) => {
            tracing::error!("{text}");
            code
        }
        Ok(ShardEnd::Io(e)) => {
            tracing::error!("shard thread: {e}");
            EXIT_ENVIRONMENT
        }
        // Only where panics unwind; the crash report has been written.
        Err(_) => 101,
    }
}

/// What the options say about a signal.
fn how_to_stop(shared: &Shared, signal: i32) -> HowToStop {
    let option = match signal {
        sys::INTERRUPT => OptionId::ShutdownOnSigint,
        _ => OptionId::ShutdownOnSigterm,
    };
    shared.with_config(|config| {
        let words = config.words(option).iter().map(|word| word.as_bytes());
        // Words were checked when they were set.
        HowToStop::of(words.filter(|word| *word != b"default")).unwrap_or_default()
    })
}

fn look_at_certificates(shared: &Shared, watch: &mut tls::Watch) {
    if let Some(tls) = shared.tls() {
        watch.look(&tls, unix_secs() as i64);
    }
}

/// Opens the log file again, and reads the TLS files again.
fn reload(shared: &Shared) {
    match log::reopen() {
        Ok(()) => tracing::info!("log file opened again"),
        Err(e) => tracing::warn!("the old log file stays open: {e}"),
    }
    match shared.reload_tls() {
        Ok(true) => tracing::info!("TLS files read again, for new connections"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "SIGHUP: TLS stays as it was"),
    }
}

fn report_progress(shared: &Shared) {
    let progress = &shared.progress;
    let total = progress.bytes_total.load(Relaxed);
    let done = progress.bytes_done.load(Relaxed).min(total);
    let secs = shared.facts.started.elapsed().as_secs_f64();
    let left = (total - done) as f64 * secs / done.max(1) as f64;
    let percent = format!("{:.1}", progress.percent());
    let records = progress.records.load(Relaxed);
    tracing::info!(bytes = done, total, percent, records, eta_secs = left as u64, "recovering");
}

/// Writes the state of shards and threads to the log. A stuck shard is no hindrance: then the figures
/// are the last ones.
fn dump(shared: &Shared) {
    let asked = Instant::now();
    shared.pulse.want();
    let mut figures = None;
    while asked.elapsed() < DUMP_WAIT {
        figures = shared.pulse.figures();
        if figures.as_ref().is_some_and(|f| f.taken >= asked) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let pulse = &shared.pulse;
    let silence = shared.facts.started.elapsed().saturating_sub(pulse.last_beat());
    let (phase, log) = (format!("{:?}", pulse.phase()).to_lowercase(), pulse.log().name());
    let silent_ms = silence.as_millis() as u64;
    match figures {
        None => tracing::info!(shard = 0, phase, silent_ms, log, "state of the shard"),
        Some(f) => {
            let keys: usize = f.dbs.iter().map(|db| db.keys).sum();
            let status = f.log.as_ref();
            tracing::info!(
                shard = 0,
                phase,
                silent_ms,
                log,
                figures_ms = f.taken.elapsed().as_millis() as u64,
                turns = f.turns.count,
                commands = f.stats.commands,
                clients = f.clients,
                blocked = f.blocked,
                output_bytes = f.output_bytes,
                keys,
                last_lsn = status.map_or(0, |l| l.last_lsn),
                written_lsn = status.map_or(0, |l| l.written_lsn),
                durable_lsn = status.map_or(0, |l| l.durable_lsn),
                unsynced_bytes = status.map_or(0, |l| l.unsynced_bytes),
                "state of the shard"
            );
        }
    }
    for (name, state, ticks) in threads() {
        tracing::info!(name, state, cpu_ticks = ticks, "thread");
    }
}

/// Name, state and processor time of each thread (proc(5): R runs, S sleeps, D waits for a device).
fn threads() -> Vec<(String, String, u64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        // The name stands in parentheses and may hold anything.
        let (name, rest) = text.rsplit_once(')')?;
        let name = name.split_once('(')?.1.to_string();
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|n| n.parse::<u64>().ok());
        Some((name, (*fields.first()?).to_string(), number(11)? + number(12)?))
    };
    tasks.filter_map(|task| read(task.path().join("stat"))).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn threads_are_read() {
        let all = super::threads();
        assert!(
            !all.is_empty()
                && all.iter().all(|(name, state, _)| !name.is_empty() && state.len() == 1)
        );
    }
}
