//! One row per element of an array, and several sources of one type: all of them or none.

use super::*;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

const SOURCES: &str = "
sources:
  - name: order
    topic: orders.events.v1
    type: orders.order.paid.v1
    fields:
      order_id: {type: string, required: true}
      total: int64
  - name: order_item
    topic: orders.events.v1
    type: orders.order.paid.v1
    explode: items
    fields:
      order_id: {type: string, required: true}
      gift: boolean
      product_id: {type: string, path: items.product_id, required: true}
      quantity: {type: int64, path: items.quantity}
      price: {type: decimal(2), path: items.price}
      colour: {type: string, path: items.options.colour}
      size: {enum: [S, M], path: items.options.size}
  - name: order_discount
    topic: orders.events.v1
    type: orders.order.paid.v1
    explode: money.discounts
    fields:
      currency: {type: string, path: money.currency}
      code: {type: string, path: money.discounts.code}
  - name: order_audit
    topic: orders.events.v1
    type: orders.order.paid.v1
    fields: {unread: string}
";

const ROLLUPS: &str = "
CREATE ROLLUP orders AS SELECT order_id, sum(total) AS total FROM order_
GROUP BY tumble(INTERVAL '10 seconds'), order_id;
CREATE ROLLUP items AS SELECT tenant, order_id, gift, product_id, colour, size, sum(quantity) AS quantity, sum(price) AS price
FROM order_item GROUP BY tumble(INTERVAL '10 seconds'), tenant, order_id, gift, product_id, colour, size;
CREATE ROLLUP discounts AS SELECT currency, code, max(event_time) AS last_at, count(*) AS n FROM order_discount
GROUP BY tumble(INTERVAL '10 seconds'), currency, code;
";

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let text = |name: &str, text: &str| [(name.to_owned(), text.to_owned())];
    // `order` is a word of SQL.
    let sources = SOURCES.replace("name: order\n", "name: order_\n");
    Catalog::parse(&text("sources.yaml", &sources), &text("rollups.sql", ROLLUPS)).unwrap()
});

fn decoder() -> Decoder {
    Decoder::new(&CATALOG, LIMITS)
}

fn index(name: &str) -> usize {
    CATALOG.sources.iter().position(|s| s.def.name == name).unwrap()
}

/// Rows of a source as text, without tenant and event time.
fn rows_of(decoder: &mut Decoder, source: &str) -> Vec<String> {
    let Some(batch) = decoder.take(index(source)).unwrap() else { return Vec::new() };
    assert_eq!(batch.columns.num_rows(), batch.event_time_us.len());
    let schema = batch.columns.schema();
    let cells = |row: usize| {
        let columns = schema.fields().iter().zip(batch.columns.columns());
        let columns =
            columns.filter(|(f, c)| c.is_valid(row) && !["tenant", "event_time"].contains(&f.name().as_str()));
        columns.map(|(f, c)| format!("{}={}", f.name(), array_value_to_string(c, row).unwrap())).collect::<Vec<_>>()
    };
    (0..batch.columns.num_rows()).map(|row| cells(row).join(" ")).collect()
}

/// The items of one event, or why it is refused.
fn items(data: &str) -> Vec<String> {
    let mut decoder = decoder();
    match said(decode(&mut decoder, event(data).as_bytes())) {
        Ok(_) => rows_of(&mut decoder, "order_item"),
        Err(reject) => vec![reject.to_string()],
    }
}

