//! What names and texts of the chat may be; each refusal says what is wrong in words for the person who typed it.

/// A refused request: a word for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) error: String,
}

/// Why a request is refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// What was sent breaks a rule of this module.
    Invalid,
    /// Somebody else has this nickname.
    Taken,
    /// A bound of the chat is reached.
    Full,
    /// Not in this room.
    Outside,
    /// Whom it was for is not here any more.
    Gone,
    /// Whom it was for did not confirm it.
    Silent,
    /// Too much at once: the same request may be made again a moment later.
    Slow,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Taken => "taken",
            Self::Full => "full",
            Self::Outside => "outside",
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Slow => "slow",
        }
    }
}

impl Refused {
    pub(crate) fn new(code: Code, error: impl Into<String>) -> Self {
        Self { code, error: error.into() }
    }

    pub(crate) fn invalid(error: impl Into<String>) -> Self {
        Self::new(Code::Invalid, error)
    }
}

/// Characters of a nickname.
pub(crate) const MAX_NICKNAME: usize = 24;
/// Characters of a room's name.
pub(crate) const MAX_ROOM_NAME: usize = 32;
/// Characters of a message.
pub(crate) const MAX_TEXT: usize = 2_000;
/// Bytes of a key that a client makes.
pub(crate) const MAX_KEY: usize = 64;

/// A nickname as it is shown.
pub(crate) fn nickname(text: &str) -> Result<String, Refused> {
    name("nickname", text, MAX_NICKNAME)
}

/// A room's name: without case, so that nobody waits in "Lobby" for those in "lobby".
pub(crate) fn room(text: &str) -> Result<String, Refused> {
    // Small letters may be longer than capital ones: the length that counts is the last one.
    name("room’s name", &text.to_lowercase(), MAX_ROOM_NAME)
}

fn name(what: &str, text: &str, most: usize) -> Result<String, Refused> {
    if text.len() > MAX_NAME_INPUT {
        return Err(Refused::invalid(format!("A {what} has 1 to {most} characters.")));
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !(1..=most).contains(&text.chars().count()) {
        return Err(Refused::invalid(format!("A {what} has 1 to {most} characters.")));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(Refused::invalid(format!("A {what} has no invisible characters.")));
    }
    Ok(text)
}

/// A message's text, without blanks around it.
pub(crate) fn text(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Refused::invalid("An empty message cannot be sent."));
    }
    // A character has 4 bytes at most: what is longer need not be counted.
    if text.len() > 4 * MAX_TEXT || text.chars().count() > MAX_TEXT {
        return Err(Refused::invalid(format!("A message has at most {MAX_TEXT} characters.")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Refused::invalid("A message has no control characters."));
    }
    Ok(text.to_owned())
}

/// A key of a client's making: by it a message that is sent again is known, and a person who comes back.
pub(crate) fn key(text: String) -> Result<String, Refused> {
    let fits = (1..=MAX_KEY).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if fits {
        Ok(text)
    } else {
        Err(Refused::invalid(format!("A key has 1 to {MAX_KEY} letters, digits, - and _.")))
    }
}

/// Bytes of a name as typed, before blanks are removed.
const MAX_NAME_INPUT: usize = 512;

/// Characters that show nothing or turn the direction of what follows: with them one name looks like another.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_bounded_and_visible() {
        assert_eq!(nickname("  Ann   Lee "), Ok("Ann Lee".to_owned()));
        assert_eq!(room(" The LOBBY "), Ok("the lobby".to_owned()));
        assert_eq!(nickname(&"é".repeat(MAX_NICKNAME)), Ok("é".repeat(MAX_NICKNAME)));
        for wrong in ["", "   ", "a\u{200b}b", "\u{202e}nna", "a\0b", "\u{3164}"] {
            assert_eq!(nickname(wrong).map_err(|e| e.code), Err(Code::Invalid), "{wrong:?}");
        }
        let long = nickname(&"é".repeat(MAX_NICKNAME + 1)).unwrap_err();
        assert_eq!(long.error, "A nickname has 1 to 24 characters.");
        assert!(room(&" ".repeat(1 << 20)).is_err());
        // "İ" becomes two characters.
        assert!(room(&"İ".repeat(MAX_ROOM_NAME)).is_err());
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        assert_eq!(text(" a\n\tb "), Ok("a\n\tb".to_owned()));
        assert_eq!(text(&"😀".repeat(MAX_TEXT)).map(|t| t.len()), Ok(4 * MAX_TEXT));
        for wrong in [" \n ", &*"x".repeat(MAX_TEXT + 1), &*"😀".repeat(MAX_TEXT + 1), "a\u{7}b"] {
            assert_eq!(text(wrong).map_err(|e| e.code), Err(Code::Invalid));
        }
    }

    #[test]
    fn keys_are_short_words() {
        assert!(key("a-B_9".into()).is_ok());
        for wrong in [String::new(), "x".repeat(MAX_KEY + 1), "a b".into(), "é".into()] {
            assert!(key(wrong).is_err());
        }
    }
}
