"""The sky of an exposure: block medians, principal components of a band, templates, fit."""

from __future__ import annotations
