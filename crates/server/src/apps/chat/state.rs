//! Who is in the chat, its rooms, and what was said in them lately. Time is an argument; every part is bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::rules::{Code, Refused};

/// People at the same time.
pub(crate) const MAX_PEOPLE: usize = 1_000;
/// Rooms at the same time, those that are kept for a while included.
pub(crate) const MAX_ROOMS: usize = 200;
/// Rooms that one person may be in.
pub(crate) const MAX_ROOMS_EACH: usize = 16;
/// Messages that a room remembers.
pub(crate) const HISTORY: usize = 100;
/// Bytes of texts, names and keys that a room remembers.
pub(crate) const HISTORY_BYTES: usize = 64 * 1024;
/// How long a room without members, and what was said there, is kept.
pub(crate) const EMPTY_FOR: Duration = Duration::from_secs(600);

/// The whole chat.
#[derive(Debug, Default)]
pub(crate) struct ChatState {
    /// By nickname in small letters.
    people: HashMap<String, Holder>,
    rooms: BTreeMap<String, Room>,
    /// The number of the last message, in all rooms.
    last: u64,
}

/// What others call a socket by. Not the socket's id: that of a client of Engine.IO 3 lets one act in its place
/// (SECURITY.md).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(crate) struct PersonId(pub(crate) String);

/// Who has a nickname.
#[derive(Debug)]
struct Holder {
    key: String,
    id: PersonId,
}

#[derive(Debug, Default)]
struct Room {
    members: HashMap<PersonId, String>,
    posts: VecDeque<Post>,
    bytes: usize,
    /// Since when nobody is in it.
    empty: Option<Instant>,
}

/// A message to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Post {
    /// Grows from message to message, while the server runs.
    pub(crate) id: u64,
    /// The sender's: who sees two of a nickname has seen one message twice.
    pub(crate) key: String,
    /// The sender's nickname.
    pub(crate) from: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Member {
    pub(crate) id: PersonId,
    pub(crate) nickname: String,
}

/// A room from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) name: String,
    /// How many are in it.
    pub(crate) members: usize,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Draft {
    /// To be sent, then kept.
    New(Post),
    /// It was sent before: the client did not hear of it.
    Known(Post),
}

impl ChatState {
    // --- people ------------------------------------------------------------------------------------------------

    /// Whether somebody with this key may have the nickname.
    pub(crate) fn may_enter(&self, nickname: &str, key: &str) -> Result<(), Refused> {
        match self.people.get(&nickname.to_lowercase()) {
            Some(holder) if holder.key != key => {
                Err(Refused::new(Code::Taken, format!("The nickname {nickname} is taken.")))
            }
            None if self.people.len() >= MAX_PEOPLE => {
                Err(Refused::new(Code::Full, format!("The chat is full: {MAX_PEOPLE} people are here.")))
            }
            _ => Ok(()),
        }
    }

    /// Gives the nickname to somebody; the id that the same person had before, if any. After a broken line that one may
    /// look alive for as long as a heartbeat takes.
    pub(crate) fn enter(
        &mut self,
        nickname: &str,
        key: &str,
        id: &PersonId,
    ) -> Result<Option<PersonId>, Refused> {
        self.may_enter(nickname, key)?;
        let holder = Holder { key: key.to_owned(), id: id.clone() };
        Ok(self.people.insert(nickname.to_lowercase(), holder).map(|before| before.id))
    }

    /// Forgets somebody; the rooms that they were in, as they are now.
    pub(crate) fn exit(&mut self, nickname: &str, id: &PersonId, now: Instant) -> Vec<Summary> {
        let nickname = nickname.to_lowercase();
        if self.people.get(&nickname).is_some_and(|holder| holder.id == *id) {
            self.people.remove(&nickname);
        }
        let rooms: Vec<_> = self.rooms_of(id).map(str::to_owned).collect();
        rooms.iter().filter_map(|room| self.leave(room, id, now)).collect()
    }

    fn rooms_of(&self, id: &PersonId) -> impl Iterator<Item = &str> {
        let is_in = |room: &Room| room.members.contains_key(id);
        self.rooms.iter().filter(move |(_, room)| is_in(room)).map(|(name, _)| &**name)
    }

    // --- rooms -------------------------------------------------------------------------------------------------

