//! JSON strings: what needs an escape, escapes, and the lone surrogates that JavaScript writes and Rust cannot hold.

use std::borrow::Cow;

/// How many bytes from the start on stand for themselves in a JSON string: all before a quote, a backslash or a control
/// character.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    // Short texts end in the first word; for long ones the compiler makes vector instructions of the blocks.
    let mut i = match bytes.first_chunk() {
        Some(word) => match special_bytes(*word) {
            0 => WORD,
            special => return special.trailing_zeros() as usize / 8,
        },
        None => 0,
    };
    while let Some(block) = bytes.get(i..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        if block.iter().fold(false, |any, byte| any | is_special(*byte)) {
            break;
        }
        i += BLOCK;
    }
    while let Some(word) = bytes.get(i..).and_then(|rest| rest.first_chunk()) {
        match special_bytes(*word) {
            0 => i += WORD,
            special => return i + special.trailing_zeros() as usize / 8,
        }
    }
    let rest = bytes.get(i..).unwrap_or_default();
    i + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

const WORD: usize = 8;
const BLOCK: usize = 32;

#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The high bit of each byte that is special. Only the lowest set bit is exact.
#[inline]
fn special_bytes(word: [u8; WORD]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(word);
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & (ONES * 0x80)
}

/// Appends `text` as a JSON string, with serde_json's escapes.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        push_escape(out, *byte);
        rest = after;
    }
    out.push(b'"');
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'"' | b'\\' => byte,
        _ => {
            let digits = [HEX[usize::from(byte >> 4 & 15)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&digits);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// What a JSON string without escapes stands for; `None` for any other value. `json` is valid.
#[inline]
pub(super) fn plain(json: &str) -> Option<&str> {
    let body = json.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', body.as_bytes()).is_none().then_some(body)
}

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
    fn special_bytes_are_found_at_every_place() {
        for len in 0..100 {
            let mut bytes = "aé\u{7f}/z".repeat(20).into_bytes();
            bytes.truncate(len);
            assert_eq!(plain_len(&bytes), len);
            for place in 0..len {
                for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    let mut bytes = bytes.clone();
                    bytes[place] = special;
                    assert_eq!(plain_len(&bytes), place, "{special} of {len}");
                }
            }
        }
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them() {
        let all = (0..0x250).filter_map(char::from_u32).collect::<String>();
        for text in ["", "plain", "é😀\u{2028}", "a long text with \"quotes\" and \\ in it, again: \"", &all]
        {
            let mut out = b"before".to_vec();
            push_string(&mut out, text);
            assert_eq!(out[6..], serde_json::to_vec(text).unwrap());
        }
    }

    #[test]
    fn plain_strings() {
        assert_eq!(plain(r#""""#), Some(""));
        assert_eq!(plain(r#""é😀""#), Some("é😀"));
        for other in [r#""a\n""#, "1", "null", "[\"a\"]", "{\"a\":\"b\"}"] {
            assert_eq!(plain(other), None);
        }
    }

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
