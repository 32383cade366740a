//! Names of Prometheus for names of OpenTelemetry: underscores, units, `_total`.

/// What a metric is, as far as its name shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    /// A monotonic cumulative sum.
    Counter,
    Other,
}

/// Units that are spelled out.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// Units after a slash.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// The name of a metric with the suffixes that its unit and shape ask for.
pub(super) fn metric(name: &str, unit: &str, shape: Shape) -> String {
    let mut tokens: Vec<String> = tokens(name);
    let (main, per) = unit.split_once('/').map_or((unit, None), |(main, per)| (main, Some(per)));
    let main = spelled(main, &UNITS).filter(|unit| !tokens.contains(unit));
    let per = per.and_then(|per| spelled(per, &PER_UNITS)).filter(|unit| !tokens.contains(unit));
    tokens.extend(main);
    if let Some(per) = per {
        tokens.extend(["per".to_owned(), per]);
    }
    let at_the_end = |tokens: &mut Vec<String>, suffix: &str| {
        tokens.retain(|token| token != suffix);
        tokens.push(suffix.to_owned());
    };
    match shape {
        Shape::Counter => at_the_end(&mut tokens, "total"),
        Shape::Gauge if unit.trim() == "1" => at_the_end(&mut tokens, "ratio"),
        _ => {}
    }
    let name = tokens.join("_");
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn tokens(name: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == ':';
    name.split(|c| !is_part(c)).filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// `None` for a unit that says nothing: none, `1`, or a remark in braces.
fn spelled(unit: &str, units: &[(&str, &str)]) -> Option<String> {
    let unit = unit.trim();
    if unit.is_empty() || unit == "1" || unit.contains(['{', '}']) {
        return None;
    }
    match units.iter().find(|(short, _)| *short == unit) {
        Some((_, long)) => Some((*long).to_owned()),
        None => Some(tokens(unit).join("_")).filter(|unit| !unit.is_empty()),
    }
}

/// The name of a label.
pub(super) fn label(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let begins_with = |test: fn(char) -> bool| name.starts_with(test);
    if begins_with(|c| c.is_ascii_digit()) {
        format!("key_{name}")
    } else if name.starts_with('_') && !name.starts_with("__") {
        format!("key{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tables of Prometheus' own translator.
    #[test]
    fn names_are_those_of_prometheus() {
        for (name, unit, shape, expected) in [
            ("system.io", "foo/bar", Shape::Other, "system_io_foo_per_bar"),
            ("broken.metric.speed.km", "km/h", Shape::Other, "broken_metric_speed_km_per_hour"),
            ("system.filesystem.usage", "By", Shape::Gauge, "system_filesystem_usage_bytes"),
            ("system.network.dropped", "{packets}", Shape::Counter, "system_network_dropped_total"),
            ("system.network.dropped", "{packets}/s", Shape::Other, "system_network_dropped_per_second"),
            ("hw.gpu.memory.utilization", "1", Shape::Gauge, "hw_gpu_memory_utilization_ratio"),
            ("http.server.duration", "ms", Shape::Other, "http_server_duration_milliseconds"),
            (
                "active_directory.ds.replication.network.io",
                "By",
                Shape::Counter,
                "active_directory_ds_replication_network_io_bytes_total",
            ),
            ("total_of.things", "", Shape::Counter, "of_things_total"),
            ("memory_usage_bytes", "By", Shape::Other, "memory_usage_bytes"),
            ("large.number.of.libraries", "{lib}/{day}", Shape::Gauge, "large_number_of_libraries"),
            ("7th.gauge", "1", Shape::Other, "_7th_gauge"),
            ("process.cpu.utilization", "%", Shape::Gauge, "process_cpu_utilization_percent"),
        ] {
            assert_eq!(metric(name, unit, shape), expected, "{name} {unit}");
        }
        for (name, expected) in
            [("http.status", "http_status"), ("0day", "key_0day"), ("_x", "key_x"), ("__x", "__x"), ("ä", "_")]
        {
            let expected = if name == "ä" { "key_" } else { expected };
            assert_eq!(label(name), expected);
        }
    }
}
