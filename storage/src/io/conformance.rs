//! One suite for every driver: what the callers of [`Disk`] and [`File`](super::File) rely on.

use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;

use super::{Access, Caching, CommitError, Disk, File, Piece, Runtime};

/// Runs everything in an existing, empty directory.
pub(crate) async fn run(disk: Rc<dyn Disk>, rt: Rc<dyn Runtime>, dir: &Path) {
    for via in [Caching::Direct, Caching::Cached] {
        let name = format!("{via:?}");
        let sub = dir.join(&name);
        disk.create_dir_all(&sub.join("a/b")).await.expect("mkdir -p");
        disk.create_dir_all(&sub.join("a/b")).await.expect("again");
        read_write(&*disk, &sub, via).await;
        commits(&*disk, &sub, via).await;
        size_changes(&*disk, &sub, via).await;
        names(&*disk, &sub, via).await;
        errors(&*disk, &sub, via).await;
        several_in_flight(&disk, &rt, &sub, via).await;
    }
    cached_bytes(&*disk, dir).await;
    let space = disk.space(dir).await.expect("space");
    assert!(space.free > 0 && space.free <= space.total);
    time(&*rt).await;
}

/// Bytes that differ from block to block and from seed to seed.
fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 512) as u8 ^ (i as u8).wrapping_mul(31) ^ seed).collect()
}

/// What is read in place is what is read into a buffer of its own.
async fn same_in_place(f: &dyn File, offset: u64, len: usize) {
    let mut storage = Vec::new();
    for front in [0, 100, 5000] {
        let piece = f.read_into(offset, Piece::new(storage, front, len)).await.expect("in place");
        let (read, span) = piece.into_parts();
        assert!(span.start >= front);
        let want = f.read_at(offset, len.next_multiple_of(4096)).await.expect("read");
        assert_eq!(read[span], want, "{len} bytes at {offset}");
        storage = read;
    }
}

async fn read_write(disk: &dyn Disk, dir: &Path, via: Caching) {
    let a = disk.alignment();
    assert!(a.is_power_of_two() && a >= 4096);
    let path = dir.join("rw");
    let f = disk.open(&path, Access::CreateNew, via).await.expect("create");
    assert_eq!(f.size(), 0);
    assert_eq!(f.read_at(0, a).await.expect("empty"), b"");
    let bytes = pattern(1, 3 * a);
    assert_eq!(f.write_at(0, &bytes).await.expect("write"), bytes.len());
    assert_eq!(f.size(), bytes.len() as u64);
    assert_eq!(f.read_at(0, 3 * a).await.expect("read"), bytes);
    let second = pattern(2, a);
    assert_eq!(f.write_at(a as u64, &second).await.expect("middle"), a);
    f.sync().await.expect("sync");
    assert_eq!(f.read_at(a as u64, a).await.expect("read"), second);
    let tail = f.read_at(2 * a as u64, 4 * a).await.expect("over the end");
    assert_eq!(tail, &bytes[2 * a..]);
    assert_eq!(f.read_at(8 * a as u64, a).await.expect("past the end"), b"");
    for (offset, len) in [(0, a), (a, 2 * a), (2 * a, 4 * a), (8 * a, a)] {
        same_in_place(&*f, offset as u64, len).await;
    }
    // A hole reads as zeros.
    f.write_at(6 * a as u64, &second).await.expect("hole");
    assert_eq!(f.read_at(4 * a as u64, a).await.expect("hole"), vec![0; a]);
    // Another handle sees what this one appends.
    let reader = disk.open(&path, Access::Read, via).await.expect("open");
    f.write_at(7 * a as u64, &second).await.expect("append");
    let seen = reader.read_at(7 * a as u64, 4 * a).await.expect("read");
    assert_eq!(seen, second);
    f.truncate(7 * a as u64).await.expect("cut");
    drop(f);
    let f = disk.open(&path, Access::Read, via).await.expect("reopen");
    assert_eq!(f.size(), 7 * a as u64);
    assert_eq!(f.read_at(0, a).await.expect("read"), &bytes[..a]);
    f.write_at(0, &second).await.expect_err("read-only handle");
}

async fn commits(disk: &dyn Disk, dir: &Path, via: Caching) {
    let a = disk.alignment();
    let path = dir.join("commits");
    let f = disk.open(&path, Access::CreateNew, via).await.expect("create");
    let bytes = pattern(3, 2 * a);
    f.commit(0, &bytes, a, || Ok(())).await.expect("commit");
    assert_eq!((f.size(), f.read_at(0, 2 * a).await.expect("read")), (2 * a as u64, bytes));
    let second = pattern(4, a);
    let between = || Err(ErrorKind::Other.into());
    match f.commit(2 * a as u64, &second, a, between).await {
        Err(CommitError::Sync(e)) => assert_eq!(e.kind(), ErrorKind::Other),
        other => panic!("{other:?}"),
    }
    assert_eq!(f.read_at(2 * a as u64, a).await.expect("written"), second);
    let f = disk.open(&path, Access::Read, via).await.expect("reopen");
    let refused = f.commit(0, &second, a, || panic!("nothing was written")).await;
    assert!(matches!(refused, Err(CommitError::Write(_))), "{refused:?}");
}

