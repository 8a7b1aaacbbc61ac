//! Subscribers: changes that are pushed as they become durable (durability §14).
//!
//! A subscriber that is slow costs nothing: no page is read for it while its credit is used up or its
//! connection has not taken what was sent. Those that are at the same place and want the same share a page.

use std::rc::Rc;

use moon_formats::resp::{Proto, Reply};
use moon_storage::log::Log;

use super::page::{Page, Query, Trouble, is_same};
use super::{Cursor, Desk, Reading};
use crate::net;
use crate::net::conn::Next;
use crate::net::hub::Order;
use crate::service::host::ServerHost;

/// Bytes that a connection may have to take before it is read for again.
const OUTPUT_MAX: usize = 1 << 20;
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
    /// When it was told anything last.
    told_us: u64,
}

impl Follower {
    /// When it wants to hear that there is nothing.
    pub(super) fn due_us(&self) -> u64 {
        self.told_us + HEARTBEAT_US
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
        query: Query,
        credit: Option<u64>,
        proto: Proto,
        now_us: u64,
    ) {
        let slot = self.current;
        self.unfollow_changes(slot);
        self.cdc.number += 1;
        self.cdc.followers.push(Follower {
            number: self.cdc.number,
            slot,
            query,
            credit,
            proto,
            reading: false,
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

    /// Sends a page to those that it was read for.
    pub(super) fn push_page(
        &mut self,
        desk: &Desk,
        numbers: &[u64],
        page: &Result<Page, Trouble>,
        now_us: u64,
    ) {
        for number in numbers {
            let Some(at) = self.cdc.followers.iter().position(|f| f.number == *number) else {
                continue;
            };
            match page {
                Ok(page) => self.push_events(desk, at, page, now_us),
                Err(trouble) => self.end_following(desk.paths.shard, at, trouble),
            }
        }
        // What is sent frees the way for the next page.
        (desk.wake)();
    }

    fn push_events(&mut self, desk: &Desk, at: usize, page: &Page, now_us: u64) {
        let shard = desk.paths.shard;
        let follower = &mut self.cdc.followers[at];
        follower.reading = false;
        follower.query.go_on(page);
        if let Some(credit) = &mut follower.credit {
            *credit = credit.saturating_sub(page.len() as u64);
        }
        if page.is_empty() {
            return;
        }
        follower.told_us = now_us;
        let (slot, proto) = (follower.slot, follower.proto);
        let mut bytes = Vec::new();
        for (event, next) in page.events() {
            let tail = |out: &mut Reply<'_>| {
                next.reply(out);
                out.bulk(event);
            };
            bytes.extend(push(proto, shard, "event", tail, 2));
        }
        self.cdc.sent += page.len() as u64;
        self.deliver(slot, &bytes);
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
            let waiting = self.clients.get(follower.slot as usize).and_then(Option::as_ref);
            if follower.credit == Some(0) || waiting.is_none_or(|c| c.figures.output >= OUTPUT_MAX)
            {
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
