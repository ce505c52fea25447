//! Listeners, and as many file descriptors as the system gives.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use crate::Failure;

/// Connections that wait to be accepted: a restarted server is met by all its clients at once. The system has
/// a bound of its own (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// # Errors
/// If the host has no address or the port is taken.
pub(crate) fn bind(host: &str, port: u16) -> Result<TcpListener, Failure> {
    let failure =
        |error: io::Error| Failure::system(format!("cannot listen on {}: {error}", shown(host, port)));
    let mut last = io::Error::other("the host has no address");
    for address in (host, port).to_socket_addrs().map_err(failure)? {
        match bind_address(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failure(last))
}

fn bind_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // Else a restart would wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Raises the soft limit of open files to the hard one: each connection is one.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
