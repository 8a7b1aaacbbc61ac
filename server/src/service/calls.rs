//! What the executor tells and asks of the server around each command.

use std::any::Any;

use moon_engine::acl::{Context, Denial};
use moon_engine::args::Args;
use moon_engine::clock::Now;
use moon_engine::command::{Command, Flags};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{Host, Sample, Session};
use moon_engine::journal::{Origin, Unit};

use super::host::{ServerHost, ticks};
use crate::process::crash;

impl Host for ServerHost {
    #[inline]
    fn admit(
        &mut self,
        session: &Session,
        command: &Command,
        _: Args<'_>,
        from: Context,
    ) -> CmdResult {
        if !self.monitors.is_empty()
            && self.is_monitor(self.current)
            && (command.spec.is_read()
                || command.spec.is_write()
                || command.spec.flags.has(Flags::MAY_REPLICATE))
        {
            return Err(CmdError::fixed("ERR Replica can't interact with the keyspace"));
        }
        if command.spec.flags.has(Flags::PROTECTED) && !self.guard_ok(self.debug) {
            return Err(CmdError::text(format!(
                "ERR {0} command not allowed. If the enable-debug-command option is set to \
                 \"local\", you can run it from a local connection, otherwise you need to set \
                 this option in the configuration file, and then restart the server.",
                command.spec.name.split('|').next().unwrap_or_default().to_ascii_uppercase()
            )));
        }
        crash::note(command.spec.name);
        // What EXEC and scripts run is not the client's own command.
        if from != Context::Lua
            && !session.in_exec()
            && let Some(Some(client)) = self.clients.get_mut(self.current as usize)
        {
            client.last_command = command.spec.name;
        }
        Ok(())
    }

    fn denied(
        &mut self,
        session: &Session,
        command: &Command,
        args: Args<'_>,
        denial: Denial,
        context: Context,
    ) {
        self.note_denied(session, command, args, denial, context);
    }

    #[inline]
    fn ticks(&self) -> u64 {
        ticks()
    }

    fn clock_us(&self) -> u64 {
        self.shared.facts.started.elapsed().as_micros() as u64
    }

    fn script_is_slow(&mut self, started_us: u64) -> bool {
        if self.script_max_us == 0 {
            return false;
        }
        let now_us = self.clock_us();
        // Others get a turn soon, so the thread is not stuck.
        self.shared.pulse.beat(now_us);
        now_us - started_us >= self.script_max_us
    }

    fn script_log(&mut self, level: u8, text: &str) {
        match level {
            0 | 1 => tracing::debug!(target: "script", "{text}"),
            2 => tracing::info!(target: "script", "{text}"),
            _ => tracing::warn!(target: "script", "{text}"),
        }
    }

    fn committed(&mut self, unit: &Unit, origin: Origin) {
        self.unit_committed(unit, origin);
    }

    fn executed(&mut self, _: &Session, command: &Command, args: Args<'_>, touched: usize) {
        self.command_executed(command, args, touched);
    }

    fn evicted(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.own);
    }

    fn show(&mut self, session: &Session, command: &Command, args: Args<'_>) {
        self.show_command(session, command, args);
    }

    #[cold]
    fn stream_error(&mut self, args: Args<'_>, reply: &[u8]) {
        let command = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
        let error = String::from_utf8_lossy(reply);
        tracing::warn!(%command, "a command of the master failed here: {}", error.trim_end());
    }

    #[cold]
    fn slow(&mut self, command: &Command, args: Args<'_>, ticks: u64, now: Now) {
        let micros = self.ticks_to_us(ticks);
        let fast = command.spec.flags.has(Flags::FAST);
        let event = if fast { "fast-command" } else { "command" };
        self.latency.add(event, now.unix_ms / 1000, micros);
        if self.slow_us.is_none_or(|limit| micros < limit) {
            return;
        }
        let who = self.client(self.current);
        let who = who.map(|c| (c.peer.addr.clone(), c.name.clone())).unwrap_or_default();
        self.slow_log.add(command, args, micros, now.unix_ms / 1000, who);
    }

    #[cold]
    fn sampled(&mut self, command: &Command, args: Args<'_>, sample: &Sample, now: Now) -> u32 {
        self.hot_keys.sampled(command, args, sample, now.unix_ms)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
