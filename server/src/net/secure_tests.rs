//! A client of the same library, in memory: no socket, no clock but that of certificates.

use super::*;
use crate::config::{Config, OptionId, Origin};
use crate::tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};
use std::io::{Read, Write};

pub(crate) fn file(name: &str) -> String {
    format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The options of a server with the certificates of the tests.
pub(crate) fn options(more: &[(OptionId, &str)]) -> Config {
    let mut config = Config::default();
    let files = [
        (OptionId::TlsPort, "1".to_string()),
        (OptionId::TlsCertFile, file("server.pem")),
        (OptionId::TlsKeyFile, file("server.key")),
        (OptionId::TlsCaCertFile, file("ca.pem")),
    ];
    let more = more.iter().map(|(id, text)| (*id, (*text).to_string()));
    for (id, text) in files.into_iter().chain(more) {
        config.put(id, &[text], Origin::Set).unwrap();
    }
    config
}

pub(crate) fn server(auth: &str) -> Box<Secure> {
    let tls = tls::load(&options(&[(OptionId::TlsAuthClients, auth)])).unwrap().unwrap();
    Secure::accept(tls.server).unwrap()
}

pub(crate) fn client(
    version: &'static SupportedProtocolVersion,
    with_certificate: bool,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = if with_certificate {
        let chain = vec![CertificateDer::from_pem_file(file("client.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(file("client.key")).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// Both ends and what has been said.
struct Pair {
    client: ClientConnection,
    server: Box<Secure>,
    /// The ciphertext of the client comes in pieces of this size.
    piece: usize,
    /// Plaintext that the server has got.
    got: Vec<u8>,
    /// Plaintext that the client has got.
    heard: Vec<u8>,
    closed: bool,
}

impl Pair {
    fn new(
        version: &'static SupportedProtocolVersion,
        auth: &str,
        with_certificate: bool,
        piece: usize,
    ) -> Self {
        let client = client(version, with_certificate);
        let (got, heard) = (Vec::new(), Vec::new());
        Self { client, server: server(auth), piece, got, heard, closed: false }
    }

    /// Carries everything over until nobody has more to say.
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let mut flight = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut flight).unwrap();
            }
            for piece in flight.chunks_mut(self.piece) {
                self.closed |= self.server.open(piece, &mut self.got)?;
            }
            self.server.seal()?;
            let back = std::mem::take(&mut self.server.wire);
            self.hear(&back);
            if flight.is_empty() && back.is_empty() {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).unwrap();
            // An alert is an error, and what came before it still counts.
            let _ = self.client.process_new_packets();
            let mut buf = [0; 16 << 10];
            while let Ok(n @ 1..) = self.client.reader().read(&mut buf) {
                self.heard.extend_from_slice(&buf[..n]);
            }
        }
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn what_comes_out_does_not_depend_on_how_the_ciphertext_is_split() {
    for version in VERSIONS {
        for piece in [1, 7, 1000, 1 << 20] {
            let mut pair = Pair::new(version, "yes", true, piece);
            pair.run().unwrap();
            assert!(pair.server.take_established() && !pair.server.take_established());
            assert!(!pair.server.is_handshaking() && pair.server.peer_certificate().is_some());
            let sent = noise(if piece == 1 { 40_000 } else { 300_000 });
            for part in sent.chunks(30_000) {
                pair.client.writer().write_all(part).unwrap();
                pair.run().unwrap();
            }
            assert!(pair.got == sent, "{version:?} in pieces of {piece}");
            assert_eq!((pair.server.incoming_len(), pair.server.pending()), (0, 0));
        }
    }
}

#[test]
fn replies_of_any_size_arrive_whole() {
    for version in VERSIONS {
        for len in [1, RECORD_MAX - 1, RECORD_MAX, RECORD_MAX + 1, SEAL_BYTES, 3 * SEAL_BYTES + 17]
        {
            let mut pair = Pair::new(version, "no", false, 1 << 20);
            pair.run().unwrap();
            let reply = noise(len);
            let mut out = reply.clone();
            let n = len.div_ceil(2);
            pair.server.push(&mut out, n);
            pair.server.push(&mut out, len - n);
            assert!(out.is_empty() && pair.server.pending() == len);
            let mut sends = 0;
            while pair.server.pending() > 0 {
                pair.server.seal().unwrap();
                assert!(pair.server.wire.len() <= sealed_len(SEAL_BYTES), "bounded");
                let wire = std::mem::take(&mut pair.server.wire);
                pair.hear(&wire);
                sends += 1;
            }
            assert_eq!(sends, len.div_ceil(SEAL_BYTES));
            assert!(pair.heard == reply, "{version:?} {len}");
        }
    }
}

#[test]
fn each_side_says_when_it_has_ended() {
    for version in VERSIONS {
        let mut pair = Pair::new(version, "no", false, 3);
        pair.run().unwrap();
        assert!(pair.server.take_established());
        pair.client.send_close_notify();
        pair.run().unwrap();
        assert!(pair.closed);
        // The replies to what came before are still sent.
        let mut out = b"+OK\r\n".to_vec();
        pair.server.push(&mut out, 5);
        pair.run().unwrap();
        assert_eq!(pair.heard, b"+OK\r\n");
        pair.server.finish();
        pair.server.finish();
        let wire = std::mem::take(&mut pair.server.wire);
        pair.client.read_tls(&mut wire.as_slice()).unwrap();
        assert!(pair.client.process_new_packets().unwrap().peer_has_closed());
        // Behind the end nothing leaves.
        out.extend_from_slice(b"more");
        pair.server.push(&mut out, 4);
        assert_eq!((out.len(), pair.server.pending()), (0, 0));
    }
}

#[test]
fn new_keys_in_the_middle() {
    let mut pair = Pair::new(&version::TLS13, "no", false, 2);
    pair.run().unwrap();
    for round in 0..3 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(b"PING\r\n").unwrap();
        pair.run().unwrap();
        let mut out = b"+PONG\r\n".to_vec();
        pair.server.push(&mut out, 7);
        pair.run().unwrap();
        assert_eq!(pair.got.len(), 6 * (round + 1));
    }
    assert_eq!(pair.heard, b"+PONG\r\n".repeat(3));
}

#[test]
fn clients_without_a_certificate_are_told_why() {
    for version in VERSIONS {
        let mut pair = Pair::new(version, "yes", false, 100);
        let fault = pair.run().unwrap_err();
        assert!(matches!(fault, Fault::Tls(rustls::Error::NoCertificatesPresented)), "{fault}");
        let wire = std::mem::take(&mut pair.server.wire);
        pair.client.read_tls(&mut wire.as_slice()).unwrap();
        let told = pair.client.process_new_packets().unwrap_err();
        assert!(matches!(told, rustls::Error::AlertReceived(_)), "{told}");
        let mut pair = Pair::new(version, "optional", false, 100);
        pair.run().unwrap();
        assert!(pair.server.take_established() && pair.server.peer_certificate().is_none());
    }
}

#[test]
fn who_does_not_speak_tls_is_known_by_the_first_byte() {
    for text in [b"PING\r\n".as_slice(), b"*1\r\n", b"GET / HTTP/1.1\r\n", &[0x80, 0x2e, 1]] {
        let mut secure = server("no");
        let fault = secure.open(&mut text.to_vec(), &mut Vec::new()).unwrap_err();
        assert!(matches!(fault, Fault::Plain), "{fault}");
        assert!(secure.wire.is_empty());
    }
}

#[test]
fn what_a_handshake_does_not_need_is_refused() {
    let mut secure = server("no");
    let mut refused = None;
    for _ in 0..100 {
        if let Err(fault) = secure.keep(&[HANDSHAKE; 16 << 10]) {
            refused = Some(fault);
            break;
        }
    }
    assert!(matches!(refused, Some(Fault::TooMuch)));
    assert!(secure.incoming_len() <= INCOMING_MAX);
    secure.abandon();
    assert_eq!(secure.incoming_len(), 0);
}

#[test]
fn a_changed_bit_ends_the_connection_and_nothing_behind_it_is_taken() {
    for version in VERSIONS {
        let mut pair = Pair::new(version, "no", false, 1 << 20);
        pair.run().unwrap();
        let mut flight = Vec::new();
        for part in ["first", "second", "third"] {
            pair.client.writer().write_all(part.as_bytes()).unwrap();
            pair.client.write_tls(&mut flight).unwrap();
        }
        let middle = flight.len() / 2;
        flight[middle] ^= 1;
        let mut clear = Vec::new();
        assert!(pair.server.open(&mut flight, &mut clear).is_err());
        assert_eq!(clear, b"first");
        assert!(!pair.server.wire.is_empty(), "the alert");
    }
}

#[test]
fn mutated_handshakes_end_in_a_fault_or_wait_for_more() {
    let text = noise(4000);
    for round in 0..400_usize {
        let version = VERSIONS[round % 2];
        let mut pair = Pair::new(version, "optional", round % 3 == 0, 1 << 20);
        let mut flight = Vec::new();
        pair.client.write_tls(&mut flight).unwrap();
        let at = usize::from(text[2 * round]) + 256 * usize::from(text[2 * round + 1] & 1);
        let index = at % flight.len();
        flight[index] ^= text[3 * round] | 1;
        let piece = 1 + usize::from(text[round]);
        for part in flight.chunks_mut(piece) {
            if pair.server.open(part, &mut pair.got).is_err() {
                break;
            }
        }
        assert!(pair.got.is_empty() && pair.server.incoming_len() <= INCOMING_MAX);
        hostile(&text[round..2 * round + 100]);
    }
}
