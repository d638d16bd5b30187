#!/bin/sh
# Writes the manual page and the completions of shells into a folder, as the program itself prints them, and what has
# changed, as Debian wants it:
#
#     packaging/assets.sh target/release/evaltrail target/release/assets
set -eu

if [ $# -ne 2 ]; then
  echo "usage: $0 PROGRAM FOLDER" >&2
  exit 2
fi
mkdir -p "$2"
# Without a time in it, so that the same program gives the same file.
"$1" man | gzip -9n > "$2/evaltrail.1.gz"
gzip -9nc "$(dirname "$0")/../CHANGELOG.md" > "$2/changelog.gz"
"$1" completions bash > "$2/evaltrail.bash"
"$1" completions zsh > "$2/_evaltrail"
"$1" completions fish > "$2/evaltrail.fish"
