//! [`TransitionError`]: why an instance can't take an input.

use uno_core::{BoxError, Position, Refusal};

/// Why an instance can't take an input. Nothing of it takes effect, and on a store the instance is parked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// An event that starts an instance strictly came for one that is there.
    #[error("instance {0} has started already")]
    AlreadyStarted(String),
    /// An event that goes on with an instance strictly came where there is none.
    #[error("there is no instance {0}")]
    NotStarted(String),
    /// An event is routed to a key that is none. It can't be parked, since parking is by key.
    #[error("event {name} at position {position} is routed to a key of {length} bytes, and 1 to {most} are allowed, without NUL", most = MAX_KEY)]
    BadKey {
        /// The event's name.
        name: String,
        /// Where it is.
        position: Position,
        /// How long the key is.
        length: usize,
    },
    /// An event that was parked for this instance is routed elsewhere now: the definition has changed.
    #[error("an event that was parked for instance {0} is not routed to it any more")]
    Rerouted(String),
    /// A command or timeout that the saga wants can't be encoded.
    #[error("an output of instance {key} can't be encoded")]
    Encode {
        /// The instance.
        key: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// An instance that has ended wants something other than commands and messages.
    #[error("instance {0} has ended, and can only send commands and messages")]
    NotAfterEnd(String),
    /// The saga panicked when it was asked what instance an event belongs to.
    #[error("the saga panicked while routing")]
    RoutePanicked,
    /// The saga panicked when it reacted.
    #[error("the saga panicked in instance {0}")]
    Panicked(String),
    /// The stored instance is not what this code knows.
    #[error("instance {key} can't be read")]
    Unreadable {
        /// Which one.
        key: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The instance was saved by a later version of the saga.
    #[error(
        "instance {key} was saved by version {found} of the saga, and this program knows only version {known}"
    )]
    NewerVersion {
        /// Which one.
        key: String,
        /// The version that has saved it.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The instance was saved by a version of the saga that is too old.
    #[error(
        "instance {key} was saved by version {found} of the saga, and the oldest that this program can go on with is {oldest}"
    )]
    OlderVersion {
        /// Which one.
        key: String,
        /// The version that has saved it.
        found: u32,
        /// The oldest that is accepted.
        oldest: u32,
    },
    /// The instance can't be stored, such as with a number that is not finite.
    #[error("instance {key} can't be stored")]
    Unstorable {
        /// Which one.
        key: String,
        /// What is wrong with it.
        source: Refusal,
    },
    /// The store refuses what comes of an input.
    #[error("a step of instance {key} can't be committed")]
    Refused {
        /// Which one.
        key: String,
        /// What the store said.
        source: BoxError,
    },
    /// A stored input is not what this code knows: an outcome, a timeout, or an event that was parked.
    #[error("{input} of instance {key} is malformed")]
    Malformed {
        /// Which instance.
        key: String,
        /// What kind of input.
        input: &'static str,
        /// What is wrong with it.
        source: BoxError,
    },
}

/// The longest correlation key, in bytes: what every store can index.
pub(crate) const MAX_KEY: usize = 512;
