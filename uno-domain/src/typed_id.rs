//! [`typed_id!`]: identifiers that can't be mixed up.

use uuid::Uuid;

/// Declares types of identifiers: UUIDs that can't be taken for the ids of something else.
///
/// Each is `Copy`, ordered and hashed, displayed as the hyphenated text (which becomes the key of an aggregate's stream),
/// parsed from it, and serialized as it. `new()` makes a new one, of UUID version 7.
///
/// ```
/// use uno_domain::typed_id;
///
/// typed_id! {
///     /// Names one order.
///     pub struct OrderId;
///     /// Names one customer.
///     pub struct CustomerId;
/// }
///
/// let id = OrderId::new();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert_eq!("order 7".parse::<OrderId>().unwrap_err().to_string(), "\"order 7\" is not a valid OrderId");
/// ```
///
/// Making an id is an effect, like reading a clock: do it where a command comes in, never in a decision or in
/// [`apply`](crate::Aggregate::apply).
#[macro_export]
macro_rules! typed_id {
    ($($(#[$meta:meta])* $visibility:vis struct $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name($crate::__private::Uuid);

        impl $name {
            /// A new identifier, of UUID version 7.
            #[must_use]
            $visibility fn new() -> Self {
                Self($crate::__private::new_uuid())
            }

            /// The identifier with these bits, for those who have their own source of them.
            #[must_use]
            $visibility const fn from_uuid(uuid: $crate::__private::Uuid) -> Self {
                Self(uuid)
            }

            /// The bits.
            #[must_use]
            $visibility const fn as_uuid(&self) -> &$crate::__private::Uuid {
                &self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(f, ::core::concat!(::core::stringify!($name), "({})"), self.0)
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::InvalidId;

            fn from_str(text: &str) -> ::core::result::Result<Self, $crate::InvalidId> {
                $crate::__private::parse_uuid(text, ::core::stringify!($name)).map(Self)
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::__private::serde::Deserialize::deserialize(deserializer).map(Self)
            }
        }
    )+};
}

/// A text that is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
}

impl InvalidId {
    /// The text that was refused.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What [`typed_id!`] makes identifiers with.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate where identifiers are made"
)]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// What [`typed_id!`] reads identifiers with.
///
/// # Errors
/// When the text is not a UUID.
pub fn parse_uuid(text: &str, kind: &'static str) -> Result<Uuid, InvalidId> {
    Uuid::parse_str(text).map_err(|_| InvalidId {
        kind,
        text: text.to_owned(),
    })
}
