"""Who sits before the browser: opens pages, types, presses keys, and looks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from abloop.store.workspace import Workspace
from tests.browser.chromium import SCREENSHOTS

PASSWORD = "nine violet herons"  # noqa: S105 - of nobody
PATIENCE = 15.0
WIDE, NARROW = 1280, 360


@dataclass(frozen=True)
class Site:
    """A running server.

    Attributes:
        address: Where it answers.
        url: Its database.
        directory: Where spool and training tables are.
        workspace: Its installation.
        password: The one-time password of `admin`.
    """

    address: str
    url: str
    directory: Path
    workspace: Workspace
    password: str


class Visitor:
    """Somebody before a browser.

    Args:
        driver: The browser.
        name: Of the test, for the names of screenshots.
    """

    def __init__(self, driver: Any, name: str) -> None:
        """Begin with a wide window."""
        self.driver, self._name, self._shots, self._site = driver, name, 0, ""
        self.resize(WIDE)

    def visit(self, site: Site) -> None:
        """Choose the server."""
        self._site = site.address

    def open(self, path: str) -> None:
        """Open a page."""
        self.driver.get(self._site + path)

    def resize(self, width: int) -> None:
        """Give the page's window a width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    @property
    def path(self) -> str:
        """Where the browser is."""
        address: str = self.driver.current_url
        return address.removeprefix(self._site)

    @property
    def text(self) -> str:
        """What stands on the page."""
        found: str = self.driver.find_element(By.TAG_NAME, "main").text
        return found

    def find(self, selector: str) -> Any:
        """Return an element that is shown, as soon as it is."""

        def look() -> Any:
            return next(
                (each for each in self.driver.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()), None
            )

        return self.wait(look, f"{selector} on {self.path}")

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        """Return what is looked for as soon as it is there."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if found := look():
                    return found
            except (NoSuchElementException, StaleElementReferenceException):  # the page is changing
                pass
            assert time.monotonic() < until, f"{what} did not come; the page says: {self.text[:600]}"
            time.sleep(0.03)

    def see(self, said: str) -> None:
        """Wait until a text stands on the page."""
        self.wait(lambda: said in self.text, repr(said))

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, selector: str) -> None:
        """Go to an element as somebody without a mouse does."""
        target = self.find(selector)
        for _ in range(200):
            if self.driver.switch_to.active_element == target:
                return
            self.press(Keys.TAB)
        raise AssertionError(f"{selector} is not reached by the keyboard on {self.path}")

    def type(self, selector: str, text: str) -> None:
        """Write a text into a field, in the place of what is there."""
        field = self.find(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def click(self, selector: str) -> None:
        """Click an element."""
        self.find(selector).click()

    def click_at(self, script: str) -> None:
        """Click where something stands that is no element for clicks, e.g. a point of a figure; given as JavaScript."""
        found = f"const it = {script}; it.scrollIntoView({{block: 'center'}}); const box = it.getBoundingClientRect();"
        x, y = self.driver.execute_script(f"{found} return [box.x + box.width / 2, box.y + box.height / 2]")
        for kind, button in (("mouseMoved", "none"), ("mousePressed", "left"), ("mouseReleased", "left")):
            event = {"type": kind, "x": x, "y": y, "button": button, "clickCount": 1}
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)
            time.sleep(0.1)

    def link(self, text: str) -> None:
        """Click a link by its text."""
        self.wait(lambda: self.driver.find_elements(By.LINK_TEXT, text), f"link {text!r}")[0].click()

    def unfold(self, summary: str) -> None:
        """Open what is folded under a text."""

        def look() -> Any:
            every = self.driver.find_elements(By.TAG_NAME, "summary")
            return next((each for each in every if each.text.strip().startswith(summary)), None)

        self.wait(look, f"what is folded under {summary!r}").click()

    def enter(self, site: Site) -> None:
        """Log in as admin with the one-time password, and choose another; by the keyboard alone."""
        self.visit(site)
        self.open("/")
        assert self.path.startswith("/login")
        self.press("admin", Keys.TAB, site.password, Keys.ENTER)
        self.wait(lambda: self.path == "/password", "the page of passwords")
        self.snapshot("one-time")
        for name, typed in (("old", site.password), ("new", PASSWORD), ("again", PASSWORD)):
            self.tab_to(f"[name={name}]")
            self.press(typed)
        self.press(Keys.ENTER)
        self.wait(lambda: self.path == "/", "the first page")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        found: int = self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return found

    def complaints(self) -> list[str]:
        """Return what the console says since it was asked last: errors, warnings, what the CSP refused.

        That a page is not there, or that a form was refused, is no error of a page.
        """
        loud = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        return [said for said in loud if not re.search(r"responded with a status of 4(04|09|22) ", said)]

    def snapshot(self, name: str) -> None:
        """Keep what the whole page looks like, for those who look."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self._shots += 1
        height = self.driver.execute_script("return Math.min(document.documentElement.scrollHeight, 5000)")
        width = self.driver.execute_script("return innerWidth")
        size = {"width": width, "height": max(900, height), "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{self._name}-{self._shots:02}-{name}.png"))
        self.resize(width)
