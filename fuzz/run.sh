#!/usr/bin/env bash
# Runs every target for some seconds each, or those that are named, seeded with the project's own files and, where there
# are any, other projects' test scripts.
#
#   fuzz/run.sh                  60 seconds each
#   fuzz/run.sh 600 promql       ten minutes of one
#
# `events` and `states` compile DataFusion with them, which takes twenty minutes the first time.
#
# Needs a nightly compiler and cargo-fuzz (cargo install cargo-fuzz). What was found stays in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)

# A seed per line or file: names are their hashes, so that a second run adds nothing.
seed() {
    local folder=fuzz/corpus/$1 text
    mkdir -p "$folder"
    while IFS= read -r -d '' text; do
        printf '%s' "$text" >"$folder/$(printf '%s' "$text" | sha1sum | cut -c1-16)"
    done
}
files() {
    local file
    for file in "$@"; do
        [ ! -f "$file" ] || { cat "$file"; printf '\0'; }
    done
}

data=${TIDEWATCH_DATA:-../shared/data}
for target in "${targets[@]}"; do
    case $target in
    promql)
        sed -n 's/^ *expr: *\([^|>].*\)$/\1/p' packs/*/rules*.yaml | tr '\n' '\0' | seed promql
        sed -n 's/^ *eval[a-z_]* \(instant at [^ ]*\|range from [^ ]* to [^ ]* step [^ ]*\) \(.*\)$/\2/p' \
            "$data"/promqltest/*.test 2>/dev/null | tr '\n' '\0' | seed promql
        ;;
    rules) files packs/*/rules*.yaml "$data"/promtool-testdata/*.y*ml | seed rules ;;
    routes) files deploy/routes/*.yml "$data"/alertmanager/*.y*ml | seed routes ;;
    templates) grep -ohE '^ +(summary|description): .*\{\{.*' packs/*/rules*.yaml | tr '\n' '\0' | seed templates ;;
    plain_json)
        printf '%s\0' '{"a":1,"data":{"b":[-0.5e3,null,{"c":true}],"d":"é"},"e":{}}' '{ "data" : { } , "data" : 7 }' | seed plain_json
        ;;
    record_batches)
        # A batch of each codec, as other people's compressors write it.
        cargo test -q --manifest-path kafka/Cargo.toml --lib seeds -- --ignored >/dev/null
        ;;
    events)
        printf '%s\0' '{"specversion":"1.0","id":"1","source":"/a","type":"order.paid","time":"2026-03-14T18:22:06Z","tenantkind":"shop","tenantid":"s","data":{"amount":12,"price":"3.25","ratio":1e-3,"is_gift":true,"paid_at":"2026-03-14T18:22:06Z","note":"\u00e9","currency":"usd","customer":{"tier":"gold"},"items":[{"sku":"a","quantity":2},{"sku":"b"}]}}' | seed events
        ;;
    esac
    features=()
    case $target in events | states) features=(--features ingest) ;; esac
    echo "== $target, $seconds s" >&2
    # A panic, five seconds for one input, or 2 GB is a finding.
    cargo +nightly fuzz run --release --debug-assertions "${features[@]}" "$target" -- \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
done
