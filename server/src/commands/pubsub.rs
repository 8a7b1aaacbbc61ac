//! Publish and subscribe (redis-surface §12).

use moon_engine::args::Args;
use moon_engine::command::{Access, ChannelSpec, CommandSpec, Flags, Group, KeySpec, Run};
use moon_engine::error::{CmdError, CmdResult};
use moon_engine::exec::{ClientReply, SessionCx};
use moon_engine::glob::glob_match;

use super::{host, relisten, row};
use crate::service::pubsub::Kind;

const GROUP: Group = Group::PubSub;
const LISTEN: Flags = Flags::PUBSUB
    .and(Flags::NOSCRIPT)
    .and(Flags::LOADING)
    .and(Flags::STALE)
    .and(Flags::IN_SUBSCRIBE);
const SPEAK: Flags =
    Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::MAY_REPLICATE);
const LOOK: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);

const fn topics(
    name: &'static str,
    since: &'static str,
    arity: i16,
    syntax: &'static str,
    summary: &'static str,
    channels: Option<ChannelSpec>,
    run: Run,
) -> CommandSpec {
    // Only those that add subscriptions take memory.
    let flags = if channels.is_some() { LISTEN.and(Flags::DENYOOM) } else { LISTEN };
    CommandSpec {
        channels,
        syntax,
        summary,
        complexity: "O(N) where N is the number of names given.",
        ..row(name, GROUP, since, arity, flags, run)
    }
}

const CHANNELS: Option<ChannelSpec> = Some(ChannelSpec::all(1, false));
const PATTERNS: Option<ChannelSpec> = Some(ChannelSpec::all(1, true));
const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::NotKey)];

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[
    topics(
        "subscribe",
        "2.0.0",
        -2,
        "channel [channel ...]",
        "Listens for messages published to channels.",
        CHANNELS,
        Run::Session(subscribe),
    ),
    topics(
        "unsubscribe",
        "2.0.0",
        -1,
        "[channel [channel ...]]",
        "Stops listening to messages posted to channels.",
        None,
        Run::Session(unsubscribe),
    ),
    topics(
        "psubscribe",
        "2.0.0",
        -2,
        "pattern [pattern ...]",
        "Listens for messages published to channels that match one or more patterns.",
        PATTERNS,
        Run::Session(psubscribe),
    ),
    topics(
        "punsubscribe",
        "2.0.0",
        -1,
        "[pattern [pattern ...]]",
        "Stops listening to messages published to channels that match one or more patterns.",
        None,
        Run::Session(punsubscribe),
    ),
    CommandSpec {
        keys: SHARD_CHANNELS,
        ..topics(
            "ssubscribe",
            "7.0.0",
            -2,
            "shardchannel [shardchannel ...]",
            "Listens for messages published to shard channels.",
            CHANNELS,
            Run::Session(ssubscribe),
        )
    },
    CommandSpec {
        keys: SHARD_CHANNELS,
        ..topics(
            "sunsubscribe",
            "7.0.0",
            -1,
            "[shardchannel [shardchannel ...]]",
            "Stops listening to messages posted to shard channels.",
            None,
            Run::Session(sunsubscribe),
        )
    },
    CommandSpec {
        syntax: "channel message",
        summary: "Posts a message to a channel.",
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
        channels: Some(ChannelSpec::one(1)),
        ..row("publish", GROUP, "2.0.0", 3, SPEAK, Run::Session(publish))
    },
    CommandSpec {
        syntax: "shardchannel message",
        summary: "Posts a message to a shard channel.",
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        keys: &[KeySpec::one(1, Access::NotKey)],
        channels: Some(ChannelSpec::one(1)),
        ..row("spublish", GROUP, "7.0.0", 3, SPEAK, Run::Session(spublish))
    },
    CommandSpec {
        summary: "A container for Pub/Sub commands.",
        complexity: "Depends on subcommand.",
        subs: &[
            CommandSpec {
                syntax: "[pattern]",
                summary: "Returns the active channels.",
                complexity: "O(N) where N is the number of active channels",
                ..row("pubsub|channels", GROUP, "2.8.0", -2, LOOK, Run::Session(channels))
            },
            CommandSpec {
                summary: "Returns helpful text about the different subcommands.",
                ..row(
                    "pubsub|help",
                    GROUP,
                    "6.2.0",
                    2,
                    Flags::LOADING.and(Flags::STALE),
                    Run::Session(help),
                )
            },
            CommandSpec {
                summary: "Returns a count of unique pattern subscriptions.",
                ..row("pubsub|numpat", GROUP, "2.8.0", 2, LOOK, Run::Session(numpat))
            },
            CommandSpec {
                syntax: "[channel [channel ...]]",
                summary: "Returns a count of subscribers to channels.",
                complexity: "O(N) where N is the number of requested channels",
                ..row("pubsub|numsub", GROUP, "2.8.0", -2, LOOK, Run::Session(numsub))
            },
            CommandSpec {
                syntax: "[pattern]",
                summary: "Returns the active shard channels.",
                complexity: "O(N) where N is the number of active shard channels",
                ..row("pubsub|shardchannels", GROUP, "7.0.0", -2, LOOK, Run::Session(shardchannels))
            },
            CommandSpec {
                syntax: "[shardchannel [shardchannel ...]]",
                summary: "Returns the count of subscribers of shard channels.",
                complexity: "O(N) where N is the number of requested shard channels",
                ..row("pubsub|shardnumsub", GROUP, "7.0.0", -2, LOOK, Run::Session(shardnumsub))
            },
        ],
        ..row("pubsub", GROUP, "2.8.0", -2, Flags::NONE, Run::Container)
    },
];

