//! [`Rules`]: what was registered at run time, as a graph over names and versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{EventName, SchemaVersion, UpcastFn, upcast::SplitFn};

/// What is to be done with stored events of one name.
#[derive(Default)]
pub(super) struct Rules(BTreeMap<EventName, OfName>);

/// What is to be done with stored events of a name.
pub(super) enum OfName {
    /// They are events of another name, of the same version.
    Renamed(EventName),
    /// They are dropped.
    Retired(Arc<str>),
    /// Those of these versions take a step.
    Steps(BTreeMap<SchemaVersion, Step>),
}

pub(super) enum Step {
    /// To the next version.
    Next(UpcastFn),
    /// Into several events.
    Split {
        parts: Vec<(EventName, SchemaVersion)>,
        split: SplitFn,
    },
}

/// A place in a chain.
pub(super) type Node = (EventName, SchemaVersion);

impl Rules {
    pub(super) fn get(&self, name: &str) -> Option<&OfName> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(name)
    }

    pub(super) fn entry(&mut self, name: EventName) -> Result<&mut OfName, &mut OfName> {
        use std::collections::btree_map::Entry;
        match self.0.entry(name) {
            Entry::Vacant(place) => Ok(place.insert(OfName::Steps(BTreeMap::new()))),
            Entry::Occupied(taken) => Err(taken.into_mut()),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&EventName, &OfName)> {
        self.0.iter()
    }

    /// The names that are read as this one, wholly or in part, itself included.
    pub(super) fn sources(&self, name: &EventName, into: &mut BTreeSet<EventName>) {
        if !into.insert(name.clone()) {
            return;
        }
        for (source, of_name) in &self.0 {
            let leads_here = match of_name {
                OfName::Renamed(to) => to == name,
                OfName::Retired(_) => false,
                OfName::Steps(steps) => steps.values().any(|step| match step {
                    Step::Next(_) => false,
                    Step::Split { parts, .. } => parts.iter().any(|(part, _)| part == name),
                }),
            };
            if leads_here {
                self.sources(source, into);
            }
        }
    }

    /// Where the rules lead from a place, as far as they know.
    fn next(&self, (name, version): &Node) -> Vec<Node> {
        match self.get(name.as_str()) {
            Some(OfName::Renamed(to)) => vec![(to.clone(), *version)],
            Some(OfName::Steps(steps)) => match steps.get(version) {
                Some(Step::Next(_)) => vec![(name.clone(), version.next())],
                Some(Step::Split { parts, .. }) => parts.clone(),
                None => Vec::new(),
            },
            Some(OfName::Retired(_)) | None => Vec::new(),
        }
    }

    /// A way that leads back to where it begins.
    pub(super) fn cycle(&self) -> Option<Vec<Node>> {
        // Renames keep the version and steps raise it, so a cycle goes through a split or through renames alone: it meets a
        // version that a rule names, or exists for the first version.
        let mut versions = BTreeSet::from([SchemaVersion::FIRST]);
        for of_name in self.0.values() {
            if let OfName::Steps(steps) = of_name {
                versions.extend(steps.keys());
                for step in steps.values() {
                    if let Step::Split { parts, .. } = step {
                        versions.extend(parts.iter().map(|(_, version)| *version));
                    }
                }
            }
        }
        let mut done = BTreeSet::new();
        for name in self.0.keys() {
            for version in &versions {
                let mut way = Vec::new();
                if self.follow((name.clone(), *version), &mut way, &mut done) {
                    return Some(way);
                }
            }
        }
        None
    }

    /// Goes on from a place; whether it comes back to a place on the way, which then ends there.
    fn follow(&self, node: Node, way: &mut Vec<Node>, done: &mut BTreeSet<Node>) -> bool {
        if let Some(begin) = way.iter().position(|before| *before == node) {
            way.push(node);
            way.drain(..begin);
            return true;
        }
        if done.contains(&node) {
            return false;
        }
        way.push(node.clone());
        for next in self.next(&node) {
            if self.follow(next, way, done) {
                return true;
            }
        }
        way.pop();
        done.insert(node);
        false
    }
}
