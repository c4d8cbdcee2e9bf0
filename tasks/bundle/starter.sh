#!/bin/sh
# Runs a task of tiny-diffusion without a network:
#
#   sh tiny-diffusion.sh TASK [flags]     without TASK: lists the tasks
#
# The first start verifies the archive next to this file and unpacks it there, which needs tar, xz,
# and sha256sum or shasum. Paths are relative to the folder tiny-diffusion that this makes; weights
# and results are written there.
set -eu

system='SYSTEM'
bundle='BUNDLE'
# SHA-256 and name of the archive, or of its pieces in order
sums='SUMS'

fail() {
  echo "error: Cannot $*" >&2
  exit 1
}

find_tool() {
  command -v "$1" >/dev/null 2>&1
}

hash_of() {
  if find_tool sha256sum; then sha256sum; else shasum -a 256; fi <"$1" | cut -c 1-64
}

unpack() {
  find_tool tar || fail "unpack: there is no tar here; install it"
  find_tool xz || fail "unpack: there is no xz here; install it (Debian, Ubuntu: xz-utils)"
  find_tool sha256sum || find_tool shasum || fail "verify: there is no sha256sum and no shasum here"
  echo "$sums" | while read -r sum name; do
    [ -f "$here/$name" ] || fail "unpack: $here/$name is missing; copy all files of the bundle"
    [ "$(hash_of "$here/$name")" = "$sum" ] || fail "unpack: $here/$name is damaged; copy it again"
  done
  echo "unpacking into $project" >&2
  partial="$here/.tiny-diffusion-$(uname -n)-$$"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  rm -rf "$partial"
  mkdir "$partial" || fail "unpack: the folder $here can't be written; copy the bundle elsewhere"
  echo "$sums" | while read -r sum name; do cat "$here/$name"; done |
    xz -dc | tar -xof - -C "$partial" || fail "unpack: see the line above"
  # Another job may have unpacked it in the meantime.
  [ -e "$project" ] || mv "$partial/tiny-diffusion" "$project"
  rm -rf "$partial"
  trap - EXIT INT TERM
}

[ "$(uname -sm)" = "$system" ] ||
  fail "run on $(uname -sm): the bundle was made on $system; make one on a machine like this"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
project="$here/tiny-diffusion"
offline="$project/.offline"
[ -e "$project" ] || unpack
[ "$(cat "$offline/bundle" 2>/dev/null)" = "$bundle" ] ||
  fail "use $project: it was not unpacked from this bundle; move it, or this bundle, elsewhere"

unset NPM_CONFIG_REGISTRY # the cache is sorted by registries; .npmrc of the bundle names its own
export DENO_DIR="$offline/cache" DENO_NO_UPDATE_CHECK=1 PATH="$offline:$PATH"
libraries=
if [ -d "$offline/tensorflow" ]; then
  export TINY_DIFFUSION_TENSORFLOW="$offline/tensorflow"
  libraries="$offline/tensorflow/site-packages/tensorflow"
fi
if [ -d "$offline/onnx-cuda" ]; then export TINY_DIFFUSION_ONNX_CUDA="$offline/onnx-cuda"; fi
# The machine's own Vulkan loader is the better one.
if [ -d "$offline/vulkan" ] &&
  ! PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q libvulkan.so.1; then
  libraries="${libraries:+$libraries:}$offline/vulkan"
fi
libraries="$libraries${LD_LIBRARY_PATH:+${libraries:+:}$LD_LIBRARY_PATH}"
if [ -n "$libraries" ]; then export LD_LIBRARY_PATH="$libraries"; fi
cd "$project"
exec "$offline/deno" task --quiet "$@"
