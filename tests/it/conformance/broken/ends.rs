//! Unclean ends that no attempt explains: what is told of them, and what explains them.

use uno_core::{Lane, LaneAttempt, LaneLease, LaneRecord, SubscriptionName};

use super::{Fault, notes::Remembered, store::Broken};

impl Broken {
    /// Whether a lease is told to have an unexplained end.
    pub(super) fn tell_unexplained(
        &self,
        notes: &mut Remembered,
        subscription: &SubscriptionName,
        lease: &LaneLease,
        listed: &[LaneRecord],
    ) -> bool {
        let (told, ended) = (lease.has_unexplained_end(), lease.was_abandoned());
        let key = (subscription.clone(), lease.lane());
        let record = listed.iter().find(|record| record.lane() == lease.lane());
        let place = record.and_then(LaneRecord::checkpoint);
        match self.fault {
            Fault::HidesUnexplainedEnds => false,
            Fault::TellsUnexplainedEndsOnce => told && ended,
            Fault::ReleasesExplain => {
                if ended {
                    notes.explained.remove(&key);
                }
                told && !notes.explained.contains(&key)
            }
            Fault::MovesExplain => {
                if ended {
                    notes.ended_at.insert(key.clone(), place);
                }
                told && notes.ended_at.get(&key) == Some(&place)
            }
            Fault::ZerothAttemptsExplain | Fault::PastAttemptsExplain => {
                let zeroth = lease.attempt().is_some_and(|(_, attempt)| attempt == 0);
                let past = lease.attempt().is_none() && notes.attempts.contains_key(&key);
                let explains = match self.fault {
                    Fault::ZerothAttemptsExplain => zeroth,
                    _ => past,
                };
                if ended && explains {
                    notes.explained.insert(key.clone());
                }
                told && !notes.explained.contains(&key)
            }
            Fault::AttemptsExplainNothing => {
                if ended {
                    notes.unexplained.insert(key.clone());
                }
                told || notes.unexplained.contains(&key)
            }
            Fault::BeginsAnewUnexplained => {
                if told {
                    notes.unexplained.insert(key.clone());
                }
                told || notes.unexplained.contains(&key)
            }
            Fault::NotesUnexplain => told || notes.unexplained.contains(&key),
            _ => told,
        }
    }

    /// Whether an attempt that is noted leaves an end unexplained.
    pub(super) fn leaves_unexplained(&self, attempt: &LaneAttempt) -> bool {
        let leaves = match self.fault {
            Fault::NotesExplainNothing => true,
            Fault::NotesExplainEverything => false,
            _ => attempt.leaves_unexplained(),
        };
        let key = (attempt.subscription().clone(), attempt.lane());
        let mut notes = self.notes.get();
        if !leaves {
            notes.unexplained.remove(&key);
        } else if self.has(Fault::NotesUnexplain) {
            notes.unexplained.insert(key);
        }
        leaves
    }

    /// These lanes were given back.
    pub(super) fn explain_ends(
        &self,
        subscription: &SubscriptionName,
        lanes: impl IntoIterator<Item = Lane>,
    ) {
        let lanes = lanes.into_iter().map(|lane| (subscription.clone(), lane));
        self.notes.get().explained.extend(lanes);
    }
}
