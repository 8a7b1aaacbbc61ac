//! Ops with several connections: some wait for keys while another writes them.
//!
//! The order in which they begin to wait is made certain by asking the server, not by time. At
//! the end those that still wait are unblocked, so that every command gets a reply to compare.

use super::compare::same;
use super::gen_waits::is_blocking;
use super::run::{Failure, Run};
use crate::client::Client;
use crate::value::Value;
use crate::{Command, cmd};
use std::io;
use std::thread::sleep;
use std::time::Duration;

/// A server that has not taken a command after so many looks never does.
const LOOKS: usize = 5000;

/// A connection that is to wait.
struct Waiter {
    client: Client,
    id: i64,
}

impl Waiter {
    /// Sends a command on a connection of its own and returns once the server has taken it.
    fn begin(main: &mut Client, command: &Command, version: i64) -> io::Result<Waiter> {
        let mut client = main.another()?;
        client.call(&cmd!["HELLO", version])?;
        let Value::Int(id) = client.call(&cmd!["CLIENT", "ID"])? else {
            return Err(io::Error::other("CLIENT ID answers no number"));
        };
        client.queue(command);
        client.flush()?;
        for _ in 0..LOOKS {
            let list = main.call(&cmd!["CLIENT", "LIST", "ID", id])?;
            let text = String::from_utf8_lossy(list.text().unwrap_or_default()).into_owned();
            if !text.contains(" cmd=client|id ") {
                return Ok(Waiter { client, id });
            }
            sleep(Duration::from_millis(1));
        }
        Err(io::Error::other("the command is not taken"))
    }
}

impl Run<'_> {
    /// Lets clients wait, sends the rest of the commands, compares what each got.
    pub(super) fn waits(&mut self, commands: &[Command]) -> Result<(), Box<Failure>> {
        if self.queue.is_some() {
            return Ok(());
        }
        let waiting = commands.iter().take_while(|c| is_blocking(c)).count();
        let (blocking, rest) = commands.split_at(waiting);
        self.call_and_compare(cmd!["SELECT", 0])?;
        let mut waiters = Vec::new();
        for (n, command) in blocking.iter().enumerate() {
            let version = 2 + (n % 2) as i64;
            let oracle = Waiter::begin(&mut self.pair.oracle, command, version);
            let subject = Waiter::begin(&mut self.pair.subject, command, version);
            let pair = oracle.and_then(|o| Ok((o, subject?)));
            waiters.push(pair.map_err(|e| self.broken(command, &e))?);
        }
        for command in rest {
            self.call_and_compare(command.clone())?;
        }
        if self.queue.is_some() {
            self.call_and_compare(cmd!["DISCARD"])?;
        }
        for (command, (mut o, mut s)) in blocking.iter().zip(waiters) {
            let end = |client: &mut Client, id: i64| client.call(&cmd!["CLIENT", "UNBLOCK", id]);
            let ended = end(&mut self.pair.oracle, o.id)
                .and_then(|oracle| Ok((oracle, end(&mut self.pair.subject, s.id)?)));
            let (oracle, subject) = ended.map_err(|e| self.broken(command, &e))?;
            if oracle != subject {
                let why = "one side was served, the other still waits".to_string();
                return Err(self.failure(command, Some((oracle, subject)), why));
            }
            let replies = o.client.receive().and_then(|oracle| Ok((oracle, s.client.receive()?)));
            let (oracle, subject) = replies.map_err(|e| self.broken(command, &e))?;
            self.stats.commands += 1;
            if let Err(why) = same(command, &oracle, &subject, None) {
                return Err(self.failure(command, Some((oracle, subject)), why));
            }
        }
        Ok(())
    }
}
