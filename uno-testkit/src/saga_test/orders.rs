//! [`Explorer`]: every order in which what is pending can come.

use uno_cqrs::{CommandOutcome, Verdict};
use uno_saga::{DryRun, DryStep, Saga};

/// How many inputs one order may have, and how many orders there may be: beyond, a saga goes round in circles.
const DEEPEST: usize = 64;
const MOST: usize = 100_000;

/// Goes through every order.
pub(super) struct Explorer<A, C> {
    pub(super) answers: A,
    pub(super) check: C,
}

impl<A: Fn(&str) -> Vec<Verdict>, C> Explorer<A, C> {
    /// How many ends there are from here.
    #[track_caller]
    pub(super) fn explore<S: Saga>(&self, from: &DryRun<S>) -> usize
    where
        C: Fn(&DryRun<S>, &[String]),
    {
        let mut ends = 0;
        // What is still to be gone on from, and how it was come to.
        let mut open = vec![(from.clone(), Vec::<String>::new())];
        while let Some((run, path)) = open.pop() {
            assert!(
                path.len() < DEEPEST,
                "an order does not come to an end: {path:?}"
            );
            let before = open.len();
            for (key, outcome) in self.pending(&run) {
                let mut next = run.clone();
                let named = format!("{} {:?}", outcome.command(), outcome.verdict());
                let path = with(&path, named);
                if let Err(error) = next.outcome(&key, &outcome) {
                    panic!("after {path:?}: {error}");
                }
                // Delivered twice: as a worker does that dies before it hears that its commit was carried out.
                let twice = next.outcome(&key, &outcome);
                let idle = twice.is_ok_and(|step| has_no_effect(&step));
                assert!(
                    idle,
                    "the last of {path:?} has an effect when it comes twice"
                );
                open.push((next, path));
            }
            let timeout = run.timeouts().next();
            if let Some(named) = timeout.map(|(_, key, timeout)| format!("{key} {timeout}")) {
                let mut next = run.clone();
                let path = with(&path, named);
                if let Some(Err(error)) = next.fire_next() {
                    panic!("after {path:?}: {error}");
                }
                // Delivered twice: as two processes do that have both read it as due.
                let twice = next.fire_again();
                let idle = twice.is_some_and(|twice| twice.is_ok_and(|step| has_no_effect(&step)));
                assert!(
                    idle,
                    "the last of {path:?} has an effect when it comes twice"
                );
                open.push((next, path));
            }
            if open.len() == before {
                ends += 1;
                assert!(ends <= MOST, "there are more than {MOST} orders");
                (self.check)(&run, &path);
            }
        }
        ends
    }

    /// The answers that are pending: every one to every command under way.
    fn pending<S: Saga>(&self, run: &DryRun<S>) -> Vec<(String, CommandOutcome)> {
        let mut pending = Vec::new();
        for key in run.keys() {
            let instance = run.instance(key);
            for command in instance.iter().flat_map(|instance| instance.in_flight()) {
                for verdict in (self.answers)(command.command()) {
                    let outcome = CommandOutcome::new(command.id(), command.command(), verdict);
                    pending.push((key.to_owned(), outcome));
                }
            }
        }
        pending
    }
}

fn has_no_effect<C, T>(step: &DryStep<C, T>) -> bool {
    step.outputs().is_none() && step.sent().is_empty() && step.messages().is_empty()
}

fn with(path: &[String], next: String) -> Vec<String> {
    let mut path = path.to_vec();
    path.push(next);
    path
}
