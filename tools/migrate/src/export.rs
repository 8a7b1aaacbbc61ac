//! Files for redis-server: an RDB file of a chosen version, or an `appendonlydir` with one as its base.
//!
//! A value that the version cannot hold is a loss with a name, found before anything is written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use moon_engine::exec::Shard;
use moon_engine::reload::Exported;
use moon_formats::redis_rdb::{Encoder, FileWriter};
use moon_formats::value::Value;

use crate::facts::{Losses, lose};
use crate::fail::Failure;

/// Bytes after which what was encoded is written.
const PIECE: usize = 1 << 20;

/// What of a shard does not fit into RDB of this version.
pub(crate) fn losses(shard: &Shard, version: u16, losses: &mut Losses) -> Result<(), Failure> {
    let encoder = Encoder::new(version);
    shard.for_each_key(|k| {
        if encoder.type_byte(&value(k)?).is_err() {
            let text = "RDB of this version has no form for the value: the key is left out; see --rdb-version";
            lose(losses, "value", text, k.key);
        }
        Ok(())
    })
}

fn value<'a>(k: &Exported<'a>) -> Result<Value<'a>, Failure> {
    Value::decode(k.body, k.kind.code(), 0)
        .map_err(|e| Failure::environment(format!("key {}: {e}", k.key.escape_ascii())))
}

/// Writes an RDB file, which must not exist.
pub(crate) fn rdb(path: &Path, shard: &Shard, version: u16) -> Result<(), Failure> {
    let io = |e| Failure::io("write", path, e);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let aside = path.with_file_name(name);
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    let mut out = options.open(&aside).map_err(|e| Failure::io("create", &aside, e))?;
    let written = write(&mut out, shard, version, io).and_then(|()| {
        fs::hard_link(&aside, path).map_err(|e| Failure::io("create", path, e))?;
        sync_dir(path)
    });
    let removed = fs::remove_file(&aside).map_err(|e| Failure::io("remove", &aside, e));
    written.and(removed)
}

fn write(
    out: &mut File,
    shard: &Shard,
    version: u16,
    io: impl Fn(std::io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut file = FileWriter::new(Encoder::new(version));
    for source in shard.libraries() {
        file.function(source);
    }
    let mut selected = None;
    shard.for_each_key(|k| {
        let value = value(k)?;
        if selected.replace(k.db) != Some(k.db) {
            file.select(k.db.into());
        }
        // What does not fit has been reported and accepted.
        let _ = file.key(k.key, k.expire_ms, None, None, &value);
        match file.pending() >= PIECE {
            true => out.write_all(&file.take()).map_err(&io),
            false => Ok(()),
        }
    })?;
    out.write_all(&file.take()).map_err(&io)?;
    out.write_all(&file.finish()).map_err(&io)?;
    out.sync_all().map_err(&io)
}

fn sync_dir(path: &Path) -> Result<(), Failure> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|e| Failure::io("sync", dir, e))
}

/// Writes a directory for `redis-server --appendonly yes`, which must not exist.
pub(crate) fn aof(path: &Path, shard: &Shard, version: u16) -> Result<(), Failure> {
    let parts = path.join("appendonlydir");
    for dir in [path, &parts] {
        DirBuilder::new().mode(0o700).create(dir).map_err(|e| Failure::io("create", dir, e))?;
    }
    rdb(&parts.join("appendonly.aof.1.base.rdb"), shard, version)?;
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\n";
    for (name, text) in [("appendonly.aof.1.incr.aof", ""), ("appendonly.aof.manifest", manifest)] {
        let file = parts.join(name);
        let create = || {
            let mut out =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()
        };
        create().map_err(|e| Failure::io("write", &file, e))?;
    }
    sync_dir(&parts.join("appendonly.aof.manifest"))?;
    sync_dir(&parts)?;
    sync_dir(path)
}
