//! What all threads of the server share: options, facts of the start, the wish to stop.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use moon_formats::salvage::Plan;
use rustls::ClientConfig;

use super::acl::UsersText;
use super::pulse::Pulse;
use crate::config::{Config, OptionId, Value};
use crate::net::{listen, sys};
use crate::process::point::Decided;
use crate::tls::{self, Tls, TlsError};

/// A listening socket, or one that was.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) name: String,
    pub(crate) kind: listen::Kind,
    pub(crate) is_open: bool,
}

/// Facts that do not change after the start.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) run_id: String,
    pub(crate) dir: PathBuf,
    /// Identity of the data directory.
    pub(crate) uuid: [u8; 16],
    pub(crate) executable: String,
    /// `uring` or `epoll`, and why.
    pub(crate) driver: &'static str,
    pub(crate) driver_why: String,
    /// The same of the files' driver.
    pub(crate) disk: &'static str,
    pub(crate) disk_why: String,
    /// Users as the configuration or `aclfile` defines them.
    pub(crate) users: Option<UsersText>,
    /// The point in time that the data are recovered to.
    pub(crate) point: Option<Decided>,
    /// What this start is to keep of a damaged directory.
    pub(crate) salvage: Option<Plan>,
    pub(crate) started: Instant,
    pub(crate) started_unix_secs: u64,
}

/// Whether the data are saved before the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StopSave {
    /// As save points and log say.
    #[default]
    AsConfigured,
    /// SAVE.
    Yes,
    /// NOSAVE.
    No,
}

/// How the server is to stop: the words of SHUTDOWN, and of the options for signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HowToStop {
    pub(crate) save: StopSave,
    /// NOW: without waiting for replicas.
    pub(crate) now: bool,
    /// FORCE: also if the data cannot be saved.
    pub(crate) force: bool,
}

impl HowToStop {
    /// Set in the form of every wish to stop.
    const WANTED: u8 = 1;

    /// By its words; `None` if one is unknown, or two contradict each other.
    pub(crate) fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut how = Self::default();
        let (mut save, mut nosave) = (false, false);
        for word in words {
            match () {
                () if word.eq_ignore_ascii_case(b"save") => save = true,
                () if word.eq_ignore_ascii_case(b"nosave") => nosave = true,
                () if word.eq_ignore_ascii_case(b"now") => how.now = true,
                () if word.eq_ignore_ascii_case(b"force") => how.force = true,
                () => return None,
            }
        }
        how.save = match (save, nosave) {
            (true, true) => return None,
            (true, false) => StopSave::Yes,
            (false, true) => StopSave::No,
            (false, false) => StopSave::AsConfigured,
        };
        Some(how)
    }

    fn to_bits(self) -> u8 {
        let save = match self.save {
            StopSave::AsConfigured => 0,
            StopSave::Yes => 2,
            StopSave::No => 4,
        };
        Self::WANTED | save | u8::from(self.now) << 3 | u8::from(self.force) << 4
    }

    fn from_bits(bits: u8) -> Option<Self> {
        let save = match bits & 6 {
            2 => StopSave::Yes,
            4 => StopSave::No,
            _ => StopSave::AsConfigured,
        };
        let how = Self { save, now: bits & 8 != 0, force: bits & 16 != 0 };
        (bits & Self::WANTED != 0).then_some(how)
    }
}

/// Progress of the recovery, for the log line of each second and for INFO.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) loading: AtomicBool,
    pub(crate) bytes_total: AtomicU64,
    pub(crate) bytes_done: AtomicU64,
    pub(crate) records: AtomicU64,
}

impl Progress {
    /// How much has been read, in percent.
    pub(crate) fn percent(&self) -> f64 {
        let total = self.bytes_total.load(Ordering::Relaxed);
        let done = self.bytes_done.load(Ordering::Relaxed).min(total);
        done as f64 * 100.0 / total.max(1) as f64
    }
}

/// One server.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Mutex<Config>,
    generation: AtomicU64,
    /// By index, which is never used twice.
    listeners: Mutex<Vec<Listening>>,
    /// What new TLS connections are accepted with.
    tls: Mutex<Option<Arc<Tls>>>,
    /// What TLS connections to other servers are made with.
    tls_client: Mutex<Option<Arc<ClientConfig>>>,
    pub(crate) facts: Facts,
    pub(crate) progress: Progress,
    /// What the shard's thread says about itself.
    pub(crate) pulse: Pulse,
    /// [`HowToStop`] as bits; 0 while nobody wants it.
    stop: AtomicU8,
    /// Wakes the shard thread.
    pub(crate) wake: Arc<OwnedFd>,
}

