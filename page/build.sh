#!/usr/bin/env bash
# Makes page/dist of page/src; with --check, only says whether it is up to date. Needs Node 20 and npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[[ -d node_modules/esbuild && -d node_modules/typescript ]] || PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund >&2
npx --no-install tsc --noEmit
node build.mjs "$@"
