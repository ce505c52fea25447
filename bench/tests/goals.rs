//! The small form of `goals`: every measurement runs, and no message is wrong or missing.

use std::process::Command;

#[test]
fn all_goals_are_measured_and_no_message_is_wrong() {
    let mut goals = Command::new(env!("CARGO_BIN_EXE_goals"));
    let output = goals.arg(env!("CARGO_BIN_EXE_bench-server")).arg("--small").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let is_row = |line: &&str| line.ends_with("| met |") || line.ends_with("| **missed** |");
    assert_eq!(said.lines().filter(is_row).count(), 12, "a row for each goal: {said}");
}
