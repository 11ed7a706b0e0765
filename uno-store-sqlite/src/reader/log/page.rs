//! The statement that selects a page of the log.

use std::collections::BTreeSet;

use uno_core::{Direction, EventFilter, ReadLog};

use super::{limit, order, window::Window};
use crate::{row::EVENT, script::Script};

/// How many names or categories are each looked up in their index and merged. With more, the log is gone through instead.
const MAX_MERGED: usize = 16;

/// Adds the statement that gives the page, and the edge of the log as a row without a version.
pub(super) fn select(read: &ReadLog, window: &Window, script: &mut Script) {
    let edge = match read.direction() {
        Direction::Forward => "DESC",
        Direction::Backward => "ASC",
    };
    let mut sql = format!(
        "SELECT * FROM (SELECT e.position, NULL, e.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL \
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
}

impl Way {
    /// The way that is likely to look at the fewest events.
    fn of(filter: &EventFilter) -> Self {
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
            Way::Merge { column, .. } => column,
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
        // A correlation id is always the way that is gone.
        if let (Some(actor), true) = (filter.wanted_actor(), done != "actor") {
            conditions.add(" AND +e.actor = ?", Value::Text(actor.to_owned()));
        }
        conditions
    }

    fn add(&mut self, sql: &str, value: Value) {
        self.sql.push_str(sql);
        self.values.push(value);
    }

    fn any_of<'t>(&mut self, column: &str, texts: impl Iterator<Item = &'t str>) {
        let texts = serde_json::Value::from_iter(texts).to_string();
        self.add(
            &format!(" AND +e.{column} IN (SELECT value FROM json_each(?))"),
            Value::Text(texts),
        );
    }
}
