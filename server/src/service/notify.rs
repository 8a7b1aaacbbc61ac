//! The host's ear at the engine: what a committed unit and an executed command mean for
//! clients that listen.
//!
//! Keyspace notifications, invalidations and MONITOR lines start here and nowhere else. The
//! engine calls only while somebody listens: [`ServerHost::wanted`] says whether anybody does.

use std::time::{SystemTime, UNIX_EPOCH};

use moon_engine::args::Args;
use moon_engine::command::{Command, Flags};
use moon_engine::event::{Class, Event};
use moon_engine::exec::{Listen, Session};
use moon_engine::journal::{Origin, Unit};

use super::host::ServerHost;
use super::pubsub::Kind;
use super::tracking::is_wholesale;
use crate::net::Slot;

impl ServerHost {
    /// What the shard is to tell of from here on.
    pub(crate) fn wanted(&self) -> Listen {
        let heard = self.pubsub.count(Kind::Channel) + self.pubsub.count(Kind::Pattern) > 0;
        let events = if heard { self.events } else { Class::NONE };
        let published = events.intersects(Class::KEYSPACE) || events.intersects(Class::KEYEVENT);
        Listen {
            changes: published || self.tracking.clients > 0,
            misses: published && events.intersects(Class::MISS),
            commands: self.tracking.clients > 0 || !self.monitors.is_empty(),
        }
    }

    /// A unit has been committed.
    pub(super) fn unit_committed(&mut self, unit: &Unit, origin: Origin) {
        let by_client = origin == Origin::Client;
        let mut last = None;
        for (i, (db, key, event)) in unit.touched().enumerate() {
            self.remember_until(i);
            if self.events.intersects(event.class) {
                self.notify(db, key, event);
            }
            if self.tracking.clients > 0 {
                if event.is_change_of_key() {
                    self.key_changed(key, by_client);
                } else if is_wholesale(event) && last != Some(event) {
                    // FLUSHALL empties many databases, and that is one message.
                    self.everything_changed();
                }
            }
            last = Some(event);
        }
        self.remember_until(usize::MAX);
    }

    /// Publishes a keyspace event.
    fn notify(&mut self, db: u16, key: &[u8], event: Event) {
        if self.events.intersects(Class::KEYSPACE) {
            let mut channel = format!("__keyspace@{db}__:").into_bytes();
            channel.extend_from_slice(key);
            self.publish(false, &channel, event.name.as_bytes());
        }
        if self.events.intersects(Class::KEYEVENT) {
            let channel = format!("__keyevent@{db}__:{}", event.name);
            self.publish(false, channel.as_bytes(), key);
        }
    }

    /// A command has run.
    pub(super) fn command_executed(&mut self, command: &Command, a: Args<'_>, touched: usize) {
        let flags = command.spec.flags;
        self.keeps_caching = flags.has(Flags::KEEPS_CACHING);
        if command.spec.is_read() && self.tracking.clients > 0 {
            self.remember_reads(command, a, touched);
        }
    }

    /// Starts showing a client every command.
    pub(crate) fn monitor(&mut self, slot: Slot) {
        self.monitors.insert(slot);
        if let Some(client) = self.client_mut(slot) {
            client.monitor = true;
        }
    }

    /// Whether a client is shown every command.
    pub(crate) fn is_monitor(&self, slot: Slot) -> bool {
        self.monitors.contains(&slot)
    }

    /// Ends everything a client listens to (RESET, end of the connection).
    pub(crate) fn stop_listening(&mut self, slot: Slot) {
        self.unsubscribe_everything(slot);
        self.untrack(slot);
        if self.monitors.remove(&slot)
            && let Some(client) = self.client_mut(slot)
        {
            client.monitor = false;
        }
    }

    /// Shows a command to the monitors, unless it is about the server.
    pub(super) fn show_command(&mut self, session: &Session, command: &Command, args: Args<'_>) {
        if self.monitors.is_empty() || command.spec.flags.has(Flags::ADMIN) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let from = match self.client(self.current) {
            Some(client) if !session.in_script() => &client.peer.addr,
            _ => "lua",
        };
        let db = session.db;
        let mut line =
            format!("+{}.{:06} [{db} {from}]", now.as_secs(), now.subsec_micros()).into_bytes();
        for (i, word) in args.all().iter().enumerate() {
            line.push(b' ');
            if command.spec.is_secret(args, i) {
                line.extend_from_slice(b"\"(redacted)\"");
            } else {
                quote(&mut line, word);
            }
        }
        line.extend_from_slice(b"\r\n");
        let monitors: Vec<Slot> = self.monitors.iter().copied().collect();
        for slot in monitors {
            self.deliver(slot, &line);
        }
    }
}

/// A word in quotes, every byte printable.
fn quote(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'"');
    for &byte in word {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_redis_does() {
        let mut out = Vec::new();
        quote(&mut out, b"a \"b\"\\\n\r\t\x07\x08\x00\xff~");
        assert_eq!(out, br#""a \"b\"\\\n\r\t\a\b\x00\xff~""#);
    }
}
