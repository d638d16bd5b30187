#!/usr/bin/env bash
# http_server beside nginx: requests and events a second, for 1, 100 and 10000 events a request, in turn, in one run.
#
#     benches/ingest.sh [SECONDS [ROUNDS]]        # 3 seconds for each figure and 3 rounds where they are left out
#
# `evaltrail` is the whole path: http_server, legacy_message, audit_policy, metadata_projection, blackhole. `discard` is
# nginx with `return 200`: it reads the body from the socket and throws it away, without a look, and answers before it is
# all there: less than any server can do that has to do with what it gets. wrk does not get over such an answer while it
# still sends, so there are no figures of it for large bodies. `read` is nginx that takes the whole body into memory, as
# in front of any application, and then asks `discard`, without the body, what to say. The load is wrk, one thread with
# 16 connections, by HTTP/1.1 with keep-alive, over loopback; it takes its share of the same processors, which is printed
# (`wrk`: seconds of processor time in a second), as is the server's; `events/cpu-s` (events for a second of the server's
# processor time) is what to compare on a machine that is busy with other things. Logs are made by the demo_logs source:
# `mixed` has 5 % records of evaluations. EVALTRAIL names another program to measure. Needs wrk, nginx, jq, python3.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-3}
rounds=${2:-3}
PATH=$PATH:/usr/sbin
for tool in wrk nginx jq python3; do
  command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }
done
if [ -z "${EVALTRAIL:-}" ]; then
  cargo build --release --quiet
  EVALTRAIL=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)/release/evaltrail
fi
work=$(mktemp -d)
started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

# generate SHARE NAME: 40000 lines of log.
generate() {
  cat >"$work/gen.toml" <<TOML
[sources.log]
type = "demo_logs"
format = "livebook_json"
evaluations = $1
interval_secs = 0
count = 40000
decoding.codec = "text"
[sinks.out]
type = "console"
inputs = ["log"]
encoding.codec = "text"
TOML
  "$EVALTRAIL" -q -c "$work/gen.toml" | head -n 40000 >"$work/$2.log"
}
generate 0.05 mixed
generate 1.0 evaluations

cat >"$work/ingest.toml" <<'TOML'
[sources.web]
type = "http_server"
address = "127.0.0.1:0"
[transforms.parse]
type = "legacy_message"
inputs = ["web"]
[transforms.policy]
type = "audit_policy"
inputs = ["parse"]
[transforms.project]
type = "metadata_projection"
inputs = ["policy"]
keys = ["users", "session_mode", "code", "event"]
[sinks.out]
type = "blackhole"
inputs = ["project"]
TOML

# A port that is free now.
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start_nginx NAME LOCATION: sets port_NAME and pid_NAME.
start_nginx() {
  mkdir -p "$work/$1"
  local port
  port=$(free)
  cat >"$work/$1/nginx.conf" <<NGINX
daemon off;
worker_processes 2;
pid $work/$1/pid;
error_log $work/$1/error.log;
events { worker_connections 1000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 16m;
  client_body_temp_path $work/$1/body;
  proxy_temp_path $work/$1/proxy;
  fastcgi_temp_path $work/$1/f;
  uwsgi_temp_path $work/$1/u;
  scgi_temp_path $work/$1/s;
  upstream discard { server 127.0.0.1:${port_discard:-1}; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$port backlog=1024; location / { $2 } }
}
NGINX
  nginx -e "$work/$1/error.log" -p "$work/$1" -c "$work/$1/nginx.conf" &
  started+=($!)
  declare -g "port_$1=$port" "pid_$1=$!"
}
start_nginx discard 'return 200;'
start_nginx read 'proxy_pass http://discard; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_pass_request_body off; proxy_set_header Content-Length "";'
"$EVALTRAIL" --log-format json -c "$work/ingest.toml" 2>"$work/said" >/dev/null &
pid_evaltrail=$!
started+=("$pid_evaltrail")
for _ in $(seq 500); do grep -q listening "$work/said" && break; sleep 0.02; done
port_evaltrail=$(sed -n 's/.*"address":"127\.0\.0\.1:\([0-9]*\)".*/\1/p' "$work/said" | head -n 1)
sleep 0.5

cat >"$work/load.lua" <<'LUA'
-- Arguments: the log, and how many of its lines make a request. Each request takes the next ones.
local requests, at = {}, 0
function init(args)
  local lines, size = {}, tonumber(args[2])
  for line in io.lines(args[1]) do
    lines[#lines + 1] = line
    if #lines == size then
      requests[#requests + 1] = wrk.format("POST", "/", nil, table.concat(lines, "\n") .. "\n")
      lines = {}
    end
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("FIGURES %f %d %d\n", summary.requests / (summary.duration / 1e6), errors.status, failed))
end
LUA

# Processor time of a process and its children that run, in ticks of 10 ms.
ticks() {
  local sum=0 pid
  for pid in "$1" $(cat "/proc/$1/task/$1/children"); do
    sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
  done
  echo "$sum"
}

# measure SERVER LOG SIZE: appends requests a second, processor seconds of server and wrk in a second.
measure() {
  local port=port_$1 pid=pid_$1 before after
  before=$(ticks "${!pid}")
  TIMEFORMAT='%U %S'
  { time wrk -t1 -c16 "-d${seconds}s" --timeout 30s -s "$work/load.lua" "http://127.0.0.1:${!port}/" -- \
    "$work/$2.log" "$3" >"$work/wrk" 2>&1; } 2>"$work/time"
  after=$(ticks "${!pid}")
  read -r _ rate status failed < <(grep FIGURES "$work/wrk") || { cat "$work/wrk" >&2; exit 1; }
  [ "$status" = 0 ] && [ "$failed" = 0 ] ||
    echo "  $1, $2, $3: $status answers that are no success, $failed broken connections" >&2
  awk -v r="$rate" -v s="$seconds" -v t="$((after - before))" '{ print r, t / 100 / s, ($1 + $2) / s }' "$work/time" \
    >>"$work/$1.$2.$3"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-12s %-10s %7s %11s %12s %8s %8s %6s %13s %11s\n' \
  log server events requests/s events/s MB/s server wrk 'events/cpu-s' 'times read'
for log in mixed evaluations; do
  bytes=$(head -n 40000 "$work/$log.log" | wc -c)
  for size in 1 100 10000; do
    servers=(read evaltrail)
    [ "$size" -gt 100 ] || servers=(discard read evaltrail)
    for ((round = 0; round < rounds; round++)); do
      for server in "${servers[@]}"; do measure "$server" "$log" "$size"; done
    done
    base=$(cut -d' ' -f1 "$work/read.$log.$size" | median)
    for server in "${servers[@]}"; do
      figures=$work/$server.$log.$size
      awk -v l="$log" -v n="$server" -v e="$size" -v b="$base" -v m="$bytes" -v r="$(cut -d' ' -f1 "$figures" | median)" \
        -v c="$(cut -d' ' -f2 "$figures" | median)" -v w="$(cut -d' ' -f3 "$figures" | median)" 'BEGIN {
        printf "%-12s %-10s %7d %11.0f %12.0f %8.1f %8.2f %6.2f %13.0f %11.2f\n",
          l, n, e, r, r * e, r * e * m / 40000 / 1e6, c, w, r * e / c, r / b }'
    done
  done
done
