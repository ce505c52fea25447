//! Reading the events of a room, for history.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value as Json;
use trunkline_proto::sio::{self, Value};

use super::{EventLog, Position};
use crate::wire::Packet;

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) room: &'a str,
    pub(crate) start: Start,
    /// Events at most.
    pub(crate) limit: usize,
    /// Bytes at most, about; one event is given, however long.
    pub(crate) bytes: usize,
    /// Whether events are given that were sent with an `except`: who reads may be one of those.
    pub(crate) excepted: bool,
}

/// Where to start reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the first event that there ever was.
    Oldest,
    /// After the event of this position.
    After(Position),
    /// With the first event of this time or later; milliseconds since 1970.
    Since(u64),
    /// With the last so many events.
    Last(usize),
}

/// What a reading gives.
pub(crate) struct Page {
    /// In order.
    pub(crate) events: Vec<Event>,
    /// After which event it starts.
    pub(crate) from: Position,
    /// Where to read on.
    pub(crate) next: Position,
    /// There are more events already.
    pub(crate) more: bool,
    /// Events that were asked for are not kept any more, or the position is none of this log.
    pub(crate) gap: bool,
    /// There are events that are not yet as safe as the log promises.
    pub(crate) held: bool,
}

/// An event of a page; decoded outside of all locks.
pub(crate) struct Event {
    pub(crate) position: Position,
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    pub(crate) packet: Arc<Packet>,
}

impl Event {
    /// The event's name and its arguments as a JSON array, the offset left out. Binary data is `{"base64": ".."}`. `None` for a packet
    /// that is no event.
    pub(crate) fn decode(&self, parser: sio::Parser) -> Option<(String, String)> {
        let limits = sio::Limits { max_attachments: usize::MAX, ..sio::Limits::default() };
        let mut decoder = sio::Decoder::new(parser, limits);
        let bytes = self.packet.message();
        let packet = match parser {
            sio::Parser::Json => decoder.decode_text(std::str::from_utf8(bytes).ok()?).ok()?,
            sio::Parser::Msgpack => decoder.decode_binary(bytes.into()).ok()?,
        };
        if let Some(packet) = packet {
            return of(packet);
        }
        let (last, others) = self.packet.attachments().split_last()?;
        for attachment in others {
            decoder.decode_binary((&attachment[..]).into()).ok()?;
        }
        of(decoder.decode_binary((&last[..]).into()).ok()??)
    }
}

fn of(packet: sio::Packet<'_>) -> Option<(String, String)> {
    let sio::Kind::Event { name, args, .. } = packet.kind else { return None };
    let count = args.len().saturating_sub(1);
    let mut text = String::from("[");
    for arg in args.take(count) {
        if text.len() > 1 {
            text.push(',');
        }
        match arg.as_json().filter(|_| arg.attachments().is_empty()) {
            Some(json) => text.push_str(json),
            None => text.push_str(&plain(arg.deserialize().ok()?).to_string()),
        }
    }
    text.push(']');
    Some((name.into_owned(), text))
}

fn plain(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Number(number) => Json::Number(number),
        Value::String(text) => text.into(),
        Value::Array(elements) => elements.into_iter().map(plain).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        Value::Binary(bytes) => {
            serde_json::json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) })
        }
    }
}

/// The number after which the events of a reading are, and whether there is a gap. "The last" are among all that are kept.
pub(crate) fn begin(log: &dyn EventLog, start: Start) -> (u64, bool) {
    let kept = log.kept();
    let first = kept.oldest() - 1;
    match start {
        Start::Oldest => (first, first > 0),
        Start::After(p) if p.epoch != log.epoch() || p.sequence > kept.latest() => (first, true),
        Start::After(p) => (p.sequence.max(first), p.sequence < first),
        Start::Since(time) => (kept.before(time), kept.lost().is_some_and(|lost| lost >= time)),
        Start::Last(_) => (first, false),
    }
}

