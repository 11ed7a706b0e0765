//! Stored names: from type names, and the rule they follow.

use proc_macro2::Ident;
use syn::LitStr;

use crate::errors::Errors;

/// The stored name of a type: as given, or else made from the type's own.
pub(crate) fn stored_name(
    ident: &Ident,
    given: Option<&LitStr>,
    helper: &str,
    errors: &mut Errors,
) -> String {
    if let Some(given) = given {
        let name = given.value();
        if !is_name(&name) {
            errors.at(
                given,
                format_args!("{name:?} can't be a stored name: {RULE}"),
            );
        }
        return name;
    }
    let name = snake_case(&syn::ext::IdentExt::unraw(ident).to_string());
    if !is_name(&name) {
        errors.at(
            ident,
            format_args!("{name:?}, made from the type's name, can't be a stored name: {RULE}; give one with `#[{helper}(name = \"…\")]`"),
        );
    }
    name
}

/// Names that were given beside the one of today: each can be stored, and none comes twice.
pub(crate) fn other_names(
    given: Option<&Vec<LitStr>>,
    today: Option<&str>,
    errors: &mut Errors,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for given in given.into_iter().flatten() {
        let name = given.value();
        if !is_name(&name) {
            errors.at(
                given,
                format_args!("{name:?} can't be a stored name: {RULE}"),
            );
        } else if today == Some(&*name) {
            errors.at(given, format_args!("{name:?} is the name of today"));
        } else if names.contains(&name) {
            errors.at(given, format_args!("{name:?} is given twice"));
        }
        names.push(name);
    }
    names
}

const RULE: &str = "it starts with a lower-case letter, goes on with lower-case letters, digits, `_` and `.`, and has at most 128 characters";

/// The rule of `uno_core::EventName`, repeated here because a macro can't call the crate it writes code for.
/// Their tests have the same table.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 128
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.'
        })
}

/// `HTTPServerStarted` becomes `http_server_started`.
///
/// A word begins at an upper-case letter after a lower-case letter or a digit, and at the last upper-case letter of
/// several when a lower-case letter follows it. Digits belong to the word before them.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut characters = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(character) = characters.next() {
        if character.is_uppercase() {
            let after_word = before.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit());
            let ends_capitals = before.is_some_and(char::is_uppercase)
                && characters.peek().is_some_and(|next| next.is_lowercase());
            if after_word || ends_capitals {
                snake.push('_');
            }
            snake.extend(character.to_lowercase());
        } else {
            snake.push(character);
        }
        before = Some(character);
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_name_becomes_snake_case() {
        let check = |name: &str, snake: &str| assert_eq!(snake_case(name), snake);
        check("OrderPlaced", "order_placed");
        check("Order", "order");
        check("order", "order");
        check("order_placed", "order_placed");
        check("Order_Placed", "order_placed");
        check("HTTPServerStarted", "http_server_started");
        check("ServerHTTP", "server_http");
        check("OrderA", "order_a");
        check("AOrder", "a_order");
        check("ABC", "abc");
        check("Http2Started", "http2_started");
        check("HTTP2Started", "http2_started");
        check("Order2", "order2");
        check("V2Order", "v2_order");
        check("Sha256Sum", "sha256_sum");
        check("A1B2", "a1_b2");
        check("iOSAppOpened", "i_os_app_opened");
        check("ÜberZug", "über_zug");
    }

    #[test]
    fn the_rule_is_that_of_the_core() {
        for good in ["a", "order_placed", "shop.order_placed2", &"a".repeat(128)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "A",
            "1a",
            "_a",
            ".a",
            "order-placed",
            "order placed",
            "é",
            "a\0",
            &"a".repeat(129),
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
