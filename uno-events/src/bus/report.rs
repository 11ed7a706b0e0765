//! [`Report`]: a [`Published`] while it is being written.

use std::sync::Arc;

use uno_core::EventId;

use super::{
    outcome::{Published, Verdict},
    routes::List,
};

/// What became of an event, as far as it is known. Costs nothing for those who do with it what is usual.
pub(super) struct Report {
    event: EventId,
    names: Arc<[Arc<str>]>,
    usual: &'static Verdict,
    exceptions: Vec<(usize, Option<Verdict>)>,
}

impl Report {
    pub(super) fn new(event: EventId, handlers: &List) -> Self {
        Self {
            event,
            names: Arc::clone(handlers.names()),
            usual: handlers.usual(),
            exceptions: Vec::new(),
        }
    }

    /// Notes what became of the handler at this place. `None` when it was unsubscribed before it was called, and so is not
    /// in the report.
    pub(super) fn note(&mut self, place: usize, verdict: Option<Verdict>) {
        if verdict.as_ref() != Some(self.usual) {
            self.exceptions.push((place, verdict));
        }
    }

    pub(super) fn finish(mut self) -> Published {
        if self.exceptions.is_empty() {
            return Published::new(self.event, self.names, self.usual, Vec::new());
        }
        self.exceptions.sort_unstable_by_key(|(place, _)| *place);
        let gone = |place: usize| {
            let at = self
                .exceptions
                .binary_search_by_key(&place, |(place, _)| *place);
            at.is_ok_and(|at| self.exceptions[at].1.is_none())
        };
        // Places shift down by those that are gone before them.
        let names: Arc<[Arc<str>]> =
            match self.exceptions.iter().any(|(_, verdict)| verdict.is_none()) {
                false => Arc::clone(&self.names),
                true => (self.names.iter().enumerate())
                    .filter(|(place, _)| !gone(*place))
                    .map(|(_, name)| Arc::clone(name))
                    .collect(),
            };
        let mut before = 0;
        let mut exceptions = Vec::with_capacity(self.exceptions.len());
        for (place, verdict) in self.exceptions {
            match verdict {
                None => before += 1,
                Some(verdict) => exceptions.push((place - before, verdict)),
            }
        }
        Published::new(self.event, names, self.usual, exceptions)
    }
}
