//! Changes out of the log, to whoever asks for them (CDC.READ, CDC.SUBSCRIBE).
//!
//! The one idea: a reader is a cursor. A task of its own has a page of the log read, and made into the bytes that
//! are sent, on other threads ([`moon_storage::changes`]); what it has found waits in the tray until the turn
//! takes it out, and is sent a piece a turn. Nothing is queued for a reader that is slow, and a reader that waits
//! is a row in a list that the turn looks at when the watermark has moved.
//!
//! Invariants:
//! * Only records up to [`Log::shown_lsn`] are turned into events.
//! * A unit is never split over two pages, unless it alone exceeds what a page may hold.
//! * A subscriber is a cursor too: while its credit or its connection is used up nothing is read for it.
//! * A turn hands a connection at most a piece of a page ([`PIECE_BYTES`], or one event), and the next when the
//!   connection has taken it.
//! * Nothing else stands between two pieces of a reply.
//! * A server whose log nobody follows does one comparison a turn.

mod base;
mod figures;
mod filter;
mod follow;
mod page;
mod retain;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use moon_engine::acl::{self, User};
use moon_engine::args::Args;
use moon_engine::exec::{ClientReply, Deadline, Session};
use moon_engine::slots::Slot;
use moon_formats::resp::{Proto, Reply};
use moon_storage::io::{Disk, Runtime};
use moon_storage::log::Log;
use moon_storage::parts::{Parts, ShardPaths};

use super::ShardService;
use super::host::ServerHost;
use super::saver::Ground;
use super::shared::hex;
use crate::config::{Config, OptionId};
use crate::net;
pub(crate) use figures::CdcFigures;
pub(crate) use filter::{Filter, Planes};
use follow::Follower;
pub(crate) use page::{Cursor, Form, Page, Query, Trouble};
use page::{Shelf, Source};
use retain::Retention;

pub(crate) const NO_LOG: &str =
    "ERR there is no log to read changes from: the server runs with appendonly no";
/// Bytes of a page that a connection is handed in one turn, and may have to take yet when it is handed more.
const PIECE_BYTES: usize = 64 << 10;
/// The command that stands for all that show changes, where rights are looked at.
const READ: &[u8] = b"cdc.read";
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// What reading needs, from the start of service on.
#[derive(Clone)]
pub(crate) struct Desk {
    log: Log,
    disk: Rc<dyn Disk>,
    rt: Rc<dyn Runtime>,
    paths: ShardPaths,
    parts: Parts,
    wake: Rc<dyn Fn()>,
    /// Readers that have come somewhere, for the call that goes on there.
    shelf: Rc<Shelf>,
    /// Pages that are ready.
    tray: Rc<RefCell<Vec<Ready>>>,
}

/// A page on its way to its reader.
struct Ready {
    to: Reading,
    page: Result<Page, Trouble>,
}

/// Whom a page is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    /// A request, by its number.
    Request(u64),
    /// Subscribers that are at the same place and want the same, by their numbers.
    Followers(Rc<[u64]>),
}

/// A client whose CDC.READ is under way or waits for changes.
struct Waiter {
    number: u64,
    slot: net::Slot,
    client: u64,
    query: Query,
    /// It waits for changes at most until then; `None` inside for ever.
    until: Option<Deadline>,
    proto: Proto,
    /// CLIENT REPLY is off.
    silent: bool,
    /// A task reads for it.
    reading: bool,
}

/// A reply that is being sent: events of its page from byte `sent` on are to come.
struct Sending {
    slot: net::Slot,
    page: Page,
    sent: usize,
}

/// All readers of changes.
#[derive(Default)]
pub(crate) struct Cdc {
    desk: Option<Desk>,
    waiters: Vec<Waiter>,
    sending: Vec<Sending>,
    followers: Vec<Follower>,
    number: u64,
    /// The running request asks to wait.
    asked: bool,
    /// Events handed to readers, ever.
    pub(crate) sent: u64,
    retention: Retention,
    name: String,
}

