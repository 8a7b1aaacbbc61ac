//! Images, faults and manners of the simulated device, and the order of its runtime.

mod bad_manners;
mod faults;

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::io::{Access, Caching, Disk, File, Runtime, conformance};

const BLOCK: usize = 4096;

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn disk() -> SimDisk {
    SimDisk::new(SimConfig::default(), 7)
}

fn run<T>(disk: &SimDisk, f: impl Future<Output = T>) -> T {
    disk.runtime().block_on(f)
}

async fn create(disk: &SimDisk, path: &str) -> Rc<dyn File> {
    disk.open(p(path), Access::CreateNew, Caching::Direct).await.expect("create")
}

/// A file of `blocks` blocks of 0xaa, durable with its name.
async fn durable_file(disk: &SimDisk, path: &str, blocks: usize) -> Rc<dyn File> {
    let f = create(disk, path).await;
    f.write_at(0, &vec![0xaa; blocks * BLOCK]).await.expect("write");
    f.sync().await.expect("sync");
    disk.sync_dir(p("/")).await.expect("sync_dir");
    f
}

fn contents(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    run(disk, async {
        let f = disk.open(p(path), Access::Read, Caching::Cached).await.ok()?;
        Some(f.read_at(0, f.size() as usize).await.expect("read"))
    })
}

fn manners(disk: &SimDisk) -> Vec<BadManner> {
    disk.violations().iter().map(|v| v.manner).collect()
}

#[test]
fn conformance_suite() {
    for shuffle in [false, true] {
        let disk = SimDisk::new(SimConfig { shuffle, ..SimConfig::default() }, 3);
        let rt = disk.runtime();
        run(&disk, async {
            disk.create_dir_all(p("/t")).await.expect("mkdir");
            conformance::run(disk.as_dyn(), rt.as_dyn(), p("/t")).await;
        });
        assert_eq!(disk.violations(), []);
    }
}

/// A synced block of 0xaa is rewritten by two writes; what each image leaves of them.
#[test]
fn images_of_unsynced_data() {
    let disk = disk();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 4).await;
        f.write_at(0, &[1; 2 * BLOCK]).await.expect("write");
        f.write_at(2 * BLOCK as u64, &[2; 2 * BLOCK]).await.expect("write");
    });
    let old = vec![0xaa; 4 * BLOCK];
    let mut new = vec![1; 2 * BLOCK];
    new.resize(4 * BLOCK, 2);
    let after = |image, seed| contents(&disk.power_loss(image, seed), "/f").expect("there");
    assert_eq!(after(Image::None, 1), old);
    assert_eq!(after(Image::All, 1), new);
    assert_eq!(after(Image::MetaFirst, 1), old, "recycled bytes stay");
    assert_eq!(after(Image::DataFirst, 1), new);
    assert_eq!(after(Image::LateFirst, 1), [&old[..2 * BLOCK], &new[2 * BLOCK..]].concat());
    let half = [&new[..2 * BLOCK], &old[2 * BLOCK..]].concat();
    let mut prefixes = std::collections::BTreeSet::new();
    let mut mixed = 0;
    let mut garbage = 0;
    for seed in 0..64 {
        let got = after(Image::Prefix, seed);
        assert!([&old, &half, &new].contains(&&got), "seed {seed}");
        prefixes.insert(got);
        let got = after(Image::Subset, seed);
        for (i, s) in got.chunks(512).enumerate() {
            assert!(s == &old[i * 512..][..512] || s == &new[i * 512..][..512]);
        }
        mixed += u32::from(got != old && got != new && got != half);
        let got = after(Image::Shorn, seed);
        let torn = |s: &[u8]| s.iter().any(|b| *b != s[0]);
        assert!(!got[..2 * BLOCK].chunks(512).any(torn), "only the last write is shorn");
        garbage += got[2 * BLOCK..].chunks(512).filter(|s| torn(s)).count();
    }
    assert_eq!(prefixes.len(), 3);
    assert!(mixed > 50 && garbage > 100, "{mixed} {garbage}");
}

