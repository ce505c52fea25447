//! The terminal's modes, given back as they were found.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What the terminal at standard input was set to. The line editor sets it otherwise while it waits, and a session may end
/// just then.
#[derive(Debug)]
pub(crate) struct Modes(Option<Termios>);

impl Modes {
    pub(crate) fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// A terminal that is gone needs nothing.
    pub(crate) fn restore(self) {
        if let Some(modes) = self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &modes);
        }
    }
}
