//! Namespaces made on demand: by a pattern with parameters, or by an async function.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Serialize;
use smallvec::SmallVec;

use crate::admission::Admission;
use crate::broadcast::{Broadcast, IntoRooms};
use crate::error::BroadcastError;
use crate::io::IoCore;
use crate::namespace::{HandlerTable, Namespace, NamespaceCore};

/// What a set of namespaces has in common.
pub(crate) struct ParentCore {
    pub(crate) table: Arc<HandlerTable>,
    pub(crate) rule: Rule,
    io: std::sync::Weak<IoCore>,
}

/// Which names a parent takes.
pub(crate) enum Rule {
    Pattern(Pattern),
    Function(Arc<dyn Fn(Admission) -> BoxFuture<'static, bool> + Send + Sync>),
}

impl ParentCore {
    pub(crate) fn new(rule: Rule, io: &Arc<IoCore>) -> Arc<Self> {
        Arc::new(Self { table: Arc::default(), rule, io: Arc::downgrade(io) })
    }

    /// A child has no socket left.
    pub(crate) fn emptied(&self, child: &Arc<NamespaceCore>) {
        if let Some(io) = self.io.upgrade() {
            io.emptied(child);
        }
    }
}

/// The namespaces of a pattern or a function. What is registered here counts for all of them; an emit reaches the sockets
/// of all.
#[derive(Clone)]
pub struct ParentNamespace {
    core: Arc<ParentCore>,
    /// Registers into the shared table; never entered by sockets.
    template: Namespace,
}

impl ParentNamespace {
    pub(crate) fn new(core: Arc<ParentCore>, template: Namespace) -> Self {
        Self { core, template }
    }

    /// Registers what all namespaces of the pattern have in common.
    ///
    /// ```
    /// use trunkline::{Io, Params, Socket};
    ///
    /// let io = Io::new();
    /// io.of_pattern("/room-{id}").register(|ns| {
    ///     ns.on_connect(async |socket: Socket, params: Params| {
    ///         socket.emit("welcome", params.get("id")).ok();
    ///     })
    /// });
    /// ```
    pub fn register(&self, register: impl FnOnce(Namespace) -> Namespace) -> &Self {
        drop(register(self.template.clone()));
        self
    }

    /// The namespaces that exist at this moment.
    pub fn children(&self) -> Vec<Namespace> {
        self.cores().into_iter().map(Namespace::from_core).collect()
    }

    fn cores(&self) -> SmallVec<[Arc<NamespaceCore>; 1]> {
        let Some(io) = self.core.io.upgrade() else { return SmallVec::new() };
        let all = io.namespaces.all().into_iter();
        all.filter(|ns| ns.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent, &self.core))).collect()
    }

    /// Sends an event to all sockets of all namespaces of the pattern.
    ///
    /// # Errors
    /// As [`Broadcast::emit`].
    pub fn emit(&self, event: &str, args: impl Serialize) -> Result<(), BroadcastError> {
        Broadcast::over(self.cores()).emit(event, args)
    }

    /// The sockets of these rooms in all namespaces of the pattern.
    pub fn to(&self, rooms: impl IntoRooms) -> Broadcast {
        Broadcast::over(self.cores()).to(rooms)
    }

    /// All sockets of all namespaces of the pattern but those of these rooms.
    pub fn except(&self, rooms: impl IntoRooms) -> Broadcast {
        Broadcast::over(self.cores()).except(rooms)
    }
}

impl std::fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParentNamespace").field("children", &self.children()).finish()
    }
}

/// A name with parameters: `/orders/{id}`, `/room-{n}`. A parameter takes at least one character, up to what follows it in
/// the pattern, and no slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Literal text before each parameter, and the parameter's name.
    parts: Vec<(String, String)>,
    tail: String,
}

impl Pattern {
    /// # Panics
    /// If a brace is not closed, a parameter has no name, or two stand side by side: a mistake in the program.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                panic!("the namespace pattern {text:?} has a '{{' without '}}'");
            };
            assert!(!name.is_empty(), "the namespace pattern {text:?} has a parameter without a name");
            assert!(
                parts.is_empty() || !literal.is_empty(),
                "the namespace pattern {text:?} has two parameters side by side"
            );
            parts.push((literal.to_owned(), name.to_owned()));
            rest = tail;
        }
        Self { parts, tail: rest.to_owned() }
    }

    /// The parameters, if `name` is of this form.
    pub(crate) fn matches(&self, name: &str) -> Option<Vec<(String, String)>> {
        let mut params = Vec::with_capacity(self.parts.len());
        let mut rest = name;
        for (i, (literal, param)) in self.parts.iter().enumerate() {
            rest = rest.strip_prefix(literal.as_str())?;
            let next = self.parts.get(i + 1).map_or(self.tail.as_str(), |(literal, _)| literal.as_str());
            let end = if i + 1 == self.parts.len() {
                rest.len().checked_sub(next.len()).filter(|end| rest.is_char_boundary(*end))?
            } else {
                rest.find(next)?
            };
            let value = &rest[..end];
            if value.is_empty() || value.contains('/') {
                return None;
            }
            params.push((param.clone(), value.to_owned()));
            rest = &rest[end..];
        }
        (rest == self.tail).then_some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_parameters() {
        let check = |pattern: &str, name: &str, expected: Option<&[(&str, &str)]>| {
            let found = Pattern::parse(pattern).matches(name);
            let expected = expected
                .map(|e| e.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>());
            assert_eq!(found, expected, "{pattern} on {name}");
        };
        check("/dyn-{n}", "/dyn-12", Some(&[("n", "12")]));
        check("/dyn-{n}", "/dyn-", None);
        check("/dyn-{n}", "/dyn-1/2", None);
        check("/orders/{id}/items", "/orders/7/items", Some(&[("id", "7")]));
        check("/orders/{id}/items", "/orders/7/item", None);
        check("/{a}/{b}", "/x/y", Some(&[("a", "x"), ("b", "y")]));
        check("/{a}/{b}", "/x", None);
        check("/fixed", "/fixed", Some(&[]));
        check("/fixed", "/fixed2", None);
        check("/{name}é", "/aé", Some(&[("name", "a")]));
        check("/{name}é", "/a\u{65}", None);
    }
}
