//! Finds floats that JSON has no text for, before they would silently become `null`.

use std::fmt;

use serde::{
    Serialize,
    ser::{self, Serializer},
};

use crate::Refusal;

/// Whether every float in `value` is finite; the refusal names the field that is not.
///
/// A value that serde can't serialize at all is left to the encoder, which says why.
pub(crate) fn finite<T: Serialize + ?Sized>(value: &T) -> Result<(), Refusal> {
    let mut path = String::from("payload");
    match value.serialize(Finite { path: &mut path }) {
        Err(Stop::NotFinite) => Err(Refusal::new(
            path,
            "is not a finite number, and JSON has no text for that",
        )),
        Ok(()) | Err(Stop::Other) => Ok(()),
    }
}

/// A serializer that writes nothing. `path` is where it is; on failure it stays there.
struct Finite<'p> {
    path: &'p mut String,
}

#[derive(Debug)]
enum Stop {
    NotFinite,
    Other,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }
}

/// A list, map or struct under way.
struct Within<'p> {
    path: &'p mut String,
    index: usize,
}

impl Within<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        let length = self.path.len();
        self.path.push_str(&format!("[{}]", self.index));
        self.index += 1;
        value.serialize(Finite { path: self.path })?;
        self.path.truncate(length);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Stop> {
        let length = self.path.len();
        self.path.push('.');
        self.path.push_str(name);
        value.serialize(Finite { path: self.path })?;
        self.path.truncate(length);
        Ok(())
    }
}

impl<'p> Serializer for Finite<'p> {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Within<'p>;
    type SerializeTuple = Within<'p>;
    type SerializeTupleStruct = Within<'p>;
    type SerializeTupleVariant = Within<'p>;
    type SerializeMap = Within<'p>;
    type SerializeStruct = Within<'p>;
    type SerializeStructVariant = Within<'p>;

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Stop::NotFinite)
        }
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Stop::NotFinite)
        }
    }

    fn serialize_bool(self, _: bool) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_i8(self, _: i8) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_i16(self, _: i16) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_i32(self, _: i32) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_i64(self, _: i64) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_i128(self, _: i128) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_u8(self, _: u8) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_u16(self, _: u16) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_u32(self, _: u32) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_u64(self, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_u128(self, _: u128) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_char(self, _: char) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_str(self, _: &str) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        Within {
            path: self.path,
            index: 0,
        }
        .field(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Within<'p>, Stop> {
        Ok(Within {
            path: self.path,
            index: 0,
        })
    }

    // As serde_json: some types write themselves otherwise for people than for machines.
    fn is_human_readable(&self) -> bool {
        true
    }
}

impl ser::SerializeSeq for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.element(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeTuple for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.element(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeTupleStruct for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.element(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeTupleVariant for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.element(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeStruct for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeStructVariant for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl ser::SerializeMap for Within<'_> {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Stop> {
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.element(value)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Line {
        price: Option<f64>,
    }

    #[derive(Serialize)]
    struct Order {
        id: u64,
        lines: Vec<Line>,
    }

    #[test]
    fn the_field_that_is_not_finite_is_named() {
        let order = |price| Order {
            id: 1,
            lines: vec![Line { price: None }, Line { price: Some(price) }],
        };
        assert_eq!(finite(&order(1.5)), Ok(()));
        for price in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(
                finite(&order(price)).unwrap_err().field(),
                "payload.lines[1].price"
            );
        }
        assert!(finite(&f32::NAN).is_err());
    }
}
