use super::*;

fn read(sql: &str) -> Result<Vec<Action>, Refused> {
    Reader::default().read(sql)
}

fn text(sql: &str) -> String {
    match &read(sql).unwrap()[..] {
        [Action::Query(query)] => query.to_string(),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn what_writes_is_refused_by_its_name() {
    let cases = [
        ("INSERT INTO api_calls VALUES (1)", "INSERT"),
        ("UPDATE api_calls SET requests = 1", "UPDATE"),
        ("DELETE FROM api_calls", "DELETE"),
        ("TRUNCATE api_calls", "TRUNCATE"),
        ("CREATE TABLE a (b int)", "CREATE TABLE"),
        ("CREATE VIEW a AS SELECT 1", "CREATE VIEW"),
        ("DROP TABLE api_calls", "DROP TABLE"),
        ("ALTER TABLE api_calls ADD COLUMN a int", "ALTER TABLE"),
        ("COPY api_calls FROM STDIN", "COPY"),
        ("COPY api_calls TO '/tmp/x'", "COPY"),
        ("GRANT SELECT ON api_calls TO anna", "GRANT"),
        ("SELECT 1 INTO a", "SELECT"),
        ("WITH a AS (INSERT INTO b VALUES (1) RETURNING c) SELECT * FROM a", "WITH"),
    ];
    for (sql, verb) in cases {
        assert_eq!(read(sql), Err(Refused::Writes(verb.to_owned())), "{sql}");
    }
    assert_eq!(read("PREPARE a AS SELECT 1"), Err(Refused::Unsupported("PREPARE".to_owned())));
}

#[test]
fn sessions_are_accepted() {
    let cases = [
        ("BEGIN", Action::Begin),
        ("START TRANSACTION READ ONLY", Action::Begin),
        ("COMMIT", Action::Commit),
        ("ROLLBACK", Action::Rollback),
        ("ABORT", Action::Rollback),
        ("SAVEPOINT a", Action::Nothing("SAVEPOINT")),
        ("SET extra_float_digits = 3", Action::Set("extra_float_digits".to_owned(), "3".to_owned())),
        ("SET TimeZone TO 'UTC'", Action::Set("timezone".to_owned(), "UTC".to_owned())),
        ("SET TIME ZONE 'UTC'", Action::Set("timezone".to_owned(), "UTC".to_owned())),
        ("SET search_path = a, b", Action::Set("search_path".to_owned(), "a, b".to_owned())),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Action::SetNothing),
        ("SHOW server_version", Action::Show("server_version".to_owned())),
        ("SHOW TIME ZONE", Action::Show("timezone".to_owned())),
        ("SHOW TRANSACTION ISOLATION LEVEL", Action::Show("transaction_isolation".to_owned())),
        ("DISCARD ALL", Action::DiscardAll),
        ("DEALLOCATE ALL", Action::Deallocate(None)),
        ("DEALLOCATE a", Action::Deallocate(Some("a".to_owned()))),
        ("CLOSE ALL", Action::Close(None)),
        ("FETCH FORWARD 5 FROM a", Action::Fetch("a".to_owned(), 5)),
        ("RESET ALL", Action::Reset(None)),
    ];
    for (sql, expected) in cases {
        assert_eq!(read(sql), Ok(vec![expected]), "{sql}");
    }
    assert_eq!(read("BEGIN; SELECT 1; COMMIT").unwrap().len(), 3);
    assert_eq!(read(" ; ").unwrap(), []);
}

#[test]
fn copies_have_formats() {
    let format = |sql: &str| match &read(sql).unwrap()[..] {
        [Action::Copy(query, format)] => (query.to_string(), *format),
        other => panic!("{sql}: {other:?}"),
    };
    assert_eq!(format("COPY (SELECT 1) TO STDOUT (FORMAT \"binary\")"), ("SELECT 1".to_owned(), CopyFormat::Binary));
    assert_eq!(format("COPY a (b, c) TO STDOUT"), ("SELECT b, c FROM a".to_owned(), CopyFormat::Text));
    assert_eq!(format("COPY a TO STDOUT WITH (FORMAT csv, HEADER)").1, CopyFormat::Csv(true));
    assert_eq!(format("COPY a TO STDOUT WITH CSV HEADER").1, CopyFormat::Csv(true));
}

#[test]
fn mistakes_have_a_position() {
    let Err(Refused::Syntax { message, position }) = read("SELECT 1\nFROM )") else { panic!() };
    assert!(message.starts_with("syntax error: Expected"), "{message}");
    assert_eq!(position, Some(15), "{message}");
}

#[test]
fn our_queries_keep_their_subqueries() {
    let sql = "SELECT (SELECT max(b.v) FROM b WHERE b.k = a.k) FROM a";
    assert_eq!(text(sql), sql);
    assert_eq!(text("SELECT pg_catalog.lower(a) FROM b"), "SELECT lower(a) FROM b");
    assert!(text("SELECT * FROM pg_class").contains("pg_catalog.pg_class"));
}

#[test]
fn the_search_path_is_public() {
    let sql = "SELECT table_name FROM information_schema.tables WHERE quote_ident(table_schema) IN (
        SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM
        generate_series(array_lower(string_to_array(current_setting('search_path'),','),1),
        array_upper(string_to_array(current_setting('search_path'),','),1)) as i,
        string_to_array(current_setting('search_path'),',') s)";
    assert!(text(sql).ends_with("WHERE quote_ident(table_schema) IN ('public')"), "{}", text(sql));
}

