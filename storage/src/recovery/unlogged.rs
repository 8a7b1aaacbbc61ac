//! Reading one shard whose log is off, or has been switched off.
//!
//! The one idea: a part list with an `off` line says up to which LSN the log knows the data. A
//! `.rrdshard` with that cut or a later one was made afterwards, so it is the newer of the two.

use moon_formats::aof::Ended;
use moon_formats::names;

use crate::io::Disk;
use crate::parts::{Parts, ShardPaths, holds_nothing, read_list};
use crate::switch::Standing;

use super::RecoveryError;
use super::base::{FileSummary, read_head};
use super::shard::{
    Progress, Recovered, Request, Target, list_dir, recover_logged, recover_snapshot,
};

/// A shard without a log that has been read.
#[derive(Debug)]
pub enum Unlogged {
    /// From the last `.rrdshard`; `None` if there is none.
    Save(Option<FileSummary>, Option<Standing>),
    /// From base and log: the log has been switched off, and nothing was saved since.
    Log(Box<Recovered>, Standing),
}

impl Unlogged {
    /// What was left of an earlier log.
    pub fn standing(&self) -> Option<&Standing> {
        match self {
            Unlogged::Save(_, standing) => standing.as_ref(),
            Unlogged::Log(_, standing) => Some(standing),
        }
    }
}

/// Whether the last `.rrdshard` is the data of the shard, and not base and log.
///
/// # Errors
/// See [`RecoveryError`]: if the log has been switched off, a damaged `.rrdshard` may be the newer
/// one.
pub async fn is_in_save(disk: &dyn Disk, paths: &ShardPaths) -> Result<bool, RecoveryError> {
    let own = list_dir(disk, &paths.own()).await?;
    let name = names::shard_snapshot(paths.shard);
    if !own.iter().any(|e| e.name == name) {
        return Ok(false);
    }
    match read_list(disk, paths).await.map_err(RecoveryError::Parts)? {
        None => Ok(!has_segments(disk, paths).await? && !has_bases(disk, paths).await?),
        Some(list) => match list.ended {
            None => Ok(false),
            Some(Ended { lsn, .. }) => {
                let path = paths.snapshot();
                match read_head(disk, &path).await {
                    Ok(head) => Ok(head.preamble.last_lsn >= lsn),
                    Err(e) => Err(RecoveryError::Base(path, e)),
                }
            }
        },
    }
}

async fn has_segments(disk: &dyn Disk, paths: &ShardPaths) -> Result<bool, RecoveryError> {
    let entries = list_dir(disk, &paths.log()).await?;
    Ok(entries.iter().any(|e| names::parse_wal_segment(&e.name).is_some()))
}

async fn has_bases(disk: &dyn Disk, paths: &ShardPaths) -> Result<bool, RecoveryError> {
    let entries = list_dir(disk, &paths.parts()).await?;
    Ok(entries.iter().any(|e| names::parse_base_file(&e.name).is_some()))
}

/// Reads a shard whose log is off. The directory is unchanged, whatever comes out.
///
/// # Errors
/// See [`RecoveryError`]; `Logged` if there is a log that has not been switched off.
pub async fn recover_without_log(
    req: &Request<'_>,
    target: &mut dyn Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Unlogged, RecoveryError> {
    let (disk, paths) = (req.disk, req.paths);
    let Some(list) = read_list(disk, paths).await.map_err(RecoveryError::Parts)? else {
        if has_segments(disk, paths).await? {
            return Err(RecoveryError::Logged(paths.log()));
        }
        let found = recover_snapshot(req, target, progress).await?;
        return Ok(Unlogged::Save(found, None));
    };
    let Some(ended) = list.ended else { return Err(RecoveryError::Logged(paths.part_list())) };
    let files = list_dir(disk, &paths.parts()).await?;
    let highest = files.iter().filter_map(|e| names::parse_base_file(&e.name)).max().unwrap_or(0);
    let in_save = is_in_save(disk, paths).await?;
    let nothing = holds_nothing(&list);
    let parts = Parts::new(paths.clone(), list, highest);
    if in_save || nothing {
        let standing = Standing::in_save(parts, ended.lsn);
        let found = recover_snapshot(req, target, progress).await?;
        return Ok(Unlogged::Save(found, Some(standing)));
    }
    let found = recover_logged(req, target, progress).await?;
    let standing = Standing::new(parts, found.end.clone());
    Ok(Unlogged::Log(Box::new(found), standing))
}
