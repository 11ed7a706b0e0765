//! What is told is not what was done: receipts and errors are changed on their way back.

use uno_core::{
    AppendError, Commit, CommitError, EventId, EventStore as _, ExpectedVersion, Head, NewEvent,
    Position, ReadLog, Receipt, Refusal, Stale, StoreEpoch, StoreError, StreamAppend,
    StreamAppended, StreamId, SubscriptionName, Version,
};
use uno_store_memory::MemoryTx;

use super::{Fault, notes::Remembered, store::Broken};

/// What a commit asked for.
pub(crate) struct Asked {
    appends: Vec<StreamAppend>,
    unchanged: Option<StreamId>,
    ids: Vec<EventId>,
    /// Whether all of its events were stored before.
    pub(crate) repeated: bool,
}

impl Asked {
    pub(crate) fn of(commit: &Commit<MemoryTx>, notes: &Remembered) -> Self {
        let ids: Vec<_> = commit
            .appends
            .iter()
            .flat_map(StreamAppend::events)
            .map(NewEvent::id)
            .collect();
        let repeated = !ids.is_empty() && ids.iter().all(|id| notes.seen.contains(id));
        Self {
            appends: commit.appends.clone(),
            unchanged: commit.unchanged.first().map(|(stream, _)| stream.clone()),
            ids,
            repeated,
        }
    }

    fn stream(&self) -> Option<&StreamId> {
        self.appends
            .first()
            .map(StreamAppend::stream)
            .or(self.unchanged.as_ref())
    }
}

/// A receipt for something that was not done.
pub(crate) fn made_up(head: Head, appends: &[StreamAppend]) -> Receipt {
    let streams = appends.iter().map(|append| {
        let last = Version::new(append.events().len() as u64).unwrap_or(Version::MAX);
        StreamAppended::new(append.stream().clone(), Version::EMPTY.next(), last)
    });
    Receipt::new(head.epoch(), Some(head.position()), streams.collect())
}

impl Broken {
    /// Remembers what was done, for the faults that need it.
    pub(crate) async fn note(
        &self,
        asked: &Asked,
        result: &Result<Receipt, CommitError>,
        before: Position,
    ) -> Result<(), StoreError> {
        let newest = ReadLog::before(Position::MAX).limit(2);
        let last_but_one = self
            .inner
            .read_log(newest)
            .await?
            .events()
            .get(1)
            .map(|event| event.id());
        {
            let mut notes = self.notes.get();
            if result.is_ok() {
                notes.seen.extend(&asked.ids);
            }
            notes.writes += 1;
            match self.fault {
                Fault::ShowsAppendsLate => notes.ceiling = Some(before),
                Fault::ShowsEventsBelowTheHead => {
                    // The last event but one comes to light with a later write: below the last one, which shows.
                    notes.hidden.clear();
                    if notes.writes.is_multiple_of(3) {
                        notes.hidden.extend(last_but_one);
                    }
                }
                _ => {}
            }
        }
        if self.has(Fault::ShowsEventsBelowTheHead) {
            // Time for readers to pass it by.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    pub(crate) async fn tell(
        &self,
        asked: &Asked,
        result: Result<Receipt, CommitError>,
    ) -> Result<Receipt, CommitError> {
        match result {
            Ok(receipt) => self.tell_receipt(asked, receipt).await,
            Err(error) => self.tell_error(asked, error).await,
        }
    }

    async fn tell_receipt(&self, asked: &Asked, receipt: Receipt) -> Result<Receipt, CommitError> {
        let (epoch, position, mut streams) = (
            receipt.epoch(),
            receipt.position(),
            receipt.streams().to_vec(),
        );
        let head = self.inner.head().await?;
        let part =
            |stream: &StreamId, first, last| StreamAppended::new(stream.clone(), first, last);
        Ok(match self.fault {
            Fault::TakesRepeatsForConflicts if asked.repeated => {
                let Some(append) = asked.appends.first() else {
                    return Ok(receipt);
                };
                let (stream, expected) = (append.stream().clone(), append.expected());
                let actual = self.version(&stream).await;
                return Err(AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                }
                .into());
            }
            Fault::TakesRepeatsForDuplicates if asked.repeated => {
                let (Some(stream), Some(id)) =
                    (asked.stream().cloned(), asked.ids.first().copied())
                else {
                    return Ok(receipt);
                };
                return Err(AppendError::DuplicateEvent { stream, id }.into());
            }
            Fault::RepeatHasTheHeadsPosition if asked.repeated => {
                Receipt::new(epoch, Some(head.position()), streams)
            }
            Fault::RepeatHasTheLastVersions if asked.repeated => {
                for known in &mut streams {
                    *known = part(known.stream(), known.last().next(), known.last().next());
                }
                Receipt::new(epoch, position, streams)
            }
            Fault::ReceiptBeginsAtOne => {
                for known in &mut streams {
                    *known = part(known.stream(), Version::EMPTY.next(), known.last());
                }
                Receipt::new(epoch, position, streams)
            }
            Fault::ReceiptHasNoPosition => Receipt::new(epoch, None, streams),
            Fault::ReceiptIsSorted => {
                streams.sort_by(|a, b| a.stream().cmp(b.stream()));
                Receipt::new(epoch, position, streams)
            }
            Fault::ReceiptIsOfAnotherEpoch => Receipt::new(StoreEpoch::new(), position, streams),
            Fault::EmptyReceiptHasAPosition if streams.is_empty() => {
                Receipt::new(epoch, Some(head.position()), streams)
            }
            _ => receipt,
        })
    }

