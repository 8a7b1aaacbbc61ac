//! What the server reads of an X.509 certificate (RFC 5280): serial number, end of validity, the
//! common name of the subject, URIs. Whether the certificate is to be trusted is decided elsewhere;
//! nothing here checks a signature.
//!
//! | field of `tbsCertificate` | DER | read |
//! |---|---|---|
//! | version | `[0]` INTEGER | skipped |
//! | serialNumber | INTEGER | [`Certificate::serial`] |
//! | signature, issuer | SEQUENCE | skipped |
//! | validity | SEQUENCE of two times | the second: [`Certificate::expires_unix`] |
//! | subject | SEQUENCE of SET of (OID, string) | 2.5.4.3: [`Certificate::common_name`] |
//! | subjectPublicKeyInfo, unique ids | | skipped |
//! | extensions | `[3]` SEQUENCE of (OID, BOOLEAN?, OCTET STRING) | 2.5.29.17: [`Certificate::uri`] |
//!
//! Invariant: a name that is empty, given more than once, not UTF-8 text or carries a zero byte is no
//! name: whoever maps names to rights never sees it.

use crate::bytes::Reader;
use crate::error::{Cause, DecodeError};

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `uniformResourceIdentifier` of a GeneralName.
const URI: u8 = 0x86;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Why a certificate has no name to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoName {
    /// There is none.
    Missing,
    /// There are several.
    Several,
    /// It is empty, no text, or carries a zero byte.
    Unusable,
}

/// What was read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The serial number, most significant byte first.
    pub serial: &'a [u8],
    /// Seconds since 1970 at which its validity ends.
    pub expires_unix: i64,
    /// The one common name of the subject.
    pub common_name: Result<&'a str, NoName>,
    /// The one URI among the subject's alternative names.
    pub uri: Result<&'a str, NoName>,
}

/// Reads a certificate in DER.
///
/// # Errors
/// It is no DER, or no certificate.
pub fn decode(der: &[u8]) -> Result<Certificate<'_>, DecodeError> {
    let mut outer = Reader::new(der, 0);
    let mut certificate = expect(&mut outer, SEQUENCE, "certificate")?;
    let mut tbs = expect(&mut certificate, SEQUENCE, "tbsCertificate")?;
    let (mut tag, mut value) = element(&mut tbs, "serialNumber")?;
    if tag == VERSION {
        (tag, value) = element(&mut tbs, "serialNumber")?;
    }
    if tag != INTEGER {
        return Err(unexpected(&tbs, "serialNumber", tag));
    }
    let serial = rest(&mut value);
    expect(&mut tbs, SEQUENCE, "signature")?;
    expect(&mut tbs, SEQUENCE, "issuer")?;
    let mut validity = expect(&mut tbs, SEQUENCE, "validity")?;
    element(&mut validity, "notBefore")?;
    let expires_unix = time(&mut validity)?;
    let mut subject = expect(&mut tbs, SEQUENCE, "subject")?;
    let common_name = common_name(&mut subject)?;
    expect(&mut tbs, SEQUENCE, "subjectPublicKeyInfo")?;
    let mut uri = Err(NoName::Missing);
    while !tbs.is_empty() {
        let (tag, mut value) = element(&mut tbs, "extensions")?;
        if tag == EXTENSIONS {
            uri = alternative_uri(&mut expect(&mut value, SEQUENCE, "extensions")?)?;
        }
    }
    Ok(Certificate { serial, expires_unix, common_name, uri })
}

/// The next element: its tag and what it holds.
fn element<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
) -> Result<(u8, Reader<'a>), DecodeError> {
    let tag = reader.u8(what)?;
    let first = reader.u8(what)?;
    let len = match first {
        0..=0x7f => usize::from(first),
        // Longer than any certificate that is sent: a TLS message holds 2^24 bytes.
        0x81..=0x83 => {
            let mut len = 0;
            for _ in 0..first & 0x7f {
                len = len << 8 | usize::from(reader.u8(what)?);
            }
            len
        }
        _ => {
            let expected = "a length in definite form";
            return Err(reader.error(what, Cause::Value { expected, found: first.into() }));
        }
    };
    let base = reader.offset();
    Ok((tag, Reader::new(reader.bytes(len, what)?, base)))
}

fn expect<'a>(
    reader: &mut Reader<'a>,
    tag: u8,
    what: &'static str,
) -> Result<Reader<'a>, DecodeError> {
    let (found, value) = element(reader, what)?;
    if found == tag { Ok(value) } else { Err(unexpected(reader, what, found)) }
}

fn unexpected(reader: &Reader<'_>, what: &'static str, tag: u8) -> DecodeError {
    reader.error(what, Cause::Value { expected: "the tag of this field", found: tag.into() })
}

