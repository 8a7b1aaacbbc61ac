//! Loopback tests of both drivers under one service.

use super::*;
use crate::config::OutputLimit;
use crate::net::conn::{Executor, Next};
use crate::net::outbox::Outbox;
use crate::net::{epoll::Epoll, listen, sys, uring, uring::Uring};
use moon_formats::resp::{Limits, Proto, Reply};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Answers each request with its last argument; `zeros N` with N zeros. `hold` and what follows
/// it wait until somebody says `free`.
struct Mirror {
    limits: HubLimits,
    held: Vec<Slot>,
    is_free: bool,
    /// The most input that a connection kept.
    input_most: Arc<AtomicUsize>,
    orders: Vec<Order>,
    outbox: Outbox,
    notes: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    slot_of_last: Cell<Slot>,
    clients_max: usize,
}

impl Executor for Mirror {
    fn execute(&mut self, slot: Slot, args: &[&[u8]], out: &mut Vec<u8>) -> Next {
        let mut reply = Reply::new(out, Proto::Resp2);
        match args {
            [b"zeros", n] => {
                let n: usize = std::str::from_utf8(n).unwrap().parse().unwrap();
                reply.bulk(&vec![b'0'; n]);
            }
            // To everybody: `say WORD`.
            [b"say", word] => {
                for peer in (0..self.open.load(SeqCst) as Slot).filter(|s| *s != slot) {
                    self.outbox.push(peer, &[word, b"\r\n".as_slice()].concat(), 0, 1 << 20);
                }
                reply.ok();
            }
            [b"killme"] => self.orders.push(Order::Kill(slot)),
            [b"quit"] => {
                reply.ok();
                return Next::Close;
            }
            [b"length", value] => reply.int(value.len() as i64),
            [b"hold"] if !self.is_free => {
                self.held.push(slot);
                return Next::Hold;
            }
            [b"free"] => {
                self.is_free = true;
                self.orders.extend(self.held.drain(..).map(Order::Resume));
                reply.ok();
            }
            _ => reply.bulk(args.last().unwrap()),
        }
        self.slot_of_last.set(slot);
        Next::Continue
    }

    fn expect(&mut self, _: Slot, _: &[&[u8]]) {}

    fn begin_input(&mut self, _: Slot, _: usize) {}

    fn last_lsn(&self) -> u64 {
        0
    }

    fn limits(&self, _: Slot) -> Limits {
        Limits::default()
    }
}

impl Service for Mirror {
    fn open(&mut self, _: Slot, _: u32, socket: OwnedFd) -> Result<Admitted, Rejected> {
        if self.open.load(SeqCst) >= self.clients_max {
            return Err(Rejected { socket: Some(socket), reply: b"-ERR full\r\n" });
        }
        self.open.fetch_add(1, SeqCst);
        let (socket, _) = listen::accepted(socket, "", listen::Kind::Tcp, 300).unwrap();
        Ok(Admitted { socket, secure: None })
    }

    fn secured(&mut self, _: Slot, _: Option<&[u8]>) -> Result<(), &'static [u8]> {
        Ok(())
    }

    fn closed(&mut self, _: Slot) {
        self.open.fetch_sub(1, SeqCst);
    }

    fn watermark(&self) -> u64 {
        0
    }

    fn overdue(&self) -> Option<String> {
        None
    }

    fn hub_limits(&self) -> &HubLimits {
        &self.limits
    }

    fn lost(&mut self, _: Slot) {}

    fn may_idle(&self, _: Slot) -> bool {
        false
    }

    fn output_class(&self, _: Slot) -> usize {
        0
    }

    fn output_held(&self, _: Slot) -> usize {
        0
    }

    fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    fn take_listeners(&mut self) -> Vec<(u32, Option<OwnedFd>)> {
        Vec::new()
    }

    fn figures(&mut self, _: Slot, figures: ConnFigures) {
        self.input_most.fetch_max(figures.input, SeqCst);
    }

    fn traffic(&mut self, _: u64, _: u64) {}

    fn note(&mut self, _: Slot, what: Note<'_>) {
        if !matches!(what, Note::Broken(_)) {
            self.notes.fetch_add(1, SeqCst);
        }
    }
}

