"""A real Chromium for tests, and what they ask of it: pages without a horizontal scroll, a console without errors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest

REQUIRED = "ABLOOP_REQUIRE_BROWSER"  # 1: no browser is a failure
SCREENSHOTS = Path(__file__).parent / "screenshots"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)


def refuse(reason: str) -> NoReturn:
    """Skip the test by name; fail it where a browser is required."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}; {REQUIRED}=1 asks for it")
    pytest.skip(reason)


def open_browser(profile: Path) -> Any:
    """Return a fresh browser; nothing is downloaded for it.

    Args:
        profile: An empty directory for what it keeps.
    """
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        refuse("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    try:
        from selenium import webdriver
    except ImportError:
        refuse("selenium is not installed: pip install 'abloop[dev]'")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
