//! The recovery target of a start, out of its options (durability.md §12).
//!
//! Invariant: at most one target, and nothing that would be left unheeded.

use moon_engine::points;
use moon_formats::number::parse_u64;
use moon_formats::time::parse_rfc3339;
use moon_storage::recovery::{PointTarget, TimePolicy};

use super::{Config, OptionId};

/// What follows a recovery to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server goes on from there, on a new timeline.
    Fork,
    /// It shows what was, and writes nothing.
    Inspect,
}

/// A recovery to a point in time that the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// To which point.
    pub(crate) target: PointTarget,
    /// Which one if several fit.
    pub(crate) policy: TimePolicy,
    /// What follows.
    pub(crate) mode: Mode,
    /// It is only said what would.
    pub(crate) dry_run: bool,
}

impl Wanted {
    /// Whether the data directory is not written to.
    pub(crate) fn only_looks(&self) -> bool {
        self.dry_run || self.mode == Mode::Inspect
    }
}

/// The shards that there are: one.
const SHARD: u64 = 0;

const TARGETS: [OptionId; 4] = [
    OptionId::RecoveryTargetLsn,
    OptionId::RecoveryTargetTime,
    OptionId::RecoveryTargetName,
    OptionId::RecoveryTargetGtid,
];

/// What the options ask for; `None` for a start as usual.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn wanted(config: &Config) -> Result<Option<Wanted>, Vec<String>> {
    let mut errors = Vec::new();
    let given: Vec<OptionId> = TARGETS.into_iter().filter(|id| config.is_set(*id)).collect();
    if given.len() > 1 {
        let names: Vec<&str> = given.iter().map(|id| id.opt().name).collect();
        errors.push(format!("{}: give one recovery target", names.join(", ")));
    }
    let mut target = None;
    for id in &given {
        match parse(*id, config.text(*id)) {
            Ok(found) => target = Some(found),
            Err(why) => errors.push(format!("{} '{}': {why}", id.opt().name, config.text(*id))),
        }
    }
    let mode = match config.text(OptionId::RecoveryMode) {
        "inspect" => Mode::Inspect,
        _ => Mode::Fork,
    };
    let policy = match config.text(OptionId::RecoveryTimePolicy) {
        "first" => TimePolicy::First,
        "last" => TimePolicy::Last,
        _ => TimePolicy::Refuse,
    };
    let dry_run = config.bool(OptionId::RecoveryDryRun);
    if given.is_empty() {
        let alone = [OptionId::RecoveryMode, OptionId::RecoveryDryRun];
        let alone = alone.iter().find(|id| config.is_set(**id) && mode == Mode::Fork);
        if let Some(id) = alone {
            errors.push(format!("{}: there is no recovery target", id.opt().name));
        }
    }
    let several = [OptionId::RecoveryTargetTime, OptionId::RecoveryTargetName];
    if policy != TimePolicy::Refuse && !given.iter().any(|id| several.contains(id)) {
        errors.push("recovery-time-policy: there is no target time or name".into());
    }
    let asks = !given.is_empty() || mode == Mode::Inspect;
    if asks && !config.bool(OptionId::AppendOnly) {
        errors.push("a recovery target needs appendonly yes: what was is in the log".into());
    }
    if asks && !config.words(OptionId::ReplicaOf).is_empty() {
        errors.push(
            "a recovery target is of no use with replicaof: the data would be replaced by those of \
             the followed server"
                .into(),
        );
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let target = target.unwrap_or(PointTarget::End);
    Ok(asks.then_some(Wanted { target, policy, mode, dry_run }))
}

