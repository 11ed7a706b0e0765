//! The members of derived sets. All that a set needs of a member is asked for in one place, `of`, so that the compiler
//! has one thing to say of a type that is no event or command, and says it once.

use std::fmt;

use serde_json::Value;

use super::{
    Command, CommandDescriptor, CommandSet, Event, EventDescriptor, EventSet, JsonError, Refusal,
    SchemaVersion,
};

/// What a set does with one of its event types.
pub struct EventMember<E> {
    descriptor: EventDescriptor,
    to_json: fn(&E) -> Result<String, JsonError>,
    from_json: fn(&str) -> Result<E, JsonError>,
    from_older: fn(SchemaVersion, &str) -> Option<Result<E, JsonError>>,
    from_tree: fn(Value) -> Result<E, JsonError>,
    check: fn(&E) -> Result<(), Refusal>,
}

impl<E> EventMember<E> {
    /// The event type as a member.
    #[must_use]
    pub const fn of() -> Self
    where
        E: Event,
    {
        Self {
            descriptor: E::DESCRIPTOR,
            to_json: <E as EventSet>::to_json,
            from_json: |payload| serde_json::from_str(payload),
            from_older: <E as Event>::from_older,
            from_tree: |payload| serde_json::from_value(payload),
            check: <E as EventSet>::check,
        }
    }

    /// The type of the event.
    #[must_use]
    pub const fn descriptor(&self) -> EventDescriptor {
        self.descriptor
    }

    /// The event as JSON.
    ///
    /// # Errors
    /// When serde can't serialize it.
    pub fn to_json(&self, event: &E) -> Result<String, JsonError> {
        (self.to_json)(event)
    }

    /// The event from JSON.
    ///
    /// # Errors
    /// When the payload does not have the event's shape.
    pub fn from_json(&self, payload: &str) -> Result<E, JsonError> {
        (self.from_json)(payload)
    }

    /// The event from JSON of an older version, if all steps from there on are between types.
    ///
    /// # Errors
    /// When the payload does not have the shape of that version.
    #[must_use]
    pub fn from_older(
        &self,
        version: SchemaVersion,
        payload: &str,
    ) -> Option<Result<E, JsonError>> {
        (self.from_older)(version, payload)
    }

    /// The event from a tree.
    ///
    /// # Errors
    /// When the payload does not have the event's shape.
    pub fn from_tree(&self, payload: Value) -> Result<E, JsonError> {
        (self.from_tree)(payload)
    }

    /// Whether every number in the event can be written as JSON.
    ///
    /// # Errors
    /// When a float is NaN or infinite.
    pub fn check(&self, event: &E) -> Result<(), Refusal> {
        (self.check)(event)
    }
}

impl<E> fmt::Debug for EventMember<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventMember")
            .field(&self.descriptor)
            .finish()
    }
}

/// What a set does with one of its command types.
pub struct CommandMember<C> {
    descriptor: CommandDescriptor,
    to_json: fn(&C) -> Result<String, JsonError>,
}

impl<C> CommandMember<C> {
    /// The command type as a member.
    #[must_use]
    pub const fn of() -> Self
    where
        C: Command,
    {
        Self {
            descriptor: C::DESCRIPTOR,
            to_json: <C as CommandSet>::to_json,
        }
    }

    /// The type of the command.
    #[must_use]
    pub const fn descriptor(&self) -> CommandDescriptor {
        self.descriptor
    }

    /// The command as JSON.
    ///
    /// # Errors
    /// When serde can't serialize it.
    pub fn to_json(&self, command: &C) -> Result<String, JsonError> {
        (self.to_json)(command)
    }
}

impl<C> fmt::Debug for CommandMember<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommandMember")
            .field(&self.descriptor)
            .finish()
    }
}
