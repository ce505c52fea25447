//! The short form of `slow-readers`: memory stays under its cap though a third of the clients stops reading, and the others miss nothing.

use std::process::Command;

fn run(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_slow-readers")).args(args).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

#[test]
fn memory_stays_under_its_cap_and_the_others_miss_nothing() {
    run(&[]);
}
