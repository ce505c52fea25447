//! Polling through a script tag: responses are JavaScript calls, requests are forms.

use super::{Violation, urlencoded};

/// Wraps a payload into `___eio[<index>]("<payload>");`. Only the digits of `index` (the `j` of the query)
/// are used, so nothing else of a request reaches the script. The content type is `text/javascript;
/// charset=UTF-8`.
pub fn response(index: &str, payload: &str) -> String {
    // Serialising a string cannot fail; an empty string is a payload that a client refuses.
    let json = serde_json::to_string(payload).unwrap_or_else(|_| String::from("\"\""));
    let mut out = String::with_capacity(json.len() + 24);
    out.push_str("___eio[");
    out.extend(index.chars().filter(char::is_ascii_digit));
    out.push_str("](");
    for character in json.chars() {
        match character {
            // Line ends in JavaScript before ES2019, though not in JSON.
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            _ => out.push(character),
        }
    }
    out.push_str(");");
    out
}

/// Reads the payload from a form `d=<payload>`, undoing the newline escapes that clients add against
/// browsers that change line ends in forms: `\n` is a newline, `\\n` is the text `\n` (reference server:
/// `polling-jsonp`).
pub fn decode_post(body: &[u8]) -> Result<String, Violation> {
    let mut fields = urlencoded::pairs(body).filter(|(name, _)| **name == *b"d");
    let (_, value) = fields.next().ok_or(Violation::BadJsonpBody)?;
    if fields.next().is_some() {
        return Err(Violation::BadJsonpBody);
    }
    String::from_utf8(unescape(&value)).map_err(|_| Violation::InvalidUtf8)
}

fn unescape(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match *escape {
            [b'\\', b'n', ref tail @ ..] => {
                out.push(b'\n');
                tail
            }
            [b'\\', b'\\', b'n', ref tail @ ..] => {
                out.extend_from_slice(b"\\n");
                tail
            }
            [backslash, ref tail @ ..] => {
                out.push(backslash);
                tail
            }
            [] => escape,
        };
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_safe_scripts() {
        assert_eq!(response("0", "4hello"), r#"___eio[0]("4hello");"#);
        assert_eq!(response("1a);alert(2", "x"), r#"___eio[12]("x");"#);
        assert_eq!(response("", "a\"\\\n\u{2028}\u{2029}é"), "___eio[](\"a\\\"\\\\\\n\\u2028\\u2029é\");");
    }

    #[test]
    fn posts_are_unescaped_once() {
        for (body, payload) in [
            ("d=4hello", "4hello"),
            ("d=4a%5Cnb", "4a\nb"),
            ("d=4a%5C%5Cnb", "4a\\nb"),
            ("d=4a%5C%5C%5Cnb", "4a\\\\nb"),
            ("d=4a%5Cb%5C", "4a\\b\\"),
            ("d=4a%0Ab+c", "4a\nb c"),
            ("x=1&d=4%e2%82%ac", "4€"),
            ("d=", ""),
        ] {
            assert_eq!(decode_post(body.as_bytes()).as_deref(), Ok(payload), "{body}");
        }
    }

    #[test]
    fn posts_need_one_field() {
        for body in ["", "4hello", "e=4", "d=1&d=2"] {
            assert_eq!(decode_post(body.as_bytes()), Err(Violation::BadJsonpBody), "{body}");
        }
        assert_eq!(decode_post(b"d=%ff"), Err(Violation::InvalidUtf8));
    }
}
