//! The binary as a child process: started, read from, signalled, ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long anything may take before a test is given up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A serving binary; killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) internal: Option<SocketAddr>,
    pub(crate) start_line: String,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it on free ports and waits for its start line.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_at("0", flags)
    }

    /// As [`Program::start`], on a port that was free before.
    pub(crate) fn start_at(port: &str, flags: &[&str]) -> Self {
        let mut child = command(flags)
            .args(["--port", port, "--internal", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let start_line = wait_for(&lines, "listening on");
        let address = address_after(&start_line, "://").expect("the start line names the address");
        let internal =
            start_line.split_once("metrics on http://").and_then(|(_, rest)| address_after(rest, ""));
        Self { child, address, internal, start_line, lines }
    }

    /// Waits for a line on standard error that contains `part`.
    pub(crate) fn line(&self, part: &str) -> String {
        wait_for(&self.lines, part)
    }

    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the process is there");
    }

    /// Waits for its end; the exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        // The channel ends with the process's standard error, so that waiting has a deadline.
        let end = std::time::Instant::now() + DEADLINE;
        while self.lines.recv_timeout(end.saturating_duration_since(std::time::Instant::now())).is_ok() {}
        self.child.wait().expect("it is our child").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs the binary to its end; for what does not serve.
pub(crate) fn run(flags: &[&str], environment: &[(&str, &str)]) -> Output {
    command(flags).envs(environment.iter().copied()).output().expect("the binary starts")
}

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.args(flags).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn wait_for(lines: &Receiver<String>, part: &str) -> String {
    let end = std::time::Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {part:?} ({error}) after {seen:?}"),
        }
    }
}

fn address_after(line: &str, mark: &str) -> Option<SocketAddr> {
    let rest = line.split_once(mark).map_or(line, |(_, rest)| rest);
    let end = rest.find([' ', '/', ',']).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// A directory of a test's own; removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    /// The path of something in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("paths of tests are UTF-8")
    }

    /// Writes a file; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
