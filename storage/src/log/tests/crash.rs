//! Power loss and kill at every stop point, with every image.

use super::rig::*;
use crate::io::sim::Image;
use crate::log::Policy;

/// Small and large records, several to a turn, pauses below and above a sync.
fn script(turns: usize) -> Vec<Step> {
    let mut script = Vec::new();
    for i in 0..turns {
        for k in 0..1 + i % 3 {
            script.push(Step::Append([7, 900, 5000, 60][(i + k) % 4]));
        }
        script.push(Step::Flush);
        script.push(Step::Sleep([10, 40, 400][i % 3]));
    }
    script
}

#[test]
fn always_keeps_every_ack() {
    let run = Run::fresh(11, config(Policy::Always), &script(30), 1000);
    let checked = check_all(&run, &Image::ALL, 1);
    assert!(checked > 1000, "{checked}");
}

#[test]
fn everysec_loses_a_short_suffix() {
    let mut steps = script(25);
    steps.push(Step::Sleep(1_100_000));
    steps.extend(script(25));
    let run = Run::fresh(12, config(Policy::EverySec), &steps, 1_200_000);
    let checked = check_all(&run, &Image::ALL, 1);
    assert!(checked > 1000, "{checked}");
}

#[test]
fn no_loses_a_bounded_suffix() {
    let mut steps = script(25);
    steps.push(Step::Sleep(16_000_000));
    steps.extend(script(15));
    let run = Run::fresh(13, config(Policy::No), &steps, 1_200_000);
    check_all(&run, &Image::ALL, 1);
}

#[test]
fn rotation_and_recycling_with_stale_bytes() {
    for policy in [Policy::Always, Policy::EverySec] {
        let mut steps = Vec::new();
        for _ in 0..5 {
            steps.extend(script(14));
            steps.extend([Step::Sync, Step::Base, Step::Sleep(3000)]);
        }
        let run = Run::fresh(14, config(policy), &steps, 1000);
        check_all(&run, &Image::ALL, 3);
    }
}

#[test]
fn a_clean_shutdown_is_whole_or_a_crash() {
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        let mut steps = script(5);
        steps.push(Step::Shutdown);
        let run = Run::fresh(15, config(policy), &steps, 0);
        check_all(&run, &Image::ALL, 1);
    }
}

#[test]
fn changing_the_policy_keeps_the_stronger_promise() {
    let mut steps = script(6);
    steps.push(Step::Policy(Policy::Always));
    steps.extend(script(6));
    steps.push(Step::Policy(Policy::EverySec));
    steps.extend(script(6));
    let mut run = Run::fresh(16, config(Policy::EverySec), &steps, 1_200_000);
    run.cfg.policy = Policy::EverySec;
    check_all(&run, &Image::ALL, 1);
}

/// A crash while recovering from a crash, again and again: the records stay the same.
#[test]
fn a_crash_during_recovery_changes_nothing() {
    for policy in [Policy::Always, Policy::EverySec] {
        let run = Run::fresh(17, config(policy), &script(8), 300);
        for stop in (0..run.disk.stop_count()).step_by(9) {
            for image in [Image::Subset, Image::None, Image::All] {
                let first = run.on(run.disk.power_loss_at(stop, image, 3).expect("a stop"));
                let (end, seen) = first.recover(0).expect("recovers");
                let last = run.check_prefix(0, &seen).expect("a prefix");
                drop(first.open(&end));
                first.disk.runtime().run_for(2000);
                for inner in 0..first.disk.stop_count() {
                    for crash in
                        [Crash::Power(Image::Subset), Crash::Power(Image::MetaFirst), Crash::Kill]
                    {
                        let disk = match crash {
                            Crash::Power(i) => first.disk.power_loss_at(inner, i, 5),
                            Crash::Kill => first.disk.kill_at(inner, 5),
                        };
                        let second = first.on(disk.expect("a stop"));
                        let (_, again) = second.recover(0).unwrap_or_else(|e| {
                            panic!("stop {stop} {image:?}, then {inner} {crash:?}: {e}")
                        });
                        assert_eq!(again, seen, "stop {stop} {image:?}, then {inner} {crash:?}");
                        assert_eq!(run.check_prefix(0, &again), Ok(last));
                    }
                }
            }
        }
    }
}

#[test]
fn power_lost_after_a_clean_shutdown_is_no_crash() {
    for policy in [Policy::Always, Policy::EverySec, Policy::No] {
        let run =
            Run::fresh(3, config(policy), &[Step::Append(40), Step::Flush, Step::Shutdown], 0);
        let after = run.on(run.disk.power_loss(Image::None, 1));
        let (end, _) = after.recover(0).expect("recovers");
        assert!(end.clean, "{policy:?}");
    }
}

#[test]
fn power_lost_after_the_start_that_follows_a_kill() {
    let script: Vec<Step> = (0..60)
        .flat_map(|i| [Step::Append(3000), Step::Flush, Step::Sleep(1 + i % 7 * 300_000)])
        .collect();
    let run = Run::fresh(4, config(Policy::EverySec), &script, 0);
    for stop in 0..run.disk.stop_count() {
        let Some(disk) = run.disk.kill_at(stop, 9) else { continue };
        let killed = run.on(disk);
        let (end, seen) = killed.recover(0).expect("recovers");
        let log = killed.open(&end);
        let cold = run.on(killed.disk.power_loss(Image::None, 9));
        let (_, again) = cold.recover(0).unwrap_or_else(|e| panic!("stop {stop}: {e}"));
        assert_eq!(again, seen, "stop {stop}");
        killed.close(&log);
    }
}
