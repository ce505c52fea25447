//! The comparison beside the design's goals (section 7), and beside the wish to be ahead of every peer.

use std::fmt::Write as _;

use super::results::{Results, cpu_field, user_field};
use super::tables::IDLE_COLUMNS;
use super::{FLOOR, IDLE, OURS, PEERS, SCENARIOS};

/// One goal.
struct Goal {
    scenario: &'static str,
    what: &'static str,
    field: &'static str,
    bound: Bound,
}

enum Bound {
    /// As a multiple of the floor.
    Floor(f64),
    /// So many of a unit; a figure is multiplied by `scale` to be in that unit.
    Units { most: f64, unit: &'static str, scale: f64 },
}

fn goals() -> Vec<Goal> {
    let cpu = |scenario, most| Goal {
        scenario,
        what: "CPU",
        field: cpu_field(scenario),
        bound: Bound::Floor(most),
    };
    let units = |scenario, what, field, most, unit, scale| {
        let bound = Bound::Units { most, unit, scale };
        Goal { scenario, what, field, bound }
    };
    vec![
        // The design's first goal was 6,144 B.
        units(IDLE, "resident per connection", "bytes_per_conn", 2048.0, "B", 1.0),
        cpu("echo64", 1.9),
        cpu("ack64", 1.9),
        cpu("echo1k", 1.2),
        units("echo1k", "p99", "p99_us", 15.0, "ms", 0.001),
        cpu("fan1k", 1.1),
        units("fan1k", "user time per delivery", user_field("fan1k"), 0.25, "µs", 1.0),
        cpu("fan1k-w4", 0.6),
        cpu("fan5k", 1.1),
        cpu("fan1k-4k", 1.1),
        cpu("poll64", 1.3),
        cpu("connect", 1.4),
        Goal {
            scenario: IDLE,
            what: "CPU per heartbeat",
            field: "heartbeat_us_cpu",
            bound: Bound::Floor(1.25),
        },
    ]
}

/// The goals' table, with what it says.
pub(super) fn table(out: &mut String, results: &Results) {
    let _ = writeln!(
        out,
        "Judged by the best of the rounds, as the design says: trunkline's least figure, over the floor's least where the goal is a multiple\n\
         of the floor. Identical code moves by up to 25 % from round to round; the medians stand beside it.\n\n\
         | scenario | goal | best | median | |\n| --- | ---: | ---: | ---: | --- |"
    );
    for goal in goals() {
        let figure = |of: fn(&Results, &str, &str, &str) -> Option<f64>| match goal.bound {
            Bound::Floor(_) => {
                let ours = of(results, goal.scenario, OURS, goal.field)?;
                Some(ours / of(results, goal.scenario, FLOOR, goal.field)?)
            }
            Bound::Units { scale, .. } => Some(of(results, goal.scenario, OURS, goal.field)? * scale),
        };
        let (best, median) = (figure(Results::least), figure(Results::median));
        let (most, shown) = match goal.bound {
            Bound::Floor(most) => (most, format!("{most} × floor")),
            Bound::Units { most, unit, .. } => (most, format!("{most} {unit}")),
        };
        let verdict = match best {
            Some(best) if best <= most => "met",
            Some(_) => "**missed**",
            None => "not measured",
        };
        let text = |figure: Option<f64>| match figure {
            Some(figure) if figure >= 100.0 => format!("{figure:.0}"),
            Some(figure) => format!("{figure:.2}"),
            None => "–".to_owned(),
        };
        let Goal { scenario, what, .. } = goal;
        let _ = writeln!(
            out,
            "| {scenario}, {what} | ≤ {shown} | {} | {} | {verdict} |",
            text(best),
            text(median)
        );
    }
}

/// Where trunkline is not ahead of a peer, as a sentence.
pub(super) fn behind(results: &Results) -> String {
    let messages = SCENARIOS.map(|scenario| (scenario, "", cpu_field(scenario)));
    let idle = IDLE_COLUMNS.map(|(name, field)| (IDLE, name, field));
    let (mut behind, mut unknown) = (Vec::new(), Vec::new());
    for (scenario, what, field) in messages.into_iter().chain(idle) {
        let median = |server| results.median(scenario, server, field);
        let name = if what.is_empty() { format!("`{scenario}`") } else { format!("`{scenario}` ({what})") };
        let mut peers = Vec::new();
        for peer in PEERS {
            match (median(OURS), median(peer)) {
                (Some(ours), Some(theirs)) if ours < theirs => {}
                (Some(ours), Some(theirs)) => peers.push(format!("{peer} ×{:.2}", ours / theirs)),
                _ => unknown.push(format!("{name} beside {peer}")),
            }
        }
        if !peers.is_empty() {
            behind.push(format!("{name}: {}", peers.join(", ")));
        }
    }
    let mut text = if behind.is_empty() {
        "**Ahead of every peer**: trunkline's median is the lower one in every scenario.".to_owned()
    } else {
        format!(
            "**Not ahead of every peer**: trunkline's median is not the lower one in {}. Wherever else both were measured it is.",
            behind.join("; ")
        )
    };
    if !unknown.is_empty() {
        let _ = write!(text, " Not measured: {}.", unknown.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Results, SCENARIOS, behind, table};
    use crate::bench::results::cpu_field;
    use crate::bench::tables::IDLE_COLUMNS;
    use crate::bench::{FLOOR, IDLE, OURS, PEERS};

    /// A round's figures of each scenario: for the floor 10, for ours and the peers as said.
    fn results(ours: f64, peer: f64) -> Value {
        let mut all = json!({});
        let idle = IDLE_COLUMNS.map(|(_, field)| (IDLE, field));
        for (scenario, field) in SCENARIOS.map(|name| (name, cpu_field(name))).into_iter().chain(idle) {
            for (server, figure) in
                [(FLOOR, 10.0), (OURS, ours)].into_iter().chain(PEERS.map(|name| (name, peer)))
            {
                all[scenario][server][field] = json!(figure);
            }
        }
        for (_, servers) in all.as_object_mut().expect("an object") {
            for (_, round) in servers.as_object_mut().expect("an object") {
                *round = json!([round.take()]);
            }
        }
        json!({ "results": all })
    }

    fn parsed(value: &Value) -> Results {
        Results::parse(&value.to_string()).expect("JSON")
    }

    fn row<'a>(table: &'a str, start: &str) -> &'a str {
        table.lines().find(|line| line.starts_with(start)).expect("a row")
    }

