//! Notices a write that is awaited from within the work of a commit to the same store.

use std::{cell::RefCell, future::poll_fn, pin::Pin, sync::Arc};

use uno_core::{BoxError, StoreError};

use crate::shared::Shared;

thread_local! {
    /// The stores whose work this thread is polling at this moment, by the address of what their clones share.
    static POLLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Refuses a write to a store while this thread polls the work of a commit to it: that work waits for the write, and the
/// write may wait for a row or a connection that the commit holds.
pub(crate) fn refuse(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let store = Arc::as_ptr(shared).addr();
    if POLLED.with_borrow(|polled| polled.contains(&store)) {
        return Err(StoreError::Unsupported {
            what: "a write from within the work of a commit",
        });
    }
    Ok(())
}

/// Runs work of a commit. The mark is made anew for each poll, so it follows the work from thread to thread.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    mut work: Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + '_>>,
) -> Result<(), BoxError> {
    let store = Arc::as_ptr(shared).addr();
    poll_fn(|context| {
        let _mark = Mark::new(store);
        work.as_mut().poll(context)
    })
    .await
}

/// Taken back when dropped, also by a panic.
struct Mark;

impl Mark {
    fn new(store: usize) -> Self {
        POLLED.with_borrow_mut(|polled| polled.push(store));
        Self
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        POLLED.with_borrow_mut(|polled| polled.pop());
    }
}
