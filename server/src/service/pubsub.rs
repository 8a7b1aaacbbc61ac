//! Publish and subscribe: who listens to which channel, and the way of a message to them.
//!
//! A topic is a channel, a pattern of channels or a shard channel. The registry maps topics to
//! connections, each client's entry maps back; both change together, here and nowhere else.
//! Nothing is kept of a topic without listeners.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use moon_engine::glob::glob_match;
use moon_formats::resp::{Proto, Reply};

use super::host::ServerHost;
use crate::net::Slot;

/// Name of a channel or pattern, shared by the registry and its listeners.
pub(crate) type Topic = Rc<[u8]>;

/// Kinds of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    Shard,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

    /// First word of a message.
    const fn message(self) -> &'static [u8] {
        match self {
            Kind::Channel => b"message",
            Kind::Pattern => b"pmessage",
            Kind::Shard => b"smessage",
        }
    }
}

/// The registry.
#[derive(Default)]
pub(crate) struct PubSub {
    listeners: [HashMap<Topic, BTreeSet<Slot>>; 3],
}

impl PubSub {
    /// Topics of a kind that somebody listens to.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.listeners[kind as usize].len()
    }

    /// Their names.
    pub(crate) fn names(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.listeners[kind as usize].keys().map(|t| &**t)
    }

    /// Listeners of one topic.
    pub(crate) fn listeners(&self, kind: Kind, topic: &[u8]) -> usize {
        self.listeners[kind as usize].get(topic).map_or(0, BTreeSet::len)
    }
}

/// One message in both protocols, each encoded when its first receiver is met.
pub(crate) struct Message<'a> {
    words: &'a [&'a [u8]],
    resp2: Vec<u8>,
    resp3: Vec<u8>,
}

impl<'a> Message<'a> {
    /// A message of bulk strings.
    pub(crate) fn new(words: &'a [&'a [u8]]) -> Self {
        Self { words, resp2: Vec::new(), resp3: Vec::new() }
    }

    /// Its bytes for a receiver of this protocol.
    pub(crate) fn bytes(&mut self, proto: Proto) -> &[u8] {
        let buf = match proto {
            Proto::Resp2 => &mut self.resp2,
            Proto::Resp3 => &mut self.resp3,
        };
        if buf.is_empty() {
            let mut out = Reply::new(buf, proto);
            out.push(self.words.len());
            self.words.iter().for_each(|w| out.bulk(w));
        }
        buf
    }
}

impl ServerHost {
    /// Makes a client listen. Whether or not it did before, returns how much it listens to now:
    /// channels and patterns together, shard channels apart.
    pub(crate) fn subscribe(&mut self, slot: Slot, kind: Kind, topic: &[u8]) -> usize {
        let known = &mut self.pubsub.listeners[kind as usize];
        let name = known.get_key_value(topic).map_or_else(|| topic.into(), |(t, _)| t.clone());
        let Some(Some(client)) = self.clients.get_mut(slot as usize) else { return 0 };
        if client.topics[kind as usize].insert(name.clone()) {
            known.entry(name).or_default().insert(slot);
        }
        client.topic_count(kind)
    }

    /// The reverse.
    pub(crate) fn unsubscribe(&mut self, slot: Slot, kind: Kind, topic: &[u8]) -> usize {
        let Some(Some(client)) = self.clients.get_mut(slot as usize) else { return 0 };
        if client.topics[kind as usize].remove(topic) {
            let known = &mut self.pubsub.listeners[kind as usize];
            if let Some(slots) = known.get_mut(topic) {
                slots.remove(&slot);
                if slots.is_empty() {
                    known.remove(topic);
                }
            }
        }
        client.topic_count(kind)
    }

    /// What a client listens to.
    pub(crate) fn topics(&self, slot: Slot, kind: Kind) -> Vec<Topic> {
        self.client(slot)
            .map_or_else(Vec::new, |c| c.topics[kind as usize].iter().cloned().collect())
    }

    /// Ends all subscriptions of a client (RESET, end of the connection).
    pub(crate) fn unsubscribe_everything(&mut self, slot: Slot) {
        for kind in Kind::ALL {
            for topic in self.topics(slot, kind) {
                self.unsubscribe(slot, kind, &topic);
            }
        }
    }

    /// Delivers a message; returns how many times it was.
    pub(crate) fn publish(&mut self, shard: bool, channel: &[u8], payload: &[u8]) -> usize {
        // Delivery never changes the registry, so it can be lent out while it runs.
        let pubsub = std::mem::take(&mut self.pubsub);
        let kind = if shard { Kind::Shard } else { Kind::Channel };
        let mut receivers = 0;
        if let Some(slots) = pubsub.listeners[kind as usize].get(channel) {
            receivers += self.deliver_all(slots, &[kind.message(), channel, payload]);
        }
        if !shard {
            let matching = pubsub.listeners[Kind::Pattern as usize]
                .iter()
                .filter(|(pattern, _)| glob_match(pattern, channel, false));
            for (pattern, slots) in matching {
                let words = [Kind::Pattern.message(), pattern, channel, payload];
                receivers += self.deliver_all(slots, &words);
            }
        }
        self.pubsub = pubsub;
        receivers
    }

    fn deliver_all(&mut self, slots: &BTreeSet<Slot>, words: &[&[u8]]) -> usize {
        let mut message = Message::new(words);
        for &slot in slots {
            let proto = self.client(slot).map_or(Proto::Resp2, |c| c.proto);
            self.deliver(slot, message.bytes(proto));
        }
        slots.len()
    }
}
