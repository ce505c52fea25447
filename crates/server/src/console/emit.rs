//! `trunkline emit`: one event, its answer, and an exit code.

use std::io::Write;

use trunkline_client::{Args, Value};

use super::connection::Connection;
use super::options::Options;
use super::report::Report;
use super::stop::Stop;
use super::text::{Json, escape, json_line};
use crate::{Failure, say};

/// Emits, and prints what the server answers; the exit code.
///
/// # Errors
/// If something of the options cannot be used.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let mut stop = Stop::install()?;
    let connection = Connection::open(options, false, false)?;
    let done = tokio::select! {
        code = stop.signalled() => Err((code, None)),
        done = exchange(&connection, options) => done.map_err(|message| (1, Some(message))),
    };
    // What was answered has arrived; without an answer it shows at the end.
    let done = if done.is_ok() && !options.ack {
        tokio::select! {
            code = stop.signalled() => Err((code, None)),
            done = connection.finish() => {
                done.map_err(|problem| (1, Some(escape(&format!("{}: {problem}", options.event)))))
            }
        }
    } else {
        connection.close().await;
        done
    };
    let Err((code, message)) = done else { return Ok(0) };
    if let Some(message) = message {
        say(&format!("trunkline: {message}"));
    }
    Ok(code)
}

async fn exchange(connection: &Connection, options: &Options) -> Result<(), String> {
    let socket = &connection.socket;
    // Every step has this time by itself; together they have no more either.
    match tokio::time::timeout(options.timeout, socket.connected()).await {
        Ok(connected) => connected.map_err(|error| Report::connect_error(&error, false).life())?,
        Err(_) => return Err("connect error: no connection within the timeout".to_owned()),
    }
    let event = &options.event;
    let failed = |error: &dyn std::fmt::Display| escape(&format!("{event}: {error}"));
    if !options.ack {
        return socket.emit(event, Args(&options.args)).map_err(|error| failed(&error));
    }
    let answer =
        socket.timeout(options.timeout).emit_with_ack::<Args<Vec<Value>>>(event, Args(&options.args));
    let Args(values) = answer.await.map_err(|error| failed(&error))?;
    if let Some(error) = error_of(&values) {
        return Err(failed(&format_args!("the answer is an error: {}", json_line(&Json(error)))));
    }
    let mut stdout = std::io::stdout().lock();
    for value in &values {
        // Who closed standard output does not want it.
        drop(writeln!(stdout, "{}", json_line(&Json(value))));
    }
    Ok(())
}

/// The answer's first value, if it says that the server failed: an object whose `error` is neither missing nor `null`.
/// So answer handlers of trunkline servers that return an error, and those of the binary.
pub(crate) fn error_of(values: &[Value]) -> Option<&Value> {
    values.first().filter(|value| value.get("error").is_some_and(|error| *error != Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::args::argument;

    #[test]
    fn which_answers_are_errors() {
        for (json, is_error) in [
            (r#"{"error":{"message":"no"}}"#, true),
            (r#"{"ok":false,"error":"no"}"#, true),
            (r#"{"ok":true,"error":null}"#, false),
            (r#"{"ok":true}"#, false),
            (r#"["error"]"#, false),
        ] {
            let values = [argument(json).expect("JSON")];
            assert_eq!(error_of(&values).is_some(), is_error, "{json}");
        }
        assert_eq!(error_of(&[]), None);
    }
}
