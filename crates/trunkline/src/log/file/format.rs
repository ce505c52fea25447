//! The bytes of a log's files: a header, then records, each with its length and checksum.
//!
//! Numbers are little-endian. A record is `length u32, CRC-32 of the body u32, CRC-32 of those two u32, body`; a body starts with its
//! kind. Every segment starts with a snapshot of the sessions, so that those before it are needed for their events alone.

use std::sync::Arc;

use bytes::Bytes;
use trunkline_proto::sio::Encoded;

use super::super::{Change, Durability, Saved};
use crate::rooms::Target;
use crate::sid::Id;
use crate::socket::SocketId;
use crate::wire::{HEADROOM, Packet};

/// The format that is written, and the newest that is read.
pub(super) const VERSION: u16 = 1;
const MAGIC: &[u8; 8] = b"TRNKLOG\n";
pub(super) const HEADER_LEN: usize = 48;
/// What stands before a record's body.
const FRAME_LEN: usize = 12;

/// The start of a segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) durability: Durability,
    /// Whether the packets are msgpack.
    pub(super) msgpack: bool,
    pub(super) epoch: u32,
    pub(super) number: u64,
    /// The boot of the machine that wrote it; zeros where that cannot be known.
    pub(super) boot: [u8; 16],
    /// For how many seconds after its last writing anything in it is of use.
    pub(super) keep: u32,
}

/// Why a file's start is no header of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    Short,
    Magic,
    Version(u16),
    Damaged,
}

impl Header {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.push(self.durability as u8);
        out.push(u8::from(self.msgpack));
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.boot);
        out.extend_from_slice(&self.keep.to_le_bytes());
        let sum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&sum.to_le_bytes());
    }

    pub(super) fn decode(file: &[u8]) -> Result<Self, BadHeader> {
        let Some(header) = file.get(..HEADER_LEN) else {
            let known = file.len().min(MAGIC.len());
            return Err(if file[..known] == MAGIC[..known] { BadHeader::Short } else { BadHeader::Magic });
        };
        let mut reader = Reader(header);
        if reader.take(8) != Some(MAGIC) {
            return Err(BadHeader::Magic);
        }
        // The version first: a newer format may have another header.
        let version = u16::from_le_bytes(reader.array().ok_or(BadHeader::Short)?);
        if version > VERSION {
            return Err(BadHeader::Version(version));
        }
        let sum = crc32fast::hash(&header[..HEADER_LEN - 4]);
        if header[HEADER_LEN - 4..] != sum.to_le_bytes() {
            return Err(BadHeader::Damaged);
        }
        let mut rest = || {
            let durability = match reader.u8()? {
                0 => Durability::None,
                1 => Durability::Batched,
                2 => Durability::Synced,
                _ => return None,
            };
            let msgpack = reader.u8()? == 1;
            Some(Self {
                durability,
                msgpack,
                epoch: reader.u32()?,
                number: reader.u64()?,
                boot: reader.array()?,
                keep: reader.u32()?,
            })
        };
        rest().ok_or(BadHeader::Damaged)
    }
}

/// One record, read back.
pub(super) enum Record {
    Event(StoredEvent),
    Change(Change),
    /// The sessions at the start of a segment; `latest` is the number of the last event before it.
    Snapshot {
        latest: u64,
        sessions: Vec<Saved>,
    },
    /// The log was closed in order: nothing that anybody has seen is missing.
    Closed,
}

/// An event, read back.
pub(super) struct StoredEvent {
    pub(super) sequence: u64,
    pub(super) time: u64,
    pub(super) target: Target,
    pub(super) compress: bool,
    pub(super) encoded: Encoded,
}

const EVENT: u8 = 1;
const SNAPSHOT: u8 = 2;
const CLOSED: u8 = 3;
const ENTERED: u8 = 4;
const JOINED: u8 = 5;
const LEFT: u8 = 6;
const DATA: u8 = 7;
const CONFIRMED: u8 = 8;
const GONE: u8 = 9;
const BACK: u8 = 10;
const FORGOTTEN: u8 = 11;

