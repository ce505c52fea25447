//! `trunkline connect`: events as they come, commands as they are typed or piped.

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;
use trunkline_client::{Args, Value};

use super::command::{self, Command};
use super::connection::{Answer, Connection, Happening};
use super::emit::error_of;
use super::input::{Input, Lines};
use super::options::Options;
use super::output::{Closed, Output, Sink, Style};
use super::report::Report;
use super::stop::{INTERRUPTED, Stop};
use super::terminal::Modes;
use super::text::escape;
use crate::{Failure, say};

/// Runs a session; the exit code.
///
/// # Errors
/// If something of the options cannot be used.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let connection = Connection::open(options, true, options.reconnect)?;
    let style = Style::of_stdout(options.json);
    let modes = Modes::save();
    let is_typed = std::io::stdin().is_terminal() && matches!(style, Style::Human(_));
    let edited = if is_typed { Lines::edited().ok() } else { None };
    let is_edited = edited.is_some();
    let (lines, sink) = edited.unwrap_or_else(|| (Lines::piped(), Sink::Stdout));
    let mut session = Session {
        connection,
        output: Output::start(style, sink),
        unsent: VecDeque::new(),
        server: options.target.server.clone(),
        // Somebody who types sees what fails, and goes on.
        is_attended: std::io::stdin().is_terminal(),
        to_stderr: style == Style::Json,
        was_connected: false,
        asked: JoinSet::new(),
        numbers: 0,
        questions: BTreeMap::new(),
        question: 0,
        code: 0,
    };
    let (code, is_typing) = tokio::select! {
        code = stop.signalled() => (code, true),
        code = session.follow(lines) => (code, false),
    };
    if is_edited {
        modes.restore(is_typing);
    }
    let Session { connection, output, is_attended, .. } = session;
    let code = if is_attended || is_typing {
        connection.close().await;
        code
    } else {
        tokio::select! {
            signal = stop.signalled() => signal,
            done = connection.finish() => done.map_or_else(|problem| {
                say(&format!("trunkline: {problem}"));
                code.max(1)
            }, |()| code),
        }
    };
    output.finish().await;
    Ok(code)
}

struct Session {
    connection: Connection,
    output: Output,
    /// Lines for which the output has had no room yet.
    unsent: VecDeque<String>,
    server: String,
    is_attended: bool,
    /// Whether what is for people goes to standard error, because programs read the output.
    to_stderr: bool,
    was_connected: bool,
    /// Answers that are waited for.
    asked: JoinSet<Report>,
    /// The number of the last of them.
    numbers: u64,
    /// Answers that the server waits for, by their numbers.
    questions: BTreeMap<u64, Answer>,
    question: u64,
    /// The exit code, if nothing else ends it.
    code: u8,
}

impl Session {
    /// Deals with what comes until the end; the exit code.
    ///
    /// Input is read also while lines wait for room: the line editor takes none of them before it is asked for its next line.
    async fn follow(&mut self, mut lines: Lines) -> u8 {
        let mut is_ending = false;
        while !(is_ending && self.asked.is_empty()) {
            let has_room = self.unsent.is_empty();
            // What is piped waits for the first connection, and for its turn.
            let may_read = self.is_attended || (self.was_connected && has_room);
            tokio::select! {
                room = self.output.room(), if !has_room => match room {
                    Ok(room) => {
                        if let Some(line) = self.unsent.pop_front() {
                            room.send(line);
                        }
                    }
                    Err(Closed) => return self.code,
                },
                happening = self.connection.next(), if has_room => match happening {
                    Some(happening) => self.handle(happening, &mut is_ending),
                    None => return 1,
                },
                Some(answer) = self.asked.join_next(), if has_room => {
                    if let Ok(report) = answer {
                        self.answered(&report);
                    }
                }
                input = lines.next(), if may_read && !is_ending && self.asked.len() < ASKED => {
                    match input {
                        Input::Interrupted => return INTERRUPTED,
                        Input::End => is_ending = true,
                        Input::Bad(problem) => self.problem(problem),
                        Input::Line(line) => self.line(&line, &mut is_ending),
                    }
                    if is_ending && self.is_attended {
                        break;
                    }
                    lines.done();
                }
            }
        }
        drop(timeout(LEAVING, self.leave()).await);
        self.code
    }

