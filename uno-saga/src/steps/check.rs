//! [`StepsError`]: what is wrong with a definition.

use std::{collections::HashSet, time::Duration};

use super::{Node, StepSaga, Steps, node::Step};

/// What is wrong with the definition of a [`StepSaga`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepsError {
    /// There is nothing to do.
    #[error("there are no steps")]
    NoSteps,
    /// Two steps have the same name, wherever they are.
    #[error("two steps are named {0}")]
    Duplicate(&'static str),
    /// A step has an empty name.
    #[error("a step has no name")]
    Unnamed,
    /// A fork has no branches.
    #[error("a fork has no branches")]
    EmptyFork,
    /// A branch of a fork has no steps.
    #[error("a branch of a fork has no steps")]
    EmptyBranch,
    /// Something is said of what it can't be said of: a compensation of a wait, or anything of a fork.
    #[error("{what} can't follow {of}")]
    Misplaced {
        /// The method.
        what: &'static str,
        /// The step it follows.
        of: &'static str,
    },
    /// What can be said once is said again.
    #[error("{what} contradicts what was said of {of} before")]
    Twice {
        /// The method.
        what: &'static str,
        /// The step it follows.
        of: &'static str,
    },
    /// A time that step is to wait is zero.
    #[error("a time at {0} is zero")]
    NoTime(&'static str),
}

impl StepsError {
    pub(super) const fn misplaced(what: &'static str, of: &'static str) -> Self {
        Self::Misplaced { what, of }
    }

    pub(super) const fn twice(what: &'static str, of: &'static str) -> Self {
        Self::Twice { what, of }
    }
}

pub(super) fn check<S: StepSaga>(steps: &Steps<S>) -> Result<(), StepsError> {
    if steps.nodes.is_empty() && steps.wrong.is_none() {
        return Err(StepsError::NoSteps);
    }
    check_part(steps, &mut HashSet::new())
}

fn check_part<S: StepSaga>(
    steps: &Steps<S>,
    names: &mut HashSet<&'static str>,
) -> Result<(), StepsError> {
    if let Some(error) = &steps.wrong {
        return Err(error.clone());
    }
    for node in &steps.nodes {
        match node {
            Node::Step(step) => check_step(step, names)?,
            Node::Fork(branches) if branches.is_empty() => return Err(StepsError::EmptyFork),
            Node::Fork(branches) => {
                let empty = |branch: &Steps<S>| branch.nodes.is_empty() && branch.wrong.is_none();
                if branches.iter().any(empty) {
                    return Err(StepsError::EmptyBranch);
                }
            }
        }
        for part in node.parts() {
            check_part(part, names)?;
        }
    }
    Ok(())
}

fn check_step<S: StepSaga>(
    step: &Step<S>,
    names: &mut HashSet<&'static str>,
) -> Result<(), StepsError> {
    if step.name.is_empty() {
        return Err(StepsError::Unnamed);
    }
    if !names.insert(step.name) {
        return Err(StepsError::Duplicate(step.name));
    }
    // An escalation without a pause would come without end.
    let escalations = step.escalations.iter().map(|escalation| escalation.wait);
    let mut waits = escalations.chain(step.deadline.as_ref().map(|deadline| deadline.wait));
    match waits.any(|wait| wait == Duration::ZERO) {
        true => Err(StepsError::NoTime(step.name)),
        false => Ok(()),
    }
}
