//! What happened, as a line for people or as a line of JSON.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::json;
use trunkline_client::{ConnectError, Value};

use super::text::{Colour, Colours, Json, escape, json_line, shown, timestamp};

/// One thing that is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Report {
    /// The server sent an event.
    Event { name: String, args: Result<Vec<Value>, String>, ack: Option<u64> },
    /// The server answered, or will not.
    Answer { event: String, number: u64, outcome: Result<Vec<Value>, String>, took: Duration },
    /// The namespace was entered.
    Connected { namespace: String, id: String, transport: String, recovered: bool },
    /// The connection goes on by another transport.
    Upgraded { transport: String },
    /// The namespace was left or the connection lost; the reason is in the reference's words.
    Disconnected { reason: String, comes_back: bool },
    /// The server refused, or there is no connection to it.
    ConnectError { message: String, data: Option<serde_json::Value>, comes_back: bool },
    /// The lost connection will be tried again after `delay`; `attempt` counts the tries in a row, from 1.
    Reconnecting { attempt: u32, delay: Duration },
}

impl Report {
    /// Why there is no connection; `comes_back` is whether it is tried again.
    pub(crate) fn connect_error(error: &ConnectError, comes_back: bool) -> Self {
        let data = match error {
            ConnectError::Refused { data, .. } => data.clone(),
            _ => None,
        };
        Self::ConnectError { message: error.to_string(), data, comes_back }
    }

    /// Whether the socket is lost and will not come back by itself.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Disconnected { comes_back: false, .. } | Self::ConnectError { comes_back: false, .. }
        )
    }

    /// The line for a program.
    pub(crate) fn json(&self, now: SystemTime) -> String {
        let mut line = Line(vec![("time", json!(timestamp(now)))]);
        match self {
            Self::Event { name, args, ack } => {
                line.add("event", name);
                line.add_values(args);
                line.add_some("ack", ack.as_ref());
            }
            Self::Answer { event, number, outcome, took } => {
                line.add("answer", event);
                line.add("number", number);
                line.add_values(outcome);
                line.add("ms", &((took.as_secs_f64() * 1e6).round() / 1e3));
            }
            Self::Connected { namespace, id, transport, recovered } => {
                line.add("status", "connected");
                line.add("namespace", namespace);
                line.add("id", id);
                line.add("transport", transport);
                line.add("recovered", recovered);
            }
            Self::Upgraded { transport } => {
                line.add("status", "upgraded");
                line.add("transport", transport);
            }
            Self::Disconnected { reason, comes_back } => {
                line.add("status", "disconnected");
                line.add("reason", reason);
                line.add("reconnecting", comes_back);
            }
            Self::ConnectError { message, data, comes_back } => {
                line.add("status", "connect_error");
                line.add("message", message);
                line.add_some("data", data.as_ref());
                line.add("reconnecting", comes_back);
            }
            Self::Reconnecting { attempt, delay } => {
                line.add("status", "reconnecting");
                line.add("attempt", attempt);
                line.add("delay_ms", &u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            }
        }
        json_line(&line)
    }

    /// The line for people.
    pub(crate) fn line(&self, now: SystemTime, colours: Colours) -> String {
        let text = match self {
            Self::Event { name, args, ack } => {
                let ack = ack.map(|n| colours.paint(Colour::Number, &format!("  #{n}: answer {n} VALUE")));
                let name = colours.paint(Colour::Name, &escape(name));
                format!("{name}{}{}", values(args, colours), ack.unwrap_or_default())
            }
            Self::Answer { event, outcome, took, .. } => {
                let name = colours.paint(Colour::Name, &escape(event));
                let took = colours.paint(Colour::Faint, &format!("{:.1} ms", took.as_secs_f64() * 1e3));
                format!("{name} answered{} {took}", values(outcome, colours))
            }
            other => {
                let colour = match other {
                    Self::Connected { .. } | Self::Upgraded { .. } => Colour::Good,
                    _ => Colour::Bad,
                };
                colours.paint(colour, &other.life())
            }
        };
        format!("{} {text}", colours.paint(Colour::Faint, clock(&timestamp(now))))
    }

    /// What happened to the connection, in words; nothing for events and answers.
    pub(crate) fn life(&self) -> String {
        match self {
            Self::Event { .. } | Self::Answer { .. } => String::new(),
            Self::Connected { namespace, id, transport, recovered } => {
                let again = if *recovered { ", recovered" } else { "" };
                format!("connected to {} as {} by {transport}{again}", escape(namespace), escape(id))
            }
            Self::Upgraded { transport } => format!("upgraded to {transport}"),
            Self::Disconnected { reason, comes_back } => {
                let next = if *comes_back { "; reconnecting" } else { "" };
                format!("disconnected: {}{next}", escape(reason))
            }
            Self::ConnectError { message, data, .. } => {
                let data = data.as_ref().map(|data| format!(" {}", json_line(data)));
                format!("connect error: {}{}", escape(message), data.unwrap_or_default())
            }
            Self::Reconnecting { attempt, delay } => {
                format!("reconnecting in {:.1} s, attempt {attempt}", delay.as_secs_f64())
            }
        }
    }
}

