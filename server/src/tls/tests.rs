//! Options and files that make a server, and those that do not.

use super::*;
use crate::config::Origin;
use crate::net::secure::tests::{file, options};

fn wrong(more: &[(OptionId, &str)]) -> String {
    match load(&options(more)) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("{more:?} is taken"),
    }
}

#[test]
fn without_a_port_nothing_is_read() {
    let config = options(&[(OptionId::TlsPort, "0"), (OptionId::TlsCertFile, "/nowhere")]);
    assert!(load(&config).unwrap().is_none());
}

#[test]
fn certificates_are_described() {
    let tls = load(&options(&[])).unwrap().unwrap();
    // 2120-01-01.
    assert_eq!(tls.own.expires_unix, 4_733_510_400);
    assert_eq!(tls.authority.unwrap().expires_unix, 4_733_510_400);
    assert!(tls.own.serial.len() > 8, "{}", tls.own.serial);
}

#[test]
fn what_does_not_go_together_is_said() {
    use OptionId as O;
    let (client_key, server_pem, server_key) =
        (file("client.key"), file("server.pem"), file("server.key"));
    for (more, expected) in [
        (&[(O::TlsCertFile, "")][..], "tls-cert-file is not set"),
        (&[(O::TlsKeyFile, "")], "tls-key-file is not set"),
        (&[(O::TlsCertFile, "/nowhere")], "/nowhere: No such file"),
        (&[(O::TlsCertFile, "/tmp")], "not a file"),
        (&[(O::TlsCertFile, &server_key)], "no certificate"),
        (&[(O::TlsKeyFile, &server_pem)], "no private key"),
        (&[(O::TlsKeyFile, &client_key)], "the key of another certificate"),
        (&[(O::TlsProtocols, "TLSv1")], "tls-protocols"),
        (&[(O::TlsCiphers, "RC4")], "tls-ciphers"),
        (&[(O::TlsCipherSuites, "RC4")], "tls-ciphersuites"),
        (&[(O::TlsCaCertFile, ""), (O::TlsAuthClients, "yes")], "needs an authority"),
        (&[(O::TlsCaCertDir, "/nowhere")], "/nowhere"),
    ] {
        let error = wrong(more);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_encrypted_key_needs_its_password() {
    use OptionId as O;
    let key = file("server-encrypted.key");
    let with = |pass| [(O::TlsKeyFile, key.as_str()), (O::TlsKeyFilePass, pass)];
    assert!(load(&options(&with("moonlight"))).unwrap().is_some());
    assert!(wrong(&with("")).contains("set tls-key-file-pass"));
    assert!(wrong(&with("sunlight")).contains("does not decrypt"));
}

#[test]
fn clients_are_asked_for_certificates_if_there_is_an_authority() {
    use OptionId as O;
    let ask = |config: &Config, no_authority| clients(config, no_authority).unwrap();
    let untouched = Config::default();
    assert_eq!(ask(&untouched, false), Clients::Known);
    assert_eq!(ask(&untouched, true), Clients::Anonymous);
    for (word, expected) in [("no", Clients::Anonymous), ("optional", Clients::Optional)] {
        let mut config = Config::default();
        config.put(O::TlsAuthClients, &[word.to_string()], Origin::Set).unwrap();
        assert_eq!(ask(&config, false), expected);
    }
}

#[test]
fn authorities_come_from_a_directory_too() {
    use OptionId as O;
    let dir = std::env::temp_dir().join(format!("moon-tls-ca-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let text = dir.display().to_string();
    let more = [(O::TlsCaCertFile, ""), (O::TlsCaCertDir, text.as_str())];
    assert!(wrong(&more).contains("no file in it holds a certificate"));
    std::fs::copy(file("ca.pem"), dir.join("a.pem")).unwrap();
    std::fs::copy(file("ca.pem"), dir.join("again.0")).unwrap();
    std::fs::write(dir.join("README"), "no certificate").unwrap();
    assert_eq!(files::authorities(&options(&more)).unwrap().len(), 1);
    assert!(load(&options(&more)).unwrap().unwrap().authority.is_some());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_end_in_sight_is_said_once_a_day() {
    const DAY: i64 = 86_400;
    let mut tls = load(&options(&[])).unwrap().unwrap();
    let end = tls.own.expires_unix;
    let mut watch = Watch::default();
    assert!(watch.lines(&tls, end - 31 * DAY).is_empty());
    assert_eq!(watch.lines(&tls, end - 29 * DAY).len(), 2);
    assert!(watch.lines(&tls, end - 29 * DAY + 10).is_empty());
    assert_eq!(watch.lines(&tls, end - 28 * DAY).len(), 2);
    // Another certificate is looked at anew.
    tls.own.expires_unix = end - 20 * DAY;
    let lines = watch.lines(&tls, end - 27 * DAY);
    assert!(lines[0].contains("expires in 7 days"), "{lines:?}");
    assert!(watch.lines(&tls, end - 19 * DAY)[0].contains("has expired"));
}
