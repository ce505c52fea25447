//! Reads a log's files back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::{self, BadHeader, Header, Record, Stop, StoredEvent, VERSION};
use super::place;
use crate::log::{Change, Durability, LogError};

/// What was found.
pub(super) struct Found {
    /// `None`: the log starts anew, since there was none, or what clients know of it may be missing.
    pub(super) life: Option<Life>,
    /// Those that stay.
    pub(super) segments: Vec<Segment>,
    /// The number of the next segment.
    pub(super) next: u64,
    /// The note that it was closed in order, if that is the last thing in it.
    pub(super) closed: Option<Closed>,
    /// Holds the folder against other processes.
    pub(super) lock: File,
}

/// One file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The last event in it; that of the one before if it has none.
    pub(super) last: u64,
    /// In bytes.
    pub(super) len: usize,
}

/// Where the note is that a log was closed in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    /// The segment.
    number: u64,
    /// Where in it, in bytes.
    at: u64,
}

/// The life that goes on.
pub(super) struct Life {
    pub(super) epoch: u32,
    pub(super) latest: u64,
    pub(super) events: Vec<StoredEvent>,
    /// Of the sessions, from the last snapshot on.
    pub(super) changes: Vec<Change>,
}

/// Opens the folder, made if it is not there.
pub(super) fn open(folder: &Path, msgpack: bool, boot: [u8; 16]) -> Result<Found, LogError> {
    let lock = loop {
        fs::create_dir_all(folder).map_err(LogError::io(folder))?;
        if let Some(lock) = lock(folder)? {
            break lock;
        }
    };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(LogError::io(folder))? {
        let entry = entry.map_err(LogError::io(folder))?;
        numbers.extend(entry.file_name().to_str().and_then(place::number_of));
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last + 1);
    let mut reading = Reading::default();
    for (index, number) in numbers.iter().enumerate() {
        reading.segment(place::segment(folder, *number), *number, index + 1 == numbers.len())?;
    }
    let life = reading.life(folder, msgpack, boot);
    if life.is_none() {
        for number in numbers {
            let path = place::segment(folder, number);
            if path.exists() {
                fs::remove_file(&path).map_err(LogError::io(path))?;
            }
        }
        return Ok(Found { life, segments: Vec::new(), next, closed: None, lock });
    }
    let last = reading.segments.last().map(|last| last.number);
    if let Some(last) = last {
        sync(folder, last)?;
    }
    let closed = last.filter(|_| reading.is_closed).map(|number| Closed { number, at: reading.end });
    Ok(Found { life, segments: reading.segments, next, closed, lock })
}

/// What was found counts as written from now on, as safely as any log promises.
fn sync(folder: &Path, last: u64) -> Result<(), LogError> {
    let path = place::segment(folder, last);
    let synced = OpenOptions::new().write(true).open(&path).and_then(|file| file.sync_all());
    synced.map_err(LogError::io(path))?;
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::io(folder))?;
    Ok(())
}

/// That the log was closed in order holds no more: the segment that follows may be lost with what clients were given from it. To be
/// called before they are given anything, and not much before: a process that is killed sooner leaves the log as it found it.
pub(super) fn take_up(folder: &Path, closed: Closed) -> Result<(), LogError> {
    let path = place::segment(folder, closed.number);
    let taken = OpenOptions::new().write(true).open(&path).and_then(|file| {
        file.set_len(closed.at)?;
        file.sync_all()
    });
    taken.map_err(LogError::io(path))
}

/// Removes logs of namespaces that nobody has used for so long that nothing in them is of use: those of a pattern, which nobody may
/// ever ask for again.
pub(crate) fn sweep(root: &Path, now: SystemTime) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let folder = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if place::is_part(&folder) {
            sweep(&folder, now);
            drop(fs::remove_dir(&folder));
        } else if is_outdated(&folder, now).unwrap_or(false)
            && let Ok(Some(lock)) = lock(&folder)
        {
            tracing::debug!(folder = %folder.display(), "the log of a namespace that nobody uses is removed");
            if let Err(error) = remove(&folder) {
                tracing::warn!(folder = %folder.display(), %error, "an outdated log stays");
            }
            drop(lock);
        }
    }
}

