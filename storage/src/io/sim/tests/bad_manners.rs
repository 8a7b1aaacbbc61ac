//! What the disk holds against its user.

use super::*;

#[test]
fn unaligned_direct_io() {
    let disk = disk();
    run(&disk, async {
        let f = create(&disk, "/f").await;
        f.write_at(512, &[0; BLOCK]).await.expect_err("offset");
        f.write_at(0, &[0; 100]).await.expect_err("length");
        f.read_at(1, BLOCK).await.expect_err("offset");
    });
    assert_eq!(manners(&disk), [BadManner::Unaligned; 3]);
}

#[test]
fn writing_into_a_synced_block_of_a_log() {
    let disk = disk();
    run(&disk, async {
        let f = create(&disk, "/1.tmp").await;
        f.preallocate(8 * BLOCK as u64).await.expect("preallocate");
        f.write_at(0, &[1; BLOCK]).await.expect("header");
        f.sync().await.expect("sync");
        f.write_at(0, &[2; BLOCK]).await.expect("under .tmp all is allowed");
        f.sync().await.expect("sync");
        disk.rename(p("/1.tmp"), p("/1.wal")).await.expect("rename");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        f.write_at(BLOCK as u64, &[3; 2 * BLOCK]).await.expect("preallocated blocks");
        f.write_at(2 * BLOCK as u64, &[4; BLOCK]).await.expect("tail not yet synced");
        f.sync().await.expect("sync");
        assert_eq!(disk.violations(), []);
        f.write_at(2 * BLOCK as u64, &[5; 2 * BLOCK]).await.expect("bad");
        f.write_at(0, &[5; BLOCK]).await.expect("bad: the header");
        f.sync().await.expect("sync");
        assert_eq!(manners(&disk), [BadManner::WroteSyncedBlock; 2]);
        assert_eq!(disk.violations()[0].offset, 2 * BLOCK as u64);
        // Recycled under a .tmp name the blocks are free again.
        disk.rename(p("/1.wal"), p("/2.tmp")).await.expect("rename");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        f.write_at(0, &[6; BLOCK]).await.expect("new header");
        f.sync().await.expect("sync");
        disk.rename(p("/2.tmp"), p("/2.wal")).await.expect("rename");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        f.write_at(BLOCK as u64, &[7; BLOCK]).await.expect("free");
        assert_eq!(disk.violations().len(), 2);
    });
    // The knowledge survives a crash: the next process must not write there either.
    let next = disk.power_loss(Image::All, 1);
    run(&next, async {
        let f = next.open(p("/2.wal"), Access::ReadWrite, Caching::Direct).await.expect("open");
        f.write_at(0, &[8; BLOCK]).await.expect("bad");
    });
    assert_eq!(manners(&next), [BadManner::WroteSyncedBlock]);
}

#[test]
fn renaming_what_is_not_synced() {
    let disk = disk();
    run(&disk, async {
        let f = create(&disk, "/a").await;
        f.write_at(0, &[1; BLOCK]).await.expect("write");
        disk.rename(p("/a"), p("/b")).await.expect("rename");
    });
    assert_eq!(manners(&disk), [BadManner::RenamedUnsynced]);
}

#[test]
fn writing_to_a_renamed_file_before_its_directory_is_synced() {
    let disk = disk();
    run(&disk, async {
        let f = durable_file(&disk, "/a", 1).await;
        disk.rename(p("/a"), p("/b")).await.expect("rename");
        f.write_at(0, &[1; BLOCK]).await.expect("too early");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        f.write_at(0, &[1; BLOCK]).await.expect("now it may");
    });
    assert_eq!(manners(&disk), [BadManner::WroteBeforeDirSync]);
}

#[test]
fn overlapping_writes_in_flight() {
    let disk = disk();
    let rt = disk.runtime();
    run(&disk, async {
        let f = durable_file(&disk, "/a", 2).await;
        let g = Rc::clone(&f);
        rt.spawn(Box::pin(async move {
            g.write_at(0, &[1; 2 * BLOCK]).await.expect("write");
        }));
        f.write_at(BLOCK as u64, &[2; BLOCK]).await.expect("write");
    });
    rt.run_until_idle();
    assert_eq!(manners(&disk), [BadManner::OverlappingWrites]);
}
