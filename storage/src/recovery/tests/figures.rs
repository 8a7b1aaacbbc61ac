//! How fast a base is read: `cargo test --release -p moon-storage recovery::tests::figures -- --ignored --nocapture`.

#![allow(clippy::print_stderr)] // a figure is there to be seen

use std::time::Instant;

use crate::io::local::LocalRuntime;
use crate::io::posix::PosixDisk;
use crate::io::{Access, Caching, Disk, conformance};
use crate::recovery::{Target, read_file};
use crate::scan::{VisitError, Visitor};
use crate::snapshot::tests::rig::{Map, encode};

/// Looks at every item and keeps none.
#[derive(Default)]
struct Count(u64);

impl Visitor for Count {
    fn record(
        &mut self,
        _: &moon_formats::wal::Record<'_>,
        _: crate::scan::Position,
    ) -> Result<std::ops::ControlFlow<()>, VisitError> {
        Ok(std::ops::ControlFlow::Continue(()))
    }
}

impl Target for Count {
    fn restart(&mut self) {}

    fn item(&mut self, item: &moon_formats::rrdshard::Item<'_>) -> Result<(), VisitError> {
        self.0 += u64::from(matches!(item, moon_formats::rrdshard::Item::Entry(_)));
        Ok(())
    }
}

#[test]
#[ignore = "a measurement"]
fn base_bytes_a_second() {
    for len in [100, 1000] {
        let dir = conformance::TempDir::new("base-figure");
        let rt = LocalRuntime::new().expect("runtime");
        let disk = PosixDisk::new();
        let keys = (256 << 20) / (len as u64 + 20);
        let map: Map = (1..=keys).map(|lsn| (lsn, vec![lsn as u8; len])).collect();
        let (bytes, entries, _) = encode(&map, keys, 1, 1);
        drop(map);
        let path = dir.path().join("base");
        rt.block_on(async {
            let file = disk.open(&path, Access::CreateNew, Caching::Cached).await.expect("create");
            for (i, piece) in bytes.chunks(1 << 20).enumerate() {
                file.write_at((i as u64) << 20, piece).await.expect("written");
            }
            file.sync().await.expect("synced");
            let mut count = Count::default();
            let start = Instant::now();
            read_file(&disk, &path, &mut count, &mut |_| {}).await.expect("sound");
            let s = start.elapsed().as_secs_f64();
            assert_eq!(count.0, entries);
            eprintln!(
                "values of {len} bytes: {} MB in {s:.3} s, {:.0} MB/s",
                bytes.len() / 1_000_000,
                bytes.len() as f64 / 1e6 / s
            );
        });
    }
}
