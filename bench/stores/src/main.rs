//! Appends of grouped records to redb, fjall and a plain file, as a log would make them; reading back; growth.
//!
//! `cargo run --release -- FOLDER`: a folder on the disk that is meant. Figures are in bench/NOTES.md.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A record as events have it: 200 bytes.
const RECORD: usize = 200;
/// Records of one commit: what collects while the one before is written.
const GROUPS: [usize; 3] = [1, 16, 256];
/// How long each is measured.
const TIME: Duration = Duration::from_secs(2);
/// Records that are kept: older ones are removed with each commit.
const KEPT: u64 = 50_000;

trait Store {
    /// Appends records with the numbers from `first` on, removes those before `oldest`; `sync`: to the disk.
    fn commit(&mut self, first: u64, count: usize, record: &[u8], oldest: u64, sync: bool) -> Result<()>;
}

const EVENTS: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("events");

struct Redb(redb::Database);

impl Store for Redb {
    fn commit(&mut self, first: u64, count: usize, record: &[u8], oldest: u64, sync: bool) -> Result<()> {
        let mut write = self.0.begin_write()?;
        // There is nothing between: without a sync it survives no crash of the process.
        write.set_durability(if sync { redb::Durability::Immediate } else { redb::Durability::None })?;
        {
            let mut table = write.open_table(EVENTS)?;
            for number in first..first + count as u64 {
                table.insert(number, record)?;
            }
            table.retain_in(..oldest, |_, _| false)?;
        }
        write.commit()?;
        Ok(())
    }
}

struct Fjall(fjall::Database, fjall::Keyspace);

impl Store for Fjall {
    fn commit(&mut self, first: u64, count: usize, record: &[u8], oldest: u64, sync: bool) -> Result<()> {
        let mut batch = self.0.batch();
        for number in first..first + count as u64 {
            batch.insert(&self.1, number.to_be_bytes(), record);
        }
        for number in oldest.saturating_sub(count as u64)..oldest {
            batch.remove(&self.1, number.to_be_bytes());
        }
        batch.commit()?;
        self.0.persist(if sync { fjall::PersistMode::SyncData } else { fjall::PersistMode::Buffer })?;
        Ok(())
    }
}

/// Segments of 4 MiB, each record with its length and checksum; whole segments are removed.
struct Plain {
    folder: std::path::PathBuf,
    file: File,
    segments: Vec<(u64, u64)>,
    len: usize,
    buffer: Vec<u8>,
}

impl Plain {
    fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = OpenOptions::new().create(true).append(true).open(folder.join("0"))?;
        Ok(Self { folder: folder.to_owned(), file, segments: vec![(0, 0)], len: 0, buffer: Vec::new() })
    }
}

impl Store for Plain {
    fn commit(&mut self, first: u64, count: usize, record: &[u8], oldest: u64, sync: bool) -> Result<()> {
        self.buffer.clear();
        for _ in 0..count {
            self.buffer.extend_from_slice(&(record.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
            self.buffer.extend_from_slice(record);
        }
        self.file.write_all(&self.buffer)?;
        self.len += self.buffer.len();
        if sync {
            self.file.sync_data()?;
        }
        if self.len > 4 << 20 {
            let name = self.segments.last().map_or(0, |(name, _)| name + 1);
            self.file =
                OpenOptions::new().create(true).append(true).open(self.folder.join(name.to_string()))?;
            self.segments.push((name, first + count as u64));
            self.len = 0;
            while self.segments.get(1).is_some_and(|(_, start)| *start <= oldest) {
                fs::remove_file(self.folder.join(self.segments.remove(0).0.to_string()))?;
            }
        }
        Ok(())
    }
}

fn measure(name: &str, folder: &Path, store: &mut dyn Store) -> Result<u64> {
    let record = vec![b'x'; RECORD];
    let mut next = 1;
    for sync in [false, true] {
        for group in GROUPS {
            let (began, cpu) = (Instant::now(), cpu());
            let mut records = 0;
            while began.elapsed() < TIME {
                store.commit(next, group, &record, next.saturating_sub(KEPT), sync)?;
                next += group as u64;
                records += group;
            }
            let (time, cpu) = (began.elapsed().as_secs_f64(), self::cpu() - cpu);
            println!(
                "{name:6} {} {group:4} a commit: {:9.0} records/s, {:7.2} us of CPU each",
                if sync { "synced " } else { "batched" },
                records as f64 / time,
                cpu * 1e6 / records as f64
            );
        }
    }
    println!(
        "{name:6} {:.1} MB on disk for {:.1} MB kept",
        size(folder)? as f64 / 1e6,
        KEPT as f64 * RECORD as f64 / 1e6
    );
    Ok(next)
}

/// The process's CPU time in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.metadata()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

fn main() -> Result<()> {
    let root = std::env::args().nth(1).ok_or("the folder is missing")?;
    let root = Path::new(&root).join(format!("stores-{}", std::process::id()));
    let [redb_at, fjall_at, plain_at] = ["redb", "fjall", "plain"].map(|name| root.join(name));
    fs::create_dir_all(&redb_at)?;
    {
        let mut store = Redb(redb::Database::create(redb_at.join("db"))?);
        measure("redb", &redb_at, &mut store)?;
    }
    let began = Instant::now();
    {
        use redb::{ReadableDatabase, ReadableTable};
        let database = redb::Database::create(redb_at.join("db"))?;
        let read = database.begin_read()?;
        let count = read.open_table(EVENTS)?.iter()?.filter(|row| row.is_ok()).count();
        println!("redb   opened and read {count} in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    {
        let database = fjall::Database::builder(&fjall_at).open()?;
        let events = database.keyspace("events", fjall::KeyspaceCreateOptions::default)?;
        measure("fjall", &fjall_at, &mut Fjall(database, events))?;
    }
    let began = Instant::now();
    {
        let database = fjall::Database::builder(&fjall_at).open()?;
        let events = database.keyspace("events", fjall::KeyspaceCreateOptions::default)?;
        let count = events.iter().filter_map(|row| row.into_inner().ok()).count();
        println!("fjall  opened and read {count} in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    }
    measure("plain", &plain_at, &mut Plain::open(&plain_at)?)?;
    let began = Instant::now();
    let (mut count, mut bytes) = (0, Vec::new());
    for entry in fs::read_dir(&plain_at)? {
        bytes.clear();
        File::open(entry?.path())?.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let (record, after) =
                after.split_at(u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize);
            assert_eq!(crc32fast::hash(record).to_le_bytes(), head[4..]);
            (rest, count) = (after, count + 1);
        }
    }
    println!("plain  opened and read {count} in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    fs::remove_dir_all(&root)?;
    Ok(())
}
