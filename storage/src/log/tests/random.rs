//! Random scripts, faults and crashes against the same promises.

use proptest::prelude::*;

use super::rig::*;
use crate::io::sim::{Fault, FaultKind, Image};
use crate::log::Policy;
use crate::recovery::RecoveredEnd;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..6000).prop_map(Step::Append),
        1 => (60_000usize..140_000).prop_map(Step::Append),
        6 => Just(Step::Flush),
        4 => (1u64..2000).prop_map(Step::Sleep),
        1 => (500_000u64..1_500_000).prop_map(Step::Sleep),
        1 => Just(Step::Base),
        1 => Just(Step::Sync),
    ]
}

fn fault() -> impl Strategy<Value = Option<FaultKind>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(FaultKind::SyncEioOnce)),
        1 => Just(Some(FaultKind::WriteEioOnce)),
        1 => Just(Some(FaultKind::WriteShort)),
        1 => Just(Some(FaultKind::EnospcThenFree { after_us: 400_000 })),
        1 => Just(Some(FaultKind::RenameEio)),
        1 => Just(Some(FaultKind::SlowSync { us: 700_000 })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold(
        steps in proptest::collection::vec(step(), 1..80),
        policy in prop_oneof![Just(Policy::Always), Just(Policy::EverySec), Just(Policy::No)],
        fault in fault(),
        at_op in 0u64..120,
        stops in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..8, any::<u64>()), 12),
    ) {
        let run = Run::new(sim(41), config(policy));
        let log = run.open(&RecoveredEnd::fresh(1));
        if let Some(kind) = fault {
            run.disk.inject(Fault::new(kind).at_op(run.disk.op_count() + at_op));
        }
        run.drive(&log, &steps);
        run.drive(&log, &[Step::Flush]);
        run.disk.runtime().run_for(35_000_000);
        prop_assert_eq!(run.disk.violations(), vec![]);
        prop_assert_eq!(log.durable_lsn(), log.last_lsn());
        for (stop, image, seed) in stops {
            let stop = stop.index(run.disk.stop_count());
            for crash in [Crash::Power(Image::ALL[image]), Crash::Kill] {
                if let Err(e) = check_stop(&run, stop, crash, seed) {
                    return Err(TestCaseError::fail(format!("stop {stop} {crash:?}: {e}")));
                }
            }
        }
    }
}

/// Found by `promises_hold`: a sync fails while segments below a base are being given up.
#[test]
fn a_failed_sync_while_old_segments_go() {
    use Step::{Append, Base, Flush, Sleep, Sync};
    let steps = [
        Append(0),
        Flush,
        Flush,
        Append(0),
        Sync,
        Append(0),
        Flush,
        Append(0),
        Sleep(443),
        Append(0),
        Append(60000),
        Append(0),
        Append(0),
        Sleep(1961),
        Base,
        Sleep(1407),
        Base,
        Append(114_186),
    ];
    let run = Run::new(sim(41), config(Policy::Always));
    let log = run.open(&RecoveredEnd::fresh(1));
    run.disk.inject(Fault::new(FaultKind::SyncEioOnce).at_op(run.disk.op_count() + 33));
    run.drive(&log, &steps);
    run.drive(&log, &[Flush]);
    run.disk.runtime().run_for(35_000_000);
    for stop in 0..run.disk.stop_count() {
        if let Err(e) = check_stop(&run, stop, Crash::Power(Image::Prefix), 1) {
            panic!("stop {stop}: {e}");
        }
    }
}
