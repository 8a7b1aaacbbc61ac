//! Whether a target can be written at all: room on its file system, and a number of shards that this version has.
//!
//! The one idea: a run that must fail is refused before it has written a byte.

use std::path::{Path, PathBuf};

use moon_formats::json::Object;
use moon_report::Report;
use moon_storage::io::canonical;
use moon_storage::io::posix::PosixDisk;
use moon_storage::io::{Disk, Space};
use moon_storage::log::LogConfig;
use moon_storage::migration::is_there;

use crate::cli::{Kind, Place};
use crate::facts::{Facts, SHARDS};
use crate::fail::Failure;
use crate::host::Host;
use crate::whole::runtime;

/// Bytes that a target takes, and those that are free where it is to be.
#[derive(Debug)]
pub(crate) struct Room {
    needed: u64,
    space: Space,
    /// The directory whose file system was asked.
    at: PathBuf,
}

impl Room {
    /// Looks at the place of a target, which need not exist.
    pub(crate) async fn look(host: &Host, facts: &Facts, to: &Place) -> Result<Room, Failure> {
        let whole = canonical(&to.path).map_err(|e| Failure::io("find", &to.path, e))?;
        let (at, space) = match to.kind {
            Kind::Moon => {
                let at = existing(&*host.disk, &whole).await?;
                let space = host.disk.space(&at).await;
                (at, space)
            }
            // Files of Redis are on this machine, whatever the host.
            _ => runtime()?.block_on(async {
                let disk = PosixDisk::new();
                let at = existing(&disk, &whole).await?;
                let space = disk.space(&at).await;
                Ok((at, space))
            })?,
        };
        let space = space.map_err(|e| Failure::io("ask for the free space of", &at, e))?;
        Ok(Room { needed: needed(facts, to.kind), space, at })
    }

    /// An item of the report.
    pub(crate) fn report(&self, out: &mut Report<'_>) {
        let Room { needed, space, at } = self;
        let at = at.display().to_string();
        let free = (space.total != u64::MAX).then_some(space.free);
        let text = match free {
            None => format!("space: {needed} bytes needed in {at}, which has no limit"),
            Some(free) => format!("space: {needed} bytes needed, {free} free in {at}"),
        };
        let object = |o: Object| {
            o.number("needed", *needed).option("free", free, Object::number).text("at", &at)
        };
        out.item("space", object, &text);
    }

    /// Refuses a target that does not fit.
    pub(crate) fn check(&self, ignored: bool) -> Result<(), Failure> {
        let Room { needed, space: Space { free, .. }, at } = self;
        if ignored || needed <= free {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the target needs {needed} bytes, and {} has {free} free: make room, or choose another place; \
             --ignore-free-space tries it all the same",
            at.display()
        )))
    }
}

/// Segments of a log from its first moment on: the one in use, and the next one, which is prepared.
const SEGMENTS: u64 = 2;

/// Bytes of a target: in a file of Redis less, where its forms are shorter.
fn needed(facts: &Facts, kind: Kind) -> u64 {
    match kind {
        Kind::Moon => facts.file_bytes() + SEGMENTS * LogConfig::default().segment_bytes,
        _ => facts.file_bytes(),
    }
}

/// The nearest directory above a whole path that is there.
async fn existing(disk: &dyn Disk, path: &Path) -> Result<PathBuf, Failure> {
    for dir in path.ancestors().skip(1) {
        if matches!(is_there(disk, dir).await, Ok(true)) {
            return Ok(dir.to_path_buf());
        }
    }
    Err(Failure::environment(format!("{}: there is no directory above it", path.display())))
}

/// Refuses a number of shards that this version does not have.
pub(crate) fn known_shards(shards: u16) -> Result<(), Failure> {
    if shards == SHARDS {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "--shards {shards}: a server of this version keeps all keys in {SHARDS} shard and would not start on a \
         directory with {shards}; leave --shards out, or give it {SHARDS}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use moon_formats::value::ValueType;

    fn facts(body: &[u8]) -> Facts {
        let mut facts = Facts::default();
        facts.key(0, b"key", None, ValueType::String, body);
        facts
    }

    fn room(needed: u64, free: u64, total: u64) -> Room {
        Room { needed, space: Space { free, total }, at: "/data".into() }
    }

    fn report(room: &Room, json: bool) -> String {
        let mut sink = Vec::new();
        room.report(&mut Report::new(&mut sink, json));
        String::from_utf8(sink).expect("text")
    }

    #[test]
    fn what_does_not_fit_is_refused_unless_told_otherwise() {
        let small = room(1000, 999, 5000);
        assert_eq!(report(&small, false), "space: 1000 bytes needed, 999 free in /data\n");
        let object = r#"{"kind":"space","needed":1000,"free":999,"at":"/data"}"#;
        assert_eq!(report(&small, true), format!("{object}\n"));
        let failure = small.check(false).expect_err("a byte is missing");
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("--ignore-free-space"), "{}", failure.message);
        assert!(small.check(true).is_ok());
        assert!(room(1000, 1000, 5000).check(false).is_ok());
        let endless = room(1000, u64::MAX, u64::MAX);
        assert!(endless.check(false).is_ok() && report(&endless, false).contains("no limit"));
        assert!(report(&endless, true).contains("\"free\":null"));
    }

    #[test]
    fn the_place_is_asked_and_need_not_exist() {
        let rt = runtime().expect("a runtime");
        let look = |to: &Place| rt.block_on(Room::look(&Host::new(&rt), &facts(&[7; 5000]), to));
        let to = Place { kind: Kind::Moon, path: std::env::temp_dir().join("moon-no/such/place") };
        let room = look(&to).expect("there is a directory above");
        assert_eq!(room.at, std::env::temp_dir());
        assert!(room.space.free > 0 && room.space.total >= room.space.free, "{room:?}");
        // A base and the log behind it.
        assert!(room.needed > LogConfig::default().segment_bytes + 5000, "{room:?}");
        let file = Place { kind: Kind::RedisRdb, path: "dump.rdb".into() };
        let room = look(&file).expect("the directory of the program");
        assert!((5003..6000).contains(&room.needed), "{room:?}");
    }

    #[test]
    fn one_shard_is_what_there_is() {
        assert!(known_shards(1).is_ok());
        let failure = known_shards(4).expect_err("four shards");
        assert_eq!(failure.code, 2);
        assert!(failure.message.starts_with("--shards 4: "), "{}", failure.message);
    }
}
