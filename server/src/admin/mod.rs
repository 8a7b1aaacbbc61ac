//! The admin port: /healthz, /readyz and /metrics over HTTP, on a thread of its own.
//!
//! The one idea: this thread asks nobody. It answers from what the shard's thread has stored
//! ([`Pulse`](crate::service::pulse)), so a stuck shard cannot block it; figures are asked for and
//! waited for up to [`FIGURES_WAIT`], then the last ones are served with their age.
//!
//! Invariants: one driver and one loop for all connections; every buffer, wait and number of
//! connections has a limit; nothing here reads a key or changes anything.

mod http;
mod metrics;
mod text;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moon_storage::log::LogState;

use crate::net::epoll::Epoll;
use crate::net::listen::Listener;
use crate::net::{Driver, Event, Slot, Wait};
use crate::service::pulse::{Phase, STUCK};
use crate::service::shared::Shared;
use http::{Method, Parsed, Status};
use metrics::Kept;
use text::Format;

/// Connections at once.
const CONNECTIONS_MAX: usize = 256;
/// A request must have arrived within this time after its first byte.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// A connection without a request is closed after this time.
const IDLE_WAIT: Duration = Duration::from_secs(60);
/// A reply must have left within this time.
const SEND_WAIT: Duration = Duration::from_secs(10);
/// How long a shard may take to give figures.
const FIGURES_WAIT: Duration = Duration::from_millis(500);
/// How often the loop looks while figures are waited for, and otherwise.
const LOOK_SOON: Duration = Duration::from_millis(10);
const LOOK_LATER: Duration = Duration::from_secs(1);

const PLAIN: &str = "text/plain; charset=utf-8";

/// Starts the thread.
pub(crate) fn start(listeners: Vec<Listener>, shared: Arc<Shared>) -> io::Result<()> {
    let mut driver = Epoll::new()?;
    for (index, listener) in listeners.into_iter().enumerate() {
        driver.listen(index as u32, listener.socket)?;
    }
    let admin = Admin { driver, shared, conns: Vec::new(), kept: Kept::default() };
    let thread = std::thread::Builder::new().name("admin".into());
    thread.spawn(move || {
        if let Err(error) = admin.run() {
            tracing::error!(%error, "admin port closed");
        }
    })?;
    Ok(())
}

/// Time since the shard's last turn.
fn silence(shared: &Shared) -> Duration {
    shared.facts.started.elapsed().saturating_sub(shared.pulse.last_beat())
}

/// Why the process does not count as alive.
pub(crate) fn stuck(shared: &Shared) -> Option<String> {
    let silence = silence(shared);
    (silence > STUCK)
        .then(|| format!("shard 0 has not turned for {:.1} seconds", silence.as_secs_f64()))
}

/// Why the server should get no traffic.
fn unready(shared: &Shared) -> Option<String> {
    if shared.is_stopping() || matches!(shared.pulse.phase(), Phase::Stopping | Phase::Ended) {
        return Some("shutting down".into());
    }
    if let Some(why) = stuck(shared) {
        return Some(why);
    }
    if shared.pulse.phase() == Phase::Loading {
        let percent = shared.progress.percent();
        return Some(format!("loading {percent:.0} %"));
    }
    match shared.pulse.log() {
        LogState::Ok if shared.pulse.is_link_down() => Some("link to the master is down".into()),
        LogState::Ok => None,
        state => Some(format!("degraded: {}", state.name())),
    }
}

/// One connection.
struct Conn {
    input: Vec<u8>,
    /// What the next deadline is about.
    stage: Stage,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No byte of a request is there.
    Idle,
    /// Some are.
    Reading,
    /// /metrics waits for figures newer than this moment.
    Figures { asked: Instant, format: Format, method: Method, keep_alive: bool },
    /// The reply leaves; the connection closes behind it unless it is kept alive.
    Sending { keep_alive: bool },
    /// The driver has been told to close it.
    Closed,
}

struct Admin {
    driver: Epoll,
    shared: Arc<Shared>,
    conns: Vec<Option<Conn>>,
    kept: Kept,
}

impl Admin {
    fn run(mut self) -> io::Result<()> {
        loop {
            let waits =
                self.conns.iter().flatten().any(|c| matches!(c.stage, Stage::Figures { .. }));
            let wait = Wait::Up(if waits { LOOK_SOON } else { LOOK_LATER });
            let mut happened = Vec::new();
            self.driver.poll(wait, &mut |event| match event {
                Event::Accepted { socket, .. } => happened.push(Happened::Accepted(socket)),
                Event::Data { slot, bytes } => happened.push(Happened::Data(slot, bytes.to_vec())),
                Event::Sent { slot, done: true, .. } => happened.push(Happened::Sent(slot)),
                Event::Eof { slot } | Event::Failed { slot, .. } => {
                    happened.push(Happened::Lost(slot));
                }
                Event::Gone { slot } => happened.push(Happened::Gone(slot)),
                Event::Sent { .. } | Event::AcceptFailed { .. } => {}
            })?;
            let now = Instant::now();
            for what in happened {
                self.happened(what, now);
            }
            for slot in 0..self.conns.len() {
                self.look(slot as Slot, now);
            }
        }
    }

