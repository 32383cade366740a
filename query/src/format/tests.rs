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
fn what_is_never_anything_is_null() {
    let batch = RecordBatch::try_from_iter([("n", arrow::array::new_null_array(&DataType::Null, 1))]).unwrap();
    let answer = Answer { schema: batch.schema(), batches: vec![batch] };
    let json: serde_json::Value = serde_json::from_str(&text(Format::Json, &answer)).unwrap();
    assert_eq!(json["rows"], serde_json::json!([[null]]));
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

fn awkward() -> Answer {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("=name", Arc::new(StringArray::from(vec!["=1+1", "@cmd", "plain", "+4", "-4", "\t=1"]))),
        ("n", Arc::new(Int64Array::from(vec![-1, 2, 9_007_199_254_740_993, 4, 5, 6]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Answer { schema: batch.schema(), batches: vec![batch] }
}

#[test]
fn text_that_a_spreadsheet_would_compute_gets_an_apostrophe_when_asked() {
    let as_they_are = "=name,n\n=1+1,-1\n@cmd,2\nplain,9007199254740993\n+4,4\n-4,5\n\t=1,6\n";
    assert_eq!(text(Format::Csv, &awkward()), as_they_are);
    let safe = Format::Csv.write_with(&awkward(), TextCells::Neutralised).unwrap();
    let expected = "'=name,n\n'=1+1,-1\n'@cmd,2\nplain,9007199254740993\n'+4,4\n'-4,5\n'\t=1,6\n";
    assert_eq!(String::from_utf8(safe).unwrap(), expected);
}

#[test]
fn ndjson_is_an_object_per_line() {
    let lines = text(Format::Ndjson, &answer());
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), &first["t"]), (2, &serde_json::json!("a \"b\",\n")));
    assert!(lines.contains("\"n\":9007199254740993,\"money\":-12.34,\"f\":null"), "{lines}");
}

#[test]
fn an_excel_sheet_has_room_for_so_much() {
    let rows = Arc::new(Int64Array::from(vec![1; 1_048_576])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("n", rows)]).unwrap();
    let error = Format::Xlsx.write(&Answer { schema: batch.schema(), batches: vec![batch] }).unwrap_err();
    assert!(error.to_string().contains("1048576 rows") && error.hint().unwrap().contains("CSV"), "{error}");
    let long = Arc::new(StringArray::from(vec!["x".repeat(32_768)])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("t", long)]).unwrap();
    let error = Format::Xlsx.write(&Answer { schema: batch.schema(), batches: vec![batch] }).unwrap_err();
    assert!(error.to_string().contains("row 2 has one of 32768"), "{error}");
}

/// What openpyxl reads of a workbook: each cell with its type.
const READ: &str = "
import openpyxl, sys
sheet = openpyxl.load_workbook(sys.argv[1]).active
print('frozen', sheet.freeze_panes)
for row in sheet.iter_rows():
    print(' | '.join(f'{c.data_type} {c.value!r}' for c in row))
";

fn python() -> Option<std::path::PathBuf> {
    let home =
        || std::path::PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache/tidewatch/venv/bin/python");
    let python = std::env::var("TIDEWATCH_PYTHON").map_or_else(|_| home(), Into::into);
    let has = std::process::Command::new(&python).args(["-c", "import openpyxl"]).output();
    let found = has.is_ok_and(|o| o.status.success()).then_some(python);
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "openpyxl is missing and CI=true: run tests/truth/venv.sh"
        );
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: openpyxl is missing: run tests/truth/venv.sh\n",
        );
    }
    found
}

#[test]
fn openpyxl_reads_cells_as_what_they_are() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let read = |answer: &Answer| {
        let path = folder.path().join("x.xlsx");
        std::fs::write(&path, Format::Xlsx.write(answer).unwrap()).unwrap();
        let output = std::process::Command::new(&python).args(["-c", READ]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = "frozen A2\n\
                    s 'n' | s 'money' | s 'f' | s 't' | s 'ok' | s 'at' | s 'bytes'\n\
                    s '9007199254740993' | n -12.34 | s 'inf' | s 'a \"b\",\\n' | b True | d datetime.datetime(1970, 1, 1, 0, 0, 1, 500000) | s 'ab01'\n\
                    n None | n None | n 0.1 | s 'ü' | b False | d datetime.datetime(1969, 12, 31, 23, 59, 59, 999000) | n None\n";
    assert_eq!(read(&answer()), expected);
    let text = read(&awkward());
    assert!(text.contains("s \"'=name\" | s 'n'\ns \"'=1+1\" | n -1\ns \"'@cmd\" | n 2\n"), "{text}");
}
