//! The suite on the store in memory.

use std::sync::Arc;

use uno_core::{BoxError, Work};
use uno_store_memory::{MemoryStore, MemoryTx};
use uno_testkit::conformance::{BackendHarness, Harness};

/// Opens stores in memory, with or without holes between positions.
pub(crate) struct MemoryHarness {
    pub(crate) gaps: Option<u64>,
}

impl Harness for MemoryHarness {
    type Store = MemoryStore;
    type Guard = ();

    async fn open(&self) -> Result<(Arc<MemoryStore>, ()), BoxError> {
        let builder = MemoryStore::builder();
        let store = match self.gaps {
            Some(seed) => builder.gaps(seed).build(),
            None => builder.build(),
        };
        Ok((Arc::new(store), ()))
    }
}

impl BackendHarness for MemoryHarness {
    const ONE_WRITER: bool = false;

    fn put_row(&self, key: &str, value: &str) -> Work<MemoryTx> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::new(|tx| {
            Box::pin(async move {
                tx.put_row("rows", key, value);
                Ok(())
            })
        })
    }

    fn copy_row(&self, from: &str, to: &str) -> Work<MemoryTx> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::new(|tx| {
            Box::pin(async move {
                let value = tx.row("rows", &from).ok_or("there is no such row")?;
                tx.put_row("rows", to, value);
                Ok(())
            })
        })
    }

    async fn row(
        &self,
        store: &MemoryStore,
        (): &(),
        key: &str,
    ) -> Result<Option<String>, BoxError> {
        Ok(store.row("rows", key))
    }
}

mod plain {
    use super::MemoryHarness;

    uno_testkit::conformance!(MemoryHarness { gaps: None });
}

mod with_gaps {
    use super::MemoryHarness;

    uno_testkit::conformance!(MemoryHarness { gaps: Some(7) });
}
