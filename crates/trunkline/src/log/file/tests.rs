//! The files of a log after every kind of end.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use trunkline_proto::sio::{self, Parser};

use super::super::PLACEHOLDER;
use super::*;
use crate::sid::Id;
use crate::socket::SocketId;
use crate::wire::HEADROOM;

/// A folder of a test's own; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("trunkline-log-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    /// What a process that is killed now would leave.
    fn image(&self) -> Self {
        let image = Self::new();
        fs::create_dir_all(&image.0).unwrap();
        for name in self.segments() {
            fs::copy(self.0.join(&name), image.0.join(&name)).unwrap();
        }
        image
    }

    fn segments(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| place::number_of(name).is_some());
        names.sort();
        names
    }

    fn last(&self) -> PathBuf {
        self.0.join(self.segments().last().unwrap())
    }

    fn len(&self) -> u64 {
        self.segments().iter().map(|name| fs::metadata(self.0.join(name)).unwrap().len()).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, events: 10_000, age: Duration::from_secs(3600) };

/// Opens with epoch 2, if it starts anew.
fn open_with(folder: &Path, durability: Durability, bounds: Bounds) -> Result<Loaded, LogError> {
    open_by(folder, durability, bounds, Arc::default())
}

fn open_by(
    folder: &Path,
    durability: Durability,
    bounds: Bounds,
    writer: Arc<Writer>,
) -> Result<Loaded, LogError> {
    let mut loaded = load(folder, durability, bounds, writer)?;
    loaded.log.snapshot(&mut std::iter::empty());
    Ok(loaded)
}

/// Opens a log that has written nothing yet.
fn load(
    folder: &Path,
    durability: Durability,
    bounds: Bounds,
    writer: Arc<Writer>,
) -> Result<Loaded, LogError> {
    let place = Place {
        folder: folder.to_owned(),
        durability,
        msgpack: false,
        budget: Budget::new(usize::MAX),
        writer,
        written: Box::new(|_| ()),
    };
    FileLog::open(place, bounds, 2, Now::read())
}

fn open(folder: &Folder, durability: Durability) -> Result<Loaded, LogError> {
    open_with(&folder.0, durability, BOUNDS)
}

fn packet(text: &str) -> Arc<Packet> {
    let encoded = sio::encode_event_with_offset(Parser::Json, HEADROOM, "/", "n", text, PLACEHOLDER).unwrap();
    Packet::encoded(encoded, false, &Budget::new(usize::MAX))
}

fn append(log: &mut FileLog, text: &str) {
    let target = Target { rooms: std::iter::once(Arc::from("a")).collect(), ..Target::default() };
    drop(log.append(&target, &packet(text), Now::read()));
}

fn messages(log: &FileLog) -> Vec<String> {
    let records = log.kept().of_room("a", 0).map(|number| log.kept().get(number).unwrap());
    records.map(|record| String::from_utf8(record.packet.message().to_vec()).unwrap()).collect()
}

