//! What a server sent, as text that is safe to print: nothing in it can drive the terminal.

use std::fmt::Write;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;
use trunkline_client::Value;

use super::args::BINARY;

/// A value as JSON; binary data as `{"$binary":{"size":…,"base64":"…"}}`.
#[derive(Debug)]
pub(crate) struct Json<'a>(pub(crate) &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(elements) => serializer.collect_seq(elements.iter().map(Json)),
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(key, value)| (key, Json(value))))
            }
            Value::Binary(bytes) => {
                let mut object = serializer.serialize_map(Some(1))?;
                let binary = serde_json::json!({ "size": bytes.len(), "base64": STANDARD.encode(bytes) });
                object.serialize_entry(BINARY, &binary)?;
                object.end()
            }
        }
    }
}

/// One line of JSON, without its end. Characters that are hidden or drive terminals are escaped.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Visible);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&line).into_owned(),
        // Neither a `Vec` nor the values of an event fail.
        Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
    }
}

/// Text with what is hidden or drives terminals as `\u001b`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether people are to see colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours(pub(crate) bool);

/// The meaning of a colour.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Colour {
    Name,
    Text,
    Number,
    Binary,
    Faint,
    Good,
    Bad,
}

impl Colours {
    /// Text in a colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Name => "1;36",
            Colour::Text | Colour::Good => "32",
            Colour::Number => "33",
            Colour::Binary => "35",
            Colour::Faint => "2",
            Colour::Bad => "31",
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A value for people: JSON, but for binary data (size and hex) and long texts, which are cut.
pub(crate) fn shown(value: &Value, colours: Colours) -> String {
    let list = |open: &str, parts: Vec<String>, close: &str| format!("{open}{}{close}", parts.join(", "));
    match value {
        Value::Null => colours.paint(Colour::Faint, "null"),
        Value::Bool(value) => colours.paint(Colour::Number, &value.to_string()),
        Value::Number(number) => colours.paint(Colour::Number, &number.to_string()),
        Value::String(text) => shown_text(text, colours),
        Value::Array(elements) => {
            list("[", elements.iter().map(|element| shown(element, colours)).collect(), "]")
        }
        Value::Object(members) => {
            let member =
                |(key, value): (&String, &Value)| format!("{}: {}", json_line(key), shown(value, colours));
            list("{", members.iter().map(member).collect(), "}")
        }
        Value::Binary(bytes) => {
            let mut text = format!("<{} bytes", bytes.len());
            for byte in bytes.iter().take(SHOWN_BYTES) {
                let _ = write!(text, " {byte:02x}");
            }
            text.push_str(if bytes.len() > SHOWN_BYTES { " …>" } else { ">" });
            colours.paint(Colour::Binary, &text)
        }
    }
}

fn shown_text(text: &str, colours: Colours) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => colours.paint(Colour::Text, &json_line(&text)),
        Some((end, _)) => {
            let start = text.get(..end).unwrap_or_default();
            let start = colours.paint(Colour::Text, &json_line(&start));
            format!("{start}{}", colours.paint(Colour::Faint, &format!("… ({} bytes)", text.len())))
        }
    }
}

/// A point in time as RFC 3339 has it, in UTC with milliseconds: `2026-01-31T23:59:59.123Z`.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The Gregorian date so many days after 1970-01-01: years are counted from March, so that the leap day is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097); // 400 years
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, date)
}

/// Escapes, beside what JSON escapes, all that is not seen as itself.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.chars().any(is_hidden) {
            writer.write_all(escape(fragment).as_bytes())
        } else {
            writer.write_all(fragment.as_bytes())
        }
    }
}

/// Control characters of ASCII and Latin-1 (C1 drives terminals too), line and paragraph separators, and the marks that
/// turn the direction of text, with which a line can be made to look like another one.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What is shown of binary data, in bytes.
const SHOWN_BYTES: usize = 32;
/// What is shown of a text.
const SHOWN_CHARS: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}2J\u{7f}\r\n\u{202e}b\u{e000}\"";
        let json = json_line(&hostile);
        assert_eq!(json, "\"a\\u001b[2J\\u009b2J\\u007f\\r\\n\\u202eb\u{e000}\\\"\"");
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), hostile);
        assert!(!escape(hostile).chars().any(char::is_control));
        let object: Value = [(hostile, hostile)].into_iter().collect();
        assert!(!shown(&object, Colours(false)).chars().any(char::is_control));
    }

    #[test]
    fn values_for_people_and_for_programs() {
        let value: Value = [
            ("a", Value::from(vec![Value::from(1), Value::Null])),
            ("b", Value::Binary(b"\x00\xff"[..].into())),
        ]
        .into_iter()
        .collect();
        assert_eq!(shown(&value, Colours(false)), r#"{"a": [1, null], "b": <2 bytes 00 ff>}"#);
        assert_eq!(json_line(&Json(&value)), r#"{"a":[1,null],"b":{"$binary":{"base64":"AP8=","size":2}}}"#);
        assert_eq!(shown(&"x".into(), Colours(true)), "\x1b[32m\"x\"\x1b[0m");
    }

    #[test]
    fn what_is_long_is_cut() {
        let text = shown(&"ä".repeat(SHOWN_CHARS + 1).into(), Colours(false));
        assert!(text.ends_with("ä\"… (4002 bytes)"), "{text}");
        let bytes = shown(&Value::Binary(vec![7; SHOWN_BYTES + 1].into()), Colours(false));
        assert!(bytes.starts_with("<33 bytes 07") && bytes.ends_with("07 …>"), "{bytes}");
    }

    #[test]
    fn timestamps() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }
}
