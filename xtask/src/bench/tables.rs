//! The tables of the comparison, as Markdown.

use std::fmt::Write as _;
use std::path::Path;

use super::circumstances::{build, processor, said, versions};
use super::design;
use super::results::{Results, cpu_field, user_field};
use super::{FLOOR, IDLE, OURS, PEERS, SCENARIOS};
use crate::step::Failure;
use crate::workspace::Workspace;

/// What is measured of idle connections, by the name in the table and in the results.
pub(super) const IDLE_COLUMNS: [(&str, &str); 5] = [
    ("resident bytes per connection", "bytes_per_conn"),
    ("after one echo each", "bytes_per_conn_used"),
    ("after 26 s more", "bytes_per_conn_held"),
    ("CPU µs per connect", "connect_us_cpu"),
    ("CPU µs per heartbeat", "heartbeat_us_cpu"),
];

/// When, of what, on what and how it was measured. `program`: our server.
pub(super) fn head(
    workspace: &Workspace,
    folder: &Path,
    program: &Path,
    results: &Results,
) -> Result<String, Failure> {
    let text = |field| results.meta(field).as_str().unwrap_or_default();
    let failed = match results.failed() {
        0 => String::new(),
        count => format!(" Runs that failed and gave no figures: {count}."),
    };
    Ok(format!(
        "{}, {}; {} CPUs ({}), Linux {}; server on CPU 0, load generator on CPU 1: **everything is per one core of\n\
         server**. Median (min–max) of {} interleaved rounds. Wrong or failed messages, over all runs: {}.{failed} trunkline sends with\n\
         `--uring auto`: {}. Peers: {}.\n\n",
        text("date").split('T').next().unwrap_or_default(),
        build(workspace)?,
        results.meta("cpus"),
        processor(),
        text("kernel"),
        results.runs("echo64", OURS).len(),
        results.bad(),
        said(&program.to_string_lossy(), &["uring"])?,
        versions(folder)?,
    ))
}

pub(super) fn tables(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "### Server CPU, µs per message (delivery, connect), and × the floor\n");
    table(&mut out, SCENARIOS, |scenario, server| {
        let values = results.values(scenario, server, cpu_field(scenario));
        let median = results.cpu(scenario, server)?;
        let ratio = results.cpu(scenario, FLOOR).map(|floor| format!(" ×{:.2}", median / floor));
        let (low, high) = (values.first()?, values.last()?);
        let ratio = ratio.filter(|_| server != FLOOR).unwrap_or_default();
        Some(format!("{} ({}–{}){ratio}", short(median), short(*low), short(*high)))
    });
    let _ = writeln!(out, "\n### trunkline beside each peer (under 1: trunkline is cheaper)\n");
    table(&mut out, SCENARIOS, |scenario, server| {
        Some(format!("{:.2}", results.cpu(scenario, OURS)? / results.cpu(scenario, server)?))
    });
    let _ = writeln!(out, "\n### Of which in user space, µs\n");
    table(&mut out, SCENARIOS, |scenario, server| {
        results.median(scenario, server, user_field(scenario)).map(short)
    });
    let _ = writeln!(out, "\n### Latency, p50 / p99 µs\n");
    let timed = SCENARIOS.into_iter().filter(|s| !s.starts_with("fan5k") && *s != "connect");
    table(&mut out, timed, |scenario, server| {
        let (p50, p99) =
            (results.median(scenario, server, "p50_us")?, results.median(scenario, server, "p99_us")?);
        Some(format!("{} / {}", short(p50), short(p99)))
    });
    let _ = writeln!(out, "\n### Rates on one core, per second\n");
    table(&mut out, SCENARIOS, |scenario, server| {
        results.median(scenario, server, "rate").map(|rate| format!("{rate:.0}"))
    });
    let _ = writeln!(
        out,
        "\n### 10,000 idle connections, each in a room (medians; rounds of floor and trunkline: {}, of the others: {})\n",
        results.runs(IDLE, OURS).len(),
        results.runs(IDLE, PEERS[0]).len(),
    );
    table(&mut out, IDLE_COLUMNS.map(|(name, _)| name), |name, server| {
        let field = IDLE_COLUMNS.iter().find(|(n, _)| *n == name)?.1;
        results.median(IDLE, server, field).map(short)
    });
    let _ = writeln!(out, "\n### Against the design's goals\n");
    design::table(&mut out, results);
    let _ = writeln!(out, "\n{}", design::behind(results));
    out
}

/// One row per name, one column per server.
fn table<'a>(
    out: &mut String,
    rows: impl IntoIterator<Item = &'a str>,
    cell: impl Fn(&str, &str) -> Option<String>,
) {
    let heads = [&[FLOOR][..], &PEERS, &[OURS]].concat();
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
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