/// More handshakes than a turn has time for: the others keep their order, and each gets its turn.
#[test]
fn handshakes_of_a_storm_are_spread_over_turns() {
    use crate::net::secure::tests::{client, server};
    const COUNT: usize = 300;
    let zero = || Arc::new(AtomicUsize::new(0));
    let mut service = Mirror {
        limits: limits(),
        held: Vec::new(),
        is_free: false,
        input_most: zero(),
        orders: Vec::new(),
        outbox: Outbox::default(),
        notes: zero(),
        open: zero(),
        slot_of_last: Cell::new(0),
        clients_max: COUNT,
    };
    let mut peers: Vec<Peer> = (0..COUNT)
        .map(|_| Peer {
            conn: Conn::new(Limits::default()),
            secure: Some(server("no")),
            sending: false,
            queued: false,
            closed: false,
            stopped: false,
            parked: false,
            active_ms: 0,
            progress_ms: 0,
            soft_since_ms: 0,
        })
        .collect();
    let mut hello = Vec::new();
    client(&rustls::version::TLS13, false).write_tls(&mut hello).unwrap();
    let mut secured = Secured::default();
    let answered = |peers: &[Peer]| {
        let wire = |p: &&Peer| p.secure.as_ref().is_some_and(|s| s.pending() > 0);
        peers.iter().filter(wire).count()
    };
    secured.begin_turn();
    for (slot, peer) in peers.iter_mut().enumerate() {
        secured.arrived(&mut service, peer, slot as Slot, &mut hello);
    }
    let first = answered(&peers);
    assert!((1..COUNT).contains(&first), "{first} in the first turn");
    // What comes while one waits stays behind it; a second place in the queue it does not get.
    let last = COUNT - 1;
    secured.arrived(&mut service, &mut peers[last], last as Slot, &mut []);
    let (mut turns, mut order) = (1, Vec::new());
    while secured.has_backlog() {
        turns += 1;
        secured.begin_turn();
        let before = order.len();
        while let Some(slot) = secured.next() {
            secured.open(&mut service, &mut peers[slot as usize], slot, &mut []);
            order.push(slot as usize);
        }
        assert!(order.len() > before, "each turn takes one at least");
    }
    assert!(turns > 2, "{turns} turns");
    assert_eq!(order, (first..COUNT).collect::<Vec<_>>());
    assert_eq!(answered(&peers), COUNT);
}

