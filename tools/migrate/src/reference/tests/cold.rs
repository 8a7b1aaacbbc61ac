//! Values that are only in cold files.

use super::*;

/// §4, version 1.
fn page(kind: u8, lsn: u64, next: u32, payload: &[u8]) -> Vec<u8> {
    let mut page = [&b"GPNM"[..], &[1, kind, 0, 0], &lsn.to_le_bytes()].concat();
    page.extend(crc(CASTAGNOLI, payload).to_le_bytes());
    page.extend((payload.len() as u32).to_le_bytes());
    page.resize(44, 0);
    page.extend(next.to_le_bytes());
    page.resize(64, 0);
    page.extend(payload);
    page.resize(4096, 0);
    page
}

/// §9.1: flags 1 TTL, 4 overflow, 8 tombstone.
fn cold_entry(key: &str, kind: u8, flags: u8, ttl: u64, value: &[u8]) -> Vec<u8> {
    let ttl = if flags & 1 != 0 { ttl.to_le_bytes().to_vec() } else { Vec::new() };
    let head = [&(key.len() as u16).to_le_bytes()[..], &[kind, flags]].concat();
    [head, ttl, key.as_bytes().to_vec(), bytes32(value)].concat()
}

/// §9.1: entries grow down from the end.
fn leaf(lsn: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![0; 4032];
    let (mut slot, mut end) = (16, 4032);
    payload[6..8].copy_from_slice(&(entries.len() as u16).to_le_bytes());
    for entry in entries {
        end -= entry.len();
        payload[end..end + entry.len()].copy_from_slice(entry);
        payload[slot..slot + 2].copy_from_slice(&(end as u16 + 64).to_le_bytes());
        payload[slot + 2..slot + 4].copy_from_slice(&(entry.len() as u16).to_le_bytes());
        slot += 4;
    }
    page(0x10, lsn, 0, &payload)
}

/// §8, version 2, with a row for each `(file, status, pages, database)`.
fn file_table(rows: &[(u64, u8, u32, u64)]) -> Vec<u8> {
    let mut payload = [&1u64.to_le_bytes()[..], &[0; 16], &count(rows.len() as u32)].concat();
    payload.resize(64, 0);
    for (file, status, pages, db) in rows {
        payload.extend(file.to_le_bytes());
        payload.extend([0x10, *status, 3, 12]);
        payload.extend(pages.to_le_bytes());
        payload.extend((u64::from(*pages) * 4096).to_le_bytes());
        payload.extend(0u64.to_le_bytes());
        payload.extend(db.to_le_bytes());
        payload.extend([0; 16]);
    }
    let mut root = page(1, 0, 0, &payload);
    root[4] = 2;
    root[56..60].copy_from_slice(&count(rows.len() as u32));
    root.resize(2 * 4096, 0);
    root
}

/// The first shard's cold files, of which the first two are in use, and the second is newer.
fn cold_files(dir: &Dir) {
    let long = [&[b'x'; 4032][..], b"end"].concat();
    let hash = [count(1), bytes32(b"f"), bytes32(b"v")].concat();
    let first = [
        leaf(
            5,
            &[
                cold_entry("cold", 0, 0, 0, b"value"),
                cold_entry("long", 0, 4, 0, &1u32.to_le_bytes()),
                cold_entry("text", 0, 0, 0, b"was cold, then hot"),
                cold_entry("moved", 0, 0, 0, b"old"),
                cold_entry("deleted", 0, 0, 0, b"old"),
                cold_entry("dropped", 0, 0, 0, b"old"),
            ],
        ),
        page(0x11, 5, 2, &long[..4032]),
        page(0x11, 5, 0, &long[4032..]),
    ];
    let second = [
        leaf(6, &[cold_entry("moved", 0, 1, 4_000_000_000_000, b"new")]),
        leaf(7, &[cold_entry("deleted", 0, 8, 0, b""), cold_entry("old hash", 1, 0, 0, &hash)]),
    ];
    let third = [leaf(9, &[cold_entry("cold", 0, 0, 0, b"of a file that is over")])];
    let rows = [(1, 1, 3, 0), (2, 1, 2, 0), (3, 5, 1, 0), (4, 1, 1, 2)];
    let fourth = [leaf(1, &[cold_entry("cold", 0, 0, 0, b"of database 2")])];
    dir.put("shard-0/shard-0.manifest", &file_table(&rows))
        .put("shard-0/data/heap-000001.mpf", &first.concat())
        .put("shard-0/data/heap-000002.mpf", &second.concat())
        .put("shard-0/data/heap-000003.mpf", &third.concat())
        .put("shard-0/data/heap-000004.mpf", &fourth.concat())
        .put("shard-0/data/heap-000005.mpf", b"not in the table");
}

