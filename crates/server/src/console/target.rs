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
    fn what_is_no_address() {
        for address in ["", "http://", "/chat", "http://a/b,c", "http://a/b\u{7}"] {
            assert!(Target::parse(address).is_err(), "{address:?}");
        }
    }
}
