//! The terminal's modes, given back as they were found.

use std::io::Write;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What the terminal at standard input was set to. The line editor sets it otherwise while it waits, and a session may end
/// just then.
#[derive(Debug)]
pub(crate) struct Modes(Option<Termios>);

impl Modes {
    pub(crate) fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Gives the terminal back; `is_typing` is whether a line was being typed. A terminal that is gone needs nothing.
    pub(crate) fn restore(self, is_typing: bool) {
        if let Some(modes) = self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &modes);
        }
        if is_typing {
            let mut stdout = std::io::stdout();
            drop(stdout.write_all(PASTE_AS_TYPED).and_then(|()| stdout.flush()));
        }
    }
}

/// Ends the editor's bracketed paste (xterm's mode 2004), and the line.
const PASTE_AS_TYPED: &[u8] = b"\x1b[?2004l\n";
