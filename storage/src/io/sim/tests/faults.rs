//! What injected faults do, and what they leave behind.

use super::*;

fn kind<T>(r: std::io::Result<T>) -> Option<i32> {
    r.err().and_then(|e| e.raw_os_error())
}

#[test]
fn a_failed_sync_drops_dirty_sectors_and_the_next_one_lies() {
    let disk = disk();
    disk.inject(Fault::new(FaultKind::SyncEioOnce).on("/f").skip(1));
    run(&disk, async {
        let f = durable_file(&disk, "/f", 8).await;
        f.write_at(0, &[1; 8 * BLOCK]).await.expect("write");
        assert_eq!(kind(f.sync().await), Some(libc::EIO));
        f.sync().await.expect("the retry believes all is well");
        let seen = f.read_at(0, BLOCK).await.expect("read");
        assert_eq!(seen, [1; BLOCK], "the page cache still shows it");
    });
    let after = contents(&disk.power_loss(Image::All, 1), "/f").expect("there");
    let lost = after.iter().filter(|b| **b == 0xaa).count();
    assert!(lost > 0 && lost < after.len(), "{lost}");
    assert_eq!(manners(&disk), [BadManner::SyncedSuspectFile]);
    assert!(!disk.is_durable(p("/f")));
    assert_eq!(disk.struck().len(), 1);
}

#[test]
fn sync_eio_forever() {
    let disk = disk();
    disk.inject(Fault::new(FaultKind::SyncEioForever).at_op(1));
    run(&disk, async {
        for path in ["/a", "/b"] {
            let f = create(&disk, path).await;
            assert_eq!(kind(f.sync().await), Some(libc::EIO));
        }
        disk.clear_faults();
        create(&disk, "/c").await.sync().await.expect("healthy again");
    });
    assert_eq!(disk.violations(), []);
}

#[test]
fn writes_that_fail_or_stop_short() {
    let disk = disk();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 8).await;
        disk.inject(Fault::new(FaultKind::WriteShort));
        let n = f.write_at(0, &[1; 2 * BLOCK]).await.expect("short");
        assert_eq!(n, BLOCK);
        let now = f.read_at(0, 2 * BLOCK).await.expect("read");
        assert_eq!((now[n - 1], now[n]), (1, 0xaa));
        disk.inject(Fault::new(FaultKind::WriteZero));
        assert_eq!(f.write_at(0, &[2; BLOCK]).await.expect("zero"), 0);
        disk.inject(Fault::new(FaultKind::EnospcWrite));
        assert_eq!(kind(f.write_at(0, &[2; BLOCK]).await), Some(libc::ENOSPC));
        disk.inject(Fault::new(FaultKind::WriteEioOnce));
        assert_eq!(kind(f.write_at(0, &[3; BLOCK]).await), Some(libc::EIO));
        assert_eq!(disk.violations(), []);
        f.write_at(0, &[3; BLOCK]).await.expect("works, but is bad manners");
        assert_eq!(manners(&disk), [BadManner::WroteSuspectFile]);
    });
}

#[test]
fn a_bad_block_stays_bad() {
    let disk = disk();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 8).await;
        disk.inject(Fault::new(FaultKind::WriteEioRange));
        let at = 3 * BLOCK as u64;
        for _ in 0..2 {
            assert_eq!(kind(f.write_at(at, &[1; BLOCK]).await), Some(libc::EIO));
        }
        f.write_at(0, &[1; BLOCK]).await.expect("elsewhere");
        assert_eq!(kind(f.write_at(0, &[1; 8 * BLOCK]).await), Some(libc::EIO));
    });
}

#[test]
fn room_runs_out_and_comes_back() {
    let disk = disk();
    run(&disk, async {
        let f = create(&disk, "/f").await;
        disk.inject(Fault::new(FaultKind::EnospcPreallocate));
        assert_eq!(kind(f.preallocate(1 << 20).await), Some(libc::ENOSPC));
        assert_eq!(f.size(), 0);
        disk.set_capacity(1 << 20);
        f.preallocate(1 << 20).await.expect("fits exactly");
        let more = f.write_at(1 << 20, &[1; BLOCK]).await;
        assert_eq!(more.expect_err("full").kind(), std::io::ErrorKind::StorageFull);
        f.write_at(0, &[1; BLOCK]).await.expect("within");
        assert_eq!(disk.space(p("/")).await.expect("space").free, 0);
        disk.remove(p("/f")).await.expect("remove");
        assert_eq!(disk.space(p("/")).await.expect("space").free, 1 << 20);
        let g = create(&disk, "/g").await;
        disk.inject(Fault::new(FaultKind::EnospcThenFree { after_us: 5_000 }));
        for _ in 0..3 {
            assert_eq!(kind(g.preallocate(8192).await), Some(libc::ENOSPC));
        }
        disk.runtime().sleep_us(5_000).await;
        g.preallocate(8192).await.expect("room again");
    });
}

#[test]
fn rename_read_slow_and_clock() {
    let disk = disk();
    let rt = disk.runtime();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 1).await;
        disk.inject(Fault::new(FaultKind::RenameEio));
        assert_eq!(kind(disk.rename(p("/f"), p("/g")).await), Some(libc::EIO));
        f.write_at(0, &[1; BLOCK]).await.expect("still its own name");
        disk.inject(Fault::new(FaultKind::SyncDirEio));
        create(&disk, "/g").await.sync().await.expect("sync");
        assert_eq!(kind(disk.sync_dir(p("/")).await), Some(libc::EIO));
        assert!(!disk.is_durable(p("/g")));
        disk.sync_dir(p("/")).await.expect("once");
        assert!(disk.is_durable(p("/g")));
        disk.inject(Fault::new(FaultKind::ReadEio));
        assert_eq!(kind(f.read_at(0, BLOCK).await), Some(libc::EIO));
        f.read_at(0, BLOCK).await.expect("once");
        disk.inject(Fault::new(FaultKind::SlowSync { us: 40_000_000 }));
        let t = rt.mono_us();
        f.sync().await.expect("slow");
        assert_eq!(rt.mono_us() - t, 40_000_000);
        disk.inject(Fault::new(FaultKind::SlowSyncs));
        for _ in 0..3 {
            let t = rt.mono_us();
            f.sync().await.expect("slow");
            assert!((200_000..5_000_000).contains(&(rt.mono_us() - t)));
        }
        disk.inject(Fault::new(FaultKind::ClockStep { delta_us: -3_600_000_000 }));
        let (m, w) = (rt.mono_us(), rt.wall_us());
        f.read_at(0, BLOCK).await.expect("read");
        assert!(rt.mono_us() > m && rt.wall_us() < w - 3_599_000_000);
    });
    assert_eq!(disk.violations(), []);
}

#[test]
fn rot_changes_one_byte() {
    let disk = disk();
    run(&disk, async { durable_file(&disk, "/f", 1).await });
    assert!(disk.rot(p("/f"), 17, 1) && !disk.rot(p("/f"), 4096, 1));
    let b = contents(&disk.power_loss(Image::None, 1), "/f").expect("there");
    assert_eq!((b[16], b[17]), (0xaa, 0xab));
}
