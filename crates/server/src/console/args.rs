//! Arguments of events as they are typed: JSON where a word is JSON, text otherwise, binary by a prefix.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use trunkline_client::Value;

/// The argument that a word stands for.
///
/// | word | argument |
/// | --- | --- |
/// | `str:…` | the rest as text, whatever it looks like |
/// | `@file` | the file's bytes |
/// | `hex:…`, `base64:…` | these bytes |
/// | JSON | its value; `{"$binary":{"base64":"…"}}` anywhere in it is binary, as it is printed |
/// | anything else | the word as text |
///
/// # Errors
/// If a file cannot be read or is too large, or bytes are written wrongly.
pub(crate) fn argument(word: &str) -> Result<Value, String> {
    if let Some(text) = word.strip_prefix("str:") {
        return Ok(text.into());
    }
    if let Some(path) = word.strip_prefix('@') {
        return Ok(Value::Binary(read(path)?.into()));
    }
    if let Some(digits) = word.strip_prefix("hex:") {
        let bytes = from_hex(digits)
            .ok_or_else(|| format!("\"{word}\": pairs of hexadecimal digits are expected"))?;
        return Ok(Value::Binary(bytes.into()));
    }
    if let Some(text) = word.strip_prefix("base64:") {
        let bytes = from_base64(text).ok_or_else(|| format!("\"{word}\": not base64"))?;
        return Ok(Value::Binary(bytes.into()));
    }
    match serde_json::from_str::<serde_json::Value>(word) {
        Ok(value) => with_binary(value),
        Err(_) => Ok(word.into()),
    }
}

/// The arguments of some words.
///
/// # Errors
/// The first of [`argument`].
pub(crate) fn arguments<W: AsRef<str>>(words: &[W]) -> Result<Vec<Value>, String> {
    words.iter().map(|word| argument(word.as_ref())).collect()
}

/// A file's bytes, at most [`MAX_FILE`].
///
/// # Errors
/// If it cannot be read or is larger; the message names it.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    // Not by its length: a pipe has none.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{path}: more than {} MiB", MAX_FILE >> 20));
    }
    Ok(bytes)
}

/// What a file given as `@file` may hold, in bytes. Servers take 1 MB by default.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// The member that stands for binary data in JSON.
pub(crate) const BINARY: &str = "$binary";

/// The value with its `$binary` objects as binary data. The nesting is bounded by that of JSON's reader.
fn with_binary(value: serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    match value {
        Json::Array(elements) => {
            elements.into_iter().map(with_binary).collect::<Result<_, _>>().map(Value::Array)
        }
        Json::Object(members) => {
            if members.len() == 1
                && let Some(Json::Object(binary)) = members.get(BINARY)
            {
                let bytes = binary.get("base64").and_then(Json::as_str).and_then(from_base64);
                let bytes = bytes.ok_or_else(|| format!("{BINARY}: a member \"base64\" is expected"))?;
                return Ok(Value::Binary(bytes.into()));
            }
            let members = members.into_iter().map(|(key, value)| Ok((key, with_binary(value)?)));
            members.collect::<Result<_, String>>().map(Value::Object)
        }
        other => Ok(other.into()),
    }
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok()).collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(bytes: &'static [u8]) -> Value {
        Value::Binary(bytes.into())
    }

    #[test]
    fn a_word_is_json_or_text() {
        for (word, value) in [
            ("1", Value::from(1)),
            ("-2.5", Value::from(-2.5)),
            ("true", true.into()),
            ("null", Value::Null),
            ("\"1\"", "1".into()),
            ("[1,\"a\"]", vec![Value::from(1), "a".into()].into()),
            ("{\"a\":{}}", [("a", Value::Object(Default::default()))].into_iter().collect()),
            ("hello", "hello".into()),
            ("{broken", "{broken".into()),
            ("01", "01".into()),
            ("", "".into()),
            ("str:1", "1".into()),
            ("str:@a", "@a".into()),
            ("str:", "".into()),
        ] {
            assert_eq!(argument(word), Ok(value), "{word}");
        }
    }

    #[test]
    fn binary_by_prefix_and_inside_json() {
        assert_eq!(argument("hex:00fF"), Ok(binary(b"\x00\xff")));
        assert_eq!(argument("hex:"), Ok(binary(b"")));
        assert_eq!(argument("base64:+/8="), Ok(binary(b"\xfb\xff")));
        assert_eq!(argument("base64:-_8="), Ok(binary(b"\xfb\xff")));
        let nested =
            argument(r#"{"a":[{"$binary":{"size":2,"base64":"AQI="}}]}"#).expect("all of it is known");
        assert_eq!(nested.get("a").and_then(Value::as_array), Some(&[binary(b"\x01\x02")][..]));
        let kept = argument(r#"{"$binary":1}"#).expect("an object like any other");
        assert_eq!(kept.get(BINARY), Some(&Value::from(1)));
    }

    #[test]
    fn files_are_read_as_bytes() {
        let path = std::env::temp_dir().join(format!("trunkline-argument-{}", std::process::id()));
        std::fs::write(&path, b"\x00\x01").expect("the folder can be written");
        let read = argument(&format!("@{}", path.display()));
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(read, Ok(binary(b"\x00\x01")));
        assert!(argument("@/nowhere").is_err_and(|error| error.starts_with("/nowhere: ")));
    }

    #[test]
    fn mistakes_are_told() {
        for word in
            ["hex:0", "hex:0g", "hex:é0", "base64:!", r#"{"$binary":{}}"#, r#"[{"$binary":{"base64":1}}]"#]
        {
            assert!(argument(word).is_err(), "{word}");
        }
    }
}
