//! [`NextPage`]: the page that follows the one in hand, read meanwhile.

use tokio_util::task::AbortOnDropHandle;
use uno_core::{EventFilter, LogPage, Position, StoreChange};

use crate::LogFeed;

/// The page that follows the one in hand, read by a task of its own while that is fed: far behind the end of the log, the store and
/// the consumer then work at the same time. One at most, so that what a lane has in memory is bounded by two pages.
///
/// It is a guess, and never more: what a page holds does not depend on when it is read, so it is taken only by a reader that has come
/// exactly to where it begins, and one that failed or found nothing is read again, as if it had not been. Dropping it ends the read.
#[derive(Default)]
pub(super) struct NextPage(Option<Reading>);

struct Reading {
    after: Position,
    task: AbortOnDropHandle<Option<LogPage>>,
}

impl NextPage {
    /// Begins to read what comes after a place.
    pub(super) fn begin(
        &mut self,
        feed: &LogFeed,
        after: Position,
        filter: &EventFilter,
        limit: usize,
        mark: StoreChange,
    ) {
        let (feed, filter) = (feed.clone(), filter.clone());
        let task = tokio::spawn(async move {
            let page = feed.read(after, &filter, limit, mark).await.ok()?;
            // That there is nothing was true then: who asks wants to know whether it is true now.
            page.scanned().is_some().then_some(page)
        });
        let task = AbortOnDropHandle::new(task);
        self.0 = Some(Reading { after, task });
    }

    /// The page after a place, if that is the one that is being read and there was something. Dropping the future loses the page,
    /// which is read again then.
    pub(super) async fn take(&mut self, after: Position) -> Option<LogPage> {
        let reading = self.0.take().filter(|reading| reading.after == after)?;
        // A panic of the store comes again where it is looked for.
        reading.task.await.ok().flatten()
    }
}
