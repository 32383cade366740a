//! The same templates on the same data by Go's text/template, byte by byte.

use std::process::Command;
use std::sync::Arc;

use tidewatch_alerting::template::notification::NotificationFunctions;
use tidewatch_alerting::template::{Bounds, Map, MapKind, Templates, Value};

use super::components::go;

const CASES: &str = include_str!("go/cases.txt");

/// The data of `go/main.go`.
fn data() -> Value {
    let labels = Value::text_map(MapKind::Text, [("instance", "a:1"), ("job", "web"), ("empty", "")]);
    let item =
        |name: &str, count| Value::record("main.Item", vec![("Name", Value::text(name)), ("Count", Value::Int(count))]);
    Value::record(
        "main.Data",
        vec![
            ("Labels", labels.clone()),
            ("Value", Value::Float(1234567.891)),
            ("Small", Value::Float(0.000012345)),
            ("Whole", Value::Float(3.0)),
            ("Count", Value::Int(-42)),
            ("Yes", Value::Bool(true)),
            ("No", Value::Bool(false)),
            ("Text", Value::text("a <b> & \"c\" 'd' é\t\\")),
            ("Items", Value::list(vec![item("x", 1), item("y", 2), item("z", 3)])),
            ("Names", Value::texts(["n1", "n2"])),
            ("Numbers", Value::list(vec![Value::Int(5), Value::Int(6), Value::Int(7)])),
            ("None", Value::list(Vec::new())),
            (
                "Any",
                Value::Map(Arc::new(Map {
                    kind: MapKind::Any,
                    entries: [
                        ("k".into(), Value::text("v")),
                        ("n".into(), Value::Int(7)),
                        ("f".into(), Value::Float(2.5)),
                        ("m".into(), labels),
                    ]
                    .into_iter()
                    .collect(),
                })),
            ),
        ],
    )
}

fn ours(text: &str) -> String {
    let functions = NotificationFunctions { now_ms: 0 };
    let mut templates = Templates::new();
    let outcome = templates
        .add("t", text, &functions)
        .and_then(|template| templates.run(&template, &data(), &[], &functions, Bounds::default()));
    outcome.unwrap_or_else(|_| "ERROR".to_string())
}

/// What the first template that differs prints is shown with both outputs.
#[test]
fn go_prints_the_same() {
    let Some(go) = go() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("main.go", include_str!("go/main.go.txt")), ("go.mod", "module oracle\n\ngo 1.22\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let cases: Vec<&str> = CASES.split("\n---\n").collect();
    assert!(cases.len() > 100, "{} cases", cases.len());
    std::fs::write(folder.path().join("cases.json"), serde_json::to_string(&cases).unwrap()).unwrap();
    let output = Command::new(go).args(["run", "."]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = Vec::new();
    for (case, theirs) in cases.iter().zip(&theirs) {
        let ours = ours(case);
        let theirs = if theirs.starts_with("ERROR") { "ERROR" } else { theirs.as_str() };
        if ours != theirs {
            wrong.push(format!("{case}\n  go:   {theirs:?}\n  ours: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
