//! Single properties of a snapshot.

use super::*;
use crate::db::Lfu;
use crate::exec::MemoryRules;
use crate::reload::Through;

fn save(one: &mut One) -> Vec<u8> {
    let mut file = Vec::new();
    one.cut();
    one.fill_up(&mut file);
    file
}

#[test]
fn an_empty_shard_is_a_file() {
    let mut one = One::new();
    let mut file = Vec::new();
    one.cut();
    let totals = one.fill_up(&mut file);
    assert_eq!((totals.entries, totals.blocks, totals.sections), (0, 0, 0));
    assert_eq!(load(&file).expect("loads").shard.digest(), 0);
    assert_eq!(one.shard.fill_snapshot(&mut file, 1), Fill::Nothing);
}

#[test]
fn keys_that_have_expired_are_kept() {
    let mut one = One::new();
    one.shard.set_now(now_at(1_000_000));
    one.must("SET a v PX 10");
    one.must("HSET h f v");
    one.must("HPEXPIRE h 10 FIELDS 1 f");
    one.shard.set_now(now_at(2_000_000));
    let loaded = load(&save(&mut one)).expect("loads");
    assert_eq!(loaded.shard.digest(), one.shard.digest());
    assert_eq!(loaded.shard.dbs()[0].expires(), 1);
    assert_eq!(loaded.shard.dbs()[0].field_expires(), 1);
}

#[test]
fn the_number_is_that_of_the_cut() {
    let mut one = One::new();
    one.must("SET a 1");
    one.must("SELECT 1");
    one.must("SET b 1");
    let want = one.shard.digest();
    let mut file = Vec::new();
    one.cut();
    one.must("SWAPDB 0 1");
    one.must("SWAPDB 1 3");
    one.must("SET b 2");
    one.fill_up(&mut file);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
    // The same numbers, exchanged and all of it gone.
    one.cut();
    let want = one.shard.digest();
    file.clear();
    one.must("SWAPDB 0 1");
    one.must("FLUSHALL");
    one.must("SET new 1");
    one.fill_up(&mut file);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
}

#[test]
fn what_a_flush_took_away_goes_to_the_trash_when_it_is_written() {
    let mut one = One::new();
    one.shard.trash.collect();
    for i in 0..2000 {
        one.must(&format!("SET key:{i} {}", "v".repeat(100)));
    }
    let mut file = Vec::new();
    one.cut();
    one.fill(&mut file, 5000);
    one.must("FLUSHALL ASYNC");
    assert!(one.shard.trash.is_empty(), "the snapshot needs it");
    assert!(one.shard.snapshot_progress().expect("runs").held_bytes > 200_000);
    assert_eq!(one.fill_up(&mut file).entries, 2000);
    let garbage = one.shard.trash.take();
    assert_eq!(garbage.iter().map(|g| g.keys()).sum::<usize>(), 2000);
    // Given up, it goes there as well.
    one.must("SET a 1");
    one.cut();
    one.must("FLUSHDB");
    one.shard.abort_snapshot();
    assert_eq!(one.shard.trash.take().len(), 1);
    assert_eq!(one.shard.snapshot_progress(), None);
}

#[test]
fn how_entries_were_used_comes_back() {
    let mut one = One::new();
    one.shard.set_now(now_at(1_000_000));
    one.must("SET a v");
    one.shard.set_now(now_at(1_050_000));
    let file = save(&mut one);
    let idle = |shard: &Shard| shard.idle_seconds(shard.dbs()[0].table().get(b"a").expect("there"));
    let mut loaded = One::new();
    loaded.shard.set_now(now_at(1_060_000));
    load_into(&mut loaded.shard, &file).expect("loads");
    assert_eq!(idle(&loaded.shard), 60);
    // Under a policy that counts, seconds mean nothing: the key counts as new.
    let mut counting = One::new();
    counting.shard.set_now(now_at(1_060_000));
    let (evictable, order) = MemoryRules::policy("allkeys-lfu");
    counting.shard.set_memory_rules(MemoryRules {
        max: 0,
        evictable,
        order,
        samples: 5,
        lfu_log_factor: 10,
        lfu_decay_minutes: 1,
    });
    assert_eq!(counting.shard.access.lfu(), Some(Lfu { log_factor: 10, decay_minutes: 1 }),);
    load_into(&mut counting.shard, &file).expect("loads");
    assert_eq!(counting.run("OBJECT FREQ a"), b":5\r\n");
    for _ in 0..50 {
        counting.must("GET a");
    }
    let freq = counting.run("OBJECT FREQ a");
    let file = save(&mut counting);
    let mut again = One::new();
    again.shard.set_now(now_at(1_060_000));
    again.shard.access.set_lfu(counting.shard.access.lfu());
    load_into(&mut again.shard, &file).expect("loads");
    assert_eq!(again.run("OBJECT FREQ a"), freq);
}

