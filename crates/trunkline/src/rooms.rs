//! Which sockets of a shard are in which rooms; part of the shard's state, under its lock.
//!
//! A membership costs 12 bytes in the room and 8 in the socket. A socket's own-id room is not stored: a name is looked up
//! among the rooms and among the ids.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use crate::shard::Slot;
use crate::socket::{Socket, SocketId};

/// The sockets and rooms of one shard.
#[derive(Default)]
pub(crate) struct Rooms {
    members: Slab<Member>,
    rooms: Slab<Room>,
    namespaces: HashMap<u32, NamespaceRooms>,
    mark: u64,
}

#[derive(Default)]
struct NamespaceRooms {
    all: Vec<MemberRef>,
    by_id: HashSet<ById>,
    by_name: HashMap<Arc<str>, u32>,
}

/// A socket, found by its id.
struct ById(Socket);

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.id().as_str()
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().as_str().hash(state);
    }
}

impl NamespaceRooms {
    /// The place of the socket of this id.
    fn by_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).map(|found| found.0.member())
    }
}

/// One socket.
struct Member {
    socket: Socket,
    slot: Slot,
    namespace: u32,
    /// Its place in `NamespaceRooms::all`.
    place: u32,
    /// (room, place in it)
    rooms: SmallVec<[(u32, u32); 2]>,
    /// The last selection that has seen it.
    mark: u64,
}

#[derive(Clone, Copy)]
struct MemberRef {
    member: u32,
    slot: Slot,
}

struct Room {
    name: Arc<str>,
    members: Vec<MemberRef>,
}

/// Whom a broadcast is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// None: the whole namespace.
    pub(crate) rooms: SmallVec<[Arc<str>; 2]>,
    pub(crate) except: SmallVec<[Arc<str>; 1]>,
    /// The socket that speaks.
    pub(crate) sender: Option<SocketId>,
}

/// A change of the rooms, for those who listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEvent {
    /// A room has its first member on this shard.
    Create {
        /// Its name.
        room: Arc<str>,
    },
    /// A room has lost its last member on this shard.
    Delete {
        /// Its name.
        room: Arc<str>,
    },
    /// A socket has joined.
    Join {
        /// The room's name.
        room: Arc<str>,
        /// The socket.
        socket: SocketId,
    },
    /// A socket has left.
    Leave {
        /// The room's name.
        room: Arc<str>,
        /// The socket.
        socket: SocketId,
    },
}

impl Rooms {
    /// Admits a socket, which is told its place.
    pub(crate) fn insert(
        &mut self,
        namespace: u32,
        socket: &Socket,
        slot: Slot,
        events: &mut Vec<RoomEvent>,
    ) -> u32 {
        let rooms = self.namespaces.entry(namespace).or_default();
        let place = index(rooms.all.len());
        let member = index(self.members.insert(Member {
            socket: socket.clone(),
            slot,
            namespace,
            place,
            rooms: SmallVec::new(),
            mark: 0,
        }));
        rooms.all.push(MemberRef { member, slot });
        // A client that has come back has the id that it had.
        rooms.by_id.replace(ById(socket.clone()));
        socket.set_member(member);
        let room: Arc<str> = Arc::from(socket.id().as_str());
        events.push(RoomEvent::Create { room: Arc::clone(&room) });
        events.push(RoomEvent::Join { room, socket: socket.id().clone() });
        member
    }

    /// Removes a socket from all its rooms; gives their names, its own-id room left out.
    pub(crate) fn remove(&mut self, member: u32, events: &mut Vec<RoomEvent>) -> Vec<Arc<str>> {
        if !self.members.contains(member as usize) {
            return Vec::new();
        }
        let mut names = Vec::new();
        while let Some(&(room, _)) = self.members[member as usize].rooms.last() {
            names.push(self.leave_at(member, room, events));
        }
        let removed = self.members.remove(member as usize);
        let id = removed.socket.id();
        if let Some(rooms) = self.namespaces.get_mut(&removed.namespace) {
            rooms.all.swap_remove(removed.place as usize);
            if let Some(moved) = rooms.all.get(removed.place as usize) {
                self.members[moved.member as usize].place = removed.place;
            }
            rooms.by_id.remove(id.as_str());
            shrink(&mut rooms.all);
            if rooms.all.is_empty() {
                self.namespaces.remove(&removed.namespace);
            }
        }
        let room: Arc<str> = Arc::from(id.as_str());
        events.push(RoomEvent::Leave { room: Arc::clone(&room), socket: id.clone() });
        events.push(RoomEvent::Delete { room });
        names
    }

    /// The place of `socket`; `None` once it has left, though another socket may have its place by then.
    fn member(&self, member: u32, socket: &Socket) -> Option<&Member> {
        self.members.get(member as usize).filter(|entry| entry.socket == *socket)
    }

    /// Adds a socket to a room; false if it was in it.
    pub(crate) fn join(
        &mut self,
        member: u32,
        socket: &Socket,
        name: &str,
        events: &mut Vec<RoomEvent>,
    ) -> bool {
        let Some(entry) = self.member(member, socket) else { return false };
        if entry.socket.id().as_str() == name {
            return false;
        }
        let (slot, id, namespace) = (entry.slot, entry.socket.id().clone(), entry.namespace);
        let Some(rooms) = self.namespaces.get_mut(&namespace) else { return false };
        let room = match rooms.by_name.get(name) {
            Some(&room) => room,
            None => {
                let name: Arc<str> = Arc::from(name);
                let room = index(self.rooms.insert(Room { name: Arc::clone(&name), members: Vec::new() }));
                rooms.by_name.insert(Arc::clone(&name), room);
                events.push(RoomEvent::Create { room: name });
                room
            }
        };
        let entry = &mut self.members[member as usize];
        if entry.rooms.iter().any(|(r, _)| *r == room) {
            return false;
        }
        let members = &mut self.rooms[room as usize].members;
        entry.rooms.push((room, index(members.len())));
        members.push(MemberRef { member, slot });
        events.push(RoomEvent::Join { room: Arc::clone(&self.rooms[room as usize].name), socket: id });
        true
    }

