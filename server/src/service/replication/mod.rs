//! Replicas: who follows, where each of them is, and what each is sent next (redis-surface §23).
//!
//! A replica is a connection that was given the data set as a file and then gets the
//! [`stream`] of effects from the position at which the file was cut. Both are sent as the
//! replica takes them: all replicas share one stream, which is kept back to the slowest of them. One that
//! is further behind than `client-output-buffer-limit replica` allows is closed, to come again for a file.
//!
//! Invariants:
//! * File and position belong to one instant: the stream from there on is what the file lacks.
//! * The stream is fed from the first replica on until `repl-backlog-ttl` after the last has gone.
//! * What is sent leaves under the watermark of replies: no replica holds what the log could lose.

mod figures;
mod follow;
mod link;
pub(crate) mod stream;

use std::rc::Rc;

use moon_engine::exec::Shard;

use super::ShardService;
use super::host::ServerHost;
use super::shared::{hex, random};
use crate::config::{Config, OptionId, OutputLimit};
use crate::net::Slot;
use crate::net::hub::Order;
pub(crate) use figures::Figures;
pub(crate) use follow::Following;
use stream::Feed;

/// Unsent bytes beyond which a replica is given no more.
const WINDOW: usize = 1 << 20;
/// Length of the mark behind a payload of unknown length.
const MARK_LEN: usize = 40;

/// What a connection has said about itself before it asks to follow (REPLCONF).
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    /// Port that it listens to.
    pub(crate) port: u16,
    /// Address that it can be reached at, if not the peer's.
    pub(crate) address: Option<String>,
    /// It reads payloads of unknown length.
    pub(crate) eof: bool,
    /// It knows that the identity of a stream may change.
    pub(crate) psync2: bool,
    /// It wants the file and nothing more.
    pub(crate) file_only: bool,
    /// What it wants of the data set.
    pub(crate) content: Content,
}

/// What a file for a replica holds (`REPLCONF rdb-filter-only`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// Functions and keys.
    #[default]
    All,
    /// Functions.
    Functions,
    /// Its frame.
    Nothing,
}

/// A file on its way.
struct Payload {
    bytes: Vec<u8>,
    sent: usize,
    /// The replica finds its end by a mark, and says when it has loaded it: only then may more follow.
    by_mark: bool,
}

enum State {
    Payload(Payload),
    /// It has the file and loads it.
    Loading,
    Online,
    /// It wanted the file only.
    Served,
}

/// One replica.
pub(crate) struct Replica {
    slot: Slot,
    state: State,
    announced: Announced,
    /// Position of the stream that it is sent next.
    next: u64,
    /// Position it has confirmed.
    acked: u64,
    acked_ms: u64,
    /// Position that its own log holds.
    acked_durable: u64,
    /// It confirms what it has (it has come by PSYNC).
    confirms: bool,
    /// Since when it is behind by more than the soft limit.
    behind_since_ms: Option<u64>,
}

impl Replica {
    fn state_name(&self) -> &'static str {
        match self.state {
            State::Payload(_) => "send_bulk",
            State::Loading | State::Online | State::Served => "online",
        }
    }

    /// Whether it follows the stream, and was heard of within some seconds.
    fn is_good(&self, max_lag_secs: u64, now_ms: u64) -> bool {
        matches!(self.state, State::Online)
            && now_ms.saturating_sub(self.acked_ms) / 1000 <= max_lag_secs
    }

    /// Whether it is further behind than it may be.
    fn is_too_slow(&mut self, end: u64, limit: OutputLimit, now_ms: u64) -> bool {
        let behind = end - self.next.min(end);
        if limit.soft == 0 || behind < limit.soft {
            self.behind_since_ms = None;
        } else if self.behind_since_ms.is_none() {
            self.behind_since_ms = Some(now_ms);
        }
        let soft = self.behind_since_ms.is_some_and(|at| now_ms - at > limit.soft_secs * 1000);
        soft || (limit.hard > 0 && behind >= limit.hard)
    }
}

