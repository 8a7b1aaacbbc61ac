//! Subscribers: changes that are pushed as they become durable (durability §14).
//!
//! A subscriber that is slow costs nothing but a page: none is read for it while its credit is used up or its
//! connection has not taken the last. Those that are at the same place and want the same share a page.

use std::rc::Rc;

use moon_formats::resp::{Proto, Reply};
use moon_storage::log::Log;

use super::page::{Form, Page, Query, Trouble, is_same};
use super::{Cursor, Desk, PIECE_BYTES, Reading};
use crate::net;
use crate::net::conn::Next;
use crate::net::hub::Order;
use crate::service::host::ServerHost;

/// Most events, and bytes, of a page for subscribers.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 256 << 10;
/// Time without events after which a subscriber is told that there are none.
const HEARTBEAT_US: u64 = 10_000_000;

/// A client that changes are pushed to.
pub(super) struct Follower {
    number: u64,
    pub(super) slot: net::Slot,
    query: Query,
    /// Events that it takes yet; `None` if its connection is the only limit.
    credit: Option<u64>,
    proto: Proto,
    reading: bool,
    /// A page of which the events from a byte on are to be sent.
    page: Option<(Rc<Page>, usize)>,
    /// When it was told anything last.
    told_us: u64,
}

impl Follower {
    /// When it wants to hear that there is nothing.
    pub(super) fn due_us(&self) -> u64 {
        self.told_us + HEARTBEAT_US
    }

    /// Takes a page that was read for it.
    fn take(&mut self, page: &Rc<Page>, now_us: u64) {
        self.reading = false;
        if page.is_empty() {
            return self.query.go_on(page);
        }
        self.told_us = now_us;
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_sub(page.len() as u64);
        }
        self.page = Some((Rc::clone(page), 0));
    }

    /// Records that there are for it and that it has not been sent.
    fn lag(&self, shown: u64) -> u64 {
        match self.query.cursor {
            Cursor::Lsn(lsn) => (shown + 1).saturating_sub(lsn),
            Cursor::Base { .. } => shown,
        }
    }
}

