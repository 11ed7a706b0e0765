//! [`Case`]: a named function of the suite, and the list of all of them.

use std::{fmt, pin::Pin};

use uno_core::BoxError;

use super::{DocumentTrial, Harness, PersistentHarness, Trial};

/// How a case ends that neither panics nor hangs.
pub type Outcome = Result<(), BoxError>;

/// A case under way.
pub type CaseFuture<'t> = Pin<Box<dyn Future<Output = Outcome> + Send + 't>>;

/// A case as a function.
pub type CaseFn<H> = for<'t> fn(&'t Trial<H>) -> CaseFuture<'t>;

/// A case about documents as a function.
pub type DocumentCaseFn<H> = for<'t> fn(&'t DocumentTrial<'t, H>) -> CaseFuture<'t>;

/// A case with its name.
pub struct Case<H: Harness> {
    name: &'static str,
    function: CaseFn<H>,
}

impl<H: Harness> Case<H> {
    /// Its name within the suite, such as `log::append::versions_rise_from_one_without_holes`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The case itself.
    #[must_use]
    pub fn function(&self) -> CaseFn<H> {
        self.function
    }
}

impl<H: Harness> fmt::Debug for Case<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// Makes a list of the cases of a tier.
macro_rules! listed {
    ($tier:ident $($group:ident { $($case:ident)* })*) => {
        vec![$($(Case {
            name: concat!(stringify!($tier), "::", stringify!($group), "::", stringify!($case)),
            function: |trial| Box::pin(super::$tier::$group::$case(trial)),
        },)*)*]
    };
}

/// Makes a list of the cases of a tier about documents.
macro_rules! listed_documents {
    ($tier:ident $($group:ident { $($case:ident)* })*) => {
        vec![$($(Case {
            name: concat!(stringify!($tier), "::", stringify!($group), "::", stringify!($case)),
            function: |trial| Box::pin(async move {
                super::$tier::$group::$case(&trial.documents()).await
            }),
        },)*)*]
    };
}

/// The cases for a store that implements [`EventStore`](uno_core::EventStore) only.
#[must_use]
pub fn log_cases<H: Harness>() -> Vec<Case<H>> {
    crate::__conformance_log!([listed])
}

/// Every case.
#[must_use]
pub fn cases<H: PersistentHarness>() -> Vec<Case<H>> {
    let mut list = log_cases();
    list.extend(crate::__conformance_transactional!([listed]));
    list.extend(crate::__conformance_documents!([listed_documents]));
    list.extend(crate::__conformance_checkpoints!([listed]));
    list.extend(crate::__conformance_leases!([listed]));
    list.extend(crate::__conformance_parking!([listed]));
    list.extend(crate::__conformance_processes!([listed]));
    list.extend(crate::__conformance_persistence!([listed]));
    list.extend(crate::__conformance_document_persistence!([
        listed_documents
    ]));
    list
}
