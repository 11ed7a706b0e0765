//! [`ensure!`]: a rule of the domain in one line.

/// Returns an error unless a condition holds.
///
/// ```
/// use uno_domain::ensure;
///
/// fn place(items: u32) -> Result<(), &'static str> {
///     ensure!(items > 0, "the order is empty");
///     Ok(())
/// }
///
/// assert_eq!(place(0), Err("the order is empty"));
/// assert_eq!(place(1), Ok(()));
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $error:expr $(,)?) => {
        if $condition {
        } else {
            return ::core::result::Result::Err($error);
        }
    };
}
