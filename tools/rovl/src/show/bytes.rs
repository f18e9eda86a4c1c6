// SPDX-License-Identifier: GPL-2.0

//! Bytes in JSON, whose texts are UTF-8: they are written as [`name`] shows them, so that one rule
//! holds for both outputs and any bytes can be had back.

use super::escape::{name, unescape};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that JSON has as an escaped text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unescape(&text)
            .ok_or_else(|| serde::de::Error::custom("a text with a wrong escape in it"))?;
        Ok(Self(bytes))
    }
}

impl<T: Into<Vec<u8>>> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

/// For fields of bytes: `#[serde(serialize_with = "show::bytes")]`.
pub fn bytes<T: AsRef<[u8]>, S: Serializer>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name(bytes.as_ref()))
}

/// For fields of bytes that may not be there: `#[serde(serialize_with = "show::opt_bytes")]`.
pub fn opt_bytes<T: AsRef<[u8]>, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => bytes(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn json_has_the_escapes() {
        let bytes = Bytes(b"a\\b\xff\n".to_vec());
        let json = serde_json::to_string(&bytes).expect("a text");
        assert_eq!(json, r#""a\\\\b\\xff\\x0a""#);
        assert_eq!(serde_json::from_str::<Bytes>(&json).expect("ours"), bytes);
        assert!(serde_json::from_str::<Bytes>(r#""\\q""#).is_err());
    }
}
