//! The client's side of SOCKS5 (RFC 1928), with user and password (RFC 1929).

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::proxy::{Proxy, ProxyError};

/// Where the proxy shall connect to.
pub(super) enum SocksTarget<'a> {
    Address(SocketAddr),
    Name(&'a str, u16),
}

/// Asks the proxy at the other end of `stream` to connect to `target`; then the stream is the target's.
pub(super) async fn connect(
    proxy: &Proxy,
    stream: &mut TcpStream,
    target: &SocksTarget<'_>,
) -> Result<(), ProxyError> {
    let greeting: &[u8] = match proxy.credentials {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    stream.write_all(greeting).await?;
    match (read(stream).await?, &proxy.credentials) {
        ([VERSION, NO_AUTHENTICATION], _) => {}
        ([VERSION, USER_PASSWORD], Some((user, password))) => authenticate(stream, user, password).await?,
        ([VERSION, _], _) => return Err(ProxyError::Credentials),
        _ => return Err(ProxyError::Protocol("it is no SOCKS5 proxy")),
    }
    stream.write_all(&request(target)?).await?;
    let [version, reply, _, kind] = read(stream).await?;
    if version != VERSION {
        return Err(ProxyError::Protocol("its reply is of another version"));
    }
    if reply != 0 {
        return Err(ProxyError::Refused(refusal(reply)));
    }
    // The address that it bound tells us nothing, but must be read off.
    match kind {
        IPV4 => drop(read::<6>(stream).await?),
        IPV6 => drop(read::<18>(stream).await?),
        NAME => {
            let [len] = read(stream).await?;
            let mut rest = vec![0; usize::from(len) + 2];
            stream.read_exact(&mut rest).await?;
        }
        _ => return Err(ProxyError::Protocol("its reply has an unknown address type")),
    }
    Ok(())
}

async fn authenticate(stream: &mut TcpStream, user: &str, password: &str) -> Result<(), ProxyError> {
    let mut message = vec![1];
    for text in [user, password] {
        message.push(u8::try_from(text.len()).map_err(|_| ProxyError::TooLong)?);
        message.extend_from_slice(text.as_bytes());
    }
    stream.write_all(&message).await?;
    match read(stream).await? {
        [_, 0] => Ok(()),
        _ => Err(ProxyError::Credentials),
    }
}

fn request(target: &SocksTarget<'_>) -> Result<Vec<u8>, ProxyError> {
    let mut message = vec![VERSION, CONNECT, 0];
    let port = match target {
        SocksTarget::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    message.push(IPV4);
                    message.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    message.push(IPV6);
                    message.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
        SocksTarget::Name(name, port) => {
            message.push(NAME);
            message.push(u8::try_from(name.len()).map_err(|_| ProxyError::TooLong)?);
            message.extend_from_slice(name.as_bytes());
            *port
        }
    };
    message.extend_from_slice(&port.to_be_bytes());
    Ok(message)
}

async fn read<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], ProxyError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// RFC 1928 section 6.
fn refusal(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unknown reply",
    }
}

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
