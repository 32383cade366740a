//! What decoding costs: `cargo test --release -p tidewatch-ingest --lib cost -- --ignored --nocapture`.

use super::*;
use std::time::Instant;

const EVENTS: usize = 200_000;

/// An event of a shop, with nothing personal in it.
const ORDER: &str = r#"{"specversion":"1.0","id":"01J9Z3K4M5N6P7Q8R9S0T1U2V3","source":"/orders/eu-1","type":"com.example.orders.order.created.v1","subject":"order/577123456789012345","time":"2026-03-14T18:22:07.123Z","datacontenttype":"application/json","tenantkind":"creator","tenantid":"c0123456","sequence":"000000000001","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","data":{"order_id":"o-123456789","tiktok_order_id":"577123456789012345","shop_id":"s-0042","order_status":"pending","payment_status":"paid","fulfillment_stage":"received","priority_level":"standard","total_minor":4798,"shipping_minor":499,"fee_minor":120,"currency":"USD","customer_key":"c_9f8e7d6c5b4a","customer_is_new":true,"ship_country":"US","ship_region":"CA","channel":"tiktok","content_id":"v-998877","items":[{"product_id":"p-1","variant_id":"v-1","quantity":2,"unit_minor":1999},{"product_id":"p-2","variant_id":"v-9","quantity":1,"unit_minor":800}],"ordered_at":"2026-03-14T18:22:06Z","is_automated":false,"viral_score":12}}"#;

const PERSONAL: &str = "personal:\n  drop: [email, phone, address, access_token, refresh_token, first_name, last_name, ip]\n  hash: [handle, customer]\n";

fn source(name: &str, rest: &str) -> String {
    format!("  - name: {name}\n    topic: t\n    type: orders.order.created.v1\n{rest}")
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn cost(what: &str, sources: &str, rollups: &str, order: &str) {
    let text = |text: &str| [("f".to_owned(), text.to_owned())];
    let catalog = Catalog::parse(&text(sources), &text(rollups)).unwrap();
    let mut decoder = Decoder::new(&catalog, DecodeLimits { explode_max: 1000, string_bytes_max: 4096, ..LIMITS });
    let mut best = u128::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for number in 0..EVENTS {
            let record =
                RawRecord { topic: None, payload: order.as_bytes(), timestamp_us: Some(NOW_US), headers: &NoHeaders };
            decoder.decode(&record, NOW_US).unwrap();
            if number % 4096 == 0 {
                (0..catalog.sources.len()).for_each(|s| drop(decoder.take(s).unwrap()));
            }
        }
        best = best.min(start.elapsed().as_nanos() / EVENTS as u128);
    }
    println!("{what:55} {best:>6} ns per event of {} bytes", order.len());
}

#[test]
#[ignore = "a measurement"]
fn cost_of_an_event() {
    let fields = "    fields: {order_id: string, shop_id: string, total_minor: int64, currency: string, customer_key: string, is_automated: boolean}\n";
    let rollup = |source: &str| {
        format!(
            "CREATE ROLLUP {source}_r AS SELECT tenant, shop_id, currency, sum(total_minor) AS total, approx_distinct(customer_key) AS customers, count(*) FILTER (WHERE is_automated) AS automated FROM {source} GROUP BY tumble(INTERVAL '10 seconds'), tenant, shop_id, currency;"
        )
    };
    let plain = source("orders", fields);
    let items = source(
        "items",
        "    explode: items\n    fields: {shop_id: string, product_id: {type: string, path: items.product_id}, quantity: {type: int64, path: items.quantity}}\n",
    );
    let items_rollup = "CREATE ROLLUP items_r AS SELECT tenant, product_id, sum(quantity) AS n FROM items GROUP BY tumble(INTERVAL '10 seconds'), tenant, product_id;";
    let hashed = plain.replace("customer_key: string", "customer_key: {type: string, personal: hash}");
    cost("one source", &format!("sources:\n{plain}"), &rollup("orders"), ORDER);
    cost(
        "one source, personal keys named, none in it",
        &format!("{PERSONAL}sources:\n{plain}"),
        &rollup("orders"),
        ORDER,
    );
    cost("one source, one hashed field", &format!("sources:\n{hashed}"), &rollup("orders"), ORDER);
    cost("one source that explodes two items", &format!("sources:\n{items}"), items_rollup, ORDER);
    cost("both sources", &format!("sources:\n{plain}{items}"), &format!("{}{items_rollup}", rollup("orders")), ORDER);
}
