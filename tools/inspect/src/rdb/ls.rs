//! `rdb ls`: the snapshots, and what refers to them.

use std::ops::ControlFlow;

use moon_formats::time::utc;

use super::Snapshot;
use super::source::{Item, format_name, read};
use super::verify::kind;
use crate::fail::{DAMAGE, Failure, SOUND};
use crate::logs::Files;
use crate::out::{Fields, Out};

pub(super) fn run(files: &Files, snapshots: &[Snapshot], out: &mut Out<'_>) -> Result<u8, Failure> {
    out.text(&format!(
        "{:<12}{:<10}{:>6}{:>14}{:>16}  {:<29}path",
        "format", "listed", "shard", "cut", "bytes", "created"
    ));
    let mut code = SOUND;
    for snapshot in snapshots {
        let path = &snapshot.path;
        let (_, bytes) = files.head(path, 1)?;
        let (mut head, mut foreign) = (None, None);
        let opened = read(files, path, &mut |_, item| {
            match item {
                Item::Head(h) => head = Some(h),
                Item::ForeignHead(f) => foreign = Some(f),
                _ => {}
            }
            ControlFlow::Break(())
        });
        let error = match opened {
            Err(failure) => {
                code = code.max(failure.code);
                Some(failure.message)
            }
            Ok(_) => None,
        };
        let format = match (&head, foreign) {
            (Some(head), _) => kind(head),
            (None, Some(format)) => format_name(format),
            (None, None) if code == DAMAGE => "bad".into(),
            (None, None) => "unknown".into(),
        };
        let shard = head.as_ref().filter(|h| h.extension.is_some()).map(|h| h.preamble.shard_id);
        let preamble = head.map(|h| h.preamble);
        let cut = preamble.map(|p| p.last_lsn);
        let created = preamble.map(|p| p.created_at_ms).filter(|ms| *ms > 0);
        let fields: Fields = vec![
            ("file", path.as_path().into()),
            ("format", format.as_str().into()),
            ("listed", snapshot.listed.name().into()),
            ("shard", shard.into()),
            ("last_lsn", cut.into()),
            ("epoch", preamble.map(|p| p.epoch).into()),
            ("created_at_ms", created.into()),
            ("file_bytes", bytes.into()),
            ("error", error.as_deref().into()),
        ];
        let or_dash = |n: Option<String>| n.unwrap_or_else(|| "-".into());
        let created = created.map(|ms| utc((ms as i64).saturating_mul(1000)));
        let mut text = format!(
            "{format:<12}{:<10}{:>6}{:>14}{bytes:>16}  {:<29}{}",
            snapshot.listed.name(),
            or_dash(shard.map(|n| n.to_string())),
            or_dash(cut.map(|n| n.to_string())),
            or_dash(created),
            path.display()
        );
        if let Some(e) = error {
            text.push_str(&format!("\n  {e}"));
        }
        out.item("snapshot", fields, &text);
    }
    Ok(code)
}
