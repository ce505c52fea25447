//! `bench`: the comparison with the peers, and the tables of `bench/RESULTS.md` made from it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, Steps, run};
use crate::workspace::Workspace;

const PEERS: &str = "floor,socketioxide,socketioxide-mi,bun,node20-ws";
const SCENARIOS: &str = "rtt,echo64,echo1k,ack64,fan1k,fan1k-w4,fan5k,fan1k-4k,poll64,connect";
const IDLE: &str = "idle10k";
/// The tables stand between these lines of the file; what is around them was written by hand.
const BEGIN: &str = "<!-- comparison: written by `cargo xtask bench` -->";
const END: &str = "<!-- end of comparison -->";

/// What design section 7 asks for, as multiples of the floor.
const GOALS: [(&str, f64); 9] = [
    ("echo64", 1.9),
    ("ack64", 1.9),
    ("echo1k", 1.2),
    ("fan1k", 1.1),
    ("fan1k-w4", 0.6),
    ("fan5k", 1.1),
    ("fan1k-4k", 1.1),
    ("poll64", 1.3),
    ("connect", 1.4),
];

/// How long each scenario is measured, unless the command line says otherwise.
const TIMES: [&str; 8] = ["--rounds", "3", "--secs", "2", "--warmup", "0.8", "--retries", "1"];

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
    let server = format!("trunkline={} {{port}}", workspace.release_binary("bench-server").display());
    let measure = |name: &str, args: &[&str]| {
        let mut compare = Command::new(folder.join("compare.py"));
        compare.current_dir(&folder).args(["--only", PEERS, "--server", &server, "--out", name]).args(args);
        run(&mut compare)
    };
    if times != ["report"] {
        steps.step("messages", || {
            let given: Vec<&str> = times.iter().map(String::as_str).collect();
            let times = if given.is_empty() { &TIMES[..] } else { &given };
            measure("trunkline", &[&["--scenarios", SCENARIOS], times].concat())
        })?;
        steps.step("idle", || measure("trunkline-idle", &["--scenarios", IDLE, "--rounds", "1"]))?;
    }
    steps.step("RESULTS.md", || {
        let read = |name: &str| Results::read(&folder.join("results").join(format!("{name}.json")));
        let tables = tables(workspace, &folder, &read("trunkline")?, &read("trunkline-idle")?)?;
        insert(&workspace.root.join("bench/RESULTS.md"), BEGIN, END, &tables)
    })
}

/// What one call of `compare.py` wrote: for each scenario and server its runs.
struct Results(Value);

impl Results {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        let value = serde_json::from_str(&text)
            .map_err(|e| Failure::new(format!("{} is no JSON: {e}", path.display())))?;
        Ok(Self(value))
    }

    fn runs(&self, scenario: &str, server: &str) -> &[Value] {
        self.0["results"][scenario][server].as_array().map_or(&[], Vec::as_slice)
    }

    /// Of all runs, in ascending order.
    fn values(&self, scenario: &str, server: &str, field: &str) -> Vec<f64> {
        let runs = self.runs(scenario, server).iter();
        let mut values: Vec<f64> = runs.filter_map(|run| run[field].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, scenario: &str, server: &str, field: &str) -> Option<f64> {
        let values = self.values(scenario, server, field);
        values.get(values.len() / 2).copied()
    }

    /// Server CPU in µs per message, delivery or connection.
    fn cpu(&self, scenario: &str, server: &str) -> Option<f64> {
        self.median(scenario, server, cpu_field(scenario))
    }

    /// Wrong or failed messages of all runs.
    fn bad(&self) -> u64 {
        let scenarios = self.0["results"].as_object().into_iter().flat_map(|all| all.values());
        let runs = scenarios.filter_map(Value::as_object).flat_map(|servers| servers.values());
        runs.filter_map(Value::as_array).flatten().filter_map(|run| run["bad"].as_u64()).sum()
    }
}

fn cpu_field(scenario: &str) -> &'static str {
    match scenario {
        "connect" => "srv_us_per_connect",
        fan if fan.starts_with("fan") => "srv_us_per_delivery",
        _ => "srv_us_per_msg",
    }
}

fn user_field(scenario: &str) -> &'static str {
    match scenario {
        "connect" => "srv_user_us_per_connect",
        fan if fan.starts_with("fan") => "srv_user_us_per_delivery",
        _ => "srv_user_us_per_msg",
    }
}

fn servers() -> impl Iterator<Item = &'static str> {
    PEERS.split(',').chain(["trunkline"])
}

