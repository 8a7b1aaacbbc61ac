//! The deliberate bugs are noticed.

use super::*;

/// Writes a snapshot among changes of many kinds. Whether the file holds the cut.
fn holds_the_cut(mutant: Option<Mutant>) -> bool {
    let mut one = One::new();
    one.shard.set_now(now_at(1_000_000));
    let long = "v".repeat(5000);
    for i in 0..600 {
        one.must(&format!("SET key:{i} {long}"));
        one.must(&format!("HSET hash:{i} f v g {i}"));
    }
    one.must("SELECT 1");
    for i in 0..300 {
        one.must(&format!("RPUSH list:{i} a b {i}"));
    }
    one.must("SELECT 0");
    for i in 0..3000 {
        one.must(&format!("SADD set member:{i}"));
    }
    let want = one.shard.digest();
    one.cut();
    mutant.into_iter().for_each(|m| one.shard.break_snapshot(m));
    let mut file = Vec::new();
    one.fill(&mut file, 1000);
    one.must("MSET key:1 1 key:2 2 key:3 3 key:4 4 key:5 5");
    one.must("RENAME key:6 key:7");
    // Its key is written, and then it goes.
    one.must("SREM set member:7");
    one.must("DEL set");
    // One segment of the table becomes several.
    for i in 0..900 {
        one.must(&format!("SET new:{i} v"));
    }
    one.must("SELECT 1");
    one.must("FLUSHDB");
    one.must("SELECT 0");
    loop {
        match one.shard.fill_snapshot(&mut file, 10_000) {
            Fill::More => {}
            Fill::End(_) => break,
            _ => return false,
        }
    }
    load(&file).is_ok_and(|loaded| loaded.shard.digest() == want)
}

#[test]
fn without_a_bug_the_file_holds_the_cut() {
    assert!(holds_the_cut(None));
}

#[test]
fn every_bug_is_noticed() {
    for mutant in Mutant::ALL {
        assert!(!holds_the_cut(Some(mutant)), "{mutant:?} goes unnoticed");
    }
}
