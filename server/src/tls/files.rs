//! Certificates and keys in PEM files.

use std::fs;
use std::path::{Path, PathBuf};

use pkcs8::EncryptedPrivateKeyInfo;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::TlsError;
use crate::config::{Config, OptionId};

/// Longest file that is read: the bundles of all public authorities have a quarter of it.
const FILE_MAX: u64 = 1 << 20;
/// Most files of `tls-ca-cert-dir`.
const FILES_MAX: usize = 4096;

fn failed(path: &Path, what: impl ToString) -> TlsError {
    TlsError::File(path.to_path_buf(), what.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let meta = fs::metadata(path).map_err(|e| failed(path, e))?;
    if !meta.is_file() {
        return Err(failed(path, "not a file"));
    }
    if meta.len() > FILE_MAX {
        return Err(failed(path, "larger than 1 MiB, so no PEM file of certificates or keys"));
    }
    fs::read(path).map_err(|e| failed(path, e))
}

/// The certificates of a file in their order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = scan(path, &read(path)?)?;
    if found.is_empty() {
        return Err(failed(path, "no certificate (BEGIN CERTIFICATE) in it"));
    }
    Ok(found)
}

fn scan(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|e| failed(path, format!("bad PEM: {e}")))
}

/// The private key of a file, decrypted with `password`, the value of `option`, if it is encrypted.
pub(super) fn key(
    path: &Path,
    password: &str,
    option: OptionId,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    let contains = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
    if contains(b"Proc-Type: 4,ENCRYPTED") {
        return Err(failed(
            path,
            "the key is encrypted in the old form of OpenSSL, which is too weak to be of use; \
             convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW",
        ));
    }
    if contains(b"BEGIN ENCRYPTED PRIVATE KEY") {
        return decrypt(path, &text, password, option.opt().name);
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| match e {
        pem::Error::NoItemsFound => failed(path, "no private key (BEGIN PRIVATE KEY) in it"),
        e => failed(path, format!("bad PEM: {e}")),
    })
}

fn decrypt(
    path: &Path,
    text: &[u8],
    password: &str,
    option: &str,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    if password.is_empty() {
        return Err(failed(path, format!("the key is encrypted: set {option}")));
    }
    // The reader of PEM passes over sections it does not know, this one among them; under another
    // name it is one of them.
    let text = String::from_utf8_lossy(text).replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY");
    let section = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes())
        .filter_map(Result::ok)
        .find(|(kind, _)| *kind == SectionKind::PrivateKey)
        .ok_or_else(|| failed(path, "bad PEM"))?;
    let info = EncryptedPrivateKeyInfo::try_from(section.1.as_slice())
        .map_err(|e| failed(path, format!("the key is encrypted in a form not known: {e}")))?;
    let key = info
        .decrypt(password)
        .map_err(|e| failed(path, format!("{option} does not decrypt the key: {e}")))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The certificates of the authorities by which clients are checked, each with its file.
pub(super) fn authorities(
    config: &Config,
) -> Result<Vec<(PathBuf, CertificateDer<'static>)>, TlsError> {
    let mut found = Vec::new();
    let file = config.text(OptionId::TlsCaCertFile);
    if !file.is_empty() {
        let path = PathBuf::from(file);
        found.extend(certificates(&path)?.into_iter().map(|c| (path.clone(), c)));
    }
    let dir = config.text(OptionId::TlsCaCertDir);
    if !dir.is_empty() {
        let before = found.len();
        from_dir(Path::new(dir), &mut found)?;
        if found.len() == before {
            return Err(failed(Path::new(dir), "no file in it holds a certificate"));
        }
    }
    Ok(found)
}

/// Adds the certificates of all files in a directory; files of other kinds are passed over. Links to
/// a file that was seen (`c_rehash`) add nothing.
fn from_dir(
    dir: &Path,
    found: &mut Vec<(PathBuf, CertificateDer<'static>)>,
) -> Result<(), TlsError> {
    let entries = fs::read_dir(dir).map_err(|e| failed(dir, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    if paths.len() > FILES_MAX {
        return Err(failed(dir, format!("more than {FILES_MAX} files")));
    }
    paths.sort();
    for path in paths {
        let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= FILE_MAX);
        if !small {
            continue;
        }
        for certificate in scan(&path, &read(&path)?).unwrap_or_default() {
            if !found.iter().any(|(_, have)| *have == certificate) {
                found.push((path.clone(), certificate));
            }
        }
    }
    Ok(())
}
