//! Tests of one connection: bytes in, bytes out.

use super::*;

/// Answers `+<words joined by ,>`; knows a few names that need more.
#[derive(Default)]
struct Echo {
    lsn: u64,
    log: Vec<String>,
    authenticated: bool,
    paused: bool,
    /// Execution pauses at this word.
    pause_at: &'static str,
    expected: usize,
}

impl Executor for Echo {
    fn execute(&mut self, _: Slot, args: &[&[u8]], out: &mut Vec<u8>) -> Next {
        if self.paused || args[0] == self.pause_at.as_bytes() {
            return Next::Hold;
        }
        let text: Vec<_> = args.iter().map(|a| String::from_utf8_lossy(a)).collect();
        let text = text.join(",");
        self.log.push(text.clone());
        out.extend_from_slice(
            format!("+{}\r\n", if text.len() > 40 { "long" } else { &text }).as_bytes(),
        );
        match args[0] {
            b"write" => self.lsn += 1,
            b"quit" => return Next::Close,
            b"auth" => self.authenticated = true,
            b"reset" => self.authenticated = false,
            _ => {}
        }
        Next::Continue
    }

    fn expect(&mut self, _: Slot, keys: &[&[u8]]) {
        assert!(keys.len() <= 16);
        self.expected += keys.len();
    }

    fn begin_input(&mut self, _: Slot, _: usize) {}

    fn last_lsn(&self) -> u64 {
        self.lsn
    }

    fn limits(&self, _: Slot) -> Limits {
        Limits { max_bulk: 1 << 20, authenticated: self.authenticated }
    }
}

fn conn() -> (Conn, Echo) {
    let echo = Echo { authenticated: true, ..Echo::default() };
    (Conn::new(echo.limits(0)), echo)
}

fn feed(conn: &mut Conn, echo: &mut Echo, bytes: &[u8]) -> Result<(), Refusal> {
    conn.feed(0, &mut bytes.to_vec(), echo, 4 << 20)
}

fn drain(conn: &mut Conn, watermark: u64) -> String {
    let n = conn.release(watermark);
    String::from_utf8(conn.out.drain(..n).collect()).unwrap()
}

const PIPELINE: &[u8] = b"*1\r\n$4\r\nping\r\nget a\r\n\r\n*0\r\n*3\r\n$5\r\nwrite\r\n$1\r\nk\r\n$10\r\n01234\r\n789\r\n*2\r\n$3\r\nget\r\n$0\r\n\r\n";

#[test]
fn every_split_of_a_pipeline_gives_the_same() {
    let want = ["ping", "get,a", "write,k,01234\r\n789", "get,"];
    let expected = {
        let (mut c, mut e) = conn();
        feed(&mut c, &mut e, PIPELINE).unwrap();
        assert_eq!(e.log, want);
        drain(&mut c, u64::MAX)
    };
    for first in 0..=PIPELINE.len() {
        for second in first..=PIPELINE.len() {
            let (mut c, mut e) = conn();
            for part in [&PIPELINE[..first], &PIPELINE[first..second], &PIPELINE[second..]] {
                feed(&mut c, &mut e, part).unwrap();
            }
            assert_eq!(e.log, want, "split at {first}, {second}");
            assert_eq!(drain(&mut c, u64::MAX), expected);
            assert_eq!(c.input_len(), 0);
        }
    }
    let (mut c, mut e) = conn();
    for byte in PIPELINE {
        feed(&mut c, &mut e, &[*byte]).unwrap();
    }
    assert_eq!(e.log, want);
}

#[test]
fn replies_wait_for_their_lsn_and_earlier_ones_do_not() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"a\r\nwrite 1\r\nb\r\nwrite 2\r\n").unwrap();
    feed(&mut c, &mut e, b"write 3\r\nc\r\n").unwrap();
    assert_eq!(drain(&mut c, 0), "+a\r\n");
    assert_eq!(drain(&mut c, 1), "", "a batch is held as one");
    assert_eq!(drain(&mut c, 2), "+write,1\r\n+b\r\n+write,2\r\n");
    assert_eq!(drain(&mut c, 2), "");
    assert_eq!(drain(&mut c, 3), "+write,3\r\n+c\r\n");
    assert!(c.out.is_empty());
    // A read after the last write waits for it too.
    feed(&mut c, &mut e, b"d\r\n").unwrap();
    assert_eq!(drain(&mut c, 2), "");
    assert_eq!(drain(&mut c, 3), "+d\r\n");
}