fn saved() -> Saved {
    Saved {
        pid: "abcdefghijklmnopqrst".parse().unwrap(),
        id: SocketId::from("public"),
        first: 1,
        confirmed: 2,
        floor: 3,
        stale: Some(String::new()),
        rooms: vec![(Arc::from("a"), 1, u64::MAX), (Arc::from("é"), 1, 2)],
        data: serde_json::from_str(r#"{"name":["x",1.5,null]}"#).unwrap(),
        gone: Some(17),
    }
}

/// A log of three events and all kinds of changes, as a killed process leaves it.
fn killed(durability: Durability) -> (Folder, Vec<Change>) {
    let folder = Folder::new();
    let mut log = open(&folder, durability).unwrap().log;
    let pid = Id::random();
    let changes = vec![
        Change::Entered(saved()),
        Change::Joined { pid, room: Arc::from("a"), from: 1 },
        Change::Left { pid, room: Arc::from("a"), to: 2 },
        Change::Data { pid, data: saved().data },
        Change::Confirmed { pid, sequence: 3 },
        Change::Gone { pid, time: 5 },
        Change::Back { pid },
        Change::Forgotten { pid },
    ];
    append(&mut log, "first");
    append(&mut log, "second");
    changes.iter().for_each(|change| log.journal(change));
    append(&mut log, "third");
    log.store.flush(false);
    (folder.image(), changes)
}

#[test]
fn what_was_written_is_read_back_and_the_numbers_go_on() {
    for durability in [Durability::Batched, Durability::Synced] {
        let (folder, changes) = killed(durability);
        let mut loaded = open(&folder, durability).unwrap();
        assert_eq!(loaded.changes, changes);
        let log = &mut loaded.log;
        assert_eq!((log.epoch(), log.kept().latest(), log.kept().oldest(), log.released()), (2, 3, 1, 3));
        let found = messages(log);
        assert_eq!(found.len(), 3);
        assert!(found[2].contains("third"), "{found:?}");
        append(log, "fourth");
        log.store.flush(false);
        let image = folder.image();
        drop(loaded);
        let again = open(&image, durability).unwrap().log;
        assert_eq!((again.kept().latest(), messages(&again).len()), (4, 4));
    }
}

#[test]
fn attachments_targets_and_senders_survive() {
    let folder = Folder::new();
    let target = Target {
        rooms: ["a", "b"].into_iter().map(Arc::from).collect(),
        except: std::iter::once(Arc::from("c")).collect(),
        sender: Some(SocketId::from("s")),
    };
    let bytes = sio::Binary(bytes::Bytes::from_static(b"\x00\x01"));
    let encoded =
        sio::encode_event_with_offset(Parser::Json, HEADROOM, "/", "n", &(&bytes, 1), PLACEHOLDER).unwrap();
    let before = Packet::encoded(encoded, true, &Budget::new(usize::MAX));
    let mut log = open(&folder, Durability::None).unwrap().log;
    drop(log.append(&target, &before, Now::read()));
    drop(log);
    let log = open(&folder, Durability::None).unwrap().log;
    let record = log.kept().get(1).unwrap();
    assert_eq!(format!("{:?}", record.target), format!("{target:?}"));
    assert_eq!(
        (record.packet.message(), record.packet.attachments(), record.packet.may_compress()),
        (before.message(), before.attachments(), true)
    );
    assert_eq!(record.packet.ws(crate::wire::Wire::Ws4), before.ws(crate::wire::Wire::Ws4));
}

#[test]
fn cut_anywhere_it_goes_on_after_the_last_whole_record() {
    let (folder, changes) = killed(Durability::Batched);
    let bytes = fs::read(folder.last()).unwrap();
    // Where records end.
    let mut ends = vec![format::HEADER_LEN];
    while let Ok((_, len)) = format::record(&bytes[ends[ends.len() - 1]..]) {
        ends.push(ends[ends.len() - 1] + len);
    }
    assert_eq!((ends.len(), ends[ends.len() - 1]), (2 + 3 + changes.len(), bytes.len()));
    for cut in 0..bytes.len() {
        for zeros in [0, 200] {
            let image = folder.image();
            let left = [&bytes[..cut], &vec![0; zeros]].concat();
            fs::write(image.last(), &left).unwrap();
            let mut loaded = match open(&image, Durability::Batched) {
                Ok(loaded) => loaded,
                // Zeros behind half of a header are nothing that a crash leaves.
                Err(LogError::Damaged { at: 0, .. } | LogError::Foreign { .. })
                    if (1..format::HEADER_LEN).contains(&cut) && zeros > 0 =>
                {
                    continue;
                }
                Err(error) => panic!("cut at {cut}: {error}"),
            };
            let whole = ends.iter().filter(|end| left.get(..**end) == bytes.get(..**end)).count();
            // Not to be closed in order: that waits for the disk.
            loaded.log.discard();
            // Records but the snapshot; none if that is not whole.
            let (events, notes) = match whole {
                0..=2 => (0, 0),
                3 => (1, 0),
                4 => (2, 0),
                n => (2 + usize::from(n == ends.len()), (n - 4).min(changes.len())),
            };
            if loaded.log.kept().latest() == 0 && zeros > 0 {
                // Zeros within a record are damage: it starts anew.
                continue;
            }
            let found = (messages(&loaded.log).len(), loaded.changes.len());
            assert_eq!(found, (events, notes), "cut at {cut} of {}, {zeros} zeros", bytes.len());
        }
    }
}

#[test]
fn a_damaged_end_starts_a_new_life() {
    let (folder, _) = killed(Durability::Synced);
    let bytes = fs::read(folder.last()).unwrap();
    let writer = Arc::new(Writer::default());
    for at in format::HEADER_LEN..bytes.len() {
        let image = folder.image();
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(image.last(), damaged).unwrap();
        let place = Place {
            folder: image.0.clone(),
            durability: Durability::Synced,
            msgpack: false,
            budget: Budget::new(usize::MAX),
            writer: Arc::clone(&writer),
            written: Box::new(|_| ()),
        };
        let mut loaded = FileLog::open(place, BOUNDS, 3, Now::read()).unwrap();
        assert_eq!((loaded.log.epoch(), loaded.log.kept().latest()), (3, 0), "byte {at}");
        assert_eq!((loaded.changes.len(), image.segments().len()), (0, 0));
        loaded.log.discard();
    }
}

/// Starts another segment, and gives the image with both.
fn two_segments() -> Folder {
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Batched).unwrap().log;
    append(&mut log, "first");
    log.snapshot(&mut std::iter::once(saved()));
    append(&mut log, "second");
    log.store.flush(false);
    folder.image()
}