    async fn tell_error(&self, asked: &Asked, error: CommitError) -> Result<Receipt, CommitError> {
        let made_up = made_up(self.inner.head().await?, &asked.appends);
        Err(match (self.fault, error) {
            (Fault::SwallowsConflicts, CommitError::Append(AppendError::Conflict { .. }))
            | (
                Fault::SwallowsDuplicates,
                CommitError::Append(AppendError::DuplicateEvent { .. }),
            )
            | (Fault::SwallowsStale, CommitError::Stale(_)) => return Ok(made_up),
            (Fault::HidesWorkErrors, CommitError::Work(error)) => {
                CommitError::Append(AppendError::Store(StoreError::Backend(error)))
            }
            (Fault::SaysNobodyIsStale, CommitError::Stale(stale)) => {
                CommitError::Stale(somebody(&stale))
            }
            (_, CommitError::Append(error)) => {
                CommitError::Append(self.tell_append_error(asked, error))
            }
            (_, other) => other,
        })
    }

    fn tell_append_error(&self, asked: &Asked, error: AppendError) -> AppendError {
        match (self.fault, error) {
            (
                Fault::SaysOneMoreIsActual,
                AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                },
            ) => AppendError::Conflict {
                stream,
                expected,
                actual: actual.next(),
            },
            (Fault::SaysAnyWasExpected, AppendError::Conflict { stream, actual, .. }) => {
                AppendError::Conflict {
                    stream,
                    expected: ExpectedVersion::Any,
                    actual,
                }
            }
            (
                Fault::SaysTheFirstStreamConflicts,
                AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                },
            ) => {
                let stream = asked.stream().cloned().unwrap_or(stream);
                AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                }
            }
            (Fault::SaysTheFirstIdIsDoubled, AppendError::DuplicateEvent { stream, id }) => {
                let stream = asked.stream().cloned().unwrap_or(stream);
                AppendError::DuplicateEvent {
                    stream,
                    id: asked.ids.first().copied().unwrap_or(id),
                }
            }
            (Fault::SaysNothingOfTheField, AppendError::Refused(refusal)) => {
                AppendError::Refused(Refusal::new("input", refusal.reason()))
            }
            (_, other) => other,
        }
    }
}

/// The same kind of staleness, of something else.
fn somebody(stale: &Stale) -> Stale {
    match stale {
        Stale::Process { process, .. } => Stale::Process {
            process: process.clone(),
            key: "somebody".into(),
        },
        Stale::Document { collection, .. } => Stale::Document {
            collection: collection.clone(),
            key: "somebody".into(),
        },
        Stale::Message { queue, .. } => Stale::Message {
            queue: queue.clone(),
            id: uuid::Uuid::nil(),
        },
        Stale::Timer { process, .. } => Stale::Timer {
            process: process.clone(),
            id: uuid::Uuid::nil(),
        },
        Stale::Inbox { consumer, .. } => Stale::Inbox {
            consumer: consumer.clone(),
            id: uuid::Uuid::nil(),
        },
        other => {
            SubscriptionName::new("somebody").map_or_else(|_| other.clone(), Stale::Checkpoint)
        }
    }
}
