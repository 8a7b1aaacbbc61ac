//! What the server brings to handshakes with other servers, where it is the client: `tls-replication`,
//! `tls-cluster`.
//!
//! As in Redis, the other server must show a certificate of the authorities, and whose it is does not
//! matter: servers are named by addresses that certificates do not hold.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::{TlsError, files, mismatch, names, path, provider, roots};
use crate::config::{Config, OptionId};

/// Reads everything that the options name. `None` if no connection to another server is to speak TLS.
///
/// # Errors
/// The first thing that is wrong, with the option or file it is in.
pub(super) fn load(config: &Config) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    use OptionId as O;
    if !config.bool(O::TlsReplication) && !config.bool(O::TlsCluster) {
        return Ok(None);
    }
    let authorities = files::authorities(config)?;
    if authorities.is_empty() {
        return Err(TlsError::Unset(
            "tls-replication and tls-cluster need an authority to check other servers by: set \
             tls-ca-cert-file or tls-ca-cert-dir",
        ));
    }
    let provider = provider(config)?;
    let verifier = Verifier::new(roots(authorities)?, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&names::versions(config.text(O::TlsProtocols))?)
        .map_err(|e| {
            TlsError::Value("tls-protocols, tls-ciphersuites, tls-ciphers", e.to_string())
        })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = match own_certificate(config)? {
        None => builder.with_no_client_auth(),
        Some((path, key_path, password)) => {
            let chain = files::certificates(&path)?;
            let key = files::key(&key_path, config.text(password), password)?;
            builder.with_client_auth_cert(chain, key).map_err(|e| mismatch(&path, e))?
        }
    };
    // A link lasts; it is not worth a ticket.
    client.resumption = Resumption::disabled();
    Ok(Some(Arc::new(client)))
}

/// Certificate, key and its password: those for this purpose, or the server's.
fn own_certificate(config: &Config) -> Result<Option<(PathBuf, PathBuf, OptionId)>, TlsError> {
    use OptionId as O;
    let sets = [
        (O::TlsClientCertFile, O::TlsClientKeyFile, O::TlsClientKeyFilePass),
        (O::TlsCertFile, O::TlsKeyFile, O::TlsKeyFilePass),
    ];
    let Some((cert, key, pass)) = sets.into_iter().find(|set| !config.text(set.0).is_empty())
    else {
        return Ok(None);
    };
    let cert = PathBuf::from(config.text(cert));
    let key = path(config, key, "a certificate is set without its key")?;
    Ok(Some((cert, key, pass)))
}

/// Checks everything but the name.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl Verifier {
    fn new(
        roots: RootCertStore,
        provider: &Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Self, TlsError> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map(Self)
            .map_err(|e| TlsError::Rules(e.to_string()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is looked at last, when everything else is as it should be.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
