//! A connection to a server, as one of its clients.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moon_formats::resp::{Value, encode_command};
use moon_restore::fail::Failure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::cli::Access;

/// Longest time to connect, and to wait for an answer: a log that is slow to sync takes a while.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);
/// Longest answer, in bytes: a file list of half a million segments.
const ANSWER_MAX: usize = 64 << 20;
/// Variable with the password.
const PASSWORD: &str = "MOON_RESTORE_PASSWORD";

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    /// `HOST:PORT` or `unix:PATH`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Address::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let fits = !host.is_empty() && !host.contains('/');
        fits.then_some(Address::Tcp(host.to_owned(), port.parse().ok()?))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection that has logged in.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    name: String,
    buffer: Vec<u8>,
}

impl Link {
    /// Connects and logs in.
    pub(crate) fn open(address: &Address, access: &Access) -> Result<Link, Failure> {
        let name = address.to_string();
        let failed = |e: io::Error| Failure::environment(format!("cannot connect to {name}: {e}"));
        let stream: Box<dyn Stream> = match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(failed)?;
                stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
                Box::new(stream)
            }
            Address::Tcp(host, port) => {
                let stream = connect(host, *port).map_err(failed)?;
                stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                match access.tls {
                    true => Box::new(secure(stream, host, access)?),
                    false => Box::new(stream),
                }
            }
        };
        let mut link = Link { stream, name, buffer: Vec::new() };
        if let Some(password) = password(access)? {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(access.user.as_deref().map(str::as_bytes));
            words.push(&password);
            link.call(&words)?;
        } else if access.user.is_some() {
            return Err(Failure::environment(format!(
                "--user needs a password: --password-file, or the variable {PASSWORD}"
            )));
        }
        Ok(link)
    }

    /// Sends a command and waits for its reply. An error reply is a failure: the server refuses.
    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Result<Value, Failure> {
        let mut request = Vec::new();
        encode_command(&mut request, words.iter().copied());
        let reply = self.stream.write_all(&request).and_then(|()| self.stream.flush());
        let reply = reply.and_then(|()| self.read());
        match reply {
            Ok(Value::Error(text)) => {
                let text = String::from_utf8_lossy(&text).into_owned();
                Err(Failure::refused(format!("{}: {text}", self.name)))
            }
            Ok(value) => Ok(value),
            Err(e) => Err(Failure::environment(format!("{} does not answer: {e}", self.name))),
        }
    }

    fn read(&mut self) -> io::Result<Value> {
        let bad = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut piece = vec![0; 64 << 10];
        loop {
            match Value::decode(&self.buffer).map_err(|e| bad(e.to_string()))? {
                Some((value, len)) => {
                    self.buffer.drain(..len);
                    return Ok(value);
                }
                None if self.buffer.len() > ANSWER_MAX => {
                    return Err(bad("too long an answer".into()));
                }
                None => {}
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.buffer.extend_from_slice(&piece[..n]),
            }
        }
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The password, out of the file or the environment.
fn password(access: &Access) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = &access.password_file else {
        return Ok(std::env::var_os(PASSWORD).map(|text| text.as_encoded_bytes().to_vec()));
    };
    let text = fs::read(path).map_err(|e| Failure::io("read", path, e))?;
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.is_empty() {
        true => Err(Failure::environment(format!("{}: its first line is empty", path.display()))),
        false => Ok(Some(line.to_vec())),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|e| Failure::io("read", path, e))?;
    match found.is_empty() {
        true => Err(Failure::io("read", path, "no certificate (BEGIN CERTIFICATE) in it")),
        false => Ok(found),
    }
}

fn secure(
    stream: TcpStream,
    host: &str,
    access: &Access,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
    let failed = |e: rustls::Error| Failure::environment(format!("TLS: {e}"));
    let Some(ca) = &access.tls_ca else {
        return Err(Failure::environment(
            "--tls needs --tls-ca, to check the server's certificate by",
        ));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(failed)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(failed)?.with_root_certificates(roots);
    let config = match (&access.tls_cert, &access.tls_key) {
        (Some(cert), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key);
            let private = private.map_err(|e| Failure::io("read", key, e))?;
            config.with_client_auth_cert(certificates(cert)?, private).map_err(failed)?
        }
        _ => config.with_no_client_auth(),
    };
    let name = access.tls_name.as_deref().unwrap_or(host).to_owned();
    let server = ServerName::try_from(name.clone());
    let server = server.map_err(|e| Failure::environment(format!("--tls-name {name}: {e}")))?;
    let mut tls = ClientConnection::new(Arc::new(config), server).map_err(failed)?;
    let mut stream = stream;
    tls.complete_io(&mut stream).map_err(|e| Failure::environment(format!("TLS: {e}")))?;
    Ok(StreamOwned::new(tls, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |host: &str, port| Some(Address::Tcp(host.into(), port));
        for (text, want) in [
            ("127.0.0.1:6379", tcp("127.0.0.1", 6379)),
            ("[::1]:6379", tcp("::1", 6379)),
            ("db.example:1", tcp("db.example", 1)),
            ("unix:/run/moon.sock", Some(Address::Unix("/run/moon.sock".into()))),
            ("/var/lib/moon", None),
            ("./moon:data", None),
            ("moon", None),
            (":6379", None),
            ("unix:", None),
            ("host:70000", None),
        ] {
            assert_eq!(Address::parse(text), want, "{text}");
        }
    }
}
