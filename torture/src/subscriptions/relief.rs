//! [`Parked`]: what is set aside when all else is handled, and what somebody then says is to be done with it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::time::sleep;
use uno_core::{ParkingRequest, ParkingStore, Position, SubscriptionName};

use super::{
    DIARY, LEDGER,
    appending::{CATEGORY, Entry},
    evidence::Logged,
};

/// A key that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) subscription: &'static str,
    /// The event that could not be handled, and those behind it.
    pub(crate) entries: Vec<Entry>,
    /// After how many attempts, as the store tells.
    pub(crate) told: u32,
    /// And why.
    pub(crate) error: String,
    /// What is to be done with it.
    pub(crate) request: ParkingRequest,
}

impl Parked {
    /// Those of its events that nobody is to handle.
    pub(crate) fn passed_over(&self) -> &[Entry] {
        match self.request {
            ParkingRequest::Retry => &[],
            ParkingRequest::Skip => &self.entries[..1.min(self.entries.len())],
            ParkingRequest::Discard => &self.entries,
        }
    }
}

/// Everything that is parked. What is to be done with it is drawn.
pub(crate) async fn look(
    store: &dyn ParkingStore,
    log: &BTreeMap<Entry, Logged>,
    rng: &mut Rng,
) -> Result<Vec<Parked>> {
    let places: BTreeMap<u64, Entry> = log
        .iter()
        .map(|(entry, logged)| (logged.position, *entry))
        .collect();
    let mut parked = Vec::new();
    for subscription in [LEDGER, DIARY] {
        let name = SubscriptionName::new(subscription)?;
        for key in store.list_parked(&name, None, 10_000).await? {
            let events = store
                .parked_events(&name, key.key(), Position::START, 10_000)
                .await?;
            let entry = |position: Position| {
                let entry = places.get(&position.get()).copied();
                entry.context("what is parked is not in the log")
            };
            parked.push(Parked {
                subscription,
                entries: events
                    .iter()
                    .map(|event| entry(event.position()))
                    .collect::<Result<_>>()?,
                told: key.failure().attempts(),
                error: key.failure().error().to_owned(),
                request: match rng.u8(..3) {
                    0 => ParkingRequest::Skip,
                    1 => ParkingRequest::Discard,
                    _ => ParkingRequest::Retry,
                },
            });
        }
    }
    Ok(parked)
}

/// Says what is to be done.
pub(crate) async fn ask(store: &dyn ParkingStore, parked: &[Parked]) -> Result<()> {
    for one in parked {
        let name = SubscriptionName::new(one.subscription)?;
        let first = one.entries.first().context("what is parked has an event")?;
        let key = format!("{CATEGORY}-{}", first.key);
        store.request(&name, &key, one.request).await?;
    }
    Ok(())
}

/// Asks again for what is still parked, and of which nothing is asked any more: a process that dies while it tries a key again leaves it
/// parked. How many keys there are.
pub(crate) async fn ask_again(store: &dyn ParkingStore) -> Result<u64> {
    let mut asked = 0;
    for subscription in [LEDGER, DIARY] {
        let name = SubscriptionName::new(subscription)?;
        let keys = store.list_parked(&name, None, 10_000).await?;
        for key in keys.iter().filter(|key| key.request().is_none()) {
            let retry = ParkingRequest::Retry;
            asked += u64::from(store.request(&name, key.key(), retry).await?);
        }
    }
    Ok(asked)
}

/// How many events are parked, of the one subscription and of the other.
pub(crate) async fn counts(store: &dyn ParkingStore) -> Result<(u64, u64)> {
    Ok((count(store, LEDGER).await?, count(store, DIARY).await?))
}

/// What is parked, in words.
pub(crate) async fn left(store: &dyn ParkingStore) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for subscription in [LEDGER, DIARY] {
        let name = SubscriptionName::new(subscription)?;
        let keys = store.list_parked(&name, None, 10_000).await?;
        left.extend(keys.iter().map(|key| format!("{subscription}: {key:?}")));
    }
    Ok(left)
}

async fn count(store: &dyn ParkingStore, subscription: &str) -> Result<u64> {
    let name = SubscriptionName::new(subscription)?;
    loop {
        match store.count_parked(&name).await {
            // The server may have been killed a moment ago.
            Err(error) if error.is_transient() => sleep(Duration::from_millis(20)).await,
            counted => return Ok(counted?),
        }
    }
}
