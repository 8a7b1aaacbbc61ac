//! What the executor must know about a client. Sockets and buffers stay in the server.

use super::multi::Multi;
use crate::acl;
use crate::db::{WatchFlag, WatchId};
use moon_formats::resp::Proto;
use std::cell::Cell;
use std::rc::Rc;

/// `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientReply {
    /// Every reply is sent.
    #[default]
    On,
    /// No reply is sent.
    Off,
    /// The reply of the next command is not sent.
    SkipNext,
    /// The reply of this command is not sent.
    SkipThis,
}

/// State of one client.
pub struct Session {
    /// Number of the client; never reused.
    pub id: u64,
    /// Current database.
    pub db: u16,
    /// Protocol of its replies.
    pub proto: Proto,
    /// Whose rights it has; `None` for sessions that are no client's, which may do everything.
    pub user: Option<acl::Handle>,
    /// Whether it may run commands without the `no_auth` flag.
    pub authenticated: bool,
    /// What it sends is the stream of this server's master: applied as it comes, never answered.
    pub master: bool,
    /// Replies on, off or skipping.
    pub reply: ClientReply,
    /// Looks do not count as use (`CLIENT NO-TOUCH on`).
    pub no_touch: bool,
    /// The connection ends when the replies so far have been sent.
    pub close: bool,
    /// Subscriber mode of RESP2, where few commands are allowed.
    pub subscribed: bool,
    /// EXEC runs the commands of the session.
    pub(crate) in_exec: bool,
    /// A script runs the commands of the session.
    pub(crate) in_script: bool,
    /// A command of it waits for a key; it runs nothing else until that is answered.
    pub waiting: bool,
    /// The queue of an open MULTI.
    pub(crate) multi: Option<Box<Multi>>,
    pub(crate) watched: Vec<WatchId>,
    pub(crate) watch_flag: WatchFlag,
}

impl Session {
    /// A new client on database 0, speaking RESP2.
    pub fn new(id: u64) -> Self {
        Session {
            id,
            db: 0,
            proto: Proto::Resp2,
            user: None,
            authenticated: true,
            master: false,
            reply: ClientReply::On,
            no_touch: false,
            close: false,
            subscribed: false,
            in_exec: false,
            in_script: false,
            waiting: false,
            multi: None,
            watched: Vec::new(),
            watch_flag: Rc::new(Cell::new(false)),
        }
    }

    /// Applies CLIENT REPLY to the reply that begins at `start`.
    #[inline]
    pub(super) fn settle_reply(&mut self, out: &mut Vec<u8>, start: usize) {
        match self.reply {
            ClientReply::On => {}
            ClientReply::Off => out.truncate(start),
            ClientReply::SkipNext => self.reply = ClientReply::SkipThis,
            ClientReply::SkipThis => {
                out.truncate(start);
                self.reply = ClientReply::On;
            }
        }
    }

    /// Commands queued in an open MULTI; `None` outside.
    pub fn multi_len(&self) -> Option<usize> {
        self.multi.as_ref().map(|m| m.len())
    }

    /// Whether the command that runs was queued: nothing that waits or goes on without end.
    pub fn in_exec(&self) -> bool {
        self.in_exec
    }

    /// Whether the command that runs was called by a script.
    pub fn in_script(&self) -> bool {
        self.in_script
    }

    /// Bytes held by an open MULTI.
    pub fn multi_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |m| m.bytes())
    }

    /// Number of watched keys.
    pub fn watch_len(&self) -> usize {
        self.watched.len()
    }
}
