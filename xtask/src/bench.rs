//! `bench`: the comparison with the peers, and the tables of `bench/RESULTS.md` made from it.

mod circumstances;
mod design;
mod results;
mod tables;

use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) use circumstances::circumstances;

use crate::step::{Failure, Steps, run};
use crate::workspace::Workspace;
use results::Results;

/// What the ratios are to: one epoll thread with just enough protocol.
const FLOOR: &str = "floor";
const PEERS: [&str; 4] = ["socketioxide", "socketioxide-mi", "bun", "node20-ws"];
const OURS: &str = "trunkline";
const SCENARIOS: [&str; 10] =
    ["rtt", "echo64", "echo1k", "ack64", "fan1k", "fan1k-w4", "fan5k", "fan1k-4k", "poll64", "connect"];
const IDLE: &str = "idle10k";
/// The tables stand between these lines of the file; what is around them was written by hand.
const BEGIN: &str = "<!-- comparison: written by `cargo xtask bench` -->";
const END: &str = "<!-- end of comparison -->";

/// Rounds, and how long each scenario is measured, unless the command line says otherwise.
const TIMES: [&str; 8] = ["--rounds", "5", "--secs", "2", "--warmup", "0.8", "--retries", "1"];

/// What `bench` says where it is not told of a folder.
pub(crate) const NO_FOLDER: &str =
    "bench takes a FOLDER: that of the benchmarks, with compare.py, the load generator and the peers";

/// Runs `compare.py` of `folder` with the servers in turn, and writes the tables. `times`: its options, in place of [`TIMES`]; or
/// `report`, to write the tables of what was measured before.
pub(crate) fn compare(
    workspace: &Workspace,
    steps: &mut Steps,
    folder: &str,
    times: &[String],
) -> Result<(), Failure> {
    let folder = Path::new(folder)
        .canonicalize()
        .map_err(|error| Failure::new(format!("no folder of benchmarks {folder}: {error}")))?;
    let program = workspace.release_binary("bench-server");
    let server = format!("{OURS}={} {{port}} --uring auto", program.display());
    let measure = |name: &str, servers: &[&str], args: &[&str]| {
        let mut compare = Command::new(folder.join("compare.py"));
        compare.current_dir(&folder).args(["--only", &servers.join(","), "--out", name]).args(args);
        run(&mut compare)
    };
    if times != ["report"] {
        let given: Vec<&str> = times.iter().map(String::as_str).collect();
        let times = if given.is_empty() { &TIMES[..] } else { &given };
        let ours = ["--server", &server];
        steps.step("messages", || {
            let servers = [&[FLOOR][..], &PEERS].concat();
            let scenarios = SCENARIOS.join(",");
            measure("trunkline", &servers, &[&ours, &["--scenarios", &scenarios][..], times].concat())
        })?;
        // A round of one server takes 40 seconds: the goals need them, the peers' figures hardly move.
        steps.step("idle", || {
            measure("trunkline-idle", &[FLOOR], &[&ours, times, &["--scenarios", IDLE]].concat())
        })?;
        steps.step("idle peers", || {
            measure("trunkline-idle-peers", &PEERS, &["--scenarios", IDLE, "--rounds", "1"])
        })?;
    }
    steps.step("RESULTS.md", || {
        let read = |name: &str| Results::read(&folder.join("results").join(format!("{name}.json")));
        let results = read("trunkline")?.with(&read("trunkline-idle")?).with(&read("trunkline-idle-peers")?);
        let head = tables::head(workspace, &folder, &program, &results)?;
        let text = format!("{head}{}", tables::tables(&results));
        insert(&workspace.root.join("bench/RESULTS.md"), BEGIN, END, &text)
    })
}

/// Writes `tables` between the lines `begin` and `end` of a file.
pub(crate) fn insert(path: &Path, begin: &str, end: &str, tables: &str) -> Result<(), Failure> {
    let fail = |what: String| Failure::new(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let parts = text.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let Some((before, after)) = parts else { return Err(fail(format!("no lines {begin} and {end}"))) };
    let text = format!("{before}{begin}\n\n{tables}\n{end}{after}");
    fs::write(path, text).map_err(|error| fail(error.to_string()))
}
