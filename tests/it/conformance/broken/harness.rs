//! Opens broken stores.

use std::sync::Arc;

use uno_core::{BoxError, Work};
use uno_store_memory::{MemoryStore, MemoryTx};
use uno_testkit::conformance::{BackendHarness, Harness, PersistentHarness};

use super::{Fault, store::Broken};
use crate::conformance::memory::MemoryHarness;

/// Opens stores that have this fault.
pub(crate) struct BrokenHarness {
    pub(crate) fault: Fault,
}

const ROWS: MemoryHarness = MemoryHarness { gaps: None };

impl Harness for BrokenHarness {
    type Store = Broken;
    type Guard = MemoryStore;

    async fn open(&self) -> Result<(Arc<Broken>, MemoryStore), BoxError> {
        let inner = Broken::inner(self.fault);
        Ok((Arc::new(Broken::new(inner.clone(), self.fault)), inner))
    }
}

impl BackendHarness for BrokenHarness {
    const ONE_WRITER: bool = false;

    fn put_row(&self, key: &str, value: &str) -> Work<MemoryTx> {
        ROWS.put_row(key, value)
    }

    fn copy_row(&self, from: &str, to: &str) -> Work<MemoryTx> {
        ROWS.copy_row(from, to)
    }

    async fn row(
        &self,
        _: &Broken,
        inner: &MemoryStore,
        key: &str,
    ) -> Result<Option<String>, BoxError> {
        ROWS.row(inner, &(), key).await
    }
}

impl PersistentHarness for BrokenHarness {
    async fn reopen(&self, inner: &MemoryStore) -> Result<Arc<Broken>, BoxError> {
        let inner = if self.fault == Fault::ReopensEmpty {
            Broken::inner(Fault::None)
        } else {
            inner.clone()
        };
        Ok(Arc::new(Broken::new(inner, self.fault).reopened()))
    }
}
