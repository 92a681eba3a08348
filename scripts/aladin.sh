#!/usr/bin/env bash
# Brings Aladin Lite (the sky map of the web pages) into .venv/share/desdm/aladin: pinned, its digest verified.
# Usage: scripts/aladin.sh
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -m desdm.web.aladin
