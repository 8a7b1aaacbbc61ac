//! Client-side caching: who may have which key in its cache, and the invalidations.
//!
//! In the default mode the table remembers which client has read which key name; the first
//! change of the key tells those clients and forgets them. In broadcast mode nothing is
//! remembered of reads: changed keys are collected per prefix and told once per turn.
//! Invariants:
//! * Keys are names, without a database: a change in any database invalidates.
//! * A key that leaves the table has been invalidated; the table never has more than
//!   `tracking-table-max-keys` keys when a request ends.
//! * A connection is named by slot and id, so what is left of an ended one reaches nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use moon_engine::args::Args;
use moon_engine::command::{Command, keys::for_each_key};
use moon_engine::event::Event;
use moon_formats::resp::{Proto, Reply};

use super::host::ServerHost;
use crate::net::Slot;

/// Channel on which RESP2 clients get the invalidations redirected to them.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// One connection, for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) slot: Slot,
}

/// Which reads are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// All.
    #[default]
    All,
    /// Those after CLIENT CACHING YES.
    OptIn,
    /// All but those after CLIENT CACHING NO.
    OptOut,
    /// None: changes are broadcast by prefix.
    Broadcast,
}

/// CLIENT TRACKING of one client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracked {
    pub(crate) mode: Mode,
    /// Own changes are not told.
    pub(crate) noloop: bool,
    /// Who gets the messages instead.
    pub(crate) redirect: Option<Peer>,
    /// The connection redirected to is gone.
    pub(crate) broken: bool,
    /// CLIENT CACHING was given for the next command or transaction.
    pub(crate) caching: bool,
    /// Prefixes of broadcast mode.
    pub(crate) prefixes: BTreeSet<Box<[u8]>>,
}

/// Readers of one key.
struct Readers {
    /// Index in [`Tracking::names`].
    at: usize,
    /// Sorted.
    peers: Vec<Peer>,
}

/// One prefix of broadcast mode.
#[derive(Default)]
struct Prefix {
    clients: BTreeSet<Peer>,
    /// Keys changed in this turn, with whoever changed them last.
    changed: BTreeMap<Box<[u8]>, Slot>,
}

/// The tables.
#[derive(Default)]
pub(crate) struct Tracking {
    table: HashMap<Rc<[u8]>, Readers>,
    /// The keys of the table again, to pick one at random.
    names: Vec<Rc<[u8]>>,
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    /// Keys read after a write of the same transaction, each with the number of changes before
    /// it: those do not invalidate it.
    late: VecDeque<(usize, Box<[u8]>, Peer)>,
    /// Some prefix has changes.
    pending: bool,
    /// Clients with tracking on.
    pub(crate) clients: usize,
    /// `tracking-table-max-keys`, 0 for none.
    pub(crate) max_keys: usize,
    /// State of the choice of keys to give up.
    pick: u64,
}

impl Tracking {
    /// Keys, readers of keys, prefixes: figures of INFO.
    pub(crate) fn totals(&self) -> (usize, usize, usize) {
        (self.table.len(), self.items, self.prefixes.len())
    }

    fn remember(&mut self, key: &[u8], peer: Peer) {
        let readers = match self.table.get_mut(key) {
            Some(readers) => readers,
            None => {
                let name: Rc<[u8]> = key.into();
                self.names.push(name.clone());
                let at = self.names.len() - 1;
                self.table.entry(name).or_insert(Readers { at, peers: Vec::new() })
            }
        };
        if let Err(at) = readers.peers.binary_search(&peer) {
            readers.peers.insert(at, peer);
            self.items += 1;
        }
    }

    /// Takes a key out of the table.
    fn forget(&mut self, key: &[u8]) -> Vec<Peer> {
        let Some(Readers { at, peers }) = self.table.remove(key) else { return Vec::new() };
        self.items -= peers.len();
        self.names.swap_remove(at);
        if let Some(moved) = self.names.get(at)
            && let Some(readers) = self.table.get_mut(moved)
        {
            readers.at = at;
        }
        peers
    }

    fn forget_all(&mut self) {
        self.table.clear();
        self.names.clear();
        self.items = 0;
    }

    /// A key of a table that has more than it may.
    fn surplus(&mut self) -> Option<Rc<[u8]>> {
        if self.max_keys == 0 || self.names.len() <= self.max_keys {
            return None;
        }
        // A plain generator will do: nothing depends on the choice.
        self.pick = self.pick.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = (self.pick >> 33) as usize % self.names.len();
        self.names.get(at).cloned()
    }

    fn note_change(&mut self, key: &[u8], by: Slot) {
        for (prefix, state) in &mut self.prefixes {
            if key.starts_with(prefix) {
                state.changed.insert(key.into(), by);
                self.pending = true;
            }
        }
    }
}

