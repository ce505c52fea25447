//! `trunkline listen`: events as lines, until enough have come.

use super::connection::{Connection, Happening};
use super::options::Options;
use super::output::{Output, Sink, Style};
use super::report::Report;
use super::stop::Stop;
use crate::{Failure, say};

/// Prints events; what happens to the connection goes to standard error. The exit code.
///
/// # Errors
/// If something of the options cannot be used.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let mut connection = Connection::open(options, true, options.reconnect)?;
    let output = Output::start(Style::of_stdout(options.json), Sink::Stdout);
    let code = tokio::select! {
        code = stop.signalled() => code,
        code = follow(&mut connection, options, &output) => code,
    };
    connection.close().await;
    output.finish().await;
    Ok(code)
}

async fn follow(connection: &mut Connection, options: &Options, output: &Output) -> u8 {
    let (mut left, mut was_connected) = (options.count, false);
    while let Some(happening) = connection.next().await {
        match happening {
            // The answer is dropped with it: a server that asks is told that nobody answers.
            Happening::Event { name, args, .. } => {
                if !options.events.is_empty() && !options.events.contains(&name) {
                    continue;
                }
                if output.report(&Report::Event { name, args, ack: None }).await.is_err() {
                    return 0;
                }
                if let Some(left) = &mut left {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        return 0;
                    }
                }
            }
            Happening::Life(report) => {
                say(&format!("trunkline: {}", report.life()));
                was_connected |= matches!(report, Report::Connected { .. });
                // A first connection that fails is a mistake to be told, not one to be waited for.
                if report.is_final() || (!was_connected && matches!(report, Report::ConnectError { .. })) {
                    return 1;
                }
            }
        }
    }
    1
}
