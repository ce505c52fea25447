//! Where commands come from: a line editor on a terminal, otherwise the lines of standard input.

use std::io::{BufRead, Read};

use rustyline::error::ReadlineError;
use rustyline::{Config, Editor, history::MemHistory};
use tokio::sync::mpsc;

use super::output::Sink;

/// What was typed or read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Line(String),
    /// A line that cannot be a command.
    Bad(&'static str),
    /// Ctrl-C in the line editor.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

/// The lines, one after the other.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: mpsc::Receiver<Input>,
    /// Lets the editor show its prompt again. Until then the terminal is in its own mode and a command's output stands
    /// before the prompt.
    next: Option<mpsc::Sender<()>>,
}

impl Lines {
    /// The lines of standard input.
    pub(crate) fn piped() -> Self {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            while let Some(input) = read_line(&mut stdin) {
                if sender.blocking_send(input).is_err() {
                    return;
                }
            }
            // Nobody waits for it at the end.
            drop(sender.blocking_send(Input::End));
        });
        Self { lines, next: None }
    }

    /// A line editor, and what prints above its line. The history lasts as long as the session: lines may hold secrets.
    ///
    /// # Errors
    /// If the terminal cannot do it.
    pub(crate) fn edited() -> Result<(Self, Sink), ReadlineError> {
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = Editor::<(), _>::with_history(config, MemHistory::new())?;
        let printer = editor.create_external_printer()?;
        let (sender, lines) = mpsc::channel(1);
        let (next, mut may_read) = mpsc::channel(1);
        std::thread::spawn(move || {
            while may_read.blocking_recv().is_some() {
                let input = match editor.readline(PROMPT) {
                    Ok(line) => Input::Line(line),
                    Err(ReadlineError::Interrupted) => Input::Interrupted,
                    Err(_) => Input::End,
                };
                if sender.blocking_send(input).is_err() {
                    return;
                }
            }
        });
        // There is room for one.
        let _ = next.try_send(());
        Ok((Self { lines, next: Some(next) }, Sink::Terminal(Box::new(printer))))
    }

    /// The next line. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Input {
        self.lines.recv().await.unwrap_or(Input::End)
    }

    /// Asks for another line, once the last one was dealt with.
    pub(crate) fn done(&self) {
        if let Some(next) = &self.next {
            // There is room: one is asked for at a time.
            let _ = next.try_send(());
        }
    }
}

/// A line without its end; `None` at the end of the input, also if that is an error.
fn read_line(input: &mut impl BufRead) -> Option<Input> {
    let mut line = Vec::new();
    let read = input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line).ok()?;
    if read == 0 {
        return None;
    }
    let ends = line.pop_if(|last| *last == b'\n').is_some();
    if !ends && line.len() as u64 > MAX_LINE {
        skip_line(input)?;
        return Some(Input::Bad("the line is too long"));
    }
    Some(String::from_utf8(line).map_or(Input::Bad("the line is not UTF-8"), Input::Line))
}

fn skip_line(input: &mut impl BufRead) -> Option<()> {
    loop {
        let part = input.fill_buf().ok()?;
        let (length, ends) = match part.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (part.len(), part.is_empty()),
        };
        input.consume(length);
        if ends {
            return Some(());
        }
    }
}

const PROMPT: &str = "> ";
/// The longest line, in bytes: what is longer is given as `@file`.
const MAX_LINE: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_utf8() {
        let long = vec![b'x'; usize::try_from(MAX_LINE).expect("it fits") + 5];
        let text = [b"a\n\nb\xff\n".as_slice(), &long, b"\nlast"].concat();
        let mut input = std::io::BufReader::new(text.as_slice());
        let read: Vec<_> = std::iter::from_fn(|| read_line(&mut input)).collect();
        let line = |text: &str| Input::Line(text.to_owned());
        let bad = [Input::Bad("the line is not UTF-8"), Input::Bad("the line is too long")];
        let [not_utf8, too_long] = bad;
        assert_eq!(read, [line("a"), line(""), not_utf8, too_long, line("last")]);
    }
}
