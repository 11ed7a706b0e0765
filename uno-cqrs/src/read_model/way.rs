//! [`Way`]: whether feeders leave pauses, so that another generation gets ahead of theirs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::record::Hurry;
use crate::Generation;

/// How long a lane rests after each batch. Long enough for a page and a swap to come in between, and short for readers.
const REST: Duration = Duration::from_millis(20);

/// For how long others give way to a generation of which they hear nothing new. Many times as long as it takes to
/// [say again](RENEWAL) that it is in a hurry: who does not has died.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How often somebody who waits for a generation says again that it is in a hurry.
pub(super) const RENEWAL: Duration = Duration::from_secs(2);

/// Whom to give way to, as this process knows. Nothing but fairness depends on it.
///
/// By this process's own clock, from when it first saw what the record says: so clocks need not agree, and who died in a hurry slows
/// nobody for long.
#[derive(Clone, Debug, Default)]
pub(super) struct Way(Arc<Mutex<Option<Heard>>>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    hurry: Hurry,
    until: Instant,
}

impl Way {
    /// This is what the record says now.
    pub(super) fn set(&self, says: Option<Hurry>) {
        let mut heard = self.locked();
        *heard = match (*heard, says) {
            (Some(known), Some(hurry)) if known.hurry == hurry => Some(known),
            (_, says) => says.map(|hurry| Heard {
                hurry,
                until: Instant::now() + PATIENCE,
            }),
        };
    }

    /// How long who feeds this generation is to rest after a batch.
    pub(super) fn rest_of(&self, generation: Generation) -> Duration {
        match *self.locked() {
            Some(heard) if heard.hurry.generation != generation && Instant::now() < heard.until => {
                REST
            }
            _ => Duration::ZERO,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Heard>> {
        // Held for an assignment or a look, so there is nothing half done behind a poisoned lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn others_give_way_as_long_as_they_hear_of_the_hurry() {
        let (first, second) = (Generation::FIRST, Generation::FIRST.next());
        let (way, hurry) = (Way::default(), |beat| {
            Some(Hurry {
                generation: second,
                beat,
            })
        });
        let rests = |generation| !way.rest_of(generation).is_zero();
        assert!(!rests(first) && !rests(second), "nobody is in a hurry");
        way.set(hurry(1));
        assert!(rests(first) && !rests(second));
        // It is said again, and heard.
        tokio::time::advance(PATIENCE - RENEWAL).await;
        way.set(hurry(2));
        tokio::time::advance(PATIENCE - RENEWAL).await;
        assert!(rests(first));
        // Whoever said so has died: the record is as it was, however often it is read.
        way.set(hurry(2));
        tokio::time::advance(RENEWAL).await;
        assert!(!rests(first), "it has ended by itself");
        way.set(hurry(2));
        assert!(!rests(first));
        way.set(hurry(3));
        assert!(rests(first), "somebody takes it up");
        way.set(None);
        assert!(!rests(first), "it has come to an end");
    }
}
