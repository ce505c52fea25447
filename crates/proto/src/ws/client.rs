//! The client's half of the opening handshake (RFC 6455 section 4.1): what it asks, and what the answer must be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::accept_key;

/// One opening handshake. It offers neither a subprotocol nor an extension, so an answer that names one is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientHandshake {
    key: String,
}

/// Why an answer opens no WebSocket (RFC 6455 section 4.1, the checks on the server's response).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HandshakeError {
    /// The status is not 101.
    #[error("the status is {0}, not 101")]
    Status(u16),
    /// `Upgrade` is missing or is not `websocket`.
    #[error("the Upgrade header does not say websocket")]
    Upgrade,
    /// `Connection` is missing or has no token `Upgrade`.
    #[error("the Connection header does not say Upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or not what follows from the key.
    #[error("the Sec-WebSocket-Accept header does not belong to the key")]
    Accept,
    /// `Sec-WebSocket-Extensions` although none was offered.
    #[error("an extension was chosen that was not offered")]
    Extension,
    /// `Sec-WebSocket-Protocol` although none was offered.
    #[error("a subprotocol was chosen that was not offered")]
    Subprotocol,
}

impl ClientHandshake {
    /// A handshake with that nonce, which must be random and new for each connection (RFC 6455 section 4.1).
    pub fn new(nonce: [u8; 16]) -> Self {
        Self { key: STANDARD.encode(nonce) }
    }

    /// The headers of the request beside `Host`.
    pub fn headers(&self) -> [(&'static str, &str); 4] {
        [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", &self.key),
        ]
    }

    /// Checks the answer: its status and all its headers, names in any case.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check<'a>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<(), HandshakeError> {
        if status != 101 {
            return Err(HandshakeError::Status(status));
        }
        let expected = accept_key(&self.key);
        let (mut upgrade, mut connection, mut accept) = (false, false, None);
        for (name, value) in headers {
            let is = |header: &str| name.eq_ignore_ascii_case(header);
            if is("upgrade") {
                upgrade |= value.trim_ascii().eq_ignore_ascii_case(b"websocket");
            } else if is("connection") {
                connection |= value
                    .split(|byte| *byte == b',')
                    .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
            } else if is("sec-websocket-accept") {
                let fits = value.trim_ascii() == expected.as_bytes();
                accept = Some(accept.is_none() && fits);
            } else if is("sec-websocket-extensions") && !value.trim_ascii().is_empty() {
                return Err(HandshakeError::Extension);
            } else if is("sec-websocket-protocol") {
                return Err(HandshakeError::Subprotocol);
            }
        }
        match (upgrade, connection, accept) {
            (false, _, _) => Err(HandshakeError::Upgrade),
            (_, false, _) => Err(HandshakeError::Connection),
            (_, _, Some(true)) => Ok(()),
            (_, _, Some(false) | None) => Err(HandshakeError::Accept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nonce of RFC 6455 section 1.3.
    const NONCE: [u8; 16] = *b"the sample nonce";
    const ACCEPT: (&str, &str) = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const UPGRADE: (&str, &str) = ("Upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("Connection", "Upgrade");

    fn check(status: u16, headers: &[(&str, &str)]) -> Result<(), HandshakeError> {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        ClientHandshake::new(NONCE).check(status, headers)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let handshake = ClientHandshake::new(NONCE);
        assert!(handshake.headers().contains(&("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")));
        assert_eq!(check(101, &[UPGRADE, CONNECTION, ACCEPT]), Ok(()));
        let other_case = [("UPGRADE", "WebSocket"), ("connection", "keep-alive, upgrade"), ACCEPT];
        assert_eq!(check(101, &other_case), Ok(()));
    }

    #[test]
    fn each_rule_has_its_error() {
        let extension = ("Sec-WebSocket-Extensions", "permessage-deflate");
        type Row<'a> = (u16, &'a [(&'a str, &'a str)], HandshakeError);
        let rows: &[Row<'_>] = &[
            (200, &[UPGRADE, CONNECTION, ACCEPT], HandshakeError::Status(200)),
            (101, &[CONNECTION, ACCEPT], HandshakeError::Upgrade),
            (101, &[("Upgrade", "h2c"), CONNECTION, ACCEPT], HandshakeError::Upgrade),
            (101, &[UPGRADE, ACCEPT], HandshakeError::Connection),
            (101, &[UPGRADE, ("Connection", "close"), ACCEPT], HandshakeError::Connection),
            (101, &[UPGRADE, CONNECTION], HandshakeError::Accept),
            (101, &[UPGRADE, CONNECTION, ACCEPT, ACCEPT], HandshakeError::Accept),
            (
                101,
                &[UPGRADE, CONNECTION, ("Sec-WebSocket-Accept", "S3PPLMBITXAQ9KYGZZHZRBK+XOO=")],
                HandshakeError::Accept,
            ),
            (101, &[UPGRADE, CONNECTION, ACCEPT, extension], HandshakeError::Extension),
            (
                101,
                &[UPGRADE, CONNECTION, ACCEPT, ("Sec-WebSocket-Protocol", "chat")],
                HandshakeError::Subprotocol,
            ),
        ];
        for (status, headers, error) in rows {
            assert_eq!(check(*status, headers), Err(*error), "{headers:?}");
        }
    }
}