#[test]
fn damage_before_the_end_is_an_error_that_says_where() {
    let whole = two_segments();
    let loaded = open(&whole.image(), Durability::Batched).unwrap();
    assert_eq!((messages(&loaded.log).len(), &*loaded.changes), (2, &[Change::Entered(saved())][..]));
    let first = whole.0.join(&whole.segments()[0]);
    let bytes = fs::read(&first).unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        fs::write(&first, bytes).unwrap();
        let error = open(&whole.image(), Durability::Batched).err().expect("an error").to_string();
        assert!(error.contains("00000000000000000001.events: ") && error.contains(expected), "{error}");
    };
    let last = bytes.len() - 1;
    check(&|bytes| bytes[last] ^= 1, &format!("damaged at byte {}: a wrong checksum", 48 + 22));
    check(&|bytes| bytes.truncate(last), "it ends within a record");
    check(&|bytes| bytes[20] ^= 1, "damaged at byte 0: no whole header");
    check(&|bytes| bytes[8] = 2, "has format 2, and this version reads formats up to 1");
    check(&|bytes| bytes[0] = 0, "not a log of trunkline");
    fs::write(&first, bytes).unwrap();
    fs::copy(whole.last(), whole.0.join("00000000000000000009.events")).unwrap();
    let error = open(&whole.image(), Durability::Batched).err().expect("an error").to_string();
    assert!(error.contains("00000000000000000009.events: damaged at byte 0"), "{error}");
}

/// As found after the machine was started anew.
fn rebooted(folder: Folder) -> Folder {
    let path = folder.last();
    let bytes = fs::read(&path).unwrap();
    let header = Header { boot: [7; 16], ..Header::decode(&bytes).unwrap() };
    let mut other = Vec::new();
    header.encode(&mut other);
    other.extend_from_slice(&bytes[format::HEADER_LEN..]);
    fs::write(path, other).unwrap();
    folder
}

/// A log of one event that ended in order.
fn closed(durability: Durability) -> Folder {
    let folder = Folder::new();
    append(&mut open(&folder, durability).unwrap().log, "first");
    folder
}