/// Writes a record; `body` appends what it consists of.
fn framed(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_LEN]);
    out.push(kind);
    body(out);
    let bytes = &out[start + FRAME_LEN..];
    let (len, sum) = (u32::try_from(bytes.len()).unwrap_or(u32::MAX), crc32fast::hash(bytes));
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    // A length that is wrong must not look like a file that ends too early.
    let sum = crc32fast::hash(&out[start..start + 8]);
    out[start + 8..start + FRAME_LEN].copy_from_slice(&sum.to_le_bytes());
}

pub(super) fn event(out: &mut Vec<u8>, sequence: u64, time: u64, target: &Target, packet: &Packet) {
    framed(out, EVENT, |out| {
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&time.to_le_bytes());
        out.push(u8::from(packet.is_binary()) | u8::from(packet.may_compress()) << 1);
        text(out, target.sender.as_ref().map_or("", SocketId::as_str));
        for names in [&target.rooms[..], &target.except[..]] {
            count(out, names.len());
            names.iter().for_each(|name| text(out, name));
        }
        blob(out, packet.message());
        count(out, packet.attachments().len());
        packet.attachments().iter().for_each(|attachment| blob(out, attachment));
    });
}

pub(super) fn snapshot(out: &mut Vec<u8>, latest: u64, sessions: &mut dyn Iterator<Item = Saved>) {
    framed(out, SNAPSHOT, |out| {
        out.extend_from_slice(&latest.to_le_bytes());
        sessions.for_each(|session| {
            out.push(1);
            saved(out, &session);
        });
        out.push(0);
    });
}

pub(super) fn closed(out: &mut Vec<u8>) {
    framed(out, CLOSED, |_| ());
}

pub(super) fn change(out: &mut Vec<u8>, change: &Change) {
    let numbered = |out: &mut Vec<u8>, kind: u8, pid: &Id, number: u64, room: Option<&str>| {
        framed(out, kind, |out| {
            text(out, pid.as_str());
            out.extend_from_slice(&number.to_le_bytes());
            room.into_iter().for_each(|room| text(out, room));
        });
    };
    match change {
        Change::Entered(session) => framed(out, ENTERED, |out| saved(out, session)),
        Change::Joined { pid, room, from } => numbered(out, JOINED, pid, *from, Some(room)),
        Change::Left { pid, room, to } => numbered(out, LEFT, pid, *to, Some(room)),
        Change::Data { pid, data } => framed(out, DATA, |out| {
            text(out, pid.as_str());
            json(out, data);
        }),
        Change::Confirmed { pid, sequence } => numbered(out, CONFIRMED, pid, *sequence, None),
        Change::Gone { pid, time } => numbered(out, GONE, pid, *time, None),
        Change::Back { pid } => numbered(out, BACK, pid, 0, None),
        Change::Forgotten { pid } => numbered(out, FORGOTTEN, pid, 0, None),
    }
}

