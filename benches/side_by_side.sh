#!/usr/bin/env bash
# evaltrail beside grep, wc and jq on the same bytes, in turn, in one run: medians, ratios to grep, peak memory.
#
#     benches/side_by_side.sh [MEGABYTES [RUNS]]        # 200 and 5 where they are left out
#
# The logs are made by the demo_logs source: `mixed` has 5 % records of evaluations, `evaluations` nothing else. All
# programs write to a file, since grep stops at its first match where its output is /dev/null. `evaltrail` is the embedded
# pipeline over standard input; `files` is configs/files.toml with --once, from file to file, with checkpoints and every
# batch synced to the disk; `copy` is a file source straight into a file sink. Needs GNU time, jq.
set -euo pipefail
cd "$(dirname "$0")/.."
megabytes=${1:-200}
runs=${2:-5}
for tool in jq grep wc; do
  command -v "$tool" >/dev/null || { echo "needs $tool" >&2; exit 2; }
done
[ -x /usr/bin/time ] || { echo "needs GNU time as /usr/bin/time" >&2; exit 2; }
cargo build --release --quiet
target=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)
evaltrail=$target/release/evaltrail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# generate FORMAT SHARE NAME: about MEGABYTES of log.
generate() {
  sed -e "s/FORMAT/$1/" -e "s/SHARE/$2/" >"$work/gen.toml" <<'TOML'
[sources.log]
type = "demo_logs"
format = "FORMAT"
evaluations = SHARE
interval_secs = 0
decoding.codec = "text"
[sinks.out]
type = "console"
inputs = ["log"]
encoding.codec = "text"
TOML
  # head cuts the endless log off; the torn last line is cut too. The program ends quietly when head goes away.
  "$evaltrail" -q -c "$work/gen.toml" | head -c "$((megabytes * 1000000))" | sed '$d' >"$work/$3"
}

cat >"$work/copy.toml" <<'TOML'
data_dir = "${EVALTRAIL_DATA}"
[sources.log]
type = "file"
include = ["${LIVEBOOK_LOGS}/*.log"]
[sinks.out]
type = "file"
inputs = ["log"]
path = "${EVALTRAIL_OUT}/copy.jsonl"
TOML

# once COMMAND...: appends wall seconds and peak KiB to $work/figures.
once() {
  local begin end
  begin=$EPOCHREALTIME
  /usr/bin/time -q -f '%M' -o "$work/peak" "$@" <"$log" >"$work/out" || true
  end=$EPOCHREALTIME
  echo "$(awk -v a="$begin" -v b="$end" 'BEGIN { printf "%.4f", b - a }') $(cat "$work/peak")" >>"$work/figures"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

jq_program='fromjson? | select(.metadata.event? == "code.evaluate") |
  {message, time, metadata: (.metadata | {users, session_mode, code, event}), severity}'

for spec in "livebook_json 0.05 mixed.jsonl" "livebook_json 1.0 evaluations.jsonl" \
            "livebook_text 0.05 mixed.log" "livebook_text 1.0 evaluations.log"; do
  read -r format share name <<<"$spec"
  generate "$format" "$share" "$name"
  log=$work/$name
  programs=(grep wc evaltrail files copy)
  mkdir -p "$work/logs"
  ln -f "$log" "$work/logs/livebook.log"
  export LIVEBOOK_LOGS=$work/logs EVALTRAIL_DATA=$work/data EVALTRAIL_OUT=$work/trail
  [ "$format" = livebook_json ] && programs+=(jq)
  printf '\n%s: %s bytes, median of %s\n' "$name" "$(stat -c %s "$log")" "$runs"
  for program in "${programs[@]}"; do : >"$work/$program"; done
  for ((run = 0; run <= runs; run++)); do
    for program in "${programs[@]}"; do
      # jq takes a hundred times as long: one run says enough.
      if [ "$program" = jq ] && [ "$run" -gt 1 ]; then continue; fi
      : >"$work/figures"
      rm -rf "$work/data" "$work/trail"
      case $program in
        grep) once grep -c 'code\.evaluate' ;;
        wc) once wc -l ;;
        jq) once jq -cR "$jq_program" ;;
        evaltrail) once "$evaltrail" -q ;;
        files) once "$evaltrail" -q -c configs/files.toml --once ;;
        copy) once "$evaltrail" -q -c "$work/copy.toml" --once ;;
      esac
      # The first round warms the caches.
      if [ "$run" -gt 0 ]; then cat "$work/figures" >>"$work/$program"; fi
    done
  done
  base=$(cut -d' ' -f1 "$work/grep" | median)
  printf '  %-10s %10s %14s %12s\n' program seconds "times grep" "peak MB"
  for program in "${programs[@]}"; do
    wall=$(cut -d' ' -f1 "$work/$program" | median)
    peak=$(cut -d' ' -f2 "$work/$program" | median)
    awk -v p="$program" -v w="$wall" -v b="$base" -v m="$peak" \
      'BEGIN { printf "  %-10s %10.3f %14.2f %12.1f\n", p, w, w / b, m * 1024 / 1e6 }'
  done
done