#[test]
fn keys_that_are_only_in_cold_files() {
    let dir = Dir::new("cold");
    cold_files(&dir);
    let incr = commands(&["SELECT 0", "DEL dropped", "APPEND cold !"]);
    dir.put("appendonly.aof", &[moon_rdb(2), incr].concat());
    let mut source = dir.whole();
    for (db, line, want) in [
        (0, "GET cold", "$6 value!"),
        (0, "STRLEN long", ":4035"),
        (0, "GETRANGE long 4030 -1", "$5 xxend"),
        (0, "GET text", "$5 hello"),
        (0, "GET moved", "$3 new"),
        (0, "PEXPIRETIME moved", ":4000000000000"),
        (0, "EXISTS deleted dropped", ":0"),
        (2, "GET cold", "$13 of database 2"),
        (2, "GET other", "$6 db two"),
    ] {
        assert_eq!(ask(&mut source, db, line), want, "{line}");
    }
    let hash = source.shard_mut();
    let mut session = Session::new(0);
    let (words, mut out) = ([&b"HGETALL"[..], b"old hash"], Vec::new());
    hash.run(&mut NoHost, &mut session, Args::new(&words), &mut out);
    assert_eq!(out, b"*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
    // Seven of the snapshot in database 0, four that were only cold; one and one in database 2.
    assert_eq!(source.facts.keys(), 13);
}

#[test]
fn cold_files_that_cannot_be_read() {
    let lost = |dir: &Dir| {
        let source = dir.open().unwrap_or_else(|e| panic!("{}", e.message));
        source.facts.losses.get("cold").map(|loss| (loss.count, loss.example.clone()))
    };
    let with = |name: &str| {
        let dir = Dir::new(name);
        cold_files(&dir);
        dir.put("appendonly.aof", &commands(&["SET a 1"]));
        dir
    };
    let dir = with("cold-gone");
    fs::remove_file(dir.0.join("shard-0/data/heap-000004.mpf")).expect("removed");
    assert!(lost(&dir).is_some_and(|(n, first)| n == 1 && first.ends_with("heap-000004.mpf")));
    // Nobody says which files count.
    let dir = with("cold-table");
    fs::remove_file(dir.0.join("shard-0/shard-0.manifest")).expect("removed");
    assert!(lost(&dir).is_some_and(|(n, _)| n == 5));
    // A page behind what was committed.
    let dir = with("cold-tail");
    let path = dir.0.join("shard-0/data/heap-000004.mpf");
    let bytes = fs::read(&path).expect("read");
    let mut torn = leaf(2, &[cold_entry("cold", 0, 0, 0, b"torn")]);
    torn[4000] ^= 1;
    fs::write(&path, [bytes.clone(), torn.clone()].concat()).expect("written");
    assert!(lost(&dir).is_some_and(|(n, first)| n == 1 && first.ends_with("offset 4096")));
    // One that was.
    fs::write(&path, &torn).expect("written");
    let said = dir.refused(70);
    assert!(said.contains("heap-000004.mpf: offset 16: payload_crc"), "{said}");
    fs::write(&path, &bytes[..4000]).expect("written");
    assert!(dir.refused(70).contains("has 0 pages"));
    let mut native = bytes;
    native[4] = 2;
    fs::write(&path, &native).expect("written");
    dir.refused(70);
    let dir = with("cold-manifest");
    dir.put("shard-0/shard-0.manifest", &[1; 8192]);
    assert!(dir.refused(70).contains("shard-0.manifest"));
}

#[test]
fn long_cold_values_have_an_end() {
    let with = |pages: &[Vec<u8>]| {
        let dir = Dir::new("cold-chain");
        dir.put("shard-0/shard-0.manifest", &file_table(&[(1, 1, pages.len() as u32, 0)]))
            .put("shard-0/data/heap-000001.mpf", &pages.concat());
        dir
    };
    let first = leaf(1, &[cold_entry("long", 0, 4, 0, &1u32.to_le_bytes())]);
    for (pages, why) in [
        (vec![first.clone(), page(0x11, 1, 1, b"a")], "round in a circle"),
        (vec![first.clone(), page(0x11, 1, 9, b"a")], "behind the end"),
        (vec![first.clone(), page(0x12, 1, 0, b"a")], "no piece of a value"),
        (vec![first.clone()], "behind the end"),
    ] {
        let said = with(&pages).refused(70);
        assert!(said.contains(why) && said.contains("heap-000001.mpf: offset 4"), "{said}");
    }
    let bad = leaf(1, &[cold_entry("hash", 1, 0, 0, b"\xff\xff\xff\xff")]);
    assert!(with(&[bad]).refused(70).contains("value of key hash"));
}
