//! What the server knows about one client, beside its session.

use std::collections::BTreeSet;
use std::os::fd::RawFd;

use moon_engine::acl::Handle;
use moon_engine::exec::Session;
use moon_formats::resp::Proto;

use super::acks::Position;
use super::pubsub::{Kind, Topic};
use super::tracking::{Mode, Tracked};
use crate::net::hub::ConnFigures;
use crate::net::listen::Peer;

/// One client.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    pub(crate) fd: RawFd,
    pub(crate) is_unix: bool,
    pub(crate) name: String,
    pub(crate) lib_name: String,
    pub(crate) lib_ver: String,
    pub(crate) created_ms: u64,
    pub(crate) no_evict: bool,
    /// It is being closed for the memory it took, and counts no more.
    pub(super) evicted: bool,
    /// Protocol of what is said to it.
    pub(crate) proto: Proto,
    /// What it listens to, by kind.
    pub(crate) topics: [BTreeSet<Topic>; 3],
    /// CLIENT TRACKING, if it is on.
    pub(crate) tracked: Option<Box<Tracked>>,
    /// It is shown every command.
    pub(crate) monitor: bool,
    /// It follows every change.
    pub(crate) replica: bool,
    /// It is followed.
    pub(crate) master: bool,
    /// Full name of the last command, empty before the first.
    pub(crate) last_command: &'static str,
    pub(crate) figures: ConnFigures,
    /// Where log and stream stood after the last of its requests that wrote.
    pub(super) wrote: Position,
    /// It waits until that is safe (WAIT, WAITAOF).
    pub(super) waits_for_acks: bool,
    /// Where it is in the changes that are pushed to it, and how many records behind.
    pub(crate) follows: Option<(u64, u64)>,
    /// Bytes of changes that wait until its connection has taken those before them.
    pub(crate) held: usize,
    /// Whose rights it has.
    pub(crate) user: Option<Handle>,
    view: View,
}

/// What CLIENT LIST shows of a session.
#[derive(Debug, Clone, Copy)]
struct View {
    db: u16,
    multi: Option<usize>,
    multi_bytes: usize,
    watch: usize,
    waiting: bool,
    no_touch: bool,
    closing: bool,
}

fn view(session: &Session) -> View {
    View {
        db: session.db,
        multi: session.multi_len(),
        multi_bytes: session.multi_bytes(),
        watch: session.watch_len(),
        waiting: session.waiting,
        no_touch: session.no_touch,
        closing: session.close,
    }
}

impl Client {
    pub(crate) fn new(id: u64, peer: Peer, fd: RawFd, is_unix: bool, now_ms: u64) -> Self {
        Self {
            id,
            peer,
            fd,
            is_unix,
            name: String::new(),
            lib_name: String::new(),
            lib_ver: String::new(),
            created_ms: now_ms,
            no_evict: false,
            evicted: false,
            proto: Proto::Resp2,
            topics: Default::default(),
            tracked: None,
            monitor: false,
            replica: false,
            master: false,
            last_command: "",
            user: None,
            wrote: Position::default(),
            waits_for_acks: false,
            follows: None,
            held: 0,
            figures: ConnFigures { active_ms: now_ms, ..ConnFigures::default() },
            view: view(&Session::new(id)),
        }
    }

    /// Notes what CLIENT LIST shows of the session.
    #[inline]
    pub(crate) fn observe(&mut self, session: &Session) {
        self.view = view(session);
    }

    /// Whether it listens to anything.
    #[inline]
    pub(crate) fn is_subscribed(&self) -> bool {
        self.topics.iter().any(|t| !t.is_empty())
    }

    /// How much it listens to: channels and patterns together, shard channels apart.
    pub(crate) fn topic_count(&self, kind: Kind) -> usize {
        let len = |kind: Kind| self.topics[kind as usize].len();
        match kind {
            Kind::Shard => len(Kind::Shard),
            Kind::Channel | Kind::Pattern => len(Kind::Channel) + len(Kind::Pattern),
        }
    }

    /// Id of the client its invalidations go to: 0 for itself, -1 without tracking.
    pub(crate) fn redirect_id(&self) -> i64 {
        match &self.tracked {
            None => -1,
            Some(t) => t.redirect.map_or(0, |peer| peer.id as i64),
        }
    }

