#!/usr/bin/env bash
# Builds Helm's and Compose's libraries into the program that tests/black_box/deployment.rs looks for. Some minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
tool=${XDG_CACHE_HOME:-$HOME/.cache}/tidewatch/deploy-tool
go build -o "$tool" .
echo "$tool"
