#!/usr/bin/env bash
# Memory of idle connections to http_server: how much the process grows by N of them, and whether they still work.
#
#     benches/idle_connections.sh [CONNECTIONS]        # 10000 where it is left out
#
# `silent` connections never send anything; those of `served` were each served one request of 10 records, one after the
# other; those of `burst` too, but all at once. Memory is the resident size (VmRSS), after all of it has been quiet for
# 3 s; `most` is what it ever was (VmHWM). Afterwards each connection is served once more. EVALTRAIL names another
# program to measure. Needs python3, and `ulimit -n` above CONNECTIONS.
set -euo pipefail
cd "$(dirname "$0")/.."
connections=${1:-10000}
ulimit -n "$((connections + 1000))" 2>/dev/null || ulimit -n "$(ulimit -Hn)"
if [ -z "${EVALTRAIL:-}" ]; then
  cargo build --release --quiet
  target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  EVALTRAIL=$target/release/evaltrail
fi
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

cat >"$work/idle.toml" <<TOML
[sources.web]
type = "http_server"
address = "127.0.0.1:0"
max_connections = $((connections + 100))
header_read_timeout_secs = 600
keepalive.max_connection_age_secs = 3600
[sinks.out]
type = "blackhole"
inputs = ["web"]
TOML

cat >"$work/client.py" <<'PYTHON'
import re, socket, sys, time

pid, port, count, how = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
BODY = b'{"message":"a record of some length, so that there is something to read"}\n' * 10
REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY

def kib(name):
    return int(re.search(name + r":\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))

def answer(sock):
    got = b""
    while not got.endswith(b"}"):
        part = sock.recv(65536)
        assert part, "closed"
        got += part
    # So many at once may fill the pipeline, which is an answer too.
    assert b" 200 " in got and b'"accepted":10' in got or b" 429 " in got, got

def connect():
    return socket.create_connection(("127.0.0.1", port))

# What is allocated once does not count.
warm = [connect() for _ in range(20)]
for sock in warm: sock.sendall(REQUEST)
for sock in warm: answer(sock); sock.close()
time.sleep(0.5)
before = kib("VmRSS")
begun = time.monotonic()
socks = []
for _ in range(count):
    sock = connect()
    if how == "served":
        sock.sendall(REQUEST)
        answer(sock)
    socks.append(sock)
if how == "burst":
    for sock in socks: sock.sendall(REQUEST)
    for sock in socks: answer(sock)
took = time.monotonic() - begun
time.sleep(3)
grown = (kib("VmRSS") - before) * 1024 / 1e6
most = (kib("VmHWM") - before) * 1024 / 1e6
for sock in socks: sock.sendall(REQUEST)
for sock in socks: answer(sock)
print(f"  {how:8} {count:8} {grown:10.1f} {grown * 1e6 / count:12.0f} {most:10.1f} {took:10.1f}")
PYTHON

printf '  %-8s %8s %10s %12s %10s %10s\n' kind number "MB more" "bytes each" "MB most" seconds
for how in silent served burst; do
  "$EVALTRAIL" --log-format json -c "$work/idle.toml" 2>"$work/said" >/dev/null &
  server=$!
  for _ in $(seq 500); do grep -q listening "$work/said" && break; sleep 0.02; done
  port=$(sed -n 's/.*"address":"127\.0\.0\.1:\([0-9]*\)".*/\1/p' "$work/said" | head -n 1)
  python3 "$work/client.py" "$server" "$port" "$connections" "$how"
  kill "$server" && wait "$server" || true
  server=
done
