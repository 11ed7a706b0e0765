//! Which packages of other people may not get into which of our crates, by whatever way.

use super::metadata::Crate;

/// The crates that may use a database driver; so may whatever depends on one of them.
const DRIVERS: &[&str] = &["uno-store-sqlite", "uno-store-postgres"];
/// The crates without an async runtime, so that domain code compiles none.
const NO_RUNTIME: &[&str] = &["uno-macros", "uno-core", "uno-domain"];

/// Complains about a driver above the ports, and about a runtime below them.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for one in crates {
        let name = one.name.as_str();
        let near_a_driver = DRIVERS
            .iter()
            .any(|driver| name == *driver || one.reaches.contains(*driver));
        let sqlx = one.reaches.iter().find(|package| is_sqlx(package));
        if let (false, Some(sqlx)) = (near_a_driver, sqlx) {
            found.push(format!(
                "{name}: depends on {sqlx} (see cargo tree -p {name} -i {sqlx}); only the stores may name a driver"
            ));
        }
        if NO_RUNTIME.contains(&name) && one.reaches.contains("tokio") {
            found.push(format!(
                "{name}: depends on tokio (see cargo tree -p {name} -i tokio); it must compile without a runtime"
            ));
        }
    }
    found
}

fn is_sqlx(package: &str) -> bool {
    package == "sqlx" || package.starts_with("sqlx-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, reaches: &[&str], expected: &[&str]) {
        let one = Crate {
            name: name.into(),
            reaches: reaches.iter().map(|&name| name.to_owned()).collect(),
            ..Crate::default()
        };
        let found = super::check(&[one]);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_driver_above_the_ports_fails() {
        check("uno-events", &["sqlx"], &["uno-events: depends on sqlx"]);
        check(
            "uno-uow",
            &["uno-core", "sqlx-core"],
            &["uno-uow: depends on sqlx-core"],
        );
    }

    #[test]
    fn a_runtime_in_the_domain_fails() {
        check(
            "uno-domain",
            &["uno-core", "tokio"],
            &["uno-domain: depends on tokio"],
        );
        check(
            "uno-core",
            &["sqlx", "tokio"],
            &["uno-core: depends on sqlx", "uno-core: depends on tokio"],
        );
    }

    #[test]
    fn stores_and_those_above_them_pass() {
        check("uno-store-sqlite", &["sqlx", "sqlx-sqlite", "tokio"], &[]);
        check("uno", &["uno-store-postgres", "sqlx", "tokio"], &[]);
        check("uno-events", &["tokio", "sqlxyz"], &[]);
    }
}
