"""The declaration's JSON schema, which gives an editor completion and help: `python -m modules.spec.json_schema`."""

import json
from pathlib import Path

from modules.spec.declaration import Declaration

SCHEMA_FILE = Path(__file__).parents[2] / "schema" / "features.schema.json"
"""Where a declaration's first line sends the editor."""


def json_schema() -> str:
    """The schema as text, each field with its description."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Declaration.model_json_schema()}
    return json.dumps(schema | {"title": "Twinbeam features.yaml"}, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json_schema(), encoding="utf-8")
