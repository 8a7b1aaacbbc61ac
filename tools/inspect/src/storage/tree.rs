//! The directory tree of storage-formats.md §2: which role each file has, and which files
//! nothing refers to.

use std::path::Path;

use moon_formats::aof::PartList;
use moon_formats::names;

use crate::fail::Failure;
use crate::logs::Files;

/// Directories below a data directory that are looked into; the layout is not deeper.
const DEPTH_MAX: usize = 6;

/// A file or directory.
pub(super) struct Row {
    /// Relative to the data directory.
    pub(super) path: String,
    pub(super) role: &'static str,
    /// `ok`, `orphan` (ours, but nothing refers to it), `temporary` (nothing ever reads it) or
    /// `foreign` (not ours).
    pub(super) state: &'static str,
    pub(super) bytes: u64,
    pub(super) is_dir: bool,
}

/// Something to be said about a file.
pub(super) struct Finding {
    /// `damage` or `note`.
    pub(super) level: &'static str,
    pub(super) path: String,
    pub(super) what: String,
    pub(super) advice: &'static str,
}

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Data,
    Aof,
    AofShard(u16),
    Shard(u16),
    Wal,
    /// What a fork or a salvage has set aside.
    Aside,
    Cold,
    Graph,
    Vectors,
    VectorSegment,
}

/// Role and, for a directory that is looked into, its place.
fn role(place: Place, name: &str, is_dir: bool) -> Option<(&'static str, Option<Place>)> {
    let shard_dir = names::parse_shard_dir(name);
    let file = |role| Some((role, None));
    let dir = |role, place| Some((role, Some(place)));
    match (place, is_dir) {
        (Place::Data, false) if name == names::MARKER => file("marker"),
        (Place::Data, false) if name == names::LOCK => file("lock"),
        (Place::Data, true) if name == names::AOF_DIR => dir("bases", Place::Aof),
        (Place::Data, true) => dir("shard", Place::Shard(shard_dir?)),
        (Place::Aof, false) if name == names::AOF_MANIFEST => file("guard"),
        (Place::Aof, true) => dir("bases of shard", Place::AofShard(shard_dir?)),
        (Place::AofShard(_), false) if name == names::AOF_MANIFEST => file("part list"),
        (Place::AofShard(_), false) => names::parse_base_file(name).and_then(|_| file("base")),
        (Place::Shard(_), true) if name == names::WAL_DIR => dir("log", Place::Wal),
        (Place::Shard(_), true) if name == names::DATA_DIR => dir("cold values", Place::Cold),
        (Place::Shard(_), true) if name == names::GRAPH_DIR => dir("graph", Place::Graph),
        (Place::Shard(_), true) if name == names::VECTORS_DIR => dir("vectors", Place::Vectors),
        (Place::Shard(n), false) if name == names::shard_manifest(n) => file("file table"),
        (Place::Shard(n), false) if name == names::shard_snapshot(n) => file("snapshot"),
        (Place::Wal, true) if names::parse_timeline_dir(name).is_some() => {
            dir("timeline", Place::Aside)
        }
        (Place::Wal, true) if names::parse_salvage_dir(name).is_some() => {
            dir("salvage", Place::Aside)
        }
        (Place::Aside, false) if name == names::AOF_MANIFEST_LEFT => file("part list"),
        (Place::Aside, false) if name == names::SALVAGE_PLAN => file("salvage plan"),
        (Place::Aside, false) if names::parse_base_file(name).is_some() => file("base"),
        (Place::Aside, false) if names::parse_heap_file(name).is_some() => file("heap file"),
        (Place::Wal | Place::Aside, false) => {
            names::parse_wal_segment(name).and_then(|_| file("log segment"))
        }
        (Place::Cold, false) => names::parse_heap_file(name).and_then(|_| file("heap file")),
        (Place::Graph, false) => {
            names::parse_graph_segment(name).and_then(|_| file("graph segment"))
        }
        (Place::Vectors, true) => names::parse_vector_segment_dir(name)
            .and_then(|_| dir("vector segment", Place::VectorSegment)),
        (Place::VectorSegment, false) => name.ends_with(".mpf").then_some(("vector file", None)),
        _ => None,
    }
}

/// Every file of a data directory.
pub(super) struct Tree {
    pub(super) rows: Vec<Row>,
    pub(super) findings: Vec<Finding>,
    shards: Option<u16>,
}