/// The events of a room. Events for the whole namespace are not among them, nor is what is not yet as safe as the log promises.
pub(crate) fn read(log: &dyn EventLog, reading: &Reading<'_>) -> Page {
    let Reading { room, start, limit, bytes, excepted } = *reading;
    let (kept, epoch, released) = (log.kept(), log.epoch(), log.released());
    let position = |sequence| Position { epoch, sequence };
    let is_given = |number: &u64| {
        *number <= released
            && kept.get(*number).is_some_and(|record| excepted || record.target.except.is_empty())
    };
    let (mut after, gap) = begin(log, start);
    if let Start::Last(count) = start {
        let last = kept.of_room(room, after).rev().filter(is_given).take(count);
        after = last.last().map_or(released, |number| number - 1);
    }
    let mut page = Page {
        events: Vec::new(),
        from: position(after),
        next: position(released.max(after)),
        more: false,
        gap,
        held: released < kept.latest(),
    };
    let mut size = 0;
    for number in kept.of_room(room, after).filter(is_given) {
        let Some(record) = kept.get(number) else { continue };
        size += record.packet.cost();
        if page.events.len() >= limit || (size > bytes && !page.events.is_empty()) {
            page.more = true;
            page.next = page.events.last().map_or_else(|| position(after), |event| event.position);
            break;
        }
        let (time, packet) = (record.time, Arc::clone(&record.packet));
        page.events.push(Event { position: position(number), time, packet });
    }
    page
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use serde_json::json;
    use trunkline_proto::sio::{Many, Parser};

    use super::super::{Bounds, MemoryLog, Now, PLACEHOLDER};
    use super::*;
    use crate::rooms::Target;
    use crate::wire::{Budget, HEADROOM};

    fn packet<T: serde::Serialize + ?Sized>(parser: Parser, args: &T) -> Arc<Packet> {
        let encoded = sio::encode_event_with_offset(parser, HEADROOM, "/chat", "post", args, PLACEHOLDER);
        Packet::encoded(encoded.unwrap(), true, &Budget::new(usize::MAX))
    }

    /// Events 1 to 6, of room "a" but the third, at 10 ms, 20 ms and so on; the first two are not kept any more.
    fn log() -> MemoryLog {
        let mut log =
            MemoryLog::new(7, Bounds { bytes: usize::MAX, events: 4, age: Duration::from_secs(1000) });
        for number in 1..=6 {
            let room = if number == 3 { "b" } else { "a" };
            let target = Target { rooms: std::iter::once(Arc::from(room)).collect(), ..Target::default() };
            let now = Now { time: number * 10, ..Now::read() };
            drop(log.append(&target, &packet(Parser::Json, &number), now));
        }
        log
    }

    #[test]
    fn a_page_is_of_one_room_and_says_where_to_go_on() {
        let log = log();
        let check = |start, limit, bytes, sequences: &[u64], next, more, gap| {
            let page = read(&log, &Reading { room: "a", start, limit, bytes, excepted: false });
            let found: Vec<_> = page.events.iter().map(|event| event.position.sequence).collect();
            assert_eq!(
                (&*found, page.next, page.more, page.gap),
                (sequences, Position { epoch: 7, sequence: next }, more, gap),
                "{start:?}"
            );
        };
        let after = |sequence| Start::After(Position { epoch: 7, sequence });
        let all = usize::MAX;
        check(after(4), all, all, &[5, 6], 6, false, false);
        check(after(2), all, all, &[4, 5, 6], 6, false, false);
        check(after(1), all, all, &[4, 5, 6], 6, false, true);
        check(after(6), all, all, &[], 6, false, false);
        check(after(7), all, all, &[4, 5, 6], 6, false, true);
        check(Start::After(Position { epoch: 8, sequence: 5 }), all, all, &[4, 5, 6], 6, false, true);
        check(after(2), 2, all, &[4, 5], 5, true, false);
        check(after(2), all, 0, &[4], 4, true, false);
        check(after(2), 0, all, &[], 2, true, false);
        check(Start::Oldest, all, all, &[4, 5, 6], 6, false, true);
        check(Start::Since(20), all, all, &[4, 5, 6], 6, false, true);
        check(Start::Since(21), all, all, &[4, 5, 6], 6, false, false);
        check(Start::Since(45), all, all, &[5, 6], 6, false, false);
        check(Start::Since(50), all, all, &[5, 6], 6, false, false);
        check(Start::Since(99), all, all, &[], 6, false, false);
        check(Start::Last(1), all, all, &[6], 6, false, false);
        check(Start::Last(9), all, all, &[4, 5, 6], 6, false, false);
        check(Start::Last(0), all, all, &[], 6, false, false);
    }

    #[test]
    fn events_are_decoded_without_their_offset() {
        let bytes = sio::Binary(Bytes::from_static(b"\x01\x02"));
        for parser in [Parser::Json, Parser::Msgpack] {
            let decode = |packet| {
                let event = Event { position: Position { epoch: 7, sequence: 1 }, time: 0, packet };
                let (name, args) = event.decode(parser).unwrap();
                (name, serde_json::from_str::<Json>(&args).unwrap())
            };
            assert_eq!(decode(packet(parser, "x")), ("post".to_owned(), json!(["x"])));
            assert_eq!(decode(packet(parser, &())).1, json!([]));
            let two = Many((json!({ "a": [1, null] }), &bytes));
            assert_eq!(decode(packet(parser, &two)).1, json!([{ "a": [1, null] }, { "base64": "AQI=" }]));
            let two = Many((&bytes, &bytes));
            assert_eq!(decode(packet(parser, &two)).1, json!([{ "base64": "AQI=" }, { "base64": "AQI=" }]));
        }
    }
}