    /// Takes a socket out of a room; false if it was not in it.
    pub(crate) fn leave(
        &mut self,
        member: u32,
        socket: &Socket,
        name: &str,
        events: &mut Vec<RoomEvent>,
    ) -> bool {
        let Some(entry) = self.member(member, socket) else { return false };
        let rooms = &self.rooms;
        let Some(&(room, _)) = entry.rooms.iter().find(|(r, _)| &*rooms[*r as usize].name == name) else {
            return false;
        };
        self.leave_at(member, room, events);
        true
    }

    fn leave_at(&mut self, member: u32, room: u32, events: &mut Vec<RoomEvent>) -> Arc<str> {
        let entry = &mut self.members[member as usize];
        let id = entry.socket.id().clone();
        let namespace = entry.namespace;
        let position = entry.rooms.iter().position(|(r, _)| *r == room).unwrap_or(0);
        let (_, place) = entry.rooms.swap_remove(position);
        let members = &mut self.rooms[room as usize].members;
        members.swap_remove(place as usize);
        if let Some(moved) = members.get(place as usize) {
            let moved = &mut self.members[moved.member as usize];
            if let Some(entry) = moved.rooms.iter_mut().find(|(r, _)| *r == room) {
                entry.1 = place;
            }
        }
        shrink(members);
        let is_empty = members.is_empty();
        let name = Arc::clone(&self.rooms[room as usize].name);
        events.push(RoomEvent::Leave { room: Arc::clone(&name), socket: id });
        if is_empty {
            self.rooms.remove(room as usize);
            if let Some(rooms) = self.namespaces.get_mut(&namespace) {
                rooms.by_name.remove(&name);
            }
            events.push(RoomEvent::Delete { room: Arc::clone(&name) });
        }
        name
    }

    /// The rooms of a socket, its own-id room first.
    pub(crate) fn of(&self, member: u32, socket: &Socket) -> Vec<Arc<str>> {
        let Some(entry) = self.member(member, socket) else { return Vec::new() };
        let own = Arc::from(entry.socket.id().as_str());
        std::iter::once(own)
            .chain(entry.rooms.iter().map(|(room, _)| Arc::clone(&self.rooms[*room as usize].name)))
            .collect()
    }

    /// The socket of this id.
    pub(crate) fn socket(&self, namespace: u32, id: &SocketId) -> Option<Socket> {
        Some(self.namespaces.get(&namespace)?.by_id.get(id.as_str())?.0.clone())
    }

    /// Names of the rooms that have members, own-id rooms left out.
    pub(crate) fn names(&self, namespace: u32) -> Vec<Arc<str>> {
        self.namespaces
            .get(&namespace)
            .map(|rooms| rooms.by_name.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Calls `each` once for every receiver of `target`.
    pub(crate) fn select(&mut self, namespace: u32, target: &Target, mut each: impl FnMut(Slot, &Socket)) {
        let Some(rooms) = self.namespaces.get(&namespace) else { return };
        let by_id = |id: &str| rooms.by_id(id);
        let room = |name: &str| rooms.by_name.get(name).map(|r| &self.rooms[*r as usize]);
        let sender = target.sender.as_ref().and_then(|id| by_id(id.as_str()));
        if target.except.is_empty() && target.rooms.len() <= 1 {
            // No receiver can be met twice: the own-id room of the one name aside.
            let (members, own) = match target.rooms.first() {
                None => (&rooms.all[..], None),
                Some(name) => (room(name).map_or(&[][..], |r| &r.members), by_id(name)),
            };
            for m in members {
                if Some(m.member) != sender && Some(m.member) != own {
                    each(m.slot, &self.members[m.member as usize].socket);
                }
            }
            if let Some(own) = own.filter(|own| Some(*own) != sender) {
                let member = &self.members[own as usize];
                each(member.slot, &member.socket);
            }
            return;
        }
        self.mark += 1;
        let mark = self.mark;
        if let Some(sender) = sender {
            self.members[sender as usize].mark = mark;
        }
        for name in &target.except {
            for m in rooms.by_name.get(name).map_or(&[][..], |r| &self.rooms[*r as usize].members) {
                self.members[m.member as usize].mark = mark;
            }
            if let Some(member) = rooms.by_id(name) {
                self.members[member as usize].mark = mark;
            }
        }
        let mut visit = |members: &mut Slab<Member>, m: u32| {
            let member = &mut members[m as usize];
            if std::mem::replace(&mut member.mark, mark) != mark {
                each(member.slot, &member.socket);
            }
        };
        if target.rooms.is_empty() {
            rooms.all.iter().for_each(|m| visit(&mut self.members, m.member));
        }
        for name in &target.rooms {
            for m in rooms.by_name.get(name).map_or(&[][..], |r| &self.rooms[*r as usize].members) {
                visit(&mut self.members, m.member);
            }
            if let Some(member) = rooms.by_id(name) {
                visit(&mut self.members, member);
            }
        }
    }
}

fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

/// Gives memory back after a room has become much smaller.
fn shrink<T>(members: &mut Vec<T>) {
    if members.capacity() > 16 && members.len() < members.capacity() / 4 {
        members.shrink_to(members.len() * 2);
    }
}
