//! What a power loss leaves of the operations that were not stable.
//!
//! Rules that hold for every image: a sector covered by a completed sync and not written since keeps its
//! bytes; names follow the order of their operations (file systems journal them in order), so a
//! later name change is never kept without an earlier one; a sector that is kept holds the whole
//! version it had after some operation, never a mixture, except under [`Image::Shorn`].

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::content::{Content, SECTOR, sectors};
use super::rng::SimRng;
use super::state::{Body, DirId, DiskState, Ino, Version, apply_file};

/// The eight images of the crash matrix, section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Image {
    /// Nothing that was not synced.
    None,
    /// Everything, operations in flight included.
    All,
    /// Operations up to a random one, in order.
    Prefix,
    /// Each dirty sector with probability 0.1, 0.5 or 0.9, out of order.
    Subset,
    /// The newest half of the dirty sectors, not the older half.
    LateFirst,
    /// Names and sizes, no data: zeros, or old bytes of a recycled file.
    MetaFirst,
    /// Data, but neither names nor sizes.
    DataFirst,
    /// As `Subset`; dropped sectors of the last write hold garbage or half of themselves.
    Shorn,
}

impl Image {
    /// All images, in the order of the specification.
    pub const ALL: [Image; 8] = [
        Image::None,
        Image::All,
        Image::Prefix,
        Image::Subset,
        Image::LateFirst,
        Image::MetaFirst,
        Image::DataFirst,
        Image::Shorn,
    ];

    /// Name as the crash matrix prints it.
    pub fn name(self) -> &'static str {
        match self {
            Image::None => "none",
            Image::All => "all",
            Image::Prefix => "prefix",
            Image::Subset => "subset",
            Image::LateFirst => "late-first",
            Image::MetaFirst => "meta-first",
            Image::DataFirst => "data-first",
            Image::Shorn => "shorn",
        }
    }
}

/// How the choice is made for data, sizes and names.
struct Plan {
    data: Keep,
    /// Keep data sector writes from this index on.
    data_from: u64,
    sizes: Keep,
    names: usize,
    shorn: bool,
}

#[derive(Clone, Copy)]
enum Keep {
    No,
    Yes,
    PerMille(u64),
}

/// The state after power came back: `stable` and `volatile` agree, nothing is pending.
pub(super) fn power_loss(before: &DiskState, image: Image, seed: u64) -> DiskState {
    let mut rng = SimRng::new(seed ^ ((image as u64) << 56));
    let mut s = DiskState {
        files: before.files.clone(),
        dirs: before.dirs.clone(),
        stable_paths: Rc::clone(&before.stable_paths),
        paths: Rc::clone(&before.paths),
        pending: Vec::new(),
        next_ino: before.next_ino,
    };
    let names = before.pending.iter().filter(|p| p.body.file().is_none()).count();
    match image {
        Image::None => {}
        Image::All => apply_first(&mut s, before, before.pending.len()),
        Image::Prefix => {
            let n = rng.below(before.pending.len() as u64 + 1) as usize;
            apply_first(&mut s, before, n);
        }
        Image::Subset | Image::Shorn => {
            let plan = Plan {
                data: Keep::PerMille([100, 500, 900][rng.below(3) as usize]),
                data_from: 0,
                sizes: Keep::PerMille(500),
                names: rng.below(names as u64 + 1) as usize,
                shorn: image == Image::Shorn,
            };
            apply_plan(&mut s, before, &plan, &mut rng);
        }
        Image::LateFirst => {
            let plan = Plan {
                data: Keep::Yes,
                data_from: dirty_sectors(before).div_ceil(2),
                sizes: Keep::Yes,
                names: if rng.chance(500) { names } else { 0 },
                shorn: false,
            };
            apply_plan(&mut s, before, &plan, &mut rng);
        }
        Image::MetaFirst => {
            let plan = Plan { data: Keep::No, data_from: 0, sizes: Keep::Yes, names, shorn: false };
            apply_plan(&mut s, before, &plan, &mut rng);
        }
        Image::DataFirst => {
            let plan =
                Plan { data: Keep::Yes, data_from: 0, sizes: Keep::No, names: 0, shorn: false };
            apply_plan(&mut s, before, &plan, &mut rng);
        }
    }
    seal_state(&mut s);
    s
}

