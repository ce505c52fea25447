//! What a mode expects of the server, and what is said if that did not come.

use std::collections::BTreeSet;

use super::course::Course;
use super::lost::Lost;
use super::options::{Mode, Options};
use super::report::Report;
use super::roles::Role;
use super::tally::Kind;
use crate::console::escape;

/// What the connection of that number is there for.
pub(crate) fn role(options: &Options, n: usize) -> Role {
    let pause = Some(options.pause);
    match (options.mode, n % 10) {
        (Mode::Echo, _) => Role::Echo { pause: None },
        (Mode::Ack, _) => Role::Ack { pause: None },
        (Mode::Fanout, _) if n == 0 => Role::Publish { pause: None, waits: true },
        (Mode::Publish, _) if n == 0 => Role::Publish { pause, waits: true },
        (Mode::Fanout | Mode::Publish | Mode::Idle, _) => Role::Listen,
        (Mode::Polling, _) => Role::Poll,
        (Mode::Connect, _) => Role::Churn { pause: None },
        // Publications are not waited for.
        (Mode::Mixed, 0) if n == 0 => Role::Publish { pause, waits: false },
        (Mode::Mixed, 1) => Role::Echo { pause },
        (Mode::Mixed, 2) => Role::Ack { pause },
        (Mode::Mixed, 3) => Role::Churn { pause },
        (Mode::Mixed, _) => Role::Listen,
    }
}

/// Whether a connection does what the mode is about; the others only hear it.
pub(crate) fn is_at_work(options: &Options, role: Role) -> bool {
    role != Role::Listen || options.mode == Mode::Idle
}

/// What is to be measured.
pub(crate) fn kinds(options: &Options) -> BTreeSet<Kind> {
    let kind = |role| match role {
        Role::Echo { .. } => Some(Kind::Echo),
        Role::Ack { .. } => Some(Kind::Ack),
        Role::Publish { .. } if options.mode == Mode::Publish => Some(Kind::Publish),
        Role::Publish { .. } => Some(Kind::Fanout),
        Role::Listen => (options.mode != Mode::Idle).then_some(Kind::Fanout),
        Role::Churn { .. } => Some(Kind::Connect),
        Role::Poll => Some(Kind::Polling),
    };
    // Roles come again after ten connections.
    (0..options.connections.min(20)).filter_map(|n| kind(role(options, n))).collect()
}

/// What went wrong, line by line, with what the server must do for it to go well.
pub(crate) fn complaints(options: &Options, course: &Course, report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = course.why() {
        let disconnected = match report.disconnected {
            0 => String::new(),
            number => format!(" ({number} disconnected by the server)"),
        };
        let first = escape(&why.to_string());
        lines.push(format!("failed connections: {}{disconnected}; the first: {first}", report.failed));
    }
    if report.bad > 0 {
        lines.push(format!("answers that were not what was expected: {}", report.bad));
    }
    for (kind, messages) in &report.messages {
        if messages.unanswered > 0 {
            let what = if *kind == Kind::Fanout.name() {
                "deliveries that did not come"
            } else {
                "messages without an answer"
            };
            lines.push(format!("{kind}: {what}: {}", messages.unanswered));
        } else if messages.count == 0 && report.failed == 0 {
            lines.push(format!("{kind}: nothing to be measured came within {:.1} s", report.seconds));
        }
    }
    let is_wanting = report.messages.values().any(|messages| messages.is_wanting());
    // Who is refused or cut off asks for no handler.
    let is_silent = is_wanting && matches!(course.why(), None | Some(Lost::Unanswered(_)));
    if is_silent || report.bad > 0 {
        lines.extend(
            needs(options).map(|needs| format!("the server must have, for --mode {}: {needs}", report.mode)),
        );
        if !matches!(options.mode, Mode::Publish | Mode::Connect | Mode::Idle) {
            lines.push(
                "the program trunkline by itself has none of these: --mode publish is for it".to_owned(),
            );
        }
    }
    lines
}

/// The handlers that the server must have.
fn needs(options: &Options) -> Option<String> {
    let Options { echo_event, ack_event, publish_event, message_event, join_event, .. } = options;
    let echo = format!("on(\"{echo_event}\", text) emits {echo_event}(text) to the sender (--echo-event)");
    let ack = format!("on(\"{ack_event}\", text, callback) calls callback(text) (--ack-event)");
    let fanout = format!(
        "on(\"{publish_event}\", text) emits {message_event}(text) to all connections, the sender included (--publish-event, --message-event)"
    );
    match options.mode {
        Mode::Connect | Mode::Idle => None,
        Mode::Echo | Mode::Polling => Some(echo),
        Mode::Ack => Some(ack),
        Mode::Fanout => Some(fanout),
        Mode::Mixed => Some(format!("{echo}; {ack}; {fanout}")),
        Mode::Publish => Some(format!(
            "on(\"{join_event}\", room, callback) and on(\"{publish_event}\", room, event, text, callback), which emits event(text) to the \
             others in the room (--join-event, --publish-event)"
        )),
    }
}