#[test]
fn functions_are_those_of_the_cut() {
    let mut one = One::new();
    let library = |name: &str| {
        format!("#!lua name={name}\nredis.register_function('{name}_f', function() return 7 end)")
    };
    one.words(&[b"FUNCTION", b"LOAD", library("old").as_bytes()]);
    one.cut();
    one.must("FUNCTION DELETE old");
    one.words(&[b"FUNCTION", b"LOAD", library("new").as_bytes()]);
    let mut file = Vec::new();
    assert_eq!(one.fill_up(&mut file).sections, 1);
    let mut loaded = load(&file).expect("loads");
    assert_eq!(loaded.run("FCALL old_f 0"), b":7\r\n");
    assert!(loaded.run("FCALL new_f 0").starts_with(b"-ERR Function not found"));
}

#[test]
fn a_reload_gives_the_snapshot_up() {
    let mut one = One::new();
    one.must("SET a 1");
    one.cut();
    one.shard.reload(Through::RdbFile).expect("reloads");
    assert_eq!(one.shard.fill_snapshot(&mut Vec::new(), 10), Fill::Nothing);
    one.must("SET a 2");
    assert_eq!(load(&save(&mut one)).expect("loads").shard.digest(), one.shard.digest());
}

#[test]
fn large_values_stand_apart() {
    let mut one = One::new();
    one.words(&[b"SET", b"string", &vec![b'x'; 3 << 20]]);
    for i in 0..30 {
        let value = vec![b'a' + i; 20_000];
        one.words(&[b"RPUSH", b"list", &value]);
        one.words(&[b"HSET", b"hash", &[b'f', i], &value]);
    }
    for i in 0..500 {
        one.must(&format!("SET key:{i} v"));
    }
    let want = one.shard.digest();
    one.cut();
    one.must("DEL list");
    one.must("APPEND string y");
    let mut file = Vec::new();
    one.fill_up(&mut file);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
}

/// Keys so long that a granule of two does not fit into one block.
#[test]
fn blocks_end_where_keys_are_long() {
    let mut one = One::new();
    for i in 0..5u8 {
        one.words(&[b"SET", &vec![b'k' + i; 20 << 20], b"v"]);
    }
    let want = one.shard.digest();
    let mut file = Vec::new();
    one.cut();
    assert_eq!(one.fill_up(&mut file).entries, 5);
    assert_eq!(load(&file).expect("loads").shard.digest(), want);
}

/// Writes at random keys have little more written ahead than the keys around them, each part once.
#[test]
fn a_change_has_little_written_ahead() {
    let mut one = One::new();
    for i in 0..50_000 {
        one.must(&format!("SET key:{i} {}", "v".repeat(100)));
    }
    let total = one.shard.mem_bytes();
    one.cut();
    let mut largest = 0;
    for i in 0..1000 {
        let before = one.shard.snapshot_pending();
        one.must(&format!("SET key:{} w", i * 37));
        largest = largest.max(one.shard.snapshot_pending() - before);
        let after = one.shard.snapshot_pending();
        one.must(&format!("SET key:{} x", i * 37));
        assert_eq!(one.shard.snapshot_pending(), after, "once");
    }
    assert!(largest < 16_000, "{largest}");
    assert!(one.shard.snapshot_pending() < total, "{} of {total}", one.shard.snapshot_pending());
    let held = one.shard.snapshot_progress().expect("runs").held_bytes;
    assert!(held < 2000, "what is done takes {held} bytes");
    assert_eq!(one.fill_up(&mut Vec::new()).entries, 50_000);
}