impl Cdc {
    /// Takes over options.
    pub(super) fn refresh(&mut self, config: &Config) {
        self.retention.refresh(config);
        self.name = config.text(OptionId::CdcName).to_string();
    }

    /// Up to which change of slots the log keeps what they need.
    #[inline]
    pub(super) fn slots_seen(&self) -> u64 {
        self.retention.slots_seen
    }

    /// Whether the request that has run asked to wait.
    #[inline]
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether a turn has anything to do here.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        !self.waiters.is_empty() || !self.followers.is_empty() || !self.sending.is_empty()
    }

    /// Whether a client waits for changes, or they are pushed to it.
    fn has_reader(&self, slot: net::Slot) -> bool {
        self.waiters.iter().any(|w| w.slot == slot) || self.followers.iter().any(|f| f.slot == slot)
    }

    /// Whether a part of a reply to a client is still to be sent.
    #[inline]
    pub(super) fn is_sending(&self, slot: net::Slot) -> bool {
        !self.sending.is_empty() && self.sending.iter().any(|s| s.slot == slot)
    }

    /// Clients that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// When the first wait ends, in microseconds of the monotonic clock.
    pub(super) fn next_deadline(&self) -> Deadline {
        let waits = self.waiters.iter().filter(|w| !w.reading).filter_map(|w| w.until.flatten());
        waits.chain(self.followers.iter().map(Follower::due_us)).min()
    }

    /// Forgets a client that is gone.
    pub(super) fn forget(&mut self, slot: net::Slot) {
        self.waiters.retain(|w| w.slot != slot);
        self.sending.retain(|s| s.slot != slot);
        self.followers.retain(|f| f.slot != slot);
    }
}

impl Desk {
    /// Nothing before the log has a part list: then it does not count yet.
    fn new(log: &Log, ground: &Ground) -> Option<Desk> {
        Some(Desk {
            log: log.clone(),
            disk: ground.disk.clone(),
            rt: ground.rt.clone(),
            paths: ground.paths.clone(),
            parts: ground.parts.clone()?,
            wake: ground.wake.clone(),
            shelf: Rc::default(),
            tray: Rc::default(),
        })
    }

    /// The log that is read.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Directory of its segments.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.paths.log()
    }

    /// Has a page read.
    fn read(&self, to: Reading, query: &Query, name: String) {
        let (desk, query) = (self.clone(), query.with(query.filter.as_of_now()));
        self.rt.spawn(Box::pin(async move {
            let source = Source { desk: &desk, name: &name };
            let page = source.page(&query).await;
            desk.tray.borrow_mut().push(Ready { to, page });
            (desk.wake)();
        }));
    }
}

impl ServerHost {
    /// What changes are read with; nothing without a log.
    pub(crate) fn desk(&mut self) -> Option<Desk> {
        let log = self.log.as_ref()?;
        if let Some(desk) = self.cdc.desk.as_ref().filter(|desk| desk.log.is_same(log)) {
            return Some(desk.clone());
        }
        self.cdc.desk = Desk::new(log, self.saver.ground()?);
        self.cdc.desk.clone()
    }

    /// What events call this server.
    fn name_in_changes(&self) -> String {
        match self.cdc.name.is_empty() {
            true => uuid_text(&self.shared.facts.uuid),
            false => self.cdc.name.clone(),
        }
    }

    /// The log has ended, and with it whatever was read from it.
    fn end_changes(&mut self) {
        for waiter in std::mem::take(&mut self.cdc.waiters) {
            self.answer_page(&waiter, Err(Trouble::text(NO_LOG)));
        }
        self.end_all_following(&Trouble::text(NO_LOG));
    }

    /// Whether a client reads changes, and its user may not do so any more. Which keys it is shown is looked at
    /// for each page.
    pub(super) fn reads_unentitled(&self, slot: net::Slot, user: &User) -> bool {
        if !self.cdc.has_reader(slot) {
            return false;
        }
        let words: [&[u8]; 3] = [READ, b"0", b"$"];
        let command = crate::commands::table().find(READ);
        let denied = command.and_then(|c| acl::check(user, c, Args::new(&words), 0).err());
        denied.is_some_and(|denial| denial.reason == acl::Reason::Command)
    }

