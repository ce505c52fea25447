//! What the compiler says to somebody who writes a handler that cannot be one.

/// The compiler whose words were recorded: another one words and wraps its messages differently.
const RECORDED_WITH: &str = "rustc 1.95.";

#[test]
fn the_messages_name_what_to_do() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().expect("the compiler runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(RECORDED_WITH) {
        println!("the messages were recorded with {RECORDED_WITH}x, this is {version}: not compared");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
