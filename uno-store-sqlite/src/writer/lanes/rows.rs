//! Rows of [`Division`].

use serde_json::{Value, json};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uno_core::{LeaseOwner, Position, StoreError, SubscriptionName};
use uuid::Uuid;

use super::{Changes, Division, Member, Row};
use crate::{
    error::{Location, corrupt},
    row::{self, column},
    script::Script,
};

const SUBSCRIPTION: &str = "SELECT lanes, wanted FROM uno_subscriptions WHERE name = ?";

const LANES: &str = "SELECT epoch, position, event_id, lane, fence, owner, owner_name, attempt_position, attempt, unexplained \
     FROM uno_checkpoints WHERE subscription = ?";

const MEMBERS: &str = "SELECT owner, name, until, counts FROM uno_members WHERE subscription = ?";

const PUT_SUBSCRIPTION: &str = "INSERT INTO uno_subscriptions (name, lanes, wanted) VALUES (?, ?, ?) \
     ON CONFLICT DO UPDATE SET lanes = excluded.lanes, wanted = excluded.wanted";

const END_LANES: &str = "DELETE FROM uno_checkpoints WHERE subscription = ? AND lane >= ?";

const PUT_LANES: &str = "INSERT INTO uno_checkpoints \
        (subscription, lane, epoch, position, event_id, fence, owner, owner_name, attempt_position, attempt, unexplained) \
     SELECT value->>0, value->>1, unhex(value->>2), value->>3, unhex(value->>4), value->>5, unhex(value->>6), value->>7, \
        value->>8, value->>9, value->>10 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET epoch = excluded.epoch, position = excluded.position, event_id = excluded.event_id, \
        fence = excluded.fence, owner = excluded.owner, owner_name = excluded.owner_name, \
        attempt_position = excluded.attempt_position, attempt = excluded.attempt, unexplained = excluded.unexplained";

const REMOVE_MEMBERS: &str = "DELETE FROM uno_members \
     WHERE (subscription, owner) IN (SELECT value->>0, unhex(value->>1) FROM jsonb_each(?))";

const PUT_MEMBERS: &str = "INSERT INTO uno_members (subscription, owner, name, until, counts) \
     SELECT value->>0, unhex(value->>1), value->>2, value->>3, value->>4 FROM jsonb_each(?) WHERE true \
     ON CONFLICT DO UPDATE SET name = excluded.name, until = excluded.until, counts = excluded.counts";

impl Division {
    /// The subscription as it is, within a transaction that has the right to write.
    pub(crate) async fn load(
        subscription: &SubscriptionName,
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let mut division = Self {
            number: None,
            wanted: None,
            lanes: Default::default(),
            members: Default::default(),
            changes: Changes::default(),
        };
        let mut script = Script::new();
        for statement in [SUBSCRIPTION, LANES, MEMBERS] {
            script.push(statement).bind(subscription.as_str());
        }
        let loaded = script.run(connection, |statement, row| match statement {
            0 => division.learn_number(row),
            1 => division.learn_lane(row),
            _ => division.learn_member(row),
        });
        loaded
            .await
            .map_err(|failure| failure.into_store_error(location))?;
        Ok(division)
    }

    fn learn_number(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        let number = |count: i64| row::lane_count(count).map(Some);
        self.number = number(column(row, 0)?)?;
        self.wanted = column::<Option<i64>>(row, 1)?.map_or(Ok(None), number)?;
        Ok(())
    }

    fn learn_lane(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        let lane = row::lane(row, 3)?;
        let checkpoint = row::checkpoint(row, 0)?;
        let (fence, attempt) = (row::fence(row, 4)?.get(), row::attempt(row, 7)?);
        let holder = row::holder(row, 5)?;
        let unexplained = column(row, 9)?;
        let row = Row {
            checkpoint,
            fence,
            holder,
            attempt,
            unexplained,
        };
        self.lanes.insert(lane.get(), row);
        Ok(())
    }

    fn learn_member(&mut self, row: &SqliteRow) -> Result<(), StoreError> {
        let fault = || corrupt("a member of a subscription");
        let owner = row::uuid(column(row, 0)?).ok_or_else(fault)?;
        let member = Member {
            name: column(row, 1)?,
            until: row::time(column(row, 2)?).ok_or_else(fault)?,
            counts: column(row, 3)?,
        };
        self.members.insert(owner, member);
        Ok(())
    }

    /// Writes back what was changed.
    pub(crate) async fn save(
        &self,
        subscription: &SubscriptionName,
        location: &Location,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let mut script = Script::new();
        let (name, changes) = (subscription.as_str(), &self.changes);
        if let (true, Some(number)) = (changes.subscription, self.number) {
            script
                .push(PUT_SUBSCRIPTION)
                .bind(name)
                .bind(i64::from(number.get()))
                .bind(self.wanted.map(|wanted| i64::from(wanted.get())));
        }
        if let Some(end) = changes.end {
            script.push(END_LANES).bind(name).bind(i64::from(end));
        }
        let lanes = changes.lanes.iter();
        let lanes = lanes.filter_map(|lane| Some(self.lanes.get(lane)?.to_json(name, *lane)));
        put(PUT_LANES, &lanes.collect::<Vec<_>>(), &mut script);
        let (there, gone): (Vec<_>, Vec<_>) = changes
            .members
            .iter()
            .partition(|id| self.members.contains_key(id));
        let gone = gone.into_iter().map(|id| json!([name, hex(id)]));
        put(REMOVE_MEMBERS, &gone.collect::<Vec<_>>(), &mut script);
        let there = there.into_iter().filter_map(|id| {
            let member = self.members.get(id)?;
            let until = member.until.timestamp_micros();
            Some(json!([
                name,
                hex(id),
                member.name,
                until,
                i64::from(member.counts)
            ]))
        });
        put(PUT_MEMBERS, &there.collect::<Vec<_>>(), &mut script);
        if script.len() == 0 {
            return Ok(());
        }
        script
            .execute(connection)
            .await
            .map_err(|failure| failure.into_store_error(location))
    }
}

impl Row {
    fn to_json(&self, subscription: &str, lane: u16) -> Value {
        let checkpoint = self.checkpoint.as_ref();
        let attempt = self.attempt;
        let event = checkpoint.and_then(|checkpoint| checkpoint.event_id());
        json!([
            subscription,
            lane,
            checkpoint.map(|checkpoint| hex(checkpoint.epoch().as_uuid())),
            checkpoint.map(|checkpoint| checkpoint.position().as_i64()),
            event.map(|id| hex(id.as_uuid())),
            self.fence,
            self.holder.as_ref().map(|holder| hex(&holder.id())),
            self.holder.as_ref().map(LeaseOwner::name),
            attempt.map(|(position, _): (Position, u32)| position.as_i64()),
            attempt.map(|(_, count)| count),
            i64::from(self.unexplained),
        ])
    }
}

fn put(statement: &str, rows: &[Value], script: &mut Script) {
    if !rows.is_empty() {
        script.push(statement).bind_json(&rows);
    }
}

fn hex(id: &Uuid) -> String {
    id.simple().to_string()
}