    /// Answers the running request with a page of changes: as soon as it is read, or with `until` as soon as
    /// there is a change, at the latest then.
    pub(crate) fn read_changes(
        &mut self,
        session: &Session,
        query: Query,
        until: Option<Deadline>,
    ) {
        let slot = self.current;
        if let Some(client) = self.client_mut(slot) {
            client.waits_for_acks = true;
        }
        self.cdc.number += 1;
        self.cdc.asked = true;
        self.cdc.waiters.push(Waiter {
            number: self.cdc.number,
            slot,
            client: session.id,
            query,
            until,
            proto: session.proto,
            silent: matches!(session.reply, ClientReply::Off | ClientReply::SkipThis),
            reading: false,
        });
    }

    /// Ends a client's wait for changes, as if its time were over or with an error. False if it does not wait
    /// here.
    pub(crate) fn end_wait_for_changes(&mut self, client: u64, error: bool) -> bool {
        let is_it = |w: &Waiter| w.client == client && w.until.is_some();
        let Some(at) = self.cdc.waiters.iter().position(is_it) else { return false };
        let waiter = self.cdc.waiters.remove(at);
        let page = match error {
            true => Err(Trouble::text(UNBLOCKED)),
            false => Ok(Page::empty(&waiter.query, 0)),
        };
        self.answer_page(&waiter, page);
        true
    }

    fn answer_page(&mut self, waiter: &Waiter, page: Result<Page, Trouble>) {
        let mut reply = Vec::new();
        self.cdc.sent += page.as_ref().map_or(0, |page| page.len() as u64);
        if waiter.silent {
            return self.end_reading(waiter.slot, &reply);
        }
        let mut out = Reply::new(&mut reply, waiter.proto);
        match page {
            Err(trouble) => out.error(&trouble.to_string()),
            Ok(page) => {
                page.head(&mut out);
                if page.frames().len() > PIECE_BYTES {
                    self.deliver_shown(waiter.slot, &reply);
                    self.note_held(waiter.slot, page.frames().len());
                    return self.cdc.sending.push(Sending { slot: waiter.slot, page, sent: 0 });
                }
                reply.extend_from_slice(page.frames());
            }
        }
        self.end_reading(waiter.slot, &reply);
    }

    /// Hands out the next pieces of replies whose connections have taken the last. Whether there are more for
    /// them.
    fn send_pieces(&mut self) -> bool {
        let mut more = false;
        let (mut all, mut at) = (std::mem::take(&mut self.cdc.sending), 0);
        while let Some(Sending { slot, page, sent }) = all.get_mut(at) {
            if !self.has_taken(*slot) {
                at += 1;
                continue;
            }
            let rest = page.frames().get(*sent..).unwrap_or_default();
            if let Some(piece) = rest.get(..PIECE_BYTES) {
                self.deliver_shown(*slot, piece);
                *sent += PIECE_BYTES;
                self.note_held(*slot, rest.len() - PIECE_BYTES);
                (more, at) = (true, at + 1);
            } else {
                self.end_reading(*slot, rest);
                all.swap_remove(at);
            }
        }
        self.cdc.sending = all;
        more
    }

    /// Sends the rest of a reply at once: something else is to be said on its connection.
    #[cold]
    pub(crate) fn send_rest(&mut self, slot: net::Slot) {
        let Some(at) = self.cdc.sending.iter().position(|s| s.slot == slot) else { return };
        let Sending { page, sent, .. } = self.cdc.sending.swap_remove(at);
        self.end_reading(slot, page.frames().get(sent..).unwrap_or_default());
    }

    /// A client has the last of its reply, and goes on.
    fn end_reading(&mut self, slot: net::Slot, rest: &[u8]) {
        self.deliver_shown(slot, rest);
        self.note_held(slot, 0);
        self.end_waiting(slot, &[]);
    }