async fn size_changes(disk: &dyn Disk, dir: &Path, via: Caching) {
    let a = disk.alignment();
    let path = dir.join("size");
    let f = disk.open(&path, Access::CreateNew, via).await.expect("create");
    let head = pattern(3, a);
    f.write_at(0, &head).await.expect("write");
    let big = (5 << 20) + a as u64;
    f.preallocate(big).await.expect("preallocate");
    assert_eq!(f.size(), big);
    assert_eq!(f.read_at(0, a).await.expect("kept"), head);
    let last = f.read_at(big - a as u64, a).await.expect("zeros");
    assert_eq!(last, vec![0; a]);
    f.preallocate(a as u64).await.expect("smaller: nothing to do");
    assert_eq!(f.size(), big);
    f.truncate(100).await.expect("cut inside a block");
    assert_eq!(f.size(), 100);
    assert_eq!(f.read_at(0, a).await.expect("short"), &head[..100]);
    f.truncate(2 * a as u64).await.expect("extend");
    assert_eq!(f.size(), 2 * a as u64);
    let mut expect = head[..100].to_vec();
    expect.resize(2 * a, 0);
    assert_eq!(f.read_at(0, 2 * a).await.expect("zero filled"), expect);
    f.sync().await.expect("sync");
    drop(f);
    let f = disk.open(&path, Access::ReadWrite, via).await.expect("open");
    assert_eq!(f.size(), 2 * a as u64);
    assert_eq!(f.read_at(0, 2 * a).await.expect("reread"), expect);
}

async fn names(disk: &dyn Disk, dir: &Path, via: Caching) {
    let a = disk.alignment();
    let dir = dir.join("names");
    disk.create_dir_all(&dir.join("sub")).await.expect("mkdir");
    for (i, name) in ["b", "a.tmp", "c"].iter().enumerate() {
        let f = disk.open(&dir.join(name), Access::CreateNew, via).await.expect("create");
        f.write_at(0, &pattern(i as u8, a * (i + 1))).await.expect("write");
        f.sync().await.expect("sync");
    }
    disk.sync_dir(&dir).await.expect("sync_dir");
    let list = disk.list(&dir).await.expect("list");
    let rows: Vec<_> = list.iter().map(|e| (e.name.as_str(), e.bytes, e.is_dir)).collect();
    let b = a as u64;
    let expect = [("a.tmp", 2 * b, false), ("b", b, false), ("c", 3 * b, false), ("sub", 0, true)];
    assert_eq!(rows, expect);

    // Replacing rename; a handle follows its file.
    let held = disk.open(&dir.join("a.tmp"), Access::ReadWrite, via).await.expect("open");
    disk.rename(&dir.join("a.tmp"), &dir.join("b")).await.expect("rename");
    disk.sync_dir(&dir).await.expect("sync_dir");
    held.write_at(0, &pattern(9, a)).await.expect("write after rename");
    held.sync().await.expect("sync");
    let f = disk.open(&dir.join("b"), Access::Read, via).await.expect("open");
    assert_eq!(f.size(), 2 * b);
    assert_eq!(f.read_at(0, a).await.expect("read"), pattern(9, a));

    disk.remove(&dir.join("c")).await.expect("remove");
    disk.rename(&dir.join("b"), &dir.join("sub/b")).await.expect("between directories");
    disk.sync_dir(&dir).await.expect("sync_dir");
    disk.sync_dir(&dir.join("sub")).await.expect("sync_dir");
    let top = disk.list(&dir).await.expect("list");
    assert_eq!(top.len(), 1);
    let sub = disk.list(&dir.join("sub")).await.expect("list");
    assert_eq!(sub[0].name, "b");
    assert_eq!(sub[0].bytes, 2 * b);

    // A directory goes with what is in it, over an empty one, not over another.
    let held = disk.open(&dir.join("sub/b"), Access::ReadWrite, via).await.expect("open");
    disk.create_dir_all(&dir.join("empty")).await.expect("mkdir");
    disk.create_dir_all(&dir.join("sub/deep")).await.expect("mkdir");
    disk.rename(&dir.join("sub"), &dir.join("empty")).await.expect("over an empty directory");
    disk.sync_dir(&dir).await.expect("sync_dir");
    held.write_at(0, &pattern(8, a)).await.expect("write after rename");
    held.sync().await.expect("sync");
    let moved = disk.list(&dir.join("empty")).await.expect("list");
    let names: Vec<_> = moved.iter().map(|e| (e.name.as_str(), e.bytes)).collect();
    assert_eq!(names, [("b", 2 * b), ("deep", 0)]);
    let gone = disk.list(&dir.join("sub")).await.expect_err("it is gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    disk.create_dir_all(&dir.join("sub")).await.expect("mkdir");
    disk.rename(&dir.join("sub"), &dir.join("empty")).await.expect_err("something is in it");
    disk.remove_dir(&dir.join("sub")).await.expect("remove_dir");
    disk.rename(&dir.join("empty"), &dir.join("sub")).await.expect("back");
    disk.sync_dir(&dir).await.expect("sync_dir");
    disk.remove_dir(&dir.join("sub/deep")).await.expect("remove_dir");

    disk.remove_dir(&dir.join("sub")).await.expect_err("something is in it");
    disk.remove(&dir.join("sub/b")).await.expect("remove");
    disk.sync_dir(&dir.join("sub")).await.expect("sync_dir");
    disk.remove_dir(&dir.join("sub")).await.expect("remove_dir");
    assert_eq!(disk.list(&dir).await.expect("list"), []);
    let gone = disk.remove_dir(&dir.join("sub")).await.expect_err("it is gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

async fn errors(disk: &dyn Disk, dir: &Path, via: Caching) {
    let missing = dir.join("no-such-file");
    let nowhere = dir.join("no-such-dir/x");
    let kind = |r: std::io::Result<()>| r.expect_err("must fail").kind();
    for access in [Access::Read, Access::ReadWrite] {
        let r = disk.open(&missing, access, via).await;
        assert_eq!(kind(r.map(drop)), ErrorKind::NotFound);
    }
    let r = disk.open(&nowhere, Access::CreateNew, via).await;
    assert_eq!(kind(r.map(drop)), ErrorKind::NotFound);
    let here = dir.join("exists");
    disk.open(&here, Access::CreateNew, via).await.expect("create");
    let r = disk.open(&here, Access::CreateNew, via).await;
    assert_eq!(kind(r.map(drop)), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.rename(&missing, &here).await), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(&missing).await), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir(&dir.join("no-such-dir")).await), ErrorKind::NotFound);
    let r = disk.list(&dir.join("no-such-dir")).await;
    assert_eq!(kind(r.map(drop)), ErrorKind::NotFound);
}

