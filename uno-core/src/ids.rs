//! Identifiers: time-ordered UUIDs, each kind a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier (UUID version 7, so that ids made one after another sort that way).
            ///
            /// The order of ids is a convenience for indexes, never a promise: the order of events
            /// is their [`Position`](crate::Position).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default that differs at each call surprises")]
            #[expect(clippy::disallowed_methods, reason = "the one place where identifiers are made")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The identifier with these bits, for those who have their own source of them.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bits.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    };
}

id! {
    /// Names one event for ever. Appending an event whose id is stored already appends nothing.
    EventId
}

id! {
    /// Shared by everything that one outside stimulus set off: commands, events, and what they cause.
    CorrelationId
}

id! {
    /// Names one command. A command that is delivered again keeps its id, so that handlers which call
    /// the outside world can pass it on as an idempotency key.
    CommandId
}

id! {
    /// Names one life of a store: made when it is first migrated, changed when its history is replaced.
    /// Positions of different epochs can't be compared.
    StoreEpoch
}

impl CommandId {
    /// The id that the same parts always give (UUID version 5), for commands that are sent by code which
    /// may run again after a crash.
    ///
    /// ```
    /// use uno_core::CommandId;
    /// assert_eq!(CommandId::stable(["fulfilment", "order-7", "1"]), CommandId::stable(["fulfilment", "order-7", "1"]));
    /// assert_ne!(CommandId::stable(["a", "bc"]), CommandId::stable(["ab", "c"]));
    /// ```
    #[must_use]
    pub fn stable<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        // Each part is preceded by its length, so that no two lists of parts run together.
        let mut name = Vec::new();
        for part in parts {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        Self(Uuid::new_v5(&COMMANDS, &name))
    }
}

/// The name space of stable command ids: chosen once, at random.
const COMMANDS: Uuid = Uuid::from_u128(0x7d0f_5a0e_8c1b_4b57_9d63_2f4e_91aa_c04b);