    fn happened(&mut self, what: Happened, now: Instant) {
        match what {
            Happened::Accepted(socket) => self.accepted(socket, now),
            Happened::Data(slot, bytes) => {
                let Some(conn) = self.conn(slot) else { return };
                if conn.stage == Stage::Closed {
                    return;
                }
                // What comes while a reply is made waits its turn, within the same limit.
                if conn.input.len() + bytes.len() > 2 * http::HEAD_MAX {
                    return self.close(slot);
                }
                conn.input.extend_from_slice(&bytes);
                if conn.stage == Stage::Idle {
                    (conn.stage, conn.until) = (Stage::Reading, now + REQUEST_WAIT);
                }
                self.serve(slot, now);
            }
            Happened::Sent(slot) => self.sent(slot, now),
            Happened::Lost(slot) => self.close(slot),
            Happened::Gone(slot) => {
                if let Some(conn) = self.conns.get_mut(slot as usize) {
                    *conn = None;
                }
            }
        }
    }

    fn conn(&mut self, slot: Slot) -> Option<&mut Conn> {
        self.conns.get_mut(slot as usize)?.as_mut()
    }

    fn accepted(&mut self, socket: std::os::fd::OwnedFd, now: Instant) {
        let free = self.conns.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.conns.len());
        if slot >= CONNECTIONS_MAX {
            // A new probe matters more than an open connection without a request.
            let idle = |c: &&mut Option<Conn>| {
                c.as_ref().is_some_and(|c| matches!(c.stage, Stage::Idle | Stage::Reading))
            };
            if let Some(Some(conn)) =
                self.conns.iter_mut().filter(idle).min_by_key(|c| c.as_ref().map(|c| c.until))
            {
                conn.until = now;
            }
            return;
        }
        if free.is_none() {
            self.conns.push(None);
        }
        if self.driver.add(slot as Slot, socket).is_ok() {
            let (stage, until) = (Stage::Idle, now + IDLE_WAIT);
            self.conns[slot] = Some(Conn { input: Vec::new(), stage, until });
        }
    }

    /// Answers what has arrived, request after request.
    fn serve(&mut self, slot: Slot, now: Instant) {
        loop {
            let shared = self.shared.clone();
            let Some(conn) = self.conn(slot) else { return };
            if conn.stage != Stage::Reading {
                return;
            }
            let request = match http::parse(&conn.input) {
                Parsed::More => return,
                Parsed::Refused(status) => return self.refuse(slot, status, now),
                Parsed::Request(request) => request,
            };
            let (method, keep_alive, len) = (request.method, request.keep_alive, request.len);
            let health = |why: Option<String>, what: &str| match why {
                None => (http::OK, "OK\n".to_string()),
                Some(why) => (http::UNAVAILABLE, format!("NOT {what}: {why}\n")),
            };
            let (status, body) = match request.path {
                "/healthz" => health(stuck(&shared), "HEALTHY"),
                "/readyz" => health(unready(&shared), "READY"),
                "/metrics" => {
                    let format = Format::asked(request.accept);
                    conn.input.drain(..len);
                    conn.stage = Stage::Figures { asked: now, format, method, keep_alive };
                    conn.until = now + FIGURES_WAIT;
                    shared.pulse.want();
                    return;
                }
                _ => (http::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into()),
            };
            conn.input.drain(..len);
            self.send(slot, http::reply(status, PLAIN, &body, method, keep_alive), keep_alive, now);
        }
    }

    fn refuse(&mut self, slot: Slot, status: Status, now: Instant) {
        let body = format!("{}\n", status.1);
        self.send(slot, http::reply(status, PLAIN, &body, Method::Get, false), false, now);
    }

    fn send(&mut self, slot: Slot, mut reply: Vec<u8>, keep_alive: bool, now: Instant) {
        let Some(conn) = self.conn(slot) else { return };
        (conn.stage, conn.until) = (Stage::Sending { keep_alive }, now + SEND_WAIT);
        match self.driver.send(slot, &mut reply) {
            Ok(true) => self.sent(slot, now),
            Ok(false) => {}
            Err(_) => self.close(slot),
        }
    }

    fn sent(&mut self, slot: Slot, now: Instant) {
        let Some(conn) = self.conn(slot) else { return };
        match conn.stage {
            Stage::Sending { keep_alive: true } if conn.input.is_empty() => {
                (conn.stage, conn.until) = (Stage::Idle, now + IDLE_WAIT);
            }
            Stage::Sending { keep_alive: true } => {
                (conn.stage, conn.until) = (Stage::Reading, now + REQUEST_WAIT);
            }
            Stage::Sending { keep_alive: false } => self.close(slot),
            _ => {}
        }
    }

    fn close(&mut self, slot: Slot) {
        if let Some(conn) = self.conn(slot)
            && conn.stage != Stage::Closed
        {
            conn.stage = Stage::Closed;
            self.driver.close(slot);
        }
    }

    /// Does what is due on a connection.
    fn look(&mut self, slot: Slot, now: Instant) {
        let newest = self.shared.pulse.figures();
        let Some(conn) = self.conn(slot) else { return };
        let over = now >= conn.until;
        match conn.stage {
            Stage::Figures { asked, format, method, keep_alive }
                if over || newest.as_ref().is_some_and(|f| f.taken >= asked) =>
            {
                let shared = self.shared.clone();
                let body = self.kept.render(&shared, newest.as_deref(), format);
                let kind = format.content_type();
                let reply = http::reply(http::OK, kind, &body, method, keep_alive);
                self.send(slot, reply, keep_alive, now);
            }
            Stage::Reading if over => self.refuse(slot, http::TIMEOUT, now),
            Stage::Idle | Stage::Sending { .. } if over => self.close(slot),
            _ => {}
        }
        // Requests that came while a reply left.
        self.serve(slot, now);
    }
}

/// An event of the driver, to be handled behind its call.
enum Happened {
    Accepted(std::os::fd::OwnedFd),
    Data(Slot, Vec<u8>),
    Sent(Slot),
    Lost(Slot),
    Gone(Slot),
}
