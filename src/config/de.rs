//! A serde deserializer over [`Item`]s.
//!
//! Every error that passes through it on its way up learns its place: the key's token for an unknown key, the
//! value's for everything else, the table's header for a missing key. A string that was one reference to the
//! environment takes the type that its field wants, and a hole fits every field.

use super::fault::{Fault, wrong_type};
use super::tree::{Entry, Item, Value};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// Reads a value from an item.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub &'a Item);

impl<'a> Reader<'a> {
    fn any<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let read = match &self.0.value {
            Value::Text(text) => visitor.visit_str(&text.value),
            Value::Integer(value) => integer(*value, visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Date => Err(wrong_type(self.0.noun(), &visitor)),
            Value::Array(items) => all_of(items, visitor),
            Value::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Value::Hole => visitor.visit_str(HOLE_TEXT),
        };
        read.map_err(|fault| fault.at_value(self.0))
    }

    /// The string, where it stands for a value of any type.
    fn whole(self) -> Option<&'a str> {
        match &self.0.value {
            Value::Text(text) if text.whole => Some(text.value.trim()),
            _ => None,
        }
    }

    fn is_hole(self) -> bool {
        matches!(self.0.value, Value::Hole)
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.whole() {
            _ if self.is_hole() => Some(1),
            Some(text) => text.replace('_', "").parse::<i128>().ok(),
            None => None,
        };
        match value {
            Some(value) => integer(value, visitor).map_err(|fault| fault.at_value(self.0)),
            None => self.any(visitor),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.whole() {
            _ if self.is_hole() => Some(1.0),
            Some(text) => text.parse::<f64>().ok(),
            None => None,
        };
        match value {
            Some(value) => visitor.visit_f64(value).map_err(|fault: Fault| fault.at_value(self.0)),
            None => self.any(visitor),
        }
    }
}

/// What an unknown string reads as.
const HOLE_TEXT: &str = "placeholder";

fn integer<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, Fault> {
    if let Ok(value) = i64::try_from(value) {
        visitor.visit_i64(value)
    } else if let Ok(value) = u64::try_from(value) {
        visitor.visit_u64(value)
    } else {
        Err(Fault::invalid_value(Unexpected::Other("one that is far too large"), &visitor))
    }
}

/// Reads an array that the visitor has to take all of.
fn all_of<'de, V: Visitor<'de>>(items: &[Item], visitor: V) -> Result<V::Value, Fault> {
    let mut rest = Items(items.iter());
    let read = visitor.visit_seq(&mut rest)?;
    match rest.0.len() {
        0 => Ok(read),
        left => {
            let expected = format!("{} items", items.len() - left);
            Err(Fault::invalid_length(items.len(), &expected.as_str()))
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.whole() {
            _ if self.is_hole() => Some(true),
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        match value {
            Some(value) => visitor.visit_bool(value).map_err(|fault: Fault| fault.at_value(self.0)),
            None => self.any(visitor),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self).map_err(|fault| fault.at_value(self.0))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault| fault.at_value(self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_hole() {
            return visitor.visit_seq(Items([].iter())).map_err(|fault| fault.at_value(self.0));
        }
        self.any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_hole() {
            let nothing = Entries { rest: [].iter(), value: None };
            return visitor.visit_map(nothing).map_err(|fault| fault.at_value(self.0));
        }
        self.any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match &self.0.value {
            Value::Text(text) => visitor.visit_enum(into_enum(&text.value)),
            Value::Hole => visitor.visit_enum(into_enum(variants.first().unwrap_or(&HOLE_TEXT))),
            Value::Table(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant(entry)),
                _ => Err(wrong_type(self.0.noun(), &visitor)),
            },
            _ => Err(wrong_type(self.0.noun(), &visitor)),
        };
        read.map_err(|fault| fault.at_value(self.0))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

fn into_enum(variant: &str) -> StrDeserializer<'_, Fault> {
    variant.into_deserializer()
}

/// The items of an array.
struct Items<'a>(std::slice::Iter<'a, Item>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(item)).map(Some).map_err(|fault| fault.at_value(item))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a table.
struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Fault> = entry.name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.at_key(entry.span.clone(), &entry.item))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(Fault::custom("a value was asked for before its key"));
        };
        let read = seed.deserialize(Reader(&entry.item));
        read.map_err(|fault| fault.at_value(&entry.item).below(&entry.name))
    }
}

/// A variant with content: a table of one entry.
struct Variant<'a>(&'a Entry);

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Fault;
    type Variant = Reader<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Reader<'a>), Fault> {
        let key: StrDeserializer<'_, Fault> = self.0.name.as_str().into_deserializer();
        let variant =
            seed.deserialize(key).map_err(|fault| fault.at_key(self.0.span.clone(), &self.0.item))?;
        Ok((variant, Reader(&self.0.item)))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Err(wrong_type("a table", &"a string").at_value(self.0))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self).map_err(|fault| fault.at_value(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }
}
