//! All scenarios, by the names that the JavaScript clients' have: `interop/scenarios/` is the original.

mod acks;
mod connect;
mod events;
mod heartbeat;
mod recovery;
mod rooms;

use std::future::Future;
use std::pin::Pin;

pub(crate) use heartbeat::hold;

use crate::context::Context;
use crate::failure::Outcome;

/// One case, to be run in its own context.
pub(crate) type Scenario = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// The scenario of a name.
pub(crate) fn find(name: &str) -> Option<Scenario> {
    SCENARIOS.iter().find(|(own, _)| *own == name).map(|(_, scenario)| *scenario)
}

macro_rules! scenarios {
    ($($name:literal => $run:path,)*) => {
        const SCENARIOS: &[(&str, Scenario)] = &[$(($name, |context| Box::pin($run(context)))),*];
    };
}

scenarios! {
    "auth" => connect::auth,
    "auth-unicode" => connect::auth_unicode,
    "auth-of-namespace" => connect::auth_of_namespace,
    "transport" => connect::transport,
    "refused-with-data" => connect::refused_with_data,
    "unknown-namespace" => connect::unknown_namespace,
    "namespaces" => connect::namespaces,
    "dynamic-namespace-refused" => connect::dynamic_namespace_refused,
    "server-ends" => connect::server_ends,
    "client-ends" => connect::client_ends,
    "server-restarts" => connect::server_restarts,
    "arguments-0-to-5" => events::arguments_0_to_5,
    "binary-nested-and-many" => events::binary_nested_and_many,
    "binary-900-kB" => events::binary_900_kb,
    "text-900-kB" => events::text_900_kb,
    "unicode" => events::unicode,
    "unicode-with-binary" => events::unicode_with_binary,
    "ordered-10000-each-way" => events::ordered_10000_each_way,
    "ack-from-server" => acks::from_server,
    "ack-from-client" => acks::from_client,
    "ack-timeout-at-client" => acks::timeout_at_client,
    "ack-timeout-at-server" => acks::timeout_at_server,
    "ack-from-room" => acks::from_room,
    "rooms-and-broadcast" => rooms::rooms_and_broadcast,
    "rooms-are-per-namespace" => rooms::per_namespace,
    "broadcast-to-own-id" => rooms::broadcast_to_own_id,
    "rooms-end-with-the-socket" => rooms::end_with_the_socket,
    "recovery" => recovery::recovery,
    "heartbeat-keeps-alive" => heartbeat::keeps_alive,
    "heartbeat-lost-client" => heartbeat::lost_client,
    "heartbeat-lost-server" => heartbeat::lost_server,
}
