//! [`Aggregate`]: a state that is what its events have made it.

use std::fmt::Display;

use uno_core::{EventSet, StreamId, StreamIdError};

use crate::Snapshots;

/// A thing of the domain that decides as one: its state is the fold of the events in its stream.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Event, EventSet};
/// use uno_domain::{Aggregate, ensure};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// pub struct Deposited { cents: i64 }
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// pub struct Withdrawn { cents: i64 }
/// #[derive(EventSet, Debug, PartialEq)]
/// pub enum AccountEvent { Deposited(Deposited), Withdrawn(Withdrawn) }
///
/// #[derive(Default)]
/// pub struct Account { balance: i64 }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Id = u32;
///     type Event = AccountEvent;
///
///     fn apply(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Deposited(deposited) => self.balance += deposited.cents,
///             AccountEvent::Withdrawn(withdrawn) => self.balance -= withdrawn.cents,
///         }
///     }
/// }
///
/// impl Account {
///     // A decision: pure, and it returns the fact instead of making it so.
///     pub fn withdraw(&self, cents: i64) -> Result<Withdrawn, String> {
///         ensure!(cents <= self.balance, format!("{} is all there is", self.balance));
///         Ok(Withdrawn { cents })
///     }
/// }
///
/// let mut account = Account::default();
/// account.apply(&Deposited { cents: 100 }.into());
/// assert_eq!(account.withdraw(30), Ok(Withdrawn { cents: 30 }));
/// assert_eq!(account.withdraw(130), Err("100 is all there is".to_owned()));
/// ```
///
/// # Contract
/// 1. The default value is the state before the first event.
/// 2. `apply` is a function of state and event alone: no clock, no chance, no I/O. Replaying the same events gives
///    an equal state, on every machine and in every year.
/// 3. `apply` never fails and never refuses: the event *has* happened. What may not happen is refused when it is decided.
/// 4. `CATEGORY` never changes once an event was stored, and no other aggregate has it.
/// 5. The text of an id never changes, and no two ids have the same.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "implement `uno_domain::Aggregate` for the state: its category, its id, its event set, and `apply`"
)]
pub trait Aggregate: Default + Send + Sync + 'static {
    /// What all streams of this type share, such as `order`.
    const CATEGORY: &'static str;

    /// Which one of them. Its text is the key of the stream, so whatever can be displayed will do.
    type Id: Display + Clone + Send + Sync + 'static;

    /// What can happen to it.
    type Event: EventSet;

    /// Takes an event in, whether it was decided just now or years ago.
    fn apply(&mut self, event: &Self::Event);

    /// When and how its state is remembered as a shortcut; never, unless this says so.
    #[must_use]
    fn snapshots() -> Option<Snapshots<Self>> {
        None
    }

    /// The stream that holds the events of the aggregate with this id.
    ///
    /// # Errors
    /// When the category is not one, or the text of the id is empty, too long, or has a control character.
    fn stream_id(id: &Self::Id) -> Result<StreamId, StreamIdError> {
        StreamId::new(Self::CATEGORY, id.to_string())
    }
}
