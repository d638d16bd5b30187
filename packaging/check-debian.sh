#!/bin/bash
# Tries the package, or the README, in a Debian that has nothing else in it. As root:
#
#     packaging/check-debian.sh package target/debian/evaltrail_0.1.0-1_amd64.deb
#     packaging/check-debian.sh readme
#
# `package` installs it, runs the command line of its unit as a user like the unit's, writes an evaluation into a log,
# waits for its record, stops it, purges the package, and compares the files before and after. `readme` adds a C compiler,
# lends the Rust toolchain of this machine, and runs the README's first two commands: half an hour and more.
#
# It needs debootstrap. SUITE says which release (bookworm), BASE names the folder of a root that is there already and is
# copied; TMPDIR is where the root is made. Nothing outlives it.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
suite=${SUITE:-bookworm}
# A number of those that systemd gives to dynamic users.
user=61184
pid=

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

work=$(mktemp -d)
root=$work/root
lent=()
clean() {
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  local place
  for place in "${lent[@]}"; do
    # What is lent must not be removed with the root.
    umount "$place" || { printf 'still in use, so nothing is removed: %s\n' "$place" >&2; return; }
  done
  rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# Lends a folder of this machine to the root.
lend() {
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  lent=("$root$2" "${lent[@]}")
  # Only a folder that is named as such is written to.
  [ "${3:-}" = writable ] || mount -o remount,bind,ro "$root$2"
}

make_root() {
  if [ -n "${BASE:-}" ]; then
    cp -a "$BASE" "$root"
  else
    debootstrap --variant=minbase "$suite" "$root" >"$work/debootstrap.log" || fail "$(tail "$work/debootstrap.log")"
  fi
  say "a clean Debian $(cat "$root/etc/debian_version")"
}

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }

# Everything that there is, but for what dpkg keeps of its own work.
list() {
  (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/log/dpkg.log -o -path ./var/cache/ldconfig \) -prune \
    -o -print | sort)
}

# Waits until a command succeeds; 30 s at most.
await() {
  for _ in $(seq 300); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}

try_package() {
  list >"$work/before"
  cp "$1" "$work/root/tmp/evaltrail.deb"
  inside dpkg -i /tmp/evaltrail.deb || fail "it can't be installed"
  rm "$root/tmp/evaltrail.deb"
  inside evaltrail --version
  inside systemctl --version >/dev/null 2>&1 || say "no systemd in here: its unit is only read"

  local unit=$root/usr/lib/systemd/system/evaltrail.service command
  command=$(sed -n 's/^ExecStart=//p' "$unit")
  # What systemd does for the unit: folders of its own, a user without rights, a group that may read logs.
  sed -n 's/^StateDirectory=/var\/lib\//p; s/^LogsDirectory=/var\/log\//p' "$unit" | while read -r folder; do
    install -d -m 750 -o $user -g $user "$root/$folder"
  done
  install -d -m 750 -g adm "$root/var/log/livebook"
  say "runs $command"
  # shellcheck disable=SC2086 # It is a command line.
  chroot --userspec=$user:$user --groups="$(sed -n 's/^SupplementaryGroups=//p' "$unit")" "$root" \
    /usr/bin/env -i PATH=/usr/bin:/bin $command 2>"$work/log" &
  pid=$!
  # The second of these is a line that a Livebook writes for other things.
  install -m 640 -g adm /dev/null "$root/var/log/livebook/livebook.log"
  cat >>"$root/var/log/livebook/livebook.log" <<'LOG'
{"message":"Evaluating code","time":"2025-10-06T09:02:41.119Z","metadata":{"users":[{"id":"8","name":"Tove Lindqvist"}],"session_mode":"default","code":"1 + 1","event":"code.evaluate"},"severity":"info"}
{"message":"GET /public/health","time":"2025-10-06T09:02:42.000Z","metadata":{},"severity":"info"}
LOG
  local trail=$root/var/log/evaltrail/2025-10-06.jsonl
  await grep -qs '"code":"1 + 1"' "$trail" || fail "no record: $(cat "$work/log")"
  say "the trail: $(cat "$trail")"
  [ "$(wc -l <"$trail")" = 1 ] || fail "more than one record"
  [ "$(stat -c %u "$trail")" = $user ] || fail "the trail belongs to somebody else"
  kill -TERM "$pid"
  wait "$pid" || fail "it ended with $?: $(cat "$work/log")"
  pid=
  say "it stopped: $(tail -n 1 "$work/log")"

  rm -r "$root/var/log/livebook"
  inside dpkg --remove evaltrail
  [ -e "$root/etc/evaltrail/evaltrail.toml" ] || fail "removing took the config"
  [ -e "$trail" ] || fail "removing took the trail"
  inside dpkg --purge evaltrail
  list >"$work/after"
  diff "$work/before" "$work/after" || fail "purging leaves remains"
  say "purged without remains"
}

try_readme() {
  # Programs find the libraries beside them by it.
  mount -t proc proc "$root/proc"
  lent=("$root/proc" "${lent[@]}")
  inside apt-get update -qq
  inside apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null
  local cargo=${CARGO_HOME:-$HOME/.cargo} toolchain
  toolchain=$(rustc --print sysroot)
  lend "$toolchain" /opt/rust
  lend "$cargo/registry" /root/.cargo/registry writable
  mkdir -p "$root/src"
  (cd "$here" && git archive HEAD) | tar -x -C "$root/src"
  local command
  for command in "$(grep -m1 '^cargo run --release' "$here/README.md")" "$(grep -m1 '^cargo test' "$here/README.md")"; do
    say "$command"
    inside PATH=/opt/rust/bin:/usr/bin:/bin sh -c "cd /src && $command" || fail "$command"
  done
}

case ${1:-} in
  package) make_root; try_package "${2:?which package}" ;;
  readme) make_root; try_readme ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
