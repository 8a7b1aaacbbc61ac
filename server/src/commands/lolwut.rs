//! LOLWUT: the moon of the day.

use std::f64::consts::TAU;

use moon_engine::args::Args;
use moon_engine::command::{CommandSpec, Flags, Group, Run};
use moon_engine::error::CmdResult;
use moon_engine::exec::ReadCx;

use super::row;

/// Rows of the group.
pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec {
    summary: "Draws the moon as it is today, and names the version.",
    syntax: "[VERSION version]",
    ..row("lolwut", Group::Server, "5.0.0", -1, Flags::FAST, Run::Read(lolwut))
}];

/// A new moon (6 January 2000, 18:14 UTC) and the days from one to the next.
const NEW_MOON_UNIX: f64 = 947_182_440.0;
const MONTH_DAYS: f64 = 29.530_588_853;

const ROWS: i32 = 13;

/// How much of a lunar month has passed, 0 to 1.
fn phase(unix_secs: f64) -> f64 {
    ((unix_secs - NEW_MOON_UNIX) / 86_400.0 / MONTH_DAYS).rem_euclid(1.0)
}

/// The disc as seen from the northern half of the Earth.
fn draw(phase: f64) -> String {
    let edge = (phase * TAU).cos();
    let radius = f64::from(ROWS) / 2.0;
    let mut text = String::new();
    for row in 0..ROWS {
        let y = (f64::from(row) + 0.5) / radius - 1.0;
        let half = (1.0 - y * y).max(0.0).sqrt();
        let line: String = (0..ROWS * 2)
            .map(|column| {
                // Characters are twice as high as wide.
                let x = (f64::from(column) + 0.5) / (radius * 2.0) - 1.0;
                let lit = if phase < 0.5 { x > edge * half } else { x < -edge * half };
                match () {
                    () if x.abs() > half => ' ',
                    () if lit => '@',
                    () => '.',
                }
            })
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn lolwut(cx: &mut ReadCx<'_>, a: Args<'_>) -> CmdResult {
    if a.len() > 2 && a.is(1, "VERSION") {
        a.int(2)?;
    }
    let mut text = draw(phase(cx.ks.now.unix_ms as f64 / 1000.0));
    text.push_str(&format!("\nMoon ver. {}\n", env!("CARGO_PKG_VERSION")));
    cx.out.verbatim(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases() {
        let lit = |text: &str| text.chars().filter(|c| *c == '@').count();
        assert!(phase(NEW_MOON_UNIX).abs() < 1e-9);
        let (new, half, full) = (draw(0.0), draw(0.25), draw(0.5));
        assert_eq!(lit(&new), 0);
        assert!(lit(&half) > 0 && lit(&full) == 2 * lit(&half));
        assert!(!full.contains('.'));
    }
}
