//! Clients whose requests are held back.

use super::*;

on_both! {

a_client_held_back_is_received_from_within_bounds_and_loses_nothing(limits(), 100) |server| {
    const COUNT: usize = 1000;
    let one = format!("*2\r\n$6\r\nlength\r\n$100000\r\n{}\r\n", "v".repeat(100_000));
    let mut a = server.connect();
    a.write_all(b"hold\r\n").unwrap();
    let mut writer = a.try_clone().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let thread = std::thread::spawn(move || {
        for _ in 0..COUNT {
            writer.write_all(one.as_bytes()).unwrap();
            count.fetch_add(1, SeqCst);
        }
    });
    // It is stopped when there is enough and, as far as can be seen, nothing more is taken.
    let (mut before, mut still, until) = (0, 0, Instant::now() + Duration::from_secs(60));
    while still < 50 || server.input_most.load(SeqCst) < INPUT_HELD {
        assert!(Instant::now() < until, "{} bytes kept", server.input_most.load(SeqCst));
        std::thread::sleep(Duration::from_millis(10));
        let now = sent.load(SeqCst);
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
    assert!(before < COUNT, "the client was never stopped");
    let most = server.input_most.load(SeqCst);
    assert!((INPUT_HELD..INPUT_HELD + (8 << 20)).contains(&most), "{most} bytes kept");
    let mut b = server.connect();
    b.write_all(b"free\r\n").unwrap();
    expect(&mut b, b"+OK\r\n");
    expect(&mut a, b"$4\r\nhold\r\n");
    expect(&mut a, ":100000\r\n".repeat(COUNT).as_bytes());
    thread.join().unwrap();
    assert_eq!(server.notes.load(SeqCst), 0);
}

the_end_of_a_client_held_back_is_seen_when_it_goes_on(limits(), 100) |server| {
    let mut a = server.connect();
    a.write_all(b"hold\r\n").unwrap();
    a.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = format!("echo {}\r\n", "e".repeat(1017));
    while a.write_all(request.as_bytes()).is_ok() {}
    assert!(server.input_most.load(SeqCst) >= INPUT_HELD);
    drop(a);
    let mut b = server.connect();
    b.write_all(b"free\r\n").unwrap();
    expect(&mut b, b"+OK\r\n");
    server.settles_at(1);
    // Its slot serves another.
    let mut c = server.connect();
    c.write_all(b"echo c\r\n").unwrap();
    expect(&mut c, b"$1\r\nc\r\n");
}

}