#[test]
fn a_life_goes_on_only_if_nothing_that_was_seen_can_be_missing() {
    for (folder, lives) in [
        (killed(Durability::None).0, false),
        (killed(Durability::Batched).0, true),
        (rebooted(killed(Durability::Batched).0), false),
        (rebooted(killed(Durability::Synced).0), true),
        (closed(Durability::None), true),
        (closed(Durability::Batched), true),
    ] {
        // The durability of the life before counts, not that of this one.
        let log = open(&folder, Durability::Synced).unwrap().log;
        assert_eq!(log.kept().latest() > 0, lives, "{}", folder.0.display());
    }
    let folder = closed(Durability::Batched);
    // After its orderly end it was used again, and killed.
    let mut log = open(&folder, Durability::None).unwrap().log;
    append(&mut log, "second");
    log.store.flush(false);
    assert_eq!(open(&folder.image(), Durability::None).unwrap().log.kept().latest(), 0);
}

#[test]
fn an_orderly_end_counts_no_more_when_the_log_is_taken_up() {
    for (durability, lives) in
        [(Durability::None, false), (Durability::Batched, false), (Durability::Synced, true)]
    {
        let folder = closed(durability);
        let boot = open::boot_id();
        let len = folder.len();
        // The process that takes it up ends before its own segment is on the disk, with the machine.
        let found = open::open(&folder.0, false, boot).unwrap();
        assert_eq!(found.life.unwrap().latest, 1, "{durability:?}");
        open::take_up(&folder.0, found.closed.unwrap()).unwrap();
        drop(found.lock);
        assert!(folder.len() < len);
        let life = open::open(&folder.0, false, [7; 16]).unwrap().life;
        assert_eq!(life.map(|life| life.latest), lives.then_some(1), "{durability:?}");
    }
    // Nothing else is cut off, however often it was closed.
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Batched).unwrap().log;
    append(&mut log, "first");
    log.journal(&Change::Entered(saved()));
    log.store.flush(false);
    let len = folder.len();
    log.close().unwrap()();
    drop(log);
    assert!(folder.len() > len);
    let found = open::open(&folder.0, false, open::boot_id()).unwrap();
    open::take_up(&folder.0, found.closed.unwrap()).unwrap();
    let life = found.life.unwrap();
    assert_eq!((life.latest, &*life.changes, folder.len()), (1, &[Change::Entered(saved())][..], len));
}

/// It was closed in order, the machine was started anew, and who took it up gave nothing to anybody yet.
#[test]
fn a_log_that_is_killed_before_its_first_writing_is_as_it_was_found() {
    for durability in [Durability::Batched, Durability::Synced] {
        let folder = rebooted(closed(durability));
        let mut log = load(&folder.0, Durability::Batched, BOUNDS, Arc::default()).unwrap().log;
        let image = folder.image();
        log.snapshot(&mut std::iter::empty());
        log.store.flush(false);
        assert_eq!(open(&image, durability).unwrap().log.kept().latest(), 1, "{durability:?}");
        // From the first writing on the old end is none: the new segment may be lost.
        let image = folder.image();
        fs::remove_file(image.last()).unwrap();
        let lives = durability == Durability::Synced;
        assert_eq!(open(&image, durability).unwrap().log.kept().latest() > 0, lives, "{durability:?}");
    }
    // Where nobody waits for a writing it is none at once.
    let folder = rebooted(closed(Durability::Batched));
    let mut log = load(&folder.0, Durability::None, BOUNDS, Arc::default()).unwrap().log;
    assert_eq!(open(&folder.image(), Durability::Batched).unwrap().log.kept().latest(), 0);
    log.snapshot(&mut std::iter::empty());
}

