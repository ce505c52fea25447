//! Which room of which namespace a path names.

use percent_encoding::percent_decode_str;

/// A room and its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) namespace: String,
    pub(crate) room: String,
}

impl Address {
    /// `history/<namespace>/rooms/<room>/events`, where `rest` is what follows the server's path and a slash. The namespace may have
    /// several parts, `/` has none; a slash in the room's name is written `%2F`.
    pub(crate) fn parse(rest: &str) -> Option<Self> {
        // From the end: each of these names may be part of a namespace's.
        let rest = rest.strip_prefix("history/")?.strip_suffix("/events")?;
        let (before, room) = rest.rsplit_once('/')?;
        let namespace = match before {
            "rooms" => "",
            _ => before.strip_suffix("/rooms")?,
        };
        let decode = |text| percent_decode_str(text).decode_utf8().ok();
        let (namespace, room) = (decode(namespace)?, decode(room)?);
        (!room.is_empty()).then(|| Self { namespace: format!("/{namespace}"), room: room.into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_room() {
        let check = |path: &str, expected: Option<(&str, &str)>| {
            let found = Address::parse(path);
            let found = found.as_ref().map(|address| (&*address.namespace, &*address.room));
            assert_eq!(found, expected, "{path}");
        };
        check("history/rooms/lobby/events", Some(("/", "lobby")));
        check("history/chat/rooms/lobby/events", Some(("/chat", "lobby")));
        check("history/orders/5/rooms/a%2Fb%20%C3%A9/events", Some(("/orders/5", "a/b é")));
        check("history/a/rooms/b/events/rooms/x/events", Some(("/a/rooms/b/events", "x")));
        check("history/rooms/rooms/rooms/events", Some(("/rooms", "rooms")));
        check("history/a%2Fb/rooms/x/events", Some(("/a/b", "x")));
        for none in [
            "history/rooms//events",
            "history/rooms/lobby",
            "history/rooms/lobby/events/",
            "history/chat/room/lobby/events",
            "history/chatrooms/lobby/events",
            "history/rooms/%FF/events",
            "history/events",
            "rooms/lobby/events",
            "",
        ] {
            check(none, None);
        }
    }
}
