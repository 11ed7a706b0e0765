//! Fields of documents: what is written is not what was put, and what is found is not what was asked for.

use std::mem::take;

use tokio::task::yield_now;
use uno_core::{
    Commit, CommitError, DocumentStore as _, DocumentWrite, FieldValue, FindDocuments,
    FoundDocument, Receipt, StoreError, Transactional as _,
};
use uno_store_memory::MemoryTx;

use super::{Fault, store::Broken};

impl Broken {
    pub(super) fn twist_fields(&self, commit: &mut Commit<MemoryTx>) {
        for write in &mut commit.documents {
            let Some(body) = write.body().cloned() else {
                if self.has(Fault::StripsBadFields) && !write.fields().is_empty() {
                    *write = DocumentWrite::remove(write.collection(), write.key());
                }
                continue;
            };
            let document = (write.collection().to_owned(), write.key().to_owned());
            let mut fields = write.fields().clone();
            match self.fault {
                Fault::FieldsOutlive => {
                    let mut notes = self.notes.get();
                    let known = notes.fields.entry(document).or_default();
                    known.extend(fields);
                    fields = known.clone();
                }
                Fault::KeepsTheFirstFields => {
                    let mut notes = self.notes.get();
                    fields = notes.fields.entry(document).or_insert(fields).clone();
                }
                _ => fields.retain(|name, value| {
                    !name.is_empty()
                        && name.len() <= 512
                        && !name.contains('\0')
                        && value.as_bytes().len() <= FieldValue::MAX_BYTES
                }),
            }
            let mut other = DocumentWrite::put(write.collection(), write.key(), body);
            if let Some(revision) = write.expected_revision() {
                other = other.expecting(revision);
            }
            for (name, value) in fields {
                other = other.with_field(name, value);
            }
            *write = other;
        }
    }

    /// Writes the documents with the commit, and what they are found by a little later.
    pub(super) async fn write_fields_apart(
        &self,
        mut commit: Commit<MemoryTx>,
    ) -> Result<Receipt, CommitError> {
        let mut later = Commit::new();
        for write in &mut commit.documents {
            if let Some(body) = write.body().cloned() {
                let bare = DocumentWrite::put(write.collection(), write.key(), body);
                let whole = std::mem::replace(write, bare);
                later.documents.push(whole);
            }
        }
        let receipt = self.inner.commit(commit).await?;
        yield_now().await;
        yield_now().await;
        self.inner.commit(take(&mut later)).await?;
        Ok(receipt)
    }

    pub(super) async fn find(
        &self,
        find: &FindDocuments,
    ) -> Result<Vec<FoundDocument>, StoreError> {
        if self.gone() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut names = vec![find.field().to_owned()];
        if self.has(Fault::FoldsFields) {
            names.extend([find.field().to_lowercase(), find.field().to_uppercase()]);
            names.dedup();
        }
        for name in names {
            let all = FindDocuments::new(self.folded(find.collection()), name).limit(usize::MAX);
            found.extend(self.inner.find_documents(all).await?);
        }
        if found.is_empty() && self.has(Fault::FindsAllByUnknownFields) {
            let all = self
                .inner
                .scan_documents(find.collection(), None, usize::MAX);
            let by_nothing = |document| FoundDocument::new(FieldValue::of(""), document);
            found.extend(all.await?.into_iter().map(by_nothing));
        }
        let (range, lower) = (find.range(), find.range().lower());
        found.retain(|found| match self.fault {
            Fault::FindsIgnoreTheRange => true,
            Fault::FindsExcludeTheStart => {
                range.contains(found.value()) && found.value().as_bytes() != lower
            }
            Fault::FindsIncludeTheEnd => {
                range.contains(found.value()) || found.value().as_bytes() == range.upper()
            }
            _ => range.contains(found.value()),
        });
        found.sort_by_key(|found| self.place(found));
        if let Some((value, key)) = find.place() {
            let after = (value.clone(), key.to_owned());
            let forward = find.direction() == uno_core::Direction::Forward;
            found.retain(|found| {
                let place = (found.value().clone(), found.document().key().to_owned());
                match self.fault {
                    Fault::FindsIncludeAfter if place == after => true,
                    Fault::FindsPageByValue if forward => place.0 > after.0,
                    Fault::FindsPageByValue => place.0 < after.0,
                    _ if forward => place > after,
                    _ => place < after,
                }
            });
        }
        Ok(self.limited(found, find.direction(), find.max_documents()))
    }

    /// Where a document comes in the order.
    fn place(&self, found: &FoundDocument) -> (FieldValue, String) {
        let key = found.document().key().to_owned();
        let value = match self.fault {
            Fault::FindsByKey => FieldValue::from_stored(Vec::new()),
            Fault::FindsCutValues => {
                FieldValue::from_stored(found.value().as_bytes().iter().take(64).copied().collect())
            }
            _ => found.value().clone(),
        };
        (value, key)
    }
}
