//! What persons do with an instance, as pure functions.

use uno_core::ProcessStatus;

use super::{Step, Transition, TransitionError};
use crate::{
    Saga,
    history::{HistoryEntry, Verb},
    instance::Instance,
};

/// What a person wants.
#[derive(Debug)]
pub(crate) enum Wish<C> {
    Retry,
    Resume,
    EditAndRetry(C),
    Cancel,
}

impl<C> Wish<C> {
    pub(crate) fn verb(&self) -> Verb {
        match self {
            Self::Retry => Verb::Retry,
            Self::Resume => Verb::Resume,
            Self::EditAndRetry(_) => Verb::EditAndRetry,
            Self::Cancel => Verb::Cancel,
        }
    }
}

/// Why a wish can't be carried out.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is not in the state for it.
    Status(ProcessStatus),
    /// The command is not the one that failed, but this one is.
    OtherCommand(String),
    Transition(TransitionError),
}

impl From<TransitionError> for Unfit {
    fn from(error: TransitionError) -> Self {
        Self::Transition(error)
    }
}

/// Carries out a wish. After an error the instance may be half changed: drop it.
pub(crate) fn carry_out<S: Saga>(
    key: &str,
    instance: &mut Instance<S>,
    wish: &Wish<S::Command>,
    by: &str,
    reason: &str,
) -> Result<Transition<S>, Unfit> {
    let status = instance.status;
    let fits = match wish {
        Wish::Cancel => !status.is_ended(),
        Wish::Retry | Wish::Resume | Wish::EditAndRetry(_) => status == ProcessStatus::Stuck,
    };
    if !fits {
        return Err(Unfit::Status(status));
    }
    let mut step = Step::new(key, instance);
    step.note(HistoryEntry::Verb {
        verb: wish.verb(),
        by: by.to_owned(),
        reason: reason.to_owned(),
    });
    match wish {
        Wish::Retry => {}
        Wish::Resume => {
            step.instance.undo.pop();
        }
        Wish::EditAndRetry(command) => {
            let command = step.encode(command)?;
            if let Some(undo) = step.instance.undo.last_mut() {
                if undo.command != command.name().as_str() {
                    return Err(Unfit::OtherCommand(undo.command.clone()));
                }
                command.payload().as_str().clone_into(&mut undo.payload);
            }
        }
        Wish::Cancel => {
            // What is under way goes on, and its outcome is a late one. A compensation's is nobody's any more.
            step.instance.undoing = None;
            step.instance.status = ProcessStatus::Cancelled;
        }
    }
    if !matches!(wish, Wish::Cancel) {
        step.instance.status = ProcessStatus::Compensating;
    }
    step.instance.stuck = None;
    Ok(step.finish()?)
}
