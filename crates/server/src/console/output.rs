//! Where lines go: a thread writes them, so that a slow reader holds up neither heartbeats nor answers.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime};

use rustyline::ExternalPrinter;
use tokio::sync::{mpsc, oneshot};

use super::report::Report;
use super::text::Colours;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One JSON object per line.
    Json,
    /// For people.
    Human(Colours),
}

impl Style {
    /// For people on a terminal, unless JSON is asked for. Colours keep to <https://no-color.org>.
    pub(crate) fn of_stdout(json: bool) -> Self {
        if json || !std::io::stdout().is_terminal() {
            return Self::Json;
        }
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self::Human(Colours(!is_set("NO_COLOR") && !is_dumb))
    }
}

/// What writes.
pub(crate) enum Sink {
    Stdout,
    /// Above the line that is being typed.
    Terminal(Box<dyn ExternalPrinter + Send>),
}

/// The reader of the output is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// The way to the output.
#[derive(Debug)]
pub(crate) struct Output {
    style: Style,
    lines: mpsc::Sender<String>,
    written: oneshot::Receiver<()>,
}

impl Output {
    /// Starts the thread that writes.
    pub(crate) fn start(style: Style, mut sink: Sink) -> Self {
        let (lines, mut waiting) = mpsc::channel::<String>(WAITING);
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || {
            while let Some(line) = waiting.blocking_recv() {
                if sink.write(line).is_err() {
                    break;
                }
            }
            drop(done);
        });
        Self { style, lines, written }
    }

    /// Tells what happened.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(crate) async fn report(&self, report: &Report) -> Result<(), Closed> {
        self.room().await?.send(self.line_of(report));
        Ok(())
    }

    /// The line that tells what happened.
    pub(crate) fn line_of(&self, report: &Report) -> String {
        let now = SystemTime::now();
        match self.style {
            Style::Json => report.json(now),
            Style::Human(colours) => report.line(now, colours),
        }
    }

    /// Waits until there is room for a line. May be dropped and called again.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(crate) async fn room(&self) -> Result<mpsc::OwnedPermit<String>, Closed> {
        self.lines.clone().reserve_owned().await.map_err(|_| Closed)
    }

    /// Waits until all is written; not for ever.
    pub(crate) async fn finish(self) {
        drop(self.lines);
        // The sender is dropped, never used: an error is the end that is waited for.
        drop(tokio::time::timeout(PATIENCE, self.written).await);
    }
}

impl Sink {
    fn write(&mut self, mut line: String) -> Result<(), ()> {
        line.push('\n');
        match self {
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).map_err(drop)
            }
            Self::Terminal(printer) => printer.print(line).map_err(drop),
        }
    }
}

/// Lines that wait to be written.
const WAITING: usize = 64;
/// How long a slow reader is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(2);
