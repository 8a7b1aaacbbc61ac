//! Clients that wait for a key, and scripts that others wait for: what runs when it is their turn.

use moon_engine::exec::Outcome;

use super::{ShardService, writes};
use crate::net::Slot;
use crate::net::conn::Next;
use crate::net::hub::Order;

impl ShardService {
    /// Answers the clients whose wait is over, each by running its command again.
    #[cold]
    pub(super) fn serve_waiting(&mut self) {
        while let Some(woken) = self.shard.next_woken() {
            let client = woken.client;
            let slot = self.waiting.get(&client).copied().unwrap_or(Slot::MAX);
            let Some(Some(session)) = self.sessions.get_mut(slot as usize) else {
                self.shard.stop_waiting(client);
                continue;
            };
            self.host.current = slot;
            let mut reply = Vec::new();
            let before = writes(&self.shard, self.log.as_ref());
            let outcome = self.shard.resume(&mut self.host, session, woken, &mut reply);
            if writes(&self.shard, self.log.as_ref()) != before {
                self.host.note_write(slot);
            }
            self.answer(slot, client, outcome, reply);
        }
    }

    /// Lets a script that others wait for go on, and answers its client if it has ended.
    #[cold]
    pub(super) fn go_on(&mut self) {
        let Some(client) = self.shard.busy_client() else { return };
        let slot = self.waiting.get(&client).copied().unwrap_or(Slot::MAX);
        let session = self.sessions.get_mut(slot as usize).and_then(Option::as_mut);
        self.host.current = slot;
        let mut reply = Vec::new();
        let before = writes(&self.shard, self.log.as_ref());
        let outcome = self.shard.go_on(&mut self.host, session, &mut reply);
        if writes(&self.shard, self.log.as_ref()) != before {
            self.host.note_write(slot);
        }
        self.answer(slot, client, outcome, reply);
    }

    /// Hands over the reply that a client has waited for.
    fn answer(&mut self, slot: Slot, client: u64, outcome: Outcome, mut reply: Vec<u8>) {
        self.host.end_request(slot, false, &mut reply);
        let next = match outcome {
            Outcome::Blocked => return,
            Outcome::Done => Next::Continue,
            Outcome::Close => Next::Close,
        };
        self.waiting.remove(&client);
        let Some(Some(session)) = self.sessions.get(slot as usize) else { return };
        self.host.observe(slot, session);
        self.host.deliver(slot, &reply);
        self.host.orders.push(Order::Answered(slot, next));
    }
}
