//! What the allocator and the kernel say about the process's memory.

use std::fs;
use std::sync::OnceLock;

use tikv_jemalloc_ctl::arenas::narenas;
use tikv_jemalloc_ctl::stats_print::{Options, stats_print};
use tikv_jemalloc_ctl::{Access, AsName, epoch, stats};

/// Bytes in use by the program, as the allocator counts them.
pub(crate) fn allocated() -> usize {
    if epoch::advance().is_err() {
        return 0;
    }
    stats::allocated::read().unwrap_or(0)
}

/// The allocator's figures in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allocator {
    pub(crate) allocated: usize,
    pub(crate) active: usize,
    pub(crate) resident: usize,
}

/// Reads the allocator's figures.
pub(crate) fn allocator() -> Allocator {
    Allocator {
        allocated: allocated(),
        active: stats::active::read().unwrap_or(0),
        resident: stats::resident::read().unwrap_or(0),
    }
}

/// The allocator's own report.
pub(crate) fn allocator_report() -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    stats_print(&mut text, Options::default())?;
    Ok(text)
}

/// Arenas whose unused pages are given back.
const ARENAS_MAX: u32 = 1024;

/// Gives unused pages back: an arena that keeps them for no time at all lets go of them at once.
pub(crate) fn purge() -> Result<(), tikv_jemalloc_ctl::Error> {
    static NAMES: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    let arenas = narenas::read()?.min(ARENAS_MAX);
    let names = NAMES.get_or_init(|| {
        // The allocator wants names that live for ever.
        let name = |i| format!("arena.{i}.dirty_decay_ms\0").into_bytes();
        (0..arenas).map(|i| &*Box::leak(name(i).into_boxed_slice())).collect()
    });
    for name in names {
        // An arena that nobody has used yet does not exist.
        let Ok(kept_ms) = Access::<isize>::read(name.name()) else { continue };
        Access::<isize>::write(name.name(), 0)?;
        Access::<isize>::write(name.name(), kept_ms)?;
    }
    Ok(())
}

/// Resident bytes of the process.
pub(crate) fn rss() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    pages * crate::net::sys::page_size()
}

/// Bytes of memory of the machine.
pub(crate) fn total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = text
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.trim().strip_suffix(" kB"))
        .and_then(|n| n.trim().parse::<u64>().ok());
    kb.unwrap_or(0) * 1024
}

/// Bytes as people read them: `1.50M`.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1536), "1.50K");
        assert_eq!(human(5 << 30), "5.00G");
        assert!(rss() > 100_000);
        assert!(total() > 1 << 20);
    }
}
