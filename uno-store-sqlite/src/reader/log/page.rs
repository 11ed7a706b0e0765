//! The statement that selects a page of the log.

use std::collections::BTreeSet;

use uno_core::{Direction, EventFilter, EventId, ReadLog};
use uuid::Uuid;

use super::{limit, order, window::Window};
use crate::{row::EVENT, script::Script};

/// How many keys are each looked up in their index and merged. With more names or categories, the log is gone through instead; of more
/// ids or causes, everything is found first.
const MAX_MERGED: usize = 16;

/// Adds the statement that gives the page, and the edge of the log as a row without a version.
pub(super) fn select(read: &ReadLog, window: &Window, script: &mut Script) {
    let edge = match read.direction() {
        Direction::Forward => "DESC",
        Direction::Backward => "ASC",
    };
    let mut sql = format!(
        "SELECT * FROM (SELECT e.position, NULL, e.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL \
         FROM uno_events e WHERE e.position BETWEEN ? AND ? ORDER BY e.position {edge} LIMIT 1)"
    );
    let mut values = vec![Value::Int(window.visible.0), Value::Int(window.visible.1)];
    let order = order(read.direction());
    let limit = Value::Int(limit(read.max_events()));
    let columns = format!("{EVENT}, e.category, e.key");
    let way = Way::of(read.events());
    let mut conditions = Conditions::of(read.events(), &way);
    match way {
        Way::Nowhere => {}
        Way::Through => {
            sql.push_str(&format!(
                " UNION ALL SELECT * FROM (SELECT {columns} FROM uno_events e NOT INDEXED \
                 WHERE e.position BETWEEN ? AND ?{} ORDER BY e.position {order} LIMIT ?)",
                conditions.sql
            ));
            values.extend([Value::Int(window.wanted.0), Value::Int(window.wanted.1)]);
            values.append(&mut conditions.values);
            values.push(limit);
        }
        Way::Merge {
            index,
            column,
            keys,
        } => {
            // Each branch comes out of its index in order, and SQLite merges them as far as the limit goes.
            let branch = format!(
                "SELECT e.position AS position FROM uno_events e INDEXED BY {index} \
                 WHERE e.{column} = ? AND e.position BETWEEN ? AND ?{}",
                conditions.sql
            );
            let branches = vec![branch; keys.len()].join(" UNION ALL ");
            sql.push_str(&format!(
                " UNION ALL SELECT * FROM (SELECT {columns} FROM ({branches} ORDER BY position {order} LIMIT ?) m \
                 CROSS JOIN uno_events e ON e.position = m.position ORDER BY e.position {order})"
            ));
            for key in keys {
                values.extend([
                    key,
                    Value::Int(window.wanted.0),
                    Value::Int(window.wanted.1),
                ]);
                values.extend(conditions.values.iter().cloned());
            }
            values.push(limit);
        }
        Way::Among {
            index,
            column,
            keys,
        } => {
            sql.push_str(&format!(
                " UNION ALL SELECT * FROM (SELECT {columns} FROM (SELECT e.position AS position FROM json_each(?) k \
                 CROSS JOIN uno_events e INDEXED BY {index} ON e.{column} = unhex(k.value) \
                 WHERE e.position BETWEEN ? AND ?{} ORDER BY e.position {order} LIMIT ?) m \
                 CROSS JOIN uno_events e ON e.position = m.position ORDER BY e.position {order})",
                conditions.sql
            ));
            values.extend([
                Value::Text(keys),
                Value::Int(window.wanted.0),
                Value::Int(window.wanted.1),
            ]);
            values.append(&mut conditions.values);
            values.push(limit);
        }
    }
    script.push(&sql);
    for value in values {
        match value {
            Value::Int(value) => script.bind(value),
            Value::Text(value) => script.bind(value),
            Value::Blob(value) => script.bind(value),
        };
    }
}

