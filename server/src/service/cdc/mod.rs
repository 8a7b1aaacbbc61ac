//! Changes out of the log, to whoever asks for them (CDC.READ, CDC.SUBSCRIBE).
//!
//! The one idea: a reader is a cursor. A task of its own reads a page of the log, through files and pool
//! threads, and turns it into events, a bounded piece per turn of the shard; what it has found waits in the
//! tray until the turn takes it out. Nothing is queued for a reader that is slow, and a reader that waits is a
//! row in a list that the turn looks at when the watermark has moved.
//!
//! Invariants:
//! * Only records up to [`Log::shown_lsn`] are turned into events.
//! * A unit is never split over two pages, unless it alone exceeds what a page may hold.
//! * A subscriber is a cursor too: while its credit or its connection is used up nothing is read for it.
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
pub(crate) use page::{Cursor, Page, Query, Trouble};
use page::{Shelf, Source};
use retain::Retention;

pub(crate) const NO_LOG: &str =
    "ERR there is no log to read changes from: the server runs with appendonly no";
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

/// All readers of changes.
#[derive(Default)]
pub(crate) struct Cdc {
    desk: Option<Desk>,
    waiters: Vec<Waiter>,
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
        !self.waiters.is_empty() || !self.followers.is_empty()
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
        let (desk, query) = (self.clone(), query.clone());
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
            false => Ok(Page::empty(&waiter.query)),
        };
        self.answer_page(&waiter, page);
        true
    }

    fn answer_page(&mut self, waiter: &Waiter, page: Result<Page, Trouble>) {
        let mut reply = Vec::new();
        self.cdc.sent += page.as_ref().map_or(0, |page| page.len() as u64);
        if !waiter.silent {
            let mut out = Reply::new(&mut reply, waiter.proto);
            match page {
                Err(trouble) => out.error(&trouble.to_string()),
                Ok(page) => page.reply(&mut out),
            }
        }
        self.end_waiting(waiter.slot, &reply);
    }
}

impl ShardService {
    /// Hands out the pages that are ready, and has others read.
    #[cold]
    pub(super) fn settle_changes(&mut self) {
        let now_us = self.shard.now().mono_us;
        let host = &mut self.host;
        let Some(desk) = host.desk() else { return host.end_changes() };
        let ready = std::mem::take(&mut *desk.tray.borrow_mut());
        for Ready { to, page } in ready {
            let number = match to {
                Reading::Request(number) => number,
                Reading::Followers(numbers) => {
                    host.push_page(&desk, &numbers, &page, now_us);
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
            let page = Page::empty(&waiter.query);
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
