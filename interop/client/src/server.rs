//! A server under test that belongs to one case. Dropped, it is killed, paused or not.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::failure::{Failure, Outcome, STEP, within};

/// Between two attempts to start a server on a port that is taken.
const AGAIN: Duration = Duration::from_millis(100);

/// A child process that prints lines; ended with this handle.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("the program has no output"))?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// Its next line of output; none if it has ended.
    pub(crate) async fn line(&mut self) -> Outcome<Option<String>> {
        Ok(within("a line of the program", self.lines.next_line()).await??)
    }

    /// SIGSTOP: its connections stay open, but nobody answers any more.
    pub(crate) fn pause(&self) -> Outcome {
        self.signal(Signal::STOP)
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or_else(|| Failure::new("the program has ended"))?;
        Ok(kill_process(id, signal)?)
    }
}

/// A server and its port.
pub(crate) struct Server {
    program: Program,
    pub(crate) port: u16,
}

impl Server {
    /// Starts `command`; resolves once it says `listening <port>`.
    pub(crate) async fn start(command: &[String], flags: &[String], port: u16) -> Outcome<Self> {
        let (name, words) = command.split_first().ok_or_else(|| Failure::new("no command for a server"))?;
        let deadline = tokio::time::Instant::now() + STEP;
        loop {
            let mut command = Command::new(name);
            command.args(words).args(["--port", &port.to_string()]).args(flags);
            let mut program = Program::start(&mut command)?;
            if let Some(line) = program.line().await? {
                let port = line.strip_prefix("listening ").and_then(|port| port.parse().ok());
                let port = port.ok_or_else(|| Failure::new(format!("the server said: {line}")))?;
                return Ok(Self { program, port });
            }
            // A given port may be taken for a moment, by an outgoing connection that got the same number.
            if port == 0 || tokio::time::Instant::now() > deadline {
                return Err(Failure::new(format!("the server does not start on port {port}")));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub(crate) fn pause(&self) -> Outcome {
        self.program.pause()
    }

    /// SIGTERM; the exit code, if it has one.
    pub(crate) async fn stop(mut self) -> Outcome<Option<i32>> {
        self.program.signal(Signal::TERM)?;
        Ok(within("the end of the server", self.program.child.wait()).await??.code())
    }
}