#[derive(Clone)]
enum Value {
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// How the events of a page are found.
enum Way {
    /// There are none.
    Nowhere,
    /// By going through the log.
    Through,
    /// By an index that has all events with one key in the order of the log, for each of some keys.
    Merge {
        index: &'static str,
        column: &'static str,
        keys: Vec<Value>,
    },
    /// By an index that has few events with each of many keys: they are found all, and then put into the order of the log.
    Among {
        index: &'static str,
        column: &'static str,
        /// As a JSON list of texts in hexadecimal.
        keys: String,
    },
}

impl Way {
    /// The way that is likely to look at the fewest events.
    fn of(filter: &EventFilter) -> Self {
        if let Some(ids) = filter.wanted_ids() {
            return Self::by_uuids("uno_events_id", "id", ids.iter().map(EventId::as_uuid));
        }
        if let Some(causes) = filter.wanted_causes() {
            return Self::by_uuids("uno_events_causation", "causation_id", causes.iter());
        }
        if let Some(ids) = filter.wanted_causing_events() {
            let uuids = ids.iter().map(EventId::as_uuid);
            return Self::by_uuids("uno_events_causing", "causing_event", uuids);
        }
        if let Some(id) = filter.wanted_correlation_id() {
            let keys = vec![Value::Blob(id.as_uuid().as_bytes().to_vec())];
            return Self::Merge {
                index: "uno_events_correlation",
                column: "correlation_id",
                keys,
            };
        }
        if let Some(actor) = filter.wanted_actor() {
            let keys = vec![Value::Text(actor.to_owned())];
            return Self::Merge {
                index: "uno_events_actor",
                column: "actor",
                keys,
            };
        }
        let names = filter
            .wanted_names()
            .map(|names| distinct(names.iter().map(|name| name.as_str())));
        let categories = filter
            .wanted_categories()
            .map(|some| distinct(some.iter().map(|one| one.as_str())));
        match (names, categories) {
            (Some(none), _) | (_, Some(none)) if none.is_empty() => Self::Nowhere,
            (Some(keys), _) if keys.len() <= MAX_MERGED => Self::Merge {
                index: "uno_events_name",
                column: "name",
                keys,
            },
            (_, Some(keys)) if keys.len() <= MAX_MERGED => Self::Merge {
                index: "uno_events_category",
                column: "category",
                keys,
            },
            _ => Self::Through,
        }
    }

    fn by_uuids<'u>(
        index: &'static str,
        column: &'static str,
        uuids: impl Iterator<Item = &'u Uuid>,
    ) -> Self {
        let uuids: BTreeSet<&Uuid> = uuids.collect();
        match uuids.len() {
            0 => Self::Nowhere,
            1..=MAX_MERGED => Self::Merge {
                index,
                column,
                keys: uuids
                    .into_iter()
                    .map(|uuid| Value::Blob(uuid.as_bytes().to_vec()))
                    .collect(),
            },
            _ => Self::Among {
                index,
                column,
                keys: hexadecimal(uuids.into_iter()),
            },
        }
    }
}

/// As SQLite writes bytes, since JSON has none.
fn hexadecimal<'u>(uuids: impl Iterator<Item = &'u Uuid>) -> String {
    let texts: serde_json::Value = uuids.map(|uuid| format!("{:X}", uuid.simple())).collect();
    texts.to_string()
}

fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Value> {
    let texts: BTreeSet<&str> = texts.collect();
    texts
        .into_iter()
        .map(|text| Value::Text(text.to_owned()))
        .collect()
}

/// All that a filter asks for, but for times, which the window takes care of.
struct Conditions {
    /// Each with ` AND ` before it.
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &EventFilter, way: &Way) -> Self {
        let done = match way {
            Way::Merge { column, .. } | Way::Among { column, .. } => column,
            Way::Nowhere | Way::Through => "",
        };
        let mut conditions = Self {
            sql: String::new(),
            values: Vec::new(),
        };
        if let (Some(names), true) = (filter.wanted_names(), done != "name") {
            conditions.any_of("name", names.iter().map(|name| name.as_str()));
        }
        if let (Some(categories), true) = (filter.wanted_categories(), done != "category") {
            conditions.any_of(
                "category",
                categories.iter().map(|category| category.as_str()),
            );
        }
        // Ids are the way that is gone whenever they are asked for.
        if let (Some(causes), true) = (filter.wanted_causes(), done != "causation_id") {
            conditions.any_uuid_of("causation_id", causes.iter());
        }
        if let (Some(ids), true) = (filter.wanted_causing_events(), done != "causing_event") {
            conditions.any_uuid_of("causing_event", ids.iter().map(EventId::as_uuid));
        }
        if let (Some(id), true) = (filter.wanted_correlation_id(), done != "correlation_id") {
            let id = Value::Blob(id.as_uuid().as_bytes().to_vec());
            conditions.add(" AND +e.correlation_id = ?", id);
        }
        if let (Some(actor), true) = (filter.wanted_actor(), done != "actor") {
            conditions.add(" AND +e.actor = ?", Value::Text(actor.to_owned()));
        }
        conditions
    }

    fn add(&mut self, sql: &str, value: Value) {
        self.sql.push_str(sql);
        self.values.push(value);
    }

    fn any_uuid_of<'u>(&mut self, column: &str, uuids: impl Iterator<Item = &'u Uuid>) {
        self.add(
            &format!(" AND hex(e.{column}) IN (SELECT value FROM json_each(?))"),
            Value::Text(hexadecimal(uuids)),
        );
    }

    fn any_of<'t>(&mut self, column: &str, texts: impl Iterator<Item = &'t str>) {
        let texts = serde_json::Value::from_iter(texts).to_string();
        self.add(
            &format!(" AND +e.{column} IN (SELECT value FROM json_each(?))"),
            Value::Text(texts),
        );
    }
}
