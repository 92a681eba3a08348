#!/usr/bin/env bash
# Sets up what the two user commands need, once: Debian programs, virtual environment, locked packages.
# Usage: scripts/setup.sh demo|test
set -eu
cd "$(dirname "$0")/.."
goal=${1:-demo}

# Debian packages by the program that each brings.
need=()
want() { command -v "$1" >/dev/null 2>&1 || need+=("$2"); }
want source-extractor source-extractor
want psfex psfex
want scamp scamp
want SWarp swarp
want fpack libcfitsio-bin
want fitsverify fitsverify
if [ "$goal" = test ]; then
  # The PostgreSQL that is there, or the one that this Debian has.
  pg=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -1)
  [ -n "$pg" ] || case $(sed -n 's/^VERSION_ID="\?\([0-9]*\).*/\1/p' /etc/os-release) in 12) pg=15 ;; *) pg=17 ;; esac
  [ -x "/usr/lib/postgresql/$pg/bin/postgres" ] || need+=("postgresql-$pg")
  [ -f "/usr/share/postgresql/$pg/extension/q3c.control" ] || need+=("postgresql-$pg-q3c")
  # The driver of the tests' browser is linked with it, and no package that we install asks for it.
  [ -n "$(find /usr/lib -name 'libatomic.so.1' -print -quit)" ] || need+=(libatomic1)
  want chromium chromium
  want git git
  want stilts stilts
  want curl curl
  want wget wget
  want npm npm
fi
PY=${PYTHON:-python3}
command -v "$PY" >/dev/null 2>&1 || need+=(python3)
"$PY" -c 'import ensurepip' >/dev/null 2>&1 || need+=(python3-venv)
if [ ${#need[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ]; then run=""; elif sudo -n true 2>/dev/null; then run="sudo"; else
    echo "These Debian packages are missing: ${need[*]}" >&2
    echo "Install them (apt-get install ${need[*]}) and call make again." >&2
    exit 2
  fi
  echo "installing Debian packages: ${need[*]}"
  $run apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
fi

# One stamp says for which lock the environment was made, so that a second call does nothing.
stamp=$(cat requirements.lock pyproject.toml scripts/setup.sh | sha256sum | cut -c1-16)
web_packages() {  # map and plots of the pages; the demo goes without them where npm is not there
  if [ "$goal" = test ] || command -v npm >/dev/null 2>&1; then bash scripts/web_packages.sh; fi
}
# What only the tests and the documentation need has a stamp of its own: the demo goes without it.
extras_stamp=$(cat requirements.lock requirements-docs.lock | sha256sum | cut -c1-16)
extras() {
  if [ "$goal" != test ] || [ "$(cat .venv/.extras-made-for 2>/dev/null || true)" = "$extras_stamp" ]; then return; fi
  echo "installing the packages of documentation and coverage"
  .venv/bin/uv pip install -q --compile-bytecode --python .venv/bin/python --require-hashes -r requirements-docs.lock
  echo "$extras_stamp" > .venv/.extras-made-for
}
if [ "$(cat .venv/.made-for 2>/dev/null || true)" = "$stamp" ]; then extras; web_packages; exit 0; fi
"$PY" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed." >&2; exit 2; }
echo "making .venv (a minute or two)"
[ -x .venv/bin/python ] || "$PY" -m venv .venv
uv=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
.venv/bin/python -m pip install -q --disable-pip-version-check "uv==$uv"
echo "installing $(grep -c '^[a-z].*==' requirements.lock) Python packages"
.venv/bin/uv pip install -q --compile-bytecode --python .venv/bin/python --require-hashes -r requirements.lock
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
echo "compiling"
.venv/bin/python -m compileall -q src
echo "$stamp" > .venv/.made-for
extras
web_packages