#[test]
fn the_folder_is_bounded_as_the_events_are() {
    let folder = Folder::new();
    let bounds = Bounds { bytes: 400_000, ..BOUNDS };
    let mut log = open_with(&folder.0, Durability::None, bounds).unwrap().log;
    let mut most = 0;
    for number in 0..4_000 {
        append(&mut log, &"x".repeat(1_000));
        let pid = Id::random();
        log.journal(&Change::Joined { pid, room: Arc::from("a"), from: number });
        if log.wants_snapshot() {
            log.snapshot(&mut (0..100).map(|_| saved()));
        }
        if number % 50 == 0 {
            log.store.flush(false);
            most = most.max(folder.len());
        }
    }
    // What is kept, the segment that holds the oldest of it, and the current one.
    assert!((300_000..700_000).contains(&most), "{most}");
    let oldest = log.kept().oldest();
    drop(log);
    let log = open_with(&folder.0, Durability::None, bounds).unwrap().log;
    assert_eq!((log.kept().latest(), log.kept().oldest()), (4_000, oldest));
    drop(log);
    // Nothing but sessions: their past is given up too.
    let mut log = open_with(&folder.0, Durability::None, Bounds { events: 0, ..bounds }).unwrap().log;
    for _ in 0..20_000 {
        log.journal(&Change::Back { pid: Id::random() });
        if log.wants_snapshot() {
            log.snapshot(&mut std::iter::empty());
            log.store.flush(false);
        }
    }
    assert!(folder.len() < 300_000, "{}", folder.len());
}

#[test]
fn the_folder_is_bounded_where_sessions_change_more_than_events_come() {
    let folder = Folder::new();
    let bounds = Bounds { bytes: 400_000, ..BOUNDS };
    let mut log = open_with(&folder.0, Durability::None, bounds).unwrap().log;
    let roll = |log: &mut FileLog| {
        while !log.wants_snapshot() {
            log.journal(&Change::Back { pid: Id::random() });
        }
        log.snapshot(&mut std::iter::empty());
        log.store.flush(false);
    };
    // One event, and then none for long.
    append(&mut log, "first");
    (0..20).for_each(|_| roll(&mut log));
    assert!(folder.segments().len() <= 3 && log.kept().oldest() == 1, "{:?}", folder.segments());
    drop(log);
    let mut log = open_with(&folder.0, Durability::None, bounds).unwrap().log;
    assert_eq!((messages(&log).len(), log.kept().latest()), (1, 1));
    // A few in each segment: the oldest have to go.
    for _ in 0..40 {
        append(&mut log, "next");
        roll(&mut log);
    }
    drop(log.trim(Now::read()));
    log.store.flush(false);
    assert!(folder.len() < 1_200_000, "{}", folder.len());
    let (oldest, latest) = (log.kept().oldest(), log.kept().latest());
    assert!(oldest > 20 && latest == 41, "{oldest} to {latest}");
    drop(log);
    let log = open_with(&folder.0, Durability::None, bounds).unwrap().log;
    assert_eq!((log.kept().oldest(), log.kept().latest()), (oldest, latest));
}

#[test]
fn what_is_too_old_by_the_clock_is_not_read_back() {
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Batched).unwrap().log;
    let target = Target::default();
    let now = Now::read();
    for ago in [7_200, 1_800, 0] {
        let time = now.time - ago * 1_000;
        drop(log.append(&target, &packet("x"), Now { time, ..now }));
    }
    drop(log);
    let log = open(&folder, Durability::Batched).unwrap().log;
    assert_eq!((log.kept().oldest(), log.kept().latest()), (2, 3));
    assert_eq!(log.kept().before(now.time - 1_900_000), 1);
}

#[test]
fn one_server_at_a_time() {
    let folder = Folder::new();
    let log = open(&folder, Durability::Batched).unwrap().log;
    assert!(matches!(open(&folder, Durability::Batched), Err(LogError::InUse { .. })));
    drop(log);
    drop(open(&folder, Durability::Batched).unwrap());
}

#[test]
fn packets_wait_for_the_writing_unless_nobody_is_to_wait() {
    for (durability, waits) in
        [(Durability::None, false), (Durability::Batched, true), (Durability::Synced, true)]
    {
        let folder = Folder::new();
        let mut log = open(&folder, durability).unwrap().log;
        // What is written by another thread meanwhile must not be in the way.
        let store = Arc::clone(&log.store);
        let files = store.hold();
        let gate = log.gate(true);
        append(&mut log, "first");
        assert_eq!((gate.is_closed(), log.released()), (waits, u64::from(!waits)), "{durability:?}");
        drop(files);
        log.store.flush(false);
        assert!(!gate.is_closed() && !log.gate(false).is_closed());
        assert_eq!(log.released(), 1);
    }
}

