//! An event of a test as the CloudEvents JSON that a producer would send.

use serde_json::{Map, Value as Json, json};
use serde_yaml_ng::{Mapping, Value};
use tidewatch_engine::rollup::Catalog;

/// Producer of events that name none.
const PRODUCER: &str = "/test";

/// An event as written.
#[derive(Debug)]
pub struct TestEvent {
    /// Where it stands: file and line.
    pub place: String,
    /// Name of a source.
    pub source: String,
    /// Attributes but for the type, which is that of the source.
    envelope: Map<String, Json>,
    data: Map<String, Json>,
}

impl TestEvent {
    /// Reads the keys of an event; `number` makes an id for one that has none.
    pub fn read(place: String, number: usize, source: String, keys: Mapping) -> Result<Self, String> {
        let mut envelope = Map::new();
        let mut data = Map::new();
        envelope.insert("specversion".to_owned(), json!("1.0"));
        envelope.insert("id".to_owned(), json!(format!("e{number}")));
        envelope.insert("source".to_owned(), json!(PRODUCER));
        for (key, value) in keys {
            let Value::String(key) = key else { return Err(format!("a key is text, found {key:?}")) };
            let value = to_json(value).map_err(|e| format!("{key}: {e}"))?;
            match (key.as_str(), value) {
                ("at", value) => _ = envelope.insert("time".to_owned(), value),
                ("tenant", Json::String(tenant)) => {
                    let (kind, id) = tenant.split_once(':').ok_or_else(|| not_a_tenant(&tenant))?;
                    envelope.insert("tenantkind".to_owned(), kind.into());
                    envelope.insert("tenantid".to_owned(), id.into());
                }
                ("tenant", other) => return Err(not_a_tenant(&other.to_string())),
                // The attribute is text, however it is written here.
                ("sequence", Json::Number(number)) => _ = envelope.insert(key, number.to_string().into()),
                ("id" | "source" | "subject" | "sequence", value) => _ = envelope.insert(key, value),
                (_, value) => _ = data.insert(key, value),
            }
        }
        Ok(Self { place, source, envelope, data })
    }

    /// The bytes of the record, or that there is no such source.
    pub fn record(&self, catalog: &Catalog) -> Result<Vec<u8>, String> {
        let declared = || catalog.sources.iter().map(|s| &s.def).chain(&catalog.unused);
        let Some(def) = declared().find(|def| def.name == self.source) else {
            let mut names: Vec<&str> = declared().map(|def| def.name.as_str()).collect();
            names.sort_unstable();
            return Err(format!("no source named {}\n  hint: there are {}", self.source, names.join(", ")));
        };
        let mut event = self.envelope.clone();
        event.insert("type".to_owned(), def.event_type.as_str().into());
        event.insert("data".to_owned(), Json::Object(self.data.clone()));
        Ok(Json::Object(event).to_string().into_bytes())
    }
}

fn not_a_tenant(found: &str) -> String {
    format!("tenant: expected \"kind:id\", as in \"creator:c1\", found {found}")
}

fn to_json(value: Value) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) => value.into(),
            (_, Some(value), _) => value.into(),
            (.., Some(value)) if value.is_finite() => value.into(),
            _ => return Err("JSON has no infinities".to_owned()),
        },
        Value::Sequence(values) => Json::Array(values.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let Value::String(key) = key else { return Err(format!("a key is text, found {key:?}")) };
                object.insert(key, to_json(value)?);
            }
            Json::Object(object)
        }
        Value::Tagged(tagged) => return Err(format!("{} says nothing in JSON", tagged.tag)),
    })
}
