//! XTRIM, and the options that XADD shares with it.

use super::ids::{self, IdText};
use super::{BOTH_TRIMS, XTRIM};
use crate::args::Args;
use crate::db::Keyspace;
use crate::error::{CmdError, CmdResult};
use crate::exec::WriteCx;
use crate::types::stream::{References, Stream, Trim, TrimTo, Trimmed};
use moon_formats::number::Digits;

/// Trimming as the arguments ask for it.
#[derive(Clone, Copy, Default)]
pub(super) struct TrimArgs {
    to: Option<TrimTo>,
    whole_blocks: bool,
    limit: Option<u64>,
    references: Option<References>,
}

impl TrimArgs {
    /// Takes in the option at `at`; how many words it has, 0 if it is none.
    pub(super) fn take(&mut self, a: Args<'_>, at: usize) -> CmdResult<usize> {
        let more = a.len() - at - 1;
        let max_len = a.is(at, "MAXLEN");
        if (max_len || a.is(at, "MINID")) && more >= 1 {
            if self.to.is_some() {
                return Err(BOTH_TRIMS);
            }
            let sign = more >= 2 && (a.get(at + 1) == b"~" || a.get(at + 1) == b"=");
            self.whole_blocks = sign && a.get(at + 1) == b"~";
            let at = at + 1 + usize::from(sign);
            self.to = Some(if max_len {
                let n = a.int(at)?;
                TrimTo::Len(
                    u64::try_from(n)
                        .map_err(|_| CmdError::fixed("ERR The MAXLEN argument must be >= 0."))?,
                )
            } else {
                TrimTo::Id(ids::parse_exact(a.get(at))?)
            });
            return Ok(2 + usize::from(sign));
        }
        if a.is(at, "LIMIT") && more >= 1 {
            let n = a.int(at + 1)?;
            let n = u64::try_from(n)
                .map_err(|_| CmdError::fixed("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(n);
            return Ok(2);
        }
        let Some(references) = References::named(a.get(at)) else { return Ok(0) };
        if self.references.is_some() {
            return Err(CmdError::SYNTAX);
        }
        self.references = Some(references);
        Ok(1)
    }

    /// Checks the options against each other; the trimming asked for, if any.
    pub(super) fn finish(self, ks: &Keyspace<'_>) -> CmdResult<Option<Trim>> {
        let Some(to) = self.to else {
            if self.limit.is_some_and(|n| n > 0) {
                return Err(CmdError::fixed(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            return Ok(None);
        };
        // Redis passes a limit on with a trim that it has made exact: it has been obeyed already.
        if self.limit.is_some() && !self.whole_blocks && !ks.is_replay() {
            return Err(CmdError::fixed(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        // Without a bound of the client's, a hundred blocks' worth at a time.
        let usual = match ks.limits.stream_node_max_entries.saturating_mul(100) {
            0 => 10_000,
            n => n.min(1_000_000),
        };
        let limit = if self.whole_blocks { self.limit.unwrap_or(usual) } else { 0 };
        let references = self.references.unwrap_or(References::Keep);
        Ok(Some(Trim { to, whole_blocks: self.whole_blocks, limit, references }))
    }
}

/// The words that repeat a trimming exactly, whatever its limits were and wherever blocks end.
pub(super) struct ExactTrim {
    by: &'static [u8],
    bound: Bound,
    references: Option<&'static [u8]>,
}

enum Bound {
    Count(Digits),
    Id(IdText),
}

impl ExactTrim {
    pub(super) fn of(stream: &Stream, trim: &Trim, done: &Trimmed) -> ExactTrim {
        match done.up_to {
            // What entries are still referred to decides which ones go, up to an id.
            Some(id) if trim.references != References::Keep => ExactTrim {
                by: b"MINID",
                bound: Bound::Id(IdText::of(id)),
                references: Some(trim.references.name()),
            },
            _ => ExactTrim {
                by: b"MAXLEN",
                bound: Bound::Count(Digits::of_u64(stream.log().len())),
                references: None,
            },
        }
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let bound = match &self.bound {
            Bound::Count(n) => n.as_bytes(),
            Bound::Id(id) => id.as_bytes(),
        };
        [self.by, b"=", bound].into_iter().chain(self.references)
    }
}

/// XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]
pub(super) fn xtrim(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let mut args = TrimArgs::default();
    let mut at = 2;
    while at < a.len() {
        match args.take(a, at)? {
            0 => return Err(CmdError::SYNTAX),
            n => at += n,
        }
    }
    let Some(trim) = args.finish(&cx.ks)? else {
        return Err(CmdError::fixed(
            "ERR syntax error, XTRIM must be called with a trimming strategy",
        ));
    };
    let done = cx.ks.edit(a.get(1), |stream: &mut Stream, edit| {
        let done = stream.trim(&trim);
        if done.removed > 0 {
            edit.changed(XTRIM);
        }
        Ok((done, trim.whole_blocks.then(|| ExactTrim::of(stream, &trim, &done))))
    })?;
    let Some((done, exact)) = done else {
        cx.out.int(0);
        return Ok(());
    };
    if let Some(exact) = exact
        && done.removed > 0
    {
        let words: Vec<&[u8]> = [b"XTRIM", a.get(1)].into_iter().chain(exact.words()).collect();
        cx.ks.effect(&words);
    }
    cx.out.int(done.removed as i64);
    Ok(())
}
