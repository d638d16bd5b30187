#!/bin/sh
# Builds the Debian package, and says where it is:
#
#     packaging/build-deb.sh
#
# It needs Rust, a C compiler, dpkg-dev and `cargo install --locked cargo-deb` (tried with 3.8.0). The package fits the
# release of Debian that it is built on, and newer ones. With `--no-build`, the program is what the last build has left.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
if [ "${1:-}" != --no-build ]; then
  cargo build --locked --release --bin evaltrail
fi
packaging/assets.sh "$target/release/evaltrail" "$target/release/assets"
cargo deb --no-build --strip --deb-revision 1
