//! The binary as a child process whose input and output are pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use serde_json::Value;
use trunkline_testkit::DEADLINE;

/// A running client; killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// What a client that has ended left behind.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Program {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let out = lines(child.stdout.take().expect("it is piped"));
        let err = lines(child.stderr.take().expect("it is piped"));
        let stdin = child.stdin.take();
        Self { child, stdin, out, err }
    }

    /// Types a line.
    pub(crate) fn line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Waits for the next line of output, which is JSON.
    pub(crate) fn json(&self) -> Value {
        json(&next(&self.out, "a line of output"))
    }

    /// Waits for a line of output with this member, passing over others.
    pub(crate) fn json_with(&self, name: &str, value: &str) -> Value {
        loop {
            let line = json(&next(&self.out, &format!("a line with {name} = {value}")));
            if line[name] == value {
                return line;
            }
        }
    }

    /// Waits for a line on standard error that contains `part`.
    pub(crate) fn error(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.err.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with {part:?} ({error}) after {seen:?}"),
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the process is there");
    }

    /// Ends its input and waits for its end.
    pub(crate) fn end(mut self) -> Left {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Left {
        // The channels end with the process's output, so that waiting has a deadline.
        let (out, err) = (rest(&self.out), rest(&self.err));
        Left { code: self.child.wait().expect("it is our child").code(), out, err }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs the binary to its end, without input.
pub(crate) fn run(words: &[&str]) -> Left {
    Program::start(words).end()
}

pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(words).env_remove("RUST_LOG").env_remove("NO_COLOR");
    command
}

/// A line as JSON.
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is not JSON: {error}"))
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

fn next(lines: &Receiver<String>, what: &str) -> String {
    lines.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("{error}: {what}"))
}

fn rest(lines: &Receiver<String>) -> Vec<String> {
    let end = Instant::now() + DEADLINE;
    std::iter::from_fn(|| lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()).collect()
}
