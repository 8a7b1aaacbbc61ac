//! Following a master: from the first attempt to the stream, and back to it when the link breaks.
//!
//! The stream comes over a connection of the shard like any other and is executed as it comes. What has been
//! executed is appended, byte for byte, to this server's own stream, under the master's name and numbering: so
//! replicas of a replica, and a replica that is promoted, go on where the master was.
//!
//! Invariants:
//! * The position counts what has been executed, whole transactions only: after a break nothing is missing
//!   and nothing is done twice.
//! * A file is read into the data set through the one write path; it is logged like everything else.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use moon_engine::args::Args;
use moon_engine::exec::{Outcome, Role, Session, Shard};
use moon_formats::redis_rdb::{Encoder, FileReader, Item, Limits, Step};
use moon_formats::resp::encode_command;

use super::link::{self, Event, Start, Target};
use crate::config::{Config, OptionId};
use crate::net::Slot;
use crate::net::conn::Next;
use crate::net::hub::{Link, Order};
use crate::service::ShardService;
use crate::service::host::ServerHost;

/// Time between two attempts.
const RETRY_MS: u64 = 1000;
/// Time between two confirmations.
const ACK_MS: u64 = 1000;
/// Executed bytes of the stream beyond which room is made.
const KEEP_BYTES: usize = 1 << 20;
/// Pieces of a file taken in one turn.
const PIECES: usize = 4;

enum State {
    /// The next attempt begins at this time, in milliseconds of the monotonic clock.
    Connect(u64),
    /// An attempt is under way.
    Attempt(Receiver<Event>, Stage),
    /// A socket, with what came over it already, is to become a connection.
    Arrived(Link),
    /// That is being done.
    Opening,
    /// The stream comes over this connection.
    Streaming(Slot),
}

/// How far an attempt is.
enum Stage {
    Connecting,
    /// The master has answered; perhaps it is making the file.
    Sync,
    Loading(Option<Box<Loading>>),
}

/// A file being read into the data set.
struct Loading {
    reader: FileReader,
    buffer: Vec<u8>,
    ended: bool,
}

/// A server that is followed.
pub(crate) struct Following {
    pub(crate) host: String,
    pub(crate) port: u16,
    state: State,
    /// The history known, and the position of the next byte of it.
    have: Option<(String, u64)>,
    /// Database of the stream.
    db: u16,
    /// Bytes received of the stream; the first `taken` of them have been executed.
    pending: Vec<u8>,
    taken: usize,
    /// Bytes of the connection that were executed, as it counts them.
    consumed: u64,
    /// The master has asked for a confirmation.
    asked: bool,
    ack_at_ms: u64,
    /// Since when there is no stream.
    pub(crate) down_since_ms: u64,
}

impl Following {
    pub(crate) fn new(host: String, port: u16, have: Option<(String, u64)>, now_ms: u64) -> Self {
        Self {
            host,
            port,
            state: State::Connect(now_ms),
            have,
            db: 0,
            pending: Vec::new(),
            taken: 0,
            consumed: 0,
            asked: false,
            ack_at_ms: 0,
            down_since_ms: now_ms,
        }
    }

    /// Whether the stream comes.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Streaming(_))
    }

    /// Whether a file is on its way or being read.
    pub(crate) fn is_syncing(&self) -> bool {
        matches!(self.state, State::Attempt(_, Stage::Sync | Stage::Loading(_)))
    }

    /// The state as ROLE names it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Connect(_) => "connect",
            State::Attempt(_, Stage::Connecting) => "connecting",
            State::Attempt(..) => "sync",
            State::Arrived(..) | State::Opening | State::Streaming(_) => "connected",
        }
    }

    /// The connection that the stream comes over.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.state {
            State::Streaming(slot) => Some(slot),
            _ => None,
        }
    }

    /// Whether a socket is to become a connection.
    pub(crate) fn has_arrived(&self) -> bool {
        matches!(self.state, State::Arrived(..))
    }

    /// Position up to which the stream has been executed.
    pub(crate) fn position(&self) -> u64 {
        self.have.as_ref().map_or(0, |(_, at)| *at)
    }

    /// The master wants to know how far this server is.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    fn wait(&mut self, now_ms: u64, delay_ms: u64) {
        if self.is_up() {
            self.down_since_ms = now_ms;
        }
        self.state = State::Connect(now_ms + delay_ms);
        self.pending = Vec::new();
        self.taken = 0;
    }
}

