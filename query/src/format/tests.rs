use super::*;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use std::sync::Arc;

fn answer() -> Answer {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), None]))),
        ("money", Arc::new(Decimal128Array::from(vec![Some(-1_234), None]).with_precision_and_scale(38, 2).unwrap())),
        ("f", Arc::new(Float64Array::from(vec![f64::INFINITY, 0.1]))),
        ("t", Arc::new(StringArray::from(vec!["a \"b\",\n", "ü"]))),
        ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, -1]).with_timezone("UTC"))),
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0xab, 0x01]), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Answer { schema: batch.schema(), batches: vec![batch] }
}

fn text(format: Format, answer: &Answer) -> String {
    String::from_utf8(format.write(answer).unwrap()).unwrap()
}

#[test]
fn json_keeps_every_digit_and_is_json() {
    let text = text(Format::Json, &answer());
    assert!(
        text.contains(
            "[9007199254740993,-12.34,null,\"a \\\"b\\\",\\n\",true,\"1970-01-01T00:00:01.500000Z\",\"ab01\"]"
        ),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["row_count"], 2);
    assert_eq!(json["columns"][1], serde_json::json!({ "name": "money", "type": "decimal(38,2)" }));
    assert_eq!(json["rows"][1][0], serde_json::Value::Null);
}

#[test]
fn csv_quotes_what_needs_it() {
    let expected = "n,money,f,t,ok,at,bytes\n\
                    9007199254740993,-12.34,inf,\"a \"\"b\"\",\n\",true,1970-01-01T00:00:01.500000Z,ab01\n\
                    ,,0.1,ü,false,1969-12-31T23:59:59.999999Z,\n";
    assert_eq!(text(Format::Csv, &answer()), expected);
}

#[test]
fn a_table_lines_up_and_shortens_bytes() {
    let table = text(Format::Table, &answer());
    assert!(table.contains("<2 bytes>") && table.ends_with("(2 rows)\n"), "{table}");
}

#[test]
fn an_empty_answer_still_has_its_columns() {
    let empty = Answer { schema: answer().schema, batches: Vec::new() };
    assert_eq!(text(Format::Csv, &empty), "n,money,f,t,ok,at,bytes\n");
    assert!(text(Format::Json, &empty).contains("\"rows\":[],\"row_count\":0"));
    assert!(text(Format::Table, &empty).ends_with("(0 rows)\n"));
    assert!(!Format::Parquet.write(&empty).unwrap().is_empty());
    assert!(!Format::Arrow.write(&empty).unwrap().is_empty());
}
