//! How far a run is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two drawings.
const EVERY: Duration = Duration::from_millis(200);
/// Marks of a full bar.
const WIDTH: u64 = 30;

/// How far a run is, on the error output if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    what: &'static str,
    done: u64,
    total: u64,
    began: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// One that is shown to a person.
    pub fn new(json: bool) -> Progress {
        Progress { shown: !json && io::stderr().is_terminal(), ..Progress::silent() }
    }

    /// One that is not shown.
    pub fn silent() -> Progress {
        Progress { shown: false, what: "", done: 0, total: 0, began: Instant::now(), drawn: None }
    }

    /// Something begins that goes through so many bytes; 0 if that is not known yet.
    pub fn begin(&mut self, what: &'static str, total: u64) {
        self.clear();
        (self.what, self.done, self.total) = (what, 0, total);
        self.began = Instant::now();
    }

    /// So many bytes more are done.
    pub fn add(&mut self, bytes: u64) {
        self.at(self.done + bytes, self.total);
    }

    /// So many of so many bytes are done.
    pub fn at(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        if !self.shown || self.drawn.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        // Nothing is left to be done about an error here.
        let _ = write!(io::stderr(), "\r\x1b[K{}", self.line());
    }

    fn line(&self) -> String {
        let done = self.done.min(self.total);
        let marks = (done * WIDTH).checked_div(self.total).unwrap_or(0);
        let percent = (done * 100).checked_div(self.total).unwrap_or(0);
        let bar: String = (0..WIDTH).map(|i| if i < marks { '#' } else { '.' }).collect();
        let spent = self.began.elapsed().as_secs_f64();
        let left = spent * (self.total - done) as f64 / done.max(1) as f64;
        format!("{} [{bar}] {percent:>3} % of {}, {left:.0} s left", self.what, size(self.total))
    }

    /// Takes what was drawn away.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Bytes as a person reads them.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return match unit {
                "B" => format!("{bytes} B"),
                _ => format!("{value:.1} {unit}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_bars() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 40), "5.0 TiB");
        assert_eq!(size(u64::MAX), "16777216.0 TiB");
        let mut progress = Progress::silent();
        progress.begin("copying", 1 << 20);
        progress.add(1 << 19);
        let line = progress.line();
        assert!(
            line.starts_with("copying [###############...............]  50 % of 1.0 MiB"),
            "{line}"
        );
        progress.begin("reading", 0);
        assert!(progress.line().contains("  0 % of 0 B"));
    }
}
