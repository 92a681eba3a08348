#!/usr/bin/env bash
# Brings Aladin Lite (sky map) and uPlot (plots) of the web pages into .venv/share/desdm: pinned, their digests verified.
# Usage: scripts/web_packages.sh
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -m desdm.web.npm
