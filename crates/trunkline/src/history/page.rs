//! A page of events as text: one JSON object, or parts of an event stream.

use std::fmt::Write;

use http::header::HeaderValue;
use serde_json::Value as Json;
use trunkline_proto::sio::Parser;

use crate::log::{Event, Page, Position, Start};

/// What is not kept any more of what was asked for.
struct Gap {
    from: Option<Position>,
    to: Position,
    reason: &'static str,
}

impl Gap {
    fn of(page: &Page, start: Start) -> Option<Self> {
        let (from, reason) = match start {
            _ if !page.gap => return None,
            Start::After(p) if p.epoch == page.next.epoch && p.sequence <= page.next.sequence => {
                (Some(p), "window")
            }
            // Of another server, or of an earlier life of this one: it means nothing here.
            Start::After(_) => (None, "foreign"),
            Start::Oldest | Start::Since(_) | Start::Last(_) => (None, "window"),
        };
        Some(Self { from, to: page.from, reason })
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.from {
            Some(from) => write!(f, "{{\"from\":\"{}\"", from.offset())?,
            None => f.write_str("{\"from\":null")?,
        }
        write!(f, ",\"to\":\"{}\",\"reason\":\"{}\"}}", self.to.offset(), self.reason)
    }
}

/// `{"events": [..], "next": "..", "more": .., "gap": ..}`.
pub(super) fn json(page: &Page, start: Start, parser: Parser) -> String {
    let mut out = String::from("{\"events\":[");
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_event(&mut out, event, parser);
    }
    let _ = write!(out, "],\"next\":\"{}\",\"more\":{},\"gap\":", page.next.offset(), page.more);
    match Gap::of(page, start) {
        Some(gap) => drop(write!(out, "{gap}}}")),
        None => out.push_str("null}"),
    }
    out
}

/// The events as messages of an event stream, each with its position as id; before them the gap, if there is one.
pub(super) fn stream(page: &Page, start: Start, parser: Parser) -> String {
    let mut out = String::new();
    if let Some(gap) = Gap::of(page, start) {
        let _ = write!(out, "event: gap\nid: {}\ndata: {gap}\n\n", gap.to.offset());
    }
    for event in &page.events {
        let _ = write!(out, "id: {}\ndata: ", event.position.offset());
        push_event(&mut out, event, parser);
        out.push_str("\n\n");
    }
    out
}

/// A comment, and the position up to which there was nothing (an id without data sets the reader's position and is no message).
pub(super) fn heartbeat(next: Position) -> String {
    format!(": \nid: {}\n\n", next.offset())
}

fn push_event(out: &mut String, event: &Event, parser: Parser) {
    // What is not an event was not sent by an emit.
    let (name, args) = event.decode(parser).unwrap_or_else(|| (String::new(), "[]".to_owned()));
    let _ = write!(
        out,
        "{{\"position\":\"{}\",\"time\":{},\"event\":{},\"args\":{args}}}",
        event.position.offset(),
        event.time,
        Json::from(name)
    );
}

/// What an answer is known by. The log is only added to: for one address two positions, a number and whether there is more say it all.
pub(super) fn etag(page: &Page) -> HeaderValue {
    let first = page.events.first().map_or(page.next, |event| event.position);
    let gap = if page.gap { "-gap" } else { "" };
    let more = if page.more { "-more" } else { "" };
    let tag = format!("\"{}-{}-{}{gap}{more}\"", first.offset(), page.next.offset(), page.events.len());
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}
