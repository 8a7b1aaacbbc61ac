//! Shrinks a failing sequence: drops parts for as long as something still differs.

use super::run::Failure;
use super::{Kind, Op};
use std::time::{Duration, Instant};

/// Shrinks `ops`, which `first` says differ. `replay` runs a sequence from an empty state and answers
/// with the difference it finds. Ends after `patience` with the best so far.
pub fn shrink(
    ops: &[Op],
    first: Failure,
    patience: Duration,
    replay: &mut dyn FnMut(&[Op]) -> Option<Failure>,
) -> (Vec<Op>, Failure) {
    let end = Instant::now() + patience;
    let mut best = (ops[..=first.op.min(ops.len() - 1)].to_vec(), first);
    // A difference that a lone state comparison finds sooner ends the sequence sooner.
    for single in [false, true] {
        if single {
            best.0 = flattened(&best.0);
        }
        let mut size = best.0.len().div_ceil(2);
        while size > 0 && Instant::now() < end {
            let mut from = 0;
            let mut dropped = false;
            while from < best.0.len() && Instant::now() < end {
                let to = (from + size).min(best.0.len());
                let candidate = [&best.0[..from], &best.0[to..]].concat();
                match replay(&candidate) {
                    Some(failure) if !candidate.is_empty() => {
                        let keep = failure.op.min(candidate.len() - 1);
                        best = (candidate[..=keep].to_vec(), failure);
                        dropped = true;
                    }
                    _ => from = to,
                }
            }
            size = if size == 1 && dropped { 1 } else { size / 2 };
        }
    }
    best
}

/// One op per command, so that parts of a transaction can go too.
fn flattened(ops: &[Op]) -> Vec<Op> {
    ops.iter()
        .flat_map(|op| match op.kind {
            Kind::Pipe => op.commands.iter().map(|c| Op::pipe(vec![c.clone()])).collect(),
            _ => vec![op.clone()],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd;

    #[test]
    fn only_what_is_needed_stays() {
        let ops: Vec<Op> = (0..500).map(|n| Op::pipe(vec![cmd!["A", n], cmd!["B", n]])).collect();
        // Differs as soon as `B 17` has been followed by `A 400`.
        let mut replay = |ops: &[Op]| {
            let mut armed = false;
            for (at, op) in ops.iter().enumerate() {
                for command in &op.commands {
                    armed |= *command == cmd!["B", 17];
                    if armed && *command == cmd!["A", 400] {
                        return Some(Failure {
                            op: at,
                            command: command.clone(),
                            replies: None,
                            why: String::new(),
                        });
                    }
                }
            }
            None
        };
        let first = replay(&ops).unwrap();
        let (small, _) = shrink(&ops, first, Duration::from_secs(10), &mut replay);
        let commands: Vec<_> = small.iter().flat_map(|op| op.commands.clone()).collect();
        assert_eq!(commands, [cmd!["B", 17], cmd!["A", 400]]);
    }
}
