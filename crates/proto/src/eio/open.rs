//! The `open` packet as a client reads it: every field checked before anything relies on it.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::TransportKind;

/// What the server said when it opened the session (engine.io-protocol v4, "Handshake").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// The session's id, the secret that every later request names: 1 to [`MAX_SID`] visible ASCII characters.
    pub sid: Box<str>,
    /// Whether the session may move to WebSocket. Names of other transports are ignored.
    pub upgrades_to_websocket: bool,
    /// From one ping of the server to the next: 1 ms to [`MAX_PERIOD`].
    pub ping_interval: Duration,
    /// How late a ping may come: 1 ms to [`MAX_PERIOD`].
    pub ping_timeout: Duration,
    /// Bytes of a POST body that the server takes; `None` if it did not say (engine.io before 6.2).
    pub max_payload: Option<usize>,
}

/// Why the data of an `open` packet opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OpenError {
    /// More than 16 KiB.
    #[error("the open packet is too long")]
    TooLong,
    /// No JSON object, a field is missing, or it has another type.
    #[error("the open packet is not the JSON object that it must be")]
    Malformed,
    /// `sid` is empty, too long, or holds other characters than visible ASCII.
    #[error("the open packet's sid is invalid")]
    InvalidSid,
    /// `upgrades` names more transports than there can be.
    #[error("the open packet offers too many upgrades")]
    TooManyUpgrades,
    /// `pingInterval` or `pingTimeout` is zero or beyond [`MAX_PERIOD`].
    #[error("the open packet's heartbeat is out of range")]
    InvalidHeartbeat,
    /// `maxPayload` is zero.
    #[error("the open packet's maxPayload is zero")]
    InvalidMaxPayload,
}

impl Open {
    /// Reads the data behind the packet's type. Fields that are not known are ignored.
    ///
    /// # Errors
    /// The first field that is out of place.
    pub fn parse(json: &str) -> Result<Self, OpenError> {
        if json.len() > MAX_OPEN {
            return Err(OpenError::TooLong);
        }
        let fields: Fields<'_> = serde_json::from_str(json).map_err(|_| OpenError::Malformed)?;
        if fields.upgrades.len() > MAX_UPGRADES {
            return Err(OpenError::TooManyUpgrades);
        }
        let is_valid_sid = !fields.sid.is_empty()
            && fields.sid.len() <= MAX_SID
            && fields.sid.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_valid_sid {
            return Err(OpenError::InvalidSid);
        }
        let max_payload = match fields.max_payload {
            Some(0) => return Err(OpenError::InvalidMaxPayload),
            // More than this machine can address is no limit.
            Some(bytes) => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
            None => None,
        };
        Ok(Self {
            sid: fields.sid.into_owned().into_boxed_str(),
            upgrades_to_websocket: fields
                .upgrades
                .iter()
                .any(|name| TransportKind::from_name(name) == Some(TransportKind::WebSocket)),
            ping_interval: period(fields.ping_interval)?,
            ping_timeout: period(fields.ping_timeout)?,
            max_payload,
        })
    }
}

/// The longest sid that is accepted, in bytes. Those of known servers have 16 to 40.
pub const MAX_SID: usize = 256;

/// The longest interval or timeout that is accepted, 24.8 days: the longest timer that the reference can set.
pub const MAX_PERIOD: Duration = Duration::from_millis(i32::MAX as u64);

