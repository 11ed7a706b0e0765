//! The server's answer to a batch, told to each caller.

use sqlx::{Row as _, postgres::PgRow};
use uno_core::{AppendError, CommitError, Receipt, Stale, StoreEpoch, StreamAppended, Version};

use super::Batch;
use crate::{decode, fault::Fault, plain::message_in_use};

/// The server's answer, as the function `commit` gives it.
#[derive(Debug)]
pub(crate) struct Outcome {
    status: Vec<i32>,
    detail: Vec<i32>,
    base: Vec<i64>,
    positions: Vec<Option<i64>>,
    queued: Option<i64>,
    transaction: Option<String>,
}

/// What becomes of one caller.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is told this.
    Told(Result<Receipt, CommitError>),
    /// A stream is locked by somebody else: the commit is to be sent alone, and to wait.
    Locked,
}

impl Outcome {
    pub(super) fn decode(row: &PgRow) -> Result<Self, Fault> {
        Ok(Self {
            status: row.try_get(0)?,
            detail: row.try_get(1)?,
            base: row.try_get(2)?,
            positions: row.try_get::<Option<_>, _>(3)?.unwrap_or_default(),
            queued: row.try_get(4)?,
            transaction: row.try_get(5)?,
        })
    }

    /// The highest position that is stored because of this batch.
    pub(crate) fn last_position(&self) -> Option<i64> {
        self.positions.iter().flatten().copied().max()
    }

    /// The highest number that a message got.
    pub(crate) fn last_number(&self) -> Option<i64> {
        self.queued
    }

    /// The transaction's id, if it changed anything.
    pub(crate) fn transaction(&self) -> Option<&str> {
        self.transaction.as_deref()
    }

    /// Whether a caller's events, and all else with them, were stored before; so nothing was done now. Callers count from 0.
    pub(crate) fn is_repeated(&self, caller: usize) -> bool {
        self.status.get(caller) == Some(&7)
    }

    /// What becomes of each caller.
    pub(crate) fn verdicts(
        &self,
        batch: &Batch<'_>,
        epoch: StoreEpoch,
    ) -> Result<Vec<Verdict>, Fault> {
        let (mut entry, mut event) = (0, 0);
        let mut verdicts = Vec::with_capacity(self.status.len());
        for (caller, number) in (0..self.status.len()).zip(1..) {
            let entries = entry
                ..batch
                    .entries
                    .iter()
                    .skip(entry)
                    .take_while(|e| e.caller == number)
                    .count()
                    + entry;
            entry = entries.end;
            let first = event;
            event += batch
                .entries
                .get(entries.clone())
                .unwrap_or_default()
                .iter()
                .map(|e| e.count)
                .sum::<usize>();
            verdicts.push(match (self.status[caller], self.detail[caller]) {
                (0 | 7, _) => {
                    Verdict::Told(Ok(self.receipt(batch, epoch, entries, first..event)?))
                }
                (8, _) => Verdict::Locked,
                (status, detail) => Verdict::Told(Err(self.error(batch, status, detail)?)),
            });
        }
        Ok(verdicts)
    }

    fn receipt(
        &self,
        batch: &Batch<'_>,
        epoch: StoreEpoch,
        entries: std::ops::Range<usize>,
        events: std::ops::Range<usize>,
    ) -> Result<Receipt, Fault> {
        let mut streams = Vec::new();
        for number in entries {
            let (Some(entry), Some(base)) = (batch.entries.get(number), self.base.get(number))
            else {
                return Err(strange());
            };
            if entry.count == 0 {
                continue;
            }
            let base: Version = decode::version(*base)?;
            let last = base.checked_add(entry.count as u64).ok_or_else(strange)?;
            streams.push(StreamAppended::new(entry.stream.clone(), base.next(), last));
        }
        let position = match self
            .positions
            .get(events)
            .unwrap_or_default()
            .iter()
            .flatten()
            .max()
        {
            Some(position) => Some(decode::position(*position)?),
            None => None,
        };
        Ok(Receipt::new(epoch, position, streams))
    }

    fn error(&self, batch: &Batch<'_>, status: i32, detail: i32) -> Result<CommitError, Fault> {
        let at = usize::try_from(detail)
            .ok()
            .and_then(|index| index.checked_sub(1))
            .ok_or_else(strange)?;
        Ok(match status {
            1 => {
                let entry = batch.entries.get(at).ok_or_else(strange)?;
                let actual = decode::version(*self.base.get(at).ok_or_else(strange)?)?;
                AppendError::Conflict {
                    stream: entry.stream.clone(),
                    expected: entry.expected,
                    actual,
                }
                .into()
            }
            2 => {
                let (_, write) = batch.checkpoints.get(at).ok_or_else(strange)?;
                CommitError::Stale(Stale::Checkpoint(write.subscription().clone()))
            }
            3 => {
                let (_, save) = batch.processes.get(at).ok_or_else(strange)?;
                let (process, key) = (save.write.process().to_owned(), save.write.key().to_owned());
                CommitError::Stale(Stale::Process { process, key })
            }
            4 => {
                let (_, ack) = batch.acknowledgements.get(at).ok_or_else(strange)?;
                CommitError::Stale(Stale::Message {
                    queue: ack.queue().to_owned(),
                    id: ack.id(),
                })
            }
            11 => {
                let (_, write) = batch.checkpoints.get(at).ok_or_else(strange)?;
                let (subscription, lane) = (write.subscription().clone(), write.of_lane());
                CommitError::Stale(Stale::Lease { subscription, lane })
            }
            12 => {
                let (_, (subscription, write)) = batch.parking.get(at).ok_or_else(strange)?;
                CommitError::Stale(Stale::Parked {
                    subscription: subscription.clone(),
                    key: write.key().to_owned(),
                })
            }
            20 => {
                let (_, write) = batch.documents.get(at).ok_or_else(strange)?;
                let (collection, key) = (write.collection().to_owned(), write.key().to_owned());
                CommitError::Stale(Stale::Document { collection, key })
            }
            5 => message_in_use(batch.messages.get(at).ok_or_else(strange)?.1).into(),
            6 => {
                let (entry, _, event) = batch.events.get(at).ok_or_else(strange)?;
                let entry = usize::try_from(entry - 1)
                    .ok()
                    .and_then(|entry| batch.entries.get(entry))
                    .ok_or_else(strange)?;
                AppendError::DuplicateEvent {
                    stream: entry.stream.clone(),
                    id: event.id(),
                }
                .into()
            }
            9 => {
                let (_, timer) = batch.timers.get(at).ok_or_else(strange)?;
                let (process, id) = (timer.process().to_owned(), timer.id());
                CommitError::Stale(Stale::Timer { process, id })
            }
            10 => {
                let (_, handled) = batch.inbox.get(at).ok_or_else(strange)?;
                let (consumer, id) = (handled.consumer().to_owned(), handled.id());
                CommitError::Stale(Stale::Inbox { consumer, id })
            }
            _ => return Err(strange()),
        })
    }
}

fn strange() -> Fault {
    Fault::corrupt("the answer of the function commit is not what it must be")
}
