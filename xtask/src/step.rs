//! Steps of a task: announced, timed, and ended at the first that fails.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Why a task ended early, in one line.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The steps that were run so far, with the time each took.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs one step; its failure carries its name.
    pub(crate) fn step(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        println!("\n=== {name}");
        let began = Instant::now();
        let outcome = work();
        let took = began.elapsed();
        match outcome {
            Ok(()) => {
                println!("=== {name}: ok in {:.1} s", took.as_secs_f64());
                self.done.push((name.to_owned(), took));
                Ok(())
            }
            Err(failure) => {
                Err(Failure::new(format!("{name} failed after {:.1} s: {failure}", took.as_secs_f64())))
            }
        }
    }

    /// Prints all steps with their times.
    pub(crate) fn finish(&self) {
        println!("\nall steps passed:");
        for (name, took) in &self.done {
            println!("{:8.1} s  {name}", took.as_secs_f64());
        }
    }
}

/// Runs a command with its output shown; anything but exit code 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{} ended with {status}", shown(command)))),
        Err(error) => Err(Failure::new(format!("{}: {error}", shown(command)))),
    }
}

/// Runs a command and returns what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| Failure::new(format!("{}: {error}", shown(command))))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "{} ended with {}: {}",
            shown(command),
            output.status,
            reason.trim()
        )));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::new(format!("{}: not UTF-8", shown(command))))
}

/// Whether a command runs and ends with exit code 0, quietly.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
