//! Which paths between contexts are refused, and which are not.

use super::*;

/// What the rule says about `source` in the file `path` below the sources; each complaint as `line: path`.
fn check_in(path: &str, source: &str, expected: &[&str]) {
    let file = SourceFile {
        path: format!("{SOURCES}{path}"),
        text: source.to_owned(),
    };
    let prefix = format!("{}:", file.path);
    let found: Vec<String> = super::check(&file)
        .iter()
        .map(|complaint| {
            let rest = complaint.strip_prefix(&prefix).unwrap();
            let (line, rest) = rest.split_once(": ").unwrap();
            format!("{line}: {}", rest.split('`').nth(3).unwrap())
        })
        .collect();
    assert_eq!(found, expected, "{source}");
}

/// The same in a file of the context `payment`.
fn check(source: &str, expected: &[&str]) {
    check_in("contexts/payment/model.rs", source, expected);
}

#[test]
fn events_and_commands_of_others_are_open() {
    check("use crate::contexts::order::events::OrderPlaced;", &[]);
    check("use crate::contexts::order::commands;", &[]);
    check(
        "use crate::contexts::order::{commands::Cancel, events::*};",
        &[],
    );
    check("use super::super::order::events::{self, OrderPlaced};", &[]);
    check(
        "fn f(e: crate::contexts::order::events::OrderPlaced) {}",
        &[],
    );
}

#[test]
fn the_rest_of_others_is_closed() {
    check(
        "//! Pays.\nuse crate::contexts::order::model::Order;",
        &["2: crate::contexts::order::model::Order"],
    );
    check(
        "use crate::contexts::{order::{events::A, Order}, shipping};",
        &[
            "1: crate::contexts::order::Order",
            "1: crate::contexts::shipping",
        ],
    );
    check(
        "use crate::{\n    contexts::order::handlers,\n    money::Cents,\n};",
        &["2: crate::contexts::order::handlers"],
    );
    check(
        "use crate::contexts::order::{self};",
        &["1: crate::contexts::order"],
    );
    check(
        "use crate::contexts::order as o;",
        &["1: crate::contexts::order"],
    );
    check(
        "use crate::contexts::order::*;",
        &["1: crate::contexts::order::*"],
    );
    check(
        "use crate::contexts::r#order::x;",
        &["1: crate::contexts::order::x"],
    );
    check(
        "use orders::contexts::order::x;",
        &["1: crate::contexts::order::x"],
    );
    check(
        "use ::orders::contexts::order::x;",
        &["1: crate::contexts::order::x"],
    );
}

#[test]
fn inline_paths_are_seen() {
    check(
        "fn f() -> u8 {\n    crate::contexts::order::model::total(1) * 2\n}",
        &["2: crate::contexts::order::model::total"],
    );
    check(
        "fn f(x: Vec<crate::contexts::order::Order>) {}",
        &["1: crate::contexts::order::Order"],
    );
    check(
        "let x = crate::contexts::order::make::<u8>();",
        &["1: crate::contexts::order::make"],
    );
}

#[test]
fn super_is_followed() {
    check(
        "use super::super::order::model;",
        &["1: crate::contexts::order::model"],
    );
    check(
        "use super::{super::order::model, events::Paid};",
        &["1: crate::contexts::order::model"],
    );
    check(
        "let x = super::super::order::total();",
        &["1: crate::contexts::order::total"],
    );
    check("use super::events::Paid;\nuse self::sum::Sum;", &[]);
    check_in(
        "contexts/payment.rs",
        "use super::order::model;\nuse self::model::Payment;",
        &["1: crate::contexts::order::model"],
    );
    check(
        "mod tests {\n    use super::super::super::order::model;\n    use super::*;\n}\nuse super::super::order::y;",
        &[
            "2: crate::contexts::order::model",
            "5: crate::contexts::order::y",
        ],
    );
}

#[test]
fn the_parent_of_all_contexts_is_closed() {
    check("use crate::contexts;", &["1: crate::contexts"]);
    check("use crate::contexts as all;", &["1: crate::contexts"]);
    check("use crate::contexts::*;", &["1: crate::contexts::*"]);
    check("use super::super as all;", &["1: crate::contexts"]);
    check("use crate::*;", &["1: crate::*"]);
}

#[test]
fn what_is_no_path_between_contexts_passes() {
    check("use crate::contexts::payment::model::Payment;", &[]);
    check("use crate::money::Cents;\nuse uno::prelude::*;", &[]);
    check(
        "pub(crate) fn f() {}\npub(super) struct S;\npub(in crate::contexts) struct T;",
        &[],
    );
    check(
        "// crate::contexts::order::model\n/* crate::contexts::order */",
        &[],
    );
    check("let x = \"crate::contexts::order::model\";", &[]);
    check("impl S { fn f(&self, x: &Self) { self.x; self.y() } }", &[]);
    check_in("main.rs", "use crate::contexts::order::model;", &[]);
    check_in(
        "contexts.rs",
        "pub mod order;\nuse self::order::model;",
        &[],
    );
}
