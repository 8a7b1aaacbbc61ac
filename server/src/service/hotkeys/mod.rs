//! Which keys take the most time and traffic.
//!
//! Two samplers over the same sketch: one session at a time that clients start (HOTKEYS START), and one
//! that always runs and looks at one command in [`RATIO`] on average, so that there is an answer to "which
//! key is hot?" before anybody has asked. The executor counts down to the next command that is looked at
//! ([`moon_engine::exec::Host::sampled`]), which is all that the others pay.

mod topkeys;

use std::rc::Rc;

use moon_engine::args::Args;
use moon_engine::command::Command;
use moon_engine::command::keys::for_each_key;
use moon_engine::exec::Sample;

use crate::net::sys;
use topkeys::TopKeys;

/// One command in so many is looked at on average while there is no session.
pub(crate) const RATIO: u32 = 512;
/// Keys that the sampler follows; a session follows ten times as many as it shows.
const FOLLOWED: usize = 128;
/// Keys that it shows.
const SHOWN: usize = 10;
/// After so many milliseconds its sums are halved: it is about now.
const HALVE_MS: u64 = 10_000;

/// What a session is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) cpu: bool,
    pub(crate) net: bool,
    /// Keys to show.
    pub(crate) count: usize,
    /// Milliseconds until it stops by itself.
    pub(crate) duration_ms: Option<u64>,
    /// One command in so many is looked at.
    pub(crate) ratio: u32,
}

/// Sums by key, and of all commands with keys.
#[derive(Debug)]
struct Tally {
    cpu: Option<TopKeys>,
    net: Option<TopKeys>,
    ticks: u64,
    bytes: u64,
    start_ms: u64,
    /// Processor time of the process at the start: user and system, in microseconds.
    start_cpu: (u64, u64),
}

impl Tally {
    fn new(cpu: bool, net: bool, followed: usize, now_ms: u64) -> Self {
        let top = |on: bool| on.then(|| TopKeys::new(followed));
        Self {
            cpu: top(cpu),
            net: top(net),
            ticks: 0,
            bytes: 0,
            start_ms: now_ms,
            start_cpu: sys::cpu_times(false),
        }
    }

    /// Adds a command to the sums of its keys, which share it alike.
    fn add(&mut self, command: &Command, args: Args<'_>, keys: u64, ticks: u64, bytes: u64) {
        let (cpu, net) = (&mut self.cpu, &mut self.net);
        let _ = for_each_key(command.spec, args, |i, _| {
            if let Some(cpu) = cpu {
                cpu.add(args.get(i), ticks / keys);
            }
            if let Some(net) = net {
                net.add(args.get(i), bytes / keys);
            }
        });
    }
}

#[derive(Debug)]
struct Session {
    tally: Tally,
    wish: Wish,
    /// When it ended, and the processor time then.
    stopped: Option<(u64, (u64, u64))>,
}

impl Session {
    /// Ends the session if its time is over.
    fn look(&mut self, now_ms: u64) {
        let end = self.wish.duration_ms.map(|ms| self.tally.start_ms + ms);
        if let Some(end) = end.filter(|end| now_ms >= *end) {
            self.stop(end);
        }
    }

    fn stop(&mut self, now_ms: u64) {
        if self.stopped.is_none() {
            self.stopped = Some((now_ms, sys::cpu_times(false)));
        }
    }
}

/// Keys with their sums, the largest first.
pub(crate) type Top = Vec<(Rc<[u8]>, u64)>;

/// What HOTKEYS GET tells.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) active: bool,
    pub(crate) ratio: u32,
    /// Clock ticks of all commands with keys that were looked for.
    pub(crate) ticks: u64,
    pub(crate) bytes: u64,
    pub(crate) start_ms: u64,
    pub(crate) duration_ms: u64,
    /// User and system time in milliseconds.
    pub(crate) process_ms: (u64, u64),
    /// By clock ticks.
    pub(crate) cpu: Option<Top>,
    /// By bytes, and the bytes of all that were looked at.
    pub(crate) net: Option<(Top, u64)>,
}

