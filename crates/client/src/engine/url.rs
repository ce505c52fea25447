//! The address of a server, as far as Socket.IO needs one.

use std::net::Ipv6Addr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// Where a server is: `http`, `https`, `ws` and `wss` addresses are read, `http` and `ws` meaning the same.
///
/// The path is the one at which the server speaks Socket.IO, `/socket.io/` unless given; it is no namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Url {
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// A host name, or an IP address without brackets.
    pub host: String,
    /// Default 80, with TLS 443.
    pub port: u16,
    /// Begins and ends with a slash.
    pub path: String,
    /// Decoded; sent with every request.
    pub query: Vec<(String, String)>,
}

/// Why a text is no server address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UrlError {
    /// No scheme, or none of `http`, `https`, `ws`, `wss`.
    #[error("the URL does not begin with http://, https://, ws:// or wss://")]
    Scheme,
    /// A user name or password, which belongs into a header.
    #[error("the URL holds credentials")]
    Credentials,
    /// The host is empty, too long, or holds characters that no host name has. Names beyond ASCII are given in their
    /// `xn--` form.
    #[error("the URL's host is invalid")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("the URL's port is invalid")]
    Port,
    /// The path holds characters that must be percent-encoded.
    #[error("the URL's path is invalid")]
    Path,
    /// The query is not UTF-8 once decoded.
    #[error("the URL's query is invalid")]
    Query,
}

impl Url {
    /// Reads an address such as `https://example.org` or `ws://127.0.0.1:3000/realtime/?tenant=7`. A fragment is dropped.
    ///
    /// # Errors
    /// The first part that is out of place.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.split_once('#').map_or(rest, |(front, _)| front);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = parse_authority(authority)?;
        Ok(Self {
            secure,
            host,
            port: port.unwrap_or(if secure { 443 } else { 80 }),
            path: parse_path(path)?,
            query: parse_query(query)?,
        })
    }

    /// Host and port as the `Host` header has them: the scheme's own port is left out (RFC 9110 section 7.2).
    pub(crate) fn host_header(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default { self.bracketed() } else { self.authority() }
    }

    /// Host and port, an IPv6 address in brackets.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn parse_authority(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(UrlError::Port),
            }
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(is_name) {
                return Err(UrlError::Host);
            }
            (host, port)
        }
    };
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        Some(port) if is_number(port) => {
            Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
        None => None,
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn parse_path(path: &str) -> Result<String, UrlError> {
    if path.is_empty() || path == "/" {
        return Ok(DEFAULT_PATH.to_owned());
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UrlError::Path);
    }
    Ok(if path.ends_with('/') { path.to_owned() } else { format!("{path}/") })
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, UrlError> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(String::from).map_err(|_| UrlError::Query)
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// The reference's (`path` of Socket.IO's server).
const DEFAULT_PATH: &str = "/socket.io/";
/// The longest host name in DNS (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_scheme() {
        for (text, secure, port) in [
            ("http://a", false, 80),
            ("ws://A/", false, 80),
            ("https://a", true, 443),
            ("WSS://a?", true, 443),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.secure, url.port, url.host.as_str()), (secure, port, "a"), "{text}");
            assert_eq!((url.path.as_str(), url.query.len()), ("/socket.io/", 0), "{text}");
            assert_eq!(url.host_header(), "a", "{text}");
        }
    }

    #[test]
    fn every_part_is_read() {
        let url = Url::parse("https://[::1]:8443/real/time?a=b%20c&d=&e=1%262+3#f").expect("valid");
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 8443, "/real/time/"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(url.query, [pair("a", "b c"), pair("d", ""), pair("e", "1&2 3")]);
        assert_eq!(url.host_header(), "[::1]:8443");
    }

    #[test]
    fn what_is_out_of_place_is_named() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("localhost:3000", UrlError::Scheme),
            ("ftp://a", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http://a b", UrlError::Host),
            ("http://a\r\nb", UrlError::Host),
            ("http://bücher.example", UrlError::Host),
            ("http://[::1", UrlError::Host),
            ("http://[a]", UrlError::Host),
            ("http://u:p@a", UrlError::Credentials),
            ("http://a:", UrlError::Port),
            ("http://a:0", UrlError::Port),
            ("http://a:+1", UrlError::Port),
            ("http://a:65536", UrlError::Port),
            ("http://a/x y", UrlError::Path),
            ("http://a/?x=%ff", UrlError::Query),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
    }
}
