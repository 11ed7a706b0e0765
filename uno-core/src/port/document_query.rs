//! [`FindDocuments`]: a question for documents by one of their fields.

use super::{Direction, Document, FieldRange, FieldValue};

/// A question for the documents of a collection by a field: which values, in which direction, and how many at most.
///
/// ```
/// use uno_core::{FieldRange, FindDocuments};
///
/// let newest = FindDocuments::new("orders", "customer").within(FieldRange::equal("ada")).backward().limit(10);
/// assert_eq!(newest.field(), "customer");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindDocuments {
    collection: String,
    field: String,
    range: FieldRange,
    after: Option<(FieldValue, String)>,
    direction: Direction,
    limit: usize,
}

impl FindDocuments {
    /// How many documents are given unless it is said.
    pub const DEFAULT_LIMIT: usize = 1_000;

    /// All documents of a collection that have this field, from the least value on.
    #[must_use]
    pub fn new(collection: impl Into<String>, field: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            field: field.into(),
            range: FieldRange::all(),
            after: None,
            direction: Direction::Forward,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Only those whose value is in this range.
    #[must_use]
    pub fn within(mut self, range: FieldRange) -> Self {
        self.range = range;
        self
    }

    /// Only those that come, in the direction of the question, after the place of this value and this key.
    #[must_use]
    pub fn after(mut self, value: FieldValue, key: impl Into<String>) -> Self {
        self.after = Some((value, key.into()));
        self
    }

    /// From the greatest value on, and of one value from the greatest key on.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// In which collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// By which field.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Which values.
    #[must_use]
    pub fn range(&self) -> &FieldRange {
        &self.range
    }

    /// After which place.
    #[must_use]
    pub fn place(&self) -> Option<(&FieldValue, &str)> {
        self.after.as_ref().map(|(value, key)| (value, &**key))
    }

    /// In which direction.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// How many at most.
    #[must_use]
    pub fn max_documents(&self) -> usize {
        self.limit
    }
}

impl FindDocuments {
    /// The places between which the documents are, neither included: values with keys. For stores.
    ///
    /// No key is empty, so a value with an empty one is before all documents of that value. No key here has a NUL character.
    #[must_use]
    pub fn places(&self) -> ((Vec<u8>, String), (Vec<u8>, String)) {
        let before_all = |value: &[u8]| (value.to_vec(), String::new());
        let (mut after, mut before) = (
            before_all(self.range.lower()),
            before_all(self.range.upper()),
        );
        if let Some((value, key)) = self.place() {
            let value = value.as_bytes().to_vec();
            match self.direction {
                Direction::Forward => after = after.max((value, cut(key, ""))),
                // As no key has a NUL, nothing is between what is before it and that with the least other character.
                Direction::Backward => before = before.min((value, cut(key, "\u{1}"))),
            }
        }
        (after, before)
    }
}

/// The key as far as its first NUL, and then `end`; the key itself if it has none.
fn cut(key: &str, end: &str) -> String {
    match key.split_once('\0') {
        Some((key, _)) => format!("{key}{end}"),
        None => key.to_owned(),
    }
}

/// A document that was found, and by which value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDocument {
    value: FieldValue,
    document: Document,
}

impl FoundDocument {
    /// A document that was found. For stores.
    #[must_use]
    pub fn new(value: FieldValue, document: Document) -> Self {
        Self { value, document }
    }

    /// The value of the field that it was found by: with its key, its place in the order.
    #[must_use]
    pub fn value(&self) -> &FieldValue {
        &self.value
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }
}
