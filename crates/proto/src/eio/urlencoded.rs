//! `application/x-www-form-urlencoded`, as Node.js' `querystring` reads it.

use std::borrow::Cow;

/// The pairs of a query or a form, decoded; empty pairs are skipped.
pub(super) fn pairs(input: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    input.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        (decode(halves.next().unwrap_or_default()), decode(halves.next().unwrap_or_default()))
    })
}

/// As [`pairs`], if there is nothing to decode: so it is with the requests of a session.
pub(super) fn plain_pairs(input: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let is_plain = memchr::memchr2(b'+', b'%', input.as_bytes()).is_none();
    let mut rest = input;
    let pairs = std::iter::from_fn(move || {
        (!rest.is_empty()).then(|| {
            let (pair, after) = split(rest, b'&');
            rest = after;
            pair
        })
    });
    is_plain.then(|| pairs.filter(|pair| !pair.is_empty()).map(|pair| split(pair, b'=')))
}

/// What is before and after an ASCII character. The standard library's search pays for characters of any length.
fn split(text: &str, at: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == at) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

/// `+` is a space, `%XX` a byte; a `%` that starts no such escape stays.
fn decode(input: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr2(b'+', b'%', input) else {
        return Cow::Borrowed(input);
    };
    let (plain, mut rest) = input.split_at(first);
    // Decoding never grows.
    let mut out = Vec::with_capacity(input.len());
    out.extend_from_slice(plain);
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match *tail {
            [high, low, ..] if byte == b'%' => hex(high).zip(hex(low)),
            _ => None,
        };
        let (decoded, after) = match escaped {
            Some((high, low)) => (high << 4 | low, tail.get(2..).unwrap_or_default()),
            None => (if byte == b'+' { b' ' } else { byte }, tail),
        };
        out.push(decoded);
        rest = after;
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_like_node() {
        for (input, output) in [
            ("plain", "plain"),
            ("a+b%20c", "a b c"),
            ("%e2%82%AC", "€"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
        ] {
            assert_eq!(decode(input.as_bytes()), output.as_bytes(), "{input}");
        }
    }

    #[test]
    fn splits_pairs() {
        let found: Vec<_> = pairs(b"&a=1&&b&c=d=e&=x").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"c", b"d=e"), (b"", b"x")];
        assert_eq!(found.len(), expected.len());
        for ((name, value), expected) in found.iter().zip(expected) {
            assert_eq!((&**name, &**value), expected);
        }
        let plain = plain_pairs("&a=1&&b&c=d=e&=x").into_iter().flatten();
        assert!(plain.map(|(name, value)| (name.as_bytes(), value.as_bytes())).eq(expected));
        assert!(plain_pairs("a=1&b=+").is_none());
    }
}
