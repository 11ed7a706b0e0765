//! [`Walk`]: how an instance goes through its steps.

use std::collections::BTreeMap;

use super::{
    Node, StepSaga, StepTimeout, Steps,
    node::{self, Step, Task},
    stepwise::{At, Heard},
};
use crate::{Output, Outputs};

/// One input's way through the steps.
pub(super) struct Walk<'a, S: StepSaga> {
    pub(super) data: &'a S,
    pub(super) at: Vec<At>,
    pub(super) heard: &'a mut BTreeMap<String, Heard>,
    pub(super) sent: u64,
    pub(super) outputs: Outputs<S::Command, StepTimeout>,
}

/// How a step ends.
#[derive(Debug)]
pub(super) enum Ending {
    Done,
    Rejected(String),
    GaveUp(String),
    TimeIsUp,
}

/// Whether what was gone through has been done to its end, or why everything is to be undone.
type Flow = Result<bool, String>;

impl<S: StepSaga> Walk<'_, S> {
    /// Begins these, as far as one can get.
    pub(super) fn run(&mut self, nodes: &[Node<S>]) -> Flow {
        for node in nodes {
            let done = match node {
                Node::Step(step) => self.begin(step)?,
                Node::Fork(branches) => {
                    let mut done = true;
                    for branch in branches {
                        done &= self.run(branch.nodes())?;
                    }
                    done
                }
            };
            if !done {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin(&mut self, step: &Step<S>) -> Flow {
        let command = match &step.task {
            Task::Wait(_) => match self.heard.get(step.name) {
                Some(Heard::Accepted) => return Ok(true),
                Some(Heard::Refused) => {
                    return self.follow(step, &Ending::Rejected("the answer was no".to_owned()));
                }
                Some(Heard::Missed) | None => None,
            },
            Task::Send { command, undo } => {
                let undo = undo.iter().map(|undo| undo.make(self.data, 0));
                let (command, undo) = (command.make(self.data, 0), undo.collect());
                Some(self.send(Output::Send { command, undo }))
            }
        };
        self.at.push(At {
            step: step.name.to_owned(),
            command,
            escalated: 0,
        });
        if let Some(deadline) = &step.deadline {
            let timeout = StepTimeout::Deadline(step.name.to_owned());
            self.say(Output::After(deadline.wait, timeout));
        }
        self.expect_escalation(step, 0);
        Ok(false)
    }

    /// A step has ended: goes on behind it; `None` when it is not under way.
    pub(super) fn end(&mut self, steps: &Steps<S>, name: &str, ending: &Ending) -> Option<Flow> {
        let step = steps.find(name)?;
        if matches!(ending, Ending::TimeIsUp) && step.deadline.is_none() {
            // The definition that has set the timeout was another one.
            return None;
        }
        let place = self.at.iter().position(|at| at.step == name)?;
        self.at.remove(place);
        if step.is_wait() && matches!(ending, Ending::TimeIsUp) {
            self.heard.insert(name.to_owned(), Heard::Missed);
        }
        if !step.escalations.is_empty() {
            self.say(Output::Cancel(StepTimeout::Escalate(name.to_owned())));
        }
        if step.deadline.is_some() && !matches!(ending, Ending::TimeIsUp) {
            self.say(Output::Cancel(StepTimeout::Deadline(name.to_owned())));
        }
        self.go_on(steps, name, ending)
    }

    /// Finds the step that has ended, and goes on behind it, and behind whatever that was the last of.
    fn go_on(&mut self, steps: &Steps<S>, name: &str, ending: &Ending) -> Option<Flow> {
        for (place, node) in steps.nodes().iter().enumerate() {
            let here = match node {
                Node::Step(step) if step.name == name => Some(self.follow(step, ending)),
                _ => node
                    .parts()
                    .into_iter()
                    .find_map(|part| self.go_on(part, name, ending)),
            };
            match here {
                None => {}
                // A branch has come to its end; the others may not have.
                Some(Ok(true)) if self.is_in(node) => return Some(Ok(false)),
                Some(Ok(true)) => return Some(self.run(&steps.nodes()[place + 1..])),
                other => return other,
            }
        }
        None
    }

    /// Whether a step of a fork is under way.
    fn is_in(&self, node: &Node<S>) -> bool {
        let Node::Fork(branches) = node else {
            return false;
        };
        let mut inside = Vec::new();
        for branch in branches {
            node::collect(branch, &mut inside);
        }
        let under_way = |step: &&Step<S>| self.at.iter().any(|at| at.step == step.name);
        inside.iter().any(under_way)
    }

    /// What follows from how a step has ended.
    fn follow(&mut self, step: &Step<S>, ending: &Ending) -> Flow {
        let name = step.name;
        let (instead, why) = match ending {
            Ending::Done => return Ok(true),
            Ending::Rejected(reason) => {
                let why = format!("{name} was rejected: {reason}");
                (step.rejected.as_ref(), why)
            }
            Ending::GaveUp(reason) => (step.gave_up.as_ref(), format!("{name} gave up: {reason}")),
            Ending::TimeIsUp => {
                let deadline = step.deadline.as_ref();
                let instead = deadline.and_then(|deadline| deadline.instead.as_ref());
                (instead, format!("{name} took too long"))
            }
        };
        instead.map_or(Err(why), |instead| self.run(instead.nodes()))
    }

    /// Tells the next one that a step takes long.
    pub(super) fn escalate(&mut self, steps: &Steps<S>, name: &str) {
        let Some(step) = steps.find(name) else { return };
        let Some(at) = self.at.iter_mut().find(|at| at.step == name) else {
            return;
        };
        let Some(escalation) = step.escalation(at.escalated) else {
            return;
        };
        at.escalated = at.escalated.saturating_add(1);
        let escalated = at.escalated;
        let command = escalation.make.make(self.data, escalated);
        self.send(Output::Send {
            command,
            undo: Vec::new(),
        });
        self.expect_escalation(step, escalated);
    }

    fn expect_escalation(&mut self, step: &Step<S>, sent: u32) {
        if let Some(next) = step.escalation(sent) {
            let timeout = StepTimeout::Escalate(step.name.to_owned());
            self.say(Output::After(next.wait, timeout));
        }
    }

    /// Sends a command; its number, of which the engine makes its id.
    fn send(&mut self, send: Output<S::Command, StepTimeout>) -> u64 {
        self.sent += 1;
        self.say(send);
        self.sent
    }

    fn say(&mut self, output: Output<S::Command, StepTimeout>) {
        let outputs = std::mem::replace(&mut self.outputs, Outputs::none());
        self.outputs = outputs.and(output);
    }
}