/// `None` if it cannot be told.
fn is_outdated(folder: &Path, now: SystemTime) -> Option<bool> {
    let names = fs::read_dir(folder).ok()?.flatten();
    let last = names.filter_map(|entry| place::number_of(entry.file_name().to_str()?)).max()?;
    let mut file = File::open(place::segment(folder, last)).ok()?;
    let mut header = [0; format::HEADER_LEN];
    file.read_exact(&mut header).ok()?;
    let keep = Duration::from_secs(Header::decode(&header).ok()?.keep.into());
    let written = file.metadata().ok()?.modified().ok()?;
    Some(now.duration_since(written).is_ok_and(|ago| ago > keep))
}

/// Removes what a log keeps in its folder, for good.
///
/// # Errors
/// Part of it may be there still, and may be taken for a log; the rest was removed.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).and_then(place::number_of).is_some() {
            let removed = remove_segment(&path);
            result = result.and(removed);
        }
    }
    result?;
    // A loss of power must not bring them back.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    drop(fs::remove_file(folder.join(LOCK)));
    // Not if something else is in it.
    drop(fs::remove_dir(folder));
    Ok(())
}

fn remove_segment(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // An empty file is no log either.
            let emptied = OpenOptions::new().write(true).truncate(true).open(path);
            emptied.and_then(|file| file.sync_all()).map_err(|_| error)
        }
        _ => Ok(()),
    }
}

const LOCK: &str = "lock";
/// How often a lock that somebody has is tried again, and after what time.
#[cfg(unix)]
const LOCK_TRIES: u32 = 5;
#[cfg(unix)]
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// `None` if the folder was removed meanwhile.
fn lock(folder: &Path) -> Result<Option<File>, LogError> {
    let path = folder.join(LOCK);
    let file = match OpenOptions::new().create(true).truncate(false).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LogError::Io { path, source }),
    };
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, flock};
        let mut tries = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            match error {
                rustix::io::Errno::INTR => {}
                // Somebody may just be letting go.
                rustix::io::Errno::WOULDBLOCK if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                rustix::io::Errno::WOULDBLOCK => return Err(LogError::InUse { path: folder.to_owned() }),
                error => return Err(LogError::Io { path, source: error.into() }),
            }
        }
        // Whoever had it may have removed it.
        use std::os::unix::fs::MetadataExt;
        let ours = file.metadata().map_err(LogError::io(&path))?.ino();
        if fs::metadata(&path).map_or(true, |found| found.ino() != ours) {
            return Ok(None);
        }
    }
    Ok(Some(file))
}