/// Counters of INFO.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SyncStats {
    /// Replicas that were given a file.
    pub(crate) full: u64,
    /// Replicas that could go on where they were.
    pub(crate) partial_ok: u64,
    /// Replicas that asked to, and could not.
    pub(crate) partial_err: u64,
    /// Bytes sent to replicas.
    pub(crate) bytes_out: u64,
}

/// All replicas.
pub(crate) struct Replicas {
    /// Names the history that the stream's positions belong to.
    id: String,
    /// The name it had before this server was promoted, up to a position.
    second: Option<(String, u64)>,
    feed: Rc<Feed>,
    /// The stream is being fed.
    feeding: bool,
    list: Vec<Replica>,
    announced: Vec<(Slot, Announced)>,
    /// When the last replica left, in milliseconds of the monotonic clock.
    alone_since_ms: u64,
    ping_at_ms: u64,
    pub(crate) stats: SyncStats,
    // Options.
    ping_ms: u64,
    timeout_ms: u64,
    backlog_ttl_ms: u64,
    wanted: usize,
    max_lag_secs: u64,
    limit: OutputLimit,
}

/// How a replica asks to follow.
pub(crate) enum Ask<'a> {
    /// SYNC: a file with its length, then the stream.
    Sync,
    /// PSYNC: to go on from a position of a history, if that can be.
    Psync {
        /// The history.
        id: &'a [u8],
        /// First position that it lacks.
        from: Option<u64>,
    },
}

impl Replicas {
    pub(crate) fn new() -> Self {
        Self {
            id: new_id(),
            second: None,
            feed: Rc::default(),
            feeding: false,
            list: Vec::new(),
            announced: Vec::new(),
            alone_since_ms: 0,
            ping_at_ms: 0,
            stats: SyncStats::default(),
            ping_ms: 10_000,
            timeout_ms: 60_000,
            backlog_ttl_ms: 0,
            wanted: 0,
            max_lag_secs: 0,
            limit: OutputLimit::default(),
        }
    }

    /// Takes over options.
    pub(crate) fn refresh(&mut self, config: &Config) {
        let ms = |id| (config.int(id) as u64).saturating_mul(1000);
        let ping_ms = ms(OptionId::ReplPingReplicaPeriod);
        if ping_ms != self.ping_ms {
            // Counted from now, not from the last one.
            self.ping_at_ms = 0;
            self.ping_ms = ping_ms;
        }
        self.timeout_ms = ms(OptionId::ReplTimeout);
        self.backlog_ttl_ms = ms(OptionId::ReplBacklogTtl);
        self.wanted = config.size(OptionId::MinReplicasToWrite);
        self.max_lag_secs = config.int(OptionId::MinReplicasMaxLag) as u64;
        self.limit = config.output_limits()[1];
        self.feed.0.borrow_mut().set_keep(config.size(OptionId::ReplBacklogSize));
    }

