//! The address on the command line: where the server is, and which namespace is meant.

/// What an address says. `http://host/chat?token=1` is the namespace `/chat` of the server `http://host?token=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Scheme, host, port and query: what the client library takes.
    pub(crate) server: String,
    /// With its slash.
    pub(crate) namespace: String,
}

impl Target {
    /// Takes an address apart, as the reference client does (`lookup` in socket.io-client): the path is the namespace,
    /// as it is written. Without a scheme it is `http`. The rest is checked by the client library.
    ///
    /// # Errors
    /// If there is no host, or the path cannot be the name of a namespace.
    pub(crate) fn parse(address: &str) -> Result<Self, String> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let rest = rest.split_once('#').map_or(rest, |(front, _)| front);
        let (front, query) = rest.split_once('?').map_or((rest, None), |(front, query)| (front, Some(query)));
        let (host, path) = front.split_at(front.find('/').unwrap_or(front.len()));
        if host.is_empty() {
            return Err(format!("\"{address}\" names no host"));
        }
        // A packet ends the namespace's name with a comma (socket.io-protocol, "Packet encoding").
        if path.contains([',', ' ']) || path.chars().any(char::is_control) {
            return Err(format!("\"{path}\" cannot be a namespace"));
        }
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let namespace = if path.is_empty() { "/" } else { path };
        Ok(Self { server: format!("{scheme}://{host}{query}"), namespace: namespace.to_owned() })
    }

    /// Whether the way there is TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.server.starts_with("https:") || self.server.starts_with("wss:")
    }

    /// Host and port, as they stand in a CONNECT to a proxy.
    pub(crate) fn authority(&self) -> String {
        let rest = self.server.split_once("://").map_or(&*self.server, |(_, rest)| rest);
        let host = rest.split('?').next().unwrap_or_default().to_ascii_lowercase();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if self.is_secure() { 443 } else { 80 };
        if has_port { host } else { format!("{host}:{port}") }
    }

    /// The query of the address, as it was written.
    pub(crate) fn query(&self) -> Option<&str> {
        self.server.split_once('?').map(|(_, query)| query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_namespace() {
        for (address, server, namespace) in [
            ("http://a", "http://a", "/"),
            ("http://a/", "http://a", "/"),
            ("https://a:8443/chat", "https://a:8443", "/chat"),
            ("wss://[::1]:1/a/b?x=1&y=/z#f", "wss://[::1]:1?x=1&y=/z", "/a/b"),
            ("localhost:3000/chat", "http://localhost:3000", "/chat"),
            ("http://a?x=/b", "http://a?x=/b", "/"),
        ] {
            let expected = Target { server: server.to_owned(), namespace: namespace.to_owned() };
            assert_eq!(Target::parse(address), Ok(expected), "{address}");
        }
    }

    #[test]
    fn what_a_proxy_is_asked_for() {
        for (address, expected) in [
            ("http://A/b", "a:80"),
            ("wss://a?x=:1", "a:443"),
            ("https://a:8443?token=1", "a:8443"),
            ("http://[::1]", "[::1]:80"),
            ("ws://[::1]:3000", "[::1]:3000"),
        ] {
            let target = Target::parse(address).expect("an address");
            assert_eq!(target.authority(), expected, "{address}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for address in ["", "http://", "/chat", "http://a/b,c", "http://a/b\u{7}"] {
            assert!(Target::parse(address).is_err(), "{address:?}");
        }
    }
}
