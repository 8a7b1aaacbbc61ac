//! A script that runs longer than the host allows.
//!
//! Its fiber is left where it is, with the unit open, and the host's loop goes on: clients get
//! BUSY, but for the few commands that the table flags `allow_busy`. Between two turns the host
//! lets the script go on for a while ([`Shard::go_on`]).
//!
//! Invariants:
//! * Nothing reads or changes a key while a script is paused: its unit is done wholly or, if the
//!   server stops first, not at all.
//! * The script sees its keys at one instant, that of its beginning. Only what TIME answers goes on, so that a
//!   script which waits for a time ends.
//! * Its session runs nothing else. If the connection goes, the session is kept here.

use super::multi::Multi;
use super::run::{Host, Outcome};
use super::session::Session;
use super::shard::Shard;
use crate::args::Args;
use crate::clock::Now;
use crate::command::{Command, Flags};
use crate::error::{CmdError, CmdResult};
use crate::journal::{Origin, Unit};
use crate::script::Running;
use moon_formats::resp::Reply;

const NOT_BUSY: CmdError = CmdError::fixed("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: CmdError = CmdError::fixed(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
     either wait the script termination or kill the server in a hard way using the SHUTDOWN \
     NOSAVE command.",
);

/// A script that has just been paused, on its way out of the commands it runs in.
pub(crate) struct Pausing {
    running: Running,
    /// The EXEC that is not done, and which of its commands runs the script.
    rest: Option<(Box<Multi>, usize)>,
}

impl Pausing {
    /// Notes that the script is command `at` of a queue.
    pub(super) fn in_queue(&mut self, multi: Box<Multi>, at: usize) {
        self.rest = Some((multi, at));
    }
}

/// A paused script.
pub(crate) struct Busy {
    pausing: Box<Pausing>,
    /// The request: EVAL, FCALL or the EXEC around it.
    command: &'static Command,
    words: Vec<Box<[u8]>>,
    client: u64,
    /// The session, if its connection has gone.
    session: Option<Session>,
    unit: Unit,
    now: Now,
    /// When the running command began.
    ticks: u64,
    /// The reply so far.
    out: Vec<u8>,
}

impl Busy {
    fn running(&self) -> &Running {
        &self.pausing.running
    }

    /// What everybody else hears.
    fn refusal(&self) -> CmdError {
        CmdError::fixed(if self.running().is_function {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        } else {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        })
    }

    /// The words of the command that runs the script.
    fn words(&self) -> &[Box<[u8]>] {
        match &self.pausing.rest {
            Some((multi, at)) => multi.words(*at),
            None => &self.words,
        }
    }
}

/// What FUNCTION STATS tells of a paused function.
pub(crate) struct BusyFunction<'a> {
    /// Its name.
    pub(crate) name: &'a [u8],
    /// The command that called it.
    pub(crate) words: &'a [Box<[u8]>],
    /// [`Host::clock_us`] when it began.
    pub(crate) started_us: u64,
}

impl Shard {
    /// Takes a script that others must not wait for any longer.
    pub(crate) fn pause_script(&mut self, running: Running) {
        self.pausing = Some(Box::new(Pausing { running, rest: None }));
    }

    /// Leaves the paused script of a request until [`Self::go_on`].
    #[cold]
    pub(super) fn begin_busy(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        out: Vec<u8>,
    ) -> Outcome {
        if let Some(pausing) = self.pausing.take() {
            self.busy = Some(Box::new(Busy {
                pausing,
                command,
                words: args.all().iter().map(|w| Box::from(*w)).collect(),
                client: session.id,
                session: None,
                unit: std::mem::take(&mut self.unit),
                now: self.now,
                ticks: self.ticks_last,
                out,
            }));
            session.waiting = true;
        }
        Outcome::Blocked
    }

    /// The client whose script is paused.
    #[inline]
    pub fn busy_client(&self) -> Option<u64> {
        self.busy.as_ref().map(|b| b.client)
    }

    /// The refusal of a command while a script is paused.
    #[inline]
    pub(super) fn admit_busy(&self, command: &Command) -> CmdResult {
        match &self.busy {
            Some(busy) if !command.spec.flags.has(Flags::ALLOW_BUSY) => Err(busy.refusal()),
            _ => Ok(()),
        }
    }

    /// The refusal of what may only be done when no script is paused.
    pub fn while_idle(&self) -> CmdResult {
        self.busy.as_ref().map_or(Ok(()), |busy| Err(busy.refusal()))
    }

