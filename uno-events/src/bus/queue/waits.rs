//! Who waits for space in which queue, so that no circle of workers waits for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pairs of queues: the worker of the first waits for space in the second. Of all buses, since a circle may lead through
/// several. It is only looked at by handlers of queues that publish into a full queue.
static WAITS: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// A wait. Dropping it is its end.
#[derive(Debug)]
pub(super) struct Wait {
    from: Vec<u64>,
    to: u64,
}

/// Begins to wait for space in the queue `to`, on behalf of the workers of `from`. `None` when one of those would so wait
/// for itself.
pub(super) fn begin(from: &[u64], to: u64) -> Option<Wait> {
    if from.is_empty() {
        return Some(Wait {
            from: Vec::new(),
            to,
        });
    }
    let mut waits = lock();
    // Everything that the worker of `to` waits for, directly or not.
    let mut reached = vec![to];
    let mut next = 0;
    while let Some(queue) = reached.get(next).copied() {
        if from.contains(&queue) {
            return None;
        }
        let onwards = waits.iter().filter(|(waiting, _)| *waiting == queue);
        for (_, queue) in onwards {
            if !reached.contains(queue) {
                reached.push(*queue);
            }
        }
        next += 1;
    }
    waits.extend(from.iter().map(|queue| (*queue, to)));
    let from = from.to_vec();
    Some(Wait { from, to })
}

fn lock() -> MutexGuard<'static, Vec<(u64, u64)>> {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.from.is_empty() {
            return;
        }
        let mut waits = lock();
        for queue in &self.from {
            let wait = (*queue, self.to);
            if let Some(place) = waits.iter().position(|other| *other == wait) {
                waits.swap_remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_refused_as_long_as_it_would_be_one() {
        // Numbers that no queue of another test has.
        let [a, b, c] = [u64::MAX, u64::MAX - 1, u64::MAX - 2];
        assert!(begin(&[a], a).is_none());
        let first = begin(&[a], b).unwrap();
        let second = begin(&[b], c).unwrap();
        assert!(begin(&[c], a).is_none());
        assert!(begin(&[c, a], a).is_none());
        assert!(
            begin(&[], a).is_some(),
            "who is called by no worker may wait"
        );
        drop(first);
        let third = begin(&[c], a).unwrap();
        assert!(begin(&[a], b).is_none());
        drop((second, third));
        assert!(begin(&[a], b).is_some());
    }
}
