//! `goals`: the further goals, measured by `bench/src/bin/goals`, and their table in `bench/RESULTS.md`.

use std::process::Command;

use crate::bench::{self, insert};
use crate::step::{Failure, Steps, output};
use crate::workspace::Workspace;

/// Measured one after the other, each by a process of its own.
const GOALS: [&str; 6] = ["idle", "fan-out", "rooms", "deflate", "tls", "shards"];
/// The table stands between these lines of the file.
const BEGIN: &str = "<!-- goals: written by `cargo xtask goals` -->";
const END: &str = "<!-- end of goals -->";

/// Measures everything and writes the table. `wrapper`: a command that runs each measurement, such as `nice -n -5`.
pub(crate) fn measure(workspace: &Workspace, steps: &mut Steps, wrapper: &[String]) -> Result<(), Failure> {
    let program = workspace.release_binary("goals");
    let mut table = String::new();
    let mut wrong = 0;
    for goal in GOALS {
        steps.step(goal, || {
            let mut command = match wrapper.split_first() {
                Some((wrapper, words)) => {
                    let mut command = Command::new(wrapper);
                    command.args(words).arg(&program);
                    command
                }
                None => Command::new(&program),
            };
            let said = output(command.arg(workspace.release_binary("bench-server")).arg(goal))?;
            print!("{said}");
            let (first, rows) = said.split_once("\n\n").unwrap_or_default();
            let count = first.split(' ').find_map(|word| word.trim_end_matches('.').parse::<u64>().ok());
            wrong += count.ok_or_else(|| Failure::new(format!("not what was expected: {said}")))?;
            // The head of the table is each one's; the first one's is enough.
            let skipped = if table.is_empty() { 0 } else { HEAD_LINES };
            table.extend(rows.lines().skip(skipped).flat_map(|row| [row, "\n"]));
            Ok(())
        })?;
    }
    let text = format!(
        "{}Wrong or missing messages, over all runs: {wrong}.\n\n{table}",
        bench::circumstances(workspace)?
    );
    steps.step("RESULTS.md", || insert(&workspace.root.join("bench/RESULTS.md"), BEGIN, END, &text))
}

/// Of a Markdown table.
const HEAD_LINES: usize = 2;
