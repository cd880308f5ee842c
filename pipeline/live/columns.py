"""Which columns live features are computed from; batch and stream read and judge these, and no others."""

from modules.kernel.plan import Entity, Source, Taking
from modules.spec import Declaration, Typed


def event_columns(declaration: Declaration, source: Source, entities: tuple[Entity, ...]) -> dict[str, Typed]:
    """The columns of a source's events: its times, ids, keys, values and filters, in the order of their declaration."""
    assert declaration.live is not None
    used = {source.time, *source.id, *_taken(source.takings)} | {source.ingest_time}
    for entity in entities:
        if entity.source == source:
            used |= {*entity.key, *_taken(entity.counted)}
    own = declaration.live.columns(source.name, declaration.columns)
    return {name: typed for name, typed in own.items() if name in used}


def merged_columns(entity: Entity) -> list[str]:
    """The columns of events that an entity's cells and registers are made from."""
    return sorted({entity.source.time, *entity.key, *_taken((*entity.takings, *entity.counted))})


def included(entity: Entity) -> tuple[Taking, ...]:
    """What the entity's features with `include_request` take in of the request itself."""
    features = [feature for feature in entity.features if feature.include_request]
    both = [taking for feature in features for taking in (feature.taking, feature.over) if taking]
    return tuple(dict.fromkeys(both))


def included_columns(entity: Entity) -> list[str]:
    """The columns of requests that those are taken from; the key's, where all that matters is that there is one."""
    takings = included(entity)
    return sorted(_taken(takings)) or sorted(entity.key if takings else ())


def request_columns(entity: Entity) -> list[str]:
    """The columns of requests that an entity's features are computed from, beside the request's time."""
    return sorted({*entity.key, *included_columns(entity)})


def _taken(takings: tuple[Taking, ...]) -> set[str]:
    values = {taking.value for taking in takings if taking.value is not None}
    return values | {condition.column for taking in takings for condition in taking.filter}
