//! `goals SERVER [GOAL…]`: measures `bench-server` against the project's further goals, and prints the table.
//!
//! The server has one processor, this program another: it is one thread with all clients, and checks every message that comes. CPU time is the
//! server's, with the kernel's softirq thread of its processor, and only while the load runs; the two sides of a ratio take turns. Names
//! of goals choose some of them; `--small` tries everything in little.

mod conn;
mod fanout;
mod goals;
mod load;
mod machine;
mod memory;
mod row;
mod server;

use std::process::ExitCode;
use std::time::Instant;

use goals::{Bench, GOALS};
use machine::Cpus;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match measure(std::env::args().skip(1).collect()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("goals: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives how many messages were wrong or missing.
fn measure(mut words: Vec<String>) -> Result<u64, Failure> {
    let is_small = words.iter().any(|word| word == "--small");
    words.retain(|word| word != "--small");
    let names = GOALS.map(|(name, _)| name);
    let usage = || format!("usage: goals SERVER [--small] [{}]", names.join("|"));
    let (program, wanted) = words.split_first().ok_or_else(usage)?;
    if wanted.iter().any(|word| !names.contains(&word.as_str())) {
        return Err(usage().into());
    }
    let cpus = Cpus::choose()?;
    let files = machine::raise_files()?;
    let least = if is_small { 500 } else { 18_100 };
    if files < least {
        return Err(format!("{files} open files are too few: {least} are needed").into());
    }
    Cpus::pin(&[cpus.load])?;
    let bench = Bench { program: program.into(), cpus, is_small };
    let (mut rows, mut wrong) = (Vec::new(), 0);
    for (name, goal) in GOALS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            let (begin, known) = (Instant::now(), rows.len());
            wrong += goal(&bench, &mut rows).map_err(|error| format!("{name}: {error}"))?;
            eprintln!("{name}: {:.1} s", begin.elapsed().as_secs_f64());
            rows[known..].iter().for_each(|row| eprintln!("  {row}"));
        }
    }
    println!("Wrong or missing messages: {wrong}.\n\n{}", row::HEAD);
    rows.iter().for_each(|row| println!("{row}"));
    Ok(wrong)
}