/// Both samplers of a shard.
#[derive(Debug)]
pub(crate) struct HotKeys {
    session: Option<Session>,
    always: Tally,
    halve_at_ms: u64,
    chance: u64,
}

impl HotKeys {
    /// Starts sampling; `seed` is any number.
    pub(crate) fn new(now_ms: u64, seed: u64) -> Self {
        let always = Tally::new(true, true, FOLLOWED, now_ms);
        Self { session: None, always, halve_at_ms: 0, chance: seed | 1 }
    }

    /// A number below `n`, by Marsaglia's xorshift.
    fn random(&mut self, n: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) % n
    }

    /// Whether a session takes what it can.
    pub(crate) fn is_active(&mut self, now_ms: u64) -> bool {
        let Some(session) = &mut self.session else { return false };
        session.look(now_ms);
        session.stopped.is_none()
    }

    /// Begins a session in place of one that has ended.
    pub(crate) fn start(&mut self, wish: Wish, now_ms: u64) {
        let tally = Tally::new(wish.cpu, wish.net, wish.count * 10, now_ms);
        self.session = Some(Session { tally, wish, stopped: None });
    }

    /// Ends the session; false if there is none.
    pub(crate) fn stop(&mut self, now_ms: u64) -> bool {
        let active = self.is_active(now_ms);
        if let Some(session) = &mut self.session {
            session.stop(now_ms);
        }
        active
    }

    /// Forgets what either sampler has seen.
    pub(crate) fn reset(&mut self, now_ms: u64) {
        self.session = None;
        self.always = Tally::new(true, true, FOLLOWED, now_ms);
    }

    /// Looks at a command. Returns the number of commands until the next one.
    pub(crate) fn sampled(
        &mut self,
        command: &Command,
        args: Args<'_>,
        sample: &Sample,
        now_ms: u64,
    ) -> u32 {
        let mut keys = 0;
        if !command.spec.keys.is_empty() {
            let _ = for_each_key(command.spec, args, |_, _| keys += 1);
        }
        let (mut bytes, ticks) = (0, sample.ticks);
        if keys > 0 && !sample.scripted {
            bytes = request_bytes(args) + sample.reply_bytes as u64;
        }
        if self.is_active(now_ms) {
            let looked = match self.session.as_ref().map_or(1, |s| s.wish.ratio) {
                1 => true,
                ratio => self.random(u64::from(ratio)) == 0,
            };
            if let Some(session) = self.session.as_mut().filter(|_| keys > 0) {
                session.tally.ticks += ticks;
                session.tally.bytes += bytes;
                if looked {
                    session.tally.add(command, args, keys, ticks, bytes);
                }
            }
            return 1;
        }
        if now_ms >= self.halve_at_ms {
            self.halve_at_ms = now_ms + HALVE_MS;
            self.always.cpu.iter_mut().chain(&mut self.always.net).for_each(TopKeys::halve);
        }
        if keys > 0 {
            self.always.ticks += ticks;
            self.always.bytes += bytes;
            self.always.add(command, args, keys, ticks, bytes);
        }
        // Any gap is as likely as any other, so that no rhythm of the clients can hide a key.
        1 + self.random(u64::from(2 * RATIO - 1)) as u32
    }

    /// What a session has seen, or else what the sampler has; `None` if that is nothing.
    pub(crate) fn report(&mut self, now_ms: u64) -> Option<Report> {
        let active = self.is_active(now_ms);
        let (tally, wish, stopped) = match &self.session {
            Some(session) => (&session.tally, Some(session.wish), session.stopped),
            None if self.always.ticks + self.always.bytes == 0 => return None,
            None => (&self.always, None, None),
        };
        let (end_ms, cpu) = stopped.unwrap_or_else(|| (now_ms, sys::cpu_times(false)));
        let millis = |now: u64, then: u64| now.saturating_sub(then) / 1000;
        let count = wish.map_or(SHOWN, |wish| wish.count);
        Some(Report {
            active,
            ratio: wish.map_or(RATIO, |wish| wish.ratio),
            ticks: tally.ticks,
            bytes: tally.bytes,
            start_ms: tally.start_ms,
            duration_ms: end_ms.saturating_sub(tally.start_ms),
            process_ms: (millis(cpu.0, tally.start_cpu.0), millis(cpu.1, tally.start_cpu.1)),
            cpu: tally.cpu.as_ref().map(|top| top.list(count)),
            net: tally.net.as_ref().map(|top| (top.list(count), top.total)),
        })
    }
}

