use super::{Notated, parse_series};

fn floats(line: &str) -> Result<Vec<Option<f64>>, String> {
    let (_, values) = parse_series(line)?;
    Ok(values
        .into_iter()
        .map(|value| match value {
            Notated::Nothing => None,
            Notated::Float(value) => Some(value),
            Notated::Histogram { histogram, .. } => Some(histogram.count),
        })
        .collect())
}

#[test]
fn entries_are_repeated_and_stepped() {
    for (line, expected) in [
        ("a 1 2 3", vec![Some(1.0), Some(2.0), Some(3.0)]),
        ("a{b=\"c d\"} 1+2x2 _ 0x1", vec![Some(1.0), Some(3.0), Some(5.0), None, Some(0.0), Some(0.0)]),
        ("{} 8-1.5x1 _x2", vec![Some(8.0), Some(6.5), None, None]),
        ("a -1e+2-1x1", vec![Some(-100.0), Some(-101.0)]),
        ("a {{count:1}}+{{count:2}}x2 7", vec![Some(1.0), Some(3.0), Some(5.0), Some(7.0)]),
        ("a{} {{schema:-53 count:4 custom_values:[1 2] buckets:[1 2 1]}}", vec![Some(4.0)]),
        ("a", vec![]),
    ] {
        assert_eq!(floats(line), Ok(expected), "{line}");
    }
    for line in ["a 1y", "a {{count:1", "a {{x:1}}", "a{b=~\"c\"} 1", "a{ 1", "a 1+x2"] {
        assert!(floats(line).is_err(), "{line}");
    }
}