#[test]
fn a_log_that_cannot_be_written_lets_go_and_leaves_nothing_wrong_behind() {
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Synced).unwrap().log;
    append(&mut log, "first");
    log.store.flush(false);
    // The next segment cannot be made.
    fs::create_dir(place::segment(&folder.0, 2)).unwrap();
    let store = Arc::clone(&log.store);
    let files = store.hold();
    let gate = log.gate(true);
    append(&mut log, "second");
    log.snapshot(&mut std::iter::empty());
    // All of it is one writing.
    drop(files);
    drop(store);
    std::thread::scope(|threads| {
        // Nothing leaves before the files are gone.
        threads.spawn(|| {
            while gate.is_closed() {
                std::thread::yield_now();
            }
            assert!(!place::segment(&folder.0, 1).exists());
        });
        log.store.flush(false);
    });
    append(&mut log, "third");
    assert_eq!((log.released(), messages(&log).len()), (3, 3));
    fs::remove_dir(place::segment(&folder.0, 2)).unwrap();
    drop(log);
    // Clients have numbers that no file knows.
    assert_eq!(open(&folder, Durability::Synced).unwrap().log.kept().latest(), 0);
}

#[test]
fn what_is_discarded_is_gone() {
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Batched).unwrap().log;
    append(&mut log, "first");
    log.discard();
    log.writer.wait_until_removed(&folder.0);
    assert!(!folder.0.exists());
    append(&mut log, "second");
    // The next of this name, while the old one is not dropped yet.
    let next = open(&folder, Durability::Batched).unwrap().log;
    assert_eq!(next.kept().latest(), 0);
    next.store.flush(false);
    drop(log);
    assert_eq!(folder.segments().len(), 1);
}

#[test]
fn discarding_waits_for_no_disk_and_who_opens_next_does() {
    let folder = Folder::new();
    let mut log = open(&folder, Durability::Batched).unwrap().log;
    append(&mut log, "first");
    let (store, writer) = (Arc::clone(&log.store), Arc::clone(&log.writer));
    // A disk that is slow.
    let files = store.hold();
    log.discard();
    assert!(folder.0.exists());
    std::thread::scope(|threads| {
        let next = threads.spawn(|| open_by(&folder.0, Durability::Batched, BOUNDS, writer).unwrap().log);
        drop(files);
        let next = next.join().unwrap();
        assert_eq!(next.kept().latest(), 0);
    });
    drop(log);
    assert_eq!(folder.segments().len(), 1);
}

#[test]
fn what_cannot_be_removed_is_an_error() {
    let folder = Folder::new();
    drop(open(&folder, Durability::Batched).unwrap());
    fs::create_dir(place::segment(&folder.0, 2)).unwrap();
    open::remove(&folder.0).unwrap_err();
    assert!(!place::segment(&folder.0, 1).exists());
    fs::remove_dir(place::segment(&folder.0, 2)).unwrap();
    open::remove(&folder.0).unwrap();
    open::remove(&folder.0).unwrap();
    assert!(!folder.0.exists());
}

#[test]
fn logs_that_nobody_can_use_any_more_are_swept() {
    let root = Folder::new();
    let [old, used, long] = ["old", "used", "part+/long"].map(|name| root.0.join(name));
    let bounds = Bounds { age: Duration::from_secs(60), ..BOUNDS };
    let all: Vec<_> =
        [&old, &used, &long].map(|folder| open_with(folder, Durability::Batched, bounds).unwrap().log).into();
    fs::write(root.0.join("something else"), "").unwrap();
    drop(all);
    let later = |seconds| std::time::SystemTime::now() + Duration::from_secs(seconds);
    sweep(&root.0, later(50));
    assert!(old.exists() && used.exists() && long.exists());
    let log = open_with(&used, Durability::Batched, bounds).unwrap().log;
    sweep(&root.0, later(70));
    assert!(!old.exists() && used.exists() && !root.0.join("part+").exists());
    assert!(root.0.join("something else").exists());
    drop(log);
}