fn saved(out: &mut Vec<u8>, session: &Saved) {
    text(out, session.pid.as_str());
    text(out, session.id.as_str());
    for number in [session.first, session.confirmed, session.floor, session.gone.unwrap_or(u64::MAX)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(u8::from(session.stale.is_some()));
    text(out, session.stale.as_deref().unwrap_or_default());
    count(out, session.rooms.len());
    for (room, from, to) in &session.rooms {
        text(out, room);
        out.extend_from_slice(&from.to_le_bytes());
        out.extend_from_slice(&to.to_le_bytes());
    }
    json(out, &session.data);
}

fn json(out: &mut Vec<u8>, data: &serde_json::Map<String, serde_json::Value>) {
    // Maps with text as keys can always be written.
    blob(out, &serde_json::to_vec(data).unwrap_or_default());
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    blob(out, text.as_bytes());
}

/// Why no record could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// In order: nothing follows.
    End,
    /// The file ends within a record, or with zeros: it was being written.
    Torn,
    Damaged(&'static str),
}

/// The record at the start of `bytes`, and how long it is in the file.
pub(super) fn record(bytes: &[u8]) -> Result<(Record, usize), Stop> {
    if bytes.is_empty() {
        return Err(Stop::End);
    }
    let mut frame = Reader(bytes);
    let (Some(len), Some(sum), Some(head)) = (frame.u32(), frame.u32(), frame.u32()) else {
        return Err(Stop::Torn);
    };
    if head != crc32fast::hash(&bytes[..8]) {
        let is_blank = bytes.iter().all(|byte| *byte == 0);
        return Err(if is_blank { Stop::Torn } else { Stop::Damaged("a wrong checksum") });
    }
    let Some(body) = frame.take(len as usize) else { return Err(Stop::Torn) };
    if crc32fast::hash(body) != sum {
        let is_blank = body.iter().rev().take(64).all(|byte| *byte == 0);
        let is_last = frame.0.iter().all(|byte| *byte == 0);
        return Err(if is_blank && is_last { Stop::Torn } else { Stop::Damaged("a wrong checksum") });
    }
    let record = decode(body).ok_or(Stop::Damaged("a record of unknown form"))?;
    Ok((record, FRAME_LEN + body.len()))
}

fn decode(body: &[u8]) -> Option<Record> {
    let mut reader = Reader(body);
    let record = match reader.u8()? {
        EVENT => Record::Event(reader.event()?),
        SNAPSHOT => {
            let latest = reader.u64()?;
            let mut sessions = Vec::new();
            while reader.u8()? == 1 {
                sessions.push(reader.saved()?);
            }
            Record::Snapshot { latest, sessions }
        }
        CLOSED => Record::Closed,
        ENTERED => Record::Change(Change::Entered(reader.saved()?)),
        DATA => Record::Change(Change::Data { pid: reader.pid()?, data: reader.json()? }),
        kind => {
            let (pid, number) = (reader.pid()?, reader.u64()?);
            Record::Change(match kind {
                JOINED => Change::Joined { pid, room: reader.name()?, from: number },
                LEFT => Change::Left { pid, room: reader.name()?, to: number },
                CONFIRMED => Change::Confirmed { pid, sequence: number },
                GONE => Change::Gone { pid, time: number },
                BACK => Change::Back { pid },
                FORGOTTEN => Change::Forgotten { pid },
                _ => return None,
            })
        }
    };
    reader.0.is_empty().then_some(record)
}

/// Reads what was written above; `None` at whatever does not fit.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        Some(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.blob()?).ok()
    }

    fn name(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    fn pid(&mut self) -> Option<Id> {
        self.text()?.parse().ok()
    }

    fn json(&mut self) -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(self.blob()?).ok()
    }

    fn names<T: FromIterator<Arc<str>>>(&mut self) -> Option<T> {
        let count = self.u32()?;
        (0..count).map(|_| self.name()).collect()
    }

    fn event(&mut self) -> Option<StoredEvent> {
        let (sequence, time, flags) = (self.u64()?, self.u64()?, self.u8()?);
        let sender = self.text()?;
        let sender = (!sender.is_empty()).then(|| SocketId::from(sender));
        let target = Target { rooms: self.names()?, except: self.names()?, sender };
        let message = self.blob()?;
        let mut head = Vec::with_capacity(HEADROOM + message.len());
        head.resize(HEADROOM, 0);
        head.extend_from_slice(message);
        let count = self.u32()?;
        let attachments: Option<Vec<Bytes>> =
            (0..count).map(|_| self.blob().map(Bytes::copy_from_slice)).collect();
        let encoded =
            Encoded { head, head_offset: HEADROOM, attachments: attachments?, binary: flags & 1 != 0 };
        Some(StoredEvent { sequence, time, target, compress: flags & 2 != 0, encoded })
    }

    fn saved(&mut self) -> Option<Saved> {
        let (pid, id) = (self.pid()?, SocketId::from(self.text()?));
        let (first, confirmed, floor, gone) = (self.u64()?, self.u64()?, self.u64()?, self.u64()?);
        let (is_stale, stale) = (self.u8()? == 1, self.text()?.to_owned());
        let count = self.u32()?;
        let rooms: Option<_> = (0..count).map(|_| Some((self.name()?, self.u64()?, self.u64()?))).collect();
        Some(Saved {
            pid,
            id,
            first,
            confirmed,
            floor,
            gone: (gone != u64::MAX).then_some(gone),
            stale: is_stale.then_some(stale),
            rooms: rooms?,
            data: self.json()?,
        })
    }
}