fn push(
    proto: Proto,
    shard: u16,
    word: &str,
    rest: impl FnOnce(&mut Reply<'_>),
    n: usize,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Reply::new(&mut bytes, proto);
    out.push(3 + n);
    out.bulk(b"cdc");
    out.bulk(word.as_bytes());
    out.int(i64::from(shard));
    rest(&mut out);
    bytes
}

impl ServerHost {
    /// Pushes changes to the current client from here on, in place of what it had before.
    pub(crate) fn follow_changes(
        &mut self,
        mut query: Query,
        credit: Option<u64>,
        proto: Proto,
        now_us: u64,
    ) {
        let slot = self.current;
        self.unfollow_changes(slot);
        self.cdc.number += 1;
        query.form = Form::Push(proto);
        self.cdc.followers.push(Follower {
            number: self.cdc.number,
            slot,
            query,
            credit,
            proto,
            reading: false,
            page: None,
            told_us: now_us,
        });
    }

    /// Ends that. False if there was nothing.
    pub(crate) fn unfollow_changes(&mut self, slot: net::Slot) -> bool {
        let before = self.cdc.followers.len();
        self.cdc.followers.retain(|f| f.slot != slot);
        if let Some(client) = self.client_mut(slot) {
            client.follows = None;
        }
        if self.cdc.followers.len() < before {
            self.note_held(slot, 0);
        }
        self.cdc.followers.len() < before
    }

    /// Whether changes are pushed to a client.
    pub(crate) fn follows_changes(&self, slot: net::Slot) -> bool {
        self.cdc.followers.iter().any(|f| f.slot == slot)
    }

    /// Lets the current client be sent so many events more. `None` if it follows nothing.
    pub(crate) fn add_credit(&mut self, more: u64) -> Option<u64> {
        let slot = self.current;
        let follower = self.cdc.followers.iter_mut().find(|f| f.slot == slot)?;
        let credit = follower.credit.unwrap_or(0).saturating_add(more);
        follower.credit = Some(credit);
        Some(credit)
    }

    /// Subscribers, and the longest way that one is behind.
    pub(crate) fn followers(&self) -> (usize, u64) {
        let shown = self.log.as_ref().map_or(0, Log::shown_lsn);
        let lag = self.followers_behind(shown).map(|(_, lag)| lag).max().unwrap_or(0);
        (self.cdc.followers.len(), lag)
    }

    /// Client ids of subscribers, and how many of the records up to `shown` each has not been sent.
    pub(super) fn followers_behind(&self, shown: u64) -> impl Iterator<Item = (u64, u64)> {
        self.cdc.followers.iter().map(move |f| {
            let client = self.clients.get(f.slot as usize).and_then(Option::as_ref);
            (client.map_or(0, |c| c.id), f.lag(shown))
        })
    }

    /// Gives a page to those that it was read for.
    pub(super) fn push_page(
        &mut self,
        shard: u16,
        numbers: &[u64],
        page: Result<Page, Trouble>,
        now_us: u64,
    ) {
        let page = page.map(Rc::new);
        for number in numbers {
            let Some(at) = self.cdc.followers.iter().position(|f| f.number == *number) else {
                continue;
            };
            match &page {
                Ok(page) => {
                    let follower = &mut self.cdc.followers[at];
                    let slot = follower.slot;
                    follower.take(page, now_us);
                    self.note_held(slot, page.frames().len());
                }
                Err(trouble) => self.end_following(shard, at, trouble),
            }
        }
    }

    /// Hands out the next events of pages to connections that have taken the last. Whether there are more for
    /// them, or a page is to be read.
    pub(super) fn push_pieces(&mut self) -> bool {
        let mut more = false;
        for at in 0..self.cdc.followers.len() {
            let follower = &self.cdc.followers[at];
            let slot = follower.slot;
            let Some((page, sent)) = follower.page.clone() else { continue };
            if !self.has_taken(slot) {
                continue;
            }
            let end = page.frame_end(sent + PIECE_BYTES);
            self.deliver_shown(slot, page.frames().get(sent..end).unwrap_or_default());
            more = true;
            self.note_held(slot, page.frames().len() - end);
            let follower = &mut self.cdc.followers[at];
            match end < page.frames().len() {
                true => follower.page = Some((page, end)),
                false => {
                    follower.page = None;
                    follower.query.go_on(&page);
                    self.cdc.sent += page.len() as u64;
                }
            }
        }
        more
    }

    /// Nothing is pushed to anybody any more.
    pub(super) fn end_all_following(&mut self, trouble: &Trouble) {
        while !self.cdc.followers.is_empty() {
            self.end_following(0, 0, trouble);
        }
    }

    fn end_following(&mut self, shard: u16, at: usize, trouble: &Trouble) {
        let Some(Follower { slot, proto, .. }) = self.cdc.followers.get(at) else { return };
        let (slot, proto) = (*slot, *proto);
        let bytes = match trouble {
            Trouble::Gone { oldest, .. } => {
                push(proto, shard, "gone", |out| out.int(*oldest as i64), 1)
            }
            other => {
                let text = other.to_string();
                push(proto, shard, "error", |out| out.bulk(text.as_bytes()), 1)
            }
        };
        self.deliver(slot, &bytes);
        self.unfollow_changes(slot);
        self.orders.push(Order::Answered(slot, Next::Close));
    }

    /// Has pages read for subscribers that can be sent one, and tells the others that there is nothing.
    pub(super) fn read_for_followers(&mut self, desk: &Desk, name: &str, shown: u64, now_us: u64) {
        let mut groups: Vec<(Query, Vec<u64>)> = Vec::new();
        let mut quiet = Vec::new();
        let durable = desk.log().durable_lsn();
        let mut views = Vec::new();
        for follower in &mut self.cdc.followers {
            let lag = follower.lag(shown);
            let cursor = match follower.query.cursor {
                Cursor::Lsn(lsn) => lsn,
                Cursor::Base { .. } => 0,
            };
            views.push((follower.slot, (cursor, lag)));
            if follower.reading {
                continue;
            }
            if !follower.query.may_find(shown) {
                if follower.due_us() <= now_us {
                    follower.told_us = now_us;
                    quiet.push((follower.slot, follower.proto));
                }
                continue;
            }
            if follower.credit == Some(0) || follower.page.is_some() {
                // It hears again when it can be sent something.
                follower.told_us = now_us;
                continue;
            }
            follower.reading = true;
            let most = follower.credit.map_or(PAGE_EVENTS, |n| n.min(PAGE_EVENTS as u64) as usize);
            let query = Query { limit: most, bytes: PAGE_BYTES, ..follower.query.clone() };
            match groups.iter_mut().find(|(q, _)| is_same(q, &query)) {
                Some((_, numbers)) => numbers.push(follower.number),
                None => groups.push((query, vec![follower.number])),
            }
        }
        for (slot, view) in views {
            if let Some(client) = self.client_mut(slot) {
                client.follows = Some(view);
            }
        }
        for (query, numbers) in groups {
            desk.read(Reading::Followers(Rc::from(numbers)), &query, name.to_string());
        }
        for (slot, proto) in quiet {
            let beat = push(proto, desk.paths.shard, "heartbeat", |out| out.int(durable as i64), 1);
            self.deliver(slot, &beat);
        }
    }
}
