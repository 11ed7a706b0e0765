//! Which of our crates may depend on which.
//!
//! A new edge is a change of the architecture: it goes into this table, in `ARCHITECTURE.md`, and in a commit of its own.

use super::metadata::{Crate, Kind};

/// May be depended on only behind a feature.
const OPTIONAL: &str = "?";
/// May depend on all of our crates.
const ALL: &str = "*";

/// A crate, and those that it may name under `[dependencies]`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("uno-macros", &[]),
    ("uno-core", &["uno-macros?"]),
    ("uno-domain", &["uno-core"]),
    ("uno-store-memory", &["uno-core"]),
    ("uno-store-sqlite", &["uno-core"]),
    ("uno-store-postgres", &["uno-core"]),
    ("uno-events", &["uno-core"]),
    ("uno-uow", &["uno-core", "uno-domain"]),
    (
        "uno-cqrs",
        &["uno-core", "uno-domain", "uno-events", "uno-uow"],
    ),
    (
        "uno-saga",
        &["uno-core", "uno-events", "uno-uow", "uno-cqrs"],
    ),
    ("uno-integrity", &["uno-core", "uno-events"]),
    (
        "uno-testkit",
        &[
            "uno-core",
            "uno-domain",
            "uno-events",
            "uno-uow",
            "uno-cqrs",
            "uno-saga",
        ],
    ),
    ("uno", &[ALL]),
    ("orders", &["uno"]),
    ("sagas", &["uno"]),
    ("uno-tests", &[ALL]),
    (
        "uno-torture",
        &["uno", "uno-core", "uno-store-postgres", "uno-store-sqlite"],
    ),
    ("uno-bench", &[ALL]),
    ("xtask", &[]),
];

/// Complains about every edge that the table does not have.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    crates
        .iter()
        .flat_map(|from| complaints(from, ALLOWED))
        .collect()
}

fn complaints(from: &Crate, table: &[(&str, &[&str])]) -> Vec<String> {
    let name = &from.name;
    let Some((_, allowed)) = table.iter().find(|(row, _)| row == name) else {
        return vec![format!(
            "{name}: not in the table of allowed dependencies (xtask/src/tidy/edges.rs)"
        )];
    };
    let mut found = Vec::new();
    for to in from.ours.iter().filter(|to| to.kind == Kind::Normal) {
        let listed = |entry: &&&str| entry.trim_end_matches(OPTIONAL) == to.name || **entry == ALL;
        match allowed.iter().find(listed) {
            None => found.push(format!(
                "{name}: may not depend on {} (table in xtask/src/tidy/edges.rs)",
                to.name
            )),
            Some(entry) if entry.ends_with(OPTIONAL) && !to.optional => found.push(format!(
                "{name}: may depend on {} only as an optional dependency",
                to.name
            )),
            Some(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::metadata::OwnDependency;
    use super::*;

    fn check(from: &str, to: &str, kind: Kind, optional: bool, expected: &[&str]) {
        let from = Crate {
            name: from.into(),
            ours: vec![OwnDependency {
                name: to.into(),
                kind,
                optional,
                path: true,
                version: true,
            }],
            ..Crate::default()
        };
        assert_eq!(super::check(&[from]), expected);
    }

    #[test]
    fn an_unlisted_edge_fails() {
        check(
            "uno-core",
            "uno-events",
            Kind::Normal,
            true,
            &["uno-core: may not depend on uno-events (table in xtask/src/tidy/edges.rs)"],
        );
        check(
            "uno-testkit",
            "uno-store-memory",
            Kind::Normal,
            true,
            &["uno-testkit: may not depend on uno-store-memory (table in xtask/src/tidy/edges.rs)"],
        );
        check(
            "orders",
            "uno-core",
            Kind::Normal,
            false,
            &["orders: may not depend on uno-core (table in xtask/src/tidy/edges.rs)"],
        );
    }

    #[test]
    fn an_optional_edge_may_not_become_a_fixed_one() {
        check(
            "uno-core",
            "uno-macros",
            Kind::Normal,
            false,
            &["uno-core: may depend on uno-macros only as an optional dependency"],
        );
        check("uno-core", "uno-macros", Kind::Normal, true, &[]);
    }

    #[test]
    fn a_crate_that_nobody_thought_about_fails() {
        check(
            "uno-web",
            "uno",
            Kind::Normal,
            false,
            &["uno-web: not in the table of allowed dependencies (xtask/src/tidy/edges.rs)"],
        );
    }

    #[test]
    fn listed_edges_and_those_of_tests_pass() {
        check("uno-domain", "uno-core", Kind::Normal, false, &[]);
        check("uno", "uno-store-postgres", Kind::Normal, true, &[]);
        check("uno-core", "uno-testkit", Kind::Dev, false, &[]);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // A row lists only crates whose own rows come before it, so following the arrows ends.
        for (place, (from, allowed)) in ALLOWED.iter().enumerate() {
            for to in allowed.iter().filter(|&&to| to != ALL) {
                let to = to.trim_end_matches(OPTIONAL);
                let before = ALLOWED[..place].iter().any(|(row, _)| *row == to);
                assert!(before, "{from} -> {to}");
            }
        }
    }
}
