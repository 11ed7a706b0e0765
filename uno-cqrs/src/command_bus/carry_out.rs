//! What is within all layers: the stored outcome, the wait in the lane, the unit of work.

use std::sync::Arc;

use uno_core::{
    Backend, BoxError, CommandId, Commit, CommitError, InboxWrite, Receipt, Refusal, Stale,
    StreamId,
};
use uno_uow::{CommandError, RunError, StagingError};
use uuid::Uuid;

use super::{Inner, Route};
use crate::{
    CommandCall, ExecuteError, KeyReused, LaneLimits, StoredRejection,
    command_handler::{Ending, Remember},
    command_outcome::stored_reason,
    idempotency::{Fingerprint, IdempotencyKey, Kept, StoredOutcome, receipt},
};

/// Under which name the outcomes of commands are in the inbox of the store.
pub(super) const CONSUMER: &str = "uno.commands";

/// Calls with one key wait for as long as it takes: the one in front has limits of its own.
const ENDLESS: LaneLimits = LaneLimits::endless();

/// What is kept under a key, or will be.
struct Wish {
    key: IdempotencyKey,
    id: Uuid,
    command: &'static str,
    fingerprint: Fingerprint,
}

impl<B: Backend> Inner<B> {
    pub(crate) async fn carry_out(
        &self,
        route: &Route<B>,
        mut call: CommandCall,
    ) -> Result<Receipt, ExecuteError> {
        // Before anything is waited for: within a handler, that could be the very command that it handles.
        route.runner.refuse_nesting()?;
        let Some(key) = call.key.take() else {
            return self.in_lane(route, call, None).await;
        };
        let refused = |error: BoxError| RunError::Command(CommandError::failed(error));
        let json = route.handler.encode(&call.command).map_err(refused)?;
        // Only now, since a layer may have said whose command it is.
        let id = key.command_id(call.metadata.tenant());
        let wish = Wish {
            key,
            id: *id.as_uuid(),
            command: route.name,
            fingerprint: Fingerprint::of(&json).map_err(|error| refused(error.into()))?,
        };
        call.metadata = call.metadata.with_causation_id(wish.id);
        self.once(route, call, id, wish).await
    }

    /// Carries out a wish, unless it was before.
    async fn once(
        &self,
        route: &Route<B>,
        call: CommandCall,
        id: CommandId,
        wish: Wish,
    ) -> Result<Receipt, ExecuteError> {
        // Others in this process wait, and find the outcome; those in other processes meet at the row of the store.
        let lane = StreamId::new("idempotency", id.to_string());
        let lane = lane.map_err(ExecuteError::layer)?;
        let turn = self.keys.enter(vec![lane], ENDLESS).await;
        let _turn = turn.map_err(|source| ExecuteError::Busy {
            name: wish.command.to_owned(),
            source,
        })?;
        if let Some(outcome) = self.recall(&wish).await? {
            return outcome;
        }
        let remember = wish.remember::<B>();
        let error = match self.in_lane(route, call, Some(remember)).await {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        if let ExecuteError::Run(RunError::Command(CommandError::Rejected(reason))) = &error {
            match self.keep_rejection(&wish, stored_reason(&**reason)).await {
                Ok(()) => return Err(error),
                // Another process was faster, and its outcome counts, whatever this one has decided.
                Err(CommitError::Stale(stale @ Stale::Inbox { .. })) => {
                    let gone = RunError::Stale(stale).into();
                    return self.recall(&wish).await?.unwrap_or(Err(gone));
                }
                // The domain has said no, but would not say so again: as long as that is not kept, it is not said.
                Err(other) => {
                    let error = RunError::from(other).into();
                    return self.recall(&wish).await?.unwrap_or(Err(error));
                }
            }
        }
        // Others may have carried it out, which is then why this one could not; or this one has, and the answer was lost.
        match self.recall(&wish).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err(error),
        }
    }

    /// What is kept under the key.
    async fn recall(
        &self,
        wish: &Wish,
    ) -> Result<Option<Result<Receipt, ExecuteError>>, ExecuteError> {
        let backend = &**self.runner.backend();
        let records = backend.load_inbox(CONSUMER, &[wish.id]).await;
        let failed = |error: BoxError| RunError::Command(CommandError::failed(error));
        let records = records.map_err(|error| failed(error.into()))?;
        let Some(record) = records.first() else {
            return Ok(None);
        };
        let stored =
            StoredOutcome::decode(record.outputs()).map_err(|error| failed(error.into()))?;
        if stored.command != wish.command || stored.fingerprint != wish.fingerprint {
            return Err(ExecuteError::KeyReused(KeyReused {
                key: wish.key.clone(),
                command: wish.command,
                kept: stored.command,
            }));
        }
        Ok(Some(match stored.outcome {
            Kept::Receipt(appends) => receipt(backend, &appends)
                .await
                .map_err(|error| failed(error).into()),
            Kept::Rejected(reason) => {
                let reason = Box::new(StoredRejection { reason });
                Err(RunError::Command(CommandError::Rejected(reason)).into())
            }
        }))
    }

    async fn keep_rejection(&self, wish: &Wish, reason: String) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        let outcome = wish.keeps(Kept::Rejected(reason));
        commit.inbox.push(outcome.map_err(|refusal| {
            // Words and names, without what can't be stored.
            CommitError::Work(Box::new(refusal))
        })?);
        self.runner.backend().commit(commit).await.map(drop)
    }

    /// Waits for the turn of the command, if it has lanes, and carries it out.
    async fn in_lane(
        &self,
        route: &Route<B>,
        call: CommandCall,
        remember: Option<Remember<B>>,
    ) -> Result<Receipt, ExecuteError> {
        let ending = Ending {
            completion: call.completion,
            remember,
        };
        let streams = match &route.lanes {
            Some(streams) => streams(&call.command)
                .map_err(|error| RunError::Command(CommandError::from(error)))?,
            None => Vec::new(),
        };
        let (handler, runner) = (&route.handler, &route.runner);
        let (command, metadata) = (call.command, call.metadata);
        if streams.is_empty() {
            return Ok(handler.run(runner, command, metadata, ending, None).await?);
        }
        let turn = self.lanes.enter(streams, route.limits).await;
        let mut turn = turn.map_err(|source| ExecuteError::Busy {
            name: route.name.to_owned(),
            source,
        })?;
        let run = handler.run(runner, command, metadata, ending, Some(&mut turn));
        Ok(run.await?)
    }
}

impl Wish {
    fn keeps(&self, outcome: Kept) -> Result<InboxWrite, Refusal> {
        let stored = StoredOutcome {
            command: self.command.to_owned(),
            fingerprint: self.fingerprint,
            outcome,
        };
        Ok(InboxWrite::new(CONSUMER, self.id, stored.encode()?))
    }

    /// Adds to a commit that this wish is carried out, with where its events are.
    fn remember<B: Backend>(&self) -> Remember<B> {
        let wish = Self {
            key: self.key.clone(),
            ..*self
        };
        Arc::new(move |commit| {
            let kept = wish.keeps(Kept::of(commit));
            commit.inbox.push(kept.map_err(StagingError::Refused)?);
            Ok(())
        })
    }
}
