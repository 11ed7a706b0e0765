//! [`Dry`]: an instance in virtual time, whose commands are read as words. For tests.

use std::time::Duration;

use uno::{
    core::ProcessStatus,
    prelude::*,
    saga::{DryRun, DryStep, SentCommand},
    testkit::envelope,
};

/// One instance of a saga. What each input has it send is a line for each command: name and JSON.
pub(crate) struct Dry<S: Saga> {
    run: DryRun<S>,
    key: &'static str,
}

impl<S: Saga> Dry<S> {
    /// The instance with this key, begun by this event.
    pub(crate) fn begin(key: &'static str, event: impl Into<S::Event>) -> (Self, Vec<String>) {
        let run = DryRun::new();
        let mut dry = Self { run, key };
        let sent = dry.happens(event);
        (dry, sent)
    }

    pub(crate) fn happens(&mut self, event: impl Into<S::Event>) -> Vec<String> {
        sent([self.run.event(&envelope(event.into())).unwrap()])
    }

    /// Time goes by, and what becomes due fires in order, each at its time.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        sent(self.run.advance(time).unwrap())
    }

    /// The answer to the oldest command of this name that is under way.
    pub(crate) fn answer(&mut self, command: &str, verdict: Verdict) -> Vec<String> {
        let instance = self.run.instance(self.key).unwrap();
        let mut pending = instance.in_flight().iter();
        let pending = pending
            .find(|pending| pending.command() == command)
            .unwrap();
        let outcome = CommandOutcome::new(pending.id(), command, verdict);
        sent([self.run.outcome(self.key, &outcome).unwrap()])
    }

    pub(crate) fn status(&self) -> ProcessStatus {
        self.run.instance(self.key).unwrap().status()
    }

    /// How many timeouts are pending.
    pub(crate) fn waits(&self) -> usize {
        self.run.timeouts().count()
    }
}

fn sent<C, T>(steps: impl IntoIterator<Item = DryStep<C, T>>) -> Vec<String> {
    let text = |sent: &SentCommand| {
        let command = sent.command();
        format!("{} {}", command.name(), command.payload().as_str())
    };
    let steps = steps.into_iter();
    let texts = steps.map(|step| step.sent().iter().map(text).collect::<Vec<_>>());
    texts.flatten().collect()
}