struct Server {
    port: u16,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
    open: Arc<AtomicUsize>,
    notes: Arc<AtomicUsize>,
    input_most: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

fn limits() -> HubLimits {
    HubLimits {
        input_max: 64 << 20,
        input_max_preauth: 64 << 10,
        output: [OutputLimit { hard: 64 << 20, soft: 0, soft_secs: 0 }; 3],
        idle_secs: 0,
        park_secs: 1,
        write_timeout_ms: 0,
    }
}

trait Make: Driver + Sized {
    fn make(wake: &OwnedFd) -> Self;
}

impl Make for Epoll {
    fn make(wake: &OwnedFd) -> Self {
        use std::os::fd::AsRawFd;
        let mut driver = Epoll::new().unwrap();
        driver.wake_on(wake.as_raw_fd()).unwrap();
        driver
    }
}

impl Make for Uring {
    fn make(wake: &OwnedFd) -> Self {
        use std::os::fd::AsRawFd;
        let mut driver = Uring::new(64).unwrap();
        driver.wake_on(wake.as_raw_fd()).unwrap();
        driver
    }
}

fn start<D: Make>(limits: HubLimits, clients_max: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Arc::new(AtomicBool::new(false));
    let wake = Arc::new(sys::eventfd().unwrap());
    let open = Arc::new(AtomicUsize::new(0));
    let notes = Arc::new(AtomicUsize::new(0));
    let input_most = Arc::new(AtomicUsize::new(0));
    let shared = (stop.clone(), wake.clone(), open.clone(), notes.clone(), input_most.clone());
    let thread = std::thread::spawn(move || {
        let (stop, wake, open, notes, input_most) = shared;
        let service = Mirror {
            limits,
            held: Vec::new(),
            is_free: false,
            input_most,
            orders: Vec::new(),
            outbox: Outbox::default(),
            notes,
            open,
            slot_of_last: Cell::new(0),
            clients_max,
        };
        let mut hub = Hub::new(D::make(&wake), service);
        hub.driver.listen(0, OwnedFd::from(listener)).unwrap();
        let start = Instant::now();
        let mut swept = 0;
        while !stop.load(SeqCst) {
            hub.collect(Wait::Up(Duration::from_millis(50)), |_| {
                start.elapsed().as_millis() as u64
            })
            .unwrap();
            hub.release();
            let tick = start.elapsed().as_millis() / 100;
            if tick != swept {
                swept = tick;
                hub.sweep();
            }
        }
    });
    Server { port, stop, wake, open, notes, input_most, thread: Some(thread) }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Waits until the service has noted something, which must happen once.
    fn notes_one(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.notes.load(SeqCst) == 0 {
            assert!(Instant::now() < until, "nothing noted");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.notes.load(SeqCst), 1);
    }

    /// Waits until so many connections are open.
    fn settles_at(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.open.load(SeqCst) != count {
            assert!(Instant::now() < until, "{} open, not {count}", self.open.load(SeqCst));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        sys::eventfd_wake(&self.wake);
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

fn expect(stream: &mut TcpStream, want: &[u8]) {
    let mut got = vec![0; want.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
}

fn expect_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert_eq!(rest, b""),
        Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionReset),
    }
}

/// Runs a test on every driver this machine has.
macro_rules! on_both {
    ($($name:ident($limits:expr, $max:expr) |$server:ident| $body:block)*) => {
        $(mod $name {
            use super::*;
            fn run($server: Server) $body

            #[test]
            fn epoll() {
                run(start::<Epoll>($limits, $max));
            }

            #[test]
            fn uring() {
                match uring::probe() {
                    None => run(start::<Uring>($limits, $max)),
                    Some(why) => println!("not run: {why}"),
                }
            }
        })*
    };
}

on_both! {

pipelines(limits(), 100) |server| {
    let mut stream = server.connect();
    let mut request = Vec::new();
    let mut want = Vec::new();
    for i in 0..20_000 {
        let word = format!("value-{i}");
        request.extend_from_slice(format!("*2\r\n$4\r\necho\r\n${}\r\n{word}\r\n", word.len()).as_bytes());
        want.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    let mut writer = stream.try_clone().unwrap();
    let thread = std::thread::spawn(move || writer.write_all(&request).unwrap());
    expect(&mut stream, &want);
    thread.join().unwrap();
    // One byte at a time.
    for byte in b"echo x\r\n" {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    expect(&mut stream, b"$1\r\nx\r\n");
    drop(stream);
    server.settles_at(0);
}

a_half_closed_peer_gets_its_replies(limits(), 100) |server| {
    let mut stream = server.connect();
    stream.write_all(b"zeros 3000000\r\necho last\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(all.starts_with(b"$3000000\r\n000"));
    assert!(all.ends_with(b"0\r\n$4\r\nlast\r\n"));
    server.settles_at(0);
}

quit_and_protocol_errors_close_after_the_reply(limits(), 100) |server| {
    for (request, reply) in [
        (&b"echo a\r\nquit\r\necho b\r\n"[..], &b"$1\r\na\r\n+OK\r\n"[..]),
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    ] {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        expect(&mut stream, reply);
        expect_end(&mut stream);
    }
    let mut stream = server.connect();
    stream.write_all(b"killme\r\n").unwrap();
    expect_end(&mut stream);
    server.settles_at(0);
}

big_values_both_ways(limits(), 100) |server| {
    let mut stream = server.connect();
    let size = 20 << 20;
    let value: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = value.clone();
    let thread = std::thread::spawn(move || {
        write!(writer, "*2\r\n$4\r\necho\r\n${}\r\n", sent.len()).unwrap();
        writer.write_all(&sent).unwrap();
        writer.write_all(b"\r\n").unwrap();
    });
    expect(&mut stream, format!("${size}\r\n").as_bytes());
    let mut got = vec![0; size];
    stream.read_exact(&mut got).unwrap();
    assert!(got == value);
    expect(&mut stream, b"\r\n");
    thread.join().unwrap();
}

a_slow_reader_gets_everything_and_blocks_nobody(limits(), 100) |server| {
    let mut slow = server.connect();
    for _ in 0..8 {
        slow.write_all(b"zeros 1000000\r\n").unwrap();
    }
    let mut other = server.connect();
    for _ in 0..100 {
        other.write_all(b"echo quick\r\n").unwrap();
        expect(&mut other, b"$5\r\nquick\r\n");
    }
    // It asks for more while the first replies are stuck.
    slow.write_all(b"echo end\r\n").unwrap();
    let mut got = 0;
    let mut buf = vec![0; 100_000];
    let want = 8 * (b"$1000000\r\n\r\n".len() + 1_000_000) + b"$3\r\nend\r\n".len();
    while got < want {
        std::thread::sleep(Duration::from_micros(200));
        let n = slow.read(&mut buf).unwrap();
        assert!(n > 0);
        got += n;
    }
    assert_eq!(got, want);
    assert_eq!(&buf[..0], b"");
}

output_over_the_limit_closes(
    HubLimits { output: [OutputLimit { hard: 1 << 20, soft: 0, soft_secs: 0 }; 3], ..limits() },
    100
) |server| {
    let mut stream = server.connect();
    for _ in 0..60 {
        // The peer may be gone already.
        if stream.write_all(b"zeros 900000\r\n").is_err() {
            break;
        }
    }
    server.notes_one();
    server.settles_at(0);
}

input_over_the_limit_closes(HubLimits { input_max: 1 << 20, ..limits() }, 100) |server| {
    let mut stream = server.connect();
    let _ = stream.write_all(b"*2\r\n$6\r\nlength\r\n$9000000\r\n");
    let _ = stream.write_all(&vec![b'x'; 4 << 20]);
    server.notes_one();
    server.settles_at(0);
}

idle_clients_are_closed(HubLimits { idle_secs: 1, ..limits() }, 100) |server| {
    let mut stream = server.connect();
    stream.write_all(b"echo hi\r\n").unwrap();
    expect(&mut stream, b"$2\r\nhi\r\n");
    expect_end(&mut stream);
    server.notes_one();
}

a_peer_that_reads_nothing_is_closed(HubLimits { write_timeout_ms: 300, ..limits() }, 100) |server| {
    let mut stream = server.connect();
    stream.write_all(b"zeros 30000000\r\n").unwrap();
    server.settles_at(1);
    server.settles_at(0);
    drop(stream);
}

too_many_clients_are_told(limits(), 2) |server| {
    let mut first = server.connect();
    let _second = server.connect();
    server.settles_at(2);
    let mut third = server.connect();
    expect(&mut third, b"-ERR full\r\n");
    expect_end(&mut third);
    first.write_all(b"echo a\r\n").unwrap();
    expect(&mut first, b"$1\r\na\r\n");
}

messages_stand_where_they_happened(limits(), 100) |server| {
    let mut a = server.connect();
    let mut b = server.connect();
    server.settles_at(2);
    b.write_all(b"echo first\r\n").unwrap();
    expect(&mut b, b"$5\r\nfirst\r\n");
    a.write_all(b"say one\r\necho x\r\nsay two\r\n").unwrap();
    expect(&mut a, b"+OK\r\n$1\r\nx\r\n+OK\r\n");
    b.write_all(b"echo last\r\n").unwrap();
    expect(&mut b, b"one\r\ntwo\r\n$4\r\nlast\r\n");
}

a_receiver_that_does_not_read_is_closed_and_stalls_nobody(
    HubLimits { output: [OutputLimit { hard: 1 << 20, soft: 0, soft_secs: 0 }; 3], ..limits() },
    100
) |server| {
    let mut a = server.connect();
    let slow = server.connect();
    server.settles_at(2);
    let word = "w".repeat(60_000);
    for _ in 0..400 {
        a.write_all(format!("say {word}\r\n").as_bytes()).unwrap();
        expect(&mut a, b"+OK\r\n");
    }
    server.notes_one();
    server.settles_at(1);
    drop(slow);
}

a_thousand_connections(limits(), 2000) |server| {
    sys::raise_nofile(4096).unwrap();
    let mut streams: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    server.settles_at(1000);
    for round in 0..3 {
        for (i, stream) in streams.iter_mut().enumerate() {
            stream.write_all(format!("echo {round}-{i}\r\n").as_bytes()).unwrap();
        }
        for (i, stream) in streams.iter_mut().enumerate() {
            let word = format!("{round}-{i}");
            expect(stream, format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
    // Half of them leave, others take their slots.
    streams.truncate(500);
    server.settles_at(500);
    streams.extend((0..500).map(|_| server.connect()));
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.write_all(format!("echo {i}\r\n").as_bytes()).unwrap();
        expect(stream, format!("${}\r\n{i}\r\n", i.to_string().len()).as_bytes());
    }
    drop(streams);
    server.settles_at(0);
}

}

#[path = "hub_tests/held.rs"]
mod held;
