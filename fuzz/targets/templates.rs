//! Any text as a template of a message: it is refused, or prints within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_alerting::template::{Bounds, Predefined, Templates, Value};

fuzz_target!(|text: &str| {
    let mut templates = Templates::new();
    let Ok(main) = templates.add("main", text, &Predefined) else { return };
    let data = Value::Text("text".into());
    let bounds = Bounds::default();
    let _ = templates.run(&main, &data, &[], &Predefined, bounds);
    let _ = templates.run_html(&main, &data, &Predefined, bounds);
});
