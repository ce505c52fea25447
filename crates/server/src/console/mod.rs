//! A Socket.IO client for terminals and scripts: `trunkline connect`, `emit` and `listen`.

mod args;
mod command;
mod connection;
mod emit;
mod input;
mod listen;
mod options;
mod output;
mod own;
mod report;
mod session;
mod stop;
mod target;
mod terminal;
mod text;
mod trust;
mod words;

use std::ffi::OsString;

pub(crate) use connection::{build, builder};
pub(crate) use emit::error_of;
pub(crate) use options::{HELP, Options, Transport, Verb};
pub(crate) use own::Own;
pub(crate) use stop::Stop;
pub(crate) use text::{Json, escape, json_line};
pub(crate) use trust::made as tls;

use crate::Failure;

/// Runs a verb with the words after it; the exit code.
///
/// # Errors
/// If the command line is wrong, or the system does not give what is needed.
pub(crate) fn run(verb: Verb, words: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    let Some(options) = Options::parse(verb, words)? else {
        crate::print(HELP);
        return Ok(0);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("cannot start: {error}")))?;
    let code = runtime.block_on(async {
        match verb {
            Verb::Connect => session::run(&options).await,
            Verb::Emit => emit::run(&options).await,
            Verb::Listen => listen::run(&options).await,
            // Programs of their own.
            Verb::Verify | Verb::Bench => Ok(0),
        }
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    code
}
