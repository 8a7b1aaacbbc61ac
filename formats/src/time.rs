//! Points in time as people write them: RFC 3339.

use crate::number::parse_u64;

/// `2026-01-31T23:59:59.123456Z` of microseconds since 1970.
pub fn utc(us: i64) -> String {
    let (days, in_day) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000));
    // Days to civil date: H. Hinnant, "chrono-compatible low-level date algorithms".
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (s, frac) = (in_day / 1_000_000, in_day % 1_000_000);
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{frac:06}Z")
}

/// Days from 1970 to a civil date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// The number that `text` holds between `from` and `to`, digits only.
fn part(text: &str, from: usize, to: usize) -> Option<i64> {
    parse_digits(text.get(from..to)?)
}

fn parse_digits(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some(0),
        rest => parse_u64(rest.as_bytes()).and_then(|n| i64::try_from(n).ok()),
    }
}

/// Microseconds since 1970 of `2026-01-31T23:59:59[.fraction](Z|+hh:mm|-hh:mm)`; digits of the
/// fraction beyond the sixth are dropped. `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let at = |i: usize, any: &[u8]| text.as_bytes().get(i).is_some_and(|b| any.contains(b));
    let marks = at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":");
    if !marks || !text.is_ascii() {
        return None;
    }
    let (year, month, day) = (part(text, 0, 4)?, part(text, 5, 7)?, part(text, 8, 10)?);
    let (h, m, s) = (part(text, 11, 13)?, part(text, 14, 16)?, part(text, 17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let long = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=long).contains(&day) || h > 23 || m > 59 || s > 59 {
        return None;
    }
    let rest = text.get(19..)?;
    let (frac, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
            let (digits, zone) = rest.split_at(end);
            (parse_digits(format!("{digits:0<6}").get(..6)?)?, zone)
        }
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ if zone.len() == 6 && zone.as_bytes().get(3) == Some(&b':') => {
            let (zh, zm) = (part(zone, 1, 3)?, part(zone, 4, 6)?);
            if zh > 23 || zm > 59 {
                return None;
            }
            match zone.as_bytes().first() {
                Some(b'+') => zh * 60 + zm,
                Some(b'-') => -(zh * 60 + zm),
                _ => return None,
            }
        }
        _ => return None,
    };
    let secs = days(year, month, day) * 86_400 + h * 3600 + m * 60 + s - offset * 60;
    Some(secs * 1_000_000 + frac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil_and_come_back() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_767_225_599_123_456, "2025-12-31T23:59:59.123456Z"),
        ] {
            assert_eq!(utc(us), text);
            assert_eq!(parse_rfc3339(text), Some(us));
        }
        assert_eq!(parse_rfc3339("2026-01-01T01:00:00+01:00"), Some(1_767_225_600_000_000));
        assert_eq!(parse_rfc3339("2025-12-31T23:30:00.5-00:30"), Some(1_767_225_600_500_000));
        assert_eq!(parse_rfc3339("2026-01-01 00:00:00.1234567z"), Some(1_767_225_600_123_456));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.5",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Z ",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
