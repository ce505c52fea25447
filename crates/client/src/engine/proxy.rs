//! Going through a proxy: HTTP with CONNECT, or SOCKS5. Always a tunnel, also for plain HTTP polling.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::error::HttpError;
use super::http::{Upgrade, upgrade};
use super::stream::Stream;
use super::url::{UrlError, parse_authority};

/// A proxy: `http://user:password@host:port` for CONNECT (RFC 9110 section 9.3.6), `socks5://…` (RFC 1928) with names
/// resolved here, or `socks5h://…` with names resolved by the proxy. User and password are optional and percent-encoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(super) kind: ProxyKind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProxyKind {
    Http,
    Socks5 { resolves: bool },
}

/// Why a proxy did not connect us.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The connection to the proxy failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The proxy's answer to CONNECT is not HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The proxy answered CONNECT with another status than success; 407 asks for credentials.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The proxy sent what its protocol does not have here.
    #[error("it breaks its protocol: {0}")]
    Protocol(&'static str),
    /// The proxy wants credentials that were not given, or refuses those given.
    #[error("it refuses the credentials")]
    Credentials,
    /// The SOCKS5 proxy could not connect (RFC 1928 section 6).
    #[error("it could not connect: {0}")]
    Refused(&'static str),
    /// A name, user or password longer than the protocol's 255 bytes.
    #[error("the host, user or password is too long for it")]
    TooLong,
    /// The target's name has no address.
    #[error("cannot resolve {0}")]
    Resolve(String),
}

impl Proxy {
    /// Reads an address as the type's description has it. The port is 8080 or, for SOCKS5, 1080 unless given.
    ///
    /// # Errors
    /// The first part that is out of place.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            "socks5" => ProxyKind::Socks5 { resolves: false },
            "socks5h" => ProxyKind::Socks5 { resolves: true },
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let decode = |text: &str| {
            percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| UrlError::Credentials)
        };
        let credentials = match credentials {
            Some(pair) => {
                let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
                Some((decode(user)?, decode(password)?))
            }
            None => None,
        };
        let (host, port) = parse_authority(authority)?;
        let port = port.unwrap_or(if kind == ProxyKind::Http { 8080 } else { 1080 });
        Ok(Self { kind, host, port, credentials })
    }
}

impl FromStr for Proxy {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish()
    }
}

/// Asks an HTTP proxy for a tunnel to `authority`, host and port.
pub(super) async fn connect(proxy: &Proxy, stream: Stream, authority: &str) -> Result<Stream, ProxyError> {
    let invalid = |_| ProxyError::Protocol("no valid CONNECT can be made");
    let target = Uri::builder().authority(authority).build().map_err(invalid)?;
    let mut request = Request::builder().method(Method::CONNECT).uri(target).header(header::HOST, authority);
    if let Some((user, password)) = &proxy.credentials {
        let token = STANDARD.encode(format!("{user}:{password}"));
        request = request.header(header::PROXY_AUTHORIZATION, format!("Basic {token}"));
    }
    let request = request.body(Full::<Bytes>::default()).map_err(invalid)?;
    match upgrade(stream, request, |status| status.is_success()).await? {
        Upgrade::Done { stream, early, .. } if early.is_empty() => Ok(stream),
        Upgrade::Done { .. } => Err(ProxyError::Protocol("bytes behind its answer")),
        Upgrade::Refused(answer) if answer.status.as_u16() == 407 => Err(ProxyError::Credentials),
        Upgrade::Refused(answer) => Err(ProxyError::Status(answer.status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let proxy = Proxy::parse("http://us%40er:p%3Ass@Proxy.example:3128/").expect("valid");
        assert_eq!((proxy.kind, proxy.host.as_str(), proxy.port), (ProxyKind::Http, "proxy.example", 3128));
        assert_eq!(proxy.credentials, Some(("us@er".into(), "p:ss".into())));
        assert!(!format!("{proxy:?}").contains("p:ss"), "no password in logs");
        let socks = Proxy::parse("socks5h://[::1]").expect("valid");
        assert_eq!((socks.kind, socks.port), (ProxyKind::Socks5 { resolves: true }, 1080));
        for (text, error) in [
            ("proxy:3128", UrlError::Scheme),
            ("https://proxy", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http://proxy:x", UrlError::Port),
            ("http://%ff@proxy", UrlError::Credentials),
        ] {
            assert_eq!(Proxy::parse(text), Err(error), "{text}");
        }
    }
}