    /// Whether somebody follows, or the past is kept for one that may come again.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.feeding
    }

    /// Name of the history.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Position behind the last byte of the stream.
    pub(crate) fn offset(&self) -> u64 {
        self.feed.0.borrow().end()
    }

    /// Position of the oldest byte kept, and how many are kept.
    pub(crate) fn backlog(&self) -> (u64, usize) {
        let stream = self.feed.0.borrow();
        (stream.begin(), stream.len())
    }

    /// Whether a connection is a replica.
    pub(crate) fn is_replica(&self, slot: Slot) -> bool {
        self.list.iter().any(|r| r.slot == slot)
    }

    /// What a connection has said about itself.
    pub(crate) fn announced(&mut self, slot: Slot) -> &mut Announced {
        let at = match self.announced.iter().position(|(s, _)| *s == slot) {
            Some(at) => at,
            None => {
                self.announced.push((slot, Announced::default()));
                self.announced.len() - 1
            }
        };
        &mut self.announced[at].1
    }

    /// A replica says what it has.
    pub(crate) fn acknowledged(&mut self, slot: Slot, offset: u64, durable: u64, now_ms: u64) {
        let Some(replica) = self.list.iter_mut().find(|r| r.slot == slot) else { return };
        replica.acked = replica.acked.max(offset);
        replica.acked_durable = replica.acked_durable.max(durable);
        replica.acked_ms = now_ms;
        replica.confirms = true;
        if matches!(replica.state, State::Loading) {
            replica.state = State::Online;
        }
    }

    /// Replicas that have confirmed a position: that they have it, or that their log holds it.
    pub(crate) fn confirmed(&self, offset: u64, by_log: bool) -> usize {
        let online = self.list.iter().filter(|r| matches!(r.state, State::Online));
        online.filter(|r| offset <= if by_log { r.acked_durable } else { r.acked }).count()
    }

    /// Whether all of them have everything.
    pub(crate) fn have_all(&self) -> bool {
        let end = self.offset();
        self.list.iter().all(|r| r.acked >= end || matches!(r.state, State::Served))
    }

    /// Has all replicas say what they have.
    pub(crate) fn ask_for_confirmation(&self) {
        if !self.list.is_empty() {
            self.feed.0.borrow_mut().ask_for_confirmation();
        }
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, slot: Slot, now_ms: u64) {
        self.announced.retain(|(s, _)| *s != slot);
        let before = self.list.len();
        self.list.retain(|r| r.slot != slot);
        if before > 0 && self.list.is_empty() {
            self.alone_since_ms = now_ms;
        }
    }

    /// Whether writes have to be refused because too few replicas follow closely.
    pub(crate) fn lacks(&self, now_ms: u64) -> bool {
        if self.wanted == 0 || self.max_lag_secs == 0 {
            return false;
        }
        self.list.iter().filter(|r| r.is_good(self.max_lag_secs, now_ms)).count() < self.wanted
    }

    /// Appends a command that is no effect to the stream (PUBLISH).
    pub(crate) fn also(&self, db: u16, words: &[&[u8]]) {
        if self.feeding {
            self.feed.0.borrow_mut().command(db, words);
        }
    }

    /// This server's place in the history of its stream: what it would go on from as a replica.
    fn own_position(&self) -> Option<(String, u64)> {
        self.feeding.then(|| (self.id.clone(), self.offset()))
    }

    /// What is written here from now on is in no stream: a master says what is.
    fn stop_feeding(&mut self, shard: &mut Shard) {
        shard.journal.follow(None);
    }

    /// The stream of this server is its master's from here on. Those who follow another history, or are
    /// elsewhere in it, have to begin anew.
    fn take_over(&mut self, position: Option<&(String, u64)>) -> Vec<Slot> {
        self.feeding = true;
        let (id, at) = match position {
            Some((id, at)) => (id.clone(), *at),
            None => (new_id(), 0),
        };
        let mut stream = self.feed.0.borrow_mut();
        let same = self.id == id && stream.end() == at;
        if stream.end() != at {
            stream.restart(at);
        }
        drop(stream);
        self.id = id;
        self.second = None;
        if same {
            return Vec::new();
        }
        self.list.iter_mut().for_each(|r| r.state = State::Served);
        self.list.iter().map(|r| r.slot).collect()
    }

    /// Appends bytes of the master's stream.
    fn append(&mut self, bytes: &[u8]) {
        self.feed.0.borrow_mut().append_raw(bytes);
    }

    /// This server is followed for its own sake from here on. Its history goes on under a new name; under the
    /// old one it is known up to here.
    fn promote(&mut self, shard: &mut Shard) {
        if !self.feeding {
            return;
        }
        let old = std::mem::replace(&mut self.id, new_id());
        self.second = Some((old, self.offset()));
        self.feed.0.borrow_mut().select_anew();
        shard.journal.follow(Some(self.feed.clone()));
    }

    /// The history that this server was in before it was promoted, and the position at which it ends.
    pub(crate) fn second(&self) -> Option<(&str, u64)> {
        self.second.as_ref().map(|(id, at)| (id.as_str(), *at))
    }

    /// Whether what a replica has is part of this stream, and it can go on from there.
    fn knows(&self, id: &[u8], from: u64) -> bool {
        let stream = self.feed.0.borrow();
        let known = id == self.id.as_bytes()
            || self.second().is_some_and(|(old, end)| id == old.as_bytes() && from <= end);
        known && (stream.begin()..=stream.end()).contains(&from)
    }

    /// Ends the history: those that followed it must begin anew (DEBUG CHANGE-REPL-ID).
    pub(crate) fn change_id(&mut self) {
        self.id = new_id();
        self.second = None;
    }
}

