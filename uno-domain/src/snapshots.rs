//! [`Snapshots`]: when the state of an aggregate is remembered, and in which shape.

use std::{any::type_name, fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uno_core::{Payload, Refusal, Version};

/// When and how the state of `A` is remembered.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
/// use uno_core::Version;
/// use uno_domain::{Occasion, Snapshots};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Account { balance: i64 }
///
/// let snapshots = Snapshots::<Account>::every(100).shape("account/1");
/// let at = |last, version| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(Occasion::new(Version::new(last)?, Version::new(version)?))
/// };
/// let account = Account::default();
/// assert!(!snapshots.is_due(&account, at(0, 99)?));
/// assert!(snapshots.is_due(&account, at(0, 103)?)); // no multiple of 100 need be met
/// assert!(!snapshots.is_due(&account, at(103, 200)?));
///
/// // Whenever loading took more than 5 ms or the account is in debt, but no sooner than 10 events after the last one.
/// let snapshots = Snapshots::<Account>::after(Duration::from_millis(5)).or_when(|account| account.balance < 0).at_least(10);
/// assert!(snapshots.is_due(&Account { balance: -1 }, at(0, 10)?));
/// assert!(!snapshots.is_due(&Account { balance: -1 }, at(0, 9)?));
/// assert!(!snapshots.is_due(&account, at(0, 10)?));
/// assert!(snapshots.is_due(&account, at(0, 10)?.loaded_in(Duration::from_millis(7))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The shape
/// A snapshot is believed only by code whose shape is that of the code that wrote it. Unless
/// [`shape`](Self::shape) says otherwise, it is the path of the type with a fingerprint of the fields that its default value
/// has, so that adding, removing or renaming a field turns the old snapshots down by itself.
///
/// What the fingerprint can't see must be said with a new shape: a change within what is not there by default
/// (the elements of an empty list, the content of a `None`), and a change of what `apply` *means*, such as a total
/// that from now on includes tax. A shape that was changed without need costs one replay for each aggregate.
pub struct Snapshots<A> {
    every: Option<u64>,
    after: Option<Duration>,
    when: Option<fn(&A) -> bool>,
    at_least: u64,
    background: bool,
    shape: Option<&'static str>,
    fingerprint: fn() -> String,
    encode: fn(&A) -> Result<Payload, Refusal>,
    decode: fn(&str) -> Result<A, serde_json::Error>,
}

/// What it is decided by whether a snapshot is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    last: Version,
    version: Version,
    load_time: Duration,
}

impl Occasion {
    /// A stream that is at `version`, with the last snapshot at `last` ([`Version::EMPTY`] when there is none).
    #[must_use]
    pub const fn new(last: Version, version: Version) -> Self {
        Self {
            last,
            version,
            load_time: Duration::ZERO,
        }
    }

    /// The same, of an aggregate that took this long to load.
    #[must_use]
    pub const fn loaded_in(mut self, time: Duration) -> Self {
        self.load_time = time;
        self
    }

    /// How many events came after the last snapshot; none when the snapshot is ahead of its stream.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.version.get().saturating_sub(self.last.get())
    }
}

impl<A: Default + Serialize + DeserializeOwned> Snapshots<A> {
    /// A snapshot whenever this many events were recorded since the last one. 0 is taken as 1.
    #[must_use]
    pub fn every(events: u64) -> Self {
        Self::never().or_every(events)
    }

    /// A snapshot whenever loading the aggregate has taken this long.
    #[must_use]
    pub fn after(load_time: Duration) -> Self {
        Self::never().or_after(load_time)
    }

    /// A snapshot whenever the state is like this.
    #[must_use]
    pub fn when(is_due: fn(&A) -> bool) -> Self {
        Self::never().or_when(is_due)
    }

    fn never() -> Self {
        Self {
            every: None,
            after: None,
            when: None,
            at_least: 1,
            background: false,
            shape: None,
            fingerprint: fingerprint::<A>,
            encode: |state| Payload::encode(state),
            decode: |text| serde_json::from_str(text),
        }
    }
}