/// The state after the process was killed and the kernel lived on: what completed is in the page cache and
/// still not stable; each operation in flight happened or did not.
pub(super) fn kill(before: &DiskState, seed: u64) -> DiskState {
    let mut rng = SimRng::new(seed);
    let mut s = before.clone();
    let mut dropped = Vec::new();
    for p in &mut s.pending {
        if p.done {
            continue;
        }
        p.done = true;
        // Parts of one operation (bytes and size) share its fate.
        let keep = match dropped.iter().find(|(op, _)| *op == p.op) {
            Some((_, keep)) => *keep,
            None => {
                let keep = rng.chance(500);
                dropped.push((p.op, keep));
                keep
            }
        };
        if !keep {
            p.op = u64::MAX;
        }
    }
    s.pending.retain(|p| p.op != u64::MAX);
    for p in &before.pending {
        if !p.done && dropped.contains(&(p.op, true)) {
            s.apply(&p.body, Version::Volatile);
        }
    }
    s
}

fn apply_first(s: &mut DiskState, before: &DiskState, n: usize) {
    for p in &before.pending[..n] {
        s.apply(&p.body, Version::Stable);
    }
}

fn dirty_sectors(before: &DiskState) -> u64 {
    let ranges = before.pending.iter().filter_map(|p| p.body.range());
    ranges
        .map(|(_, o, l)| {
            let r = sectors(o, l);
            r.end - r.start
        })
        .sum()
}

fn apply_plan(s: &mut DiskState, before: &DiskState, plan: &Plan, rng: &mut SimRng) {
    // The version each file had after every operation so far; kept sectors are copied from it.
    let mut shadows: BTreeMap<Ino, Content> = BTreeMap::new();
    let mut size_open: BTreeMap<Ino, bool> = BTreeMap::new();
    let last_data = before.pending.iter().rposition(|p| matches!(&*p.body, Body::Data { .. }));
    let mut names_left = plan.names;
    let mut sector_index = 0;
    for (i, p) in before.pending.iter().enumerate() {
        let Some(ino) = p.body.file() else {
            if names_left > 0 {
                names_left -= 1;
                s.apply(&p.body, Version::Stable);
            }
            continue;
        };
        let Some(file) = s.files.get_mut(&ino) else {
            continue;
        };
        let shadow = shadows.entry(ino).or_insert_with(|| file.stable.clone());
        apply_file(shadow, &p.body);
        let Some((_, offset, len)) = p.body.range() else {
            // Sizes of one file are kept up to some operation, in order.
            let open = size_open.entry(ino).or_insert(true);
            *open &= match plan.sizes {
                Keep::No => false,
                Keep::Yes => true,
                Keep::PerMille(m) => rng.chance(m),
            };
            if *open {
                apply_file(&mut file.stable, &p.body);
            }
            continue;
        };
        for sector in sectors(offset, len) {
            let at = sector * SECTOR;
            let keep = sector_index >= plan.data_from
                && match plan.data {
                    Keep::No => false,
                    Keep::Yes => true,
                    Keep::PerMille(m) => rng.chance(m),
                };
            sector_index += 1;
            if keep {
                file.stable.copy_from(shadow, at, SECTOR as usize);
            } else if plan.shorn && Some(i) == last_data {
                shear(&mut file.stable, shadow, at, rng);
            }
        }
    }
}

/// A sector torn inside: garbage, or one half new and one half old.
fn shear(stable: &mut Content, shadow: &Content, at: u64, rng: &mut SimRng) {
    let half = SECTOR as usize / 2;
    match rng.below(3) {
        0 => {
            let mut garbage = [0; SECTOR as usize];
            rng.fill(&mut garbage);
            stable.write(at, &garbage);
        }
        1 => stable.copy_from(shadow, at, half),
        _ => stable.copy_from(shadow, at + half as u64, half),
    }
}

fn seal_state(s: &mut DiskState) {
    s.paths = Rc::clone(&s.stable_paths);
    let named: BTreeSet<DirId> = s.paths.values().copied().collect();
    s.dirs.retain(|id, _| named.contains(id));
    for d in s.dirs.values_mut() {
        d.volatile = d.stable.clone();
    }
    s.collect_unnamed();
    for f in s.files.values_mut() {
        f.stable.trim();
        f.volatile = f.stable.clone();
    }
}
