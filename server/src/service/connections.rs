//! Connections come and go: what the hub asks of the shard for them.

use std::os::fd::{AsRawFd, OwnedFd};

use moon_engine::exec::Session;
use moon_storage::log::Log;

use super::ShardService;
use super::client::Client;
use crate::net::hub::{self, Admitted, ConnFigures, HubLimits, Note, Order, Rejected};
use crate::net::outbox::Outbox;
use crate::net::secure::Fault;
use crate::net::{Slot, listen};

const FULL: &[u8] = b"-ERR max number of clients reached\r\n";
pub(super) const DENIED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";

impl hub::Service for ShardService {
    fn open(&mut self, slot: Slot, listener: u32, socket: OwnedFd) -> Result<Admitted, Rejected> {
        let (name, kind) = self.host.shared.listener(listener);
        let keepalive = self.host.keepalive_secs;
        let silent = Rejected { socket: None, reply: b"" };
        let Ok((socket, peer)) = listen::accepted(socket, &name, kind, keepalive) else {
            return Err(silent);
        };
        if self.host.client_count >= self.host.clients_max {
            self.host.stats.rejected += 1;
            // In the clear it would be no TLS.
            return Err(match kind {
                listen::Kind::Tls => silent,
                _ => Rejected { socket: Some(socket), reply: FULL },
            });
        }
        let secure = match kind {
            listen::Kind::Tls => Some(self.accept_tls().ok_or(silent)?),
            _ => None,
        };
        if secure.is_none() && !peer.is_loopback && self.host.is_protected() {
            self.host.stats.rejected += 1;
            return Err(Rejected { socket: Some(socket), reply: DENIED });
        }
        let id = self.host.next_id();
        let mut session = Session::new(id);
        session.user = Some(self.host.users.default_user().clone());
        session.authenticated = !self.host.needs_password();
        let index = slot as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        self.sessions[index] = Some(session);
        let now_ms = self.shard.now().mono_us / 1000;
        let is_unix = kind == listen::Kind::Unix;
        let mut client = Client::new(id, peer, socket.as_raw_fd(), is_unix, now_ms);
        client.user = Some(self.host.users.default_user().clone());
        self.host.add_client(slot, client);
        Ok(Admitted { socket, secure })
    }