/// Reads the value of one of [`TARGETS`].
fn parse(id: OptionId, text: &str) -> Result<PointTarget, &'static str> {
    match id {
        OptionId::RecoveryTargetLsn => {
            let (shard, lsn) = text.split_once(':').unwrap_or(("0", text));
            match (parse_u64(shard.as_bytes()), parse_u64(lsn.as_bytes())) {
                (Some(SHARD), Some(lsn)) => Ok(PointTarget::Lsn(lsn)),
                (Some(_), Some(_)) => Err("there is one shard, 0"),
                _ => Err("an LSN, or 0:LSN with the number of the shard"),
            }
        }
        OptionId::RecoveryTargetTime => parse_rfc3339(text)
            .map(PointTarget::Time)
            .ok_or("a time as 2026-01-31T23:59:59Z or 2026-01-31T23:59:59.5+01:00 (RFC 3339)"),
        OptionId::RecoveryTargetName if points::is_name(text.as_bytes()) => {
            Ok(PointTarget::Name(text.as_bytes().to_vec()))
        }
        OptionId::RecoveryTargetName => Err("no name that a restore point can have"),
        _ => {
            parse_u64(text.as_bytes()).map(PointTarget::Gtid).ok_or("the number of a restore point")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_args;

    fn of(line: &str) -> Result<Option<Wanted>, Vec<String>> {
        let args: Vec<String> = line.split_ascii_whitespace().map(str::to_string).collect();
        wanted(&parse_args(&args).unwrap_or_else(|e| panic!("{line}: {e:?}")).1)
    }

    fn target(line: &str) -> PointTarget {
        let found = of(line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
        let found = found.unwrap_or_else(|| panic!("{line}: no target"));
        assert_eq!(
            (found.policy, found.mode, found.dry_run),
            (TimePolicy::Refuse, Mode::Fork, false)
        );
        found.target
    }

    #[test]
    fn one_target_in_each_form() {
        assert_eq!(of(""), Ok(None));
        assert_eq!(target("--recovery-target-lsn 77"), PointTarget::Lsn(77));
        assert_eq!(target("--recovery-target-lsn=0:77"), PointTarget::Lsn(77));
        let time = "--recovery-target-time 2026-01-01T01:00:00.5+01:00";
        assert_eq!(target(time), PointTarget::Time(1_767_225_600_500_000));
        assert_eq!(target("--recovery-target-name a.b"), PointTarget::Name(b"a.b".to_vec()));
        assert_eq!(target("--recovery-target-gtid 3"), PointTarget::Gtid(3));
        let all = "--recovery-target-name a --recovery-mode inspect --recovery-time-policy last \
                   --recovery-dry-run";
        let all = of(all).expect("fits").expect("a target");
        assert_eq!((all.policy, all.mode, all.dry_run), (TimePolicy::Last, Mode::Inspect, true));
        assert!(all.only_looks());
        let end = of("--recovery-mode inspect").expect("fits").expect("a target");
        assert_eq!((end.target, end.mode), (PointTarget::End, Mode::Inspect));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (line, why) in [
            ("--recovery-target-lsn x", "an LSN, or 0:LSN"),
            ("--recovery-target-lsn 0:1,1:2", "an LSN, or 0:LSN"),
            ("--recovery-target-lsn 1:7", "there is one shard"),
            ("--recovery-target-lsn -1", "an LSN, or 0:LSN"),
            ("--recovery-target-time yesterday", "RFC 3339"),
            ("--recovery-target-time 2026-01-01T00:00:00", "RFC 3339"),
            ("--recovery-target-name a/b", "no name"),
            ("--recovery-target-gtid a", "the number"),
            ("--recovery-target-lsn 1 --recovery-target-gtid 1", "give one recovery target"),
            ("--recovery-mode fork", "there is no recovery target"),
            ("--recovery-dry-run", "there is no recovery target"),
            ("--recovery-time-policy last", "no target time or name"),
            ("--recovery-time-policy last --recovery-target-lsn 1", "no target time or name"),
            ("--appendonly no --recovery-target-lsn 1", "needs appendonly yes"),
            ("--appendonly no --recovery-mode inspect", "needs appendonly yes"),
            ("--replicaof h 1 --recovery-target-lsn 1", "of no use with replicaof"),
        ] {
            let errors = of(line).expect_err(line);
            assert!(errors.iter().any(|e| e.contains(why)), "{line}: {errors:?}");
        }
    }
}