impl ServerHost {
    /// The database that the next command of the stream is for, if a master says so.
    pub(super) fn stream_db(&self) -> Option<u16> {
        self.following.as_ref().map(|f| f.db)
    }

    /// The role that clients are to be served in.
    pub(in crate::service) fn role(&self) -> Role {
        match &self.following {
            None if self.shared.facts.inspected().is_some() => Role::Onlooker,
            None => Role::Master,
            Some(f) => Role::Replica {
                read_only: self.replica_read_only,
                stale: !self.serve_stale && !f.is_up(),
            },
        }
    }

    /// Begins to follow another server, or nobody.
    pub(crate) fn set_master(&mut self, shard: &mut Shard, master: Option<(String, u16)>) {
        let now_ms = shard.now().mono_us / 1000;
        let old = self.following.take();
        if let Some(slot) = old.as_ref().and_then(Following::slot) {
            self.orders.push(Order::Kill(slot));
        }
        if shard.loading {
            // What was being read is not whole; the next master's file takes its place.
            shard.loading = false;
        }
        match master {
            Some((host, port)) => {
                tracing::info!(master = %format_args!("{host}:{port}"), "following");
                // With luck the new master knows the history that this server is in.
                let have = match old {
                    Some(old) => old.have,
                    None => self.replicas.own_position(),
                };
                self.replicas.stop_feeding(shard);
                self.following = Some(Following::new(host, port, have, now_ms));
            }
            None if old.is_some() => {
                tracing::info!("following nobody");
                self.replicas.promote(shard);
            }
            None => {}
        }
        shard.set_role(self.role());
    }
}

impl ShardService {
    /// Goes on with an attempt, keeps the link alive.
    #[cold]
    pub(in crate::service) fn tend_link(&mut self) {
        let now_ms = self.shard.now().mono_us / 1000;
        let degraded = self.is_degraded();
        let Some(following) = &mut self.host.following else { return };
        match &following.state {
            State::Connect(at) if now_ms >= *at && !degraded => self.attempt(now_ms),
            State::Connect(_) | State::Arrived(..) | State::Opening => {}
            State::Attempt(..) => self.hear(now_ms),
            State::Streaming(slot) => {
                let slot = *slot;
                let quiet_ms = self
                    .host
                    .client(slot)
                    .map_or(0, |c| now_ms.saturating_sub(c.figures.active_ms.max(c.created_ms)));
                if quiet_ms > self.host.replicas.timeout_ms {
                    tracing::warn!(quiet_ms, "nothing was heard of the master for repl-timeout");
                    self.host.orders.push(Order::Kill(slot));
                }
            }
        }
        self.acknowledge(now_ms);
        self.shard.set_role(self.host.role());
    }

    /// When the link wants attention, in milliseconds of the monotonic clock.
    pub(in crate::service) fn link_due_ms(&self) -> u64 {
        match &self.host.following {
            None => u64::MAX,
            Some(f) => match &f.state {
                State::Connect(at) => *at,
                State::Attempt(..) | State::Arrived(..) | State::Opening => u64::MAX,
                State::Streaming(_) => f.ack_at_ms,
            },
        }
    }

    fn attempt(&mut self, now_ms: u64) {
        let shared = self.host.shared.clone();
        let Some(following) = &mut self.host.following else { return };
        let (host, port, have) = (following.host.clone(), following.port, following.have.clone());
        let target = shared.with_config(|config: &Config| Target {
            host,
            port,
            from: config.text(OptionId::BindSourceAddr).parse().ok(),
            user: config.text(OptionId::MasterUser).into(),
            password: config.text(OptionId::MasterAuth).into(),
            own_port: match config.bool(OptionId::TlsReplication) {
                true => config.int(OptionId::TlsPort) as u16,
                false => config.int(OptionId::Port) as u16,
            },
            timeout: Duration::from_secs(config.int(OptionId::ReplTimeout) as u64),
            dir: shared.facts.dir.clone(),
            databases: config.int(OptionId::Databases) as u64,
            have,
        });
        match link::begin(target, shared) {
            Ok(events) => following.state = State::Attempt(events, Stage::Connecting),
            Err(error) => {
                tracing::warn!(%error, "no thread for the link to the master");
                following.wait(now_ms, RETRY_MS);
            }
        }
    }