/// A growing file: size and bytes are separate, and the name is a third thing.
#[test]
fn images_of_sizes_and_names() {
    let disk = disk();
    run(&disk, async {
        durable_file(&disk, "/old", 1).await;
        let f = create(&disk, "/new").await;
        f.write_at(0, &[5; BLOCK]).await.expect("write");
    });
    let after = |image| contents(&disk.power_loss(image, 1), "/new");
    assert_eq!(after(Image::None), None);
    assert_eq!(after(Image::DataFirst), None);
    assert_eq!(after(Image::All), Some(vec![5; BLOCK]));
    assert_eq!(after(Image::MetaFirst), Some(vec![0; BLOCK]));
    // Synced bytes without a synced name are lost with the name.
    run(&disk, async {
        let f = disk.open(p("/new"), Access::ReadWrite, Caching::Direct).await.expect("open");
        f.sync().await.expect("sync");
    });
    assert!(!disk.is_durable(p("/new")) && disk.is_durable(p("/old")));
    assert_eq!(after(Image::None), None);
    run(&disk, disk.sync_dir(p("/"))).expect("sync_dir");
    assert!(disk.is_durable(p("/new")));
    for image in Image::ALL {
        assert_eq!(after(image), Some(vec![5; BLOCK]), "{}", image.name());
    }
    // Data beyond a size that was not kept does not come back when the file grows again.
    run(&disk, async {
        let f = disk.open(p("/new"), Access::ReadWrite, Caching::Direct).await.expect("open");
        f.write_at(BLOCK as u64, &[6; BLOCK]).await.expect("write");
    });
    let next = disk.power_loss(Image::DataFirst, 1);
    assert_eq!(contents(&next, "/new"), Some(vec![5; BLOCK]));
    run(&next, async {
        let f = next.open(p("/new"), Access::ReadWrite, Caching::Direct).await.expect("open");
        f.truncate(2 * BLOCK as u64).await.expect("extend");
    });
    let grown = contents(&next, "/new").expect("there");
    assert_eq!(grown[BLOCK..], [0; BLOCK]);
}

#[test]
fn renames_and_removals_are_volatile_until_the_directory_is_synced() {
    let disk = disk();
    run(&disk, async {
        durable_file(&disk, "/a.tmp", 1).await;
        let b = create(&disk, "/b").await;
        b.sync().await.expect("sync");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        disk.rename(p("/a.tmp"), p("/b")).await.expect("rename");
    });
    let lost = disk.power_loss(Image::None, 1);
    assert_eq!(contents(&lost, "/b"), Some(vec![]));
    assert!(contents(&lost, "/a.tmp").is_some());
    let kept = disk.power_loss(Image::All, 1);
    assert_eq!(contents(&kept, "/b"), Some(vec![0xaa; BLOCK]));
    assert_eq!(contents(&kept, "/a.tmp"), None);
    run(&disk, disk.sync_dir(p("/"))).expect("sync_dir");
    for image in Image::ALL {
        let d = disk.power_loss(image, 5);
        assert_eq!(contents(&d, "/b"), Some(vec![0xaa; BLOCK]));
        assert_eq!(contents(&d, "/a.tmp"), None);
    }
    run(&disk, disk.remove(p("/b"))).expect("remove");
    assert!(contents(&disk.power_loss(Image::None, 1), "/b").is_some());
    assert!(contents(&disk.power_loss(Image::All, 1), "/b").is_none());
}

