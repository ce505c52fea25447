#!/bin/sh
# Runs the published protocol test suites of Engine.IO and Socket.IO against suite-server.
#
#   interop/protocol-suites.sh FOLDER...
#
# The suites are no part of this repository. They are in socketio/socket.io, which is checked out elsewhere:
#   docs/engine.io-protocol/v3-test-suite    docs/engine.io-protocol/v4-test-suite
#   docs/socket.io-protocol/v5-test-suite
# Each FOLDER is one of these, with its test-suite.js unmodified and its packages installed (npm install).
# A server of its own is started for each, with --eio3 for a suite that speaks Engine.IO 3, since the other
# suites expect that version to be refused. The suites know only port 3000, which must be free.
#
# suite-server is slower than a server for clients, because of cases of the v3 and v5 suites. Some wait for one message and then,
# with another listener, for the next, and lose what comes in the same read: the OPEN packet behind the 101 (ws >= 8.17 hands
# it out before a case that awaited `open` goes on), the event behind CONNECT. Others ask for a session by polling exactly at
# its deadline.
#
# RUNS=3 runs every suite three times. SERVER=PATH takes a suite-server that is already built; otherwise a
# release build is made. The exit status is the number of runs that failed.
set -u

[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
if [ -z "${SERVER:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml" -p interop-server --bin suite-server || exit 2
    SERVER=${CARGO_TARGET_DIR:-$root/target}/release/suite-server
fi
# The server listens on 127.0.0.1; `localhost` may mean ::1 first.
export NODE_OPTIONS="--dns-result-order=ipv4first ${NODE_OPTIONS:-}"

out=$(mktemp) || exit 2
pid=
end_server() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    pid=
}
trap 'end_server; rm -f "$out"' EXIT
trap 'exit 130' INT TERM

# Starts suite-server with the given flags and waits, ten seconds at most, until it says that it listens.
start_server() {
    "$SERVER" 3000 "$@" >"$out" &
    pid=$!
    tries=100
    until grep -q '^listening' "$out"; do
        kill -0 "$pid" 2>/dev/null && [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}

failed=0
for folder; do
    [ -f "$folder/test-suite.js" ] || { echo "$folder: no test-suite.js" >&2; exit 2; }
    set --
    grep -q 'EIO=3' "$folder/test-suite.js" && set -- --eio3
    start_server "$@" || { echo "$SERVER did not start: is port 3000 free?" >&2; exit 2; }
    run=0
    while [ $((run += 1)) -le "${RUNS:-1}" ]; do
        echo "== $folder${1:+ ($1)}, run $run"
        (cd "$folder" && npx --no-install mocha --exit test-suite.js) || failed=$((failed + 1))
    done
    end_server
done
exit "$failed"
