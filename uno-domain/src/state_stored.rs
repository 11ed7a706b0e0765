//! [`StateStored`]: a thing of the domain that is kept as the state it is in.

use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};
use uno_core::{StreamId, StreamIdError};

/// A thing of the domain that decides as one, kept as its latest state and not as events: for what has no history worth
/// keeping, such as an address book, or a model that is there already.
///
/// The state is stored as one JSON document, so it is a stored format: version it with care. Fields that are added need
/// `#[serde(default)]`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_domain::StateStored;
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Customer { name: String, blocked: bool }
///
/// impl StateStored for Customer {
///     const CATEGORY: &'static str = "customer";
///     type Id = u32;
/// }
///
/// assert_eq!(Customer::stream_id(&7)?.to_string(), "customer-7");
/// # Ok::<(), uno_core::StreamIdError>(())
/// ```
///
/// # Contract
/// 1. Reading back what serde has written gives an equal state.
/// 2. `CATEGORY` never changes once a state was stored; nothing else has it, neither an aggregate nor a collection of documents.
/// 3. The text of an id never changes, and no two ids have the same.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not kept as a state",
    note = "implement `uno_domain::StateStored` for it, with its category and its id; an aggregate that is kept as events is an `Aggregate`"
)]
pub trait StateStored: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What all of this type share, such as `customer`: the collection of the documents that hold the states, and the
    /// category of the streams of events that they raise.
    const CATEGORY: &'static str;

    /// Which one of them. Its text is the key of the document, so whatever can be displayed will do.
    type Id: Display + Clone + Send + Sync + 'static;

    /// The stream of the events that the one with this id raises. Its key is also that of the document.
    ///
    /// # Errors
    /// When the category is not one, or the text of the id is empty, too long, or has a control character.
    fn stream_id(id: &Self::Id) -> Result<StreamId, StreamIdError> {
        StreamId::new(Self::CATEGORY, id.to_string())
    }
}
