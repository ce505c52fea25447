//! `instructions`: what the hot paths cost in instructions, counted by callgrind, and what an idle connection holds on the heap,
//! compared with what they cost before.
//!
//! Counts do not depend on the machine's load, so that a regression of a few percent shows. They do depend on the compiler: those of
//! a compiler that `bench/instructions.json` does not know are printed and compared with nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::step::{Failure, output, run};
use crate::workspace::Workspace;

/// Each scenario with the two counts whose difference is measured.
const SCENARIOS: [(&str, u64, u64); 4] =
    [("decode", 1_000, 11_000), ("encode", 1_000, 11_000), ("dispatch", 100, 1_100), ("broadcast", 20, 120)];
/// Programs that count bytes on the heap, with how many clients.
const HEAP: [(&str, &str, &str); 2] = [
    ("heap", "2000", "bytes for an idle connection"),
    ("sessions", "20000", "bytes for an idle session without a network"),
];
/// How far a count may be above the known one. What varies from run to run is the order within hash tables: under 1 % (seen).
const TOLERANCE: f64 = 0.05;

/// Counts all scenarios; with `bless` they become the known ones.
pub(crate) fn check(workspace: &Workspace, bless: bool) -> Result<(), Failure> {
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--locked", "--package", "trunkline-bench"]);
    run(build.args(["--example", "instructions", "--example", "heap", "--example", "sessions"]))?;
    let compiler = output(Command::new("rustc").arg("--version"))?;
    let compiler = format!("{} {}", compiler.trim(), std::env::consts::ARCH);
    let path = workspace.root.join("bench/instructions.json");
    let fail = |what: String| Failure::new(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
    let mut known: BTreeMap<String, Value> =
        serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let mut counts = serde_json::Map::new();
    let mut worse = Vec::new();
    let mut note = |name: &str, unit: &str, count: u64| {
        let before = known.get(&compiler).and_then(|all| all[name].as_u64());
        let change = before.map(|before| count as f64 / before as f64 - 1.0);
        let text = change.map_or_else(String::new, |change| format!("  {:+.1} %", change * 100.0));
        println!("{name:>10}: {count:>9} {unit}{text}");
        if change.is_some_and(|change| change > TOLERANCE) {
            worse.push(name.to_owned());
        }
        counts.insert(name.to_owned(), json!(count));
    };
    for (scenario, few, many) in SCENARIOS {
        let total = count(workspace, scenario, many)? - count(workspace, scenario, few)?;
        note(scenario, "instructions", total / (many - few));
    }
    for (program, count, what) in HEAP {
        let said = output(Command::new(workspace.release_binary(&format!("examples/{program}"))).arg(count))?;
        let bytes = said.split_whitespace().next().and_then(|bytes| bytes.parse().ok());
        note(program, what, bytes.ok_or_else(|| Failure::new(format!("{program} says: {said}")))?);
    }
    if bless {
        known.insert(compiler, Value::Object(counts));
        let text = serde_json::to_string_pretty(&known).map_err(|error| fail(error.to_string()))?;
        return fs::write(&path, text + "\n").map_err(|error| fail(error.to_string()));
    }
    if !known.contains_key(&compiler) {
        println!("no counts are known for {compiler}");
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} cost over {:.0} % more than {} says; if that is meant: cargo xtask instructions bless",
        worse.join(", "),
        TOLERANCE * 100.0,
        path.display()
    )))
}

/// All instructions of one run.
fn count(workspace: &Workspace, scenario: &str, times: u64) -> Result<u64, Failure> {
    let program = workspace.release_binary("examples/instructions");
    let file = workspace.release_binary(&format!("callgrind-{scenario}.out"));
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([scenario, &times.to_string()]);
    run(&mut valgrind)?;
    let text = fs::read_to_string(&file).map_err(|e| Failure::new(format!("{}: {e}", file.display())))?;
    let total = text.lines().find_map(|line| {
        let line = line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:"))?;
        line.trim().parse().ok()
    });
    total.ok_or_else(|| Failure::new(format!("{} holds no total", file.display())))
}
