//! [`Place`]: a place in the log, as callers get it and bring it back.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use uno::{core::StoreEpoch, prelude::*};
use uuid::Uuid;

/// A place in the log, with the life of the store that it belongs to: `1742@0190…`. It is what the receipt of a command and the id of an event in
/// the feed are to callers: a text that they bring back as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub position: Position,
    pub epoch: StoreEpoch,
}

impl Place {
    /// Where the last event of a receipt is; `None` when nothing had to be done.
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let epoch = receipt.epoch();
        receipt.position().map(|position| Self { position, epoch })
    }

    /// As far as one can wait for it, the receipt that it was made of.
    pub fn receipt(self) -> Receipt {
        Receipt::new(self.epoch, Some(self.position), Vec::new())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.position, self.epoch)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (position, epoch) = text.split_once('@').ok_or(NoPlace)?;
        let position: u64 = position.parse().map_err(|_| NoPlace)?;
        let epoch: Uuid = epoch.parse().map_err(|_| NoPlace)?;
        Ok(Self {
            position: Position::new(position).map_err(|_| NoPlace)?,
            epoch: StoreEpoch::from_uuid(epoch),
        })
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text was not given out here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a receipt or the id of an event, as they were given out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let place = Place {
            position: Position::new(1742).unwrap(),
            epoch: StoreEpoch::new(),
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "7", "@", "7@", "x@y", "-1@", "18446744073709551616@0"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
