#!/usr/bin/env bash
# Asks a miner's API what its own OpenAPI document says it can be asked, and much that it says it
# cannot: bash tests/schemathesis.sh target/release/mvb [EXAMPLES]
# Schemathesis comes from PyPI into a virtual environment under target/. Loopback only.
set -euo pipefail
mvb=$(realpath "$1")
examples=${2:-60}
cd "$(dirname "$0")/.."
environment=$PWD/target/schemathesis
if [ ! -x "$environment/bin/schemathesis" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q 'schemathesis==4.32.5'
fi
home=$(mktemp -d)
ended() {
    kill "$miner" 2>/dev/null || true
    wait "$miner" 2>/dev/null || true
    rm -rf "$home"
}
"$mvb" --home "$home" --json --set network_name=schemathesis --set difficulty=12 --set block_size=1 \
    --set target_block_seconds=5 --set status_broadcast_port=27606 --set transaction_port=27608 \
    miner --threads 1 >"$home/said" &
miner=$!
trap ended EXIT
url=
for _ in $(seq 300); do
    url=$(sed -n 's/.*"explorer":"\([^"]*\)".*/\1/p' "$home/said" | head -n 1)
    [ -n "$url" ] && break
    sleep 0.1
done
[ -n "$url" ] || { echo "the miner does not say where its explorer is"; exit 1; }
# A payment made up by a program is signed by nobody, so that what its form allows must be refused.
# It keeps notes where it runs.
cd "$home"
"$environment/bin/schemathesis" run "${url}api/v1/openapi.json" --max-examples "$examples" \
    --checks all --exclude-checks positive_data_acceptance --phases examples,coverage,fuzzing --seed 1 --no-color \
    --suppress-health-check all --request-timeout 20
