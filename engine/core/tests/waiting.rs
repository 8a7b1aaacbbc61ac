//! Clients that wait for keys: who is served, in which order, with what.
//!
//! Scripts have several clients, named by a letter:
//!
//! ```text
//! a> BLPOP k 0       a command of client a
//! ...                it waits (otherwise its reply)
//! b> RPUSH k x
//! :1
//! a< [k x]           what waiting clients got by it, in this order and nothing else
//! = RPUSH k x        what was logged; without such lines anything may be
//! = LPOP k
//! @ +500             the clock goes on; waits that are over are answered
//! a!                 the client goes away
//! ```

use crate::common::{Harness, NoHost, render, split};
use moon_engine::args::Args;
use moon_engine::exec::{Outcome, Session};
use moon_formats::resp::Proto;
use std::collections::BTreeMap;

struct Clients {
    h: Harness,
    sessions: BTreeMap<u64, Session>,
}

fn name(id: u64) -> char {
    char::from(id as u8)
}

impl Clients {
    fn session(&mut self, id: u64) -> &mut Session {
        self.sessions.entry(id).or_insert_with(|| Session::new(id))
    }

    fn run(&mut self, client: char, line: &str) -> String {
        let words = split(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        self.session(client as u64);
        let session = self.sessions.get_mut(&(client as u64)).expect("just made");
        assert!(!session.waiting, "{client} waits and cannot run {line}");
        match self.h.shard.run(&mut NoHost, session, Args::new(&words), &mut out) {
            Outcome::Blocked => {
                assert!(out.is_empty());
                "...".into()
            }
            _ => render(&out),
        }
    }

    /// Serves whoever can be served, as a driver does.
    fn serve(&mut self) -> Vec<String> {
        let mut answers = Vec::new();
        while let Some(woken) = self.h.shard.next_woken() {
            let client = woken.client;
            let session = self.sessions.get_mut(&client).expect("only clients that are there");
            let mut out = Vec::new();
            if self.h.shard.resume(&mut NoHost, session, woken, &mut out) != Outcome::Blocked {
                let reply = if out.is_empty() { "nothing".into() } else { render(&out) };
                answers.push(format!("{}< {reply}", name(client)));
            } else {
                assert!(out.is_empty());
            }
        }
        assert!(!self.h.shard.has_woken());
        answers
    }
}

#[track_caller]
fn check(script: &str) {
    let mut clients = Clients { h: Harness::new(), sessions: BTreeMap::new() };
    let mut wrong = Vec::new();
    let mut lines = script.lines().map(str::trim).enumerate().peekable();
    while let Some((n, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        clients.h.effects();
        if let Some(ms) = line.strip_prefix("@ +") {
            clients.h.advance(ms.parse().expect("milliseconds"));
            clients.h.shard.time_out_waits();
        } else if let Some(client) = line.strip_suffix('!') {
            let id = client.chars().next().expect("a client") as u64;
            clients.h.shard.stop_waiting(id);
            clients.sessions.remove(&id);
        } else {
            let (client, command) = line.split_once("> ").expect("client> command");
            let client = client.chars().next().expect("a client");
            if command == "resp3" {
                clients.session(client as u64).proto = Proto::Resp3;
                continue;
            }
            let got = clients.run(client, command);
            let (_, want) = lines.next().expect("a reply");
            if got != want {
                wrong.push(format!("line {n}: {command}\n   got {got}\n  want {want}"));
            }
        }
        let answers = clients.serve();
        let mut want = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, l)| l.get(1..3) == Some("< ")) {
            want.push(line.to_string());
        }
        if answers != want {
            wrong.push(format!("line {n}: {line}\n   answered {answers:?}\n  want {want:?}"));
        }
        let mut effects = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, l)| l.starts_with("= ")) {
            effects.push(line[2..].to_string());
        }
        let logged = clients.h.effects();
        if !effects.is_empty() && effects != logged {
            wrong.push(format!("line {n}: {line}\n   logged {logged:?}\n  want {effects:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    clients.h.check_replay();
}

#[test]
fn served_in_the_order_of_waiting_and_logged_as_the_plain_pop() {
    check(
        "a> BLPOP k 0
         ...
         b> BRPOP k 0
         ...
         c> BLPOP k 0
         ...
         d> RPUSH k 1 2
         :2
         a< [k 1]
         b< [k 2]
         = RPUSH k 1 2
         = LPOP k
         = RPOP k
         d> EXISTS k
         :0
         d> RPUSH k 3 4
         :2
         c< [k 3]
         d> LRANGE k 0 -1
         [4]",
    );
}

#[test]
fn a_client_of_several_keys_takes_its_first_that_is_ready() {
    check(
        "a> BLPOP k1 k2 k2 k1 0
         ...
         d> MULTI
         +OK
         d> RPUSH k2 x
         +QUEUED
         d> RPUSH k1 y
         +QUEUED
         d> EXEC
         [:1 :1]
         a< [k1 y]
         d> LRANGE k2 0 -1
         [x]
         a> BLPOP k1 k2 0
         [k2 x]
         = LPOP k2
         a> BRPOP k1 k2 0
         ...
         d> RPUSH k2 z
         :1
         a< [k2 z]
         d> RPUSH k1 z
         :1",
    );
}

#[test]
fn a_transaction_wakes_after_its_end() {
    check(
        "a> BLPOP k 0
         ...
         d> MULTI
         +OK
         d> RPUSH k 1
         +QUEUED
         d> DEL k
         +QUEUED
         d> EXEC
         [:1 :1]
         d> MULTI
         +OK
         d> RPUSH k 1
         +QUEUED
         d> LPUSH k 2
         +QUEUED
         d> EXEC
         [:1 :2]
         a< [k 2]
         = RPUSH k 1
         = LPUSH k 2
         = LPOP k",
    );
}

#[test]
fn inside_exec_nobody_waits() {
    check(
        "a> MULTI
         +OK
         a> BLPOP k 0
         +QUEUED
         a> BLMOVE k l LEFT LEFT 0
         +QUEUED
         a> BLMPOP 0 1 k LEFT
         +QUEUED
         a> BRPOPLPUSH k l 0
         +QUEUED
         a> BLMOVEM k l LEFT LEFT 0
         +QUEUED
         a> BZPOPMIN k 0
         +QUEUED
         a> BZMPOP 0 1 k MIN
         +QUEUED
         a> EXEC
         [*-1 $-1 *-1 $-1 *-1 *-1 *-1]",
    );
}

#[test]
fn time_runs_out_to_the_millisecond() {
    check(
        "a> BLPOP k 0.001
         ...
         b> BZPOPMIN z 2
         ...
         c> resp3
         c> BLMOVE k l LEFT RIGHT 1.5
         ...
         @ +0
         @ +1
         a< *-1
         @ +1498
         @ +1
         c< _
         d> RPUSH k 1
         :1
         @ +500
         b< *-1
         @ +100000",
    );
}

#[test]
fn timeouts_are_read_as_redis_reads_them() {
    check(
        "a> BLPOP k x
         -ERR timeout is not a float or out of range
         a> BLPOP k -1
         -ERR timeout is negative
         a> BLPOP k -0.0001
         ...
         a!
         a> BLPOP k 0x7FFFFFFFFFFFFF
         -ERR timeout is out of range
         a> BLPOP k 9223372036854775
         -ERR timeout is out of range
         a> BLPOP k inf
         -ERR timeout is out of range
         a> BZMPOP nan 1 z MIN
         -ERR timeout is not a float or out of range
         a> BLMOVE k l LEFT RIGHT abc
         -ERR timeout is not a float or out of range
         a> BLMOVE k l LEFT DOWN 0
         -ERR syntax error
         a> BLMPOP 0 0 k LEFT
         -ERR numkeys should be greater than 0
         a> BLMPOP -1 1 k LEFT
         -ERR timeout is negative
         a> BLMPOP 0 1 k LEFT COUNT 0
         -ERR count should be greater than 0",
    );
}

#[test]
fn a_value_of_another_type_does_not_wake() {
    check(
        "a> BLPOP k 0
         ...
         b> BZPOPMAX k 0
         ...
         d> SET k v
         +OK
         d> DEL k
         :1
         d> ZADD k 1 one 2 two
         :2
         b< [k two 2]
         = ZADD k 1 one 2 two
         = ZPOPMAX k
         d> DEL k
         :1
         d> RPUSH k e
         :1
         a< [k e]
         d> SET s v
         +OK
         a> BLPOP s 0
         -WRONGTYPE Operation against a key holding the wrong kind of value
         a> BLPOP none s 0
         -WRONGTYPE Operation against a key holding the wrong kind of value",
    );
}

#[test]
fn every_way_to_make_a_value_wakes() {
    check(
        "a> BLPOP k 0
         ...
         d> RPUSH x 1 2 3
         :3
         d> RENAME x k
         +OK
         a< [k 1]
         d> RENAME k x
         +OK
         a> BLPOP k 0
         ...
         d> COPY x k
         :1
         a< [k 2]
         d> DEL k
         :1
         a> BRPOP k 0
         ...
         d> SELECT 1
         +OK
         d> RPUSH k a b
         :2
         d> MOVE k 0
         :1
         a< [k b]
         d> RPUSH k c d
         :2
         d> SELECT 0
         +OK
         d> DEL k
         :1
         a> BLPOP k 0
         ...
         d> SWAPDB 0 1
         +OK
         a< [k c]
         d> FLUSHALL
         +OK
         a> BZPOPMIN z 0
         ...
         d> ZADD y 1 m 2 n
         :2
         d> ZUNIONSTORE z 1 y
         :2
         a< [z m 1]
         d> LPUSH src e
         :1
         a> BLPOP dst 0
         ...
         d> LMOVE src dst LEFT LEFT
         e
         a< [dst e]",
    );
}

#[test]
fn moves_chain_and_keep_the_element_on_a_wrong_type() {
    check(
        "a> BLPOP c 0
         ...
         b> BLMOVE b c LEFT RIGHT 0
         ...
         e> BRPOPLPUSH a b 0
         ...
         d> RPUSH a x
         :1
         e< x
         b< x
         a< [c x]
         = RPUSH a x
         = RPOPLPUSH a b
         = LMOVE b c LEFT RIGHT
         = LPOP c
         d> SET t v
         +OK
         b> BLMOVE s t LEFT LEFT 0
         ...
         a> BLPOP s 0
         ...
         d> RPUSH s y
         :1
         b< -WRONGTYPE Operation against a key holding the wrong kind of value
         a< [s y]
         b> BLMOVE s s LEFT RIGHT 0
         ...
         a> BLMOVE s s LEFT RIGHT 0
         ...
         d> RPUSH s 1 2
         :2
         b< 1
         a< 2
         d> LRANGE s 0 -1
         [1 2]",
    );
}

#[test]
fn several_at_once() {
    check(
        "a> BLMPOP 0 2 k1 k2 LEFT COUNT 2
         ...
         b> BLMPOP 0 1 k2 RIGHT COUNT 10
         ...
         d> RPUSH k2 1 2 3 4 5
         :5
         a< [k2 [1 2]]
         b< [k2 [5 4 3]]
         = RPUSH k2 1 2 3 4 5
         = LPOP k2 2
         = RPOP k2 3
         a> BZMPOP 0 1 z MAX COUNT 2
         ...
         d> ZADD z 1 a 2 b 3 c
         :3
         a< [z [[c 3] [b 2]]]
         = ZADD z 1 a 2 b 3 c
         = ZPOPMAX z 2
         a> BZMPOP 0 1 z MIN
         [z [[a 1]]]
         = ZPOPMIN z 1",
    );
}

#[test]
fn who_needs_more_keeps_its_place_and_others_are_served() {
    check(
        "a> BLMOVEM s t LEFT RIGHT 0 EXACTLY 3 BULK
         ...
         b> BLPOP s 0
         ...
         d> RPUSH s 1 2
         :2
         b< [s 1]
         b> BLPOP s 0
         [s 2]
         b> BLPOP s 0
         ...
         d> RPUSH s 1 2 3 4
         :4
         a< [1 2 3]
         b< [s 4]
         = RPUSH s 1 2 3 4
         = LMOVEM s t LEFT RIGHT EXACTLY 3 BULK
         = LPOP s",
    );
}

#[test]
fn replies_of_resp3() {
    check(
        "a> resp3
         a> BZPOPMIN z 0
         ...
         d> ZADD z 1.5 m
         :1
         a< [z m ,1.5]
         a> BLPOP k 1
         ...
         @ +1000
         a< _",
    );
}

#[test]
fn who_is_gone_gets_nothing() {
    check(
        "a> BLPOP k 0
         ...
         b> BLPOP k 5
         ...
         a!
         d> RPUSH k 1
         :1
         b< [k 1]
         b> BLPOP k 5
         ...
         b!
         @ +9000
         d> RPUSH k 1
         :1
         d> LLEN k
         :1",
    );
}

#[test]
fn unblocking_by_hand_and_the_figures() {
    let mut clients = Clients { h: Harness::new(), sessions: BTreeMap::new() };
    assert_eq!(clients.run('a', "BLPOP k j 0"), "...");
    assert_eq!(clients.run('b', "BLPOP k 7"), "...");
    let figures = clients.h.shard.wait_figures();
    assert_eq!((figures.clients, figures.timed, figures.keys, figures.without_key), (2, 1, 2, 0));
    assert!(!clients.h.shard.unblock('c' as u64, false));
    assert!(clients.h.shard.unblock('b' as u64, true));
    assert!(!clients.h.shard.unblock('b' as u64, true), "it waits no more");
    assert_eq!(clients.run('d', "RPUSH k 1"), ":1");
    let want = ["b< -UNBLOCKED client unblocked via CLIENT UNBLOCK", "a< [k 1]"];
    assert_eq!(clients.serve(), want);
    assert_eq!(clients.run('a', "BLPOP k 0"), "...");
    assert!(clients.h.shard.unblock('a' as u64, false));
    assert_eq!(clients.serve(), ["a< *-1"]);
    assert_eq!(clients.h.shard.wait_figures().keys, 0);
    assert_eq!(clients.h.shard.next_deadline(), None);
}

#[test]
fn a_reply_that_is_not_wanted_is_not_sent() {
    let mut clients = Clients { h: Harness::new(), sessions: BTreeMap::new() };
    clients.session('a' as u64).reply = moon_engine::exec::ClientReply::SkipThis;
    assert_eq!(clients.run('a', "BLPOP k 0"), "...");
    assert_eq!(clients.run('d', "RPUSH k 1"), ":1");
    assert_eq!(clients.serve(), ["a< nothing"]);
    assert_eq!(clients.run('a', "LLEN k"), ":0");
}

/// Many clients on one key, some of which go: the rest is served in order, none twice.
#[test]
fn a_long_queue() {
    let mut clients = Clients { h: Harness::new(), sessions: BTreeMap::new() };
    let ids: Vec<u64> = (1000..1300).collect();
    for &id in &ids {
        let mut session = Session::new(id);
        let words: [&[u8]; 3] = [b"BLPOP", b"k", b"0"];
        let mut out = Vec::new();
        let outcome = clients.h.shard.run(&mut NoHost, &mut session, Args::new(&words), &mut out);
        assert_eq!(outcome, Outcome::Blocked);
        clients.sessions.insert(id, session);
    }
    for id in ids.iter().filter(|id| *id % 3 == 0) {
        clients.h.shard.stop_waiting(*id);
    }
    let mut served = Vec::new();
    for round in 0..150 {
        clients.run('d', &format!("RPUSH k a{round} b{round}"));
        while let Some(woken) = clients.h.shard.next_woken() {
            let id = woken.client;
            let session = clients.sessions.get_mut(&id).expect("known");
            let mut out = Vec::new();
            clients.h.shard.resume(&mut NoHost, session, woken, &mut out);
            served.push(id);
        }
    }
    let want: Vec<u64> = ids.into_iter().filter(|id| id % 3 != 0).collect();
    assert_eq!(served, want);
    assert_eq!(clients.run('d', "LLEN k"), format!(":{}", 300 - want.len()));
}
