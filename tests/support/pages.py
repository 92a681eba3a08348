"""A real browser for pages of a served installation; it keeps book of complaints, requests and policies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

__all__ = ["Browser", "Tab", "browser"]

_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip


class Tab:
    """A page of the site.

    Attributes
    ----------
    complaints
        Errors of the console and of scripts; a missing resource and a broken policy are among them.
    elsewhere
        Requests to other machines.
    policies
        Content-Security-Policy of each page that was loaded, by its path.
    """

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.page: Page = context.new_page()
        self.base = base
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.policies: dict[str, str] = {}
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda err: self.complaints.append(str(err)))
        self.page.on("request", self._sent)
        self.page.on("response", self._came)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _sent(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def _came(self, response: Any) -> None:
        if response.request.resource_type == "document":
            policy = response.headers.get("content-security-policy", "")
            self.policies[response.url.removeprefix(self.base).split("?")[0]] = policy

    def go(self, path: str) -> Page:
        """Load a page of the site."""
        self.page.goto(self.base + path)
        return self.page

    def check(self) -> None:
        """Nobody complained, nothing left the machine, and each page had a policy without inline scripts."""
        assert not self.complaints, self.complaints
        assert not self.elsewhere, self.elsewhere
        assert self.policies
        for path, policy in self.policies.items():
            rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
            assert rules["default-src"] == "'none'", path
            assert "unsafe-inline" not in rules.get("script-src", ""), path
            assert "http" not in policy and "*" not in policy, path


class Browser:
    """The browser; a tab has its own cookies and storage."""

    def __init__(self, chromium: Chromium, base: str) -> None:
        self._chromium, self._base = chromium, base

    @contextmanager
    def tab(self, *, dark: bool = False, width: int = 1280) -> Iterator[Tab]:
        """A tab as of somebody who comes for the first time."""
        context = self._chromium.new_context(
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": 900},
            accept_downloads=True,
        )
        context.set_default_timeout(20_000)
        try:
            yield Tab(context, self._base)
        finally:
            context.close()


#: The running browser with its playwright, and how many sites use it: playwright runs once in a process.
_RUNNING: list[tuple[Playwright, Chromium]] = []
_USERS: list[str] = []


@contextmanager
def browser(base: str) -> Iterator[Browser]:
    """Debian's chromium without a window, for the site at ``base``."""
    if not _RUNNING:
        program = shutil.which("chromium")
        assert program, "chromium is not installed (Debian package of that name)"
        played = sync_playwright().start()
        _RUNNING.append((played, played.chromium.launch(executable_path=program, args=_FLAGS)))
    _USERS.append(base)
    try:
        yield Browser(_RUNNING[0][1], base)
    finally:
        _USERS.remove(base)
        if not _USERS:
            played, chromium = _RUNNING.pop()
            chromium.close()
            played.stop()
