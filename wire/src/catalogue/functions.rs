//! Functions that clients of Postgres call and DataFusion has not: settings, versions, comments.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_query::CATALOG;

/// The Postgres version whose catalogue this is.
pub(crate) const SERVER_VERSION: &str = concat!("16.6 (Tidewatch ", env!("CARGO_PKG_VERSION"), ")");

/// Settings as `SHOW` and `current_setting` tell them when a session has not set them: name, value.
const DEFAULTS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("block_size", "8192"),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, YMD"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// Who is connected, and what the session has set. Names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SessionValues {
    /// The user of the session.
    pub user: String,
    /// What was set, by name.
    pub set: BTreeMap<String, String>,
}

impl SessionValues {
    /// A setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        if name == "session_authorization" {
            return Some(&self.user);
        }
        let default = || DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        self.set.get(&name).map(String::as_str).or_else(default)
    }

    /// Every setting, by name.
    pub fn all(&self) -> BTreeMap<String, String> {
        let defaults = DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        defaults.chain(self.set.clone()).collect()
    }
}

/// The functions of a session.
pub(super) fn all(values: &Arc<SessionValues>) -> Vec<ScalarUDF> {
    let text = |name: &'static str, value: &str| constant(name, ScalarValue::from(value));
    let null = |name: &'static str| constant(name, ScalarValue::Utf8(None));
    let truth = |name: &'static str, value: bool| constant(name, ScalarValue::from(value));
    vec![
        ScalarUDF::from(CurrentSetting { values: Arc::clone(values), signature: setting_signature() }),
        text("version", &format!("PostgreSQL {SERVER_VERSION}")),
        text("current_database", CATALOG),
        text("current_schema", tidewatch_query::SCHEMA),
        text("current_user", &values.user),
        text("session_user", &values.user),
        text("user", &values.user),
        null("obj_description"),
        null("col_description"),
        null("shobj_description"),
        null("pg_get_viewdef"),
        null("pg_get_indexdef"),
        null("pg_get_serial_sequence"),
        null("pg_get_ruledef"),
        null("pg_get_function_result"),
        null("pg_get_function_arguments"),
        null("pg_get_function_identity_arguments"),
        null("pg_get_functiondef"),
        null("pg_tablespace_location"),
        null("inet_server_addr"),
        null("pg_advisory_unlock_all"),
        text("pg_export_snapshot", "00000003-00000001-1"),
        text("pg_size_pretty", "0 bytes"),
        constant("pg_table_size", ScalarValue::from(0i64)),
        constant("pg_indexes_size", ScalarValue::from(0i64)),
        constant("pg_database_size", ScalarValue::from(0i64)),
        constant("pg_my_temp_schema", ScalarValue::from(0i32)),
        constant("txid_current", ScalarValue::from(1i64)),
        truth("pg_is_in_recovery", false),
        truth("pg_type_is_visible", true),
        truth("pg_function_is_visible", true),
        truth("has_column_privilege", true),
        truth("has_sequence_privilege", false),
        truth("pg_has_role", true),
    ]
}

fn constant(name: &'static str, value: ScalarValue) -> ScalarUDF {
    let types = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    ScalarUDF::from(Constant { name, value, signature: Signature::one_of(types, Volatility::Stable) })
}

/// The same whatever it is asked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

fn setting_signature() -> Signature {
    let one = TypeSignature::Exact(vec![DataType::Utf8]);
    let two = TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]);
    Signature::one_of(vec![one, two], Volatility::Stable)
}

/// `current_setting(name [, missing_ok])`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    values: Arc<SessionValues>,
    signature: Signature,
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(name)))) = args.args.first() else {
            return exec_err!("current_setting takes the name of a setting");
        };
        let is_missing_fine = matches!(args.args.get(1), Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))));
        match self.values.get(name) {
            None if !is_missing_fine => exec_err!("unrecognized configuration parameter \"{name}\""),
            value => Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value.map(str::to_owned)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_sets_wins() {
        let mut values = SessionValues { user: "anna".to_owned(), ..SessionValues::default() };
        assert_eq!((values.get("TimeZone"), values.get("session_authorization")), (Some("UTC"), Some("anna")));
        values.set.insert("search_path".to_owned(), "x".to_owned());
        assert_eq!((values.get("search_path"), values.get("nonsense")), (Some("x"), None));
        assert_eq!(values.all()["search_path"], "x");
        let names: Vec<_> = DEFAULTS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted() && names.iter().all(|n| n.to_lowercase() == *n), "{names:?}");
    }
}
