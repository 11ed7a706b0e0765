//! [`Warm`]: aggregates as a commit has left them, for the unit of work that follows.

use std::{any::Any, collections::HashMap, fmt, future::ready, mem, pin::Pin};

use uno_core::StreamId;
use uno_domain::Aggregate;

use crate::load::Loaded;

/// A root of any type, with the version of its snapshot.
pub(crate) type WarmRoot = Box<dyn Any + Send>;

/// How units of work that follow one another on the same aggregates hand them on. The simplest is a [`Warm`] that is used again.
///
/// # Contract
/// 1. What is handed on is for one unit of work.
/// 2. Whatever it does or omits, what comes of a unit of work stays the same; only what that costs does not.
pub trait Handover: Send {
    /// What the one before has left. It may not be committed yet.
    fn take(&mut self) -> Warm;

    /// The commit has begun, and the next one may begin with this.
    fn pass_on(&mut self, warm: Warm);

    /// Waits until those before have ended. Then this one decides on what is stored.
    fn settle(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl Handover for Warm {
    fn take(&mut self) -> Warm {
        mem::take(self)
    }

    fn pass_on(&mut self, warm: Warm) {
        *self = warm;
    }

    fn settle(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // What was passed on was wrong.
        self.roots.clear();
        Box::pin(ready(()))
    }
}

/// Aggregates as a commit leaves them, to be handed to the next unit of work on the same streams, which need not read them.
///
/// It is for those who run units of work one after the other: see [`Runner::run_warm`](crate::Runner::run_warm). Nothing in it is
/// believed without proof: a unit of work that used it is committed only if the streams are where it takes them to be, and is run again on
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

    /// Whether the aggregate of this stream is in it.
    #[must_use]
    pub fn contains(&self, stream: &StreamId) -> bool {
        self.roots.contains_key(stream)
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
