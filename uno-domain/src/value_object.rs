//! [`ValueObject`] and [`value_object!`]: values that are valid because they exist.

use std::fmt::Display;

/// A value without identity that is checked once, when it is made: two are equal when they say the same.
///
/// Declare one with [`value_object!`](crate::value_object!), or implement it by hand for a value of several fields.
///
/// # Contract
/// 1. A value exists only if `new` allowed it; reading one from JSON goes through `new` as well.
/// 2. A value does not change. Another value is another value.
/// 3. `new` takes a value back as it is: `Self::new(value.into_inner()) == Ok(value)`.
pub trait ValueObject: Clone + PartialEq + Sized {
    /// What it is made from.
    type Inner;
    /// Why something is not such a value.
    type Error: Display;

    /// The value, if it is one.
    ///
    /// # Errors
    /// When it is not.
    fn new(inner: Self::Inner) -> Result<Self, Self::Error>;

    /// What it says.
    fn get(&self) -> &Self::Inner;

    /// What it says, and nothing else.
    fn into_inner(self) -> Self::Inner;
}

/// Declares value objects: a newtype with a rule that nothing gets around, not even deserialization.
///
/// After the type comes the error, and the function that makes or refuses it. The function returns the inner value in
/// the one form that it is kept in, so it may also tidy it up.
///
/// ```
/// use uno_domain::value_object;
///
/// value_object! {
///     /// An e-mail address, in lower case.
///     #[derive(PartialOrd, Ord, Hash)]
///     pub struct Email(String): NotAnEmail = |text: String| {
///         let text = text.trim().to_lowercase();
///         if text.contains('@') { Ok(text) } else { Err(NotAnEmail) }
///     };
/// }
///
/// #[derive(Debug, PartialEq)]
/// pub struct NotAnEmail;
/// impl std::fmt::Display for NotAnEmail {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("there is no @ in it") }
/// }
///
/// let email = Email::new(" Ada@Example.org".to_owned())?;
/// assert_eq!(email.get(), "ada@example.org");
/// assert_eq!(Email::new("ada".to_owned()), Err(NotAnEmail));
///
/// assert_eq!(serde_json::to_string(&email).unwrap(), r#""ada@example.org""#);
/// assert!(serde_json::from_str::<Email>(r#""ada""#).is_err());
/// # Ok::<(), NotAnEmail>(())
/// ```
///
/// Every such type is `Clone`, `Debug`, `PartialEq` and `Eq`; others are derived where they are declared.
#[macro_export]
macro_rules! value_object {
    ($($(#[$meta:meta])* $visibility:vis struct $name:ident($inner:ty): $error:ty = $make:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $visibility struct $name($inner);

        impl $name {
            /// The value, if it is one.
            ///
            /// # Errors
            /// When it is not.
            $visibility fn new(inner: $inner) -> ::core::result::Result<Self, $error> {
                $crate::__private::make(inner, $make).map(Self)
            }

            /// What it says.
            #[must_use]
            $visibility const fn get(&self) -> &$inner {
                &self.0
            }

            /// What it says, and nothing else.
            #[must_use]
            $visibility fn into_inner(self) -> $inner {
                self.0
            }
        }

        impl $crate::ValueObject for $name {
            type Inner = $inner;
            type Error = $error;

            fn new(inner: $inner) -> ::core::result::Result<Self, $error> {
                Self::new(inner)
            }

            fn get(&self) -> &$inner {
                &self.0
            }

            fn into_inner(self) -> $inner {
                self.0
            }
        }

        impl ::core::convert::TryFrom<$inner> for $name {
            type Error = $error;

            fn try_from(inner: $inner) -> ::core::result::Result<Self, $error> {
                Self::new(inner)
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
                let inner = $crate::__private::serde::Deserialize::deserialize(deserializer)?;
                Self::new(inner).map_err($crate::__private::serde::de::Error::custom)
            }
        }
    )+};
}

/// Calls the function of [`value_object!`]; being handed to a function, a closure learns its types.
///
/// # Errors
/// What the function said.
pub fn make<I, E>(inner: I, make: impl FnOnce(I) -> Result<I, E>) -> Result<I, E> {
    make(inner)
}