#[test]
fn placeholders_get_types() {
    let statement = Parser::parse_sql(&PostgreSqlDialect {}, "SELECT $1, $2").unwrap().remove(0);
    let types = [("$2".to_owned(), SqlType::BigInt(None))].into();
    assert_eq!(with_typed(&statement, &types).to_string(), "SELECT $1, CAST($2 AS BIGINT)");
}

#[test]
fn catalogue_statements_become_what_can_be_planned() {
    let has = |sql: &str, expected: &str| {
        let found = text(sql);
        assert!(found.contains(expected), "{sql}\n  expected {expected}\n  found    {found}");
    };
    has("SELECT oid FROM pg_type WHERE typreceive != 0", "typreceive <> '-'");
    has("SELECT array(SELECT rolname FROM pg_roles) FROM pg_policy", "make_array(CAST(NULL AS VARCHAR))");
    let correlated =
        "SELECT oid FROM pg_type t WHERE (SELECT c.relkind = 'c' FROM pg_class c WHERE c.oid = t.typrelid)";
    has(correlated, "min(c.relkind = 'c')");
    has("SELECT 1 FROM pg_type WHERE oid = to_regtype('hstore')", "typname = 'hstore'");
    has(
        "SELECT time_bucket('300.000s', window_start) FROM api_calls",
        "time_bucket(INTERVAL '300.000s', window_start)",
    );
}

#[test]
fn there_is_nothing_of_some_things() {
    let nothing = |sql: &str| {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        of_nothing(&statement).map(|s| s.to_string())
    };
    assert_eq!(
        nothing("SELECT p.polname, NULL, 1 AS one FROM pg_catalog.pg_policy p WHERE p.x = 1").unwrap(),
        "SELECT CAST(NULL AS TEXT) AS \"polname\", CAST(NULL AS TEXT) AS \"?column?\", CAST(NULL AS TEXT) AS \"one\" WHERE false"
    );
    assert!(nothing("SELECT a FROM pg_class c JOIN pg_trigger t ON t.r = c.oid").is_some());
    assert!(nothing("SELECT a FROM pg_policy UNION SELECT b FROM pg_trigger").is_some());
    assert!(nothing("SELECT a FROM b JOIN (SELECT c FROM pg_index) d ON d.c = b.a").is_some());
    assert!(nothing("SELECT CASE WHEN x THEN (SELECT max(y) FROM z) END FROM pg_policy").is_some());
    let asked = nothing("SELECT a FROM pg_policy WHERE b = $2 AND c = $1").unwrap();
    assert!(asked.ends_with("WHERE false AND CAST($1 AS TEXT) IS NULL AND CAST($2 AS TEXT) IS NULL"), "{asked}");
    for some in [
        "SELECT count(*) FROM pg_policy",
        "SELECT a FROM pg_class c LEFT JOIN pg_trigger t ON t.r = c.oid",
        "SELECT a FROM pg_policy UNION SELECT b FROM pg_class",
        "SELECT a FROM pg_policy p RIGHT JOIN pg_class c ON true",
        "SELECT a FROM api_calls",
    ] {
        assert_eq!(nothing(some), None, "{some}");
    }
}

#[test]
fn placeholders_of_arrays_are_known() {
    let [Action::Query(query)] = &read("SELECT * FROM a WHERE b = ANY($2) AND c = $1").unwrap()[..] else { panic!() };
    assert_eq!(array_placeholders(query), ["$2"], "{query}");
}