    /// Leaves the namespace, and prints what came before: answers overtake events that wait to be printed, the disconnect
    /// comes behind them. Who sits there and quits wants no more.
    async fn leave(&mut self) -> Result<(), Closed> {
        self.flush().await?;
        if self.is_attended || !self.connection.socket.is_connected() {
            return Ok(());
        }
        self.connection.socket.disconnect();
        while let Some(happening) = self.connection.next().await {
            let is_last = matches!(happening, Happening::Life(Report::Disconnected { .. }));
            self.handle(happening, &mut true);
            self.flush().await?;
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        while !self.unsent.is_empty() {
            let room = self.output.room().await?;
            if let Some(line) = self.unsent.pop_front() {
                room.send(line);
            }
        }
        Ok(())
    }

    fn handle(&mut self, happening: Happening, is_ending: &mut bool) {
        let report = match happening {
            Happening::Event { name, args, ack } => {
                let ack = ack.is_wanted().then(|| self.keep(ack));
                Report::Event { name, args, ack }
            }
            Happening::Life(report) => {
                self.was_connected |= matches!(report, Report::Connected { .. });
                let is_first_failure = !self.was_connected && matches!(report, Report::ConnectError { .. });
                let has_left = matches!(&report, Report::Disconnected { reason, .. } if reason == LEFT);
                if !self.is_attended && (is_first_failure || (report.is_final() && !has_left)) {
                    *is_ending = true;
                    self.code = 1;
                }
                report
            }
        };
        self.tell(self.output.line_of(&report));
    }

    /// Has a line printed once there is room.
    fn tell(&mut self, line: String) {
        // Only commands can add lines while others wait.
        if self.unsent.len() >= UNSENT {
            self.unsent.pop_front();
        }
        self.unsent.push_back(line);
    }

    /// Keeps a question of the server's; its number.
    fn keep(&mut self, answer: Answer) -> u64 {
        self.question += 1;
        self.questions.insert(self.question, answer);
        if self.questions.len() > QUESTIONS {
            // The server is told that nobody answers the oldest.
            self.questions.pop_first();
        }
        self.question
    }

    fn answered(&mut self, report: &Report) {
        if let Report::Answer { outcome, .. } = report
            && outcome.as_ref().map_or(true, |values| error_of(values).is_some())
        {
            self.failed();
        }
        self.tell(self.output.line_of(report));
    }

    fn line(&mut self, line: &str, is_ending: &mut bool) {
        match Command::parse(line) {
            Ok(None) => {}
            Ok(Some(Command::Quit)) => *is_ending = true,
            Ok(Some(command)) => self.obey(command),
            Err(problem) => self.problem(&problem),
        }
    }

    fn obey(&mut self, command: Command) {
        let socket = &self.connection.socket;
        match command {
            Command::Emit { event, args } => {
                let emit = || socket.emit(&event, Args(&args)).map_err(|error| error.to_string());
                let sent = self.check_active().and_then(|()| emit());
                self.done(&event, sent);
            }
            Command::Ask { event, args } => match self.check_active() {
                Ok(()) => self.ask(event, &args),
                Err(problem) => self.done(&event, Err(problem)),
            },
            Command::Answer { number, args } => {
                let answered = match self.questions.remove(&number) {
                    Some(answer) => answer.send(Args(args)).map_err(|error| error.to_string()),
                    None => Err("nothing with this number waits for an answer".to_owned()),
                };
                self.done(&format!("#{number}"), answered);
            }
            Command::Connect => socket.connect(),
            Command::Disconnect => socket.disconnect(),
            Command::Status => self.remark(self.status()),
            Command::Help => self.remark(command::HELP.to_owned()),
            Command::Quit => {}
        }
    }

    /// Emits, and has the answer told once it is there.
    fn ask(&mut self, event: String, args: &[Value]) {
        self.numbers += 1;
        let number = self.numbers;
        let start = Instant::now();
        // On its way before anything that is typed next.
        let answer = self.connection.socket.emit_with_ack::<Args<Vec<Value>>>(&event, Args(args));
        self.asked.spawn(async move {
            let outcome = answer.await.map(|Args(values)| values).map_err(|error| error.to_string());
            Report::Answer { event, number, outcome, took: start.elapsed() }
        });
    }

    /// What is sent now would stay here until somebody connects again.
    fn check_active(&self) -> Result<(), String> {
        if self.connection.socket.is_active() { Ok(()) } else { Err("not connected; try connect".to_owned()) }
    }

    fn done(&mut self, what: &str, result: Result<(), String>) {
        if let Err(problem) = result {
            self.problem(&format!("{what}: {problem}"));
        }
    }

    /// Says what is wrong with a command.
    fn problem(&mut self, problem: &str) {
        self.failed();
        let problem = escape(problem);
        if self.to_stderr || !self.is_attended {
            say(&format!("trunkline: {problem}"));
        } else {
            self.tell(problem);
        }
    }

    /// Says what was asked for.
    fn remark(&mut self, text: String) {
        if self.to_stderr {
            say(&text);
        } else {
            self.tell(text);
        }
    }

    /// A script that failed somewhere says so at its end.
    fn failed(&mut self) {
        if !self.is_attended {
            self.code = 1;
        }
    }

    fn status(&self) -> String {
        let socket = &self.connection.socket;
        let state = match socket.id() {
            Some(id) => format!("connected as {} by {}", escape(&id), self.connection.transport()),
            None if socket.is_active() => "connecting".to_owned(),
            None => "not connected".to_owned(),
        };
        let (asked, questions) = (self.asked.len(), self.questions.len());
        let (server, namespace) = (escape(&self.server), escape(socket.namespace()));
        format!(
            "{server} {namespace}: {state}; waiting for {asked} answers, {questions} events to be answered"
        )
    }
}

/// The reason for leaving that is no loss.
const LEFT: &str = trunkline_client::DisconnectReason::IoClientDisconnect.as_str();
/// How long the last events may take.
const LEAVING: Duration = Duration::from_secs(3);
/// Lines that wait for room at a time.
const UNSENT: usize = 1_024;
/// Answers waited for at a time; more commands wait.
const ASKED: usize = 256;
/// Questions of the server's kept at a time.
const QUESTIONS: usize = 256;
