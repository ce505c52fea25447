//! `trunkline bench` against the binary itself, as it is without a configuration.

use serde_json::Value;

use crate::program::{Program, run};

#[test]
fn what_it_can_do_without_handlers_is_measured() {
    let program = Program::start(&[]);
    let (code, report, _) = bench(&program, &[]);
    assert_eq!((code, report["mode"].as_str()), (Some(0), Some("connect")), "{report:#}");
    assert!(report["messages"]["connect"]["count"].as_u64() > Some(0), "{report:#}");
    let (code, report, said) = bench(&program, &["--mode", "publish", "--pause", "20ms"]);
    assert_eq!(code, Some(0), "{said} {report:#}");
    let count = |kind: &str| report["messages"][kind]["count"].as_u64().unwrap_or(0);
    assert!(count("publish") > 0 && count("fanout") > count("publish"), "{report:#}");
}

#[test]
fn it_says_what_the_binary_does_not_do() {
    let program = Program::start(&[]);
    let (code, _, said) = bench(&program, &["--mode", "echo", "--timeout", "1s"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no answer within 1s") && said.contains("--mode publish"), "{said}");
    // A hundred events per second are taken, and one second's worth at once.
    let program = Program::start(&["--max-events-per-second", "2"]);
    let (code, _, said) = bench(&program, &["--mode", "publish", "--pause", "1ms"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("more than 2 requests in a second"), "{said}");
}

#[test]
fn its_process_is_measured() {
    let program = Program::start(&[]);
    let pid = program.id().to_string();
    let (code, report, said) = bench(&program, &["--pid", &pid]);
    assert_eq!(code, Some(0), "{said}");
    // As docs/cli.md has them.
    assert_eq!(
        names(&report),
        "bad connections disconnected failed generator messages mode opened seconds server"
    );
    let connect = &report["messages"]["connect"];
    assert_eq!(names(connect), "count max_ms p50_ms p90_ms p999_ms p99_ms per_second unanswered");
    assert_eq!(names(&report["generator"]), "cpu_percent cpu_us_per_message memory_bytes");
    let (server, seconds) = (&report["server"], report["seconds"].as_f64().expect("a number"));
    let number = |name: &str| server[name].as_f64().unwrap_or(0.0);
    let count = report["messages"]["connect"]["count"].as_f64().expect("a number");
    let cpu = number("cpu_us_per_message") * count / 1e6;
    assert!(cpu > 0.0 && number("memory_bytes") > 1e6, "{report:#}");
    assert!(
        (cpu - number("cpu_percent") / 100.0 * seconds).abs() < 0.01,
        "both are the same time: {report:#}"
    );
    assert!(report["generator"]["cpu_percent"].as_f64() > Some(0.0), "{report:#}");

    // Fresh, so that nothing is left that connections could take.
    let program = Program::start(&[]);
    let pid = program.id().to_string();
    let (code, report, said) = bench(&program, &["--mode", "idle", "--connections", "300", "--pid", &pid]);
    assert_eq!((code, report["opened"].as_u64()), (Some(0), Some(300)), "{said}");
    assert_eq!(names(&report["server"]), "cpu_percent cpu_us_per_message memory_bytes memory_per_connection");
    let each = report["server"]["memory_per_connection"].as_u64().expect("a number");
    assert!((100..1_000_000).contains(&each), "{report:#}");
}

/// The members of an object, sorted.
fn names(object: &Value) -> String {
    let mut names: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names.join(" ")
}

/// Its exit code, its report, and what it says.
fn bench(program: &Program, more: &[&str]) -> (Option<i32>, Value, String) {
    let url = format!("http://{}", program.address);
    let words = ["bench", &url, "--connections", "4", "--duration", "500ms", "--warmup", "50ms"];
    // A later option takes the place of an earlier one.
    let output = run(&[&words[..], more].concat(), &[]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
}