fn rest<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    reader.bytes(reader.remaining(), "value").unwrap_or_default()
}

/// Notes one more value of something that must be there once.
fn note<'a>(so_far: &mut Result<&'a str, NoName>, tag: u8, bytes: &'a [u8]) {
    let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING | URI);
    let text = std::str::from_utf8(bytes).ok();
    *so_far = match so_far {
        Err(NoName::Missing) => match text {
            Some(text) if is_text && !text.is_empty() && !text.contains('\0') => Ok(text),
            _ => Err(NoName::Unusable),
        },
        _ => Err(NoName::Several),
    };
}

fn common_name<'a>(subject: &mut Reader<'a>) -> Result<Result<&'a str, NoName>, DecodeError> {
    let mut found = Err(NoName::Missing);
    while !subject.is_empty() {
        let mut set = expect(subject, SET, "subject")?;
        while !set.is_empty() {
            let mut pair = expect(&mut set, SEQUENCE, "subject")?;
            let mut kind = expect(&mut pair, OID, "subject")?;
            let (tag, mut value) = element(&mut pair, "subject")?;
            if rest(&mut kind) == COMMON_NAME {
                note(&mut found, tag, rest(&mut value));
            }
        }
    }
    Ok(found)
}

fn alternative_uri<'a>(
    extensions: &mut Reader<'a>,
) -> Result<Result<&'a str, NoName>, DecodeError> {
    let mut found = Err(NoName::Missing);
    while !extensions.is_empty() {
        let mut extension = expect(extensions, SEQUENCE, "extension")?;
        let mut kind = expect(&mut extension, OID, "extension")?;
        if rest(&mut kind) != SUBJECT_ALT_NAME {
            continue;
        }
        let (mut tag, mut value) = element(&mut extension, "subjectAltName")?;
        if tag != OCTET_STRING {
            // The mark of a critical extension.
            (tag, value) = element(&mut extension, "subjectAltName")?;
        }
        if tag != OCTET_STRING {
            return Err(unexpected(&extension, "subjectAltName", tag));
        }
        let mut names = expect(&mut value, SEQUENCE, "subjectAltName")?;
        while !names.is_empty() {
            let (tag, mut name) = element(&mut names, "subjectAltName")?;
            if tag == URI {
                note(&mut found, tag, rest(&mut name));
            }
        }
    }
    Ok(found)
}

