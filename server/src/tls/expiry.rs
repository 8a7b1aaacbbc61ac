//! Warns in time of certificates that end.

use super::{Facts, Tls};

/// Days before the end from which on the log warns, once a day.
const WARN_DAYS: i64 = 30;
const DAY_SECS: i64 = 86_400;

/// Looks at what is in force from time to time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// When it warned last, and of what.
    warned: Option<(i64, i64)>,
}

impl Watch {
    /// Writes a line if a certificate ends within 30 days, at most one a day for each set of
    /// certificates.
    pub(crate) fn look(&mut self, tls: &Tls, now_unix: i64) {
        for line in self.lines(tls, now_unix) {
            tracing::warn!("{line}");
        }
    }

    pub(super) fn lines(&mut self, tls: &Tls, now_unix: i64) -> Vec<String> {
        let authority = tls.authority.as_ref();
        let first =
            authority.map_or(tls.own.expires_unix, |a| a.expires_unix.min(tls.own.expires_unix));
        let known = self.warned.is_some_and(|(at, of)| of == first && now_unix < at + DAY_SECS);
        if known || days_left(first, now_unix) >= WARN_DAYS {
            return Vec::new();
        }
        self.warned = Some((now_unix, first));
        let line = |what: &str, option: &str, facts: &Facts| {
            let days = days_left(facts.expires_unix, now_unix);
            let when = match days {
                ..0 => "has expired".to_string(),
                days => format!("expires in {days} days"),
            };
            let serial = &facts.serial;
            (days < WARN_DAYS).then(|| {
                format!("{what} (serial {serial}) {when}; replace {option} and send SIGHUP")
            })
        };
        let own = line("the TLS certificate", "tls-cert-file and tls-key-file", &tls.own);
        let theirs = authority.and_then(|a| line("an authority of clients", "tls-ca-cert-file", a));
        own.into_iter().chain(theirs).collect()
    }
}

/// Whole days until a time; negative behind it.
pub(crate) fn days_left(expires_unix: i64, now_unix: i64) -> i64 {
    (expires_unix - now_unix).div_euclid(DAY_SECS)
}
