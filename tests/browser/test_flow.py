"""The whole way in a real browser: from the first log-in to a strategy that runs, is changed, tuned, rolled back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from selenium.webdriver.common.keys import Keys

from abloop import offline, tuning
from abloop.compare import SETTLE_SECONDS
from abloop.loop import Loop
from abloop.registration import register
from abloop.testing import ManualClock
from tests.browser.visitor import Site, Visitor
from tests.shop import SERVED, blueprint, draw

DAY = 86_400.0


def open_loop(site: Site, clock: ManualClock) -> Loop:
    """Return the installation as a product opens it, however busy the machine is."""
    loop = Loop(site.url, site.directory, clock=clock, refresh_seconds=3_600.0)
    loop.database.open()
    return loop


def send(site: Site, units: range, lift: float) -> None:
    """Let units through the two calls, as a product does, and their outcomes become complete."""
    clock, rng = ManualClock(site.workspace.clock()), np.random.default_rng(units.start)
    loop = open_loop(site, clock)
    banner = loop.strategy("banner")
    for number in units:
        arm = banner.get_decision(f"d{number}", {"user_id": f"u{number}", "visits": number % 9})
        chance = 0.2 + (lift if arm == "new" else 0)
        banner.log_observations(f"d{number}", {"purchase": bool(rng.random() < chance)})
    assert banner.errors == 0
    clock.advance(2 * DAY)
    loop.spool.seal()
    offline.ship_spool(loop)
    offline.join_rows(loop, "banner")
    loop.close()


def tune(site: Site) -> None:
    """Bring a strategy whose weights were tried in one round."""
    register(site.workspace, blueprint(), why="A shop's list.")
    tuning.propose(site.workspace, "shop_list", who="tests", why="first round")
    clock, rng = ManualClock(site.workspace.clock() + SETTLE_SECONDS + 1), np.random.default_rng(0)
    loop = open_loop(site, clock)
    shop = loop.strategy("shop_list")
    for number in range(1_500):
        given = shop.get_decision(f"s{number}", {"user_id": f"u{number}"}) or SERVED
        shop.log_observations(f"s{number}", draw(rng, given))
    clock.advance(DAY)
    loop.spool.seal()
    offline.ship_spool(loop)
    offline.join_rows(loop, "shop_list")
    tuning.read(loop, "shop_list", early=True, who="tests")
    loop.close()


def units_read(visitor: Visitor) -> list[str]:
    """Return the numbers of units that the page of a readout has."""
    visitor.open("/readouts/banner")
    visitor.see("purchase")
    return re.findall(r"\b\d{2,3}(?:,\d{3})*\b", visitor.text)


def test_the_whole_way(site: Site, visitor: Visitor) -> None:
    """Log in, make a strategy, see its readout move, change it, pick a point, roll back, log out."""
    visitor.enter(site)
    visitor.snapshot("empty")
    make_strategy(visitor)
    send(site, range(600), 0.15)
    before = units_read(visitor)
    visitor.snapshot("readout")
    send(site, range(600, 1_500), 0.15)
    after = units_read(visitor)
    assert before != after
    change_it(visitor)
    look_at_a_decision(visitor)
    tune(site)
    pick_a_point(visitor)
    roll_back(site, visitor)
    visitor.open("/audit")
    for what in ("log in", "register blueprint", "pick trial", "serve version"):
        visitor.see(what)
    visitor.snapshot("audit")
    visitor.driver.find_element("css selector", "form[action='/logout'] button").click()
    visitor.wait(lambda: visitor.path.startswith("/login"), "the page to log in")
    visitor.open("/strategies/banner")
    assert visitor.path.startswith("/login")


def make_strategy(visitor: Visitor) -> None:
    """Make a strategy by its form, and save it by the keyboard alone."""
    visitor.open("/new")
    visitor.type("#field-strategy", "banner")
    visitor.wait(lambda: "strategy: banner" in visitor.find("#text").get_attribute("value"), "the text")
    visitor.type("[data-path='arms[1].cost']", "0.01")
    visitor.wait(lambda: "cost: 0.01" in visitor.find("#text").get_attribute("value"), "the text")
    visitor.click("#field-metrics-add")
    visitor.press("complaint")
    visitor.find("[data-path='metrics[1].role']").send_keys("guardrail")
    visitor.wait(lambda: "role: guardrail" in visitor.find("#text").get_attribute("value"), "the text")
    visitor.snapshot("new")
    visitor.tab_to("#why")
    visitor.press("A first experiment.", Keys.ENTER)
    visitor.wait(lambda: visitor.path == "/versions/banner", "the versions")
    visitor.see("banner has version 1 and serves it")
    visitor.snapshot("versions")


def change_it(visitor: Visitor) -> None:
    """Make a mistake, be told where, mend it, see what changes, and save."""
    visitor.open("/edit/banner")
    visitor.unfold("experiment")
    visitor.type("[data-path='experiment.explore']", "3")
    visitor.see("experiment.explore is 3")
    assert visitor.find("[data-path='experiment.explore']").get_attribute("aria-invalid") == "true"
    assert visitor.find("#gutter .bad").text.strip().isdigit()
    visitor.snapshot("mistake")
    visitor.type("[data-path='experiment.explore']", "0.2")
    visitor.see("shares data")
    text = visitor.find("#text").get_attribute("value")
    visitor.type("#text", text.replace("explore: 0.2", "explore: 0.25").replace("\n", Keys.ENTER))
    field = "[data-path='experiment.explore']"
    visitor.wait(lambda: visitor.find(field).get_attribute("value") == "0.25", "the form follows the text")
    visitor.see("0.25")
    visitor.type("#why", "More exploration.")
    visitor.snapshot("changes")
    visitor.click("button[value=save]")
    visitor.see("banner has version 2 and serves it")


def look_at_a_decision(visitor: Visitor) -> None:
    """Find what a unit got, and why."""
    visitor.open("/decisions")
    visitor.type("#unit", "u17")
    visitor.press(Keys.ENTER)
    visitor.link("d17")
    visitor.see("Everything is randomised")
    visitor.see("in its row")
    visitor.snapshot("decision")


def pick_a_point(visitor: Visitor) -> None:
    """Serve a point of the frontier."""
    visitor.open("/tradeoffs/shop_list")
    visitor.wait(lambda: visitor.driver.find_elements("css selector", ".canvas .main-svg"), "the figure")
    visitor.snapshot("tradeoffs")
    visitor.unfold("Serve this point")
    visitor.find("details[open] [name=why]").send_keys("Less compute.", Keys.ENTER)
    visitor.see("is served to half of the units")
    visitor.snapshot("picked")


def roll_back(site: Site, visitor: Visitor) -> None:
    """Go back to the first version."""
    visitor.open("/versions/banner")
    visitor.unfold("Roll back")
    visitor.snapshot("roll-back")
    visitor.find("details[open] [name=why]").send_keys("Too many.", Keys.ENTER)
    visitor.see("banner serves version 1")
    assert site.workspace.catalogue.serving("banner").version == 1


def test_screenshots_are_not_kept_with_the_source() -> None:
    """What the browser drew stays out of the repository."""
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
    assert "/tests/browser/screenshots/" in ignored
