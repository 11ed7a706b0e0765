//! [`Ledger`]: a stand-in for an outside service that honours idempotency keys.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

/// What a service was told, by idempotency key: telling it again changes nothing.
///
/// Deliveries are at least once: after a crash, the last few may come again. It is the key that makes
/// them count once. With a file it outlives the process, as a real service would.
#[derive(Debug)]
pub struct Ledger {
    /// A std mutex: it is held for one short write, and never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<Uuid, String>,
    file: Option<File>,
}

impl Ledger {
    /// A ledger that is gone with the process.
    pub fn in_memory() -> Self {
        Self {
            state: Mutex::new(State {
                entries: BTreeMap::new(),
                file: None,
            }),
        }
    }

    /// A ledger in a file, which is made if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // A process that was killed while it wrote leaves a line without an end: it was not acknowledged, so it goes.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::Start(whole as u64))?;
        let entries = text[..whole].lines().filter_map(|line| {
            let (key, entry) = line.split_once('\t')?;
            Some((key.parse().ok()?, entry.to_owned()))
        });
        Ok(Self {
            state: Mutex::new(State {
                entries: entries.collect(),
                file: Some(file),
            }),
        })
    }

    /// Notes an entry under its key, unless the key is known.
    pub fn note(&self, key: Uuid, entry: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.entries.contains_key(&key) {
            return Ok(());
        }
        if let Some(file) = &mut state.file {
            file.write_all(format!("{key}\t{entry}\n").as_bytes())?;
        }
        state.entries.insert(key, entry.to_owned());
        Ok(())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .len()
    }

    /// How many entries begin with this text.
    pub fn count(&self, prefix: &str) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .entries
            .values()
            .filter(|entry| entry.starts_with(prefix))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_also_after_a_restart_and_half_a_line_not_at_all() {
        let path = std::env::temp_dir().join(format!("uno-orders-ledger-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let ledger = Ledger::open(&path).unwrap();
        ledger.note(a, "first").unwrap();
        ledger.note(a, "again").unwrap();
        drop(ledger);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(format!("{b}\thalf a li").as_bytes())
            .unwrap();
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!((ledger.len(), ledger.count("first")), (1, 1));
        ledger.note(b, "whole").unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!((ledger.len(), ledger.count("whole")), (2, 1));
        std::fs::remove_file(&path).unwrap();
    }
}
