//! Events as JSON: one object with `event_id`, `event_type`, `source`, `timestamp` (RFC 3339,
//! nanoseconds), `headers` where there are any, and `data`. The values of a header that is there more than
//! once are an array, in their order.
//!
//! JSON has no bytes: a `MessagePack` byte string appears as `{"$binary": "<base64>"}` and is read
//! back as bytes. Numbers that JSON cannot hold (NaN, infinities) appear as `null`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

use super::{Data, Event, EventId};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

const BINARY: &str = "$binary";

/// The fields of an event's JSON object, on the way in. Further fields are ignored.
#[derive(Deserialize)]
struct Fields {
    event_id: Option<EventId>,
    event_type: String,
    source: String,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    data: Value,
}

impl Event {
    /// The event as one JSON object on one line.
    pub fn to_json(&self) -> String {
        self.to_json_value().to_string()
    }

    /// The event as a JSON object. The values of a header that is there more than once are an array.
    pub fn to_json_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("event_id".into(), self.event_id.to_string().into());
        object.insert("event_type".into(), self.event_type.clone().into());
        object.insert("source".into(), self.source.clone().into());
        object.insert("timestamp".into(), self.timestamp.to_string().into());
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            object.insert("headers".into(), headers_to_value(headers));
        }
        object.insert("data".into(), self.data.to_json_value());
        Value::Object(object)
    }

    /// Reads an event from a JSON object. `event_type` and `source` must be there; a missing
    /// `timestamp` means now, a missing `event_id` that the system makes one. A header is a text, or an array
    /// of the texts that it has.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if the text is no such object.
    pub fn from_json(text: &str) -> Result<Self> {
        let fields: Fields = serde_json::from_str(text).map_err(|source| {
            Error::new(ErrorKind::Decode, format!("the text is no event: {source}"))
                .caused_by(source)
        })?;
        Ok(Event {
            event_id: fields.event_id.unwrap_or(EventId::NIL),
            event_type: fields.event_type,
            source: fields.source,
            timestamp: fields.timestamp.unwrap_or_else(Timestamp::now),
            headers: headers_from(fields.headers)?,
            data: Data::from_json_value(&fields.data)?,
        })
    }
}

/// Headers as a JSON object.
pub(crate) fn headers_to_value<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut object = Map::new();
    for (name, value) in headers {
        match object.get_mut(name) {
            None => {
                object.insert(name.to_owned(), value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    Value::Object(object)
}

fn headers_from(object: Map<String, Value>) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(object.len());
    for (name, value) in object {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let Value::String(value) = value else {
                let message = format!("the text is no event: header {name:?} is {value}, no text");
                return Err(Error::new(ErrorKind::Decode, message));
            };
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

impl Data {
    /// The value as JSON; bytes appear as `{"$binary": "<base64>"}`.
    pub fn to_json_value(&self) -> Value {
        to_value(self.as_bytes()).unwrap_or(Value::Null)
    }

    /// Encodes a JSON value; `{"$binary": "<base64>"}` becomes bytes.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if it nests deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    pub fn from_json_value(value: &Value) -> Result<Self> {
        Data::new(&FromJson(value))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match to_value(self.as_bytes()) {
            Ok(value) => write!(f, "{value}"),
            Err(_) => write!(f, "<{} bytes, no valid MessagePack>", self.as_bytes().len()),
        }
    }
}

/// One `MessagePack` value as JSON.
pub(crate) fn to_value(msgpack: &[u8]) -> Result<Value> {
    super::data::decode::<ToJson>(msgpack).map(|value| value.0)
}

/// A JSON value decoded from any self-describing format.
struct ToJson(Value);

impl<'de> Deserialize<'de> for ToJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToJsonVisitor).map(ToJson)
    }
}

struct ToJsonVisitor;

impl<'de> Visitor<'de> for ToJsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MessagePack value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(binary(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// `MessagePack` extension types arrive so, as a pair of tag and bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(ToJson(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((ToJson(key), ToJson(value))) = map.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

fn binary(bytes: &[u8]) -> Value {
    Value::Object(Map::from_iter([(
        BINARY.to_owned(),
        BASE64.encode(bytes).into(),
    )]))
}

/// A JSON value on its way to `MessagePack`.
struct FromJson<'a>(&'a Value);

impl Serialize for FromJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(FromJson)),
            Value::Object(fields) => match bytes_of(fields) {
                Some(bytes) => serializer.serialize_bytes(&bytes),
                None => serializer.collect_map(fields.iter().map(|(k, v)| (k, FromJson(v)))),
            },
            plain => plain.serialize(serializer),
        }
    }
}

fn bytes_of(fields: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = fields.get(BINARY).filter(|_| fields.len() == 1)?.as_str()?;
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_survives_the_way_through_json() {
        let data = serde_json::json!({
            "a": [1, -2, 3.5, null, true, u64::MAX], "b": {"$binary": "AAEC"}, "ü": {"n": {}},
        });
        let mut event = Event::new("t", "s", &0).unwrap().with_header("trace", "1");
        event.data = Data::from_json_value(&data).unwrap();
        assert_eq!(event.data.to_json_value(), data);
        assert!(
            event.data.as_bytes().windows(3).any(|w| w == [0, 1, 2]),
            "bytes are bytes"
        );
        assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
    }

    #[test]
    fn a_header_that_is_there_twice_keeps_both_values() {
        let event = Event::new("t", "s", &0).unwrap().with_header("tag", "a");
        let event = event.with_header("tag", "b").with_header("trace", "1");
        let headers = serde_json::json!({"tag": ["a", "b"], "trace": "1"});
        assert_eq!(event.to_json_value()["headers"], headers);
        assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
        let system = crate::EventSystem::builder().open().unwrap();
        let seq = system.emit(&event).unwrap().seq;
        let stored = system.store().get(seq).unwrap().unwrap();
        assert_eq!(stored.event().to_json_value()["headers"], headers);
        system.close().unwrap();
    }

    #[test]
    fn what_is_no_event_is_a_clear_error() {
        for (text, says) in [
            ("", "EOF"),
            ("[]", "no event"),
            (r#"{"event_type":"t","data":1}"#, "source"),
            (
                r#"{"event_type":"t","source":"s","timestamp":"yesterday"}"#,
                "no event",
            ),
            (
                r#"{"event_type":"t","source":"s","event_id":"1"}"#,
                "no UUID",
            ),
            (
                r#"{"event_type":"t","source":"s","headers":{"a":1}}"#,
                "header \"a\"",
            ),
            (
                r#"{"event_type":"t","source":"s","headers":{"a":["1",2]}}"#,
                "header \"a\"",
            ),
        ] {
            let error = Event::from_json(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(error.to_string().contains(says), "{error}");
        }
        let deep = format!(
            r#"{{"event_type":"t","source":"s","data":{}{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(
            Event::from_json(&deep).unwrap_err().kind(),
            ErrorKind::Decode
        );
    }

    #[test]
    fn keys_that_are_no_text_are_shown_as_text() {
        let event = Event::new("t", "s", &std::collections::BTreeMap::from([(1, f64::NAN)]));
        assert_eq!(
            event.unwrap().data.to_json_value(),
            serde_json::json!({"1": null})
        );
    }
}
