"""From a declaration to what the kernel computes."""

from modules.kernel.plan import Condition, Entity, Feature, Source, Taking
from modules.kernel.window import Window
from modules.spec import Declaration, Live, Taken, micros


def entities(declaration: Declaration) -> tuple[Entity, ...]:
    """The rows that the declaration's live features are kept in, each with its features; empty without any."""
    live = declaration.live
    if live is None:
        return ()
    tick = micros(live.tick)
    features: dict[tuple[str, tuple[str, ...]], list[Feature]] = {}
    for name, feature in live.features.items():
        built = Feature(
            name,
            feature.aggregation,
            _taking(feature),
            _taking(feature.over) if feature.over else None,
            Window(*feature.ticks(tick)),
            feature.value_when_empty,
            feature.include_request,
        )
        features.setdefault((feature.source, feature.key), []).append(built)
    sources = {name: _source(declaration, live, name) for name in live.sources}
    return tuple(Entity(sources[source], key, tuple(group)) for (source, key), group in features.items())


def _source(declaration: Declaration, live: Live, name: str) -> Source:
    source = live.sources[name]
    tick = micros(live.tick)
    mine = [
        feature
        for feature in live.features.values()
        if feature.source == name and feature.aggregation != "approx_distinct"  # of which only hashes are taken in
    ]
    takings = [_taking(taken) for feature in mine for taken in feature.takes]
    return Source(
        name=name,
        tick=tick,
        time=source.time,
        ingest_time=source.ingest_time,
        id=tuple(sorted(live.columns(name, declaration.columns))) if source.id is None else source.id,
        lateness=micros(source.lateness),
        ahead=micros(source.ahead),
        slack=micros(source.slack),
        lookback=micros(live.lookback) // tick,
        takings=tuple(dict.fromkeys(takings)),
    )


def _taking(taken: Taken) -> Taking:
    conditions = tuple(Condition(**condition.model_dump()) for condition in taken.filter)
    return Taking(taken.value, taken.units, conditions)