impl ServerHost {
    /// Turns tracking on, replacing the options it had; prefixes are added to.
    pub(crate) fn track(&mut self, slot: Slot, tracked: Tracked) {
        let Some(Some(client)) = self.clients.get_mut(slot as usize) else { return };
        let peer = Peer { id: client.id, slot };
        for prefix in &tracked.prefixes {
            self.tracking.prefixes.entry(prefix.clone()).or_default().clients.insert(peer);
        }
        match &mut client.tracked {
            Some(old) => {
                let mut prefixes = std::mem::take(&mut old.prefixes);
                prefixes.extend(tracked.prefixes.iter().cloned());
                let caching = old.caching;
                **old = Tracked { prefixes, caching, ..tracked };
            }
            none => {
                *none = Some(Box::new(tracked));
                self.tracking.clients += 1;
            }
        }
    }

    /// Turns tracking off. What the table holds of the client reaches nobody any more.
    pub(crate) fn untrack(&mut self, slot: Slot) {
        let Some(Some(client)) = self.clients.get_mut(slot as usize) else { return };
        let Some(tracked) = client.tracked.take() else { return };
        let peer = Peer { id: client.id, slot };
        self.tracking.clients -= 1;
        if self.tracking.clients == 0 {
            self.tracking.forget_all();
        }
        for prefix in &tracked.prefixes {
            if let Some(state) = self.tracking.prefixes.get_mut(prefix) {
                state.clients.remove(&peer);
                if state.clients.is_empty() {
                    self.tracking.prefixes.remove(prefix);
                }
            }
        }
    }

    /// The slot of a client by its id.
    pub(crate) fn peer_of(&self, id: u64) -> Option<Peer> {
        self.clients().find(|(_, c)| c.id == id).map(|(slot, c)| Peer { id: c.id, slot })
    }

    fn tracked(&self, peer: Peer) -> Option<&Tracked> {
        self.client(peer.slot).filter(|c| c.id == peer.id)?.tracked.as_deref()
    }

    /// Remembers the keys a command of the current client has read, `touched` changes into its
    /// unit.
    pub(super) fn remember_reads(&mut self, command: &Command, args: Args<'_>, touched: usize) {
        let slot = self.current;
        let Some(Some(client)) = self.clients.get(slot as usize) else { return };
        let Some(tracked) = &client.tracked else { return };
        let wanted = match tracked.mode {
            Mode::All => true,
            Mode::OptIn => tracked.caching,
            Mode::OptOut => !tracked.caching,
            Mode::Broadcast => false,
        };
        if !wanted {
            return;
        }
        let peer = Peer { id: client.id, slot };
        let tracking = &mut self.tracking;
        // Keys that cannot be told made the command fail: it has read none.
        let _ = for_each_key(command.spec, args, |i, _| {
            if touched == 0 {
                tracking.remember(args.get(i), peer);
            } else {
                tracking.late.push_back((touched, args.get(i).into(), peer));
            }
        });
    }

    /// Remembers the late reads that came before change number `at` of the unit.
    #[inline]
    pub(super) fn remember_until(&mut self, at: usize) {
        while let Some((_, key, peer)) = self.tracking.late.pop_front_if(|(n, ..)| *n <= at) {
            self.tracking.remember(&key, peer);
        }
    }

    /// A key has changed, or is given up by the table.
    fn invalidate(&mut self, key: &[u8], by_current: bool) {
        for peer in self.tracking.forget(key) {
            let Some(tracked) = self.tracked(peer) else { continue };
            let own = by_current && peer.slot == self.current;
            if tracked.mode == Mode::Broadcast || (tracked.noloop && own) {
                continue;
            }
            self.tell(peer, &Told::Keys(&[key]));
        }
    }

    /// Tells what a change means for caches. `by_client`: a client's command made it.
    pub(super) fn key_changed(&mut self, key: &[u8], by_client: bool) {
        let by = if by_client { self.current } else { super::host::NOBODY };
        self.tracking.note_change(key, by);
        self.invalidate(key, by_client);
    }

    /// Tells that any key may have changed.
    pub(super) fn everything_changed(&mut self) {
        self.tracking.forget_all();
        let peers: Vec<Peer> = self
            .clients()
            .filter(|(_, c)| c.tracked.is_some())
            .map(|(slot, c)| Peer { id: c.id, slot })
            .collect();
        for peer in peers {
            self.tell(peer, &Told::Everything);
        }
    }

    /// Tells what changed under the prefixes since the last turn.
    #[inline]
    pub(crate) fn broadcast(&mut self) {
        if self.tracking.pending {
            self.broadcast_now();
        }
    }