/// A UTCTime (`YYMMDDhhmmssZ`, years 1950 to 2049) or GeneralizedTime (`YYYYMMDDhhmmssZ`).
fn time(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    let what = "notAfter";
    let (tag, mut value) = element(reader, what)?;
    let bad = |expected| reader.error(what, Cause::Value { expected, found: tag.into() });
    let text = rest(&mut value);
    let digits = match text.split_last() {
        Some((b'Z', digits)) if digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return Err(bad("digits and a Z")),
    };
    let number = |part: &[u8]| part.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = digits.split_at(2);
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return Err(bad("a time to the second")),
    };
    let mut parts = rest.chunks(2).map(number);
    let mut next = || parts.next().unwrap_or_default();
    let (month, day) = (next(), next());
    let (hour, minute, second) = (next(), next(), next());
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(bad("a day of the calendar"));
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err(bad("a time of the day"));
    }
    Ok(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. The year is counted from March on, so
/// that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element with a length below 65536.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let len = u16::try_from(body.len()).unwrap();
        let mut out = vec![tag];
        match len {
            0..=0x7f => out.push(len as u8),
            0x80..=0xff => out.extend([0x81, len as u8]),
            _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        out.extend(body);
        out
    }

    fn name(values: &[(u8, &[u8])]) -> Vec<u8> {
        let one = |(tag, value): &(u8, &[u8])| {
            let pair = der(SEQUENCE, &[&der(OID, &[COMMON_NAME]), &der(*tag, &[value])]);
            der(SET, &[&pair])
        };
        let other = der(SEQUENCE, &[&der(OID, &[&[0x55, 4, 10]]), &der(UTF8_STRING, &[b"org"])]);
        let mut sets: Vec<Vec<u8>> = values.iter().map(one).collect();
        sets.push(der(SET, &[&other]));
        let parts: Vec<&[u8]> = sets.iter().map(Vec::as_slice).collect();
        der(SEQUENCE, &parts)
    }

    fn certificate(names: &[(u8, &[u8])], expiry: (u8, &[u8]), uris: &[&[u8]]) -> Vec<u8> {
        let uris: Vec<Vec<u8>> = uris.iter().map(|u| der(URI, &[u])).collect();
        let dns = der(0x82, &[b"host"]);
        let general: Vec<&[u8]> = uris.iter().map(Vec::as_slice).chain([dns.as_slice()]).collect();
        let alternative = der(OCTET_STRING, &[&der(SEQUENCE, &general)]);
        let critical = der(0x01, &[&[0xff]]);
        let san = der(SEQUENCE, &[&der(OID, &[SUBJECT_ALT_NAME]), &critical, &alternative]);
        let usage =
            der(SEQUENCE, &[&der(OID, &[&[0x55, 0x1d, 0x0f]]), &der(OCTET_STRING, &[b"x"])]);
        let tbs = der(
            SEQUENCE,
            &[
                &der(VERSION, &[&der(INTEGER, &[&[2]])]),
                &der(INTEGER, &[&[0x12, 0x34]]),
                &der(SEQUENCE, &[]),
                &name(&[(UTF8_STRING, b"issuer")]),
                &der(SEQUENCE, &[&der(UTC_TIME, &[b"200101000000Z"]), &der(expiry.0, &[expiry.1])]),
                &name(names),
                &der(SEQUENCE, &[&[0; 300]]),
                &der(EXTENSIONS, &[&der(SEQUENCE, &[&usage, &san])]),
            ],
        );
        der(SEQUENCE, &[&tbs, &der(SEQUENCE, &[]), &der(0x03, &[&[0]])])
    }

    const EXPIRY: (u8, &[u8]) = (UTC_TIME, b"300101000000Z");

    #[test]
    fn fields_are_found() {
        let bytes = certificate(&[(UTF8_STRING, b"alice")], EXPIRY, &[b"urn:a"]);
        let read = decode(&bytes).unwrap();
        assert_eq!(read.serial, [0x12, 0x34]);
        assert_eq!(read.expires_unix, 1_893_456_000);
        assert_eq!(read.common_name, Ok("alice"));
        assert_eq!(read.uri, Ok("urn:a"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (time, expected) in [
            ((UTC_TIME, b"700101000000Z".as_slice()), 0),
            ((UTC_TIME, b"491231235959Z"), 2_524_607_999),
            ((UTC_TIME, b"000229120000Z"), 951_825_600),
            ((GENERALIZED_TIME, b"20240301000000Z"), 1_709_251_200),
            ((GENERALIZED_TIME, b"99991231235959Z"), 253_402_300_799),
        ] {
            let bytes = certificate(&[], time, &[]);
            assert_eq!(decode(&bytes).unwrap().expires_unix, expected, "{time:?}");
        }
        for time in
            [b"701301000000Z".as_slice(), b"700132000000Z", b"7001010000Z", b"7001010000000"]
        {
            assert!(decode(&certificate(&[], (UTC_TIME, time), &[])).is_err());
        }
    }

    #[test]
    fn a_name_is_one_plain_text_or_none() {
        let cn = |names: &[(u8, &[u8])]| {
            let bytes = certificate(names, EXPIRY, &[]);
            decode(&bytes).unwrap().common_name.map(str::to_string)
        };
        assert_eq!(cn(&[(PRINTABLE_STRING, b"bob")]), Ok("bob".to_string()));
        assert_eq!(cn(&[]), Err(NoName::Missing));
        assert_eq!(cn(&[(UTF8_STRING, b"")]), Err(NoName::Unusable));
        assert_eq!(cn(&[(UTF8_STRING, b"admin\0.example")]), Err(NoName::Unusable));
        assert_eq!(cn(&[(UTF8_STRING, b"\xff")]), Err(NoName::Unusable));
        // BMPString: two bytes a letter.
        assert_eq!(cn(&[(0x1e, b"\0a")]), Err(NoName::Unusable));
        assert_eq!(cn(&[(0x1e, b"ab")]), Err(NoName::Unusable));
        let two: [(u8, &[u8]); 2] = [(UTF8_STRING, b"alice"), (UTF8_STRING, b"alice")];
        assert_eq!(cn(&two), Err(NoName::Several));
        assert_eq!(cn(&[(UTF8_STRING, b""), (UTF8_STRING, b"alice")]), Err(NoName::Several));
        let uri = |uris: &[&[u8]]| {
            let bytes = certificate(&[], EXPIRY, uris);
            decode(&bytes).unwrap().uri.map(str::to_string)
        };
        assert_eq!(uri(&[]), Err(NoName::Missing));
        assert_eq!(uri(&[b"urn:a", b"urn:b"]), Err(NoName::Several));
        assert_eq!(uri(&[b"urn:a\0"]), Err(NoName::Unusable));
    }

    #[test]
    fn truncated_and_mutated_certificates_end_in_a_value_or_an_error() {
        let bytes = certificate(&[(UTF8_STRING, b"alice")], EXPIRY, &[b"urn:a"]);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x30, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut mutated = bytes.clone();
                mutated[at] = value;
                let _ = decode(&mutated);
            }
        }
    }
}