    /// Says to a connection what the log has shown already: it waits for no write.
    fn deliver_shown(&mut self, slot: net::Slot, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.deliver_at(slot, bytes, 0);
        }
    }

    /// Counts what a client is still to be handed as its memory, and as output that has not left.
    fn note_held(&mut self, slot: net::Slot, bytes: usize) {
        self.change_client(slot, |client| client.held = bytes);
    }

    /// Whether a connection has so little to take yet that it can be handed more.
    fn has_taken(&self, slot: net::Slot) -> bool {
        self.client(slot).is_none_or(|client| client.figures.output < PIECE_BYTES)
    }
}

impl ShardService {
    /// Hands out the pages that are ready, and has others read.
    #[cold]
    pub(super) fn settle_changes(&mut self) {
        self.answer_changes();
        let more = self.host.send_pieces() | self.host.push_pieces();
        if let (true, Some(desk)) = (more, &self.host.cdc.desk) {
            (desk.wake)();
        }
    }

    fn answer_changes(&mut self) {
        let now_us = self.shard.now().mono_us;
        let host = &mut self.host;
        let Some(desk) = host.desk() else { return host.end_changes() };
        let ready = std::mem::take(&mut *desk.tray.borrow_mut());
        for Ready { to, page } in ready {
            let number = match to {
                Reading::Request(number) => number,
                Reading::Followers(numbers) => {
                    host.push_page(desk.paths.shard, &numbers, page, now_us);
                    continue;
                }
            };
            // Its client may have gone meanwhile.
            let Some(at) = host.cdc.waiters.iter().position(|w| w.number == number) else {
                continue;
            };
            let waiter = &mut host.cdc.waiters[at];
            if let (Ok(page), Some(until)) = (&page, waiter.until)
                && page.is_empty()
                && until.is_none_or(|at| at > now_us)
            {
                waiter.query.go_on(page);
                waiter.reading = false;
                continue;
            }
            let waiter = host.cdc.waiters.remove(at);
            host.answer_page(&waiter, page);
        }
        let shown = desk.log.shown_lsn();
        let name = host.name_in_changes();
        let mut late = Vec::new();
        for waiter in host.cdc.waiters.iter_mut().filter(|w| !w.reading) {
            let is_late = waiter.until.is_some_and(|until| until.is_some_and(|at| at <= now_us));
            match waiter.until {
                Some(_) if !waiter.query.may_find(shown) && is_late => late.push(waiter.number),
                Some(_) if !waiter.query.may_find(shown) => {}
                _ => {
                    waiter.reading = true;
                    desk.read(Reading::Request(waiter.number), &waiter.query, name.clone());
                }
            }
        }
        host.read_for_followers(&desk, &name, shown, now_us);
        for number in late {
            let Some(at) = host.cdc.waiters.iter().position(|w| w.number == number) else {
                continue;
            };
            let waiter = host.cdc.waiters.remove(at);
            let page = Page::empty(&waiter.query, 0);
            host.answer_page(&waiter, Ok(page));
        }
    }

    /// Says how much of the log readers need, and gives up slots that need too much. A few times a second.
    pub(super) fn retain_changes(&mut self) {
        let Some(desk) = self.host.desk() else {
            self.host.cdc.retention.slots_seen = self.shard.slots.generation();
            return;
        };
        let now_secs = self.shard.now().unix_ms / 1000;
        for (name, slot) in self.host.cdc.retention.too_long(&desk.log, &self.shard.slots) {
            let text = String::from_utf8_lossy(&name).into_owned();
            let given_up = Some(Slot { given_up: true, ..slot });
            if self.shard.set_slot(&mut self.host, &name, given_up).is_ok() {
                let lsn = slot.floor_lsn;
                tracing::warn!(
                    slot = text,
                    lsn,
                    "slot given up: it held more of the log than cdc-slot-max-bytes"
                );
            }
        }
        let damaged = self.host.scrub.is_damaged();
        self.host.cdc.retention.apply(&desk.log, &self.shard.slots, now_secs, damaged);
    }
}

/// A uuid as it is usually written.
fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = hex(uuid);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}
