//! Hashes that agree: what a table does when its seed is known. Keys of 16 bytes that begin with the seed's first word
//! make one factor of the hash zero, so all of them hash alike.

use super::*;

fn alike(i: u64) -> Vec<u8> {
    [SEED.0.to_le_bytes(), i.to_le_bytes()].concat()
}

/// The stash takes what does not fit, the directory stays in proportion, and nothing is lost in either direction.
#[test]
fn equal_hashes_cost_time_but_nothing_else() {
    let n = if cfg!(miri) { 150 } else { 2000 };
    let mut table = Table::<()>::new(SEED);
    let hash = table.hash(&alike(0));
    for i in 0..n {
        assert_eq!(table.hash(&alike(i)), hash);
        table.insert(&alike(i), NewValue::Int(i as i64)).set_expire((i % 3 == 0).then_some(i));
    }
    table.check();
    assert!(table.dir.len() <= 32 * table.segments, "{} places", table.dir.len());
    let stashed: usize = table.dir.iter().map(|s| s.header().stash.len()).max().unwrap();
    assert!(stashed > n as usize / 2);

    let mut seen = 0;
    assert_eq!(table.scan(0, usize::MAX, |_| seen += 1), 0);
    assert_eq!(seen, n);
    seen = 0;
    table.for_range(hash >> 16..(hash >> 16) + 1, |_| seen += 1);
    assert_eq!(seen, n);
    assert!(table.random(7).is_some());
    for i in 0..n {
        assert_eq!(table.get(&alike(i)).unwrap().value(), ValueRef::Int(i as i64));
        table.prefetch_entry(table.prefetch(&alike(i)));
    }
    // Setting an expiry moves stashed entries too.
    for i in 0..n {
        table.get_mut(&alike(i)).unwrap().set_expire((i % 3 == 1).then_some(i));
    }
    table.check();
    for i in 0..n {
        assert_eq!(table.remove(&alike(i)).unwrap().value(), ValueRef::Int(i as i64));
        if i % 97 == 0 {
            table.check();
        }
    }
    assert_eq!(table.len(), 0);
    table.check();
}

/// One crowded home among ordinary keys: the rest of the table grows as usual around it.
#[test]
#[cfg_attr(miri, ignore)]
fn a_crowd_does_not_spoil_the_rest() {
    let mut table = Table::<()>::new(SEED);
    for i in 0..120 {
        table.insert(&alike(i), NewValue::Int(1));
    }
    for i in 0..20_000u64 {
        table.insert(&i.to_be_bytes(), NewValue::Int(2));
    }
    table.check();
    assert!(table.overhead_bytes() < 20_000 * 16, "{}", table.overhead_bytes());
    for i in 0..20_000u64 {
        assert!(table.remove(&i.to_be_bytes()).is_some());
    }
    table.check();
    assert_eq!(table.len(), 120);
    assert!(table.overhead_bytes() < 64 * 1024, "{}", table.overhead_bytes());
}