impl<A> Snapshots<A> {
    /// And whenever this many events were recorded since the last one. 0 is taken as 1.
    #[must_use]
    pub fn or_every(mut self, events: u64) -> Self {
        self.every = Some(events.max(1));
        self
    }

    /// And whenever loading the aggregate has taken this long.
    #[must_use]
    pub fn or_after(mut self, load_time: Duration) -> Self {
        self.after = Some(load_time);
        self
    }

    /// And whenever the state is like this.
    #[must_use]
    pub fn or_when(mut self, is_due: fn(&A) -> bool) -> Self {
        self.when = Some(is_due);
        self
    }

    /// But never before this many events were recorded since the last one. At least one always is.
    #[must_use]
    pub fn at_least(mut self, events: u64) -> Self {
        self.at_least = events.max(1);
        self
    }

    /// Stored after the commit, by a task of its own, and not within it: the commit is smaller, and a process that ends in
    /// between loses a shortcut.
    #[must_use]
    pub fn in_background(mut self) -> Self {
        self.background = true;
        self
    }

    /// Whether snapshots are stored after the commit.
    #[must_use]
    pub fn is_in_background(&self) -> bool {
        self.background
    }

    /// The same, with this text as the shape: change it whenever the state, or what it means, changes.
    #[must_use]
    pub fn shape(mut self, shape: &'static str) -> Self {
        self.shape = Some(shape);
        self
    }

    /// How many events lie between two snapshots, or more when several are recorded at once; `None` when they are not counted.
    #[must_use]
    pub fn interval(&self) -> Option<u64> {
        self.every
    }

    /// Whether a snapshot of this state is due.
    #[must_use]
    pub fn is_due(&self, state: &A, occasion: Occasion) -> bool {
        let events = occasion.events();
        events >= self.at_least
            && (self.every.is_some_and(|every| events >= every)
                || self.after.is_some_and(|after| occasion.load_time >= after)
                || self.when.is_some_and(|is_due| is_due(state)))
    }

    /// The shape that a snapshot must have to be believed.
    #[must_use]
    pub fn shape_text(&self) -> String {
        self.shape.map_or_else(self.fingerprint, str::to_owned)
    }

    pub(crate) fn encode(&self, state: &A) -> Result<Payload, Refusal> {
        (self.encode)(state)
    }

    pub(crate) fn decode(&self, text: &str) -> Result<A, serde_json::Error> {
        (self.decode)(text)
    }
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Snapshots<A> {}

impl<A> fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("every", &self.every)
            .field("after", &self.after)
            .field("when", &self.when.is_some())
            .field("at_least", &self.at_least)
            .field("background", &self.background)
            .field("shape", &self.shape_text())
            .finish()
    }
}

/// The path of the type and a sum over the fields of its default value.
fn fingerprint<A: Default + Serialize>() -> String {
    // A default that can't be serialized has no fields to look at, and will not make a snapshot either.
    let mut skeleton = String::new();
    if let Ok(value) = serde_json::to_value(A::default()) {
        draw(&value, &mut skeleton);
    }
    // FNV-1a with 64 bits, as `Snapshot` has it: the sum must be the same in every build, which std's hashers do not promise.
    let sum = skeleton
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{}#{sum:016x}", type_name::<A>())
}

/// Writes down which fields there are and of which kind, and none of their values.
fn draw(value: &Value, skeleton: &mut String) {
    match value {
        Value::Null => skeleton.push('0'),
        Value::Bool(_) => skeleton.push('b'),
        Value::Number(_) => skeleton.push('n'),
        Value::String(_) => skeleton.push('s'),
        Value::Array(elements) => {
            skeleton.push('[');
            elements.iter().for_each(|element| draw(element, skeleton));
            skeleton.push(']');
        }
        Value::Object(fields) => {
            skeleton.push('{');
            // Sorted, because a feature of serde_json that anybody may switch on keeps the order of insertion.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, field) in fields {
                skeleton.push_str(name);
                skeleton.push(':');
                draw(field, skeleton);
                skeleton.push(',');
            }
            skeleton.push('}');
        }
    }
}
