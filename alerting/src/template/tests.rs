use super::*;

fn run(text: &str, bounds: Bounds) -> Result<String, TemplateError> {
    let mut templates = Templates::new();
    let template = templates.add("t", text, &Predefined)?;
    let data = Value::map([("list", Value::list(vec![Value::Int(1); 100])), ("text", Value::text("x".repeat(1000)))]);
    templates.run(&template, &data, &[], &Predefined, bounds)
}

#[test]
fn errors_name_their_place() {
    let parse = |text: &str| run(text, Bounds::default()).unwrap_err().to_string();
    assert_eq!(parse("a\n  {{ $x }}"), "template: t:2:6: undefined variable \"$x\"");
    assert_eq!(parse("{{ nope }}"), "template: t:1:4: function \"nope\" not defined");
    assert_eq!(
        parse("{{ if true }}\n{{ .text.y }}{{ end }}"),
        "template: t:2:4: executing \"t\" at <.text.y>: can't evaluate field y in type string"
    );
}

#[test]
fn output_steps_and_depth_are_bounded() {
    let long = "{{ range .list }}{{ $.text }}{{ end }}";
    let bounds = Bounds { output_bytes_max: 5_000, ..Bounds::default() };
    assert!(run(long, bounds).unwrap_err().to_string().contains("longer than 5000 bytes"));
    let nested = "{{ range $.list }}{{ range $.list }}{{ range $.list }}{{ end }}{{ end }}{{ end }}";
    let bounds = Bounds { steps_max: 5_000, ..Bounds::default() };
    assert!(run(nested, bounds).unwrap_err().to_string().contains("more than 5000 steps"));
    let endless = "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}";
    assert!(run(endless, Bounds::default()).unwrap_err().to_string().contains("maximum template depth"));
    let deep = "{{ (".to_string() + &"(".repeat(500) + "1" + &")".repeat(501) + " }}";
    assert!(run(&deep, Bounds::default()).unwrap_err().to_string().contains("within one another"));
}

#[test]
fn times_are_printed_in_zones_and_layouts() {
    let time = civil("Europe/Paris", (2024, 7, 1), (9, 5, 3)).unwrap();
    assert_eq!(time.to_string(), "2024-07-01 09:05:03 +0200 CEST");
    assert_eq!(time.in_zone("America/New_York").unwrap().format("Jan 2 3:04PM MST"), "Jul 1 3:05AM EDT");
    assert_eq!(time.in_zone("UTC").unwrap().format("2006-01-02T15:04:05Z07:00"), "2024-07-01T07:05:03Z");
    assert!(time.in_zone("Nowhere").is_err());
}

#[test]
fn notification_functions_work() {
    let functions = notification::NotificationFunctions { now_ms: 90_000 };
    let data = Value::map([("T", Value::Time(Time::from_milliseconds(0)))]);
    let run = |text: &str| {
        let mut templates = Templates::new();
        let template = templates.add("t", text, &functions).unwrap();
        templates.run(&template, &data, &[], &functions, Bounds::default()).unwrap()
    };
    assert_eq!(run("{{ since .T }}"), "1m30s");
    assert_eq!(run("{{ .T | tz \"Asia/Tokyo\" | date \"15:04 MST\" }}"), "09:00 JST");
    assert_eq!(run("{{ title \"hELLO wORLD\" }} {{ join \"-\" (stringSlice \"a\" \"b\") }}"), "Hello World a-b");
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is written, there is a text or an error, soon.
        #[test]
        fn no_text_breaks_the_engine(parts in proptest::collection::vec(prop_oneof![
            Just("{{".to_string()), Just("}}".to_string()), Just(" -}}".to_string()), Just("{{- ".to_string()),
            Just("if ".to_string()), Just("range ".to_string()), Just("else".to_string()), Just("end".to_string()),
            Just("define \"a\"".to_string()), Just("template \"a\" . ".to_string()), Just("$x := ".to_string()),
            Just("$x".to_string()), Just(".list".to_string()), Just("|".to_string()), Just("(".to_string()),
            Just(")".to_string()), Just(" printf \"%[0]*d%v\" ".to_string()), Just("len ".to_string()),
            Just("1e400".to_string()), Just("-".to_string()), Just("\"".to_string()), "\\PC{0,3}",
        ], 0..25)) {
            let bounds = Bounds { output_bytes_max: 10_000, steps_max: 1_000, ..Bounds::default() };
            let _ = run(&parts.concat(), bounds);
        }
    }
}
