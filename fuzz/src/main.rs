//! Random input into every decoder and state machine of trunkline-proto, on stable Rust; see [`USAGE`].

mod campaign;
mod corpus;
mod mutate;
mod random;
mod target;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use campaign::{Finding, attempt, campaign};
use random::Random;
use target::{TARGETS, Target};

const USAGE: &str = "\
usage: trunkline-fuzz [seconds] [--seed number] [--only target]
       trunkline-fuzz --replay target file

Runs each target over fuzz/corpus/<target>/, then over random changes of it, so many seconds each (default 20).
The same seed gives the same inputs in the same order. An input that fails is made smaller and written to
fuzz/failures/; with its fix it becomes a file of the corpus.";

/// Fuzzing time of each target, in seconds, when the command line names none.
const SECONDS: u64 = 20;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Campaign { seconds: u64, seed: Option<u64>, only: Option<String> },
    Replay { target: String, file: String },
    Help,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words) {
        Some(Task::Campaign { seconds, seed, only }) => run_all(seconds, seed, only.as_deref()),
        Some(Task::Replay { target, file }) => replay(&target, &file),
        Some(Task::Help) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Option<Task> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["help" | "--help" | "-h"] => return Some(Task::Help),
        ["--replay", target, file] => {
            return Some(Task::Replay { target: target.to_owned(), file: file.to_owned() });
        }
        _ => {}
    }
    let (mut seconds, mut seed, mut only) = (None, None, None);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word {
            "--seed" if seed.is_none() => seed = Some(words.next()?.parse().ok()?),
            "--only" if only.is_none() => only = Some(words.next()?.to_owned()),
            word if seconds.is_none() => seconds = Some(word.parse().ok()?),
            _ => return None,
        }
    }
    Some(Task::Campaign { seconds: seconds.unwrap_or(SECONDS), seed, only })
}

fn run_all(seconds: u64, seed: Option<u64>, only: Option<&str>) -> ExitCode {
    let targets: Vec<&Target> = TARGETS.iter().filter(|t| only.is_none_or(|name| t.name == name)).collect();
    if targets.is_empty() {
        return unknown_target(only.unwrap_or_default());
    }
    let seed = seed.unwrap_or_else(clock_seed);
    println!("seed {seed}, {seconds} s for each target");
    quiet_panics();
    let mut failures = 0;
    for target in targets {
        let entries = match corpus::load(target.name) {
            Ok(entries) => entries,
            Err(error) => {
                eprintln!("{}: the corpus cannot be read: {error}", target.name);
                failures += 1;
                continue;
            }
        };
        let report =
            campaign(target, &entries, Random::for_target(seed, target.name), Duration::from_secs(seconds));
        let runs = report.runs;
        let Some(finding) = report.finding else {
            println!("{:<12} {runs:>10} runs, {} of them the corpus: ok", target.name, entries.len());
            continue;
        };
        failures += 1;
        println!("{:<12} {runs:>10} runs: FAILED", target.name);
        tell(target, &finding);
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(target: &Target, finding: &Finding) {
    eprintln!("  {}", finding.message);
    match corpus::save_failure(target.name, &finding.input) {
        Ok(path) => {
            eprintln!("  {} bytes in {}", finding.input.len(), path.display());
            eprintln!(
                "  replay: cargo run --profile fuzz -p trunkline-fuzz -- --replay {} {}",
                target.name,
                path.display()
            );
        }
        Err(error) => eprintln!("  the input cannot be written ({error}): {:?}", finding.input),
    }
}

/// One input, with the panic's own message and backtrace.
fn replay(name: &str, file: &str) -> ExitCode {
    let Some(target) = TARGETS.iter().find(|t| t.name == name) else { return unknown_target(name) };
    let input = match std::fs::read(file) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{name} on {} bytes: {}", input.len(), input.escape_ascii());
    match attempt(target, &input) {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn unknown_target(name: &str) -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    eprintln!("no target {name:?}; there are: {}", names.join(", "));
    ExitCode::from(2)
}

/// Panics are findings: each is told once, with its input, not each time while the input is made smaller.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| campaign::note_panic(info.to_string())));
}

fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().rotate_left(20) ^ u64::from(now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Task> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line() {
        let campaign = |seconds, seed, only: Option<&str>| {
            Some(Task::Campaign { seconds, seed, only: only.map(str::to_owned) })
        };
        assert_eq!(words(""), campaign(20, None, None));
        assert_eq!(words("2"), campaign(2, None, None));
        assert_eq!(words("--seed 7 3 --only sio_json"), campaign(3, Some(7), Some("sio_json")));
        assert_eq!(
            words("--replay ws_decoder f"),
            Some(Task::Replay { target: "ws_decoder".into(), file: "f".into() })
        );
        for wrong in ["two", "1 2", "--seed", "--seed x", "--replay ws_decoder", "-1"] {
            assert_eq!(words(wrong), None, "{wrong}");
        }
    }
}
