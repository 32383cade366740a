use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse("t.toml", text, |name| (name == "SECRET").then(|| "s3cr3t".to_owned())).map_err(|e| e.to_string())
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    assert_eq!(parse(DEFAULT_TOML).unwrap(), Settings::default());
    assert_eq!(parse("").unwrap(), Settings::default());
}

#[test]
fn every_setting_is_explained() {
    let default: toml::Table = DEFAULT_TOML.parse().unwrap();
    let sections: Vec<&String> = default.keys().collect();
    assert_eq!(sections.len(), 21, "a section is missing in default.toml: {sections:?}");
}

#[test]
fn secrets_come_from_the_environment() {
    let settings = parse("[storage.options]\nkey = \"${SECRET}\"").unwrap();
    assert_eq!(settings.storage.options["key"], "s3cr3t");
    let headers = parse("[telemetry.headers]\napi-key = \"${SECRET}\"").unwrap().telemetry.headers;
    assert_eq!(headers["api-key"], "s3cr3t");
    assert_eq!(parse("[personal]\nsalt = \"${SECRET}\"").unwrap().personal.salt, "s3cr3t");
    let wires = parse("[postgres]\npassword = \"${SECRET}\"\n[flight]\npassword = \"${SECRET}\"").unwrap();
    assert_eq!((wires.postgres.password, wires.flight.password), ("s3cr3t".to_owned(), "s3cr3t".to_owned()));
}

#[test]
fn a_pack_that_hashes_needs_a_salt() {
    let sources = "sources: [{name: a, topic: t, type: a, fields: {handle: {type: string, personal: hash}}}]";
    let catalog = Catalog::parse(&[("s".to_owned(), sources.to_owned())], &[]).unwrap();
    let error = parse("").unwrap().check_packs(&catalog).unwrap_err().to_string();
    assert!(
        error.starts_with("personal.salt: the packs keep handle as salted hashes") && error.contains("hint"),
        "{error}"
    );
    parse("[personal]\nsalt = \"x\"").unwrap().check_packs(&catalog).unwrap();
}

#[test]
fn mistakes_name_their_line() {
    let cases = [
        ("[ingest]\nflush_intervall = \"1s\"", "t.toml:2:1: unknown field `flush_intervall`"),
        ("[ingest]\nflush_interval = \"soon\"", "t.toml:2:18: "),
        ("[sql]\n\nrows_max = 0", "t.toml:3: sql.rows_max: expected at least 1"),
        ("[kafka.properties]\n\"enable.auto.commit\" = \"true\"", "t.toml:2: enable.auto.commit: is set by Tidewatch"),
        ("[kafka.properties]\n\"bootstrap.servers\" = \"a:1\"\n\"grup.id\" = \"x\"", "t.toml:3: grup.id: "),
        ("[storage.options]\nkey = \"${NOWHERE}\"", "t.toml:2: key: the environment variable NOWHERE is not set"),
        ("[files]\npaths = [\"a/x\", \"b/x\"]", "t.toml:2: files.paths: two files are named x"),
        ("[ingest]\nexplode_max = 1000000", "t.toml:2: ingest.explode_max: a column of text would not fit"),
        ("[personal]\nsalt = \"${NOWHERE}\"", "t.toml:2: personal.salt: the environment variable NOWHERE is not set"),
        ("[push]\nlog_bytes_max = 1000", "t.toml:2: push.log_bytes_max: expected at least 4 times push.body_bytes_max"),
        ("[push]\nevents_max = 0", "t.toml:2: push.events_max: expected at least 1"),
        ("[samples]\nlabels_max = 0", "t.toml:2: samples.labels_max: expected at least 1"),
        ("[probes]\nstuck_after = \"0s\"", "t.toml:2: probes.stuck_after: expected more than 0s"),
        ("[probes]\ncommit_failures_max = 0", "t.toml:2: probes.commit_failures_max: expected at least 1"),
        ("[telemetry]\nsample_ratio = 1.5", "t.toml:2: telemetry.sample_ratio: expected 0 to 1, found 1.5"),
        ("[telemetry]\nendpoint = \"collector:4318\"", "t.toml:2: telemetry.endpoint: expected a URL such as"),
        ("[telemetry]\ntraces = \"zipkin\"", "t.toml:2:10: expected \"otlp\", or \"\" for none"),
        ("packs = []", "t.toml:1: packs: at least one pack"),
        ("[postgres]\nlisten = \"here\"", "t.toml:2:10: expected an address such as"),
        ("[postgres]\ntls_key = \"a.pem\"", "postgres.tls_certificate: a certificate and its key belong together"),
        ("[flight]\npassword = \"${NOWHERE}\"", "t.toml:2: flight.password: the environment variable NOWHERE"),
        ("listen = 3", "t.toml:1:1: unknown field `listen`"),
    ];
    for (text, expected) in cases {
        let message = parse(text).unwrap_err();
        assert!(message.contains(expected), "{text:?}\n  expected {expected:?}\n  found    {message:?}");
    }
}
