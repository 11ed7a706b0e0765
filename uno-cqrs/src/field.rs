//! [`Field`]: what the documents of a projection are found by.

use std::{borrow::Borrow, collections::BTreeMap, fmt, ops::RangeBounds};

use uno_core::{
    BoxError, Document, DocumentStore, DocumentWrite, FieldRange, FieldValue, Indexable, Payload,
    StoreError,
};

use crate::DocumentProjection;

/// A field that documents `D` are found by: a name, and what it is in a document. A constant, listed in
/// [`DocumentProjection::FIELDS`](crate::DocumentProjection::FIELDS).
///
/// ```
/// use uno_cqrs::Field;
///
/// struct Order { customer: String, cents: i64, is_paid: bool }
///
/// /// By customer, and the dearest of each.
/// const BY_CUSTOMER: Field<Order, (String, i64)> = Field::new("customer", |order| Some((order.customer.clone(), order.cents)));
/// /// Only orders that are not paid have it.
/// const UNPAID: Field<Order, i64> = Field::new("unpaid", |order| (!order.is_paid).then_some(order.cents));
///
/// let ada = BY_CUSTOMER.starting("ada");
/// let large = UNPAID.within(10_000..);
/// ```
pub struct Field<D, V> {
    name: &'static str,
    value: fn(&D) -> Option<V>,
}

impl<D, V: Indexable> Field<D, V> {
    /// A field with this name, which is this in a document; a document in which it is `None` is not found by it.
    ///
    /// A value has at most [`FieldValue::MAX_BYTES`] bytes as it is stored; what is longer stops the projection, so cut long texts.
    #[must_use]
    pub const fn new(name: &'static str, value: fn(&D) -> Option<V>) -> Self {
        Self { name, value }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// All documents that have it, in the order of its values.
    #[must_use]
    pub fn all(&self) -> Finding<D> {
        self.finding(FieldRange::all())
    }

    /// The documents in which it is this.
    #[must_use]
    pub fn is<Q: Indexable + ?Sized>(&self, value: &Q) -> Finding<D>
    where
        V: Borrow<Q>,
    {
        self.finding(FieldRange::equal(value))
    }

    /// The documents in which it is within these bounds.
    #[must_use]
    pub fn within(&self, bounds: impl RangeBounds<V>) -> Finding<D> {
        self.finding(FieldRange::of(&bounds))
    }

    fn finding(&self, range: FieldRange) -> Finding<D> {
        Finding {
            field: self.name,
            shape: V::shape(),
            range,
            documents: std::marker::PhantomData,
        }
    }
}

impl<D, A: Indexable, B: Indexable> Field<D, (A, B)> {
    /// The documents in which the first part is this, in the order of the second one.
    #[must_use]
    pub fn starting<Q: Indexable + ?Sized>(&self, first: &Q) -> Finding<D>
    where
        A: Borrow<Q>,
    {
        self.finding(FieldRange::equal(first))
    }
}

impl<D, V> Clone for Field<D, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D, V> Copy for Field<D, V> {}

impl<D, V> fmt::Debug for Field<D, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field").field(&self.name).finish()
    }
}

/// A [`Field`] of any type of values. Implemented by fields, and by nothing else.
pub trait AnyField<D>: Sync + sealed::Sealed {
    /// Its name.
    fn name(&self) -> &'static str;

    /// What its values are written as.
    fn shape(&self) -> String;

    /// Its value in a document.
    fn value(&self, document: &D) -> Option<FieldValue>;
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}

    impl<D, V> Sealed for super::Field<D, V> {}
}

impl<D, V: Indexable> AnyField<D> for Field<D, V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> String {
        V::shape()
    }

    fn value(&self, document: &D) -> Option<FieldValue> {
        (self.value)(document).as_ref().map(FieldValue::of)
    }
}

/// Which documents to find by a [`Field`].
pub struct Finding<D> {
    pub(crate) field: &'static str,
    pub(crate) shape: String,
    pub(crate) range: FieldRange,
    documents: std::marker::PhantomData<fn(&D)>,
}

impl<D> Clone for Finding<D> {
    fn clone(&self) -> Self {
        Self {
            field: self.field,
            shape: self.shape.clone(),
            range: self.range.clone(),
            documents: std::marker::PhantomData,
        }
    }
}

impl<D> fmt::Debug for Finding<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

/// The collection in which stands, for each other one, what its documents are found by.
pub(crate) const FIELDS: &str = "uno.document_fields";

/// The names of fields, and what their values are written as.
pub(crate) type Shapes = BTreeMap<String, String>;

pub(crate) fn shapes<D>(fields: &[&'static dyn AnyField<D>]) -> Shapes {
    let shape = |field: &&'static dyn AnyField<D>| (field.name().to_owned(), field.shape());
    fields.iter().map(shape).collect()
}

/// The fields of a projection are others than those that its documents were written with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the documents of collection {collection} were written with other fields than the code has now; raise the projection's VERSION and rebuild it"
)]
pub struct FieldsChanged {
    pub(crate) collection: String,
}

impl FieldsChanged {
    /// Which documents.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }
}

/// Sees to it that what the documents are found by stands beside them: it is written before the first document is, and never
/// changed. So what is found is whole, whichever code asks. What is to be written, if it does not stand there yet.
pub(crate) async fn declare<P: DocumentProjection, S: DocumentStore + ?Sized>(
    store: &S,
    collection: &str,
) -> Result<Option<DocumentWrite>, DeclareError> {
    if P::FIELDS.is_empty() {
        return Ok(None);
    }
    let wanted = shapes(P::FIELDS);
    let mut stored = declared(store, collection).await?;
    let is_empty = store.scan_documents(collection, None, 1).await?.is_empty();
    if stored.is_none() && !is_empty {
        // They came in between the two questions, and this with them, or before; or they were written without any field.
        stored = declared(store, collection).await?;
    }
    if stored.as_ref() == Some(&wanted) {
        return Ok(None);
    }
    if stored.is_some() || !is_empty {
        let collection = collection.to_owned();
        return Err(DeclareError::Stop(FieldsChanged { collection }.into()));
    }
    let body = Payload::encode(&wanted).map_err(|error| DeclareError::Stop(error.into()))?;
    Ok(Some(
        DocumentWrite::put(FIELDS, collection, body).expecting(0),
    ))
}

/// What the documents of a collection are found by, if that is known. What can't be read is unlike everything.
pub(crate) async fn declared<S: DocumentStore + ?Sized>(
    store: &S,
    collection: &str,
) -> Result<Option<Shapes>, StoreError> {
    let found = store
        .load_documents(FIELDS, &[collection.to_owned()])
        .await?;
    let shapes = |document: &Document| serde_json::from_str(document.body().as_str());
    Ok(found.first().map(|found| shapes(found).unwrap_or_default()))
}

/// Why it can't be said what the documents are found by.
#[derive(Debug)]
pub(crate) enum DeclareError {
    Store(StoreError),
    /// [`FieldsChanged`], or a name that can't be stored: nobody can write there.
    Stop(BoxError),
}

impl From<StoreError> for DeclareError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
