//! Our crates and what they depend on, as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cargo::cargo;

/// One crate of the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Whether it may go to a registry.
    pub(crate) published: bool,
    /// Whether other crates can depend on it.
    pub(crate) library: bool,
    /// The features it declares, `default` left out.
    pub(crate) features: Vec<String>,
    /// The dependencies on our own crates, as the manifest declares them.
    pub(crate) ours: Vec<OwnDependency>,
    /// The names of all packages that are compiled into it, whatever its features.
    pub(crate) reaches: BTreeSet<String>,
}

/// A dependency of one of our crates on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnDependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it is there only when a feature asks for it.
    pub(crate) optional: bool,
    /// Whether the manifest gives a path.
    pub(crate) path: bool,
    /// Whether the manifest gives a version.
    pub(crate) version: bool,
}

/// In what a dependency takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In the crate itself, or in its build script.
    Normal,
    /// In its tests and examples only.
    Dev,
}

/// Asks cargo.
pub(crate) fn read() -> Result<Vec<Crate>> {
    // With all features: a forbidden dependency is forbidden behind a feature too.
    let output = cargo()
        .args([
            "metadata",
            "--format-version=1",
            "--all-features",
            "--locked",
        ])
        .output()
        .context("failed to start cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata = serde_json::from_slice(&output.stdout)
        .context("failed to read what cargo metadata printed")?;
    parse(&metadata).context("cargo metadata left out a field that it documents")
}

fn parse(metadata: &Value) -> Option<Vec<Crate>> {
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()?
        .iter()
        .map(|package| Some((package["id"].as_str()?, package)))
        .collect::<Option<_>>()?;
    let members: Vec<&Value> = metadata["workspace_members"]
        .as_array()?
        .iter()
        .map(|id| packages.get(id.as_str()?).copied())
        .collect::<Option<_>>()?;
    let names: BTreeSet<&str> = members
        .iter()
        .map(|member| member["name"].as_str())
        .collect::<Option<_>>()?;
    let compiled = compiled_in(metadata)?;
    members
        .into_iter()
        .map(|member| {
            Some(Crate {
                name: member["name"].as_str()?.to_owned(),
                published: member["publish"]
                    .as_array()
                    .is_none_or(|registries| !registries.is_empty()),
                library: is_library(member)?,
                features: member["features"]
                    .as_object()?
                    .keys()
                    .filter(|&name| name != "default")
                    .cloned()
                    .collect(),
                ours: own_dependencies(member, &names)?,
                reaches: reachable(member["id"].as_str()?, &compiled)
                    .into_iter()
                    .map(|id| packages.get(id)?["name"].as_str().map(str::to_owned))
                    .collect::<Option<_>>()?,
            })
        })
        .collect()
}

fn is_library(package: &Value) -> Option<bool> {
    let targets = package["targets"].as_array()?;
    Some(
        targets
            .iter()
            .flat_map(|target| target["kind"].as_array().into_iter().flatten())
            .any(|kind| kind == "lib" || kind == "proc-macro"),
    )
}

fn own_dependencies(package: &Value, ours: &BTreeSet<&str>) -> Option<Vec<OwnDependency>> {
    let mut found = Vec::new();
    for dependency in package["dependencies"].as_array()? {
        let name = dependency["name"].as_str()?;
        if ours.contains(name) {
            found.push(OwnDependency {
                name: name.to_owned(),
                kind: if dependency["kind"] == "dev" {
                    Kind::Dev
                } else {
                    Kind::Normal
                },
                optional: dependency["optional"].as_bool()?,
                path: dependency["path"].is_string(),
                // This is how cargo reports that none was given.
                version: dependency["req"] != "*",
            });
        }
    }
    Some(found)
}

/// For each package, the packages compiled into it directly.
fn compiled_in(metadata: &Value) -> Option<BTreeMap<&str, Vec<&str>>> {
    metadata["resolve"]["nodes"]
        .as_array()?
        .iter()
        .map(|node| {
            let mut direct = Vec::new();
            for dependency in node["deps"].as_array()? {
                let kinds = dependency["dep_kinds"].as_array()?;
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    direct.push(dependency["pkg"].as_str()?);
                }
            }
            Some((node["id"].as_str()?, direct))
        })
        .collect()
}

fn reachable<'a>(from: &'a str, compiled: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        for &next in compiled.get(id).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dependency(name: &str, kind: Option<&str>, requirement: &str) -> Value {
        json!({
            "name": name, "kind": kind, "req": requirement, "optional": false,
            "path": format!("/somewhere/{name}"),
        })
    }

    fn node(id: &str, deps: &[(&str, Option<&str>)]) -> Value {
        let deps: Vec<Value> = deps
            .iter()
            .map(|(pkg, kind)| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] }))
            .collect();
        json!({ "id": id, "deps": deps })
    }

    fn package(id: &str, kind: &str, publish: &Value, dependencies: &[Value]) -> Value {
        json!({
            "id": id, "name": id, "publish": publish, "dependencies": dependencies,
            "features": { "default": [], "extra": [] }, "targets": [{ "kind": [kind] }],
        })
    }

    #[test]
    fn what_cargo_says_is_understood() {
        let metadata = json!({
            "workspace_members": ["a", "b"],
            "packages": [
                package("a", "lib", &Value::Null, &[
                    dependency("b", Some("dev"), "*"), dependency("x", None, "^1"),
                ]),
                package("b", "bin", &json!([]), &[dependency("a", None, "^0.1")]),
                package("x", "lib", &Value::Null, &[]),
                package("y", "lib", &Value::Null, &[]),
                package("z", "lib", &Value::Null, &[]),
            ],
            "resolve": { "nodes": [
                node("a", &[("b", Some("dev")), ("x", None)]),
                node("b", &[("a", None)]),
                node("x", &[("y", None), ("z", Some("build"))]),
                node("y", &[]),
                node("z", &[]),
            ]},
        });
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let expected = [
            Crate {
                name: "a".into(),
                published: true,
                library: true,
                features: vec!["extra".into()],
                ours: vec![OwnDependency {
                    name: "b".into(),
                    kind: Kind::Dev,
                    optional: false,
                    path: true,
                    version: false,
                }],
                reaches: names(&["x", "y"]),
            },
            Crate {
                name: "b".into(),
                published: false,
                library: false,
                features: vec!["extra".into()],
                ours: vec![OwnDependency {
                    name: "a".into(),
                    kind: Kind::Normal,
                    optional: false,
                    path: true,
                    version: true,
                }],
                reaches: names(&["a", "x", "y"]),
            },
        ];
        assert_eq!(parse(&metadata).unwrap(), expected);
    }
}
