//! Listening sockets from the options `bind`, `port`, `unixsocket`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::sys;
use crate::config::{Config, OptionId};

/// A socket that listens, with the text that names it.
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    /// `127.0.0.1:6379` or the path of a Unix socket.
    pub(crate) name: String,
    pub(crate) is_unix: bool,
}

/// Opens every listening socket. `-addr` may fail because the machine lacks the address.
pub(crate) fn open(config: &Config) -> io::Result<Vec<Listener>> {
    let (mut listeners, _) = open_tcp(config, &[])?;
    let path = config.text(OptionId::UnixSocket);
    if !path.is_empty() {
        let mode = config.int(OptionId::UnixSocketPerm) as u32;
        let socket = unix(Path::new(path), mode, backlog(config))
            .map_err(|e| io::Error::new(e.kind(), format!("listen on {path}: {e}")))?;
        listeners.push(Listener { socket, name: path.to_string(), is_unix: true });
    }
    Ok(listeners)
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.int(OptionId::TcpBacklog)).unwrap_or(i32::MAX)
}

/// Opens the TCP sockets of `bind` and `port` but for those in `have`. Returns them, and the names
/// of all that are to be open.
pub(crate) fn open_tcp(
    config: &Config,
    have: &[String],
) -> io::Result<(Vec<Listener>, Vec<String>)> {
    let port = config.int(OptionId::Port) as u16;
    open_at(config.words(OptionId::Bind), port, backlog(config), have)
}

/// Opens the sockets of the admin port.
pub(crate) fn open_admin(config: &Config) -> io::Result<Vec<Listener>> {
    let port = config.int(OptionId::AdminPort) as u16;
    let opened = open_at(config.words(OptionId::AdminBind), port, backlog(config), &[]);
    opened.map(|(listeners, _)| listeners)
}

fn open_at(
    words: &[String],
    port: u16,
    backlog: i32,
    have: &[String],
) -> io::Result<(Vec<Listener>, Vec<String>)> {
    let mut listeners = Vec::new();
    let mut names = Vec::new();
    // Port 0 is no port at all.
    let words = if port == 0 { &[] } else { words };
    for word in words {
        let (optional, host) = match word.strip_prefix('-') {
            Some(host) => (true, host),
            None => (false, word.as_str()),
        };
        for addr in resolve(host, port)? {
            let name = addr.to_string();
            if !have.contains(&name) {
                match sys::tcp_listener(addr, backlog) {
                    Ok(socket) => {
                        listeners.push(Listener { socket, name: name.clone(), is_unix: false });
                    }
                    Err(e) if optional && is_missing(&e) => continue,
                    Err(e) => {
                        return Err(io::Error::new(e.kind(), format!("listen on {addr}: {e}")));
                    }
                }
            }
            names.push(name);
        }
    }
    Ok((listeners, names))
}

fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match name {
        "*" => Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)]),
        "::" | "::*" => Ok(vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)]),
        _ => Ok((name, port)
            .to_socket_addrs()
            .map_err(|e| io::Error::new(e.kind(), format!("bind {name}: {e}")))?
            .collect()),
    }
}

fn is_missing(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::AddrNotAvailable
        || matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

/// A Unix socket. A socket file left behind by a dead server is replaced; a live one or a
/// file of another kind is an error.
fn unix(path: &Path, mode: u32, backlog: i32) -> io::Result<OwnedFd> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if let Ok(meta) = fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt;
        if !meta.file_type().is_socket() {
            return Err(io::Error::other("a file that is no socket is in the way"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    let socket = OwnedFd::from(listener);
    sys::set_backlog(&socket, backlog)?;
    Ok(socket)
}

/// Removes a Unix socket file when the server stops.
pub(crate) fn unlink(config: &Config) {
    let path = PathBuf::from(config.text(OptionId::UnixSocket));
    if !path.as_os_str().is_empty() {
        let _ = fs::remove_file(path);
    }
}

/// Addresses of an accepted socket, and whether the peer is on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) addr: String,
    pub(crate) local_addr: String,
    pub(crate) is_loopback: bool,
}

/// Prepares an accepted socket: no Nagle delay, keepalive; returns its addresses.
pub(crate) fn accepted(
    socket: OwnedFd,
    listener: &str,
    is_unix: bool,
    keepalive_secs: i64,
) -> io::Result<(OwnedFd, Peer)> {
    if is_unix {
        let addr = format!("{listener}:0");
        return Ok((socket, Peer { addr: addr.clone(), local_addr: addr, is_loopback: true }));
    }
    let stream = TcpStream::from(socket);
    let addr = stream.peer_addr()?;
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    let socket = OwnedFd::from(stream);
    if keepalive_secs > 0 {
        sys::set_keepalive(&socket, i32::try_from(keepalive_secs).unwrap_or(i32::MAX))?;
    }
    let is_loopback = addr.ip().to_canonical().is_loopback();
    Ok((socket, Peer { addr: addr.to_string(), local_addr: local.to_string(), is_loopback }))
}
