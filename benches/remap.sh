#!/usr/bin/env bash
# What a program in VRL costs: stdin -> remap (ten statements) -> console, as a whole process, on records of 250 bytes.
#
#     benches/remap.sh [EVENTS [RUNS [BINARY...]]]      # 1000000, 5 and a release build where they are left out
#
# `passed` is the same way without remap, and `none` a remap of a single statement, so that the differences say what
# programs cost. Several binaries are run in turn. The figure per core is events by seconds of processor time, user and
# system, of all threads. Medians. Needs GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-1000000}
runs=${2:-5}
binaries=("${@:3}")
[ -x /usr/bin/time ] || { echo "needs GNU time as /usr/bin/time" >&2; exit 2; }
if [ "${#binaries[@]}" -eq 0 ]; then
  cargo build --release --quiet
  binaries=("${CARGO_TARGET_DIR:-target}/release/evaltrail")
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One line is 250 bytes with its newline.
awk -v events="$events" 'BEGIN {
  split("info info info warning error", severities, " ")
  split("default app default default app", modes, " ")
  split("Ada Grace Alan Edsger Barbara", people, " ")
  filler = sprintf("%80s", "")
  gsub(/ /, "x", filler)
  for (at = 0; at < events; at++) {
    who = people[at % 5 + 1]
    line = sprintf("{\"message\":\"Sent 200 in %dms\",\"time\":\"2026-03-01T10:%02d:%02d.%06dZ\",\"metadata\":" \
      "{\"users\":[{\"id\":\"%d\",\"name\":\"%s\",\"email\":\"%s@example.com\"}],\"session_mode\":\"%s\",", \
      at % 900, at / 60 % 60, at % 60, at % 1000000, at % 40, who, tolower(who), modes[at % 5 + 1])
    line = line sprintf("\"request_id\":\"F%08d\"},\"severity\":\"%s\",\"request\":{\"p\":\"", at, severities[at * 7 % 5 + 1])
    print line substr(filler, 1, 246 - length(line)) "\"}}"
  }
}' >"$work/log"

config() {
  printf '[sources.log]\ntype = "stdin"\n[sinks.out]\ntype = "console"\ninputs = ["%s"]\n' "$1"
}
config log >"$work/passed.toml"
{ config program; printf '[transforms.program]\ntype = "remap"\ninputs = ["log"]\nsource = ".environment = \\"prod\\""\n'; } \
  >"$work/one.toml"
{
  config program
  cat <<'TOML'
[transforms.program]
type = "remap"
inputs = ["log"]
source = '''
    .environment = "prod"
    del(.request)
    .severity = upcase(string!(.severity))
    .metadata.user_count = length(array(.metadata.users) ?? [])
    if .metadata.session_mode == "app" { .tag = "app" } else { .tag = "session" }
    .host = %source
    .traced = exists(.metadata.request_id)
    .message = truncate(string!(.message), 40)
    .label = .severity + ":" + .tag
    .metadata.domain = split(string(.metadata.users[0].email) ?? "", "@")[1]
'''
TOML
} >"$work/ten.toml"

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for ((run = 0; run <= runs; run++)); do
  for at in "${!binaries[@]}"; do
    for program in passed one ten; do
      /usr/bin/time -q -f '%e %U %S %M' -o "$work/time" "${binaries[$at]}" -q -c "$work/$program.toml" <"$work/log" >"$work/out"
      # The first round warms the caches.
      if [ "$run" -gt 0 ]; then cat "$work/time" >>"$work/$at.$program"; fi
    done
  done
done
printf '%s events of %s bytes, median of %s\n' "$events" "$(head -1 "$work/log" | wc -c)" "$runs"
tail -1 "$work/log"
tail -1 "$work/out"
for at in "${!binaries[@]}"; do
  echo "${binaries[$at]}"
  printf '  %-8s %14s %20s %10s\n' program "events/s" "events/s per core" "peak MB"
  for program in passed one ten; do
    wall=$(cut -d' ' -f1 "$work/$at.$program" | median)
    cpu=$(awk '{ print $2 + $3 }' "$work/$at.$program" | median)
    peak=$(cut -d' ' -f4 "$work/$at.$program" | median)
    awk -v p="$program" -v n="$events" -v w="$wall" -v c="$cpu" -v m="$peak" \
      'BEGIN { printf "  %-8s %14.0f %20.0f %10.1f\n", p, n / w, n / c, m * 1024 / 1e6 }'
  done
done
