//! What a command function gets to work with.

use super::run::Host;
use super::session::Session;
use super::shard::Shard;
use super::wait::Waiting;
use crate::command::Command;
use crate::db::{Keyspace, ReadSpace};
use crate::error::{CmdError, CmdResult};
use moon_formats::resp::Reply;

/// For a command that reads.
pub struct ReadCx<'a> {
    /// The keys.
    pub ks: ReadSpace<'a>,
    /// The reply.
    pub out: Reply<'a>,
    /// Chance, for RANDOMKEY and the like; reads log nothing, so it need not be repeatable.
    pub rng: &'a mut crate::clock::Rng,
    /// The row that runs, for texts that name the command.
    pub command: &'a Command,
    /// How it asks to wait.
    pub wait: Waiting<'a>,
    /// A script runs it.
    pub scripted: bool,
}

/// For a command that may write.
pub struct WriteCx<'a> {
    /// The keys.
    pub ks: Keyspace<'a>,
    /// The reply.
    pub out: Reply<'a>,
    /// The row that runs, for texts that name the command.
    pub command: &'a Command,
    /// How it asks to wait.
    pub wait: Waiting<'a>,
    /// A script runs it.
    pub scripted: bool,
}

/// For a command about session, transaction or server.
pub struct SessionCx<'a> {
    /// The shard.
    pub shard: &'a mut Shard,
    /// The client.
    pub session: &'a mut Session,
    /// The server around the engine.
    pub host: &'a mut dyn Host,
    /// The reply.
    pub out: Reply<'a>,
    /// The row that runs.
    pub command: &'a Command,
}

impl SessionCx<'_> {
    /// The server around the engine as its own type; an error if this host is another one.
    pub fn host<H: 'static>(&mut self) -> CmdResult<&mut H> {
        self.host
            .as_any()
            .downcast_mut()
            .ok_or(CmdError::fixed("ERR this command needs the server around the engine"))
    }
}
