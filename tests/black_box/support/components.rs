//! Programs and data that a machine may have or not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something a test needs; missing, the test is skipped, or fails under `CI=true`.
pub type Component<T> = Option<T>;

/// Root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache");
    std::env::var("XDG_CACHE_HOME").map_or_else(|_| home(), PathBuf::from).join("tidewatch")
}

fn found<T>(what: &str, how: &str, component: Option<T>) -> Component<T> {
    if component.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is missing and CI=true: {how}");
        skipped(what, how);
    }
    component
}

/// Says why a test is skipped. Not by `eprintln`, which the test runner keeps to itself when a test passes.
pub fn skipped(what: &str, how: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} is missing: {how}");
}

/// A program of a Debian package, on the `PATH`.
pub fn program(name: &str, package: &str) -> Component<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&places).map(|folder| folder.join(name)).find(|path| path.is_file());
    found(name, &format!("install the package {package}; .ci/setup.sh does"), path)
}

/// The folder of `prometheus` and `promtool` of version 3; Debian stable has older ones.
pub fn prometheus_3() -> Component<PathBuf> {
    let named = std::env::var("TIDEWATCH_PROMETHEUS").map(PathBuf::from).ok();
    let folder = Some(named.unwrap_or_else(|| cache().join("prometheus-3"))).filter(|f| f.join("prometheus").is_file());
    found("Prometheus 3", "run tests/truth/prometheus.sh, or set TIDEWATCH_PROMETHEUS", folder)
}

/// The library that tells a process another time.
pub fn faketime() -> Component<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found("libfaketime", "install the package libfaketime; .ci/setup.sh does", places.find(|place| place.is_file()))
}

/// Python with the packages of `tests/truth/requirements.txt`.
pub fn python() -> Component<PathBuf> {
    let named = std::env::var("TIDEWATCH_PYTHON").map(PathBuf::from).ok();
    let usual = Some(cache().join("venv/bin/python")).filter(|p| p.exists());
    found("Python with duckdb, deltalake, polars", "run tests/truth/venv.sh, or set TIDEWATCH_PYTHON", named.or(usual))
}

/// Python with the packages of `tests/deploy/requirements.txt`.
pub fn deploy_python() -> Component<PathBuf> {
    let named = std::env::var("TIDEWATCH_DEPLOY_PYTHON").map(PathBuf::from).ok();
    let usual = Some(cache().join("venv-deploy/bin/python")).filter(|p| p.exists());
    let how = "run tests/truth/venv.sh deploy, or set TIDEWATCH_DEPLOY_PYTHON";
    found("Python with hadolint and the schemas of Kubernetes", how, named.or(usual))
}

/// Chromium, and the modules of `page/` that drive it: `npx` runs them there.
pub fn browser() -> Component<(PathBuf, PathBuf)> {
    let chromium = program("chromium", "chromium")?;
    let npm = program("npm", "npm")?;
    let page = repository().join("page");
    let modules = page.join("node_modules/@playwright/test");
    if !modules.exists() {
        let ci = ["ci", "--no-audit", "--no-fund"];
        // The browser is Debian's; what is missing in the end is seen below.
        let _ = Command::new(npm).args(ci).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").current_dir(&page).output();
    }
    found("Playwright", "run npm ci in page/ (needs Node 20)", modules.exists().then_some((chromium, page)))
}

/// Postgres' own client.
pub fn psql() -> Component<PathBuf> {
    let there = Command::new("psql").arg("--version").output().is_ok_and(|o| o.status.success());
    found("psql", "install the package postgresql-client", there.then(|| PathBuf::from("psql")))
}

/// Java, and the jar of Postgres' JDBC driver.
pub fn jdbc() -> Component<(PathBuf, PathBuf)> {
    let jar = PathBuf::from("/usr/share/java/postgresql.jar");
    let has_java = Command::new("javac").arg("-version").output().is_ok_and(|o| o.status.success());
    let both = (has_java && jar.exists()).then(|| (PathBuf::from("java"), jar));
    found("pgjdbc", "install the packages libpostgresql-jdbc-java and openjdk-17-jdk-headless", both)
}

/// Jars of a real Kafka broker, for `tests/kafka/start.sh`.
pub fn kafka() -> Component<PathBuf> {
    let named = std::env::var("TIDEWATCH_KAFKA_LIBS").map(PathBuf::from).ok();
    let usual = || std::fs::read_dir(cache()).ok()?.flatten().map(|e| e.path()).find(|p| p.join("pom.xml").exists());
    let has_java = Command::new("java").arg("-version").output().is_ok_and(|o| o.status.success());
    found(
        "Apache Kafka",
        "run tests/kafka/start.sh --jars (needs Java 17 and Maven)",
        named.or_else(usual).filter(|_| has_java),
    )
}

/// The shared data folder.
pub fn data(file: &str) -> Component<PathBuf> {
    let named = std::env::var("TIDEWATCH_DATA").map(PathBuf::from).ok();
    let folder = named.unwrap_or_else(|| repository().join("../shared/data"));
    found(file, "set TIDEWATCH_DATA to the folder that holds it", Some(folder.join(file)).filter(|p| p.exists()))
}

/// Runs another program; panics with its output when it fails.
pub fn run_tool(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository()).output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{} {arguments:?} failed:\n{}{}",
        program.display(),
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Helm's and Compose's own libraries. Compiling them takes minutes, so `cargo test` does not do it by itself.
pub fn deploy_tool() -> Component<PathBuf> {
    let tool = Some(cache().join("deploy-tool")).filter(|path| path.is_file());
    found("Helm", "run tests/deploy/tool/build.sh (Go; minutes); .ci/run does", tool)
}
