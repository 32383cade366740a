//! tidewatch
fn main() {}
