//! Versions and cipher suites by the names that OpenSSL, and so the options of Redis, have for them.

use rustls::crypto::ring::cipher_suite as suite;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::TlsError;
use crate::config::{Config, OptionId};

/// `tls-ciphersuites`: those of TLS 1.3.
const SUITES_13: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// `tls-ciphers`: those of TLS 1.2. All have forward secrecy and authenticate what they encrypt.
const SUITES_12: &[(&str, SupportedCipherSuite)] = &[
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Words of OpenSSL's cipher lists that stand for everything there is here.
const EVERYTHING: &[&str] = &["DEFAULT", "ALL", "HIGH", "ECDHE", "EECDH", "AESGCM"];

/// `tls-protocols`: the versions named, or both.
pub(super) fn versions(text: &str) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut found = Vec::new();
    for word in text.split_ascii_whitespace() {
        let version = match word.to_ascii_lowercase().as_str() {
            "tlsv1.2" => &version::TLS12,
            "tlsv1.3" => &version::TLS13,
            _ => {
                return Err(TlsError::Value(
                    "tls-protocols",
                    format!("{word} is not possible; TLSv1.2 and TLSv1.3 are"),
                ));
            }
        };
        if !found.contains(&version) {
            found.push(version);
        }
    }
    if found.is_empty() {
        found.extend([&version::TLS13, &version::TLS12]);
    }
    Ok(found)
}

/// `tls-ciphersuites` and `tls-ciphers`, in the order given.
pub(super) fn suites(config: &Config) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let new = pick("tls-ciphersuites", config.text(OptionId::TlsCipherSuites), SUITES_13)?;
    let old = pick("tls-ciphers", config.text(OptionId::TlsCiphers), SUITES_12)?;
    Ok(new.into_iter().chain(old).collect())
}

/// The suites that a list names, in its order. As with OpenSSL, names that are not known are passed
/// over as long as one is known; `!NAME` and `-NAME` take out, `@...` is a command.
fn pick(
    option: &'static str,
    text: &str,
    known: &[(&'static str, SupportedCipherSuite)],
) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut taken: Vec<&str> = Vec::new();
    let mut banned: Vec<&str> = Vec::new();
    let words = text.split([':', ',', ' ']).filter(|w| !w.is_empty() && !w.starts_with('@'));
    for word in words.clone() {
        if let Some(name) = word.strip_prefix(['!', '-']) {
            banned.push(name);
        } else if EVERYTHING.contains(&word) {
            taken.extend(known.iter().map(|(name, _)| *name));
        } else {
            taken.push(word);
        }
    }
    if words.count() == banned.len() {
        taken.extend(known.iter().map(|(name, _)| *name));
    }
    let mut found: Vec<SupportedCipherSuite> = Vec::new();
    for name in taken.iter().filter(|name| !banned.contains(name)) {
        if let Some((_, suite)) = known.iter().find(|(have, _)| have.eq_ignore_ascii_case(name))
            && !found.contains(suite)
        {
            found.push(*suite);
        }
    }
    if found.is_empty() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let what = format!("'{text}' names no suite that is here: {}", names.join(", "));
        return Err(TlsError::Value(option, what));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str) -> Result<Vec<&'static str>, String> {
        let found = pick("tls-ciphers", text, SUITES_12).map_err(|e| e.to_string())?;
        let name = |s: &SupportedCipherSuite| SUITES_12.iter().find(|(_, k)| k == s).map(|k| k.0);
        Ok(found.iter().filter_map(name).collect())
    }

    #[test]
    fn lists_are_read_as_openssl_does() {
        let all: Vec<&str> = SUITES_12.iter().map(|s| s.0).collect();
        for text in ["", "DEFAULT:!MEDIUM", "HIGH:!aNULL:!MD5", "!RC4", "ALL:@STRENGTH"] {
            assert_eq!(picked(text).as_deref(), Ok(all.as_slice()), "{text}");
        }
        assert_eq!(
            picked("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA:ecdhe-ecdsa-aes256-gcm-sha384"),
            Ok(vec!["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
        );
        let without = picked("DEFAULT:!ECDHE-RSA-AES128-GCM-SHA256").unwrap();
        assert!(
            without.len() == all.len() - 1 && !without.contains(&"ECDHE-RSA-AES128-GCM-SHA256")
        );
        assert!(picked("AES128-SHA").unwrap_err().contains("ECDHE-RSA-AES256-GCM-SHA384"));
    }

    #[test]
    fn versions_are_named_or_both() {
        assert_eq!(versions("").unwrap().len(), 2);
        assert_eq!(versions("tlsv1.3").unwrap(), [&version::TLS13]);
        assert_eq!(versions("TLSv1.2 TLSv1.3 TLSv1.2").unwrap().len(), 2);
        assert!(versions("TLSv1.1 TLSv1.2").unwrap_err().to_string().contains("TLSv1.1"));
    }
}
