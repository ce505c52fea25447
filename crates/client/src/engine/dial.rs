//! From an endpoint to a byte stream: names, proxies, TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::config::EngineConfig;
use super::error::ConnectError;
use super::proxy::{self, ProxyError, ProxyKind};
use super::socks::{self, SocksTarget};
use super::stream::Stream;
use super::tls;

/// A new connection to the server.
pub(super) async fn dial(config: &EngineConfig) -> Result<Stream, ConnectError> {
    let url = &config.url;
    let tcp = match &config.proxy {
        None => tcp(&url.host, url.port, config.connect_timeout).await?,
        Some(proxy) => {
            let failed =
                |source| ConnectError::Proxy { proxy: format!("{}:{}", proxy.host, proxy.port), source };
            let mut tcp = tcp(&proxy.host, proxy.port, config.connect_timeout).await?;
            match proxy.kind {
                ProxyKind::Http => {
                    let stream =
                        proxy::connect(proxy, Stream::Tcp(tcp), &url.authority()).await.map_err(failed)?;
                    match stream {
                        Stream::Tcp(tcp) => tcp,
                        Stream::Tls(_) => return Ok(stream),
                    }
                }
                ProxyKind::Socks5 { resolves } => {
                    let target = socks_target(&url.host, url.port, resolves).await.map_err(failed)?;
                    socks::connect(proxy, &mut tcp, &target).await.map_err(failed)?;
                    tcp
                }
            }
        }
    };
    if url.secure { tls::handshake(tcp, &url.host, config.tls.clone()).await } else { Ok(Stream::Tcp(tcp)) }
}

/// Connects to the first address of `host` that accepts. Each gets an equal share of `timeout`, so that one that does not
/// answer leaves time for the others.
async fn tcp(host: &str, port: u16, timeout: Duration) -> Result<TcpStream, ConnectError> {
    let unresolved = |source| ConnectError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(unresolved)?.take(MAX_ADDRESSES).collect();
    let share = timeout.checked_div(addresses.len().try_into().unwrap_or(1)).unwrap_or(timeout);
    let mut last = unresolved(io::ErrorKind::NotFound.into());
    for address in addresses {
        let source = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Many small messages: each shall leave at once. A stream that cannot be set is dead, and reading says so.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Ok(Err(source)) => source,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        last = ConnectError::Connect { address, source };
    }
    Err(last)
}

async fn socks_target(host: &str, port: u16, resolves: bool) -> Result<SocksTarget<'_>, ProxyError> {
    if let Ok(ip) = host.parse() {
        return Ok(SocksTarget::Address(SocketAddr::new(ip, port)));
    }
    if resolves {
        return Ok(SocksTarget::Name(host, port));
    }
    let address = lookup_host((host, port)).await?.next();
    address.map(SocksTarget::Address).ok_or_else(|| ProxyError::Resolve(host.to_owned()))
}

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