impl Tree {
    /// Walks `dir`, whose marker says `shards`.
    pub(super) fn walk(files: &Files, dir: &Path, shards: Option<u16>) -> Result<Tree, Failure> {
        let mut tree = Tree { rows: Vec::new(), findings: Vec::new(), shards };
        tree.directory(files, dir, "", Place::Data, 0)?;
        Ok(tree)
    }

    /// Notes damage of a file.
    pub(super) fn damaged(&mut self, path: &Path, what: String) {
        let path = path.display().to_string();
        let advice = "restore the file from a backup or a replica; nothing was changed";
        self.findings.push(Finding { level: "damage", path, what, advice });
    }

    fn note(&mut self, path: &Path, what: &str, advice: &'static str) {
        let (path, what) = (path.display().to_string(), what.to_owned());
        self.findings.push(Finding { level: "note", path, what, advice });
    }

    fn directory(
        &mut self,
        files: &Files,
        dir: &Path,
        prefix: &str,
        place: Place,
        depth: usize,
    ) -> Result<(), Failure> {
        let entries = files.list(dir)?;
        let parts = match place {
            Place::AofShard(shard) => self.part_list(files, dir, shard)?,
            _ => None,
        };
        let sizes: Vec<(u64, u64)> = entries
            .iter()
            .filter_map(|e| Some((names::parse_base_file(&e.name)?, e.bytes)))
            .collect();
        if let Some(parts) = &parts {
            self.check_bases(dir, parts, &sizes);
        }
        for entry in &entries {
            let path = format!("{prefix}{}", entry.name);
            let known = role(place, &entry.name, entry.is_dir);
            let (role, state) = match known {
                _ if names::is_temporary(&entry.name) => ("temporary", "temporary"),
                None => ("unknown", "foreign"),
                Some((role, _)) if self.is_orphan(place, &entry.name, parts.as_ref()) => {
                    (role, "orphan")
                }
                Some((role, _)) => (role, "ok"),
            };
            let full = dir.join(&entry.name);
            match state {
                "temporary" => {
                    self.note(
                        &full,
                        "temporary",
                        "nothing reads it; the server reuses or removes it",
                    );
                }
                "orphan" => self.note(
                    &full,
                    "nothing refers to it",
                    "keep it until a backup is made, then it may be removed",
                ),
                "foreign" => self.note(&full, "not a file of Moon", "it is left alone"),
                _ => {}
            }
            self.rows.push(Row {
                path: path.clone(),
                role,
                state,
                bytes: entry.bytes,
                is_dir: entry.is_dir,
            });
            if let (Some((_, Some(inner))), true) =
                (known, state != "temporary" && depth < DEPTH_MAX)
            {
                self.directory(files, &full, &format!("{path}/"), inner, depth + 1)?;
            }
        }
        Ok(())
    }

    fn part_list(
        &mut self,
        files: &Files,
        dir: &Path,
        shard: u16,
    ) -> Result<Option<PartList>, Failure> {
        let path = dir.join(names::AOF_MANIFEST);
        let Some(text) = files.text(&path)? else { return Ok(None) };
        Ok(match PartList::decode(&text) {
            Ok(parts) if parts.shard == shard => Some(parts),
            Ok(parts) => {
                self.damaged(&path, format!("the part list is that of shard {}", parts.shard));
                None
            }
            Err(e) => {
                self.damaged(&path, e.to_string());
                None
            }
        })
    }

    /// Every base that is listed must be there in its size.
    fn check_bases(&mut self, dir: &Path, parts: &PartList, sizes: &[(u64, u64)]) {
        for base in parts.base.iter().chain(&parts.history) {
            let path = dir.join(names::base_file(base.seq));
            match sizes.iter().find(|(seq, _)| *seq == base.seq) {
                None => self.damaged(&path, "listed as a base but missing".to_owned()),
                Some((_, bytes)) if *bytes != base.bytes => {
                    self.damaged(&path, format!("{bytes} bytes, the part list says {}", base.bytes))
                }
                Some(_) => {}
            }
        }
    }

    fn is_orphan(&self, place: Place, name: &str, parts: Option<&PartList>) -> bool {
        match place {
            Place::Data | Place::Aof => names::parse_shard_dir(name)
                .is_some_and(|n| self.shards.is_some_and(|shards| n >= shards)),
            Place::AofShard(_) => names::parse_base_file(name).is_some_and(|seq| {
                let mut listed = parts.iter().flat_map(|p| p.base.iter().chain(&p.history));
                !listed.any(|b| b.seq == seq)
            }),
            _ => false,
        }
    }
}
