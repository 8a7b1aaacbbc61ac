//! Listening sockets from the options `bind`, `port`, `tls-port`, `unixsocket`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::sys;
use crate::config::{Config, OptionId};

/// What is spoken on a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    #[default]
    Tcp,
    Tls,
    Unix,
}

impl Kind {
    /// The name that INFO prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Unix => "unix",
        }
    }
}

/// A socket that listens, with the text that names it.
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    /// `127.0.0.1:6379` or the path of a Unix socket.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Opens every listening socket. `-addr` may fail because the machine lacks the address.
pub(crate) fn open(config: &Config) -> io::Result<Vec<Listener>> {
    let (mut listeners, _) = open_tcp(config, &[])?;
    let path = config.text(OptionId::UnixSocket);
    if !path.is_empty() {
        let mode = config.int(OptionId::UnixSocketPerm) as u32;
        let socket = unix(Path::new(path), mode, backlog(config))
            .map_err(|e| io::Error::new(e.kind(), format!("listen on {path}: {e}")))?;
        listeners.push(Listener { socket, name: path.to_string(), kind: Kind::Unix });
    }
    Ok(listeners)
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.int(OptionId::TcpBacklog)).unwrap_or(i32::MAX)
}

/// Name and kind of a listening socket.
pub(crate) type Known = (String, Kind);

/// Sockets that were opened, and all that are to be open.
type Opened = (Vec<Listener>, Vec<Known>);

/// Opens the TCP sockets of `bind`, `port` and `tls-port` but for those in `have`. Returns them, and
/// all that are to be open.
pub(crate) fn open_tcp(config: &Config, have: &[Known]) -> io::Result<Opened> {
    let mut all = Opened::default();
    for (id, kind) in [(OptionId::Port, Kind::Tcp), (OptionId::TlsPort, Kind::Tls)] {
        let port = config.int(id) as u16;
        open_at(config.words(OptionId::Bind), (port, kind), backlog(config), have, &mut all)?;
    }
    Ok(all)
}

/// Opens the sockets of the admin port.
pub(crate) fn open_admin(config: &Config) -> io::Result<Vec<Listener>> {
    let port = config.int(OptionId::AdminPort) as u16;
    let mut all = Opened::default();
    let words = config.words(OptionId::AdminBind);
    open_at(words, (port, Kind::Tcp), backlog(config), &[], &mut all)?;
    Ok(all.0)
}

fn open_at(
    words: &[String],
    (port, kind): (u16, Kind),
    backlog: i32,
    have: &[Known],
    (listeners, wanted): &mut Opened,
) -> io::Result<()> {
    // Port 0 is no port at all.
    let words = if port == 0 { &[] } else { words };
    for word in words {
        let (optional, host) = match word.strip_prefix('-') {
            Some(host) => (true, host),
            None => (false, word.as_str()),
        };
        for addr in resolve(host, port)? {
            let known = (addr.to_string(), kind);
            if !have.contains(&known) {
                match sys::tcp_listener(addr, backlog) {
                    Ok(socket) => {
                        listeners.push(Listener { socket, name: known.0.clone(), kind });
                    }
                    Err(e) if optional && is_missing(&e) => continue,
                    Err(e) => {
                        return Err(io::Error::new(e.kind(), format!("listen on {addr}: {e}")));
                    }
                }
            }
            wanted.push(known);
        }
    }
    Ok(())
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

/// Addresses of a connected TCP socket.
pub(crate) fn peer(socket: &OwnedFd) -> io::Result<Peer> {
    let stream = TcpStream::from(socket.try_clone()?);
    let addr = stream.peer_addr()?;
    let local_addr = stream.local_addr()?.to_string();
    let is_loopback = addr.ip().to_canonical().is_loopback();
    Ok(Peer { addr: addr.to_string(), local_addr, is_loopback })
}

/// Prepares an accepted socket: no Nagle delay, keepalive; returns its addresses.
pub(crate) fn accepted(
    socket: OwnedFd,
    listener: &str,
    kind: Kind,
    keepalive_secs: i64,
) -> io::Result<(OwnedFd, Peer)> {
    if kind == Kind::Unix {
        let addr = format!("{listener}:0");
        return Ok((socket, Peer { addr: addr.clone(), local_addr: addr, is_loopback: true }));
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let socket = OwnedFd::from(stream);
    let peer = peer(&socket)?;
    if keepalive_secs > 0 {
        sys::set_keepalive(&socket, i32::try_from(keepalive_secs).unwrap_or(i32::MAX))?;
    }
    Ok((socket, peer))
}
