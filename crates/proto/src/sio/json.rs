//! One pass over a JSON payload: the grammar of RFC 8259 without recursion, the pieces of the array found.

use std::ops::Range;

use super::Violation;
use super::json_text;

/// What the scan learned about a payload. All offsets are into the scanned text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    /// The value without whitespace around it; its first byte tells its type.
    pub value: Range<usize>,
    /// The first element if the value is an array with elements.
    pub first: Option<Range<usize>>,
    /// Where the second element (with the whitespace before it) starts, or the closing bracket if there is
    /// none.
    pub second: usize,
    /// Number of elements if the value is an array, else 0.
    pub len: usize,
}

/// No payload may nest deeper, whatever the limits say: the stack of the scan is the 128 bits of an integer,
/// and the JSON deserializer stops there too.
pub(super) const MAX_DEPTH: usize = 128;

/// Validates `text[start..]`, which must be one JSON value with optional whitespace around it.
///
/// With `CHECK`, every object with `"_placeholder": true` must have a `num` that is an integer below
/// `attachments`. Lone surrogates as `\uXXXX` are accepted, as JavaScript produces them (RFC 8259 section
/// 8.2).
pub(super) fn scan<const CHECK: bool>(
    text: &str,
    start: usize,
    max_depth: usize,
    attachments: usize,
) -> Result<Payload, Violation> {
    const BAD: Violation = Violation::InvalidJson;
    let bytes = text.as_bytes();
    let max_depth = max_depth.min(MAX_DEPTH);
    // Bit 0 is the innermost container: 1 for an object, 0 for an array.
    let mut objects: u128 = 0;
    let mut depth = 0;
    let mut placeholders = Placeholders { frames: [0; MAX_DEPTH + 1], attachments };

    let mut i = skip_whitespace(bytes, start);
    let begin = i;
    let top_is_array = bytes.get(i) == Some(&b'[');
    let mut payload = Payload { value: begin..begin, first: None, second: 0, len: 0 };
    let mut element = 0;

    'value: loop {
        i = skip_whitespace(bytes, i);
        let value = i;
        if depth == 1 {
            element = value;
        }
        match *bytes.get(i).ok_or(BAD)? {
            b'"' => i = skip_string(bytes, i + 1).ok_or(BAD)?,
            open @ (b'{' | b'[') => {
                if depth == max_depth {
                    return Err(Violation::TooDeep);
                }
                if CHECK {
                    placeholders.value(depth, b"");
                    placeholders.open(depth + 1);
                }
                depth += 1;
                let object = open == b'{';
                objects = objects << 1 | u128::from(object);
                i = skip_whitespace(bytes, i + 1);
                let close = if object { b'}' } else { b']' };
                if bytes.get(i) != Some(&close) {
                    if depth == 1 && !object {
                        payload.len = 1;
                    }
                    if object {
                        let end = skip_key(bytes, i).ok_or(BAD)?;
                        if CHECK {
                            placeholders.key(depth, &text[i..end.0]);
                        }
                        i = end.1;
                    }
                    continue 'value;
                }
                // An empty container: closed by the loop below.
            }
            b't' => i = skip_literal(bytes, i, b"true").ok_or(BAD)?,
            b'f' => i = skip_literal(bytes, i, b"false").ok_or(BAD)?,
            b'n' => i = skip_literal(bytes, i, b"null").ok_or(BAD)?,
            _ => i = skip_number(bytes, i).ok_or(BAD)?,
        }
        if CHECK && i > value && !matches!(bytes[value], b'{' | b'[') {
            placeholders.value(depth, &bytes[value..i]);
        }
        // A value has ended (or an empty container waits for its bracket): close what closes here.
        loop {
            if depth == 1 && top_is_array && payload.first.is_none() && payload.len == 1 {
                payload.first = Some(element..i);
                payload.second = skip_whitespace(bytes, i);
            }
            if depth == 0 {
                break 'value;
            }
            i = skip_whitespace(bytes, i);
            let object = objects & 1 == 1;
            match *bytes.get(i).ok_or(BAD)? {
                // A comma right after an opening bracket never gets here: that bracket was followed by
                // `continue`.
                b',' => {
                    i += 1;
                    if depth == 1 && top_is_array {
                        payload.len += 1;
                        if payload.len == 2 {
                            payload.second = i;
                        }
                    }
                    if object {
                        i = skip_whitespace(bytes, i);
                        let end = skip_key(bytes, i).ok_or(BAD)?;
                        if CHECK {
                            placeholders.key(depth, &text[i..end.0]);
                        }
                        i = end.1;
                    }
                    continue 'value;
                }
                b'}' if object => {
                    if CHECK && !placeholders.closes_well(depth) {
                        return Err(Violation::IllegalPlaceholder);
                    }
                }
                b']' if !object => {}
                _ => return Err(BAD),
            }
            i += 1;
            depth -= 1;
            objects >>= 1;
        }
    }
    payload.value = begin..i;
    if payload.first.is_none() && top_is_array {
        payload.second = i - 1;
    }
    if skip_whitespace(bytes, i) != bytes.len() {
        return Err(BAD);
    }
    Ok(payload)
}

