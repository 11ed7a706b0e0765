//! What does not compile, and the words that say why. They are those of the toolchain that CI uses.
//!
//! `TRYBUILD=overwrite cargo test -p uno-macros --test it ui` writes down the words as they are now.

#[test]
fn what_is_wrong_is_said_where_it_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