async fn several_in_flight(disk: &Rc<dyn Disk>, rt: &Rc<dyn Runtime>, dir: &Path, via: Caching) {
    let a = disk.alignment();
    let f = disk.open(&dir.join("many"), Access::CreateNew, via).await.expect("create");
    f.preallocate(32 * a as u64).await.expect("preallocate");
    let left = Rc::new(std::cell::Cell::new(32));
    for i in 0..32u8 {
        let (f, left) = (Rc::clone(&f), Rc::clone(&left));
        rt.spawn(Box::pin(async move {
            let bytes = pattern(i, a);
            let n = f.write_at(u64::from(i) * a as u64, &bytes).await.expect("write");
            assert_eq!(n, a);
            left.set(left.get() - 1);
        }));
    }
    while left.get() > 0 {
        rt.sleep_us(200).await;
    }
    f.sync().await.expect("sync");
    for i in 0..32u8 {
        let got = f.read_at(u64::from(i) * a as u64, a).await.expect("read");
        assert_eq!(got, pattern(i, a), "block {i}");
    }
}

/// Cached files take any offset and length, and writes that do not wait.
async fn cached_bytes(disk: &dyn Disk, dir: &Path) {
    let path = dir.join("bytes");
    let f = disk.open(&path, Access::CreateNew, Caching::Cached).await.expect("create");
    let n = f.write_now(0, b"hello").expect("cached files can").expect("write");
    assert_eq!(n, 5);
    f.write_now(5, b" world").expect("can").expect("write");
    assert_eq!(f.size(), 11);
    assert_eq!(f.read_at(0, 100).await.expect("read"), b"hello world");
    assert_eq!(f.write_at(6, b"there").await.expect("write"), 5);
    f.sync().await.expect("sync");
    assert_eq!(f.read_at(3, 5).await.expect("read"), b"lo th");
    same_in_place(&*f, 3, 5).await;
    let direct = disk.open(&path, Access::ReadWrite, Caching::Direct).await;
    assert!(direct.expect("open").write_now(0, &[0; 4096]).is_none());
}

async fn time(rt: &dyn Runtime) {
    let t0 = rt.mono_us();
    rt.sleep_us(3_000).await;
    let dt = rt.mono_us() - t0;
    assert!(dt >= 3_000, "slept {dt} us");
    // 2020-01-01 .. 2100-01-01
    assert!((1_577_836_800_000_000..4_102_444_800_000_000).contains(&rt.wall_us()));
}

/// A directory that goes away with the value.
pub(crate) struct TempDir(std::path::PathBuf);

impl TempDir {
    /// In the system's directory for temporary files.
    pub(crate) fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// On a file system in memory, if this host has one.
    pub(crate) fn in_memory(name: &str) -> Option<Self> {
        let shm = Path::new("/dev/shm");
        shm.is_dir().then(|| Self::below(shm, name))
    }

    fn below(parent: &Path, name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("moon-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("temporary directory");
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
