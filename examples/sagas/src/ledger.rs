//! [`Ledger`]: the world outside, which honours idempotency keys.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use uno::prelude::*;

/// What banks, warehouses and airlines were told to do, in order. What they were told under a key that they know counts
/// once: so a command that is carried out again after a crash has one effect, as long as its id is the key.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Keys and entries.
    entries: Vec<(String, String)>,
    /// Entries that begin like this get no answer.
    down: BTreeSet<String>,
    /// Keys are not honoured: whatever comes twice is done twice.
    forgets: bool,
}

impl Ledger {
    /// One that does not honour the keys.
    #[must_use]
    pub fn forgetful() -> Self {
        let forgets = true;
        Self(Mutex::new(State {
            forgets,
            ..State::default()
        }))
    }

    /// Does something outside. The key is the id of the command that is being carried out.
    ///
    /// # Errors
    /// When the service does not answer, which is not a refusal: it may be tried again.
    pub fn note(&self, command: &Metadata, entry: &str) -> Result<(), CommandError> {
        let id = command.causation_id();
        let key = id.ok_or_else(|| CommandError::failed("a command without an id"))?;
        let key = key.to_string();
        let mut state = self.lock();
        if state.down.iter().any(|down| entry.starts_with(&**down)) {
            return Err(CommandError::failed("there is no answer"));
        }
        if state.forgets || state.entries.iter().all(|(known, _)| *known != key) {
            state.entries.push((key, entry.to_owned()));
        }
        Ok(())
    }

    /// Whether this was done.
    pub fn has(&self, entry: &str) -> bool {
        self.lock().entries.iter().any(|(_, known)| known == entry)
    }

    /// What was done, in order.
    pub fn entries(&self) -> Vec<String> {
        let state = self.lock();
        state
            .entries
            .iter()
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    /// From now on, what begins like this gets no answer.
    pub fn take_down(&self, prefix: &str) {
        self.lock().down.insert(prefix.to_owned());
    }

    /// Everything is answered again.
    pub fn bring_up(&self) {
        self.lock().down.clear();
    }

    /// A std mutex: it is held for a moment, and never across an await.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