    /// `normal`, `replica`, or `pubsub` in subscriber mode (CLIENT LIST TYPE).
    pub(crate) fn kind(&self) -> &'static str {
        match () {
            () if self.master => "master",
            () if self.replica => "replica",
            () if self.is_subscribed() => "pubsub",
            () => "normal",
        }
    }

    /// Index of its output buffer limits: normal, replica, pubsub.
    #[inline]
    pub(crate) fn output_class(&self) -> usize {
        match () {
            () if self.replica => 1,
            () if self.is_subscribed() => 2,
            () => 0,
        }
    }

    /// True if it watches keys.
    pub(crate) fn is_watching(&self) -> bool {
        self.view.watch > 0
    }

    /// Bytes of its buffers and of an open MULTI.
    #[inline]
    pub(crate) fn buffer_bytes(&self) -> usize {
        let f = &self.figures;
        let output = f.output.max(f.output_capacity) + self.held;
        f.input + f.input_free + output + self.view.multi_bytes
    }

    /// All bytes that it takes.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        if self.evicted {
            return 0;
        }
        self.buffer_bytes() + size_of::<Self>() + size_of::<Session>()
    }

    /// Name of its user.
    pub(crate) fn user_name(&self) -> String {
        let name = self.user.as_ref().map(|u| String::from_utf8_lossy(u.borrow().name()).into());
        name.unwrap_or_default()
    }

    /// The line of CLIENT LIST, without its end (redis-surface §14; Redis `networking.c`,
    /// `catClientInfoString`).
    pub(crate) fn line(&self, now_ms: u64) -> String {
        let v = &self.view;
        let f = &self.figures;
        let mut flags = String::new();
        let tracked = self.tracked.as_deref();
        for (on, letter) in [
            (self.monitor, 'O'),
            (self.master, 'M'),
            (self.replica, 'S'),
            (self.is_subscribed(), 'P'),
            (v.multi.is_some(), 'x'),
            (v.waiting || self.waits_for_acks, 'b'),
            (tracked.is_some(), 't'),
            (tracked.is_some_and(|t| t.broken), 'R'),
            (tracked.is_some_and(|t| t.mode == Mode::Broadcast), 'B'),
            (v.closing, 'c'),
            (self.is_unix, 'U'),
            (self.no_evict, 'e'),
            (v.no_touch, 'T'),
        ] {
            if on {
                flags.push(letter);
            }
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let age = now_ms.saturating_sub(self.created_ms) / 1000;
        let idle = now_ms.saturating_sub(f.active_ms) / 1000;
        let total = self.bytes();
        let follows =
            self.follows.map(|(cursor, lag)| format!(" cdc-cursor={cursor} cdc-lag={lag}"));
        let follows = follows.unwrap_or_default();
        format!(
            "id={} addr={} laddr={} fd={} name={} age={age} idle={idle} flags={flags} db={} sub={} \
             psub={} ssub={} multi={} watch={} qbuf={} qbuf-free={} argv-mem=0 multi-mem={} rbs={} \
             rbp={} obl={} oll=0 omem={} tot-mem={total} events={} cmd={} user={} redir={} \
             resp={} lib-name={} lib-ver={} io-thread=0 tot-net-in={} tot-net-out={} tot-cmds={}{follows}",
            self.id,
            self.peer.addr,
            self.peer.local_addr,
            self.fd,
            self.name,
            v.db,
            self.topics[Kind::Channel as usize].len(),
            self.topics[Kind::Pattern as usize].len(),
            self.topics[Kind::Shard as usize].len(),
            v.multi.map_or(-1, |n| n as i64),
            v.watch,
            f.input,
            f.input_free,
            v.multi_bytes,
            f.output_capacity,
            f.output_capacity,
            f.output,
            f.output + self.held,
            if f.output > 0 { "rw" } else { "r" },
            if self.last_command.is_empty() { "NULL" } else { self.last_command },
            self.user_name(),
            self.redirect_id(),
            if self.proto == Proto::Resp3 { 3 } else { 2 },
            self.lib_name,
            self.lib_ver,
            f.bytes_in,
            f.bytes_out,
            f.requests,
        )
    }
}
