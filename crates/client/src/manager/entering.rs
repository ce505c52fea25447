//! The machine's namespaces: entering and leaving them, and what the server sends them.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use trunkline_proto::sio::{self, Kind, Packet, RawArg, encode_client_connect};

use super::message::{Nsp, Output};
use super::namespace::{Early, Stage};
use super::{AuthPayload, Manager, later};
use crate::error::ConnectError;
use crate::events::Lifecycle;
use crate::reason::DisconnectReason;

impl<W> Manager<W> {
    pub(super) fn enter(&mut self, nsp: Nsp, now: Instant) {
        let deadline = later(now, self.settings.limits.connect_timeout);
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        if namespace.owed {
            namespace.stage = Stage::Behind { deadline };
            return;
        }
        self.auth_attempts += 1;
        let attempt = self.auth_attempts;
        namespace.stage = Stage::Asking { attempt, deadline };
        self.outputs.push_back(Output::AskAuth { nsp, attempt });
    }

    pub(super) fn send_connect(&mut self, nsp: Nsp, auth: Option<AuthPayload>, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let mut payload = auth;
        if let Some(pid) = &namespace.pid {
            // The application's own fields win, as in the reference.
            let payload = payload.get_or_insert_default();
            payload.entry("pid").or_insert_with(|| (**pid).into());
            if let Some(offset) = &namespace.offset {
                payload.entry("offset").or_insert_with(|| (**offset).into());
            }
        }
        match encode_client_connect(self.settings.parser, 0, &namespace.name, payload.as_ref()) {
            Ok(encoded) => {
                namespace.stage =
                    Stage::Connecting { deadline: later(now, self.settings.limits.connect_timeout) };
                self.send(nsp, encoded.into(), false);
            }
            Err(error) => self.refuse(nsp, ConnectError::Auth(error.to_string())),
        }
    }

    pub(super) fn handle_packet(&mut self, packet: &Packet<'_>, now: Instant) {
        let Some(nsp) = self.namespaces.iter().position(|ns| *ns.name == *packet.nsp).map(Nsp) else {
            return;
        };
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let is_answer = matches!(packet.kind, Kind::Connect { .. } | Kind::ConnectError { .. });
        if namespace.owed && is_answer {
            self.handle_owed(nsp, matches!(packet.kind, Kind::Connect { .. }), now);
            return;
        }
        let is_stale = namespace.left && !namespace.is_connected() && !is_answer;
        if namespace.stage == Stage::Idle || is_stale {
            return;
        }
        let is_connected = namespace.is_connected();
        if !is_connected && matches!(packet.kind, Kind::ConnectError { .. } | Kind::Disconnect) {
            // That is an answer too: none is owed.
            namespace.stage = Stage::Idle;
        }
        match &packet.kind {
            Kind::Connect { auth, .. } => self.handle_connect(nsp, auth.as_ref(), now),
            Kind::Disconnect => {
                self.deactivate(nsp);
                if is_connected {
                    self.leave(nsp, DisconnectReason::IoServerDisconnect, None);
                } else {
                    self.fail(nsp, ConnectError::Lost(DisconnectReason::IoServerDisconnect));
                }
                self.close_if_unused();
            }
            Kind::ConnectError { data } => {
                if !is_connected {
                    self.refuse(nsp, refusal(data.as_ref()));
                }
            }
            Kind::Event { name, id, args } => {
                let early = Early { name: (**name).into(), args: args.to_owned(), id: *id };
                if is_connected {
                    self.deliver(nsp, early);
                    return;
                }
                let limits = &self.settings.limits;
                namespace.early_bytes = namespace.early_bytes.saturating_add(early.args.size());
                namespace.early.push_back(early);
                if namespace.early.len() > limits.max_pending_events
                    || namespace.early_bytes > limits.max_pending_bytes
                {
                    self.overflow(now);
                }
            }
            Kind::Ack { id, args } => self.answer(nsp, *id, args, now),
        }
    }