/// Writes one confirmation: a push in RESP3. `topic` is missing when there was nothing to end.
fn confirm(cx: &mut SessionCx<'_>, word: &str, topic: Option<&[u8]>, count: usize) -> CmdResult {
    let start = cx.out.len();
    cx.out.push(3);
    cx.out.bulk(word.as_bytes());
    match topic {
        Some(name) => cx.out.bulk(name),
        None => cx.out.null(),
    }
    cx.out.int(count as i64);
    // CLIENT REPLY OFF mutes replies; this is a message.
    if matches!(cx.session.reply, ClientReply::Off | ClientReply::SkipThis) {
        let bytes = cx.out.since(start).to_vec();
        let host = host(cx)?;
        host.deliver(host.current, &bytes);
    }
    Ok(())
}

fn listen(cx: &mut SessionCx<'_>, a: Args<'_>, kind: Kind, word: &str) -> CmdResult {
    for name in a.from(1) {
        let host = host(cx)?;
        let count = host.subscribe(host.current, kind, name);
        cx.session.subscribed = true;
        confirm(cx, word, Some(name), count)?;
    }
    relisten(cx)
}

fn unlisten(cx: &mut SessionCx<'_>, a: Args<'_>, kind: Kind, word: &str) -> CmdResult {
    let server = host(cx)?;
    let me = server.current;
    if a.len() > 1 {
        for name in a.from(1) {
            let count = host(cx)?.unsubscribe(me, kind, name);
            confirm(cx, word, Some(name), count)?;
        }
    } else {
        let all = server.topics(me, kind);
        if all.is_empty() {
            let count = server.me()?.topic_count(kind);
            confirm(cx, word, None, count)?;
        }
        for name in all {
            let count = host(cx)?.unsubscribe(me, kind, &name);
            confirm(cx, word, Some(&name), count)?;
        }
    }
    let server = host(cx)?;
    let follows = server.follows_changes(me);
    cx.session.subscribed = server.me()?.is_subscribed() || follows;
    relisten(cx)
}

fn subscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    listen(cx, a, Kind::Channel, "subscribe")
}

fn unsubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    unlisten(cx, a, Kind::Channel, "unsubscribe")
}

fn psubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    listen(cx, a, Kind::Pattern, "psubscribe")
}

fn punsubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    unlisten(cx, a, Kind::Pattern, "punsubscribe")
}

fn ssubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    if cx.session.in_exec() {
        return Err(CmdError::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    listen(cx, a, Kind::Shard, "ssubscribe")
}

fn sunsubscribe(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    unlisten(cx, a, Kind::Shard, "sunsubscribe")
}

/// Delivers a message, here and to the listeners of replicas; returns how many times it was here.
fn send(cx: &mut SessionCx<'_>, a: Args<'_>, shard: bool) -> CmdResult<usize> {
    let db = cx.session.db;
    let host = host(cx)?;
    host.replicas.also(db, a.all());
    Ok(host.publish(shard, a.get(1), a.get(2)))
}

fn publish(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let receivers = send(cx, a, false)?;
    cx.out.int(receivers as i64);
    Ok(())
}

fn spublish(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    let receivers = send(cx, a, true)?;
    cx.out.int(receivers as i64);
    Ok(())
}

fn names(cx: &mut SessionCx<'_>, a: Args<'_>, kind: Kind) -> CmdResult {
    if a.len() > 3 {
        return Err(CmdError::arity(cx.command.spec.name));
    }
    let mut names: Vec<Box<[u8]>> = host(cx)?.pubsub.names(kind).map(Box::from).collect();
    if let Some(pattern) = a.opt(2) {
        names.retain(|name| glob_match(pattern, name, false));
    }
    names.sort_unstable();
    cx.out.array(names.len());
    names.iter().for_each(|name| cx.out.bulk(name));
    Ok(())
}

fn counts(cx: &mut SessionCx<'_>, a: Args<'_>, kind: Kind) -> CmdResult {
    let topics = a.from(2);
    cx.out.array(topics.len() * 2);
    for topic in topics {
        let n = host(cx)?.pubsub.listeners(kind, topic);
        cx.out.bulk(topic);
        cx.out.int(n as i64);
    }
    Ok(())
}

fn channels(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    names(cx, a, Kind::Channel)
}

fn shardchannels(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    names(cx, a, Kind::Shard)
}

fn numsub(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    counts(cx, a, Kind::Channel)
}

fn shardnumsub(cx: &mut SessionCx<'_>, a: Args<'_>) -> CmdResult {
    counts(cx, a, Kind::Shard)
}

fn numpat(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    let n = host(cx)?.pubsub.count(Kind::Pattern);
    cx.out.int(n as i64);
    Ok(())
}

fn help(cx: &mut SessionCx<'_>, _: Args<'_>) -> CmdResult {
    moon_engine::commands::help(
        &mut cx.out,
        "PUBSUB",
        &[
            ("CHANNELS [<pattern>]", "Return the channels with listeners, those that match."),
            ("NUMPAT", "Return the number of patterns with listeners."),
            ("NUMSUB [<channel> ...]", "Return the number of listeners of each channel."),
            ("SHARDCHANNELS [<pattern>]", "Return the shard channels with listeners."),
            ("SHARDNUMSUB [<shardchannel> ...]", "Return the number of listeners of each."),
        ],
    );
    Ok(())
}
