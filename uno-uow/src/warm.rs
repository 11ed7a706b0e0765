//! [`Warm`]: aggregates as a commit has left them, for the unit of work that follows.

use std::{any::Any, collections::HashMap, fmt};

use uno_core::StreamId;
use uno_domain::Aggregate;

use crate::load::Loaded;

/// A root of any type, with the version of its snapshot.
pub(crate) type WarmRoot = Box<dyn Any + Send>;

/// Aggregates as a commit has left them, to be handed to the next unit of work on the same streams, which need not read them.
///
/// It is for those who run units of work one after the other: see [`Runner::run_warm`](crate::Runner::run_warm). Nothing in it is
/// believed without proof: a unit of work that used it is committed only if the streams are still where they were, and is run again on
/// what is stored otherwise. An empty one is [`Warm::default`].
#[derive(Default)]
pub struct Warm {
    roots: HashMap<StreamId, WarmRoot>,
}

impl Warm {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The aggregate of this stream alone, taken out; empty if it is not here.
    #[must_use]
    pub fn split(&mut self, stream: &StreamId) -> Self {
        Self {
            roots: self.roots.remove_entry(stream).into_iter().collect(),
        }
    }

    /// Puts in what is in another.
    pub fn merge(&mut self, other: Self) {
        self.roots.extend(other.roots);
    }

    pub(crate) fn put(&mut self, stream: StreamId, root: WarmRoot) {
        self.roots.insert(stream, root);
    }

    /// The aggregate, if it is here and of that type.
    pub(crate) fn take<A: Aggregate>(&mut self, stream: &StreamId) -> Option<Loaded<A>> {
        let root = self.roots.remove(stream)?;
        root.downcast().ok().map(|loaded| *loaded)
    }
}

impl fmt::Debug for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm")
            .field("streams", &self.roots.keys())
            .finish()
    }
}
