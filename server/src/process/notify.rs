//! Tells a service manager how the start goes: the datagrams of sd_notify(3).
//!
//! `READY=1` once data is recovered, `STATUS=` in words, `EXTEND_TIMEOUT_USEC=` while recovery makes
//! progress, `WATCHDOG=1` while every shard turns, `STOPPING=1`. A manager that is gone is no reason to
//! fail: what cannot be sent is dropped.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use moon_storage::log::LogState;

use crate::admin;
use crate::config::{Config, OptionId};
use crate::service::pulse::Phase;
use crate::service::shared::Shared;

/// How often STATUS may change.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How much longer than now a start may take that makes progress.
const EXTENSION: Duration = Duration::from_secs(30);

/// The manager's socket, and what it knows.
#[derive(Debug, Default)]
pub(super) struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// The manager restarts us if it hears nothing for so long.
    watchdog: Option<Duration>,
    fed: Option<Instant>,
    said: Option<Instant>,
    status: String,
    ready: bool,
    stopping: bool,
    records: u64,
}

/// The address in `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
fn address(name: &str) -> std::io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(name),
    }
}

impl Notify {
    /// Reads what the manager has put into the environment, as `supervised` allows.
    pub(super) fn from_env(config: &Config) -> Self {
        let mode = config.text(OptionId::Supervised);
        let env = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        let Some(name) = env("NOTIFY_SOCKET").filter(|_| matches!(mode, "auto" | "systemd")) else {
            if mode == "systemd" {
                tracing::warn!("supervised systemd, but NOTIFY_SOCKET is not set");
            }
            return Self::default();
        };
        let manager = address(&name).and_then(|to| Ok((UnixDatagram::unbound()?, to)));
        let manager = match manager {
            Ok(manager) => manager,
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used");
                return Self::default();
            }
        };
        let _ = manager.0.set_nonblocking(true);
        let own = env("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = env("WATCHDOG_USEC").filter(|_| own).and_then(|us| us.parse::<u64>().ok());
        let watchdog = micros.filter(|us| *us > 0).map(Duration::from_micros);
        Self { manager: Some(manager), watchdog, ..Self::default() }
    }

    /// How long the main thread may sleep.
    pub(super) fn pause(&self) -> Duration {
        self.watchdog
            .map_or(STATUS_EVERY, |w| (w / 3).clamp(Duration::from_millis(10), STATUS_EVERY))
    }

    fn send(&self, text: &str) {
        if let Some((socket, to)) = &self.manager {
            let _ = socket.send_to_addr(text.as_bytes(), to);
        }
    }

    /// Says what is new.
    pub(super) fn look(&mut self, shared: &Shared, now: Instant) {
        if self.manager.is_none() {
            return;
        }
        let alive = admin::stuck(shared).is_none();
        if let Some(watchdog) = self.watchdog
            && alive
            && self.fed.is_none_or(|at| now.duration_since(at) >= watchdog / 3)
        {
            self.fed = Some(now);
            self.send("WATCHDOG=1");
        }
        let phase = shared.pulse.phase();
        // Before that it may still be given up.
        if matches!(phase, Phase::Stopping | Phase::Ended) && !self.stopping {
            self.stopping = true;
            self.send("STOPPING=1\nSTATUS=stopping");
        }
        if self.stopping {
            return;
        }
        if phase == Phase::Serving && !self.ready {
            self.ready = true;
            self.status = "serving".into();
            self.send("READY=1\nSTATUS=serving");
        }
        if self.said.is_some_and(|at| now.duration_since(at) < STATUS_EVERY) {
            return;
        }
        self.said = Some(now);
        let status = match (phase, shared.pulse.log()) {
            (Phase::Loading, _) => {
                let records = shared.progress.records.load(Relaxed);
                if alive && std::mem::replace(&mut self.records, records) != records {
                    self.send(&format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
                }
                format!("recovering: {:.0} %, {records} records", shared.progress.percent())
            }
            (_, LogState::Ok) => "serving".into(),
            (_, state) => format!("degraded: {}", state.name()),
        };
        if status != self.status {
            self.send(&format!("STATUS={status}"));
            self.status = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_abstract_names() {
        let path = address("/run/notify").expect("an address");
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/notify")));
        let name = address("@notify").expect("an address");
        assert_eq!(name.as_abstract_name(), Some(b"notify".as_slice()));
        assert!(address(&"x".repeat(200)).is_err());
    }

    #[test]
    fn the_watchdog_is_fed_in_time() {
        let every = |us| Notify { watchdog: Some(Duration::from_micros(us)), ..Notify::default() };
        assert_eq!(every(30_000_000).pause(), STATUS_EVERY);
        assert_eq!(every(300_000).pause(), Duration::from_millis(100));
        assert_eq!(every(1).pause(), Duration::from_millis(10));
        assert_eq!(Notify::default().pause(), STATUS_EVERY);
    }
}
