//! ADBC's driver for Flight SQL gets the numbers of HTTP, with and without a password.

use crate::postgres::{counted, empty};
use crate::support::{Tidewatch, python, repository, run_tool};

#[test]
fn adbc_gets_the_numbers_of_http() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = counted(folder.path(), "[flight]\nlisten = \"127.0.0.1:0\"\npassword = \"secret\"\n");
    let mut process = Tidewatch::run(&settings);
    let http = process.address();
    let uri = format!("grpc://{}", process.named_address("flight"));
    let script = repository().join("tests/truth/flight_clients.py");
    let said = run_tool(&python, &[script.to_str().unwrap(), &uri, &http, "secret"]);
    assert!(said.contains("flight: all is well"), "{said}");
    assert!(process.metric("tidewatch_wire_queries_total{outcome=\"ok\",protocol=\"flight\"}") > 5.0);
    process.stop();
}

#[test]
fn an_empty_store_answers() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut process = Tidewatch::run(&empty(folder.path(), "[flight]\nlisten = \"127.0.0.1:0\"\n"));
    process.address();
    let uri = format!("grpc://{}", process.named_address("flight"));
    let script = "import sys, adbc_driver_flightsql.dbapi as d\n\
                  c = d.connect(sys.argv[1], autocommit=True).cursor()\n\
                  c.execute('SELECT count(*), sum(requests) FROM api_calls')\nprint(c.fetchall())\n\
                  c.execute('SELECT * FROM api_calls')\nprint(c.fetch_arrow_table().num_rows)";
    assert_eq!(run_tool(&python, &["-c", script, &uri]), "[(0, None)]\n0\n");
    process.stop();
}
