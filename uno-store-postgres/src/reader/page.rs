//! The statement that selects a page of the log.

use std::fmt::Write as _;

use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uno_core::{Direction, EventFilter, ReadLog};
use uuid::Uuid;

use super::{limit, window::Window};
use crate::{decode::COLUMNS, value::PgUuid};

pub(super) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// A page of the log as a statement. Each combination of conditions is one text, so one prepared statement.
pub(super) struct Page<'r> {
    read: &'r ReadLog,
    wanted: (i64, i64),
    way: Way,
}

/// How the events of a page are found.
enum Way {
    /// As the server sees fit: by position, or by an index that has the events of one key in their order.
    Plain,
    /// By an index that has the events with each of many keys: all are found, and then put into the order of the log. Left to itself,
    /// the server may go through the log instead, since it has to guess how many there are.
    Among(Column, Vec<Uuid>),
    /// By such an index, for one key.
    One(Column, Uuid),
    /// There are none.
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Causation,
    Causing,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Causation => "causation_id",
            Self::Causing => "causing_event",
        }
    }

    /// The ids that a filter wants in it.
    fn wanted(self, filter: &EventFilter) -> Option<Vec<Uuid>> {
        let of_events = |ids: &[uno_core::EventId]| ids.iter().map(|id| *id.as_uuid()).collect();
        match self {
            Self::Id => filter.wanted_ids().map(of_events),
            Self::Causation => filter.wanted_causes().map(<[Uuid]>::to_vec),
            Self::Causing => filter.wanted_causing_events().map(of_events),
        }
    }
}

const COLUMNS_OF_IDS: [Column; 3] = [Column::Id, Column::Causation, Column::Causing];

impl Way {
    fn of(filter: &EventFilter) -> Self {
        for column in COLUMNS_OF_IDS {
            if let Some(mut ids) = column.wanted(filter) {
                ids.sort_unstable();
                ids.dedup();
                return match ids.as_slice() {
                    [] => Self::Nowhere,
                    [id] => Self::One(column, *id),
                    _ => Self::Among(column, ids),
                };
            }
        }
        Self::Plain
    }

    fn done(&self) -> Option<Column> {
        match self {
            Self::Among(column, _) | Self::One(column, _) => Some(*column),
            Self::Plain | Self::Nowhere => None,
        }
    }
}

impl<'r> Page<'r> {
    pub(super) fn new(read: &'r ReadLog, window: &Window) -> Self {
        Self {
            read,
            wanted: window.wanted,
            way: Way::of(read.events()),
        }
    }

    /// The parameters in the order of [`bind`](Self::bind).
    pub(super) fn text(&self) -> String {
        let filter = self.read.events();
        let mut text = Text {
            sql: format!("SELECT {COLUMNS}, s.category, s.key FROM "),
            count: 2,
        };
        let window = "position >= $1 AND e.position <= $2";
        match &self.way {
            Way::Among(column, _) => {
                let (column, keys) = (column.name(), text.next());
                text.push(format_args!(
                    "unnest(${keys}::uuid[]) k(id) CROSS JOIN LATERAL (SELECT * FROM {{schema}}.events e \
                     WHERE e.{column} = k.id AND e.{window} OFFSET 0) e"
                ));
            }
            _ => text.push(format_args!("{{schema}}.events e")),
        }
        text.push(format_args!(
            " JOIN {{schema}}.streams s ON s.id = e.stream WHERE e.{window}"
        ));
        if let Way::One(column, _) = self.way {
            let key = text.next();
            text.push(format_args!(" AND e.{} = ${key}", column.name()));
        }
        let mut any = |wanted: bool, column: &str| {
            if wanted {
                let number = text.next();
                text.push(format_args!(" AND {column} = ANY (${number})"));
            }
        };
        any(filter.wanted_names().is_some(), "e.name");
        any(filter.wanted_categories().is_some(), "s.category");
        for column in COLUMNS_OF_IDS {
            let wanted = column.wanted(filter).is_some() && self.way.done() != Some(column);
            any(wanted, &format!("e.{}", column.name()));
        }
        if filter.wanted_correlation_id().is_some() {
            let number = text.next();
            text.push(format_args!(" AND e.correlation_id = ${number}"));
        }
        if let Some(actor) = filter.wanted_actor() {
            // Postgres can't be asked for a text with NUL, and no event has one.
            if actor.contains('\0') {
                text.sql.push_str(" AND false");
            } else {
                // The index has its hash, since it may be too long for one.
                let number = text.next();
                text.push(format_args!(
                    " AND hashtextextended(e.actor, 0) = hashtextextended(${number}::text COLLATE \"C\", 0) AND e.actor = ${number}"
                ));
            }
        }
        let order = match self.read.direction() {
            Direction::Forward => "ASC",
            Direction::Backward => "DESC",
        };
        let number = text.next();
        text.push(format_args!(" ORDER BY e.position {order} LIMIT ${number}"));
        text.sql
    }

    pub(super) fn bind<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let filter = self.read.events();
        let mut query = query.bind(self.wanted.0).bind(self.wanted.1);
        let uuids = |ids: &[Uuid]| ids.iter().copied().map(PgUuid).collect::<Vec<_>>();
        match &self.way {
            Way::Among(_, ids) => query = query.bind(uuids(ids)),
            Way::One(_, id) => query = query.bind(PgUuid(*id)),
            Way::Plain | Way::Nowhere => {}
        }
        if let Some(names) = filter.wanted_names() {
            let names: Vec<_> = names.iter().map(|name| name.as_str().to_owned()).collect();
            query = query.bind(names);
        }
        if let Some(categories) = filter.wanted_categories() {
            let categories = categories.iter().map(|one| one.as_str().to_owned());
            query = query.bind(categories.collect::<Vec<_>>());
        }
        for column in COLUMNS_OF_IDS {
            if let Some(ids) = column
                .wanted(filter)
                .filter(|_| self.way.done() != Some(column))
            {
                query = query.bind(uuids(&ids));
            }
        }
        if let Some(id) = filter.wanted_correlation_id() {
            query = query.bind(PgUuid(*id.as_uuid()));
        }
        if let Some(actor) = filter.wanted_actor().filter(|actor| !actor.contains('\0')) {
            query = query.bind(actor.to_owned());
        }
        query.bind(limit(self.read.max_events()))
    }
}

/// Statement text that grows.
struct Text {
    sql: String,
    count: usize,
}

impl Text {
    /// The number of the next parameter.
    fn next(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = self.sql.write_fmt(text);
    }
}

#[cfg(test)]
mod tests;
