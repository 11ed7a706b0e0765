//! Readers that read as applications do: through the store.

use std::time::Duration;

use tokio::time::timeout;
use uno_core::{
    Category, EventFilter, EventStore as _, Position, ReadLog, StoreChange, StoreError,
};
use uno_store_postgres::PgStore;

use super::{NoPage, Page, back_off};
use crate::campaign::Field;

/// What a reader does when there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// Looks again after a while.
    None,
    /// Waits for a hint; after a second it looks all the same.
    Heard,
    /// Waits for hints that never come.
    Lost,
}

/// Reads through a store.
pub(crate) struct ThroughStore {
    store: PgStore,
    limit: usize,
    category: Option<&'static str>,
    hints: Hints,
    mark: StoreChange,
}

impl ThroughStore {
    pub(crate) fn new(
        store: PgStore,
        limit: usize,
        category: Option<&'static str>,
        hints: Hints,
    ) -> Self {
        Self {
            store,
            limit,
            category,
            hints,
            mark: StoreChange::default(),
        }
    }

    pub(crate) async fn page(&mut self, after: i64) -> Result<Page, NoPage> {
        let after =
            Position::try_from(after).map_err(|error| NoPage::Strange(error.to_string()))?;
        let mut read = ReadLog::after(after).limit(self.limit);
        if let Some(category) = self.category {
            let category =
                Category::new(category).map_err(|error| NoPage::Strange(error.to_string()))?;
            read = read.filter(EventFilter::all().categories([category]));
        }
        // The mark comes first, so that nothing between the page and the wait goes unheard.
        self.mark = self.store.change();
        let page = self
            .store
            .read_log(read)
            .await
            .map_err(|error| no_page(&error))?;
        let events: Vec<_> = page
            .events()
            .iter()
            .map(|event| (event.position().as_i64(), event.id().as_uuid().as_u128()))
            .collect();
        let scanned = page
            .scanned()
            .map(|(position, id)| (position.as_i64(), id.as_uuid().as_u128()));
        if scanned.is_none() && !events.is_empty() {
            return Err(NoPage::Strange(
                "a page with events says that it covers none".to_owned(),
            ));
        }
        let checkpoint = scanned.filter(|scanned| events.last() != Some(scanned));
        Ok(Page { events, checkpoint })
    }

    pub(crate) async fn wait(&self, field: &Field, empty: u32) {
        let within = match self.hints {
            Hints::None => return back_off(empty).await,
            Hints::Heard => Duration::from_secs(1),
            Hints::Lost => Duration::from_millis(100),
        };
        match timeout(within, self.store.changed(self.mark)).await {
            Ok(()) => field.count("readers woken by a hint", 1),
            Err(_) => field.count("readers woken by the clock", 1),
        }
    }
}

fn no_page(error: &StoreError) -> NoPage {
    if error.is_transient() {
        NoPage::Link
    } else {
        NoPage::Strange(error.to_string())
    }
}
