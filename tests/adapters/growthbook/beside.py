"""The package `growthbook` and our face of it, side by side on one world: everything that each tells of it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

Told = dict[str, Any]


def tell(package: ModuleType, world: dict[str, Any]) -> Told:
    """Return what a package makes of a world; an evaluation that raises gives its exception.

    Args:
        package: `growthbook` or ours.
        world: From `worlds.world`; it is used up.
    """
    seen: list[Any] = []
    used: list[Any] = []
    changed: list[Any] = []
    told: Told = {"seen": seen, "used": used, "changed": changed}

    def viewed(*, experiment: Any, result: Any, user_context: Any) -> None:
        seen.append((experiment.to_dict(), result.to_dict(), user_context.attributes, user_context.url))

    service = None
    if world["stored"] is not None:
        service = package.InMemoryStickyBucketService()
        for document in world["stored"]:
            service.save_assignments(document)
    gb = package.GrowthBook(
        **world["client"],
        on_experiment_viewed=viewed,
        on_feature_usage=lambda key, result, user: used.append((key, result.to_dict(), user.attributes)),
        sticky_bucket_service=service,
    )
    gb.subscribe(lambda experiment, result: changed.append((experiment.key, result.to_dict())))
    for key in (*world["client"]["features"], "f0", "unknown"):
        told[f"feature {key}"] = asked(lambda key=key: gb.eval_feature(key).to_dict())  # type: ignore[misc]
        told[f"value {key}"] = asked(lambda key=key: (gb.get_feature_value(key, "else"), gb.is_on(key), gb.is_off(key)))  # type: ignore[misc]
    told["run"] = asked(lambda: gb.run(package.Experiment(**world["experiment"])).to_dict())
    told["docs"] = service.docs if service else None
    told["assigned"] = {key: found["result"].to_dict() for key, found in gb.get_all_results().items()}
    told["features"] = {key: found.to_dict() for key, found in gb.get_features().items()}
    told["errors"] = getattr(gb, "errors", 0)
    return told


def asked(call: Any) -> Any:
    """Return what a call gives, or what it raises."""
    try:
        return call()
    except Exception as error:
        return error
