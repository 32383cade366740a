//! Any bytes as an event: what is counted is JSON to another library as well, a refused one leaves nothing behind, and
//! an event counts the same after any other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::decode::{DecodeLimits, Decoded, Decoder, NoHeaders, RawRecord};

const SOURCES: &str = "
sources:
  - name: order_paid
    topic: orders
    type: order.paid
    time_fallback: [paid_at]
    explode: items
    fields:
      amount: {type: int64, required: true}
      price: decimal(2)
      ratio: float64
      is_gift: boolean
      paid_at: timestamp
      note: string
      currency: {enum: [USD, EUR], aliases: {usd: USD}}
      customer.tier: string
      items.sku: string
      items.quantity: int64
";

const ROLLUPS: &str = "
CREATE ROLLUP orders AS
SELECT tenant, amount, is_gift, note, currency, customer_tier, items_sku,
       sum(price) AS price, max(ratio) AS ratio, max(paid_at) AS paid_at, sum(items_quantity) AS quantity
FROM order_paid
GROUP BY tumble(INTERVAL '10 seconds'), tenant, amount, is_gift, note, currency, customer_tier, items_sku;
";

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    Catalog::parse(&text("sources.yaml", SOURCES), &text("rollups.sql", ROLLUPS)).expect("definitions")
});

const NOW_US: i64 = 1_773_512_530_000_000;

fuzz_target!(|payload: &[u8]| {
    let limits =
        DecodeLimits { record_bytes_max: 1 << 20, string_bytes_max: 64, explode_max: 3, future_max_us: 300_000_000 };
    let mut decoder = Decoder::new(&CATALOG, limits);
    for topic in [None, Some("orders")] {
        let record = RawRecord { topic, payload, timestamp_us: Some(NOW_US), headers: &NoHeaders };
        let rows = match decoder.decode(&record, NOW_US) {
            Ok(Decoded::Rows { sources, .. }) => sources.iter().map(|s| s.rows).sum(),
            Ok(Decoded::Ignored { .. }) | Err(_) => 0,
        };
        assert_eq!(decoder.row_count(), rows, "a refused event leaves nothing behind");
        if rows > 0 {
            let read: Result<serde_json::Value, _> = serde_json::from_slice(payload);
            assert!(read.is_ok(), "{read:?}");
        }
        let batch = (0..CATALOG.sources.len()).filter_map(|source| decoder.take(source).expect("columns")).next();
        assert_eq!(batch.map_or(0, |batch| batch.event_time_us.len()), rows);
    }
});
