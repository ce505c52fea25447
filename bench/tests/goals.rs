//! The small form of `goals`: every measurement runs, and no message is wrong or missing.

use std::process::Command;

#[test]
fn all_goals_are_measured_and_no_message_is_wrong() {
    let mut goals = Command::new(env!("CARGO_BIN_EXE_goals"));
    let output = goals.arg(env!("CARGO_BIN_EXE_bench-server")).arg("--small").output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("met").count(), 12, "a row for each goal, whether met or missed or not: {said}");
}
