//! Hash order: SCAN, ranges, expiry sweep, random picks, growth and shrinking.

use std::collections::HashSet;

use super::*;

type Keys = Table<()>;

fn filled(keys: Range<u64>) -> Keys {
    let mut table = Keys::new(SEED);
    for k in keys {
        table.insert(&k.to_be_bytes(), NewValue::Bytes(b""));
    }
    table
}

fn number(e: &Entry<()>) -> u64 {
    u64::from_be_bytes(e.key().try_into().unwrap())
}

use std::ops::Range;

/// Without changes a scan sees each entry exactly once, whatever the count, and a full pass ends.
#[test]
#[cfg_attr(miri, ignore)]
fn scan_of_a_quiet_table_is_exact() {
    for n in [0, 1, 6, 7, 8, 15, 100, 800, 900, 5000, 40_000] {
        let table = filled(0..n);
        for count in [1, 10, 1000, usize::MAX] {
            let (mut seen, mut cursor, mut calls) = (vec![0u8; n as usize], 0, 0);
            loop {
                cursor = table.scan(cursor, count, |e| seen[number(e) as usize] += 1);
                calls += 1;
                if cursor == 0 {
                    break;
                }
                assert!(cursor < HASH48_END);
            }
            assert!(seen.iter().all(|c| *c == 1));
            assert!(calls as u64 <= n + 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Goal: SCAN's guarantee. Method: some keys stay throughout; between the calls others come and go in bulk, so that
    /// segments grow, split, shrink and merge under the cursor. Every key that stays must be seen.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn scan_sees_all_that_stay(
        stay in 1..2000u64,
        count in 1..200usize,
        waves in proptest::collection::vec((0..6000u64, 0..6000u64, any::<bool>()), 1..40),
    ) {
        let mut table = filled(0..stay);
        let mut seen = HashSet::new();
        let (mut cursor, mut waves) = (0, waves.into_iter());
        loop {
            cursor = table.scan(cursor, count, |e| { seen.insert(number(e)); });
            if cursor == 0 {
                break;
            }
            if let Some((from, n, insert)) = waves.next() {
                for k in (from..from + n).map(|k| k + 10_000) {
                    if insert {
                        table.insert(&k.to_be_bytes(), NewValue::Int(0));
                    } else {
                        table.remove(&k.to_be_bytes());
                    }
                }
            }
        }
        table.check();
        prop_assert!((0..stay).all(|k| seen.contains(&k)));
    }

    /// Any tiling of the hash order visits each entry exactly once, and in it only entries of the range.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn ranges_tile(
        n in 0..5000u64,
        mut cuts in proptest::collection::vec(0..HASH48_END, 0..40),
        at_keys in proptest::collection::vec(0..5000u64, 0..10),
    ) {
        let table = filled(0..n);
        cuts.extend(at_keys.iter().map(|k| table.hash48(&k.to_be_bytes())));
        cuts.extend([0, HASH48_END]);
        cuts.sort_unstable();
        let mut seen = vec![0u8; n as usize];
        for w in cuts.windows(2) {
            table.for_range(w[0]..w[1], |e| {
                assert!((w[0]..w[1]).contains(&table.hash48(e.key())));
                seen[number(e) as usize] += 1;
            });
        }
        prop_assert!(seen.iter().all(|c| *c == 1));
    }

    /// A snapshot walk by segment ranges, with growth and shrinking in between: each entry that stays is written exactly
    /// once.
    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_walk_by_segments_is_exact_under_change(
        stay in 1..3000u64,
        waves in proptest::collection::vec((0..6000u64, 0..6000u64, any::<bool>()), 1..20),
    ) {
        let mut table = filled(0..stay);
        let mut seen = vec![0u8; stay as usize];
        let (mut cursor, mut waves) = (0, waves.into_iter());
        while cursor < HASH48_END {
            let range = table.segment_range(cursor);
            assert!(range.contains(&cursor));
            table.for_range(cursor..range.end, |e| {
                if number(e) < stay {
                    seen[number(e) as usize] += 1;
                }
            });
            cursor = range.end;
            if let Some((from, n, insert)) = waves.next() {
                for k in (from..from + n).map(|k| k + 10_000) {
                    if insert {
                        table.insert(&k.to_be_bytes(), NewValue::Int(0));
                    } else {
                        table.remove(&k.to_be_bytes());
                    }
                }
            }
        }
        prop_assert!(seen.iter().all(|c| *c == 1));
    }
}

/// The sweep reports what is due and nothing else, in rounds of a bounded budget, and once that is deleted and the bounds
/// are exact it looks at no entry.
#[test]
#[cfg_attr(miri, ignore)]
fn reaping_finds_what_is_due() {
    let mut table = filled(0..20_000);
    for k in (0..20_000u64).step_by(3) {
        table.get_mut(&k.to_be_bytes()).unwrap().set_expire(Some(1000 + k));
    }
    assert_eq!(table.expires(), 6667);
    let due = |table: &mut Keys, now, budget| {
        let (mut cursor, mut found, mut calls) = (0, Vec::new(), 0);
        loop {
            let before = found.len();
            table.reap_expired(&mut cursor, now, budget, |k| found.push(k.to_vec()));
            calls += 1;
            assert!(found.len() - before <= budget.saturating_add(64));
            if cursor == 0 {
                return (found, calls);
            }
        }
    };
    assert!(due(&mut table, 999, usize::MAX).0.is_empty());
    let (found, calls) = due(&mut table, 1000 + 3000, 100);
    assert_eq!(found.len(), 1001);
    assert!(calls > 10);
    for k in &found {
        let k = u64::from_be_bytes(k[..].try_into().unwrap());
        assert!(k % 3 == 0 && k <= 3000);
        assert!(table.remove(&k.to_be_bytes()).is_some());
    }
    table.check();
    assert!(due(&mut table, 4000, usize::MAX).0.is_empty());
    // Now each segment's bound is exact: a sweep takes one unit a segment.
    let (found, calls) = due(&mut table, 4000, 1);
    assert!(found.is_empty());
    assert_eq!(calls, table.segments);
    table.check();
}

/// Picks are near-uniform: over many draws from a table of uneven segments each key comes up about equally often.
#[test]
#[cfg_attr(miri, ignore)]
fn random_picks_are_even() {
    let mut d = Draw(5);
    for n in [1u64, 3, 10, 100, 1000, 3000] {
        let table = filled(0..n);
        let mut hits = vec![0u32; n as usize];
        for _ in 0..n * 400 {
            hits[number(table.random(d.next()).unwrap()) as usize] += 1;
        }
        // 400 expected, standard deviation 20; six of them, and a little for uneven segments.
        let (min, max) = (hits.iter().min().unwrap(), hits.iter().max().unwrap());
        assert!(*min > 250 && *max < 550, "n {n}: {min} to {max}");
    }
    assert!(Keys::new(SEED).random(1).is_none());
}

/// Only expiring entries are picked, all of them in time, however few they are.
#[test]
#[cfg_attr(miri, ignore)]
fn random_expiring_finds_the_few() {
    let mut d = Draw(3);
    for step in [1, 3, 2500] {
        let mut table = filled(0..5000);
        assert!(table.random_expiring(1).is_none());
        for k in (0..5000u64).step_by(step) {
            table.get_mut(&k.to_be_bytes()).unwrap().set_expire(Some(1));
        }
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let e = table.random_expiring(d.next()).unwrap();
            assert!(e.expire_ms().is_some());
            seen.insert(number(e));
        }
        assert!(seen.len() >= table.expires() * 9 / 10, "{} of {}", seen.len(), table.expires());
    }
}

