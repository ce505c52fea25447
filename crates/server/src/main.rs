//! `trunkline`: a Socket.IO server that is useful without code. What it does comes from a TOML file, the
//! environment and flags; see `trunkline config`. Beside it a client for terminals and scripts, in `console`.

mod apps;
mod bucket;
mod cli;
mod config;
mod console;
mod files;
mod handlers;
mod listen;
mod load;
mod percentiles;
mod print;
mod run;
mod setting;
mod signals;
mod tls;
mod verify;
mod web;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use cli::{Action, Command};
use config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match start() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&format!("trunkline: {failure}"));
            ExitCode::from(failure.code)
        }
    }
}

/// The exit code.
fn start() -> Result<u8, Failure> {
    let mut words = std::env::args_os().skip(1).peekable();
    let verb = words.peek().and_then(|word| word.to_str()).and_then(console::Verb::named);
    if let Some(verb) = verb {
        let words = words.skip(1);
        return match verb {
            console::Verb::Verify => verify::run(words),
            console::Verb::Bench => load::run(words),
            _ => console::run(verb, words),
        };
    }
    let Command { action, file, settings } = cli::parse(words)?;
    match action {
        Action::Help => print(&format!("{}\n{}", cli::HELP, console::HELP)),
        Action::Version => print(concat!("trunkline ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Config => {
            let config = Config::load(file, std::env::vars_os(), &settings)?;
            print(&print::toml(&config));
        }
        Action::Serve => run::serve(&Config::load(file, std::env::vars_os(), &settings)?)?,
    }
    Ok(0)
}

/// Why the program ends; one line.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The configuration or the command line is wrong: exit code 2.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// The system did not give what is needed: exit code 1.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages of other crates may have several lines; ours has one.
        let lines = self.message.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(&lines.collect::<Vec<_>>().join("; "))
    }
}

/// A line for the operator. Who closed standard error does not want it.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}
