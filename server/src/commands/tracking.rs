//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO (redis-surface §13).

use std::collections::BTreeSet;

use moon_engine::args::Args;
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::SessionCx;

use super::{host, relisten};
use crate::service::tracking::{Mode, Peer, Tracked};

/// Options behind CLIENT TRACKING ON or OFF.
#[derive(Default)]
struct Options {
    redirect: Option<Peer>,
    broadcast: bool,
    optin: bool,
    optout: bool,
    noloop: bool,
    prefixes: Vec<Box<[u8]>>,
}

fn options(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult<Options> {
    let mut o = Options::default();
    let mut i = 3;
    while i < a.len() {
        let more = i + 1 < a.len();
        match () {
            () if a.is(i, "REDIRECT") && more => {
                i += 1;
                if o.redirect.is_some() {
                    return Err(CmdError::fixed(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                let id = a.int(i)?;
                let peer = u64::try_from(id).ok().and_then(|id| host(cx).ok()?.peer_of(id));
                o.redirect = Some(peer.ok_or(CmdError::fixed(
                    "ERR The client ID you want redirect to does not exist",
                ))?);
            }
            () if a.is(i, "BCAST") => o.broadcast = true,
            () if a.is(i, "OPTIN") => o.optin = true,
            () if a.is(i, "OPTOUT") => o.optout = true,
            () if a.is(i, "NOLOOP") => o.noloop = true,
            () if a.is(i, "PREFIX") && more => {
                i += 1;
                o.prefixes.push(a.get(i).into());
            }
            () => return Err(CmdError::SYNTAX),
        }
        i += 1;
    }
    Ok(o)
}

fn overlap(a: &[u8], b: &[u8]) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Prefixes of one client must not overlap: a key would be told twice.
fn check_prefixes(new: &[Box<[u8]>], old: &BTreeSet<Box<[u8]>>) -> CmdResult {
    let text = |p: &[u8]| String::from_utf8_lossy(p).into_owned();
    for (i, prefix) in new.iter().enumerate() {
        let clash = old.iter().find(|o| overlap(o, prefix)).map(|o| ("an existing", o));
        let clash = clash.or_else(|| {
            new[i + 1..].iter().find(|o| overlap(o, prefix)).map(|o| ("another provided", o))
        });
        if let Some((which, other)) = clash {
            return Err(CmdError::text(format!(
                "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client \
                 must not overlap.",
                text(prefix),
                text(other)
            )));
        }
    }
    Ok(())
}

pub(super) fn tracking(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let o = options(cx, a)?;
    let server = host(cx)?;
    let me = server.current;
    if a.is(2, "ON") {
        let tracked = checked(o, server.me()?.tracked.as_deref())?;
        server.track(me, tracked);
    } else if a.is(2, "OFF") {
        server.untrack(me);
    } else {
        return Err(CmdError::SYNTAX);
    }
    relisten(cx)?;
    cx.out.ok();
    Ok(())
}

/// The options as a state, if they fit each other and the state so far.
fn checked(o: Options, old: Option<&Tracked>) -> CmdResult<Tracked> {
    if !o.broadcast && !o.prefixes.is_empty() {
        return Err(CmdError::fixed("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if old.is_some_and(|t| (t.mode == Mode::Broadcast) != o.broadcast) {
        return Err(CmdError::fixed(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        ));
    }
    if o.broadcast && (o.optin || o.optout) {
        return Err(CmdError::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if o.optin && o.optout {
        return Err(CmdError::fixed("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    let before = old.map(|t| t.mode);
    if (o.optin && before == Some(Mode::OptOut)) || (o.optout && before == Some(Mode::OptIn)) {
        return Err(CmdError::fixed(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
             and then re-enabling it with a different mode.",
        ));
    }
    let mut prefixes = BTreeSet::new();
    if o.broadcast {
        check_prefixes(&o.prefixes, old.map_or(&BTreeSet::new(), |t| &t.prefixes))?;
        if o.prefixes.is_empty() {
            prefixes.insert(Box::default());
        }
        prefixes.extend(o.prefixes);
    }
    let mode = match () {
        () if o.broadcast => Mode::Broadcast,
        () if o.optin => Mode::OptIn,
        () if o.optout => Mode::OptOut,
        () => Mode::All,
    };
    Ok(Tracked { mode, noloop: o.noloop, redirect: o.redirect, prefixes, ..Tracked::default() })
}

pub(super) fn caching(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let Some(tracked) = &mut host(cx)?.me()?.tracked else {
        return Err(CmdError::fixed(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
             OPTIN or OPTOUT mode enabled",
        ));
    };
    match () {
        () if a.is(2, "YES") && tracked.mode == Mode::OptIn => tracked.caching = true,
        () if a.is(2, "NO") && tracked.mode == Mode::OptOut => tracked.caching = true,
        () if a.is(2, "YES") => {
            return Err(CmdError::fixed(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            ));
        }
        () if a.is(2, "NO") => {
            return Err(CmdError::fixed(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            ));
        }
        () => return Err(CmdError::SYNTAX),
    }
    cx.out.ok();
    Ok(())
}

pub(super) fn getredir(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let id = host(cx)?.me()?.redirect_id();
    cx.out.int(id);
    Ok(())
}

pub(super) fn trackinginfo(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let me = host(cx)?.me()?;
    let redirect = me.redirect_id();
    let tracked = me.tracked.as_deref().cloned();
    let on = tracked.is_some();
    let t = tracked.unwrap_or_default();
    let mut flags = vec![if on { "on" } else { "off" }];
    for (holds, name) in [
        (t.mode == Mode::Broadcast, "bcast"),
        (t.mode == Mode::OptIn, "optin"),
        (t.mode == Mode::OptIn && t.caching, "caching-yes"),
        (t.mode == Mode::OptOut, "optout"),
        (t.mode == Mode::OptOut && t.caching, "caching-no"),
        (t.noloop, "noloop"),
        (t.broken, "broken_redirect"),
    ] {
        if holds {
            flags.push(name);
        }
    }
    cx.out.map(3);
    cx.out.bulk(b"flags");
    cx.out.set(flags.len());
    flags.iter().for_each(|f| cx.out.bulk(f.as_bytes()));
    cx.out.bulk(b"redirect");
    cx.out.int(redirect);
    cx.out.bulk(b"prefixes");
    cx.out.array(t.prefixes.len());
    t.prefixes.iter().for_each(|p| cx.out.bulk(p));
    Ok(())
}