/// A table emptied over most of its hash order still picks among what is left, evenly.
#[test]
#[cfg_attr(miri, ignore)]
fn random_picks_survive_a_lopsided_table() {
    let mut table = filled(0..5000);
    let far: Vec<u64> =
        (0..5000).filter(|k: &u64| table.hash48(&k.to_be_bytes()) < HASH48_END / 16 * 15).collect();
    for k in &far {
        table.remove(&k.to_be_bytes());
    }
    table.check();
    let (mut d, mut hits) = (Draw(9), HashMap::new());
    let n = table.len() as u32;
    for _ in 0..n * 100 {
        *hits.entry(number(table.random(d.next()).unwrap())).or_insert(0u32) += 1;
    }
    assert_eq!(hits.len() as u32, n);
    assert!(*hits.values().max().unwrap() < 300);
}

/// Overhead stays within 9 to 14.5 bytes an entry at every size on the way up, with a mean of about 11.5, and memory comes
/// back on the way down.
#[test]
#[cfg_attr(miri, ignore)]
fn overhead_is_bounded_at_every_size() {
    let mut table = Keys::new(SEED);
    let (mut sum, mut n) = (0.0, 0u64);
    for k in 0..60_000u64 {
        table.insert(&k.to_be_bytes(), NewValue::Bytes(b""));
        if table.len() >= 500 {
            let each = table.overhead_bytes() as f64 / table.len() as f64;

            assert!((9.0..14.5).contains(&each), "{each} at {}", table.len());
            sum += each;
            n += 1;
        }
        if k < 20 {
            assert!(table.overhead_bytes() <= 64 + 8 + (k as usize / 7 + 1) * 64 + 64);
        }
    }
    let mean = sum / n as f64;
    assert!(mean < 11.8, "mean {mean}");
    table.check();
    for k in 0..59_900u64 {
        table.remove(&k.to_be_bytes());
        let bound = table.len() * 48 + 1024;
        assert!(table.overhead_bytes() < bound, "{} at {}", table.overhead_bytes(), table.len());
    }
    table.check();
    assert_eq!(table.len(), 100);
    assert!(table.segments <= 2, "{} segments", table.segments);
}