#[test]
fn elements_are_rows_and_the_rest_of_the_event_is_in_each() {
    for (data, expected) in [
        (
            r#"{"order_id":"o1","gift":true,"items":[{"product_id":"a","quantity":1,"price":"1.50","options":{"colour":"red","size":"S"}},{"quantity":2,"product_id":"b"}]}"#,
            &[
                "colour=red gift=true order_id=o1 price=1.50 product_id=a quantity=1 size=S",
                "gift=true order_id=o1 product_id=b quantity=2",
            ][..],
        ),
        // what comes after the array counts as well
        (
            r#"{"items":[{"product_id":"a"},{"product_id":"b"}],"gift":false,"order_id":"ö2"}"#,
            &["gift=false order_id=ö2 product_id=a", "gift=false order_id=ö2 product_id=b"],
        ),
        // no elements, no rows
        (r#"{"order_id":"o1"}"#, &[]),
        (r#"{"order_id":"o1","items":null}"#, &[]),
        (r#"{"order_id":"o1","items":[]}"#, &[]),
        // an array or a key that comes twice keeps its last one
        (
            r#"{"order_id":"o1","items":[{"product_id":"a"},{"product_id":"b"}],"items":[{"product_id":"c","product_id":"d"}]}"#,
            &["order_id=o1 product_id=d"],
        ),
        (r#"{"order_id":"o1","items":[{"product_id":"a"}],"items":null}"#, &[]),
        // an enum value that is not listed
        (
            r#"{"order_id":"o1","items":[{"product_id":"a","options":{"size":"XXL"}}]}"#,
            &["order_id=o1 product_id=a size=other"],
        ),
        // mistakes say which element
        (
            r#"{"order_id":"o1","items":[{"product_id":"a"},{"product_id":"b"},{"product_id":"c","quantity":"many"}]}"#,
            &["wrong_type: data.items[2].quantity: expected an integer, found \"many\""],
        ),
        (
            r#"{"order_id":"o1","items":[{"product_id":"a"},{"quantity":1}]}"#,
            &["missing_attribute: data.items[1].product_id is required"],
        ),
        (
            r#"{"order_id":"o1","items":[{"product_id":"a","options":{"colour":5}}]}"#,
            &["wrong_type: data.items[0].options.colour: expected a string, found 5"],
        ),
        (
            r#"{"order_id":"o1","items":[{"product_id":"a"},null]}"#,
            &["wrong_type: data.items[1]: expected an object, found null"],
        ),
        (r#"{"order_id":"o1","items":["a"]}"#, &["wrong_type: data.items[0]: expected an object, found \"a\""]),
        (r#"{"order_id":"o1","items":[[1]]}"#, &["wrong_type: data.items[0]: expected an object, found an array"]),
        (
            r#"{"order_id":"o1","items":{"product_id":"a"}}"#,
            &["wrong_type: data.items: expected an array, found an object"],
        ),
        (r#"{"order_id":"o1","items":"a"}"#, &["wrong_type: data.items: expected an array, found \"a\""]),
        (r#"{"order_id":"o1","items":3.5}"#, &["wrong_type: data.items: expected an array, found 3.5"]),
        (r#"{"items":[{"product_id":"a"}]}"#, &["missing_attribute: data.order_id is required"]),
        (r#"{"items":[]}"#, &["missing_attribute: data.order_id is required"]),
        (
            r#"{"order_id":"o1","items":[{"product_id":"a"},{"product_id":"b"},{"product_id":"c"},{"product_id":"d"}]}"#,
            &["too_many_elements: data.items: more than 3 elements (explode_max)"],
        ),
        // an array further below
        (
            r#"{"order_id":"o1","money":{"discounts":[{"code":5}]}}"#,
            &["wrong_type: data.money.discounts[0].code: expected a string, found 5"],
        ),
    ] {
        assert_eq!(items(data), expected, "{data}");
    }
}

#[test]
fn an_event_is_rows_of_every_source_of_its_type_or_of_none() {
    let mut decoder = decoder();
    let good = event(
        r#"{"order_id":"o1","total":7,"items":[{"product_id":"a"},{"product_id":"b"}],"money":{"currency":"USD","discounts":[{"code":"x"}]}}"#,
    );
    let sources = said(decode(&mut decoder, good.as_bytes())).unwrap();
    let counts: Vec<_> = sources.iter().map(|s| (CATALOG.sources[s.source].def.name.as_str(), s.rows)).collect();
    assert_eq!(counts, [("order_", 1), ("order_discount", 1), ("order_item", 2)]);
    // Each source refuses in turn; what the others have read already is taken back.
    for bad in [r#""total":"7""#, r#""items":[{"product_id":"a"},{"product_id":1}]"#, r#""money":{"discounts":[{},5]}"#]
    {
        let data = format!(
            r#"{{"order_id":"o2","items":[{{"product_id":"z"}}],"money":{{"currency":"EUR","discounts":[{{"code":"y"}}]}},{bad}}}"#
        );
        decode(&mut decoder, event(&data).as_bytes()).unwrap_err();
    }
    assert_eq!(decoder.row_count(), 4);
    decode(&mut decoder, good.replace("o1", "o3").as_bytes()).unwrap();
    assert_eq!(rows_of(&mut decoder, "order_"), ["order_id=o1 total=7", "order_id=o3 total=7"]);
    assert_eq!(rows_of(&mut decoder, "order_discount"), ["code=x currency=USD"; 2]);
    assert_eq!(
        rows_of(&mut decoder, "order_item"),
        [
            "order_id=o1 product_id=a",
            "order_id=o1 product_id=b",
            "order_id=o3 product_id=a",
            "order_id=o3 product_id=b"
        ]
    );
}

#[test]
fn the_last_event_can_be_taken_back() {
    let mut decoder = decoder();
    let payload = event(r#"{"order_id":"o1","items":[{"product_id":"a"},{"product_id":"b"}]}"#);
    decode(&mut decoder, payload.as_bytes()).unwrap();
    decode(&mut decoder, payload.replace("o1", "o2").as_bytes()).unwrap();
    decoder.take_back();
    decoder.take_back();
    assert_eq!(rows_of(&mut decoder, "order_item"), ["order_id=o1 product_id=a", "order_id=o1 product_id=b"]);
    decode(&mut decoder, payload.as_bytes()).unwrap();
    assert_eq!(rows_of(&mut decoder, "order_").len(), 2);
    // The rows were taken in part: now they stay.
    decoder.take_back();
    assert_eq!(rows_of(&mut decoder, "order_item").len(), 2);
}

#[test]
fn unlisted_values_of_many_elements_are_one_notice() {
    let data = r#"{"order_id":"o1","items":[{"product_id":"a","options":{"size":"L"}},{"product_id":"b","options":{"size":"S"}},{"product_id":"c","options":{"size":"XL"}}]}"#;
    let sources = said(decode(&mut decoder(), event(data).as_bytes())).unwrap();
    let notices: Vec<_> = sources.iter().flat_map(|s| &s.notices).collect();
    assert_eq!(notices, [&Notice { field: "items.options.size".to_owned(), found: "L".to_owned(), rows: 2 }]);
}

#[test]
fn all_rows_of_an_event_have_its_time() {
    let mut decoder = decoder();
    let data = r#"{"order_id":"o1","money":{"discounts":[{"code":"x"},{},{"code":"y"}]}}"#;
    decode(&mut decoder, event(data).as_bytes()).unwrap();
    let batch = decoder.take(index("order_discount")).unwrap().unwrap();
    assert_eq!(batch.event_time_us, [NOW_US - 3 * SECOND_US; 3]);
    let codes = batch.columns.column_by_name("code").unwrap().as_string::<i32>();
    assert_eq!(codes.iter().collect::<Vec<_>>(), [Some("x"), None, Some("y")]);
    let times = batch.columns.column_by_name("event_time").unwrap();
    assert_eq!(
        arrow::compute::cast(times, &arrow::datatypes::DataType::Int64).unwrap().as_primitive::<Int64Type>().values(),
        &[NOW_US - 3 * SECOND_US; 3]
    );
}