    /// Takes what the attempt has to say.
    fn hear(&mut self, now_ms: u64) {
        for _ in 0..PIECES {
            let Some(following) = &mut self.host.following else { return };
            let State::Attempt(events, _) = &following.state else { return };
            let event = match events.try_recv() {
                Ok(event) => event,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => Event::Failed("the attempt ended".into()),
            };
            if let Err(why) = self.take(event) {
                let Some(following) = &mut self.host.following else { return };
                tracing::warn!(
                    master = %format_args!("{}:{}", following.host, following.port),
                    "the link to the master failed: {why}"
                );
                if matches!(following.state, State::Attempt(_, Stage::Loading(_))) {
                    // Half a file is no position in any history, and no data to show.
                    following.have = None;
                    following.wait(now_ms, RETRY_MS);
                    if let Err(error) = self.empty() {
                        tracing::warn!("the data set could not be emptied: {error}");
                    }
                    self.shard.loading = false;
                    return;
                }
                following.wait(now_ms, RETRY_MS);
                return;
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), String> {
        let Some(following) = &mut self.host.following else { return Ok(()) };
        let State::Attempt(_, stage) = &mut following.state else { return Ok(()) };
        match event {
            Event::Connected => *stage = Stage::Sync,
            Event::Failed(why) => return Err(why),
            Event::File(bytes) => {
                tracing::info!(bytes, "the master's file is here, and takes the place of the data");
                let reader = FileReader::new(Limits::default());
                let loading = Loading { reader, buffer: Vec::new(), ended: false };
                *stage = Stage::Loading(Some(Box::new(loading)));
                following.db = 0;
                self.shard.loading = true;
                self.empty()?;
            }
            Event::Piece(piece) => {
                let Stage::Loading(slot) = stage else { return Ok(()) };
                // Out of the host while it is read: keys are put in on the host's behalf.
                let Some(mut loading) = slot.take() else { return Ok(()) };
                loading.buffer.extend_from_slice(&piece);
                self.load(&mut loading)?;
                if let Some(Following { state: State::Attempt(_, stage), .. }) =
                    &mut self.host.following
                {
                    *stage = Stage::Loading(Some(loading));
                }
            }
            Event::Stream { socket, secure, first, start } => {
                match start {
                    Start::Continued(id) => {
                        if let (Some(id), Some(have)) = (id, &mut following.have) {
                            have.0 = id;
                        }
                    }
                    Start::Full(position) => {
                        let Stage::Loading(loading) = stage else {
                            return Err("the stream came without a file".into());
                        };
                        if !loading.as_ref().is_some_and(|l| l.ended) {
                            return Err("the file ends too early".into());
                        }
                        following.have = position;
                        self.shard.loading = false;
                    }
                }
                following.state = State::Arrived(Link { socket, secure, first });
                let strangers = self.host.replicas.take_over(following.have.as_ref());
                self.host.orders.extend(strangers.into_iter().map(Order::Kill));
            }
        }
        Ok(())
    }

    /// Reads what there is of the file into the data set.
    fn load(&mut self, loading: &mut Loading) -> Result<(), String> {
        let mut at = 0;
        let mut encoder = Encoder::default();
        while !loading.ended {
            let rest = loading.buffer.get(at..).unwrap_or_default();
            match loading.reader.next(rest, false).map_err(|e| e.to_string())? {
                Step::More(_) => break,
                Step::Item(taken, item) => {
                    at += taken;
                    match item {
                        Item::Key(key) => self
                            .shard
                            .import(&mut self.host, &key, &mut encoder)
                            .map_err(|e| e.to_string())?,
                        Item::Function(source) => {
                            let source = source.into_owned();
                            self.own_command(&[b"FUNCTION", b"LOAD", b"REPLACE", &source])?;
                        }
                        Item::End { .. } => loading.ended = true,
                        Item::Aux(name, value) if *name == *b"repl-stream-db" => {
                            let db = std::str::from_utf8(&value).ok().and_then(|n| n.parse().ok());
                            if let (Some(db), Some(following)) = (db, &mut self.host.following) {
                                following.db = db;
                            }
                        }
                        // Only a reader that was asked to skip modules has any.
                        Item::Head(_) | Item::Aux(..) | Item::Resize(..) | Item::Module(_) => {}
                    }
                }
            }
        }
        loading.buffer.drain(..at);
        Ok(())
    }

    /// Empties the data set, to make room for another server's.
    fn empty(&mut self) -> Result<(), String> {
        self.own_command(&[b"FLUSHALL"])?;
        self.own_command(&[b"FUNCTION", b"FLUSH"])
    }

    /// Runs a command in the master's name.
    fn own_command(&mut self, words: &[&[u8]]) -> Result<(), String> {
        let mut session = Session::new(0);
        session.master = true;
        let mut out = Vec::new();
        match self.shard.run(&mut self.host, &mut session, Args::new(words), &mut out) {
            Outcome::Done | Outcome::Close => Ok(()),
            Outcome::Blocked => Err("a command of the master waits".into()),
        }
    }

    /// The socket that is to become the connection of the stream, and what came over it already.
    pub(in crate::service) fn take_arrived(&mut self) -> Option<Link> {
        let following = self.host.following.as_mut().filter(|f| f.has_arrived())?;
        match std::mem::replace(&mut following.state, State::Opening) {
            State::Arrived(link) => Some(link),
            _ => None,
        }
    }

    /// The stream has its connection: who speaks there.
    pub(in crate::service) fn link_opened(&mut self, slot: Slot) -> Option<Session> {
        let now_ms = self.shard.now().mono_us / 1000;
        let id = self.host.next_id();
        let following = self.host.following.as_mut()?;
        tracing::info!(
            master = %format_args!("{}:{}", following.host, following.port),
            position = following.position(),
            "the master's stream comes"
        );
        following.state = State::Streaming(slot);
        following.pending.clear();
        following.taken = 0;
        following.consumed = 0;
        following.asked = true;
        following.ack_at_ms = now_ms;
        let mut session = Session::new(id);
        session.master = true;
        session.db = following.db;
        Some(session)
    }

    /// The connection of the stream has ended.
    pub(in crate::service) fn link_closed(&mut self, slot: Slot) {
        let now_ms = self.shard.now().mono_us / 1000;
        if let Some(following) = &mut self.host.following
            && following.slot() == Some(slot)
        {
            tracing::warn!("the link to the master broke");
            following.wait(now_ms, 0);
            self.shard.set_role(self.host.role());
        }
    }

    /// Bytes of the stream have come.
    pub(in crate::service) fn stream_received(&mut self, slot: Slot, bytes: &[u8]) {
        if let Some(following) = &mut self.host.following
            && following.slot() == Some(slot)
        {
            following.pending.extend_from_slice(bytes);
        }
    }

    /// Whether the next request of a master's connection is not to be executed: the connection is not that
    /// of the master any more, or the log takes nothing. Then the link is taken up again when it does.
    #[cold]
    pub(in crate::service) fn hold_stream(&mut self, slot: Slot) -> Option<Next> {
        if self.host.following.as_ref().and_then(Following::slot) != Some(slot) {
            return Some(Next::Close);
        }
        if self.is_degraded() {
            self.host.orders.push(Order::Kill(slot));
            return Some(Next::Hold);
        }
        None
    }

    /// So many bytes of the stream's connection have been executed, whole requests.
    pub(in crate::service) fn stream_executed(&mut self, slot: Slot, consumed: u64) {
        let Some(Some(session)) = self.sessions.get(slot as usize) else { return };
        let Some(following) = &mut self.host.following else { return };
        if following.slot() != Some(slot) {
            return;
        }
        if session.multi_len().is_some() {
            // A transaction counts when it is whole.
            return;
        }
        following.db = session.db;
        let n = (consumed - following.consumed) as usize;
        following.consumed = consumed;
        let end = following.taken + n;
        self.host.replicas.append(&following.pending[following.taken..end]);
        following.taken = end;
        if end == following.pending.len() || end > KEEP_BYTES {
            following.pending.drain(..end);
            following.taken = 0;
        }
        if let Some((_, at)) = &mut following.have {
            *at += n as u64;
        }
        let now_ms = self.shard.now().mono_us / 1000;
        if following.asked {
            self.acknowledge(now_ms);
        }
    }

    /// Tells the master how far this server is, each second and when it asks.
    fn acknowledge(&mut self, now_ms: u64) {
        let Some(following) = &mut self.host.following else { return };
        let Some(slot) = following.slot() else { return };
        if !following.asked && now_ms < following.ack_at_ms {
            return;
        }
        following.asked = false;
        following.ack_at_ms = now_ms + ACK_MS;
        let position = following.position().to_string();
        let mut message = Vec::new();
        let words = [b"REPLCONF".as_slice(), b"ACK", position.as_bytes()];
        encode_command(&mut message, words.into_iter());
        self.host.outbox.push(slot, &message, 0, 0);
    }
}
