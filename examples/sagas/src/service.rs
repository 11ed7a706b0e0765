//! [`Service`]: carries out a command outside.

use std::sync::Arc;

use uno::{core::Command, prelude::*};

use crate::ledger::Ledger;

/// A handler that has something done outside, under the command's id.
pub struct Service<C> {
    ledger: Arc<Ledger>,
    decide: Decide<C>,
}

/// What is to be done, if anything; or why it is refused.
type Decide<C> = Box<dyn Fn(&C, &Ledger) -> Result<Option<String>, CommandError> + Send + Sync>;

impl<C: Command> Service<C> {
    /// One that does what it is told.
    pub fn does(
        ledger: &Arc<Ledger>,
        words: impl Fn(&C) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::new(ledger, move |command, _| Ok(Some(words(command))))
    }

    /// One that may refuse, before it has done anything: a refusal has no effect.
    pub fn may(
        ledger: &Arc<Ledger>,
        words: impl Fn(&C) -> Result<String, CommandError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(ledger, move |command, _| words(command).map(Some))
    }

    /// One that takes back what was done, and is content when there is nothing to take back: nobody knows whether a command
    /// that gave up has had its effect, so it is undone in any case. `words` are what was done, and what undoes it.
    pub fn undoes(
        ledger: &Arc<Ledger>,
        words: impl Fn(&C) -> (String, String) + Send + Sync + 'static,
    ) -> Self {
        Self::new(ledger, move |command, ledger| {
            let (done, undo) = words(command);
            Ok(ledger.has(&done).then_some(undo))
        })
    }

    fn new(
        ledger: &Arc<Ledger>,
        decide: impl Fn(&C, &Ledger) -> Result<Option<String>, CommandError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            decide: Box::new(decide),
        }
    }
}

impl<C: Command, B: Backend> CommandHandler<C, B> for Service<C> {
    async fn handle(&self, command: &C, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        // It is done before the commit that says so. After a crash in between it is done again, under the same key.
        match (self.decide)(command, &self.ledger)? {
            Some(entry) => self.ledger.note(uow.metadata(), &entry),
            None => Ok(()),
        }
    }
}