/// A new name of a history.
fn new_id() -> String {
    let mut bytes = [0; MARK_LEN / 2];
    if random(&mut bytes).is_err() {
        // Without chance, time and process tell histories apart.
        let ms = super::shared::unix_ms();
        bytes[..8].copy_from_slice(&ms.to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    hex(&bytes)
}

impl ServerHost {
    /// Makes the current connection a replica; what it is sent first is appended to `out`.
    ///
    /// # Errors
    /// A value has no form in the file.
    pub(crate) fn follow(
        &mut self,
        shard: &mut Shard,
        ask: &Ask<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let slot = self.current;
        let now_ms = shard.now().mono_us / 1000;
        let announced = self.replicas.announced(slot).clone();
        let db = self.stream_db();
        let replicas = &mut self.replicas;
        if !replicas.feeding {
            replicas.feeding = true;
            replicas.ping_at_ms = now_ms + replicas.ping_ms;
            if self.following.is_none() {
                shard.journal.follow(Some(replicas.feed.clone()));
            }
        }
        let mut state = None;
        if let Ask::Psync { id, from } = ask {
            match from {
                Some(from) if replicas.knows(id, *from) => {
                    let line = match announced.psync2 {
                        true => format!("+CONTINUE {}\r\n", replicas.id),
                        false => "+CONTINUE\r\n".into(),
                    };
                    out.extend_from_slice(line.as_bytes());
                    replicas.stats.partial_ok += 1;
                    state = Some((State::Online, *from));
                }
                from => {
                    let line = format!("+FULLRESYNC {} {}\r\n", replicas.id, replicas.offset());
                    out.extend_from_slice(line.as_bytes());
                    replicas.stats.partial_err += u64::from(from.is_some());
                }
            }
        }
        let (state, next) = match state {
            Some(found) => found,
            None => {
                let payload = Payload::of(shard, &announced, replicas.id.as_bytes(), db)?;
                let mut stream = replicas.feed.0.borrow_mut();
                if self.following.is_none() {
                    stream.select_anew();
                }
                replicas.stats.full += 1;
                (State::Payload(payload), stream.end())
            }
        };
        replicas.list.retain(|r| r.slot != slot);
        replicas.list.push(Replica {
            slot,
            state,
            announced,
            next,
            acked: 0,
            acked_durable: 0,
            acked_ms: now_ms,
            behind_since_ms: None,
            confirms: matches!(ask, Ask::Psync { .. }),
        });
        self.change_client(slot, |client| client.replica = true);
        Ok(())
    }
}

impl Payload {
    /// The data set of this instant.
    fn of(
        shard: &Shard,
        announced: &Announced,
        id: &[u8],
        db: Option<u16>,
    ) -> Result<Self, String> {
        use moon_formats::redis_rdb::FileWriter;
        let mut file = FileWriter::for_any_reader();
        file.aux(b"redis-ver", env!("CARGO_PKG_VERSION").as_bytes());
        file.aux(b"redis-bits", usize::BITS.to_string().as_bytes());
        file.aux(b"ctime", (shard.now().unix_ms / 1000).to_string().as_bytes());
        file.aux(b"repl-id", id);
        if let Some(db) = db {
            file.aux(b"repl-stream-db", db.to_string().as_bytes());
        }
        if announced.content != Content::Nothing {
            let keys = announced.content == Content::All;
            shard.export(&mut file, keys).map_err(|e| e.to_string())?;
        }
        let content = file.finish();
        let mut bytes;
        let by_mark = announced.eof;
        if by_mark {
            let mark = new_id();
            bytes = format!("$EOF:{mark}\r\n").into_bytes();
            bytes.extend_from_slice(&content);
            bytes.extend_from_slice(mark.as_bytes());
        } else {
            bytes = format!("${}\r\n", content.len()).into_bytes();
            bytes.extend_from_slice(&content);
        }
        Ok(Payload { bytes, sent: 0, by_mark })
    }
}

impl ShardService {
    /// Gives every replica what it can take.
    #[cold]
    pub(super) fn feed_replicas(&mut self) {
        let now_ms = self.shard.now().mono_us / 1000;
        self.tend_replicas(now_ms);
        self.shard.lacks_replicas = self.host.replicas.lacks(now_ms);
        let lsn = self.log.as_ref().map_or(0, moon_storage::log::Log::last_lsn);
        let host = &mut self.host;
        let feed = host.replicas.feed.clone();
        let mut stream = feed.0.borrow_mut();
        let mut chunk = Vec::new();
        let mut list = std::mem::take(&mut host.replicas.list);
        for replica in &mut list {
            if matches!(replica.state, State::Served) {
                continue;
            }
            if replica.is_too_slow(stream.end(), host.replicas.limit, now_ms) {
                let client = host.client(replica.slot).map_or(0, |c| c.id);
                tracing::warn!(client, "replica closed: it is too far behind");
                host.stats.output_limit += 1;
                host.orders.push(Order::Kill(replica.slot));
                replica.state = State::Served;
                continue;
            }
            let unsent = host.client(replica.slot).map_or(0, |c| c.figures.output);
            let Some(room) = WINDOW.checked_sub(unsent).filter(|room| *room > 0) else { continue };
            chunk.clear();
            match &mut replica.state {
                State::Payload(payload) => {
                    let end = payload.bytes.len().min(payload.sent + room);
                    chunk.extend_from_slice(&payload.bytes[payload.sent..end]);
                    payload.sent = end;
                    if end == payload.bytes.len() {
                        replica.state = match payload.by_mark {
                            _ if replica.announced.file_only => State::Served,
                            true => State::Loading,
                            false => State::Online,
                        };
                        replica.acked_ms = now_ms;
                    }
                }
                State::Online => {
                    let read = stream.read(replica.next, room, &mut chunk);
                    debug_assert!(read.is_some(), "what a replica needs is kept");
                    replica.next += read.unwrap_or(0) as u64;
                }
                State::Loading | State::Served => {}
            }
            if !chunk.is_empty() {
                host.replicas.stats.bytes_out += chunk.len() as u64;
                host.outbox.push(replica.slot, &chunk, lsn, 0);
            }
        }
        let follows = list.iter().filter(|r| !matches!(r.state, State::Served));
        stream.set_needed(follows.map(|r| r.next).min());
        host.replicas.list = list;
    }

    /// Keeps in touch with replicas, drops those that are silent, and the past that nobody comes back to.
    fn tend_replicas(&mut self, now_ms: u64) {
        let replicas = &mut self.host.replicas;
        if replicas.list.is_empty() {
            let alone_ms = now_ms.saturating_sub(replicas.alone_since_ms);
            // A replica may be promoted at any time, and its sisters come then.
            let kept = self.host.following.is_some();
            if !kept && replicas.backlog_ttl_ms > 0 && alone_ms > replicas.backlog_ttl_ms {
                replicas.feeding = false;
                replicas.feed.0.borrow_mut().clear();
                // What is written from here on is in no stream.
                replicas.change_id();
                self.shard.journal.follow(None);
            }
            return;
        }
        if replicas.ping_at_ms == 0 {
            replicas.ping_at_ms = now_ms + replicas.ping_ms;
        } else if now_ms >= replicas.ping_at_ms && self.host.following.is_none() {
            replicas.ping_at_ms = now_ms + replicas.ping_ms;
            replicas.feed.0.borrow_mut().control(&[b"PING"]);
        }
        for replica in &replicas.list {
            let silent_ms = now_ms.saturating_sub(replica.acked_ms);
            let speaks = replica.confirms && matches!(replica.state, State::Online);
            if speaks && silent_ms > replicas.timeout_ms {
                tracing::warn!(
                    silent_ms,
                    "replica closed: nothing was heard of it for repl-timeout"
                );
                self.host.orders.push(Order::Kill(replica.slot));
            }
        }
    }
}
