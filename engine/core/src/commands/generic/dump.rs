//! DUMP and RESTORE.
//!
//! Logged is RESTORE with an absolute time to live and a payload that holds exactly what was stored.

use crate::args::Args;
use crate::db::Stored;
use crate::error::{CmdError, CmdResult};
use crate::event::Event;
use crate::exec::{ReadCx, WriteCx};
use crate::persist::{self, BadPayload};
use moon_formats::number::Digits;

const BUSY_KEY: CmdError = CmdError::fixed("BUSYKEY Target key name already exists.");

/// DUMP key
pub(super) fn dump(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(e) = cx.ks.get(a.get(1)) else {
        cx.out.null();
        return Ok(());
    };
    let mut payload = Vec::new();
    persist::put_payload(e.value(), &mut payload)
        .map_err(|unfit| CmdError::text(format!("ERR {unfit}")))?;
    cx.out.bulk(&payload);
    Ok(())
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_secs: Option<u64>,
    freq: Option<u8>,
}

impl Options {
    fn parse(a: Args<'_>) -> CmdResult<Self> {
        let mut o = Options::default();
        let mut i = 4;
        while i < a.len() {
            let more = i + 1 < a.len();
            if a.is(i, "REPLACE") {
                o.replace = true;
            } else if a.is(i, "ABSTTL") {
                o.absolute = true;
            } else if a.is(i, "IDLETIME") && more && o.freq.is_none() {
                i += 1;
                let secs = u64::try_from(a.int(i)?);
                o.idle_secs =
                    Some(secs.map_err(|_| {
                        CmdError::fixed("ERR Invalid IDLETIME value, must be >= 0")
                    })?);
            } else if a.is(i, "FREQ") && more && o.idle_secs.is_none() {
                i += 1;
                let freq = u8::try_from(a.int(i)?);
                o.freq = Some(freq.map_err(|_| {
                    CmdError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255")
                })?);
            } else {
                return Err(CmdError::SYNTAX);
            }
            i += 1;
        }
        Ok(o)
    }
}

/// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
pub(super) fn restore(cx: &mut WriteCx<'_>, a: Args<'_>) -> CmdResult {
    let key = a.get(1);
    let options = Options::parse(a)?;
    if !options.replace && cx.ks.exists(key) {
        return Err(BUSY_KEY);
    }
    let ttl = u64::try_from(a.int(2)?)
        .map_err(|_| CmdError::fixed("ERR Invalid TTL value, must be >= 0"))?;
    let restored =
        persist::read_payload(a.get(3), cx.ks.now, cx.ks.limits).map_err(|bad| match bad {
            BadPayload::Frame => CmdError::fixed("ERR DUMP payload version or checksum are wrong"),
            BadPayload::Content => CmdError::fixed("ERR Bad data format"),
        })?;
    let expire_ms = match ttl {
        0 => None,
        _ if options.absolute => Some(ttl),
        _ => Some(cx.ks.now.unix_ms.saturating_add(ttl).min(i64::MAX as u64)),
    };
    cx.out.ok();
    let value = restored.value.filter(|_| !expire_ms.is_some_and(|at| cx.ks.is_past(at)));
    let Some(value) = value else {
        if cx.ks.remove(key, Event::DEL) {
            cx.ks.removal_effect(key);
        }
        return Ok(());
    };
    cx.ks.place(key, Stored::Copied { value, expire_ms, user: 0 }, Event::RESTORE);
    cx.ks.set_use(key, options.idle_secs, options.freq);
    if options.absolute && restored.payload.is_none() {
        // The request is its own effect.
        return Ok(());
    }
    let at = Digits::of_u64(expire_ms.unwrap_or(0));
    let payload = restored.payload.as_deref().unwrap_or(a.get(3));
    let mut words: Vec<&[u8]> = vec![b"RESTORE", key, at.as_bytes(), payload, b"ABSTTL"];
    if options.replace {
        words.push(b"REPLACE");
    }
    let idle = options.idle_secs.map(Digits::of_u64);
    if let Some(secs) = &idle {
        words.extend([&b"IDLETIME"[..], secs.as_bytes()]);
    }
    let freq = options.freq.map(|f| Digits::of_u64(u64::from(f)));
    if let Some(freq) = &freq {
        words.extend([&b"FREQ"[..], freq.as_bytes()]);
    }
    cx.ks.effect(&words);
    Ok(())
}
