//! Clients of Postgres' protocol: psql, pgjdbc, psycopg, SQLAlchemy, ADBC, DuckDB and the statements of Grafana
//! get the numbers of HTTP. Without psql, Java or Python their part is skipped.

use crate::support::{Csv, Tidewatch, jdbc, psql, python, repository, run_tool, tidewatch, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Twenty minutes of events from twelve o'clock, counted and committed.
pub fn counted(folder: &Path, rest: &str) -> PathBuf {
    let events = folder.join("events.ndjson").display().to_string();
    let simulate = ["simulate", "--to", "file", "--path", &events, "--start", "2026-03-14T12:00:00Z"];
    tidewatch(&[&simulate[..], &["--duration", "20m", "--rate", "20", "--seed", "3"]].concat());
    let settings = settings(folder, &format!("[files]\npaths = [\"events.ndjson\"]\n{rest}"));
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(Duration::from_secs(300));
    settings
}

/// Settings of a process that has counted nothing.
pub fn empty(folder: &Path, rest: &str) -> PathBuf {
    std::fs::write(folder.join("events.ndjson"), "").unwrap();
    settings(folder, &format!("[files]\npaths = [\"events.ndjson\"]\n{rest}"))
}

/// Settings of a process that speaks everything, on free ports.
fn settings(folder: &Path, rest: &str) -> PathBuf {
    let text = format!(
        "packs = [\"builtin:creatorflow\"]\n[storage]\nlocation = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n{rest}"
    );
    write_settings(folder, &text)
}

const LISTEN: &str = "[postgres]\nlisten = \"127.0.0.1:0\"\n";

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

/// Runs `psql` with statements; each is a command of its own.
fn psql_says(program: &Path, address: &str, user: &str, statements: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args([
        "-X",
        "-h",
        "127.0.0.1",
        "-p",
        port(address),
        "-U",
        user,
        "-d",
        "tidewatch",
        "-v",
        "VERBOSITY=verbose",
    ]);
    command.env_remove("PGPASSWORD").env("PGCONNECT_TIMEOUT", "20");
    statements.iter().for_each(|s| {
        command.args(["-c", s]);
    });
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn clients_get_the_numbers_of_http() {
    let folder = tempfile::tempdir().unwrap();
    let settings = counted(folder.path(), LISTEN);
    let mut process = Tidewatch::run(&settings);
    let http = process.address();
    let address = process.named_address("postgres");
    if let Some(program) = psql() {
        psql_describes_and_asks(&mut process, &program, &address);
    }
    if let Some((java, jar)) = jdbc() {
        let script = repository().join("tests/truth/JdbcClient.java");
        let found = run_tool(&java, &["-cp", jar.to_str().unwrap(), script.to_str().unwrap(), &address]);
        let expected = process.sql(
            "SELECT provider, sum(requests) AS requests, sum(cost_micro) AS cost_micro, \
             CAST(quantile(duration_ms, 0.95) AS BIGINT) AS p95_ms FROM api_calls GROUP BY provider ORDER BY provider",
        );
        assert_eq!(found, expected, "pgjdbc");
        assert!(Csv::parse(&found).len() > 2);
    }
    if let Some(python) = python() {
        let script = repository().join("tests/truth/postgres_clients.py");
        for client in ["psycopg", "sqlalchemy", "grafana", "adbc", "duckdb"] {
            let arguments = [script.to_str().unwrap(), client, "127.0.0.1", port(&address), &http];
            let said = run_tool(&python, &arguments);
            assert!(said.contains(&format!("{client}: all is well")), "{said}");
        }
    }
    process.stop();
}

fn psql_describes_and_asks(process: &mut Tidewatch, program: &Path, address: &str) {
    let ask = |statements: &[&str]| {
        let output = psql_says(program, address, "anna", statements);
        let said = said(&output);
        assert!(output.status.success() && !said.contains("ERROR"), "{statements:?}: {said}");
        said
    };
    let sql =
        "SELECT provider, sum(requests) AS n, sum(cost_micro) AS c FROM api_calls GROUP BY provider ORDER BY provider";
    let csv = ask(&[&format!("COPY ({sql}) TO STDOUT (FORMAT csv, HEADER)")]);
    assert_eq!(csv, process.sql(sql), "COPY");
    let aligned = ask(&["\\pset format csv", sql]);
    assert!(aligned.ends_with(&process.sql(sql)), "{aligned}");

    let tables = ask(&["\\dt"]);
    assert!(tables.contains("public | api_calls ") && !tables.contains("api_error_ratio"), "{tables}");
    let views = ask(&["\\dv"]);
    assert!(views.contains("api_error_ratio") && !views.contains("| api_calls "), "{views}");
    let all = ask(&["\\d"]);
    assert!(all.contains("| api_calls ") && all.contains("| api_error_ratio "), "{all}");
    let columns = ask(&["\\d api_calls"]);
    for column in ["window_start", "timestamp with time zone", "requests", "bigint", "duration_ms", "bytea", "numeric"]
    {
        assert!(columns.contains(column), "{column}: {columns}");
    }
    assert!(ask(&["\\d api_error_ratio"]).contains("error_ratio"), "columns of a view");
    ask(&["\\l", "\\dn", "\\du", "\\conninfo", "\\df now", "\\dT"]);
    let session =
        ask(&["BEGIN", "SET TIME ZONE 'UTC'", "SHOW TIME ZONE", "SELECT version()", "COMMIT", "SELECT 1; SELECT 2"]);
    assert!(session.contains("UTC") && session.contains("PostgreSQL 16") && session.contains("COMMIT"), "{session}");
    let zone = said(&psql_says(program, address, "anna", &["SET TIME ZONE 'Europe/Berlin'", "SHOW TimeZone"]));
    assert!(zone.contains("times stay in UTC") && zone.contains("UTC\n"), "{zone}");

    for (statement, code, hint) in [
        ("SELECT * FROM nowhere", "42P01", "the tables and views are: "),
        ("INSERT INTO api_calls VALUES (1)", "25006", "packs define rollups and views"),
        ("SELECT * FROM api_calls WHERE", "42601", ""),
        ("SELECT * FROM generate_series(1, 100001)", "54000", "add LIMIT"),
    ] {
        let said = said(&psql_says(program, address, "anna", &[statement]));
        assert!(said.contains(code) && said.contains(hint), "{statement}: {said}");
    }
}

#[test]
fn doors_have_locks_and_rooms_have_limits() {
    let Some(program) = psql() else { return };
    let folder = tempfile::tempdir().unwrap();
    run_tool(
        Path::new("openssl"),
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            folder.path().join("key.pem").to_str().unwrap(),
            "-out",
            folder.path().join("cert.pem").to_str().unwrap(),
        ],
    );
    let rest = format!(
        "{LISTEN}password = \"secret\"\ntls_certificate = \"cert.pem\"\ntls_key = \"key.pem\"\nconnections_max = 2\n\
         idle_timeout = \"2s\"\n[sql]\nquery_bytes_max = 5000\n"
    );
    let mut process = Tidewatch::run(&empty(folder.path(), &rest));
    process.address();
    let address = process.named_address("postgres");
    let with = |password: &str, sslmode: &str, statement: &str| {
        let url = format!("postgresql://anna:{password}@{address}/tidewatch?sslmode={sslmode}");
        said(&Command::new(&program).args(["-X", &url, "-v", "VERBOSITY=verbose", "-c", statement]).output().unwrap())
    };
    // Nothing was ever counted: an empty table, not an error.
    let empty = with("secret", "require", "SELECT count(*) AS n, sum(requests) AS s FROM api_calls");
    assert!(empty.contains("(1 row)") && empty.contains(" 0 |"), "{empty}");
    assert!(with("secret", "require", "\\conninfo").contains("TLS"), "encrypted");
    assert!(with("secret", "disable", "SELECT 1").contains("(1 row)"), "SCRAM keeps the password even so");
    let wrong = with("wrong", "disable", "SELECT 1");
    assert!(wrong.contains("authentication failed"), "{wrong}");
    let long = with("secret", "disable", &format!("SELECT '{}'", "x".repeat(6000)));
    assert!(long.contains("54000") && long.contains("sql.query_bytes_max"), "{long}");
    // A message that no query can need is not even read.
    let huge = folder.path().join("huge.sql");
    std::fs::write(&huge, format!("SELECT '{}';", "x".repeat(3 << 20))).unwrap();
    let url = format!("postgresql://anna:secret@{address}/tidewatch?sslmode=disable");
    let output = Command::new(&program).args(["-X", &url, "-f", huge.to_str().unwrap()]).output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(process.metric("tidewatch_wire_refused_total{protocol=\"postgres\",reason=\"message\"}"), 1.0);

    // Two sessions are as many as there may be, and they may be silent for two seconds.
    let file = folder.path().join("sleep.sql");
    std::fs::write(&file, "\\! sleep 4\nSELECT 1;\n").unwrap();
    let sleeping = [0, 1].map(|_| {
        Command::new(&program)
            .args(["-X", &url, "-v", "VERBOSITY=verbose", "-f", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    wait_until("both sessions", Duration::from_secs(20), || {
        process.metric("tidewatch_wire_connections{protocol=\"postgres\"}") == 2.0
    });
    let full = with("secret", "disable", "SELECT 1");
    assert!(full.contains("postgres.connections_max"), "{full}");
    for session in sleeping {
        let woken = said(&session.wait_with_output().unwrap());
        assert!(woken.contains("57P05") && woken.contains("postgres.idle_timeout"), "{woken}");
    }
    assert!(with("secret", "disable", "SELECT 1").contains("(1 row)"), "there is room again");
    process.stop();
}

#[test]
fn one_user_leaves_turns_to_others() {
    let Some(program) = psql() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rest = format!("{LISTEN}[sql]\ntimeout = \"5m\"\nconcurrency_max = 2\nconcurrency_per_client_max = 1\n");
    let mut process = Tidewatch::run(&empty(folder.path(), &rest));
    process.address();
    let address = process.named_address("postgres");
    let endless =
        "SELECT count(*) FROM generate_series(1, 10000000) a(x), generate_series(1, 1000000) b(y) WHERE x + y = -1";
    let mut busy = Command::new(&program)
        .args(["-X", &format!("postgresql://anna@{address}/tidewatch?sslmode=disable"), "-c", endless])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = |user: &str, timeout: &str| {
        said(&psql_says(&program, &address, user, &[&format!("SET statement_timeout = '{timeout}'"), "SELECT 1 AS n"]))
    };
    let mut refused = String::new();
    wait_until("the first query to run", Duration::from_secs(60), || {
        refused = ask("anna", "500ms");
        refused.contains("53300")
    });
    assert!(refused.contains("sql.concurrency_per_client_max") && refused.contains("try again"), "{refused}");
    let other = ask("ben", "1min");
    assert!(other.contains("(1 row)"), "{other}");
    assert!(process.metric("tidewatch_wire_queries_total{outcome=\"client_busy\",protocol=\"postgres\"}") >= 1.0);
    // Who hangs up leaves its turn to its next query.
    busy.kill().unwrap();
    busy.wait().unwrap();
    let next = ask("anna", "30s");
    assert!(next.contains("(1 row)"), "{next}");
    // And a stop waits for no query.
    let mut busy = Command::new(&program)
        .args(["-X", &format!("postgresql://anna@{address}/tidewatch?sslmode=disable"), "-c", endless])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the query to run again", Duration::from_secs(60), || ask("anna", "500ms").contains("53300"));
    process.stop();
    busy.wait().unwrap();
}