/// Every stop of a run: what was acknowledged as synced before the stop is there in every image.
#[test]
fn renamed_directories_are_volatile_until_the_directory_around_them_is_synced() {
    let disk = disk();
    let named = |disk: &SimDisk| {
        let at = ["/a/sub/f", "/b/sub/f", "/c/sub/f"].map(|path| contents(disk, path).is_some());
        at.iter().position(|there| *there)
    };
    let last = run(&disk, async {
        disk.create_dir_all(p("/a/sub")).await.expect("mkdir");
        let f = create(&disk, "/a/sub/f").await;
        f.sync().await.expect("sync");
        disk.sync_dir(p("/a/sub")).await.expect("sync_dir");
        disk.rename(p("/a"), p("/b")).await.expect("rename");
        // Names below hold, whatever the name above.
        create(&disk, "/b/sub/g").await.sync().await.expect("sync");
        disk.sync_dir(p("/b/sub")).await.expect("sync_dir");
        disk.create_dir_all(p("/b/new")).await.expect("mkdir");
        disk.moment()
    });
    assert_eq!(named(&disk), Some(1));
    let lost = disk.power_loss(Image::None, 1);
    assert_eq!(named(&lost), Some(0));
    assert!(contents(&lost, "/a/sub/g").is_some());
    run(&lost, async { lost.list(p("/a/new")).await.expect("made for good") });
    assert_eq!(named(&disk.power_loss(Image::All, 1)), Some(1));
    assert_eq!(named(&disk.kill(1)), Some(1));
    run(&disk, async {
        disk.sync_dir(p("/b")).await.expect("of no use to its own name");
    });
    assert_eq!(named(&disk.power_loss(Image::None, 1)), Some(0));
    run(&disk, async {
        disk.sync_dir(p("/")).await.expect("sync_dir");
        disk.create_dir_all(p("/c")).await.expect("mkdir");
        disk.rename(p("/b"), p("/c")).await.expect("over an empty one");
        disk.sync_dir(p("/")).await.expect("sync_dir");
    });
    assert_eq!(named(&disk.power_loss(Image::None, 1)), Some(2));
    assert_eq!(disk.violations(), []);
    for stop in 0..disk.stop_count() {
        for image in Image::ALL {
            let after = disk.power_loss_at(stop, image, stop as u64).expect("a stop");
            let found = named(&after);
            assert!(stop < last || found.is_some(), "{stop} {image:?}: the tree is lost");
        }
    }
    run(&disk, async {
        create(&disk, "/c/sub/h").await;
        disk.rename(p("/c"), p("/d")).await.expect("rename");
    });
    assert_eq!(manners(&disk), [BadManner::RenamedUnsynced]);
}

#[test]
fn every_stop_keeps_what_was_synced() {
    let disk = disk();
    let acks = Rc::new(RefCell::new(Vec::new()));
    run(&disk, async {
        let f = create(&disk, "/log").await;
        f.preallocate(64 * BLOCK as u64).await.expect("preallocate");
        f.sync().await.expect("sync");
        disk.sync_dir(p("/")).await.expect("sync_dir");
        for i in 1..=20u8 {
            f.write_at(u64::from(i) * BLOCK as u64, &[i; BLOCK]).await.expect("write");
            f.sync().await.expect("sync");
            acks.borrow_mut().push((disk.moment(), i));
        }
    });
    assert_eq!(disk.stop_count(), 2 * (4 + 2 * 20));
    let mut partly = 0;
    for stop in 0..disk.stop_count() {
        for image in Image::ALL {
            let after = disk.power_loss_at(stop, image, stop as u64).expect("stop");
            let bytes = contents(&after, "/log").unwrap_or_default();
            for (moment, i) in acks.borrow().iter() {
                let block = bytes.get(usize::from(*i) * BLOCK..).map(|b| &b[..BLOCK]);
                if *moment <= stop {
                    assert_eq!(block, Some(&[*i; BLOCK][..]), "stop {stop} {}", image.name());
                } else {
                    partly += u32::from(block.is_some_and(|b| b[0] != *i));
                }
            }
        }
    }
    assert!(partly > 100, "unsynced blocks are lost in some images");
}

#[test]
fn a_sync_covers_only_writes_that_completed_before_it_was_issued() {
    let disk = disk();
    let rt = disk.runtime();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 2).await;
        f.write_at(0, &[1; BLOCK]).await.expect("write");
        let g = Rc::clone(&f);
        rt.spawn(Box::pin(async move {
            g.write_at(BLOCK as u64, &[2; BLOCK]).await.expect("write");
        }));
        // The spawned write is issued while this sync is in flight.
        f.sync().await.expect("sync");
    });
    let bytes = contents(&disk.power_loss(Image::None, 1), "/f").expect("there");
    assert_eq!(bytes[..BLOCK], [1; BLOCK]);
    assert_eq!(bytes[BLOCK..], [0xaa; BLOCK]);
}

