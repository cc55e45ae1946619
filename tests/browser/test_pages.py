"""Pages in a real browser: inert whatever stands on them, no wider than a small telephone, reached by the keyboard."""

from __future__ import annotations

from urllib.parse import quote

from selenium.webdriver.common.keys import Keys

from abloop import offline
from abloop.optimize.trials import Lift, Point, Round, State, Trial
from abloop.registration import register
from abloop.testing import ManualClock
from server.expected import Expected, keep
from tests.browser.hostile import PAYLOADS
from tests.browser.test_flow import open_loop, tune
from tests.browser.visitor import NARROW, Site, Visitor
from tests.loops import two_arms
from tests.shop import SERVED, blueprint

LONG = "a_strategy_whose_name_is_as_long_as_names_may_be_" * 4


def fill(site: Site) -> None:
    """Put hostile texts wherever a product, an editor or a blueprint may put one."""
    for number, payload in enumerate(PAYLOADS):
        register(site.workspace, two_arms(payload), why=PAYLOADS[-number])
    pairs = [{"name": payload, "cost": 0.0} for payload in PAYLOADS]
    features = [{"name": payload, "type": "categorical"} for payload in PAYLOADS[:9]]
    arms = {
        "arms": pairs,
        "features": features,
        "metrics": [{"name": f"m {payload}"[:200]} for payload in PAYLOADS[:5]],
    }
    register(site.workspace, two_arms("hostile", **arms), why=PAYLOADS[0])
    arms["experiment"] = {"explore": 0.2}
    register(site.workspace, two_arms("hostile", **arms), why=PAYLOADS[1])
    clock = ManualClock(site.workspace.clock())
    loop = open_loop(site, clock)
    handle = loop.strategy("hostile")
    for payload in PAYLOADS:
        handle.get_decision(payload, {"user_id": payload, **dict.fromkeys(PAYLOADS[:9], payload)})
        handle.log_observations(payload, {f"m {PAYLOADS[0]}": 1})
    assert handle.errors == 0
    clock.advance(86_400)
    loop.spool.seal()
    offline.ship_spool(loop)
    offline.join_rows(loop, "hostile")
    loop.close()


def pages(name: str) -> list[str]:
    """Return the pages of a strategy."""
    its = quote(name)
    kinds = (
        "strategies",
        "readouts",
        "effects",
        "tradeoffs",
        "models",
        "data",
        "lists",
        "edit",
        "versions",
        "decisions",
    )
    return [*(f"/{kind}/{its}" for kind in kinds), f"/changes/{its}?before=1&after=1"]


def test_hostile_texts_stay_text(small_site: Site, visitor: Visitor) -> None:
    """Some fifty scripts in names, whys, contexts, units and ids run nowhere, and the policy has nothing to refuse."""
    fill(small_site)
    visitor.enter(small_site)
    looked = [
        "/",
        "/audit",
        "/decisions",
        f"/decisions?unit={quote(PAYLOADS[8])}",
        f"/decisions?id={quote(PAYLOADS[1])}",
    ]
    looked += [*pages("hostile"), "/changes/hostile?before=1&after=2", f"/nowhere/{quote(PAYLOADS[8])}"]
    looked += [f"/decision/hostile?id={quote(payload, safe='')}" for payload in PAYLOADS[::6]]
    looked += [page for payload in PAYLOADS[::13] for page in pages(payload)[7:9]]
    for page in looked:
        visitor.open(page)
        visitor.wait(lambda: visitor.driver.execute_script("return document.readyState === 'complete'"), "the page")
        assert visitor.driver.execute_script("return window.owned") is None, page
    visitor.open("/edit/hostile")
    visitor.type("#text", f"strategy: {PAYLOADS[8]}")
    visitor.see("is required; add it")
    assert visitor.driver.execute_script("return window.owned") is None


def test_no_page_is_wider_than_a_telephone(small_site: Site, visitor: Visitor) -> None:
    """At 360 pixels no page scrolls sideways, whatever the names; the editor can be used."""
    tune(small_site)
    register(small_site.workspace, two_arms(LONG, arms=[{"name": LONG[:190]}, {"name": "b"}]), why=LONG)
    register(small_site.workspace, two_arms(LONG, arms=[{"name": LONG[:190]}, {"name": "c"}]), why="short")
    visitor.enter(small_site)
    visitor.resize(NARROW)
    looked = ["/", "/new", "/decisions", "/people", "/tokens", "/audit", "/password"]
    looked += [
        *pages("shop_list"),
        *pages(LONG),
        "/decision/shop_list?id=s17",
        f"/changes/{quote(LONG)}?before=1&after=2",
    ]
    wide = {}
    for page in looked:
        visitor.open(page)
        if over := visitor.overflow():
            wide[page] = over
        visitor.snapshot(page.strip("/").replace("/", "-").partition("?")[0][:40] or "first")
    assert wide == {}