    fn secured(&mut self, slot: Slot, certificate: Option<&[u8]>) -> Result<(), &'static [u8]> {
        self.let_in(slot, certificate)
    }

    fn closed(&mut self, slot: Slot) {
        if let Some(mut session) = self.sessions.get_mut(slot as usize).and_then(Option::take) {
            self.shard.discard(&mut session);
            if session.waiting {
                self.shard.stop_waiting(session.id);
                self.waiting.remove(&session.id);
                self.shard.adopt(session);
            }
        }
        self.link_closed(slot);
        self.host.freer.forget(slot);
        self.host.acks.forget(slot);
        self.host.cdc.forget(slot);
        self.host.backups.forget(slot);
        self.host.logins.forget(slot);
        self.host.saver.forget(slot);
        self.host.stopping.forget(slot);
        self.host.migrations.forget(slot);
        self.host.stop_listening(slot);
        self.shard.listen(self.host.wanted());
        // The slot's next connection must not get what was meant for this one.
        self.host.orders.retain(|order| order.slot() != slot);
        self.host.remove_client(slot);
        self.host.replicas.forget(slot, self.shard.now().mono_us / 1000);
        self.host.outbox.forget(slot);
    }

    fn lost(&mut self, slot: Slot) {
        if let Some(Some(session)) = self.sessions.get(slot as usize)
            && session.waiting
        {
            self.shard.stop_waiting(session.id);
        }
    }

    fn watermark(&self) -> u64 {
        self.log.as_ref().or(self.ending.as_ref()).map_or(u64::MAX, Log::watermark)
    }

    #[inline]
    fn overdue(&self) -> Option<String> {
        let log = self.log().filter(|log| log.overdue())?;
        let refusal = log.admit().err()?;
        Some(format!("-{refusal}; whether the write counts is not known\r\n"))
    }

    fn hub_limits(&self) -> &HubLimits {
        &self.limits
    }

    fn may_idle(&self, slot: Slot) -> bool {
        matches!(self.sessions.get(slot as usize), Some(Some(s)) if s.subscribed)
            || self.host.client(slot).is_some_and(|c| c.replica || c.master)
    }

    #[inline]
    fn output_class(&self, slot: Slot) -> usize {
        self.host.output_class(slot)
    }

    #[inline]
    fn output_held(&self, slot: Slot) -> usize {
        self.host.client(slot).map_or(0, |client| client.held)
    }

    #[inline]
    fn outbox(&mut self) -> &mut Outbox {
        &mut self.host.outbox
    }

    fn take_orders(&mut self) -> Vec<Order> {
        if self.host.orders.is_empty() { Vec::new() } else { std::mem::take(&mut self.host.orders) }
    }

    fn take_listeners(&mut self) -> Vec<(u32, Option<OwnedFd>)> {
        std::mem::take(&mut self.host.listening)
    }

    fn take_link(&mut self) -> Option<hub::Link> {
        self.take_arrived()
    }

    fn open_link(&mut self, slot: Slot, socket: &OwnedFd) -> bool {
        let Ok(peer) = listen::peer(socket) else { return false };
        let Some(session) = self.link_opened(slot) else { return false };
        let now_ms = self.shard.now().mono_us / 1000;
        let mut client = Client::new(session.id, peer, socket.as_raw_fd(), false, now_ms);
        client.master = true;
        let index = slot as usize;
        if self.sessions.len() <= index {
            self.sessions.resize_with(index + 1, || None);
        }
        self.sessions[index] = Some(session);
        self.host.add_client(slot, client);
        true
    }

    fn link_received(&mut self, slot: Slot, bytes: &[u8]) {
        self.stream_received(slot, bytes);
    }

    #[inline]
    fn figures(&mut self, slot: Slot, figures: ConnFigures) {
        if let Some(Some(session)) = self.sessions.get(slot as usize) {
            self.host.change_client(slot, |client| {
                client.figures = figures;
                client.observe(session);
            });
        }
    }

    fn traffic(&mut self, bytes_in: u64, bytes_out: u64) {
        self.host.traffic(bytes_in, bytes_out);
    }

    fn note(&mut self, slot: Slot, what: Note<'_>) {
        let id = self.host.client(slot).map_or(0, |c| c.id);
        let name = self.host.logged_name(slot).map(str::to_owned);
        let name = name.as_deref();
        let stats = &mut self.host.stats;
        match what {
            Note::AcceptFailed(error) => tracing::warn!(%error, "cannot accept a connection"),
            Note::Broken(error) => tracing::debug!(client = id, name, %error, "connection lost"),
            Note::QueryBufferLimit(bytes) => {
                stats.query_limit += 1;
                tracing::warn!(client = id, name, bytes, "closed: query buffer over its limit");
            }
            Note::OutputBufferLimit(bytes) => {
                stats.output_limit += 1;
                tracing::warn!(client = id, name, bytes, "closed: output buffer over its limit");
            }
            Note::Idle => tracing::debug!(client = id, name, "closed: idle"),
            Note::Overdue => {
                tracing::warn!(client = id, name, "closed: its writes are not durable")
            }
            Note::Tls { fault, handshake } => {
                stats.tls_failures += u64::from(handshake);
                stats.tls_plain += u64::from(matches!(fault, Fault::Plain));
                tracing::debug!(client = id, name, %fault, handshake, "closed: TLS");
            }
            Note::WriteTimeout => {
                stats.write_timeouts += 1;
                tracing::debug!(client = id, name, "closed: takes no replies");
            }
        }
    }
}