fn period(millis: u64) -> Result<Duration, OpenError> {
    let period = Duration::from_millis(millis);
    if period.is_zero() || period > MAX_PERIOD { Err(OpenError::InvalidHeartbeat) } else { Ok(period) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    sid: std::borrow::Cow<'a, str>,
    upgrades: Vec<std::borrow::Cow<'a, str>>,
    ping_interval: u64,
    ping_timeout: u64,
    max_payload: Option<u64>,
}

/// Bytes of the whole packet: some hundred are usual.
const MAX_OPEN: usize = 16 * 1024;
/// There are three transports; room for those to come.
const MAX_UPGRADES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eio::open_packet;

    #[test]
    fn what_a_server_writes_is_read() {
        let mut packet = Vec::new();
        open_packet(&mut packet, "a_sid-1", &[TransportKind::WebSocket], 25_000, 20_000, 1_000_000);
        let json = std::str::from_utf8(&packet[1..]).expect("JSON is text");
        assert_eq!(
            Open::parse(json),
            Ok(Open {
                sid: "a_sid-1".into(),
                upgrades_to_websocket: true,
                ping_interval: Duration::from_secs(25),
                ping_timeout: Duration::from_secs(20),
                max_payload: Some(1_000_000),
            })
        );
    }

    #[test]
    fn an_old_server_names_no_limit_and_a_new_one_other_upgrades() {
        let json =
            r#"{"sid":"a","upgrades":["webtransport"],"pingInterval":1,"pingTimeout":2147483647,"new":{}}"#;
        let open = Open::parse(json).expect("valid");
        assert_eq!((open.max_payload, open.upgrades_to_websocket), (None, false));
        assert_eq!(open.ping_timeout, MAX_PERIOD);
    }

    #[test]
    fn every_field_is_checked() {
        let open = |sid: &str, upgrades: &str, interval: &str, timeout: &str, payload: &str| {
            Open::parse(&format!(
                r#"{{"sid":{sid},"upgrades":{upgrades},"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{payload}}}"#
            ))
            .map(drop)
        };
        let many = format!("[{}]", vec!["\"x\""; 17].join(","));
        let long = format!("\"{}\"", "a".repeat(MAX_SID + 1));
        let rows = [
            ("\"a\"", "[]", "1", "1", "1", Ok(())),
            ("\"\"", "[]", "1", "1", "1", Err(OpenError::InvalidSid)),
            (&long, "[]", "1", "1", "1", Err(OpenError::InvalidSid)),
            (r#""a\r\nb""#, "[]", "1", "1", "1", Err(OpenError::InvalidSid)),
            (r#""a b""#, "[]", "1", "1", "1", Err(OpenError::InvalidSid)),
            (r#""é""#, "[]", "1", "1", "1", Err(OpenError::InvalidSid)),
            ("1", "[]", "1", "1", "1", Err(OpenError::Malformed)),
            ("\"a\"", "\"websocket\"", "1", "1", "1", Err(OpenError::Malformed)),
            ("\"a\"", &many, "1", "1", "1", Err(OpenError::TooManyUpgrades)),
            ("\"a\"", "[]", "0", "1", "1", Err(OpenError::InvalidHeartbeat)),
            ("\"a\"", "[]", "1", "2147483648", "1", Err(OpenError::InvalidHeartbeat)),
            ("\"a\"", "[]", "18446744073709551615", "1", "1", Err(OpenError::InvalidHeartbeat)),
            ("\"a\"", "[]", "-1", "1", "1", Err(OpenError::Malformed)),
            ("\"a\"", "[]", "1e400", "1", "1", Err(OpenError::Malformed)),
            ("\"a\"", "[]", "1", "\"1\"", "1", Err(OpenError::Malformed)),
            ("\"a\"", "[]", "1", "1", "0", Err(OpenError::InvalidMaxPayload)),
            ("\"a\"", "[]", "1", "1", "-1", Err(OpenError::Malformed)),
        ];
        for (sid, upgrades, interval, timeout, payload, expected) in rows {
            assert_eq!(
                open(sid, upgrades, interval, timeout, payload),
                expected,
                "{sid} {interval} {timeout}"
            );
        }
        for json in ["", "{}", "[]", "null", "{\"sid\":\"a\"", "\u{0}"] {
            assert_eq!(Open::parse(json), Err(OpenError::Malformed), "{json:?}");
        }
        assert_eq!(Open::parse(&" ".repeat(MAX_OPEN + 1)), Err(OpenError::TooLong));
    }
}
