//! What decoding accepts, what it refuses and why, and that a refused record leaves nothing behind.

mod cost;
mod envelopes;
mod explode;
mod robustness;
mod values;

use super::*;
use arrow::array::Array;
use arrow::util::display::array_value_to_string;
use std::sync::LazyLock;
use tidewatch_engine::time::SECOND_US;

const TOPIC: &str = "orders.events.v1";
/// 2026-03-14T18:22:10Z: arrival of every record here.
const NOW_US: i64 = 1_773_512_530 * SECOND_US;
const LIMITS: DecodeLimits =
    DecodeLimits { record_bytes_max: 1 << 20, string_bytes_max: 64, explode_max: 3, future_max_us: 300 * SECOND_US };

const SOURCES: &str = "
sources:
  - name: order_paid
    topic: orders.events.v1
    type: orders.order.paid.v1
    time_fallback: [paid_at, placed_at, seen_at]
    fields:
      amount: {type: int64, required: true}
      price: decimal(2)
      ratio: float64
      is_gift: boolean
      paid_at: timestamp
      placed_at: timestamp
      seen_at: {type: timestamp, path: seen.at}
      note: string
      unread: int64
      currency: {enum: [USD, EUR], aliases: {usd: USD}}
      status: {enum: [paid, void], on_unknown: reject}
      customer.tier: string
      shop_region: {type: string, path: tenant.region}
  - name: order_shipped
    topic: orders.events.v1
    type: orders.order.shipped.v1
";

const ROLLUPS: &str = "
CREATE ROLLUP orders AS
SELECT tenant, event_id, event_source, subject, sequence, amount, is_gift, note, currency, status, customer_tier, shop_region,
       sum(price) AS price, max(ratio) AS ratio, max(paid_at) AS paid_at
FROM order_paid
GROUP BY tumble(INTERVAL '10 seconds'), tenant, event_id, event_source, subject, sequence, amount, is_gift, note,
         currency, status, customer_tier, shop_region;
";

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    Catalog::parse(&text("sources.yaml", SOURCES), &text("rollups.sql", ROLLUPS)).unwrap()
});

fn decoder() -> Decoder {
    Decoder::new(&CATALOG, LIMITS)
}

/// Headers from a list.
#[derive(Debug)]
struct List<'a>(pub &'a [(&'a str, &'a [u8])]);

impl Headers for List<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

/// A structured event with this `data`.
fn event(data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e1","source":"/shop","type":"orders.order.paid.v1","subject":"order/1","time":"2026-03-14T18:22:07Z","tenantkind":"creator","tenantid":"c1","data":{data}}}"#
    )
}

/// What the members of `data` need at least, to be followed by more.
const LEAST: &str = r#""amount":1"#;

fn decode_with<'d>(
    decoder: &'d mut Decoder,
    payload: &[u8],
    headers: &dyn Headers,
) -> Result<Decoded<'d>, Box<Reject>> {
    decoder.decode(&RawRecord { topic: Some(TOPIC), payload, timestamp_us: Some(NOW_US), headers }, NOW_US)
}

fn decode<'d>(decoder: &'d mut Decoder, payload: &[u8]) -> Result<Decoded<'d>, Box<Reject>> {
    decode_with(decoder, payload, &NoHeaders)
}

/// What decoding said, apart from the decoder.
fn said(decoded: Result<Decoded<'_>, Box<Reject>>) -> Result<Vec<SourceRows>, Box<Reject>> {
    decoded.map(|decoded| match decoded {
        Decoded::Rows { sources, .. } => sources.to_vec(),
        Decoded::Ignored { .. } => Vec::new(),
    })
}

/// The rows since the last call, as `name=value` of all columns that are not null.
fn rows(decoder: &mut Decoder) -> Vec<String> {
    let Some(batch) = decoder.take(0).unwrap() else { return Vec::new() };
    let fields = batch.columns.schema();
    let row = |row: usize| {
        let cells = fields.fields().iter().zip(batch.columns.columns()).filter(|(_, column)| column.is_valid(row));
        let cells: Vec<_> =
            cells.map(|(f, column)| format!("{}={}", f.name(), array_value_to_string(column, row).unwrap())).collect();
        cells.join(" ")
    };
    assert_eq!(batch.columns.num_rows(), batch.event_time_us.len());
    (0..batch.columns.num_rows()).map(row).collect()
}

/// The row of one event without its envelope, or `reason: detail`.
fn outcome(decoder: &mut Decoder, payload: &[u8]) -> String {
    match decode(decoder, payload) {
        Ok(Decoded::Rows { .. }) => {
            let row = rows(decoder).remove(0);
            let envelope = ["tenant", "event_id", "event_source", "subject"];
            let cells: Vec<_> =
                row.split(' ').filter(|c| !envelope.iter().any(|e| c.starts_with(&format!("{e}=")))).collect();
            cells.join(" ")
        }
        Ok(Decoded::Ignored { declared }) => format!("ignored, declared: {declared}"),
        Err(reject) => reject.to_string(),
    }
}
