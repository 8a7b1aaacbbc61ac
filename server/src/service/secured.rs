//! Clients that speak TLS: what they are accepted with, and who they are.

use super::ShardService;
use super::connections::DENIED;
use crate::net::Slot;
use crate::net::secure::Secure;

impl ShardService {
    /// The server's side of a new TLS connection.
    pub(super) fn accept_tls(&self) -> Option<Box<Secure>> {
        let tls = self.host.shared.tls()?;
        Secure::accept(tls.server.clone()).ok()
    }

    /// Lets a client in whose handshake has ended well, as the user that its certificate names if it
    /// names one. `Err` is what it hears instead.
    pub(super) fn let_in(
        &mut self,
        slot: Slot,
        certificate: Option<&[u8]>,
    ) -> Result<(), &'static [u8]> {
        self.host.stats.tls_handshakes += 1;
        let is_loopback = self.host.client(slot).is_some_and(|c| c.peer.is_loopback);
        if !is_loopback && self.host.is_protected() {
            self.host.stats.rejected += 1;
            return Err(DENIED);
        }
        if let Some(user) = self.host.user_of_certificate(slot, certificate)
            && let Some(Some(session)) = self.sessions.get_mut(slot as usize)
        {
            session.user = Some(user);
            session.authenticated = true;
        }
        Ok(())
    }
}