    /// The answer to a CONNECT that was given up: only now the namespace can be left, and entered anew.
    fn handle_owed(&mut self, nsp: Nsp, is_entered: bool, now: Instant) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        namespace.owed = false;
        let is_behind = matches!(namespace.stage, Stage::Behind { .. });
        if is_entered {
            self.send_disconnect(nsp);
        }
        if is_behind {
            self.enter(nsp, now);
        }
    }

    /// `onconnect` of the reference: what came early, then what was kept, then retries, then the news.
    fn handle_connect(&mut self, nsp: Nsp, payload: Option<&RawArg<'_>>, now: Instant) {
        #[derive(Deserialize)]
        struct Payload {
            sid: Box<str>,
            #[serde(default)]
            pid: Option<Box<str>>,
            /// An extension of trunkline's server: it knows a repeated event by its ack id.
            #[serde(default)]
            once: Option<bool>,
        }
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        if !matches!(namespace.stage, Stage::Connecting { .. }) {
            return;
        }
        let Some(Payload { sid, pid, once }) = payload.and_then(|payload| payload.deserialize().ok()) else {
            namespace.stage = Stage::Idle;
            self.refuse(nsp, ConnectError::OldServer);
            return;
        };
        namespace.stage = Stage::Connected;
        namespace.session += 1;
        namespace.failure = None;
        namespace.recovered = pid.is_some() && namespace.pid == pid;
        if !namespace.recovered {
            // An offset means something only in the log that it is from.
            namespace.offset = None;
        }
        namespace.id = Some(sid);
        namespace.pid = pid;
        let recovered = namespace.recovered;
        let early = std::mem::take(&mut namespace.early);
        namespace.forget_early();
        early.into_iter().for_each(|early| self.deliver(nsp, early));
        self.say_ids_are_kept(nsp, once == Some(true));
        self.send_kept(nsp, now);
        self.try_queue(nsp, now);
        self.change(Some(nsp), Lifecycle::Connect { recovered });
    }

    /// Before all events: that a retry has the ack id of the first try, and no other event has it; to a server that `asks`.
    fn say_ids_are_kept(&mut self, nsp: Nsp, asks: bool) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        namespace.keeps_ids = asks && namespace.sending.retries.is_some();
        if namespace.keeps_ids
            && let Ok(encoded) =
                sio::encode_event(self.settings.parser, 0, &namespace.name, None, sio::KEEPS_IDS, &())
        {
            self.send(nsp, encoded.into(), true);
        }
    }

    fn deliver(&mut self, nsp: Nsp, event: Early) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        let Early { name, args, id } = event;
        // With an id the reference's last argument is the callback, hence no offset.
        if namespace.pid.is_some()
            && id.is_none()
            && let Some(offset) = args.as_args().last().and_then(|last| last.deserialize::<Box<str>>().ok())
        {
            namespace.offset = Some(offset);
        }
        let session = namespace.session;
        self.outputs.push_back(Output::Event { nsp, name, args, id, session });
    }

    /// The namespace cannot be entered now; it stays away until somebody asks.
    pub(super) fn refuse(&mut self, nsp: Nsp, error: ConnectError) {
        self.deactivate(nsp);
        self.fail(nsp, error);
        self.close_if_unused();
    }

    /// The namespace is not entered, for now.
    pub(super) fn fail(&mut self, nsp: Nsp, error: ConnectError) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        namespace.give_up_entering();
        namespace.failure = Some(error.clone());
        self.change(Some(nsp), Lifecycle::ConnectError(error));
    }

    pub(super) fn deactivate(&mut self, nsp: Nsp) {
        if let Some(namespace) = self.namespaces.get_mut(nsp.0) {
            namespace.active = false;
        }
    }

    /// The namespace is connected no more (`onclose` of the reference's socket).
    pub(super) fn leave(&mut self, nsp: Nsp, reason: DisconnectReason, description: Option<Arc<str>>) {
        let Some(namespace) = self.namespaces.get_mut(nsp.0) else { return };
        namespace.stage = Stage::Idle;
        namespace.left = true;
        namespace.id = None;
        namespace.session += 1;
        self.change(Some(nsp), Lifecycle::Disconnect { reason, description });
        self.clear_acks(nsp);
    }

    pub(super) fn send_disconnect(&mut self, nsp: Nsp) {
        if let Some(namespace) = self.namespaces.get(nsp.0) {
            let packet = sio::encode_disconnect(self.settings.parser, 0, &namespace.name);
            self.send(nsp, packet.into(), false);
        }
    }
}

/// CONNECT_ERROR's payload: `{"message", "data"?}`, or a string from old servers.
fn refusal(payload: Option<&RawArg<'_>>) -> ConnectError {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        message: String,
        #[serde(default)]
        data: Option<serde_json::Value>,
    }
    let (message, data) = match payload {
        Some(payload) => match payload.deserialize::<Payload>() {
            Ok(payload) => (payload.message, payload.data),
            Err(_) => (payload.deserialize().unwrap_or_default(), None),
        },
        None => (String::new(), None),
    };
    ConnectError::Refused { message, data }
}