#[test]
fn a_protocol_error_follows_the_replies_and_ends_the_stream() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"ping\r\n*1\r\n:3\r\nping\r\n").unwrap();
    assert!(c.is_closing());
    assert_eq!(drain(&mut c, 0), "+ping\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    feed(&mut c, &mut e, b"ping\r\n").unwrap();
    assert_eq!(e.log, ["ping"]);
}

#[test]
fn quit_ignores_what_follows_and_http_gets_nothing() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"quit\r\nping\r\n").unwrap();
    assert_eq!((drain(&mut c, 0).as_str(), c.is_closing()), ("+quit\r\n", true));
    for first in [&b"POST / HTTP/1.1\r\n"[..], b"Host: x\r\n"] {
        let (mut c, mut e) = conn();
        feed(&mut c, &mut e, first).unwrap();
        assert!(c.is_closing() && e.log.is_empty());
        assert_eq!(drain(&mut c, 0), "");
    }
}

#[test]
fn a_pause_holds_requests_back_in_order() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"first\r\n").unwrap();
    e.paused = true;
    feed(&mut c, &mut e, b"set \"a b\" 'x'\r\nping\r\n").unwrap();
    feed(&mut c, &mut e, b"get b\r\n*1\r\n").unwrap();
    assert_eq!(e.log, ["first"]);
    // Still paused: it stays held.
    c.resume(0, &mut e);
    assert!(c.is_held());
    e.paused = false;
    c.resume(0, &mut e);
    assert_eq!(e.log, ["first", "set,a b,x", "ping", "get,b"]);
    feed(&mut c, &mut e, b"$1\r\nx\r\n").unwrap();
    assert_eq!(e.log.last().unwrap(), "x");
}

#[test]
fn memory_follows_what_has_arrived() {
    let (mut c, mut e) = conn();
    // A megabyte is announced, little comes.
    feed(&mut c, &mut e, b"*2\r\n$3\r\nget\r\n$1048576\r\n").unwrap();
    feed(&mut c, &mut e, &[b'x'; 100]).unwrap();
    assert!(c.input_len() + c.input_free() <= 1000, "{}", c.input_free());
    // Near the end room is made once, and exactly.
    feed(&mut c, &mut e, &vec![b'x'; 600_000]).unwrap();
    let room = c.input_len() + c.input_free();
    assert_eq!(room, b"*2\r\n$3\r\nget\r\n$1048576\r\n".len() + 1048576 + 2);
    feed(&mut c, &mut e, &vec![b'x'; 1048576 - 600_100]).unwrap();
    feed(&mut c, &mut e, b"\r\n").unwrap();
    assert_eq!(e.log.len(), 1);
    assert_eq!(c.input_len() + c.input_free(), 0, "a large buffer is given back");
}

#[test]
fn input_over_the_limit_is_refused() {
    let (mut c, mut e) = conn();
    let mut head = b"*2\r\n$3\r\nget\r\n$200000\r\n".to_vec();
    head.extend_from_slice(&[b'y'; 900]);
    let result = c.feed(0, &mut head, &mut e, 512);
    assert_eq!(result, Err(Refusal::QueryBuffer));
}

#[test]
fn limits_change_with_authentication() {
    let mut e = Echo::default();
    let mut c = Conn::new(e.limits(0));
    feed(&mut c, &mut e, b"*1\r\n$4\r\nauth\r\n*11\r\n").unwrap();
    assert!(!c.is_closing());
    let mut e = Echo::default();
    let mut c = Conn::new(e.limits(0));
    feed(&mut c, &mut e, b"*11\r\n").unwrap();
    assert_eq!(drain(&mut c, 0), "-ERR Protocol error: unauthenticated multibulk length\r\n");
}

