//! [`IntoEvents`]: what a decision may return.

use crate::{Event, EventSet};

/// One event, several, or none, as events of the set `S`.
///
/// An event type of the set, the set itself, `Option`s, vectors, arrays and tuples of those, and `()`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one or several events of `{S}`",
    note = "return an event of the set, the set itself, or an Option, Vec, array or tuple of those"
)]
pub trait IntoEvents<S: EventSet> {
    /// The events, in the order they happened.
    fn into_events(self) -> Vec<S>;
}

impl<S: EventSet, E: Event + Into<S>> IntoEvents<S> for E {
    fn into_events(self) -> Vec<S> {
        vec![self.into()]
    }
}

impl<S: EventSet> IntoEvents<S> for () {
    fn into_events(self) -> Vec<S> {
        Vec::new()
    }
}

impl<S: EventSet, T: IntoEvents<S>> IntoEvents<S> for Option<T> {
    fn into_events(self) -> Vec<S> {
        self.map_or_else(Vec::new, T::into_events)
    }
}

impl<S: EventSet, T: IntoEvents<S>> IntoEvents<S> for Vec<T> {
    fn into_events(self) -> Vec<S> {
        self.into_iter().flat_map(T::into_events).collect()
    }
}

impl<S: EventSet, T: IntoEvents<S>, const N: usize> IntoEvents<S> for [T; N] {
    fn into_events(self) -> Vec<S> {
        self.into_iter().flat_map(T::into_events).collect()
    }
}

macro_rules! tuples {
    ($(($($t:ident $i:tt),+)),+) => {$(
        impl<S: EventSet, $($t: IntoEvents<S>),+> IntoEvents<S> for ($($t,)+) {
            fn into_events(self) -> Vec<S> {
                let mut events = Vec::new();
                $(events.extend(self.$i.into_events());)+
                events
            }
        }
    )+};
}

tuples!((A 0), (A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3), (A 0, B 1, C 2, D 3, E 4));
