//! Runs the interop scenarios of one group with `trunkline-client` and reports each as one line of JSON; or holds one client.

mod context;
mod failure;
mod job;
mod peer;
mod relay;
mod scenarios;
mod server;
mod values;

use std::collections::VecDeque;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use context::Context;
use failure::{Failure, Outcome};
use job::Job;
use scenarios::Scenario;
use serde::Serialize;

/// Longest time for one case, above every step's own limit.
const CASE: Duration = Duration::from_secs(40);
/// Cases that run at the same time: many of them wait for a heartbeat or a timeout.
const AT_ONCE: usize = 4;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let job = match Job::from_args() {
        Ok(job) => job,
        Err(error) => {
            eprintln!("interop-client: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = if job.hold { scenarios::hold(job).await } else { run_group(job).await };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("interop-client: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run_group(job: Job) -> Outcome {
    let names = Arc::new(Mutex::new(VecDeque::from(job.names.clone())));
    let job = Arc::new(job);
    let runners = (0..AT_ONCE).map(|_| tokio::spawn(run_some(Arc::clone(&job), Arc::clone(&names))));
    for runner in runners.collect::<Vec<_>>() {
        runner.await??;
    }
    Ok(())
}

async fn run_some(job: Arc<Job>, names: Arc<Mutex<VecDeque<String>>>) -> Outcome {
    loop {
        // Its own statement: the lock must not last longer.
        let name = names.lock().map_err(|_| Failure::new("another runner panicked"))?.pop_front();
        let Some(name) = name else { return Ok(()) };
        let began = Instant::now();
        let outcome = match scenarios::find(&name) {
            // A task of its own, so that a panic is the failure of this case.
            Some(scenario) => match tokio::spawn(run_case(Arc::clone(&job), scenario)).await {
                Ok(outcome) => outcome,
                Err(error) => Err(error.into()),
            },
            None => Err(Failure::new("this client does not know the scenario")),
        };
        let ms = began.elapsed().as_millis();
        report(&Report { name: &name, failure: outcome.err().map(|failure| failure.to_string()), ms })?;
    }
}

async fn run_case(job: Arc<Job>, scenario: Scenario) -> Outcome {
    let context = Context::new(job)?;
    let run = tokio::time::timeout(CASE, scenario(&context)).await;
    let outcome =
        run.unwrap_or_else(|_| Err(Failure::new(format!("the whole case: not over within {CASE:?}"))));
    let ending = context.end().await;
    outcome.and(ending)
}

/// What the runner is told of a case.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    ms: u128,
}

fn report(report: &Report<'_>) -> Outcome {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    // One write for a line: cases end at the same time.
    std::io::stdout().lock().write_all(&line)?;
    Ok(())
}
