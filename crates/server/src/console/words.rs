//! A typed line as words.

/// Splits a line at white space. What begins a word decides how it goes on:
///
/// - `{`, `[` or `"`: if JSON begins there, the word is that JSON, spaces included;
/// - `'`: the word is what stands before the next `'`, as in a shell;
/// - anything else: up to the next white space.
///
/// # Errors
/// If a `'` is not closed.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '{' | '[' | '"' => json(rest).unwrap_or_else(|| plain(rest)),
            '\'' => quoted(rest)?,
            _ => plain(rest),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// The JSON value at the start, if white space or the end follows it.
fn json(text: &str) -> Option<(&str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    let (value, rest) = text.split_at_checked(values.byte_offset())?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some((value, rest))
}

fn quoted(text: &str) -> Result<(&str, &str), String> {
    let mut parts = text.splitn(3, '\'').skip(1);
    match (parts.next(), parts.next()) {
        (Some(word), Some(rest)) => Ok((word, rest)),
        _ => Err("a ' is not closed".to_owned()),
    }
}

fn plain(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_quotes_hold_words_together() {
        for (line, words) in [
            ("", &[][..]),
            ("  emit  post hello ", &["emit", "post", "hello"]),
            (
                r#"emit post {"a": "b c", "d": [1, 2]} [1, 2]"#,
                &["emit", "post", r#"{"a": "b c", "d": [1, 2]}"#, "[1, 2]"],
            ),
            (r#"emit post "a \" b" 1"#, &["emit", "post", r#""a \" b""#, "1"]),
            ("emit post 'a b' ''", &["emit", "post", "a b", ""]),
            (r#"emit post '{"a": 1}'"#, &["emit", "post", r#"{"a": 1}"#]),
            ("emit post {broken json", &["emit", "post", "{broken", "json"]),
            ("emit post [1]x it's", &["emit", "post", "[1]x", "it's"]),
            ("émit\u{a0}größe", &["émit", "größe"]),
        ] {
            assert_eq!(
                split(line).as_deref(),
                Ok(&words.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn an_open_quote_is_told() {
        assert!(split("emit post 'a b").is_err());
    }
}
