//! Orders of a shop through the in-process broker, with copies and dead letters among them.

use crate::support::produce_lines;
use std::ops::Range;
use std::path::Path;
use tidewatch_simulate::DemoBroker;

pub const ORDERS: &str = "SELECT coalesce(sum(orders), 0) AS n FROM orders";

/// The number that a query for one gives as CSV.
pub fn number(text: &str) -> u64 {
    text.lines().nth(1).unwrap().parse().unwrap()
}

/// An order; every tenth has come before, and every fiftieth is none.
fn order(number: u64) -> String {
    if number % 50 == 49 {
        return "no JSON".to_owned();
    }
    created(if number % 10 == 9 { number - 4 } else { number })
}

fn created(id: u64) -> String {
    let (hour, minute, second) = (id / 3600 % 24, id / 60 % 60, id % 60);
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"shop.order.created.v1","time":"2026-03-14T{hour:02}:{minute:02}:{second:02}Z","tenantkind":"creator","tenantid":"c{}","data":{{"order_id":"o{id}","total_minor":{},"currency":"USD"}}}}"#,
        id % 7,
        id * 13 % 5000,
    )
}

/// Orders without anything wrong among them, to be pushed.
pub fn pushed(numbers: Range<u64>) -> String {
    format!("[{}]", numbers.map(created).collect::<Vec<_>>().join(","))
}

/// Orders that count: copies are sent to the partition of the first, four lines before.
pub fn counted(numbers: Range<u64>) -> u64 {
    numbers.filter(|n| n % 50 != 49 && n % 10 != 9).count() as u64
}

pub fn send(folder: &Path, broker: &DemoBroker, numbers: Range<u64>) {
    // A part begins with partition 0.
    assert_eq!(numbers.start % 20, 0);
    let file = folder.join(format!("orders-{}.ndjson", numbers.start));
    std::fs::write(&file, numbers.map(order).collect::<Vec<_>>().join("\n")).unwrap();
    produce_lines(broker.bootstrap_servers(), "shop", 4, &file);
}