/// The end of the value that starts at `i`, in text that [`scan`] has accepted.
pub(super) fn skip_valid_value(bytes: &[u8], mut i: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'"' => i = skip_valid_string(bytes, i + 1),
            b'{' | b'[' => {
                depth += 1;
                i += 1;
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                i += 1;
            }
            b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth > 0 => {
                i += 1;
                continue;
            }
            b',' | b'}' | b']' => break,
            _ => {
                let rest = &bytes[i..];
                i += rest.iter().position(|b| b",]} \n\r\t".contains(b)).unwrap_or(rest.len());
            }
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The first offset from `i` on that is no JSON whitespace.
#[inline]
pub(super) fn skip_whitespace(bytes: &[u8], mut i: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(i) {
        i += 1;
    }
    i
}

fn skip_valid_string(bytes: &[u8], mut i: usize) -> usize {
    while let Some(found) = bytes.get(i..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        i += found;
        if bytes[i] == b'"' {
            return i + 1;
        }
        i += 2;
    }
    bytes.len()
}

/// The offset after the closing quote; `i` is after the opening one.
#[inline]
fn skip_string(bytes: &[u8], mut i: usize) -> Option<usize> {
    loop {
        i += json_text::plain_len(bytes.get(i..)?);
        match *bytes.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' => i = skip_escape(bytes, i + 1)?,
            // A control character.
            _ => return None,
        }
    }
}

fn skip_escape(bytes: &[u8], i: usize) -> Option<usize> {
    match bytes.get(i)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(i + 1),
        b'u' => bytes.get(i + 1..i + 5)?.iter().all(u8::is_ascii_hexdigit).then_some(i + 5),
        _ => None,
    }
}

/// The end of the key at `i` (with its quotes), and the offset after the colon.
#[inline]
fn skip_key(bytes: &[u8], i: usize) -> Option<(usize, usize)> {
    if bytes.get(i) != Some(&b'"') {
        return None;
    }
    let end = skip_string(bytes, i + 1)?;
    let colon = skip_whitespace(bytes, end);
    (bytes.get(colon) == Some(&b':')).then_some((end, colon + 1))
}

fn skip_literal(bytes: &[u8], i: usize, literal: &[u8]) -> Option<usize> {
    bytes.get(i..)?.starts_with(literal).then_some(i + literal.len())
}