    /// Enters a room, which is made if there is none of this name. False if they were in it.
    pub(crate) fn join(
        &mut self,
        room: &str,
        id: &PersonId,
        nickname: &str,
        now: Instant,
    ) -> Result<bool, Refused> {
        self.sweep(now);
        if self.is_member(room, id) {
            return Ok(false);
        }
        if self.rooms_of(id).count() >= MAX_ROOMS_EACH {
            let error = format!("You may be in {MAX_ROOMS_EACH} rooms: leave one first.");
            return Err(Refused::new(Code::Full, error));
        }
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(room) {
            return Err(Refused::new(Code::Full, format!("There are {MAX_ROOMS} rooms: join one of them.")));
        }
        let entered = self.rooms.entry(room.to_owned()).or_default();
        entered.members.insert(id.clone(), nickname.to_owned());
        entered.empty = None;
        Ok(true)
    }

    /// Leaves a room; what is left of it, if they were in it.
    pub(crate) fn leave(&mut self, room: &str, id: &PersonId, now: Instant) -> Option<Summary> {
        let left = self.rooms.get_mut(room)?;
        left.members.remove(id)?;
        if left.members.is_empty() {
            left.empty = Some(now);
        }
        Some(Summary { name: room.to_owned(), members: left.members.len() })
    }

    pub(crate) fn is_member(&self, room: &str, id: &PersonId) -> bool {
        self.rooms.get(room).is_some_and(|room| room.members.contains_key(id))
    }

    /// All rooms, by name; those that have been empty for too long are gone.
    pub(crate) fn list(&mut self, now: Instant) -> Vec<Summary> {
        self.sweep(now);
        let summary =
            |(name, room): (&String, &Room)| Summary { name: name.clone(), members: room.members.len() };
        self.rooms.iter().map(summary).collect()
    }

    /// Who is in a room, by nickname.
    pub(crate) fn members(&self, room: &str) -> Vec<Member> {
        let members = self.rooms.get(room).into_iter().flat_map(|room| &room.members);
        let mut members: Vec<_> =
            members.map(|(id, nickname)| Member { id: id.clone(), nickname: nickname.clone() }).collect();
        members.sort_by(|a, b| (&a.nickname, &a.id).cmp(&(&b.nickname, &b.id)));
        members
    }

    /// What was said in a room lately, the oldest first.
    pub(crate) fn history(&self, room: &str) -> Vec<Post> {
        self.rooms.get(room).map(|room| room.posts.iter().cloned().collect()).unwrap_or_default()
    }

    fn sweep(&mut self, now: Instant) {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= EMPTY_FOR;
        self.rooms.retain(|_, room| !room.empty.is_some_and(is_over));
    }

    // --- messages ----------------------------------------------------------------------------------------------

    /// A message of a member, not yet kept.
    pub(crate) fn draft(
        &self,
        room: &str,
        id: &PersonId,
        key: String,
        text: String,
        at: u64,
    ) -> Result<Draft, Refused> {
        let member = self.rooms.get(room).and_then(|r| Some((r, r.members.get(id)?)));
        let Some((found, from)) = member else {
            return Err(Refused::new(Code::Outside, format!("You are not in {room}.")));
        };
        if let Some(known) = found.posts.iter().find(|post| post.key == key && post.from == *from) {
            return Ok(Draft::Known(known.clone()));
        }
        Ok(Draft::New(Post { id: self.last + 1, key, from: from.clone(), text, at }))
    }

    /// Remembers a message, and forgets the oldest ones that are too many.
    pub(crate) fn keep(&mut self, room: &str, post: Post) {
        self.last = self.last.max(post.id);
        let Some(room) = self.rooms.get_mut(room) else { return };
        room.bytes += post.bytes();
        room.posts.push_back(post);
        while room.posts.len() > HISTORY || room.bytes > HISTORY_BYTES {
            let Some(oldest) = room.posts.pop_front() else { return };
            room.bytes -= oldest.bytes();
        }
    }
}

