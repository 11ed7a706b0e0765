//! [`Entity`]: a thing that stays itself while it changes.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

/// A thing with an identity: two values are the same thing when they have the same id, whatever else they say.
///
/// ```
/// use uno_domain::Entity;
///
/// struct OrderLine { number: u32, quantity: u32 }
///
/// impl Entity for OrderLine {
///     type Id = u32;
///     fn id(&self) -> &u32 { &self.number }
/// }
///
/// let before = OrderLine { number: 1, quantity: 2 };
/// let after = OrderLine { number: 1, quantity: 3 };
/// assert!(before.is_same(&after));
///
/// let lines = [before, OrderLine { number: 2, quantity: 1 }];
/// assert_eq!(OrderLine::find(&lines, &2).map(|line| line.quantity), Some(1));
/// ```
///
/// # Contract
/// 1. The id of a thing never changes.
pub trait Entity {
    /// What tells it from others of its kind.
    type Id: Eq;

    /// Its id.
    fn id(&self) -> &Self::Id;

    /// Whether both are the same thing, perhaps at two moments of its life.
    #[must_use]
    fn is_same(&self, other: &Self) -> bool {
        self.id() == other.id()
    }

    /// The one with this id among several.
    #[must_use]
    fn find<'e>(entities: &'e [Self], id: &Self::Id) -> Option<&'e Self>
    where
        Self: Sized,
    {
        entities.iter().find(|entity| entity.id() == id)
    }

    /// The one with this id among several, to change it.
    #[must_use]
    fn find_mut<'e>(entities: &'e mut [Self], id: &Self::Id) -> Option<&'e mut Self>
    where
        Self: Sized,
    {
        entities.iter_mut().find(|entity| entity.id() == id)
    }
}

/// An entity compared by its id alone, for sets, maps and `==`.
///
/// An entity's own `PartialEq`, if it has one, compares what it says now, which is what tests want.
///
/// ```
/// use std::collections::HashSet;
/// use uno_domain::{ById, Entity};
///
/// struct Customer { id: u32, name: &'static str }
///
/// impl Entity for Customer {
///     type Id = u32;
///     fn id(&self) -> &u32 { &self.id }
/// }
///
/// let mut seen = HashSet::new();
/// assert!(seen.insert(ById(Customer { id: 1, name: "Ada" })));
/// assert!(!seen.insert(ById(Customer { id: 1, name: "Ada Lovelace" })));
/// assert_eq!(seen.iter().map(|ById(customer)| customer.name).collect::<Vec<_>>(), ["Ada"]);
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wrapper that is meant to be taken apart"
)]
pub struct ById<E>(pub E);

impl<E: Entity> PartialEq for ById<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl<E: Entity> Eq for ById<E> {}

impl<E: Entity<Id: Hash>> Hash for ById<E> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl<E: Entity<Id: Ord>> PartialOrd for ById<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E: Entity<Id: Ord>> Ord for ById<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id().cmp(other.0.id())
    }
}