    fn broadcast_now(&mut self) {
        self.tracking.pending = false;
        let mut prefixes = std::mem::take(&mut self.tracking.prefixes);
        for state in prefixes.values_mut().filter(|s| !s.changed.is_empty()) {
            let changed = std::mem::take(&mut state.changed);
            let all: Vec<&[u8]> = changed.keys().map(|k| &**k).collect();
            for &peer in &state.clients {
                if self.tracked(peer).is_some_and(|t| t.noloop) {
                    let others: Vec<&[u8]> = changed
                        .iter()
                        .filter(|(_, by)| **by != peer.slot)
                        .map(|(k, _)| &**k)
                        .collect();
                    if !others.is_empty() {
                        self.tell(peer, &Told::Keys(&others));
                    }
                } else {
                    self.tell(peer, &Told::Keys(&all));
                }
            }
        }
        self.tracking.prefixes = prefixes;
    }

    /// Sends an invalidation to a client or to where it has it sent.
    fn tell(&mut self, peer: Peer, what: &Told<'_>) {
        let Some(Some(client)) = self.clients.get_mut(peer.slot as usize) else { return };
        let proto = client.proto;
        let Some(tracked) = &mut client.tracked else { return };
        let Some(redirect) = tracked.redirect else {
            if proto == Proto::Resp3 {
                self.deliver(peer.slot, &what.encode(proto));
            }
            return;
        };
        match self.client(redirect.slot).filter(|c| c.id == redirect.id) {
            Some(target) if target.proto == Proto::Resp3 || target.is_subscribed() => {
                let proto = target.proto;
                self.deliver(redirect.slot, &what.encode(proto));
            }
            Some(_) => {}
            None => {
                if let Some(Some(client)) = self.clients.get_mut(peer.slot as usize)
                    && let Some(tracked) = &mut client.tracked
                {
                    tracked.broken = true;
                }
                if proto == Proto::Resp3 {
                    let mut bytes = Vec::new();
                    let mut out = Reply::new(&mut bytes, proto);
                    out.push(2);
                    out.bulk(b"tracking-redir-broken");
                    out.int(redirect.id as i64);
                    self.deliver(peer.slot, &bytes);
                }
            }
        }
    }

    /// Ends a request while somebody tracks: keeps the table within its limit, and ends CLIENT
    /// CACHING with the command or transaction it was given for.
    pub(super) fn end_tracked_request(&mut self, slot: Slot, in_multi: bool) {
        while let Some(key) = self.tracking.surplus() {
            self.invalidate(&key, false);
        }
        if std::mem::take(&mut self.keeps_caching) || in_multi {
            return;
        }
        if let Some(Some(client)) = self.clients.get_mut(slot as usize)
            && let Some(tracked) = &mut client.tracked
        {
            tracked.caching = false;
        }
    }
}

/// Whether an event is of a database as a whole.
pub(super) fn is_wholesale(event: Event) -> bool {
    event == Event::FLUSHED || event == Event::SWAPPED
}

/// Content of an invalidation.
enum Told<'a> {
    Keys(&'a [&'a [u8]]),
    Everything,
}

impl Told<'_> {
    fn encode(&self, proto: Proto) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut out = Reply::new(&mut bytes, proto);
        match proto {
            Proto::Resp3 => {
                out.push(2);
                out.bulk(b"invalidate");
            }
            Proto::Resp2 => {
                out.push(3);
                out.bulk(b"message");
                out.bulk(CHANNEL);
            }
        }
        match self {
            Told::Everything => out.null(),
            Told::Keys(keys) => {
                out.array(keys.len());
                keys.iter().for_each(|k| out.bulk(k));
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: u64) -> Peer {
        Peer { id, slot: id as Slot }
    }

    #[test]
    fn the_table_counts_and_forgets() {
        let mut t = Tracking::default();
        for (key, id) in [("a", 1), ("b", 1), ("a", 2), ("a", 1), ("c", 3)] {
            t.remember(key.as_bytes(), peer(id));
        }
        assert_eq!(t.totals(), (3, 4, 0));
        assert_eq!(t.forget(b"a"), [peer(1), peer(2)]);
        assert_eq!(t.forget(b"a"), []);
        assert_eq!(t.totals(), (2, 2, 0));
        assert_eq!(t.forget(b"c"), [peer(3)]);
        assert_eq!(t.forget(b"b"), [peer(1)]);
        assert!(t.names.is_empty() && t.items == 0);
    }

    #[test]
    fn a_full_table_gives_up_any_key() {
        let mut t = Tracking { max_keys: 10, ..Tracking::default() };
        let mut given_up = 0;
        for i in 0..100 {
            t.remember(format!("k{i}").as_bytes(), peer(1));
            while let Some(key) = t.surplus() {
                assert_eq!(t.forget(&key), [peer(1)]);
                given_up += 1;
            }
            assert!(t.totals().0 <= 10);
        }
        assert_eq!(given_up, 90);
        assert!(t.names.iter().enumerate().all(|(i, name)| t.table[name].at == i));
    }
}
