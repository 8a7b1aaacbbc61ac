//! How far consumers of changes are behind, and what waiting for them costs.

use moon_engine::slots::Slots;
use moon_storage::log::Log;

use super::retain::held_bytes;
use crate::service::host::ServerHost;

/// A slot at one moment.
#[derive(Debug)]
pub(crate) struct SlotFigures {
    pub(crate) name: Box<str>,
    /// Records from its place on that may be shown.
    pub(crate) lag: u64,
    /// Bytes of the log's files from its place on; none once it has been given up.
    pub(crate) held_bytes: u64,
    pub(crate) given_up: bool,
}

/// Consumers at one moment.
#[derive(Debug)]
pub(crate) struct CdcFigures {
    /// Client id and records behind of each connection that changes are pushed to, the farthest first.
    pub(crate) subscribers: Vec<(u64, u64)>,
    /// By name.
    pub(crate) slots: Vec<SlotFigures>,
    /// Events handed to readers, ever.
    pub(crate) events_sent: u64,
}

impl CdcFigures {
    pub(crate) fn of(host: &ServerHost, slots: &Slots) -> CdcFigures {
        let shown = host.log.as_ref().map_or(0, Log::shown_lsn);
        let mut subscribers: Vec<(u64, u64)> = host.followers_behind(shown).collect();
        subscribers.sort_unstable_by_key(|(client, lag)| (std::cmp::Reverse(*lag), *client));
        let segments = match (&host.log, slots.is_empty()) {
            (Some(log), false) => log.segments(),
            _ => Vec::new(),
        };
        let slots = slots.iter().map(|(name, slot)| SlotFigures {
            name: String::from_utf8_lossy(name).into(),
            lag: (shown + 1).saturating_sub(slot.floor_lsn),
            held_bytes: if slot.given_up { 0 } else { held_bytes(&segments, &slot) },
            given_up: slot.given_up,
        });
        CdcFigures { subscribers, slots: slots.collect(), events_sent: host.cdc.sent }
    }
}