#[test]
fn many_arguments_need_no_stack() {
    let (mut c, mut e) = conn();
    let mut request = b"*3000\r\n".to_vec();
    for _ in 0..3000 {
        request.extend_from_slice(b"$1\r\nz\r\n");
    }
    feed(&mut c, &mut e, &request).unwrap();
    assert_eq!(drain(&mut c, 0), "+long\r\n");
    assert_eq!(e.log[0].len(), 5999);
}

/// An array of words as bytes.
fn array(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for w in words {
        out.extend_from_slice(format!("${}\r\n{w}\r\n", w.len()).as_bytes());
    }
    out
}

#[test]
fn keys_are_announced_before_a_batch_runs() {
    let (mut c, mut e) = conn();
    let mut bytes = Vec::new();
    for i in 0..40 {
        bytes.extend(array(&["get", &i.to_string()]));
    }
    bytes.extend(array(&["ping"]));
    feed(&mut c, &mut e, &bytes).unwrap();
    assert_eq!(e.log.len(), 41);
    assert_eq!(e.expected, 40);
    feed(&mut c, &mut e, &array(&["get", "alone"])).unwrap();
    assert_eq!(e.expected, 40, "one request has nothing to gain");
}

/// Goal: what was parsed ahead is forgotten where execution stops. Method: a batch that is held in its middle,
/// with an inline request (which cannot be parsed twice) and an unfinished one behind.
#[test]
fn a_held_batch_goes_on_where_it_stopped() {
    let (mut c, mut e) = conn();
    e.pause_at = "stop";
    let mut bytes = Vec::new();
    for words in [["get", "a"], ["stop", "x"], ["get", "b"], ["get", "c"]] {
        bytes.extend(array(&words));
    }
    bytes.extend_from_slice(b"get \"in line\"\r\n");
    let last = array(&["get", "d"]);
    bytes.extend_from_slice(&last[..last.len() - 3]);
    feed(&mut c, &mut e, &bytes).unwrap();
    assert!(c.is_held());
    assert_eq!(e.log, ["get,a"]);
    feed(&mut c, &mut e, &last[last.len() - 3..]).unwrap();
    e.pause_at = "";
    c.resume(0, &mut e);
    assert_eq!(e.log, ["get,a", "stop,x", "get,b", "get,c", "get,in line", "get,d"]);
}

/// Goal: limits hold from the request on that changes them, whatever was parsed ahead.
#[test]
fn requests_behind_a_change_of_limits_are_parsed_under_the_new_ones() {
    let (mut c, mut e) = conn();
    let many: Vec<&str> = vec!["many"; 11];
    let mut bytes = array(&many);
    bytes.extend(array(&["reset"]));
    bytes.extend(array(&many));
    feed(&mut c, &mut e, &bytes).unwrap();
    assert_eq!(e.log.len(), 2);
    assert!(drain(&mut c, u64::MAX).ends_with("unauthenticated multibulk length\r\n"));
    assert!(c.is_closing());
}

#[test]
fn replies_held_too_long_give_way_to_an_error() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"a\r\n").unwrap();
    assert!(!c.give_up(0, b"-LATE\r\n"), "nothing is held back");
    feed(&mut c, &mut e, b"write 1\r\n").unwrap();
    feed(&mut c, &mut e, b"write 2\r\nb\r\n").unwrap();
    // What is durable is still answered; the first reply that is not, and all behind it, are not.
    assert!(c.give_up(1, b"-LATE\r\n"));
    assert_eq!(drain(&mut c, 1), "+a\r\n+write,1\r\n-LATE\r\n");
    assert!(c.is_closing() && c.out.is_empty());
    feed(&mut c, &mut e, b"write 3\r\n").unwrap();
    assert_eq!(e.lsn, 2, "a closing connection takes nothing more");
}

#[test]
fn a_watermark_that_asks_for_less_keeps_the_order() {
    let (mut c, mut e) = conn();
    feed(&mut c, &mut e, b"write 1\r\n").unwrap();
    e.lsn = 0;
    feed(&mut c, &mut e, b"read\r\n").unwrap();
    assert_eq!(drain(&mut c, 0), "", "behind a reply that is held back");
    assert_eq!(drain(&mut c, 1), "+write,1\r\n+read\r\n");
}