def test_a_conflict_is_seen_and_nothing_is_lost(small_site: Site, visitor: Visitor) -> None:
    """Who saves second sees what the first changed; the own text is still there and is saved after it."""
    register(small_site.workspace, two_arms(), why="first")
    visitor.enter(small_site)
    visitor.open("/edit/checkout")
    visitor.unfold("experiment")
    visitor.type("[data-path='experiment.explore']", "0.3")
    visitor.see("shares data")
    register(small_site.workspace, two_arms(experiment={"holdout": 0.1}), who="otto", why="A holdout.")
    visitor.type("#why", "More exploration.")
    visitor.press(Keys.ENTER)
    visitor.see("Somebody else changed this strategy")
    visitor.see("Version 2 by otto")
    visitor.snapshot("conflict")
    assert "explore: 0.3" in visitor.find("#text").get_attribute("value")
    visitor.tab_to("button[value=save]")
    visitor.press(Keys.ENTER)
    visitor.see("checkout has version 3 and serves it")


def test_the_editor_works_without_scripts(small_site: Site, visitor: Visitor) -> None:
    """Without JavaScript there is the text: checked, told what is wrong and what changes, and saved."""
    register(small_site.workspace, two_arms(), why="first")
    visitor.enter(small_site)
    visitor.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visitor.open("/edit/checkout")
        assert not visitor.driver.find_element("css selector", ".pane-form").is_displayed()
        visitor.find("#text").send_keys(Keys.CONTROL, Keys.END)
        visitor.press("experiment: {explore: 3}")
        visitor.click("button[value=check]")
        visitor.see("experiment.explore is 3.0")
        visitor.find("#text").send_keys(Keys.CONTROL, Keys.END)
        visitor.press(*[Keys.BACKSPACE] * 2, "0.3}")
        visitor.click("button[value=check]")
        visitor.see("may learn from the rows of version 1")
        visitor.snapshot("no-scripts")
        visitor.type("#why", "More exploration.")
        visitor.click("button[value=save]")
        visitor.see("checkout has version 2 and serves it")
    finally:
        visitor.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_click_on_a_point_leads_to_serving_it(small_site: Site, visitor: Visitor) -> None:
    """A point of the expected frontier that is clicked opens its row, where a why serves its weights."""
    register(small_site.workspace, blueprint(), why="A shop's list.")
    lifts = [{"orders": Lift(0.1 * n, 0.02), "compute": Lift(0.1 * n, 0.02), "latency": Lift(0, 0.01)} for n in (1, 2)]
    weights = dict.fromkeys(SERVED, 0.25)
    trials = tuple(Trial(n, 0, weights, "read", 1, lifts[n % 2], 900) for n in range(4))
    state = State("shop_list", (Round(0, 1, "read", 1, 0.0),), trials)
    small_site.workspace.tunings.advance(state, at=0.0, who="tests", why="tests")
    points = tuple(Point(dict.fromkeys(SERVED, 0.1 + 0.3 * n), each, 0.9) for n, each in enumerate(lifts))
    keep(small_site.workspace, "shop_list", Expected(4, points, 0.0, "maria"))
    visitor.enter(small_site)
    visitor.open("/tradeoffs/shop_list")
    visitor.wait(lambda: visitor.driver.find_elements("css selector", ".scatter .point"), "the figure")
    visitor.click_at("(document.querySelectorAll('.scatter')[0].querySelectorAll('.point'))[1]")
    visitor.wait(lambda: visitor.driver.switch_to.active_element.get_attribute("id") == "why-point-2", "the field")
    visitor.snapshot("pointed")
    visitor.press("cheaper", Keys.ENTER)
    visitor.see("with these weights, is served to half of the units")
    entries = small_site.workspace.comparisons.current()["shop_list"].entries
    _, made = small_site.workspace.catalogue.blueprint("shop_list", entries[1].version)
    assert {weight.value for weight in made.policy.weights} == {0.4}