    #[test]
    fn goals_are_judged_by_the_best_rounds() {
        let mut value = results(11.0, 20.0);
        // Of the same code: the median is above the goal of 1.2, the best round is not.
        value["results"]["echo1k"][OURS] = json!([
            { "srv_us_per_msg": 15.0, "p99_us": 15_500.0 },
            { "srv_us_per_msg": 11.5, "p99_us": 16_000.0 },
            { "srv_us_per_msg": 14.0, "p99_us": 17_000.0 },
        ]);
        let mut text = String::new();
        table(&mut text, &parsed(&value));
        assert_eq!(row(&text, "| echo1k, CPU"), "| echo1k, CPU | ≤ 1.2 × floor | 1.15 | 1.40 | met |");
        assert_eq!(row(&text, "| echo1k, p99"), "| echo1k, p99 | ≤ 15 ms | 15.50 | 16.00 | **missed** |");
        assert_eq!(row(&text, "| fan1k-w4"), "| fan1k-w4, CPU | ≤ 0.6 × floor | 1.10 | 1.10 | **missed** |");
        assert!(row(&text, "| fan1k, user").ends_with("| – | – | not measured |"), "{text}");
        assert!(row(&text, "| idle10k, CPU per heartbeat").ends_with("| 1.10 | 1.10 | met |"), "{text}");
    }

    #[test]
    fn peers_that_are_level_or_ahead_are_named() {
        assert!(behind(&parsed(&results(11.0, 20.0))).starts_with("**Ahead of every peer**"));
        let mut value = results(11.0, 20.0);
        value["results"]["rtt"]["bun"][0]["srv_us_per_msg"] = json!(11.0);
        value["results"]["rtt"]["socketioxide"][0]["srv_us_per_msg"] = json!(10.0);
        value["results"][IDLE]["bun"][0]["heartbeat_us_cpu"] = json!(5.5);
        value["results"]["poll64"]["bun"] = json!([{ "failed": "timeout" }]);
        assert_eq!(
            behind(&parsed(&value)),
            "**Not ahead of every peer**: trunkline's median is not the lower one in `rtt`: socketioxide ×1.10, bun ×1.00; \
             `idle10k` (CPU µs per heartbeat): bun ×2.00. Wherever else both were measured it is. Not measured: `poll64` beside bun."
        );
    }
}
