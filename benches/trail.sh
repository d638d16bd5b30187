#!/usr/bin/env bash
# What evidence costs: a file -> trail, with the default options of the sink, then `trail verify`; beside it, in turn, the
# same file -> file sink (synced too). As whole processes, wall time, on records of about 340 bytes.
#
#     benches/trail.sh [RECORDS [RUNS [BINARY [FOLDER]]]]   # 1000000, 3, a release build and a temporary folder
#
# The disk decides: FOLDER says which. Medians. Needs GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
records=${1:-1000000}
runs=${2:-3}
binary=${3:-}
[ -x /usr/bin/time ] || { echo "needs GNU time as /usr/bin/time" >&2; exit 2; }
if [ -z "$binary" ]; then
  cargo build --release --quiet
  binary=${CARGO_TARGET_DIR:-target}/release/evaltrail
fi
binary=$(realpath "$binary")
work=$(mktemp -d ${4:+-p "$4"})
trap 'rm -rf "$work"' EXIT
cd "$work"

awk -v records="$records" 'BEGIN {
  for (at = 0; at < records; at++) {
    printf "{\"message\":\"Evaluating code\",\"time\":\"2026-03-01T%02d:%02d:%02d.%03dZ\",\"metadata\":{\"users\":[{\"id\":\"%d\"," \
      "\"name\":\"Tove Lindqvist\",\"email\":\"tove%d@example.org\"}],\"session_mode\":\"default\",\"code\":\"data = Repo.all(" \
      "from u in User, where: u.id == %d)\\nEnum.map(data, & &1.name) |> Enum.sort() |> IO.inspect()\"," \
      "\"event\":\"code.evaluate\"},\"severity\":\"info\"}\n", \
      at / 3600000 % 24, at / 60000 % 60, at / 1000 % 60, at % 1000, at % 97, at % 97, at
  }
}' >in.log

"$binary" trail keygen bench.example.com/audit --key-file key >key.pub
config() { printf 'data_dir = "state"\n[sources.in]\ntype = "file"\ninclude = ["in.log"]\n[sinks.out]\ninputs = ["in"]\n%s\n' "$1"; }
config $'type = "trail"\npath = "trail"\nkey_file = "key"' >trail.toml
config $'type = "file"\npath = "out.jsonl"' >file.toml

timed() { /usr/bin/time -q -f '%e %M' -a -o "times.$1" "${@:2}"; }
for ((run = 0; run < runs; run++)); do
  rm -rf state trail out.jsonl
  timed file "$binary" -q --once -c file.toml
  rm -rf state
  timed trail "$binary" -q --once -c trail.toml
  timed verify "$binary" trail verify trail --key key.pub >verified
done
cat verified
[ "$(cat trail/records/*.jsonl | cmp - out.jsonl && wc -l <out.jsonl)" = "$records" ]

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
printf '%s records of %s bytes, median of %s\n' "$records" "$(($(wc -c <in.log) / records))" "$runs"
printf '%-8s %10s %12s %10s\n' "" seconds "records/s" "peak MB"
for what in file trail verify; do
  seconds=$(cut -d' ' -f1 "times.$what" | median)
  peak=$(cut -d' ' -f2 "times.$what" | median)
  awk -v w="$what" -v n="$records" -v s="$seconds" -v m="$peak" \
    'BEGIN { printf "%-8s %10.2f %12.0f %10.1f\n", w, s, n / (s > 0 ? s : 0.01), m * 1024 / 1e6 }'
done