#[derive(Default)]
struct Reading {
    header: Option<Header>,
    latest: u64,
    events: Vec<StoredEvent>,
    changes: Vec<Change>,
    segments: Vec<Segment>,
    /// The last record says that the log was closed in order.
    is_closed: bool,
    /// Where the last segment's records end; those are left out that say that it was closed, and that nothing follows.
    end: u64,
    /// What is wrong with the end of the last segment.
    damage: Option<(PathBuf, u64, &'static str)>,
}

impl Reading {
    fn segment(&mut self, path: PathBuf, number: u64, is_last: bool) -> Result<(), LogError> {
        let bytes = fs::read(&path).map_err(LogError::io(&path))?;
        let header = match Header::decode(&bytes) {
            Ok(header) => header,
            Err(BadHeader::Short) if is_last => {
                // It was being made.
                return fs::remove_file(&path).map_err(LogError::io(path));
            }
            Err(_) if is_last && bytes.iter().all(|byte| *byte == 0) => {
                return fs::remove_file(&path).map_err(LogError::io(path));
            }
            Err(BadHeader::Magic) => return Err(LogError::Foreign { path }),
            Err(BadHeader::Version(found)) => {
                return Err(LogError::Newer { path, found, known: VERSION });
            }
            Err(BadHeader::Short | BadHeader::Damaged) => {
                return Err(LogError::Damaged { path, at: 0, what: "no whole header" });
            }
        };
        if header.number != number || self.header.is_some_and(|before| before.epoch != header.epoch) {
            return Err(LogError::Damaged { path, at: 0, what: "the file of another log" });
        }
        let mut at = format::HEADER_LEN;
        let (is_first, mut has_snapshot, mut is_closed) = (self.header.is_none(), false, false);
        let mut end = at;
        let stop = loop {
            let (record, len) = match format::record(&bytes[at..]) {
                Ok(read) => read,
                Err(stop) => break stop,
            };
            is_closed = matches!(record, Record::Closed);
            match record {
                Record::Snapshot { latest, sessions } => {
                    if is_first && !has_snapshot {
                        self.latest = latest;
                    }
                    if latest != self.latest {
                        break Stop::Damaged("events are missing before it");
                    }
                    has_snapshot = true;
                    self.changes = sessions.into_iter().map(Change::Entered).collect();
                }
                _ if !has_snapshot => break Stop::Damaged("no snapshot at its start"),
                Record::Event(event) if event.sequence == self.latest + 1 => {
                    self.latest = event.sequence;
                    self.events.push(event);
                }
                Record::Event(_) => break Stop::Damaged("an event is missing before it"),
                Record::Change(change) => self.changes.push(change),
                Record::Closed => {}
            }
            at += len;
            if !is_closed {
                end = at;
            }
        };
        let place = at as u64;
        match stop {
            Stop::End | Stop::Torn if is_last && !has_snapshot => {
                // It was being made.
                return fs::remove_file(&path).map_err(LogError::io(path));
            }
            Stop::End => {}
            Stop::Torn if is_last => {
                tracing::info!(path = %path.display(), at, "the log ends within a record, which is cut off");
                let cut = OpenOptions::new().write(true).open(&path).and_then(|file| {
                    file.set_len(place)?;
                    file.sync_all()
                });
                cut.map_err(LogError::io(&path))?;
            }
            Stop::Damaged(what) if is_last => self.damage = Some((path, place, what)),
            Stop::Torn => return Err(LogError::Damaged { path, at: place, what: "it ends within a record" }),
            Stop::Damaged(what) => return Err(LogError::Damaged { path, at: place, what }),
        }
        self.header = Some(header);
        self.is_closed = is_closed;
        self.end = end as u64;
        self.segments.push(Segment { number, last: self.latest, len: end });
        Ok(())
    }

    /// Whether what was written last is all that anybody has seen.
    fn life(&mut self, folder: &Path, msgpack: bool, boot: [u8; 16]) -> Option<Life> {
        let header = self.header?;
        let reason = match (&self.damage, header.durability) {
            (Some((path, at, what)), _) => {
                tracing::error!(path = %path.display(), at, what, "the log's end is damaged: it starts anew");
                return None;
            }
            _ if header.msgpack != msgpack => "it was written with the other parser",
            _ if self.is_closed => "",
            (None, Durability::None) => "it was not closed, and its durability is \"none\"",
            (None, Durability::Batched) if header.boot != boot => "the machine was started since",
            (None, Durability::Batched | Durability::Synced) => "",
        };
        if !reason.is_empty() {
            tracing::warn!(folder = %folder.display(), reason, "the log starts anew: nobody is recovered");
            return None;
        }
        Some(Life {
            epoch: header.epoch,
            latest: self.latest,
            events: std::mem::take(&mut self.events),
            changes: std::mem::take(&mut self.changes),
        })
    }
}

/// Which boot of the machine this is; zeros where it does not say.
pub(super) fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default().to_be_bytes()
}