    /// Takes over the session of a connection that has gone, if its script is paused.
    pub fn adopt(&mut self, session: Session) {
        if let Some(busy) = &mut self.busy
            && busy.client == session.id
        {
            busy.session = Some(session);
        }
    }

    /// Forgets a paused script and all it has done: the server stops. The shard is of no use any more.
    pub fn abandon_script(&mut self) {
        self.busy = None;
    }

    /// Has a paused script end with an error at its next turn, as SCRIPT KILL does. False if it has written,
    /// so that only [`Self::abandon_script`] is left.
    pub fn stop_script(&mut self) -> bool {
        match &mut self.busy {
            Some(busy) if busy.running().wrote => false,
            Some(busy) => {
                busy.pausing.running.stop();
                true
            }
            None => true,
        }
    }

    /// SCRIPT KILL and FUNCTION KILL.
    pub(crate) fn kill_script(&mut self, function: bool) -> CmdResult {
        let busy = self.busy.as_mut().ok_or(NOT_BUSY)?;
        if busy.running().wrote {
            return Err(UNKILLABLE);
        }
        if busy.running().is_function != function {
            return Err(busy.refusal());
        }
        busy.pausing.running.stop();
        Ok(())
    }

    /// The function that is paused; an error if it is a script.
    pub(crate) fn busy_function(&self) -> CmdResult<Option<BusyFunction<'_>>> {
        let Some(busy) = &self.busy else { return Ok(None) };
        let running = busy.running();
        if !running.is_function {
            return Err(busy.refusal());
        }
        let (name, started_us) = (&*running.name, running.started_us);
        Ok(Some(BusyFunction { name, words: busy.words(), started_us }))
    }

    /// Lets the paused script go on for a while, and answers its client if it has ended.
    /// `session` is the client's, if its connection is there.
    pub fn go_on(
        &mut self,
        host: &mut dyn Host,
        session: Option<&mut Session>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Some(mut busy) = self.busy.take() else { return Outcome::Done };
        let mut gone = busy.session.take();
        let Some(session) = session.or(gone.as_mut()) else { return Outcome::Close };
        let now = self.now;
        self.set_now(Now { unix_us: now.unix_us, ..busy.now });
        self.unit = std::mem::take(&mut busy.unit);
        // Whoever began to watch a key meanwhile must hear of it.
        self.unit.also_collect(self.watches > 0, false);
        let ended = busy.pausing.running.go_on(self, host, session);
        let done = match ended {
            Some(ended) => {
                self.ticks_last = busy.ticks;
                self.end_busy(host, session, &mut busy, ended)
            }
            None => false,
        };
        let outcome = if done {
            self.commit_unit(host, Origin::Client);
            session.waiting = false;
            let start = out.len();
            out.append(&mut busy.out);
            session.settle_reply(out, start);
            if session.close { Outcome::Close } else { Outcome::Done }
        } else {
            busy.unit = std::mem::take(&mut self.unit);
            busy.ticks = self.ticks_last;
            busy.session = gone;
            self.busy = Some(busy);
            Outcome::Blocked
        };
        self.set_now(now);
        if done && !self.expired.is_empty() {
            self.drop_expired(host);
        }
        outcome
    }

    /// Ends the command whose script has ended, and what of an EXEC comes behind it. False if that has
    /// paused again.
    fn end_busy(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        busy: &mut Busy,
        ended: crate::script::Ended,
    ) -> bool {
        let rest = busy.pausing.rest.take();
        let start = busy.out.len();
        let (command, words) = match &rest {
            Some((multi, at)) => (multi.command(*at), multi.words(*at)),
            None => (busy.command, &*busy.words),
        };
        let words: Vec<&[u8]> = words.iter().map(|w| &**w).collect();
        let mut reply = Reply::new(&mut busy.out, session.proto);
        let result = busy.pausing.running.finish(ended, self, command, &mut reply);
        self.settle(host, session, command, Args::new(&words), result, &mut busy.out, start);
        let Some((multi, at)) = rest else { return true };
        self.run_queue(host, session, multi, at + 1, &mut busy.out);
        if let Some(pausing) = self.pausing.take() {
            busy.pausing = pausing;
            return false;
        }
        let words: Vec<&[u8]> = busy.words.iter().map(|w| &**w).collect();
        let start = busy.out.len();
        let (command, args) = (busy.command, Args::new(&words));
        self.settle(host, session, command, args, Ok(()), &mut busy.out, start);
        true
    }
}
