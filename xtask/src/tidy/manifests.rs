//! What our manifests must say so that the crates can be published, and only the right ones.

use super::metadata::{Crate, Kind};

/// The packages that are of no use outside this repository.
const UNPUBLISHED: &[&str] = &["orders", "uno-tests", "uno-torture", "xtask"];

/// Complains about packages that could be published by mistake, and about those that could not be published at all.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    let mut found = Vec::new();
    for one in crates {
        let name = &one.name;
        if one.published && UNPUBLISHED.contains(&name.as_str()) {
            found.push(format!("{name}: needs `publish = false`"));
        }
        for to in one.ours.iter().filter(|to| to.kind == Kind::Dev) {
            // Two of our crates may use each other in tests. With a version cargo then wants the other one in the registry
            // before it packages either; with a path alone it leaves the dependency out of what it publishes.
            if to.version || !to.path {
                found.push(format!(
                    "{name}: the dev-dependency {0} needs a path and no version: `{0} = {{ path = \"../{0}\" }}`, not `workspace = true`",
                    to.name
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::metadata::OwnDependency;
    use super::*;

    fn dev(path: bool, version: bool) -> Crate {
        Crate {
            name: "uno-core".into(),
            published: true,
            ours: vec![OwnDependency {
                name: "uno-testkit".into(),
                kind: Kind::Dev,
                optional: false,
                path,
                version,
            }],
            ..Crate::default()
        }
    }

    #[test]
    fn a_tool_that_could_be_published_fails() {
        let tool = |published| Crate {
            name: "xtask".into(),
            published,
            ..Crate::default()
        };
        assert_eq!(check(&[tool(true)]), ["xtask: needs `publish = false`"]);
        assert!(check(&[tool(false)]).is_empty());
    }

    #[test]
    fn a_dev_dependency_with_a_version_fails() {
        let complaint = "uno-core: the dev-dependency uno-testkit needs a path and no version: \
                         `uno-testkit = { path = \"../uno-testkit\" }`, not `workspace = true`";
        assert_eq!(check(&[dev(true, true)]), [complaint]);
        assert_eq!(check(&[dev(false, true)]), [complaint]);
        assert!(check(&[dev(true, false)]).is_empty());
    }

    #[test]
    fn a_normal_dependency_has_a_version() {
        let mut one = dev(true, true);
        one.ours[0].kind = Kind::Normal;
        assert!(check(&[one]).is_empty());
    }
}