impl Post {
    fn bytes(&self) -> usize {
        self.key.len() + self.from.len() + self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PersonId {
        PersonId(text.to_owned())
    }

    fn say(chat: &mut ChatState, room: &str, socket: &str, key: &str, text: &str) -> Draft {
        let draft = chat.draft(room, &id(socket), key.into(), text.into(), 0).expect("a member");
        if let Draft::New(post) = &draft {
            chat.keep(room, post.clone());
        }
        draft
    }

    #[test]
    fn a_nickname_belongs_to_one_key() {
        let (mut chat, now) = (ChatState::default(), Instant::now());
        assert_eq!(chat.enter("Ann", "k1", &id("1")), Ok(None));
        assert_eq!(chat.enter("ANN", "k2", &id("2")).map_err(|e| e.code), Err(Code::Taken));
        // The same person over a new line, before the server knows that the old one is broken.
        assert_eq!(chat.enter("ann", "k1", &id("3")), Ok(Some(id("1"))));
        chat.exit("Ann", &id("1"), now);
        assert!(chat.may_enter("Ann", "k2").is_err(), "the old socket's end does not free it");
        chat.exit("Ann", &id("3"), now);
        assert_eq!(chat.may_enter("Ann", "k2"), Ok(()));
    }

    #[test]
    fn people_and_rooms_are_bounded() {
        let (mut chat, now) = (ChatState::default(), Instant::now());
        for n in 0..MAX_PEOPLE {
            chat.enter(&n.to_string(), "k", &id(&n.to_string())).expect("there is room");
        }
        assert_eq!(chat.may_enter("one more", "k").map_err(|e| e.code), Err(Code::Full));
        assert_eq!(chat.may_enter("7", "k"), Ok(()), "who is in comes back");

        for n in 0..MAX_ROOMS {
            let socket = id(&(n / MAX_ROOMS_EACH).to_string());
            assert_eq!(chat.join(&n.to_string(), &socket, "x", now), Ok(true));
        }
        assert_eq!(
            chat.join("own", &id("0"), "x", now).map_err(|e| e.code),
            Err(Code::Full),
            "one's own bound"
        );
        assert_eq!(
            chat.join("all", &id("999"), "x", now).map_err(|e| e.code),
            Err(Code::Full),
            "that of all"
        );
        assert_eq!(chat.join("3", &id("999"), "x", now), Ok(true), "an old room stays open");
        assert_eq!(chat.join("3", &id("999"), "x", now), Ok(false));
    }

    #[test]
    fn empty_rooms_go_after_a_time() {
        let (mut chat, now) = (ChatState::default(), Instant::now());
        chat.join("lobby", &id("1"), "ann", now).expect("there is room");
        say(&mut chat, "lobby", "1", "k", "hello");
        assert_eq!(chat.exit("ann", &id("1"), now), [Summary { name: "lobby".into(), members: 0 }]);
        let soon = now + EMPTY_FOR - Duration::from_millis(1);
        assert_eq!(chat.list(soon).len(), 1);
        // Who comes back in time finds what was said, and the room stays.
        chat.join("lobby", &id("2"), "bob", soon).expect("there is room");
        assert_eq!(chat.history("lobby").len(), 1);
        assert_eq!(chat.list(now + 3 * EMPTY_FOR).len(), 1);
        chat.leave("lobby", &id("2"), soon);
        assert_eq!(chat.list(soon + EMPTY_FOR), []);
    }

    #[test]
    fn a_message_sent_again_is_known() {
        let (mut chat, now) = (ChatState::default(), Instant::now());
        chat.join("lobby", &id("1"), "ann", now).expect("there is room");
        chat.join("lobby", &id("2"), "bob", now).expect("there is room");
        let Draft::New(first) = say(&mut chat, "lobby", "1", "k", "hello") else { panic!("it is new") };
        assert_eq!(say(&mut chat, "lobby", "1", "k", "hello"), Draft::Known(first.clone()));
        // Bob's key is another one, though it reads the same.
        let Draft::New(second) = say(&mut chat, "lobby", "2", "k", "hi") else { panic!("it is new") };
        assert!(second.id > first.id);
        assert_eq!(chat.history("lobby"), [first, second]);
        let outside = chat.draft("lobby", &id("3"), "k".into(), "x".into(), 0);
        assert_eq!(outside.map_err(|e| e.code), Err(Code::Outside));
    }

    #[test]
    fn the_history_is_bounded_in_count_and_bytes() {
        let (mut chat, now) = (ChatState::default(), Instant::now());
        chat.join("lobby", &id("1"), "ann", now).expect("there is room");
        for n in 0..HISTORY + 10 {
            say(&mut chat, "lobby", "1", &n.to_string(), "x");
        }
        let history = chat.history("lobby");
        assert_eq!((history.len(), &*history[0].key), (HISTORY, "10"));
        for n in 0..HISTORY {
            say(&mut chat, "lobby", "1", &format!("long{n}"), &"x".repeat(8_000));
        }
        let bytes: usize = chat.history("lobby").iter().map(Post::bytes).sum();
        assert!((HISTORY_BYTES - 9_000..=HISTORY_BYTES).contains(&bytes), "{bytes}");
    }
}
