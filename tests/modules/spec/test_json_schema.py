import json
from typing import Any

from modules.spec.json_schema import SCHEMA_FILE, json_schema
from modules.spec.transforms import TRANSFORM_NAMES


def test_the_committed_schema_is_current() -> None:
    current = SCHEMA_FILE.read_text(encoding="utf-8") == json_schema()
    assert current, "schema/features.schema.json is out of date; run: python -m modules.spec.json_schema"


def test_every_model_and_every_field_is_described() -> None:
    schema = json.loads(json_schema())
    models: dict[str, Any] = {"Declaration": schema, **schema["$defs"]}
    assert [name for name, model in models.items() if not model.get("description")] == []
    fields = {f"{name}.{field}": text for name, model in models.items() for field, text in model["properties"].items()}
    undescribed = [field for field, text in fields.items() if "description" not in text]
    assert [field for field in undescribed if "const" not in fields[field]] == []  # a transform's name says it all


def test_unknown_fields_are_refused_at_every_level() -> None:
    schema = json.loads(json_schema())
    assert all(model["additionalProperties"] is False for model in [schema, *schema["$defs"].values()])


def test_the_named_transforms_are_all_there() -> None:
    """Messages list `TRANSFORM_NAMES`; the schema is made from the models."""
    names = {model["properties"]["name"].get("const") for model in json.loads(json_schema())["$defs"].values()
             if "name" in model["properties"]}  # fmt: skip
    assert names - {None} == set(TRANSFORM_NAMES)


def test_the_schema_has_a_title() -> None:
    assert json.loads(json_schema())["title"] == "Twinbeam features.yaml"
