//! Text that arrives in pieces: checked as it comes, each byte once, with code points split anywhere.

use super::Violation;

/// The text so far, and the start of a code point whose rest has not arrived.
#[derive(Debug, Default)]
pub(super) struct TextBuffer {
    text: String,
    tail: [u8; 4],
    tail_len: usize,
}

impl TextBuffer {
    /// Appends a piece; fails at the first byte that cannot be part of UTF-8, even if its code point is
    /// incomplete.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<(), Violation> {
        while self.tail_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            // In bounds: four bytes are either a code point or an error, so a tail that stays has at most
            // three.
            self.tail[self.tail_len] = byte;
            self.tail_len += 1;
            match std::str::from_utf8(&self.tail[..self.tail_len]) {
                Ok(code_point) => {
                    self.text.push_str(code_point);
                    self.tail_len = 0;
                }
                Err(error) if error.error_len().is_some() => return Err(Violation::InvalidUtf8),
                Err(_) => {}
            }
        }

        let error = match std::str::from_utf8(piece) {
            Ok(text) => {
                self.text.push_str(text);
                return Ok(());
            }
            Err(error) => error,
        };
        if error.error_len().is_some() {
            return Err(Violation::InvalidUtf8);
        }
        let (valid, tail) = piece.split_at(error.valid_up_to());
        self.text.push_str(std::str::from_utf8(valid).map_err(|_| Violation::InvalidUtf8)?);
        self.tail[..tail.len()].copy_from_slice(tail);
        self.tail_len = tail.len();
        Ok(())
    }

    /// The whole text; fails when it ends inside a code point.
    pub(super) fn finish(self) -> Result<String, Violation> {
        if self.tail_len > 0 { Err(Violation::InvalidUtf8) } else { Ok(self.text) }
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.tail_len
    }
}

#[cfg(test)]
mod tests {
    use super::{TextBuffer, Violation};

    fn check(pieces: &[&[u8]], expected: Result<&str, usize>) {
        let mut buffer = TextBuffer::default();
        for (index, piece) in pieces.iter().enumerate() {
            if let Err(violation) = buffer.push(piece) {
                assert_eq!((violation, Err(index)), (Violation::InvalidUtf8, expected), "{pieces:x?}");
                return;
            }
        }
        assert_eq!(buffer.len(), pieces.iter().map(|piece| piece.len()).sum::<usize>());
        match buffer.finish() {
            Ok(text) => assert_eq!(Ok(text.as_str()), expected, "{pieces:x?}"),
            Err(_) => assert_eq!(Err(pieces.len()), expected, "{pieces:x?}"),
        }
    }

    #[test]
    fn joins_code_points_and_reports_the_piece_that_is_wrong() {
        check(&[], Ok(""));
        check(&[b"a", b"", b"b"], Ok("ab"));
        check(&[b"a\xf0", b"\x9f", b"\x98", b"\x80b"], Ok("a\u{1f600}b"));
        check(&[b"\xf0\x9f\x98", b"\x80\xe2\x82", b"\xac"], Ok("\u{1f600}\u{20ac}"));
        check(&[b"a\xff"], Err(0));
        check(&[b"\xf4", b"\x90"], Err(1)); // above U+10FFFF, before the code point is complete
        check(&[b"\xed", b"\xa0"], Err(1)); // a surrogate
        check(&[b"\xc3", b"a"], Err(1));
        check(&[b"\xe2\x82"], Err(1)); // ends inside a code point
    }
}
