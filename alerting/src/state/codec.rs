//! How states are written: labels as a map, numbers as texts (JSON has no infinity), instances as a list.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidewatch_promql::{Labels, number};

use super::{Fingerprint, Instance};

pub(crate) mod labels {
    use super::*;

    pub fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(labels.iter().map(|label| (&*label.name, &*label.value)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Labels::new)
    }
}

pub(crate) mod float {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&number::plain(*value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        read(&String::deserialize(deserializer)?)
    }
}

pub(crate) mod optional_float {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(number::plain).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| read(&text)).transpose()
    }
}

fn read<E: serde::de::Error>(text: &str) -> Result<f64, E> {
    // Not the reader of PromQL, which takes a leading zero for octal.
    text.parse().map_err(|_| E::custom(format!("expected a number, found {text:?}")))
}

pub(crate) mod instances {
    use super::*;

    pub fn serialize<S: Serializer>(
        instances: &BTreeMap<Fingerprint, Instance>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(instances.values())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Fingerprint, Instance>, D::Error> {
        let list = Vec::<Instance>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|instance| (Fingerprint::of(&instance.labels), instance)).collect())
    }
}

pub(crate) mod shared {
    use std::sync::Arc;

    use super::*;

    pub fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}