fn tables(workspace: &Workspace, folder: &Path, main: &Results, idle: &Results) -> Result<String, Failure> {
    let mut out = String::new();
    let date = main.0["meta"]["date"].as_str().unwrap_or_default();
    let commit = output(workspace, "git", &["describe", "--always", "--dirty", "--abbrev=7"])?;
    let rustc = output(workspace, "rustc", &["--version"])?;
    let _ = writeln!(
        out,
        "{}, commit {commit}, {rustc}; {} CPUs ({}), Linux {}; server on CPU 0, load generator on CPU 1: **everything is per one core of\n\
         server**. Median (min–max) of {} interleaved rounds. Wrong or failed messages, over all runs: {}. Peers: {}.\n",
        date.split('T').next().unwrap_or_default(),
        main.0["meta"]["cpus"],
        processor(),
        main.0["meta"]["kernel"].as_str().unwrap_or_default(),
        main.runs("echo64", "trunkline").len(),
        main.bad() + idle.bad(),
        versions(folder),
    );
    let _ = writeln!(out, "### Server CPU, µs per message (delivery, connect), and × the floor\n");
    table(&mut out, SCENARIOS.split(','), |scenario, server| {
        let values = main.values(scenario, server, cpu_field(scenario));
        let median = main.cpu(scenario, server)?;
        let ratio = main.cpu(scenario, "floor").map(|floor| format!(" ×{:.2}", median / floor));
        let (low, high) = (values.first()?, values.last()?);
        let ratio = ratio.filter(|_| server != "floor").unwrap_or_default();
        Some(format!("{} ({}–{}){ratio}", short(median), short(*low), short(*high)))
    });
    let _ = writeln!(out, "\n### trunkline beside each peer (under 1: trunkline is cheaper)\n");
    table(&mut out, SCENARIOS.split(','), |scenario, server| {
        Some(format!("{:.2}", main.cpu(scenario, "trunkline")? / main.cpu(scenario, server)?))
    });
    let _ = writeln!(out, "\n### Of which in user space, µs\n");
    table(&mut out, SCENARIOS.split(','), |scenario, server| {
        main.median(scenario, server, user_field(scenario)).map(short)
    });
    let _ = writeln!(out, "\n### Latency, p50 / p99 µs\n");
    let timed = SCENARIOS.split(',').filter(|s| !s.starts_with("fan5k") && *s != "connect");
    table(&mut out, timed, |scenario, server| {
        let (p50, p99) = (main.median(scenario, server, "p50_us")?, main.median(scenario, server, "p99_us")?);
        Some(format!("{} / {}", short(p50), short(p99)))
    });
    let _ = writeln!(out, "\n### Rates on one core, per second\n");
    table(&mut out, SCENARIOS.split(','), |scenario, server| {
        main.median(scenario, server, "rate").map(|rate| format!("{rate:.0}"))
    });
    let _ = writeln!(out, "\n### 10,000 idle connections, each in a room (1 round)\n");
    let columns = [
        ("resident bytes per connection", "bytes_per_conn"),
        ("after one echo each", "bytes_per_conn_used"),
        ("after 26 s more", "bytes_per_conn_held"),
        ("CPU µs per connect", "connect_us_cpu"),
        ("CPU µs per heartbeat", "heartbeat_us_cpu"),
    ];
    table(&mut out, columns.iter().map(|(name, _)| *name), |name, server| {
        let field = columns.iter().find(|(n, _)| *n == name)?.1;
        idle.median(IDLE, server, field).map(short)
    });
    let _ = writeln!(
        out,
        "\n### Against the design's goals\n\n| scenario | goal, × floor | came | |\n| --- | ---: | ---: | --- |"
    );
    for (scenario, goal) in GOALS {
        if let (Some(ours), Some(floor)) = (main.cpu(scenario, "trunkline"), main.cpu(scenario, "floor")) {
            let came = ours / floor;
            let verdict = if came <= goal { "met" } else { "missed" };
            let _ = writeln!(out, "| {scenario} | {goal} | {came:.2} | {verdict} |");
        }
    }
    Ok(out)
}

/// One row per name, one column per server.
fn table<'a>(
    out: &mut String,
    rows: impl Iterator<Item = &'a str>,
    cell: impl Fn(&str, &str) -> Option<String>,
) {
    let heads: Vec<_> = servers().collect();
    let _ = writeln!(out, "| | {} |\n| --- |{}", heads.join(" | "), " ---: |".repeat(heads.len()));
    for row in rows {
        let cells: Vec<_> =
            heads.iter().map(|server| cell(row, server).unwrap_or_else(|| "–".to_owned())).collect();
        let _ = writeln!(out, "| {row} | {} |", cells.join(" | "));
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Of the peers that are Node.js packages, as installed.
fn versions(folder: &Path) -> String {
    let packages = [
        ("socket.io", "peers/node/node_modules/socket.io"),
        ("@socket.io/bun-engine", "peers/bun/node_modules/@socket.io/bun-engine"),
        ("Bun", "peers/bun/node_modules/@oven/bun-linux-x64"),
    ];
    let version = |path: &str| {
        let text = fs::read_to_string(folder.join(path).join("package.json")).ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?["version"].as_str()?.to_owned())
    };
    let known = packages.iter().filter_map(|(name, path)| Some(format!("{name} {}", version(path)?)));
    let lock = fs::read_to_string(folder.join("peers/socketioxide/Cargo.lock")).unwrap_or_default();
    let oxide =
        lock.split("name = \"socketioxide\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    known.chain(oxide.map(|version| format!("socketioxide {version}"))).collect::<Vec<_>>().join(", ")
}

fn output(workspace: &Workspace, program: &str, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program).current_dir(&workspace.root).args(args).output();
    let output = output.map_err(|error| Failure::new(format!("{program}: {error}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Day, commit, compiler and machine of a measurement, as the beginning of a paragraph.
pub(crate) fn circumstances(workspace: &Workspace) -> Result<String, Failure> {
    let date = output(workspace, "date", &["-u", "+%Y-%m-%d"])?;
    let commit = output(workspace, "git", &["describe", "--always", "--dirty", "--abbrev=7"])?;
    let rustc = output(workspace, "rustc", &["--version"])?;
    let kernel = output(workspace, "uname", &["-r"])?;
    Ok(format!("{date}, commit {commit}, {rustc}; {}, Linux {kernel}. ", processor()))
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
