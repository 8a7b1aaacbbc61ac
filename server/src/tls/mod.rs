//! What the server brings to every TLS handshake: certificate, key, the authorities of clients,
//! versions and cipher suites, all from the `tls-` options.
//!
//! Invariants:
//! * What is in force was read, parsed and matched as a whole; files that do not go together change
//!   nothing.
//! * A connection keeps what it was accepted with; a reload is for new connections. Tickets of old
//!   sessions end with it, so nobody resumes what a new authority would not let in.

mod client;
mod expiry;
mod files;
mod names;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moon_formats::x509;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::{Config, OptionId};
pub(crate) use expiry::Watch;

/// Why the options cannot be put in force.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// An option that must be set is not.
    Unset(&'static str),
    /// The value of an option is not possible.
    Value(&'static str, String),
    /// A file cannot be used.
    File(PathBuf, String),
    /// What was read does not go together.
    Rules(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(what) => f.write_str(what),
            Self::Value(name, what) => write!(f, "{name}: {what}"),
            Self::File(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Rules(what) => f.write_str(what),
        }
    }
}

/// What INFO tells of a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) serial: String,
    /// Seconds since 1970.
    pub(crate) expires_unix: i64,
}

impl Facts {
    fn of(path: &Path, certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let read = x509::decode(certificate)
            .map_err(|e| TlsError::File(path.to_path_buf(), e.to_string()))?;
        let serial = read.serial.iter().map(|b| format!("{b:02X}")).collect();
        Ok(Self { serial, expires_unix: read.expires_unix })
    }
}

/// What new connections are accepted with.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) server: Arc<ServerConfig>,
    /// The server's own certificate.
    pub(crate) own: Facts,
    /// Of the authorities of clients the one that expires first.
    pub(crate) authority: Option<Facts>,
}

/// What connections are made with, in either direction.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Those of clients; `None` if no port speaks TLS.
    pub(crate) server: Option<Tls>,
    /// Those to other servers; `None` if they are not to.
    pub(crate) client: Option<Arc<ClientConfig>>,
}

impl Ends {
    /// Reads everything that the options name.
    ///
    /// # Errors
    /// The first thing that is wrong, with the option or file it is in.
    pub(crate) fn load(config: &Config) -> Result<Self, TlsError> {
        Ok(Self { server: load(config)?, client: client::load(config)? })
    }
}

/// Whether an option is one of those that [`Ends::load`] reads.
pub(crate) fn concerns(id: OptionId) -> bool {
    use OptionId as O;
    matches!(
        id,
        O::TlsPort
            | O::TlsCertFile
            | O::TlsKeyFile
            | O::TlsKeyFilePass
            | O::TlsCaCertFile
            | O::TlsCaCertDir
            | O::TlsAuthClients
            | O::TlsProtocols
            | O::TlsCipherSuites
            | O::TlsCiphers
            | O::TlsPreferServerCiphers
            | O::TlsSessionCaching
            | O::TlsReplication
            | O::TlsCluster
            | O::TlsClientCertFile
            | O::TlsClientKeyFile
            | O::TlsClientKeyFilePass
    )
}

/// Reads everything that the options name. `None` if no port speaks TLS.
///
/// # Errors
/// The first thing that is wrong, with the option or file it is in.
pub(crate) fn load(config: &Config) -> Result<Option<Tls>, TlsError> {
    use OptionId as O;
    if config.int(O::TlsPort) == 0 {
        return Ok(None);
    }
    let cert_path = path(config, O::TlsCertFile, "tls-cert-file is not set, but tls-port is")?;
    let key_path = path(config, O::TlsKeyFile, "tls-key-file is not set, but tls-port is")?;
    let chain = files::certificates(&cert_path)?;
    let own = Facts::of(&cert_path, &chain[0])?;
    let key = files::key(&key_path, config.text(O::TlsKeyFilePass), O::TlsKeyFilePass)?;
    let authorities = files::authorities(config)?;
    let provider = provider(config)?;
    let rules = |e: rustls::Error| TlsError::Rules(e.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&names::versions(config.text(O::TlsProtocols))?)
        .map_err(|e| {
            TlsError::Value("tls-protocols, tls-ciphersuites, tls-ciphers", e.to_string())
        })?;
    let authority = earliest(&authorities)?;
    let builder = match clients(config, authorities.is_empty())? {
        Clients::Anonymous => builder.with_no_client_auth(),
        wanted => {
            let roots = Arc::new(roots(authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match wanted {
                Clients::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            let verifier = verifier.build().map_err(|e| TlsError::Rules(e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|e| mismatch(&cert_path, e))?;
    server.ignore_client_order = config.bool(O::TlsPreferServerCiphers);
    // Sessions live in tickets that the clients keep: resuming costs the server no memory.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    if config.bool(O::TlsSessionCaching) {
        server.ticketer = ring::Ticketer::new().map_err(rules)?;
    } else {
        server.send_tls13_tickets = 0;
    }
    Ok(Some(Tls { server: Arc::new(server), own, authority }))
}

/// Algorithms, as the options have them.
fn provider(config: &Config) -> Result<Arc<CryptoProvider>, TlsError> {
    let cipher_suites = names::suites(config)?;
    Ok(Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() }))
}

fn roots(authorities: Vec<(PathBuf, CertificateDer<'static>)>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (path, certificate) in authorities {
        roots
            .add(certificate)
            .map_err(|e| TlsError::File(path, format!("no certificate authority: {e}")))?;
    }
    Ok(roots)
}

fn path(config: &Config, id: OptionId, unset: &'static str) -> Result<PathBuf, TlsError> {
    match config.text(id) {
        "" => Err(TlsError::Unset(unset)),
        text => Ok(PathBuf::from(text)),
    }
}

/// Why certificate and key do not make a server.
fn mismatch(path: &Path, error: rustls::Error) -> TlsError {
    let text = error.to_string();
    let what = match error {
        rustls::Error::InconsistentKeys(_) => {
            "the key file beside it holds the key of another certificate".to_string()
        }
        _ if text.contains("UnsupportedCertVersion") => {
            "the certificate is of X.509 version 1; make one of version 3, which has extensions \
             (openssl x509 -req ... -extfile)"
                .to_string()
        }
        _ => text,
    };
    TlsError::File(path.to_path_buf(), what)
}

fn earliest(authorities: &[(PathBuf, CertificateDer<'static>)]) -> Result<Option<Facts>, TlsError> {
    let mut first: Option<Facts> = None;
    for (path, certificate) in authorities {
        let facts = Facts::of(path, certificate)?;
        if first.as_ref().is_none_or(|f| facts.expires_unix < f.expires_unix) {
            first = Some(facts);
        }
    }
    Ok(first)
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    /// None is asked for.
    Anonymous,
    /// One that is shown must be good.
    Optional,
    /// Each must show a good one.
    Known,
}

/// `tls-auth-clients`; as long as nobody sets it, clients must show a certificate if there is an
/// authority to check it by.
fn clients(config: &Config, no_authority: bool) -> Result<Clients, TlsError> {
    match config.text(OptionId::TlsAuthClients) {
        "no" => Ok(Clients::Anonymous),
        _ if no_authority && !config.is_set(OptionId::TlsAuthClients) => Ok(Clients::Anonymous),
        word if no_authority => Err(TlsError::Value(
            "tls-auth-clients",
            format!(
                "{word} needs an authority to check certificates by: set tls-ca-cert-file or \
                 tls-ca-cert-dir"
            ),
        )),
        "optional" => Ok(Clients::Optional),
        _ => Ok(Clients::Known),
    }
}

#[cfg(test)]
mod tests;
