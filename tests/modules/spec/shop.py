"""A small declaration to change, and what the reader says of the change."""

from pathlib import Path

import pytest

from modules.spec import Declaration, DeclarationError, load_declaration

SHOP = """\
dataset: shop
data: rows.csv
columns:
  at: {type: timestamp, unit: s, role: time}
  price: {type: float, role: feature, transform: {name: scale}}
  count: {type: int, role: feature, transform: {name: one_hot, depth: 4}, missing: own_category}
  colour: {type: string, role: feature, transform: {name: vocabulary, top: 10}}
  gift: {type: bool, role: feature, transform: {name: passthrough}}
  shopper: {type: string, role: key}
  note: {type: string, role: ignored}
  spent: {type: float, role: label}
  bought: {type: int, role: label}
label: {name: bought, column: bought}
split: {by: time, validation: 0.1, eval: 0.2}
evaluation: {thresholds: {auc: {at_least: 0.5}}}
"""


def load(directory: Path, *overrides: str, text: str | bytes = SHOP) -> Declaration:
    """The declaration that a file of this text gives."""
    path = directory / "features.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_declaration(path, overrides)


def refusal(directory: Path, *overrides: str, text: str | bytes = SHOP) -> str:
    """The message with which it is refused, the directory left out."""
    with pytest.raises(DeclarationError) as caught:
        load(directory, *overrides, text=text)
    return str(caught.value).replace(f"{directory}/", "")
