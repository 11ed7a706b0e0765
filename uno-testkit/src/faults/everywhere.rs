//! [`at_every`]: a fault at every boundary, one after the other.

use std::future::Future;

use super::{Call, Fault, Faults};

/// Runs a scenario again and again: with the fault at the first call of this kind, then at the second, and so on, until one goes
/// through without meeting it. How many met it.
///
/// The scenario gets the number and the plan for a [`FaultStore`](super::FaultStore), lets its process run until it is done or has
/// [crashed](super::FaultStore::crashed), lets a sound process take over, asserts what must be true whatever happened, and returns how
/// many calls of this kind the faulty store has [counted](super::FaultStore::calls).
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{Commit, DocumentWrite, DocumentStore, Payload, Transactional};
/// # use uno_store_memory::MemoryStore;
/// use uno_testkit::faults::{Call, Fault, FaultStore, at_every};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let met = at_every(Call::Commit, Fault::CrashAfter, |_, faults| async move {
///     let store = Arc::new(MemoryStore::new());
///     let faulty = FaultStore::new(store.clone(), faults);
///     let put = || { let mut commit = Commit::new(); commit.documents.push(DocumentWrite::put("notes", "a", Payload::from_stored("1"))); commit };
///     tokio::select! {
///         () = faulty.crashed() => {}
///         _ = async { faulty.commit(put()).await?; faulty.commit(put()).await } => {}
///     }
///     // A new process does it again; it must come to the same.
///     store.commit(put()).await.expect("the sound store takes it");
///     assert_eq!(store.load_documents("notes", &["a".to_owned()]).await.expect("it is there").len(), 1);
///     faulty.calls(Call::Commit)
/// })
/// .await;
/// assert_eq!(met, 2);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn at_every<F: Future<Output = u64>>(
    call: Call,
    fault: Fault,
    mut scenario: impl FnMut(u64, Faults) -> F,
) -> u64 {
    let mut number = 1;
    loop {
        let calls = scenario(number, Faults::none().nth(call, number, fault)).await;
        if calls < number {
            return number - 1;
        }
        number += 1;
    }
}
