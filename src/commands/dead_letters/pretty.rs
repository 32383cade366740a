//! Bytes for a terminal: JSON with line breaks and indents, anything else with its control characters shown.

const INDENT: &str = "  ";

/// JSON that is known to be valid, indented. Numbers and strings stay as they were written.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if in_string {
            out.push(sign);
            in_string = escaped || sign != '"';
            escaped = !escaped && sign == '\\';
            continue;
        }
        match sign {
            '{' | '[' => {
                while signs.next_if(char::is_ascii_whitespace).is_some() {}
                let close = if sign == '{' { '}' } else { ']' };
                out.push(sign);
                if signs.next_if_eq(&close).is_some() {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(sign);
            }
            ',' => {
                out.push(sign);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    plain(&out)
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    (0..depth).for_each(|_| out.push_str(INDENT));
}

/// Text that cannot steer a terminal.
pub fn plain(text: &str) -> String {
    let shown = |sign: char| match sign {
        '\n' | '\t' => sign.to_string(),
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_as_it_was() {
        let text = r#"{"a":1.50,"b":[ ],"c":{},"d":["x,{\"}", -1e400],"e":"\\"}"#;
        let expected = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    \"x,{\\\"}\",\n    -1e400\n  ],\n  \"e\": \"\\\\\"\n}";
        assert_eq!(json(text), expected);
        assert_eq!(json(&json(text)), expected);
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\nc");
    }
}
