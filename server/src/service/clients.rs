//! The clients of a shard: who is connected, and the memory that all together take.
//!
//! Invariant: [`ServerHost::clients_bytes`] is the sum of [`Client::bytes`]; what these depend on
//! changes in [`ServerHost::change_client`] only.

use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{Session, Shard};

use super::client::Client;
use super::host::ServerHost;
use crate::net::Slot;
use crate::net::hub::Order;

impl ServerHost {
    /// The number of a client that has come.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.stats.accepted += 1;
        self.next_id - 1
    }

    /// Takes a client in.
    pub(crate) fn add_client(&mut self, slot: Slot, client: Client) {
        let index = slot as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || None);
        }
        self.clients_bytes += client.bytes();
        self.clients[index] = Some(client);
        self.client_count += 1;
    }

    /// Forgets a client.
    pub(crate) fn remove_client(&mut self, slot: Slot) {
        if let Some(client) = self.clients.get_mut(slot as usize).and_then(Option::take) {
            self.clients_bytes -= client.bytes();
            self.client_count -= 1;
        }
    }

    /// The client of a slot.
    pub(crate) fn client(&self, slot: Slot) -> Option<&Client> {
        self.clients.get(slot as usize)?.as_ref()
    }

    /// The same, to change what its memory does not depend on.
    pub(crate) fn client_mut(&mut self, slot: Slot) -> Option<&mut Client> {
        self.clients.get_mut(slot as usize)?.as_mut()
    }

    /// All clients with their slots.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (Slot, &Client)> {
        self.clients.iter().enumerate().filter_map(|(i, c)| Some((i as Slot, c.as_ref()?)))
    }

    /// Whether the request that has run is answered later.
    #[inline]
    pub(super) fn takes_time(&mut self) -> bool {
        self.acks.take_asked()
            || self.cdc.take_asked()
            || self.backups.take_asked()
            || self.saver.take_asked()
            || self.migrations.take_asked()
            || self.stopping.take_asked()
    }

    /// Clients whose request waits for something: a key, a pause, the disk, another server.
    pub(crate) fn blocked_clients(&self, shard: &Shard) -> usize {
        shard.wait_figures().clients
            + self.held.len()
            + self.freer.waiting()
            + self.acks.len()
            + self.cdc.waiting()
            + self.backups.waiting()
            + self.saver.waiting()
            + self.migrations.waiting()
            + self.stopping.waiting()
    }

    /// The client whose request runs.
    pub(crate) fn me(&mut self) -> CmdResult<&mut Client> {
        let slot = self.current;
        self.client_mut(slot).ok_or(CmdError::fixed("ERR no connection"))
    }

    /// Index of a client's output buffer limits.
    #[inline]
    pub(crate) fn output_class(&self, slot: Slot) -> usize {
        self.client(slot).map_or(0, Client::output_class)
    }

    /// Notes what CLIENT LIST shows of a session that changed outside its own requests.
    pub(crate) fn observe(&mut self, slot: Slot, session: &Session) {
        self.change_client(slot, |client| client.observe(session));
    }

    /// Changes what is known about a client, and counts the bytes it takes anew.
    #[inline]
    pub(crate) fn change_client(&mut self, slot: Slot, f: impl FnOnce(&mut Client)) {
        if let Some(Some(client)) = self.clients.get_mut(slot as usize) {
            let before = client.bytes();
            f(client);
            self.clients_bytes = self.clients_bytes - before + client.bytes();
        }
    }

    /// Closes the largest clients while all together take more than `maxmemory-clients`; those
    /// with CLIENT NO-EVICT stay. Returns their numbers: nothing may be popped for them.
    #[cold]
    pub(super) fn evict_clients(&mut self) -> Vec<u64> {
        let mut found: Vec<(usize, Slot, u64)> = self
            .clients()
            .filter(|(_, c)| !c.no_evict && !c.evicted)
            .map(|(slot, c)| (c.bytes(), slot, c.id))
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut evicted = Vec::new();
        for (bytes, slot, id) in found {
            if !self.has_large_clients() {
                break;
            }
            let name = self.logged_name(slot);
            tracing::warn!(
                client = id,
                name,
                bytes,
                "closed: clients take more than maxmemory-clients"
            );
            self.change_client(slot, |client| client.evicted = true);
            self.stats.evicted_clients += 1;
            self.orders.push(Order::Kill(slot));
            evicted.push(id);
        }
        evicted
    }

    /// Whether all clients together take more than `maxmemory-clients`.
    #[inline]
    pub(super) fn has_large_clients(&self) -> bool {
        self.clients_bytes_max > 0 && self.clients_bytes > self.clients_bytes_max
    }
}