/// Entries keep their addresses while the table grows and shrinks around them, and integers change in place.
#[test]
fn addresses_are_stable() {
    let n: u64 = if cfg!(miri) { 200 } else { 20_000 };
    let mut table = Keys::new(SEED);
    let ptrs: Vec<_> =
        (0..50u64).map(|k| table.insert(&k.to_be_bytes(), NewValue::Int(0)).as_ptr()).collect();
    for k in 50..n {
        table.insert(&k.to_be_bytes(), NewValue::Int(0));
    }
    for k in 0..50u64 {
        table.get_mut(&k.to_be_bytes()).unwrap().set_int((k as f64).to_bits() as i64);
    }
    for k in 50..n {
        table.remove(&k.to_be_bytes());
    }
    for (k, p) in ptrs.iter().enumerate() {
        assert_eq!(table.get(&(k as u64).to_be_bytes()).unwrap().as_ptr(), *p);
        // SAFETY: the entry was only changed from integer to integer and is not changed while the borrows live.
        unsafe {
            assert_eq!(p.key(), (k as u64).to_be_bytes());
            assert_eq!(p.score(), k as f64);
            assert_eq!(p.entry().expire_ms(), None);
        }
    }
}

/// What is taken out moves to another table and another key as it is, by whichever way it leaves.
#[test]
fn removed_entries_move_between_tables() {
    let mut a = Table::<Box<u64>>::new(SEED);
    let mut b = Table::<Box<u64>>::new(HashSeed(1, 2));
    let mut e = a.insert(b"old", NewValue::Object(Box::new(7)));
    e.set_expire(Some(55));
    e.set_access(9);
    e.set_user(3);
    *e.object_mut().unwrap().as_mut() += 1;
    let removed = a.get_mut(b"old").unwrap().remove();
    assert_eq!((a.len(), a.expires()), (0, 0));
    b.insert(b"a much longer name", NewValue::Bytes(&[1; 5000]));
    let e = b.insert_removed(b"a much longer name", removed);
    assert_eq!(e.value(), ValueRef::Object(&Box::new(8)));
    assert_eq!((e.expire_ms(), e.access(), e.user()), (Some(55), 9, 3));
    assert_eq!((b.len(), b.expires()), (1, 1));
    let whole = b.take_all();
    assert!(b.is_empty() && b.mem_bytes() == 0);
    whole.check();
    assert_eq!(whole.len(), 1);
}
