//! `instructions`: what the hot paths cost in instructions, counted by callgrind, and what an idle connection holds on the heap,
//! compared with what they cost before.
//!
//! Counts do not depend on the machine's load, so that a regression of a few percent shows. They do depend on the compiler: those of
//! a compiler that `bench/instructions.json` does not know are printed and compared with nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::step::{Failure, output, run};
use crate::workspace::Workspace;

/// Each scenario with the two counts whose difference is measured.
const SCENARIOS: [(&str, u64, u64); 4] =
    [("decode", 1_000, 11_000), ("encode", 1_000, 11_000), ("dispatch", 100, 1_100), ("broadcast", 20, 120)];
/// Programs that count bytes on the heap, with how many clients, and the goal if there is one.
const HEAP: [(&str, &str, &str, Option<u64>); 2] = [
    ("heap", "2000", "bytes for an idle connection", None),
    ("sessions", "20000", "bytes for an idle session without a network", Some(1200)),
];
/// How far a count may be above the known one. From run to run at most 0.1 % changes (the order within hash tables), and the same code built anew
/// beside other crates moved by 1.4 % (what is inlined). A tenth more of the server's own part, the least of which is about three fifths of
/// `dispatch` (the rest is the runtime's turns and the pipe), is twice as much as this.
const TOLERANCE: f64 = 0.03;

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
    let mut known: BTreeMap<String, Map<String, Value>> =
        serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
    let mut check = Check { known: known.get(&compiler), counts: Map::new(), worse: Vec::new() };
    for (scenario, few, many) in SCENARIOS {
        let total = count(workspace, scenario, many)? - count(workspace, scenario, few)?;
        println!("{}", check.note(scenario, "instructions", total / (many - few), None));
    }
    for (program, count, what, goal) in HEAP {
        let said = output(Command::new(workspace.release_binary(&format!("examples/{program}"))).arg(count))?;
        let bytes = said.split_whitespace().next().and_then(|bytes| bytes.parse().ok());
        let bytes = bytes.ok_or_else(|| Failure::new(format!("{program} says: {said}")))?;
        println!("{}", check.note(program, what, bytes, goal));
    }
    let Check { counts, worse, .. } = check;
    if bless {
        known.insert(compiler, counts);
        let text = serde_json::to_string_pretty(&known).map_err(|error| fail(error.to_string()))?;
        return fs::write(&path, text + "\n").map_err(|error| fail(error.to_string()));
    }
    if !known.contains_key(&compiler) {
        println!("no counts are known for {compiler}: nothing was compared");
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{}; if that is meant: cargo xtask instructions bless, which writes {}",
        worse.join("; "),
        path.display()
    )))
}

/// Counts beside those that are known for this compiler.
struct Check<'a> {
    known: Option<&'a Map<String, Value>>,
    counts: Map<String, Value>,
    /// What has become worse, each in a few words.
    worse: Vec<String>,
}

impl Check<'_> {
    /// Takes a count; gives a line about it. With a compiler that is not known nothing is worse, above a goal neither.
    fn note(&mut self, name: &str, unit: &str, count: u64, goal: Option<u64>) -> String {
        let before = self.known.and_then(|known| known.get(name)?.as_u64());
        let change = before.map(|before| count as f64 / before as f64 - 1.0);
        if change.is_some_and(|change| change > TOLERANCE) {
            self.worse.push(format!("{name} costs over {:.0} % more than before", TOLERANCE * 100.0));
        }
        let is_above = goal.is_some_and(|goal| count > goal);
        if is_above && self.known.is_some() {
            self.worse.push(format!("{name} is above its goal"));
        }
        self.counts.insert(name.to_owned(), json!(count));
        let change = change.map_or_else(String::new, |change| format!("  {:+.1} %", change * 100.0));
        let goal = goal.map_or_else(String::new, |goal| format!("  (goal {goal})"));
        format!("{name:>10}: {count:>9} {unit}{change}{goal}")
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::Check;

    #[test]
    fn a_tenth_more_is_worse_and_what_varies_is_not() {
        let known =
            Map::from_iter([("dispatch".to_owned(), json!(5_000)), ("sessions".to_owned(), json!(1_180))]);
        let mut check = Check { known: Some(&known), counts: Map::new(), worse: Vec::new() };
        check.note("dispatch", "instructions", 5_100, None);
        check.note("sessions", "bytes", 1_200, Some(1_200));
        assert!(check.worse.is_empty(), "{:?}", check.worse);
        check.note("dispatch", "instructions", 5_500, None);
        check.note("sessions", "bytes", 1_201, Some(1_200));
        assert_eq!(check.worse, ["dispatch costs over 3 % more than before", "sessions is above its goal"]);
    }

    #[test]
    fn nothing_is_worse_with_a_compiler_that_is_not_known() {
        let mut check = Check { known: None, counts: Map::new(), worse: Vec::new() };
        let line = check.note("sessions", "bytes", 1_300, Some(1_200));
        assert_eq!(line, "  sessions:      1300 bytes  (goal 1200)");
        assert!(check.worse.is_empty(), "{:?}", check.worse);
    }
}
