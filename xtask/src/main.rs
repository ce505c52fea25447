//! The project's chores: `cargo xtask test | interop | fuzz | bench | goals | instructions`.

mod bench;
mod goals;
mod install;
mod instructions;
mod licenses;
mod step;
mod workspace;

use std::process::ExitCode;

use step::{Failure, Steps, output, run};
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <task>

  test               install what the tests need, then every check and every test
  interop [args]     real clients against interop-server; args go to interop/run.mjs (--only, --list, --jobs)
  fuzz [seconds]     random input into every decoder and state machine, 20 seconds each unless said otherwise
  bench folder..     build bench-server, measure it beside its peers with `compare.py` of that folder (35 minutes, on a
                     machine that does nothing else), and write the tables of bench/RESULTS.md; further words go to
                     `compare.py` in place of its times; `report` measures nothing
  goals [command..]  measure the further goals (5 minutes, on a machine that does nothing else) and write their table of
                     bench/RESULTS.md; the command, such as `nice -n -5`, runs each measurement
  instructions       count what the hot paths cost, by callgrind, and compare it with bench/instructions.json; `bless` makes
                     the new counts the known ones";

/// Fuzzing time for each target, in seconds, when the command line names none.
const FUZZ_SECONDS: u32 = 20;

/// The same as a part of `test`: the corpus, and enough to find what is plainly wrong.
const TEST_FUZZ_SECONDS: u32 = 2;

/// Tests whose servers write to TCP streams, by `trunkline_testkit::uring`.
const URING_TESTS: &[&str] = &[
    "engine_matrix",
    "engine_security",
    "engine_session",
    "sio_binary",
    "sio_connect",
    "sio_end",
    "sio_history",
    "sio_once",
    "sio_order",
    "sio_recovery",
    "sio_security",
    "sio_uring",
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, args)) = words.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match task.as_str() {
        "test" if args.is_empty() => test(),
        "interop" => interop(args),
        "fuzz" if args.len() <= 1 => fuzz(args.first().map(String::as_str)),
        "bench" => bench(args),
        "goals" => goals(args),
        "instructions" => match args {
            [] => instructions(false),
            [word] if word == "bless" => instructions(true),
            _ => Err(Failure::new("instructions takes nothing, or `bless`")),
        },
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let mut steps = Steps::new();
    steps.step("format", || run(workspace.cargo().args(["fmt", "--all", "--check"])))?;
    steps.step("install", || install::everything(&workspace))?;
    steps.step("licences", || licenses::check(&workspace))?;
    steps.step("clippy", || {
        let mut clippy = workspace.cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        run(&mut clippy)
    })?;
    steps.step("tests", || run(workspace.cargo().args(["test", "--workspace", "--locked"])))?;
    steps.step("tests with io_uring", || run_with_uring(&workspace))?;
    steps.step("fuzz", || run_fuzz(&workspace, TEST_FUZZ_SECONDS))?;
    steps.step("instructions", || instructions::check(&workspace, false))?;
    steps.step("docs", || {
        let mut doc = workspace.cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
        run(&mut doc)
    })?;
    steps.step("browser client", || run_js(&workspace))?;
    steps.step("build interop-server", || build(&workspace, "interop-server"))?;
    steps.step("build trunkline", || build(&workspace, "trunkline"))?;
    steps.step("build interop-client", || build(&workspace, "interop-client"))?;
    steps.step("build examples", || build_examples(&workspace))?;
    steps.step("interop and browser", || run_interop(&workspace, &[]))?;
    steps.step("our clients, the reference server", || run_reference(&workspace))?;
    steps.step("storm", || run_storm(&workspace))?;
    steps.step("load, others' servers", || run_load(&workspace))?;
    steps.step("our clients, python-socketio", || run_clients(&workspace))?;
    steps.finish();
    Ok(())
}

fn interop(args: &[String]) -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let mut steps = Steps::new();
    steps.step("install", || install::everything(&workspace))?;
    steps.step("build interop-server", || build(&workspace, "interop-server"))?;
    steps.step("build trunkline", || build(&workspace, "trunkline"))?;
    steps.step("build interop-client", || build(&workspace, "interop-client"))?;
    steps.step("build examples", || build_examples(&workspace))?;
    steps.step("interop", || run_interop(&workspace, args))
}

fn fuzz(seconds: Option<&str>) -> Result<(), Failure> {
    let seconds = match seconds {
        None => FUZZ_SECONDS,
        Some(text) => text.parse().map_err(|_| Failure::new(format!("not a number of seconds: {text}")))?,
    };
    let workspace = Workspace::read()?;
    Steps::new().step("fuzz", || run_fuzz(&workspace, seconds))
}