impl Facts {
    /// The point in time that the data are shown at, if they are only shown.
    pub(crate) fn inspected(&self) -> Option<&Decided> {
        self.point.as_ref().filter(|point| point.is_inspection())
    }
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        listeners: Vec<Listening>,
        tls: tls::Ends,
        facts: Facts,
        wake: Arc<OwnedFd>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config: Mutex::new(config),
            generation: AtomicU64::new(0),
            listeners: Mutex::new(listeners),
            tls: Mutex::new(tls.server.map(Arc::new)),
            tls_client: Mutex::new(tls.client),
            facts,
            progress: Progress::default(),
            pulse: Pulse::default(),
            stop: AtomicU8::new(0),
            wake,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Config> {
        // A panic ends the process, so a poisoned lock is never seen twice.
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the options.
    pub(crate) fn with_config<T>(&self, f: impl FnOnce(&Config) -> T) -> T {
        f(&self.lock())
    }

    /// Changes options; every thread takes them over at its next turn.
    pub(crate) fn change_config<T, E>(
        &self,
        f: impl FnOnce(&mut Config) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = f(&mut self.lock());
        if result.is_ok() {
            self.generation.fetch_add(1, Ordering::Release);
        }
        result
    }

    /// Keeps the value that an option has come to have by other means than CONFIG SET.
    pub(crate) fn note(&self, id: OptionId, value: Value) {
        self.lock().note(id, value);
    }

    /// Counts changes of options.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A listener's name and kind.
    pub(crate) fn listener(&self, index: u32) -> listen::Known {
        self.with_listeners(|all| {
            all.get(index as usize).map(|l| (l.name.clone(), l.kind)).unwrap_or_default()
        })
    }

    /// What new TLS connections are accepted with.
    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts something else in its place.
    pub(crate) fn set_tls(&self, ends: tls::Ends) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = ends.server.map(Arc::new);
        *self.tls_client.lock().unwrap_or_else(PoisonError::into_inner) = ends.client;
    }

    /// What a connection to another server is made with, if `option` says that it is to speak TLS.
    pub(crate) fn tls_client(&self, option: OptionId) -> Option<Arc<ClientConfig>> {
        self.with_config(|config| config.bool(option))
            .then(|| self.tls_client.lock().unwrap_or_else(PoisonError::into_inner).clone())?
    }

    /// Reads certificates and keys again; what is in force stays if that fails.
    ///
    /// # Errors
    /// They do not go together, or cannot be read.
    pub(crate) fn reload_tls(&self) -> Result<bool, TlsError> {
        let tls = self.with_config(tls::Ends::load)?;
        let on = tls.server.is_some() || tls.client.is_some();
        self.set_tls(tls);
        Ok(on)
    }

    /// Looks at the listeners, or changes them.
    pub(crate) fn with_listeners<T>(&self, f: impl FnOnce(&mut Vec<Listening>) -> T) -> T {
        f(&mut self.listeners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the server to stop in good order. Who has asked before is heeded.
    pub(crate) fn request_stop(&self, how: HowToStop) {
        let _ = self.stop.compare_exchange(0, how.to_bits(), Ordering::SeqCst, Ordering::SeqCst);
        sys::eventfd_wake(&self.wake);
    }

    /// The server goes on after all.
    pub(crate) fn cancel_stop(&self) {
        self.stop.store(0, Ordering::SeqCst);
    }

    /// How the server is to stop, if it is.
    pub(crate) fn stopping(&self) -> Option<HowToStop> {
        HowToStop::from_bits(self.stop.load(Ordering::SeqCst))
    }

    /// True while a stop is asked for.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }
}

/// Seconds since 1970.
pub(crate) fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Random bytes of the operating system.
pub(crate) fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")?.read_exact(bytes)
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_to_stop_is_read_and_kept() {
        let of = |text: &str| HowToStop::of(text.split_ascii_whitespace().map(str::as_bytes));
        for text in ["", "save", "NOSAVE", "now force", "nosave now force", "force save"] {
            let how = of(text).expect("words that go together");
            assert_eq!(HowToStop::from_bits(how.to_bits()), Some(how), "{text}");
        }
        assert_eq!(of("nosave").map(|how| how.save), Some(StopSave::No));
        assert_eq!(of("save nosave"), None);
        assert_eq!(of("later"), None);
        assert_eq!(HowToStop::from_bits(0), None);
    }
}
