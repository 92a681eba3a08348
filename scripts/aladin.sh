#!/usr/bin/env bash
# Brings Aladin Lite (the sky map of the web pages) into .venv/share/desdm/aladin: pinned, its digest verified.
# The package is GPL-3 with LGPL parts; it is served as it is, with its licences, and never committed.
# Usage: scripts/aladin.sh
set -eu
cd "$(dirname "$0")/.."
version=3.8.2
digest=/VGtxSWZ4StdKgwjmzqNkUY/3iTaBZJ5F6bN+nAfcK1NEATcAb2CYJX4U8FElpwYMgKrypYQV5KniRzhVbH+nA==  # sha-512
target=.venv/share/desdm/aladin

[ -f "$target/aladin.js.gz" ] && [ "$(cat "$target/.version" 2>/dev/null || true)" = "$version $digest" ] && exit 0
command -v npm >/dev/null 2>&1 || { echo "npm is needed for Aladin Lite (Debian package npm)" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "aladin-lite@$version" >/dev/null
got=$(.venv/bin/python -c 'import base64, hashlib, sys
print(base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode())' "$work/aladin-lite-$version.tgz")
if [ "$got" != "$digest" ]; then
  echo "aladin-lite $version: sha-512 is $got, expected $digest; nothing was installed" >&2
  exit 4
fi
mkdir -p "$work/made"
tar -xzf "$work/aladin-lite-$version.tgz" -C "$work" package/dist/aladin.js package/COPYING package/COPYING.LESSER
mv "$work/package/dist/aladin.js" "$work/package/COPYING" "$work/package/COPYING.LESSER" "$work/made/"
gzip -9 -n -k "$work/made/aladin.js"  # the server sends it packed
echo "$version $digest" > "$work/made/.version"
mkdir -p "$(dirname "$target")"
rm -rf "$target"
mv "$work/made" "$target"
echo "Aladin Lite $version is in $target"