fn bench(args: &[String]) -> Result<(), Failure> {
    let [folder, times @ ..] = args else { return Err(Failure::new(bench::NO_FOLDER)) };
    let workspace = Workspace::read()?;
    let mut steps = Steps::new();
    steps.step("build bench-server", || build(&workspace, "bench-server"))?;
    bench::compare(&workspace, &mut steps, folder, times)
}

fn goals(wrapper: &[String]) -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let mut steps = Steps::new();
    steps.step("build", || {
        let mut build = workspace.cargo();
        build.args(["build", "--release", "--locked", "--package", "trunkline-bench"]);
        run(build.args(["--bin", "bench-server", "--bin", "goals"]))
    })?;
    goals::measure(&workspace, &mut steps, wrapper)
}

fn instructions(bless: bool) -> Result<(), Failure> {
    let workspace = Workspace::read()?;
    let mut steps = Steps::new();
    steps.step("install", install::debian_packages)?;
    steps.step("instructions", || instructions::check(&workspace, bless))
}

/// The library's tests that go over TCP once more, with the servers sending through io_uring.
fn run_with_uring(workspace: &Workspace) -> Result<(), Failure> {
    let test = |names: &[&str]| {
        let mut test = workspace.cargo();
        test.args(["test", "--locked", "--package", "trunkline"]);
        test.args(names.iter().flat_map(|name| ["--test", name]));
        test
    };
    let told = output(test(&["sio_uring"]).args(["--", "--exact", "--nocapture", "availability"]))?;
    if let Some(line) = told.lines().find(|line| line.contains("io_uring: no")) {
        println!("SKIPPED, nothing was tested with io_uring: {line}");
        return Ok(());
    }
    run(test(URING_TESTS).env("TRUNKLINE_TEST_URING", "on"))
}

fn run_fuzz(workspace: &Workspace, seconds: u32) -> Result<(), Failure> {
    let mut fuzz = workspace.cargo();
    fuzz.args(["run", "--profile", "fuzz", "--locked", "--package", "trunkline-fuzz", "--"]);
    run(fuzz.arg(seconds.to_string()))
}

fn build(workspace: &Workspace, binary: &str) -> Result<(), Failure> {
    // `--workspace --bin` finds the binary whatever its package is called.
    run(workspace.cargo().args(["build", "--release", "--locked", "--workspace", "--bin", binary]))
}

/// The examples that the interop suite runs, which finds them beside `interop-server`.
fn build_examples(workspace: &Workspace) -> Result<(), Failure> {
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--locked", "--package", "trunkline-examples"]);
    build.args(["--example", "chat", "--example", "session"]);
    run(&mut build)
}

/// Whether `js/dist` is what its sources make, its size, its types and its tests.
fn run_js(workspace: &Workspace) -> Result<(), Failure> {
    run(std::process::Command::new("npm").current_dir(workspace.root.join("js")).args(["test", "--silent"]))
}

fn run_interop(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let mut node = interop_runner(workspace);
    run(node.arg("--server").arg(workspace.release_binary("interop-server")).args(args))
}

/// Our clients against the published Node.js server.
fn run_reference(workspace: &Workspace) -> Result<(), Failure> {
    run(interop_runner(workspace).args(["--reference", "--only", "trunkline"]))
}

/// Our clients against a server that is neither ours nor the reference.
fn run_clients(workspace: &Workspace) -> Result<(), Failure> {
    run(interop_runner(workspace).args(["--python-server", "--only", "trunkline"]))
}

fn interop_runner(workspace: &Workspace) -> std::process::Command {
    let mut node = std::process::Command::new("node");
    node.current_dir(workspace.root.join("interop"))
        .arg("run.mjs")
        .env("INTEROP_CLIENT", workspace.release_binary("interop-client"));
    node
}

/// The short form of the storm: connections are cut and the server is killed, nothing may be lost.
fn run_storm(workspace: &Workspace) -> Result<(), Failure> {
    let program = workspace.release_binary("trunkline");
    let server = format!(
        "{} --port {{port}} --internal off --recovery 2m --recovery-file {{dir}} --max-events-per-second 0",
        program.display()
    );
    let mut node = std::process::Command::new("node");
    node.current_dir(workspace.root.join("interop")).arg("storm.mjs").arg("--program").arg(program);
    node.args(["--server", &server, "--clients", "50", "--rooms", "10", "--rate", "200"]);
    run(node.args(["--seconds", "15", "--kills", "2", "--strict"]))
}

/// `trunkline bench` against the published Node.js server and python-socketio's.
fn run_load(workspace: &Workspace) -> Result<(), Failure> {
    let mut node = std::process::Command::new("node");
    node.current_dir(workspace.root.join("interop")).arg("bench.mjs");
    run(node.arg("--program").arg(workspace.release_binary("trunkline")))
}
