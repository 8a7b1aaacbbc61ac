//! One request through the refusals to its reply.

use super::context::{ReadCx, SessionCx, WriteCx};
use super::session::Session;
use super::shard::Shard;
use super::wait::Waiting;
use crate::acl::{self, Context, Denial};
use crate::args::Args;
use crate::clock::Now;
use crate::command::{Command, Flags, Run};
use crate::db::ReadSpace;
use crate::error::{CmdError, CmdResult};
use crate::journal::{Origin, Unit};
use moon_formats::resp::Reply;
use std::any::Any;

/// The server around the engine, as far as the executor must ask it.
pub trait Host: Any {
    /// Refusals that the server decides: protected commands, cluster.
    fn admit(&mut self, _: &Session, _: &Command, _: Args<'_>, _: Context) -> CmdResult {
        Ok(())
    }

    /// A request was denied to its session's user.
    fn denied(&mut self, _: &Session, _: &Command, _: Args<'_>, _: Denial, _: Context) {}

    /// A clock for command statistics in a unit of the host's choice; 0 forever is allowed.
    fn ticks(&self) -> u64;

    /// A monotonic clock in microseconds, for the time scripts take; 0 forever is allowed.
    fn clock_us(&self) -> u64 {
        0
    }

    /// Whether a script that began at `started_us` of [`Host::clock_us`] has run for so long that others must
    /// have a turn, though only to hear that the server is busy.
    fn script_is_slow(&mut self, _started_us: u64) -> bool {
        false
    }

    /// A script says something to the server's log; levels 0 (debug) to 3 (warning).
    fn script_log(&mut self, _level: u8, _text: &str) {}

    /// A unit has been committed: its keys and events, if somebody listens (see
    /// [`Shard::listen`]). Whoever follows keys from outside is driven from here.
    fn committed(&mut self, _: &Unit, _: Origin) {}

    /// Keys were evicted to make room for a request. What its own client is to hear of that
    /// comes before the reply, so that it does not take a later value for the evicted one.
    fn evicted(&mut self, _out: &mut Vec<u8>) {}

    /// A command has run, inside a transaction or not, if [`Shard::listen`] asks for that.
    /// `touched` counts the keys and events of its unit so far.
    fn executed(&mut self, _: &Session, _: &Command, _: Args<'_>, _touched: usize) {}

    /// A command to show to whoever watches all of them, if [`Shard::listen`] asks for commands:
    /// when it has run or begun to wait, and before it runs if it runs others.
    fn show(&mut self, _: &Session, _: &Command, _: Args<'_>) {}

    /// A request of the master's stream was answered with an error.
    fn stream_error(&mut self, _: Args<'_>, _reply: &[u8]) {}

    /// A command took at least [`Shard::slow_ticks`].
    fn slow(&mut self, _: &Command, _: Args<'_>, _ticks: u64, _: Now) {}

    /// A command has run whose turn it was to be looked at, see [`Shard::sample_in`]. Returns how many
    /// commands later the next one is.
    fn sampled(&mut self, _: &Command, _: Args<'_>, _: &Sample, _: Now) -> u32 {
        u32::MAX
    }

    /// Itself, for commands that belong to the server.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// What a command has taken.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Clock ticks, without those of commands that it ran.
    pub ticks: u64,
    /// Bytes of its reply.
    pub reply_bytes: usize,
    /// A script ran it: its words and its reply went over no network.
    pub scripted: bool,
}

/// What the server does after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The reply has been written.
    Done,
    /// The reply has been written; the connection closes after it.
    Close,
    /// No reply yet: the session waits for a key and runs nothing until [`Shard::resume`], or for a script
    /// of its own until [`Shard::go_on`].
    Blocked,
}

const NO_AUTH: CmdError = CmdError::fixed("NOAUTH Authentication required.");
/// Memory is over its cap and nothing can make room.
pub(super) const OOM: CmdError =
    CmdError::fixed("OOM command not allowed when used memory > 'maxmemory'.");
const SAVE_FAILED: CmdError = CmdError::fixed(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Commands that may modify the data set are disabled, because this instance is configured to report \
     errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the \
     Redis logs for details about the RDB error.",
);
const NO_REPLICAS: CmdError = CmdError::fixed("NOREPLICAS Not enough good replicas to write.");
const LOADING: CmdError = CmdError::fixed("LOADING Redis is loading the dataset in memory");
const NOT_IN_MULTI: CmdError = CmdError::fixed("ERR Command not allowed inside a transaction");

impl Shard {
    /// Runs one request of a session and appends its reply to `out`.
    #[inline]
    pub fn run(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if session.master {
            return self.run_from_master(host, session, args);
        }
        if self.busy.is_none() && self.make_room(host) {
            host.evicted(out);
        }
        let start = out.len();
        match self.admit(host, session, args) {
            Err((command, refusal)) => {
                let meant = command.or_else(|| self.table.meant(args));
                if let Some(c) = meant {
                    self.stats.by_command[usize::from(c.id)].rejected += 1;
                }
                match meant {
                    Some(c) if c.spec.flags.has(Flags::RUNS_QUEUE) => {
                        self.discard(session);
                        let refusal = refusal.to_string();
                        // As in Redis: of a wrong number of words the bare text.
                        let why = refusal.strip_prefix("ERR ").unwrap_or(&refusal);
                        let text = format!("EXECABORT Transaction discarded because of: {why}");
                        self.refuse(&CmdError::text(text), session, out);
                        if self.listening.commands {
                            host.show(session, c, args);
                        }
                    }
                    _ => {
                        session.abort_multi();
                        self.refuse(&refusal, session, out);
                    }
                }
            }
            Ok(command) if session.queues(command) => {
                session.queue(command, args);
                Reply::new(out, session.proto).simple("QUEUED");
            }
            Ok(command) => {
                self.run_unit(host, session, command, args, out);
                if self.asked.is_some() {
                    return self.begin_wait(session, command, args);
                }
                if self.pausing.is_some() {
                    let reply = out.split_off(start);
                    return self.begin_busy(session, command, args, reply);
                }
            }
        }
        session.settle_reply(out, start);
        if session.close { Outcome::Close } else { Outcome::Done }
    }

    /// Runs a row in a unit of its own.
    #[inline]
    pub(super) fn run_unit(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) {
        self.begin_unit();
        self.execute(host, session, command, args, out);
        if self.pausing.is_some() {
            // The unit stays open until the script ends.
            return;
        }
        self.commit_unit(host, Origin::Client);
        if !self.expired.is_empty() {
            self.drop_expired(host);
        }
    }

    /// The order of refusals. `Ok` is the row to queue or run.
    #[inline]
    fn admit(
        &mut self,
        host: &mut dyn Host,
        session: &Session,
        args: Args<'_>,
    ) -> Result<&'static Command, (Option<&'static Command>, CmdError)> {
        let table = self.table;
        let command = table.resolve(args).map_err(|e| (None, e))?;
        let from = if session.multi.is_some() { Context::Multi } else { Context::Toplevel };
        self.admit_command(host, session, command, args, from).map_err(|e| (Some(command), e))?;
        self.admit_busy(command).map_err(|e| (Some(command), e))?;
        Ok(command)
    }

    #[inline]
    pub(crate) fn admit_command(
        &mut self,
        host: &mut dyn Host,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
        from: Context,
    ) -> CmdResult {
        let spec = command.spec;
        if session.master {
            return Ok(());
        }
        if !session.authenticated && !spec.flags.has(Flags::NO_AUTH) {
            return Err(NO_AUTH);
        }
        if session.multi.is_some() && spec.flags.has(Flags::NO_MULTI) {
            return Err(NOT_IN_MULTI);
        }
        if let Some(user) = &session.user
            && let Err(denial) = acl::check(&user.borrow(), command, args, session.db)
        {
            host.denied(session, command, args, denial, from);
            return Err(match session.in_exec && from == Context::Multi {
                true => denial.error_at_exec(),
                false => denial.error(&user.borrow(), command, args),
            });
        }
        host.admit(session, command, args, from)?;
        let demands = session.demands(spec);
        if self.eviction.full && demands.any.has(Flags::DENYOOM) {
            return Err(OOM);
        }
        if demands.writes {
            self.admit_write(demands.shrinks)?;
            // EXEC was let in with what it runs, though that may change the role.
            if !(session.in_exec && from == Context::Multi) {
                self.role.admit_write()?;
            }
        }
        // What EXEC and scripts run was let in with them.
        if session.subscribed
            && !session.in_exec
            && session.proto == moon_formats::resp::Proto::Resp2
            && !spec.flags.has(Flags::IN_SUBSCRIBE)
        {
            return Err(CmdError::text(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                spec.name
            )));
        }
        self.role.admit_change(spec.flags)?;
        self.role.admit_stale(demands.all)?;
        if self.loading && !demands.all.has(Flags::LOADING) {
            return Err(LOADING);
        }
        Ok(())
    }

    /// The refusals of a write that have their reason in the state of the server.
    #[inline]
    pub(crate) fn admit_write(&self, shrinks: bool) -> CmdResult {
        if let Some(log) = self.journal.log() {
            log.admit(shrinks)?;
        }
        if self.save_failed {
            return Err(SAVE_FAILED);
        }
        if self.lacks_replicas {
            return Err(NO_REPLICAS);
        }
        Ok(())
    }

    /// Runs a row inside the open unit and writes its reply, errors included.
    #[inline]
    pub(crate) fn execute(
        &mut self,
        host: &mut dyn Host,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        // What waited has been shown when it began to; a script comes before its commands.
        let shown = self.listening.commands && !session.waiting;
        let shown_first = command.spec.flags.has(Flags::SKIP_MONITOR);
        if shown && shown_first {
            host.show(session, command, args);
        }
        let result = match command.spec.run {
            Run::Read(f) => {
                let mut cx = ReadCx {
                    ks: ReadSpace {
                        dbs: &self.dbs,
                        cur: session.db,
                        expired: &mut self.expired,
                        unit: &mut self.unit,
                        stats: &mut self.stats,
                        now: self.now,
                        limits: &self.limits,
                        touch: !session.no_touch,
                        access: &self.access,
                    },
                    out: Reply::new(out, session.proto),
                    rng: &mut self.rng,
                    command,
                    wait: Waiting((!self.deny_waits).then_some(&mut self.asked)),
                    scripted: self.scripted,
                };
                f(&mut cx, args)
            }
            Run::Write(f) => self.write(f, session.db, session.proto, command, args, out),
            Run::Session(f) => {
                let proto = session.proto;
                f(
                    &mut SessionCx {
                        shard: self,
                        session,
                        host,
                        out: Reply::new(out, proto),
                        command,
                    },
                    args,
                )
            }
            Run::Container => Err(CmdError::arity(command.spec.name)),
        };
        if shown && !shown_first {
            host.show(session, command, args);
        }
        if self.asked.is_some() || self.pausing.is_some() {
            // It counts when it has been served.
            return;
        }
        self.settle(host, session, command, args, result, out, start);
    }

    /// Counts a command that has run, and writes its error if it failed.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the second half of `execute`")]
    pub(super) fn settle(
        &mut self,
        host: &mut dyn Host,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
        result: CmdResult,
        out: &mut Vec<u8>,
        start: usize,
    ) {
        self.stats.commands += 1;
        let ticks = host.ticks();
        let spent = ticks.wrapping_sub(self.ticks_last);
        self.ticks_last = ticks;
        let kept = self.stats.histograms;
        let row = &mut self.stats.by_command[usize::from(command.id)];
        row.ran(spent, kept);
        if spent >= self.slow_ticks {
            host.slow(command, args, spent, self.now);
        }
        if let Err(e) = result {
            row.failed += 1;
            out.truncate(start);
            self.refuse(&e, session, out);
        }
        if self.listening.commands {
            host.executed(session, command, args, self.unit.touched_len());
        }
        self.sample_in = self.sample_in.wrapping_sub(1);
        if self.sample_in == 0 {
            let reply_bytes = out.len() - start.min(out.len());
            let sample = Sample { ticks: spent, reply_bytes, scripted: self.scripted };
            self.sample_in = host.sampled(command, args, &sample, self.now);
        }
    }

    #[inline]
    pub(crate) fn write(
        &mut self,
        f: crate::command::spec::WriteFn,
        db: u16,
        proto: moon_formats::resp::Proto,
        command: &'static Command,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> CmdResult {
        self.unit.begin_command();
        let mut asked = None;
        let wait = Waiting((!self.deny_waits).then_some(&mut asked));
        let scripted = self.scripted;
        let ks = self.keyspace(db);
        let mut cx = WriteCx { ks, out: Reply::new(out, proto), command, wait, scripted };
        let result = f(&mut cx, args);
        if asked.is_some() {
            self.asked = asked;
        }
        debug_assert!(
            result.is_ok() || !self.unit.command_changed(),
            "{} changed keys and then failed",
            command.spec.name
        );
        self.unit.end_command(db, args);
        result
    }

    pub(super) fn refuse(&mut self, error: &CmdError, session: &Session, out: &mut Vec<u8>) {
        self.stats.count_error(error.code());
        Reply::new(out, session.proto).error(error.as_str());
    }

    /// Starts the statistics clock of a batch of requests.
    pub fn start_batch(&mut self, ticks: u64) {
        self.ticks_last = ticks;
    }
}
