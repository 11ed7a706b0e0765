//! What is asked for is not what is done: writes of documents that expect a revision.

use std::collections::HashSet;

use uno_core::{Commit, DocumentChange, DocumentStore as _, DocumentWrite, Payload};
use uno_store_memory::MemoryTx;

use super::{Fault, store::Broken};

impl Broken {
    /// What is expected of documents, and those that are only taken for granted.
    pub(super) async fn twist_guards(&self, commit: &mut Commit<MemoryTx>) {
        let mut known = HashSet::new();
        for write in &mut commit.documents {
            let (collection, key) = (write.collection().to_owned(), write.key().to_owned());
            let Some(expected) = write.expected_revision() else {
                continue;
            };
            let again = !known.insert((collection.clone(), key.clone()));
            let loose = |write: &DocumentWrite| match write.change() {
                DocumentChange::Put(body) => {
                    DocumentWrite::put(write.collection(), write.key(), body.clone())
                }
                DocumentChange::Remove => DocumentWrite::remove(write.collection(), write.key()),
                DocumentChange::Keep => DocumentWrite::remove("notes", "nothing is kept here"),
            };
            let keeps = write.change() == DocumentChange::Keep;
            let puts = matches!(write.change(), DocumentChange::Put(_));
            *write = match self.fault {
                Fault::PutsDocumentsUnasked if puts => loose(write),
                Fault::PutsNewDocumentsUnasked if puts && expected == 0 => loose(write),
                Fault::RemovesDocumentsUnasked if !puts && !keeps => loose(write),
                Fault::KeepsDocumentsUnasked if keeps => loose(write),
                Fault::DistrustsRevisions => write.clone().expecting(expected.wrapping_add(1)),
                Fault::RemovesKeptDocuments if keeps => {
                    DocumentWrite::remove(collection, key).expecting(expected)
                }
                Fault::RewritesKeptDocuments if keeps && expected > 0 => {
                    let found = self
                        .inner
                        .load_documents(&collection, std::slice::from_ref(&key))
                        .await;
                    let body = found
                        .ok()
                        .and_then(|found| Some(found.first()?.body().clone()));
                    let body = body.unwrap_or_else(|| Payload::from_stored("null"));
                    DocumentWrite::put(collection, key, body).expecting(expected)
                }
                Fault::ExpectsWhatTheCommitWrote if again => write.clone().expecting(u64::MAX),
                _ => continue,
            };
        }
    }
}
