//! Notices a write that is awaited from within the work of a commit to the same store.

use std::{cell::RefCell, future::poll_fn, pin::Pin};

use uno_core::{BoxError, StoreEpoch, StoreError};

thread_local! {
    /// The stores whose work this thread is polling right now, the innermost last.
    static WORKING: RefCell<Vec<StoreEpoch>> = const { RefCell::new(Vec::new()) };
}

/// Refuses a write while the work of a commit to this store is being polled by this thread: such a write is awaited
/// by that work, and a store with one writer would wait for itself.
pub(crate) fn refuse(store: StoreEpoch) -> Result<(), StoreError> {
    if WORKING.with_borrow(|stores| stores.contains(&store)) {
        return Err(StoreError::Unsupported {
            what: "a write from within the work of a commit",
        });
    }
    Ok(())
}

/// Runs work of a commit to this store.
///
/// The mark is set anew for each poll, so that it follows the work from thread to thread and never covers anything else.
pub(crate) async fn run(
    store: StoreEpoch,
    mut work: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>>,
) -> Result<(), BoxError> {
    poll_fn(|context| {
        let _mark = Mark::set(store);
        work.as_mut().poll(context)
    })
    .await
}

struct Mark;

impl Mark {
    fn set(store: StoreEpoch) -> Self {
        WORKING.with_borrow_mut(|stores| stores.push(store));
        Self
    }
}

/// Also when the work panics.
impl Drop for Mark {
    fn drop(&mut self) {
        WORKING.with_borrow_mut(|stores| stores.pop());
    }
}
