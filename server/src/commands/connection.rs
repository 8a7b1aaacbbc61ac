//! HELLO, AUTH, RESET, QUIT.

use moon_engine::acl;
use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run, Secret};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{ClientReply, SessionCx};
use moon_formats::number::parse_i64;
use moon_formats::resp::Proto;

use super::client::check_name;
use super::{ANYTIME, host, relisten, row};
use crate::service::logins::Verdict;

const GROUP: Group = Group::Connection;
const FLAGS: Flags = ANYTIME.and(Flags::FAST).and(Flags::NO_AUTH).and(Flags::ALLOW_BUSY);

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        summary: "Authenticates the connection.",
        syntax: "[username] password",
        complexity: "O(N) where N is the number of passwords defined for the user",
        secrets: &[Secret::From(1)],
        ..row("auth", GROUP, "1.0.0", -2, FLAGS, Run::Session(auth))
    },
    CommandSpec {
        summary: "Handshakes with the server.",
        syntax: "[protover [AUTH username password] [SETNAME clientname]]",
        secrets: &[Secret::After("AUTH", 2)],
        ..row("hello", GROUP, "6.0.0", -1, FLAGS, Run::Session(hello))
    },
    CommandSpec {
        summary: "Closes the connection.",
        ..row(
            "quit",
            GROUP,
            "1.0.0",
            -1,
            FLAGS.and(Flags::NOT_QUEUED).and(Flags::IN_SUBSCRIBE),
            Run::Session(quit),
        )
    },
    CommandSpec {
        summary: "Resets the connection.",
        ..row(
            "reset",
            GROUP,
            "6.2.0",
            1,
            FLAGS.and(Flags::NOT_QUEUED).and(Flags::IN_SUBSCRIBE),
            Run::Session(reset),
        )
    },
];

const WRONGPASS: CmdError =
    CmdError::fixed("WRONGPASS invalid username-password pair or user is disabled.");

const TOO_MANY: CmdError = CmdError::fixed(
    "ERR too many failed logins from this address, try again in some seconds (auth-rate-limit)",
);

/// Makes the session that of a user, if the password is right. False if the request has to wait: then
/// it is run again.
fn login(cx: &mut SessionCx<'_>, command: &[u8], user: &[u8], password: &[u8]) -> CmdResult<bool> {
    let in_multi = cx.session.in_exec();
    let now_ms = cx.shard.now().mono_us / 1000;
    let host = host(cx)?;
    match host.attempt_login(in_multi, now_ms) {
        Verdict::Now => {}
        Verdict::Later => return Ok(false),
        Verdict::Refused => {
            host.note_refused_login(user, in_multi);
            return Err(TOO_MANY);
        }
    }
    let Some(user) = host.users.authenticate(user, password) else {
        host.note_failed_login(command, user, in_multi, now_ms);
        return Err(WRONGPASS);
    };
    host.me()?.user = Some(user.clone());
    cx.session.user = Some(user);
    cx.session.authenticated = true;
    Ok(true)
}

fn auth(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let done = match a.len() {
        2 if host(cx)?.users.default_user().borrow().no_password() => {
            return Err(CmdError::fixed(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => login(cx, a.get(0), acl::DEFAULT, a.get(1))?,
        3 => login(cx, a.get(0), a.get(1), a.get(2))?,
        _ => return Err(CmdError::SYNTAX),
    };
    if done {
        cx.out.ok();
    }
    Ok(())
}

fn hello(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let mut proto = cx.session.proto;
    if let Some(word) = a.opt(1) {
        proto = match parse_i64(word) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(CmdError::fixed("NOPROTO unsupported protocol version")),
            None => {
                return Err(CmdError::fixed(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    let mut credentials = None;
    let mut name = None;
    let mut i = 2;
    while i < a.len() {
        if a.is(i, "AUTH") && a.len() - i > 2 {
            credentials = Some((a.get(i + 1), a.get(i + 2)));
            i += 3;
        } else if a.is(i, "SETNAME") && a.len() - i > 1 {
            name = Some(check_name(a.get(i + 1))?);
            i += 2;
        } else {
            return Err(CmdError::text(format!(
                "ERR Syntax error in HELLO option '{}'",
                String::from_utf8_lossy(a.get(i))
            )));
        }
    }
    if let Some((user, password)) = credentials
        && !login(cx, a.get(0), user, password)?
    {
        return Ok(());
    }
    if !cx.session.authenticated {
        return Err(CmdError::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    let id = cx.session.id;
    let host = host(cx)?;
    if let Some(name) = name {
        host.me()?.name = name;
    }
    host.me()?.proto = proto;
    let role = if host.following.is_some() { "replica" } else { "master" };
    let version =
        host.shared.with_config(|c| c.text(crate::config::OptionId::CompatVersion).to_string());
    cx.session.proto = proto;
    cx.out.set_proto(proto);
    let out = &mut cx.out;
    out.map(7);
    for (key, value) in [("server", "redis"), ("version", version.as_str())] {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"proto");
    out.int(if proto == Proto::Resp3 { 3 } else { 2 });
    out.bulk(b"id");
    out.int(id as i64);
    for (key, value) in [("mode", "standalone"), ("role", role)] {
        out.bulk(key.as_bytes());
        out.bulk(value.as_bytes());
    }
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

fn quit(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.session.close = true;
    cx.out.ok();
    Ok(())
}

fn reset(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    cx.shard.discard(cx.session);
    let (user, needs_password) = {
        let host = host(cx)?;
        let user = host.users.default_user().clone();
        host.stop_listening(host.current);
        host.unfollow_changes(host.current);
        let me = host.me()?;
        me.proto = Proto::Resp2;
        me.name.clear();
        me.no_evict = false;
        me.user = Some(user.clone());
        (user, host.needs_password())
    };
    relisten(cx)?;
    let session = &mut *cx.session;
    session.db = 0;
    session.proto = Proto::Resp2;
    session.reply = ClientReply::On;
    session.no_touch = false;
    session.subscribed = false;
    session.user = Some(user);
    session.authenticated = !needs_password;
    cx.out.set_proto(Proto::Resp2);
    cx.out.simple("RESET");
    Ok(())
}
