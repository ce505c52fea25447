//! JSON string bodies: escapes, and the lone surrogates that JavaScript writes and Rust cannot hold.

use std::borrow::Cow;

/// The text that the body of a JSON string stands for (without the quotes, already validated). A lone
/// surrogate becomes U+FFFD.
pub(super) fn unescape(body: &str) -> Cow<'_, str> {
    let Some(mut next) = memchr::memchr(b'\\', body.as_bytes()) else { return Cow::Borrowed(body) };
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    loop {
        out.push_str(&rest[..next]);
        let (c, len) = escape(&rest[next..]);
        out.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = rest.get(next + len..).unwrap_or_default();
        match memchr::memchr(b'\\', rest.as_bytes()) {
            Some(found) => next = found,
            None => break,
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The same JSON with each lone surrogate escape replaced by `\ufffd`, or `None` if there is none.
/// `json` is valid, so every backslash starts an escape inside a string.
pub(super) fn replace_lone_surrogates(json: &str) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut i) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', json.get(i..)?.as_bytes()) {
        i += found;
        let (c, len) = escape(&json[i..]);
        if c.is_none() {
            out.push_str(&json[copied..i]);
            out.push_str("\\ufffd");
            copied = i + len;
        }
        i += len;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&json[copied..]);
    Some(out)
}

/// The character of the escape that `text` starts with (`None`: a lone surrogate) and the bytes it takes.
fn escape(text: &str) -> (Option<char>, usize) {
    let c = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(text),
        Some(&other) => char::from(other),
        None => return (None, text.len()),
    };
    (Some(c), 2)
}

fn unicode_escape(text: &str) -> (Option<char>, usize) {
    let Some(first) = hex(text, 2) else { return (None, text.len()) };
    if (0xd800..0xdc00).contains(&first)
        && text.get(6..8) == Some("\\u")
        && let Some(second @ 0xdc00..0xe000) = hex(text, 8)
    {
        return (char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)), 12);
    }
    (char::from_u32(first), 6)
}

fn hex(text: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(text.get(at..at + 4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape("plain é"), "plain é");
        assert!(matches!(unescape("plain"), Cow::Borrowed(_)));
        assert_eq!(unescape(r#"\"\\\/\b\f\n\r\t\u0041\u00e9"#), "\"\\/\u{8}\u{c}\n\r\tAé");
        assert_eq!(unescape(r"a\ud83d\ude00b"), "a😀b");
    }

    #[test]
    fn lone_surrogates() {
        assert_eq!(unescape(r"a\ud800b\udc00"), "a\u{fffd}b\u{fffd}");
        assert_eq!(unescape(r"\ud800\ud83d\ude00"), "\u{fffd}😀");
        assert_eq!(replace_lone_surrogates(r#"["a\n\ud83d\ude00"]"#), None);
        assert_eq!(
            replace_lone_surrogates(r#"["\ud800","\\ud800",{"\udfff":1}]"#).as_deref(),
            Some(r#"["\ufffd","\\ud800",{"\ufffd":1}]"#)
        );
    }
}