/// RFC 8259 section 6.
fn skip_number(bytes: &[u8], mut i: usize) -> Option<usize> {
    if bytes.get(i) == Some(&b'-') {
        i += 1;
    }
    i = match bytes.get(i)? {
        b'0' => i + 1,
        _ => skip_digits(bytes, i)?,
    };
    if bytes.get(i) == Some(&b'.') {
        i = skip_digits(bytes, i + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(i) {
        i += 1;
        if let Some(b'+' | b'-') = bytes.get(i) {
            i += 1;
        }
        i = skip_digits(bytes, i)?;
    }
    Some(i)
}

/// At least one digit.
fn skip_digits(bytes: &[u8], i: usize) -> Option<usize> {
    let digits = bytes.get(i..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0).then_some(i + digits)
}

/// What is known of the objects being scanned, as bits per nesting level. As with `JSON.parse`, the last of
/// several equal keys counts.
struct Placeholders {
    frames: [u8; MAX_DEPTH + 1],
    attachments: usize,
}

/// The object has `"_placeholder": true`.
const MARKED: u8 = 1;
/// The object has a `num` that names an attachment.
const NUMBERED: u8 = 2;
/// The value to come belongs to the key `_placeholder`.
const KEY_PLACEHOLDER: u8 = 4;
/// The value to come belongs to the key `num`.
const KEY_NUM: u8 = 8;

impl Placeholders {
    fn open(&mut self, depth: usize) {
        self.frames[depth] = 0;
    }

    fn key(&mut self, depth: usize, quoted: &str) {
        let key = json_text::unescape(&quoted[1..quoted.len() - 1]);
        let frame = &mut self.frames[depth];
        *frame &= !(KEY_PLACEHOLDER | KEY_NUM);
        match &*key {
            "_placeholder" => *frame |= KEY_PLACEHOLDER,
            "num" => *frame |= KEY_NUM,
            _ => {}
        }
    }

    /// `value` is the text of a scalar, or empty for a container.
    fn value(&mut self, depth: usize, value: &[u8]) {
        let frame = &mut self.frames[depth];
        let (bit, set) = match *frame & (KEY_PLACEHOLDER | KEY_NUM) {
            0 => return,
            KEY_NUM => (NUMBERED, index(value).is_some_and(|n| n < self.attachments)),
            _ => (MARKED, value == b"true"),
        };
        *frame = if set { *frame | bit } else { *frame & !bit };
    }

    fn closes_well(&self, depth: usize) -> bool {
        self.frames[depth] & (MARKED | NUMBERED) != MARKED
    }
}

/// A small non-negative integer in plain digits: no attachment has another number.
fn index(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_text(text: &str) -> Result<Payload, Violation> {
        scan::<false>(text, 0, MAX_DEPTH, 0)
    }

    #[test]
    fn pieces_of_an_array() {
        let text = r#" [ "a\"]" , {"b":[1,2]} , 3 ] "#;
        let payload = scan_text(text).unwrap();
        assert_eq!(payload.len, 3);
        assert_eq!(&text[payload.first.unwrap()], r#""a\"]""#);
        assert_eq!(&text[payload.second..payload.value.end - 1], r#" {"b":[1,2]} , 3 "#);
    }

    #[test]
    fn arrays_of_none_and_one() {
        let none = scan_text("[ ]").unwrap();
        assert_eq!((none.len, none.first, none.second), (0, None, 2));
        let one = scan_text(r#"["x" ]"#).unwrap();
        assert_eq!((one.len, one.first, one.second), (1, Some(1..4), 5));
        let nested = scan_text(r#"[[[],{}]]"#).unwrap();
        assert_eq!((nested.len, nested.first, nested.second), (1, Some(1..8), 8));
        let empty = scan_text(r#"[{}]"#).unwrap();
        assert_eq!((empty.len, empty.first, empty.second), (1, Some(1..3), 3));
    }

    #[test]
    fn specials_are_found_at_every_offset() {
        for padding in 0..20 {
            let body = "é".repeat(padding / 2) + &"x".repeat(padding % 2 + padding);
            assert!(scan_text(&format!("\"{body}\"")).is_ok());
            assert!(scan_text(&format!("\"{body}\u{7f}\\n\"")).is_ok());
            for bad in ["\n", "\u{0}", "\u{1f}", "\\x", "\\u12g4", "\"a", "\\"] {
                let text = format!("\"{body}{bad}\"");
                assert_eq!(scan_text(&format!("{text}       ")), Err(Violation::InvalidJson), "{text:?}");
                assert_eq!(scan_text(&text), Err(Violation::InvalidJson), "{text:?}");
            }
        }
    }

    #[test]
    fn values_are_skipped_to_their_end() {
        for value in
            ["1", "-1.5e3", "true", r#""a,]\\\"""#, r#"{"a":[1,{"b":"]"}], "c" : "}" }"#, "[]", "[ [ ] ]"]
        {
            for after in [",1", "", " ", " ,2", "]"] {
                let text = format!("{value}{after}");
                assert_eq!(skip_valid_value(text.as_bytes(), 0), value.len(), "{text}");
            }
        }
    }
}