/// The values, each after a space.
fn values(values: &Result<Vec<Value>, String>, colours: Colours) -> String {
    match values {
        Ok(values) => values.iter().map(|value| format!(" {}", shown(value, colours))).collect(),
        Err(error) => colours.paint(Colour::Bad, &format!(": {}", escape(error))),
    }
}

/// The time of day of a timestamp.
fn clock(timestamp: &str) -> &str {
    timestamp.split_once('T').map_or(timestamp, |(_, clock)| clock)
}

/// An object whose members stay in order.
struct Line(Vec<(&'static str, serde_json::Value)>);

impl Line {
    fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.0.push((name, json!(value)));
    }

    fn add_some(&mut self, name: &'static str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn add_values(&mut self, values: &Result<Vec<Value>, String>) {
        match values {
            Ok(values) => self.add("args", &values.iter().map(Json).collect::<Vec<_>>()),
            Err(error) => self.add("error", error),
        }
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn check(report: &Report, json: &str, line: &str) {
        let time = "{\"time\":\"1970-01-01T00:00:00.000Z\",";
        assert_eq!(report.json(UNIX_EPOCH), format!("{time}{json}}}"));
        assert_eq!(report.line(UNIX_EPOCH, Colours(false)), format!("00:00:00.000Z {line}"));
    }

    #[test]
    fn events_and_answers() {
        let args = vec![Value::from("a\u{1b}"), Value::Binary(b"\x01"[..].into())];
        check(
            &Report::Event { name: "po\u{1b}st".into(), args: Ok(args), ack: Some(3) },
            r#""event":"po\u001bst","args":["a\u001b",{"$binary":{"base64":"AQ==","size":1}}],"ack":3"#,
            r#"po\u001bst "a\u001b" <1 bytes 01>  #3: answer 3 VALUE"#,
        );
        let took = Duration::from_micros(1_234);
        check(
            &Report::Answer { event: "join".into(), number: 2, outcome: Ok(vec![1.into()]), took },
            r#""answer":"join","number":2,"args":[1],"ms":1.234"#,
            "join answered 1 1.2 ms",
        );
        check(
            &Report::Answer { event: "join".into(), number: 2, outcome: Err("no\n".into()), took },
            r#""answer":"join","number":2,"error":"no\n","ms":1.234"#,
            "join answered: no\\u000a 1.2 ms",
        );
    }

    #[test]
    fn the_life_of_a_connection() {
        let (namespace, id, transport) = ("/a".to_owned(), "i".to_owned(), "polling".to_owned());
        check(
            &Report::Connected { namespace, id, transport, recovered: true },
            r#""status":"connected","namespace":"/a","id":"i","transport":"polling","recovered":true"#,
            "connected to /a as i by polling, recovered",
        );
        check(
            &Report::Disconnected { reason: "ping timeout".into(), comes_back: true },
            r#""status":"disconnected","reason":"ping timeout","reconnecting":true"#,
            "disconnected: ping timeout; reconnecting",
        );
        let data = Some(json!({ "code": 7 }));
        check(
            &Report::ConnectError { message: "no\u{9b}".into(), data, comes_back: false },
            r#""status":"connect_error","message":"no\u009b","data":{"code":7},"reconnecting":false"#,
            r#"connect error: no\u009b {"code":7}"#,
        );
        check(
            &Report::Reconnecting { attempt: 2, delay: Duration::from_millis(1_250) },
            r#""status":"reconnecting","attempt":2,"delay_ms":1250"#,
            "reconnecting in 1.2 s, attempt 2",
        );
    }
}