/// Bytes of a request as an array of bulk strings.
fn request_bytes(args: Args<'_>) -> u64 {
    let digits = |n: usize| n.checked_ilog10().unwrap_or(0) as usize + 1;
    let word = |w: &&[u8]| 1 + digits(w.len()) + 2 + w.len() + 2;
    (3 + digits(args.len()) + args.all().iter().map(word).sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(hot: &mut HotKeys, words: &[&[u8]], ticks: u64, now_ms: u64) -> u32 {
        let table = crate::commands::table();
        let command = table.find(words[0]).expect("a row");
        let sample = Sample { ticks, reply_bytes: 5, scripted: false };
        hot.sampled(command, Args::new(words), &sample, now_ms)
    }

    #[test]
    fn requests_have_the_size_that_they_have_on_the_wire() {
        let words: [&[u8]; 3] = [b"SET", b"k", b"0123456789"];
        let wire = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\n";
        assert_eq!(request_bytes(Args::new(&words)), wire.len() as u64);
    }

    #[test]
    fn a_session_counts_all_and_ends_in_time() {
        let mut hot = HotKeys::new(0, 7);
        assert!(hot.report(0).is_none());
        let wish = Wish { cpu: true, net: false, count: 2, duration_ms: Some(100), ratio: 1 };
        hot.start(wish, 1000);
        for (key, ticks) in [(&b"a"[..], 5), (b"b", 50), (b"c", 7), (b"a", 4)] {
            assert_eq!(run(&mut hot, &[b"set", key, b"v"], ticks, 1050), 1);
        }
        run(&mut hot, &[b"ping"], 1000, 1050);
        run(&mut hot, &[b"mset", b"x", b"1", b"y", b"2"], 16, 1050);
        let report = hot.report(1060).expect("a report");
        assert!(report.active && report.net.is_none());
        assert_eq!((report.ticks, report.duration_ms), (82, 60));
        let cpu: Vec<_> =
            report.cpu.expect("times").into_iter().map(|(k, n)| (k.to_vec(), n)).collect();
        assert_eq!(cpu, [(b"b".to_vec(), 50), (b"a".to_vec(), 9)]);
        // Its time is over: the next command is one of the sampler.
        assert!(run(&mut hot, &[b"get", b"z"], 9, 1200) >= 1);
        let report = hot.report(1500).expect("a report");
        assert!(!report.active);
        assert_eq!((report.ticks, report.duration_ms), (82, 100));
        assert!(!hot.stop(1500));
        hot.reset(1600);
        assert!(hot.report(1600).is_none());
    }

    #[test]
    fn the_sampler_finds_the_hot_key_among_many() {
        let mut hot = HotKeys::new(0, 42);
        let (mut wait, mut looked) = (1, 0);
        for i in 0..400_000u32 {
            wait -= 1;
            if wait == 0 {
                looked += 1;
                let key = if i % 5 == 0 { "hot".to_string() } else { format!("k{}", i % 9973) };
                wait = run(&mut hot, &[b"get", key.as_bytes()], 100, u64::from(i) / 100);
            }
        }
        assert!((600..1000).contains(&looked), "one in {RATIO} of 400,000: {looked}");
        let report = hot.report(4000).expect("a report");
        assert_eq!((report.ratio, report.active), (RATIO, false));
        assert_eq!(&*report.cpu.expect("times")[0].0, b"hot");
        assert_eq!(&*report.net.expect("bytes").0[0].0, b"hot");
    }
}