#[test]
fn a_killed_process_loses_only_what_is_in_flight() {
    let disk = disk();
    let rt = disk.runtime();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 2).await;
        f.write_at(0, &[1; BLOCK]).await.expect("write");
        rt.spawn(Box::pin(async move {
            f.write_at(BLOCK as u64, &[2; BLOCK]).await.expect("write");
        }));
    });
    rt.run_until_stalled();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let next = disk.kill(seed);
        let bytes = contents(&next, "/f").expect("there");
        assert_eq!(bytes[..BLOCK], [1; BLOCK]);
        assert!(bytes[BLOCK..] == [0xaa; BLOCK] || bytes[BLOCK..] == [2; BLOCK]);
        seen.insert(bytes[BLOCK]);
        // The kernel still holds it: power loss afterwards can drop it.
        let dark = contents(&next.power_loss(Image::None, 1), "/f").expect("there");
        assert_eq!(dark, vec![0xaa; 2 * BLOCK]);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn partial_sectors_are_kept_as_versions_not_as_mixtures() {
    let disk = disk();
    run(&disk, async {
        let f = durable_file(&disk, "/f", 1).await;
        drop(f);
        let f = disk.open(p("/f"), Access::ReadWrite, Caching::Cached).await.expect("open");
        f.write_now(0, &[1; 100]).expect("cached").expect("write");
        f.write_now(100, &[2; 100]).expect("cached").expect("write");
    });
    for seed in 0..64 {
        let b = contents(&disk.power_loss(Image::Subset, seed), "/f").expect("there");
        assert!([(0xaa, 0xaa), (1, 0xaa), (1, 2)].contains(&(b[0], b[100])), "{} {}", b[0], b[100]);
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    let trace = |seed| {
        let disk = SimDisk::new(SimConfig { shuffle: true, ..SimConfig::default() }, seed);
        let rt = disk.runtime();
        let order = Rc::new(RefCell::new(Vec::new()));
        run(&disk, async {
            let f = durable_file(&disk, "/f", 8).await;
            for i in 0..8u8 {
                let (f, order, rt2) = (Rc::clone(&f), Rc::clone(&order), rt.clone());
                rt.spawn(Box::pin(async move {
                    f.write_at(u64::from(i) * BLOCK as u64, &[i; BLOCK]).await.expect("write");
                    order.borrow_mut().push((i, rt2.mono_us()));
                }));
            }
        });
        rt.run_until_idle();
        let v = order.borrow().clone();
        assert_eq!(v.len(), 8);
        v
    };
    assert_eq!(trace(11), trace(11));
    assert_ne!(trace(11), trace(12));
}

#[test]
fn virtual_time() {
    let rt = SimRuntime::new();
    let (t0, w0) = (rt.mono_us(), rt.wall_us());
    let log = Rc::new(RefCell::new(Vec::new()));
    for us in [3_000_000_000u64, 10, 500] {
        let (rt2, log) = (rt.clone(), Rc::clone(&log));
        rt.spawn(Box::pin(async move {
            rt2.sleep_us(us).await;
            log.borrow_mut().push(rt2.mono_us());
        }));
    }
    rt.run_until(t0 + 499);
    assert_eq!(*log.borrow(), [t0 + 10]);
    rt.run_until_idle();
    assert_eq!(*log.borrow(), [t0 + 10, t0 + 500, t0 + 3_000_000_000]);
    rt.step_wall(-3_600_000_000);
    assert_eq!(rt.wall_us() - w0, 3_000_000_000 - 3_600_000_000);
    assert_eq!(rt.try_block_on(std::future::pending::<()>()), None);
    assert_eq!(rt.live_tasks(), 0);
}

/// The rate of power losses, with and without reading the log back, for a log synced after every write and one
/// synced after 128. Run by hand:
/// `cargo test -p moon-storage power_loss_rate -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout)]
fn power_loss_rate() {
    for writes_per_sync in [1, 128] {
        let disk = disk();
        run(&disk, async {
            let f = create(&disk, "/log").await;
            f.preallocate(1 << 20).await.expect("preallocate");
            f.sync().await.expect("sync");
            disk.sync_dir(p("/")).await.expect("sync_dir");
            for i in 0..255u64 {
                f.write_at(i * BLOCK as u64, &[i as u8; BLOCK]).await.expect("write");
                if (i + 1) % writes_per_sync == 0 {
                    f.sync().await.expect("sync");
                }
            }
        });
        for read in [false, true] {
            let t = std::time::Instant::now();
            let mut n = 0u32;
            for stop in (0..disk.stop_count()).step_by(4) {
                for image in Image::ALL {
                    let d = disk.power_loss_at(stop, image, n.into()).expect("stop");
                    if read {
                        assert!(contents(&d, "/log").is_none_or(|b| b.len() <= 1 << 20));
                    }
                    n += 1;
                }
            }
            let rate = f64::from(n) / t.elapsed().as_secs_f64();
            println!(
                "{writes_per_sync} writes a sync, reading 1 MiB back {read}: {rate:.0} power losses a second"
            );
        }
    }
}
