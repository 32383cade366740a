//! What to do about a letter, by its reason.

/// One or two sentences; `None` for a reason of another version.
pub fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "broken_json" => {
            "The producer sent something that is no JSON. Put the event together again and redrive it with --repaired."
        }
        "missing_attribute" => {
            "Add what the detail names. Events in binary mode have their attributes in headers, which a letter does not keep: repair them as one CloudEvents object."
        }
        "missing_tenant" => {
            "Add tenantkind and tenantid: there is no default tenant, so that nobody's numbers get mixed."
        }
        "wrong_type" => "Repair the value, or correct the field's type in sources.yaml, and redrive.",
        "unknown_enum" => {
            "Add the value to the enum in sources.yaml, or repair it. A letter that is kept_as_other counts already."
        }
        "bad_timestamp" => "Write time as in 2026-03-14T18:00:00Z.",
        "future_timestamp" => {
            "The producer's clock was wrong: repair time. If such events are right, raise ingest.future_max and redrive."
        }
        "record_too_large" => {
            "Raise ingest.record_bytes_max, or repair the event without what makes it large; not all of its bytes are kept here."
        }
        "string_too_long" => "Raise ingest.string_bytes_max and redrive, or shorten the value.",
        "too_many_elements" => "Raise ingest.explode_max and redrive.",
        "unsupported_format" => "Send CloudEvents 1.0 with JSON in data; repair this one as such an object.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tidewatch_ingest::decode::Reason;

    #[test]
    fn every_reason_has_its_advice() {
        for reason in Reason::ALL {
            assert!(super::advice(reason.as_str()).is_some(), "{reason:?}");
        }
    }
}
