import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modules.spec import SPLITS, Declaration
from modules.spec.split import Split
from tests.modules.spec.shop import SHOP, load, refusal

LABEL = "a column with role: label, and type: int or bool (bought)"
KEPT = "a column with role: feature or key (price, count, colour, gift, shopper)"
RATIO = "{numerator: spent, denominator: price, threshold: 1/5, scale: 100}"


IDENTIFIER = "a name of letters, digits and underscores, because it names a model input"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "note: {type: string, role: ignored}",
            "note: {type: timestamp, role: time}",
            '10: columns.note.role: read "time"; accepted: another role, because at has role: time.',
        ),
        (
            "spent: {type: float, role: label}",
            "spent: {type: int, role: id}\n  b: {type: int, role: id}",
            '12: columns.b.role: read "id"; accepted: another role, because spent has role: id.',
        ),
        (
            "unit: s, role: time",
            "unit: s, role: ignored",
            '14: split.by: read "time"; accepted: hash, or a column with role: time beside it.',
        ),
        ("  gift:", "  gift card:", f'8: columns.gift card: read {{"type": "bool", ...; accepted: {IDENTIFIER}.'),
        ("  gift:", "  größe:", f'8: columns.größe: read {{"type": "bool", ...; accepted: {IDENTIFIER}.'),
        ("name: bought", "name: is bought", f'13: label.name: read "is bought"; accepted: {IDENTIFIER}.'),
        (
            "  note: {type: string, role: ignored}",
            "  row_id: {type: string, role: key}",  # role: id would do
            '10: columns.row_id: read {"type": "string", "role": "key"}; '
            "accepted: another name than row_id, which is the row's identity.",
        ),
        (
            "  note: {type: string, role: ignored}",
            "  count_present: {type: int, role: ignored}",
            '10: columns.count_present: read {"type": "int", "role": "ignored"}; '
            "accepted: another name than count_present, which is the presence of count.",
        ),
        (
            "name: bought",
            "name: price",
            '13: label.name: read "price"; accepted: another name, because price is a column.',
        ),
        (
            "name: bought",
            "name: row_id",
            '13: label.name: read "row_id"; accepted: another name, because row_id is the row\'s identity.',
        ),
        (
            "name: bought",
            "name: gift_present",
            '13: label.name: read "gift_present"; '
            "accepted: another name, because gift_present is the presence of gift.",
        ),
        (", column: bought", "", '13: label: read {"name": "bought"}; accepted: either column or ratio_above.'),
        (
            "column: bought",
            f"column: bought, ratio_above: {RATIO}",
            '13: label: read {"name": "bought", ...; accepted: either column or ratio_above.',
        ),
        ("column: bought", "column: bougth", f'13: label.column: read "bougth"; accepted: {LABEL}.'),
        ("column: bought", "column: note", f'13: label.column: read "note"; accepted: {LABEL}.'),
        (
            "column: bought",
            "column: count",
            f'13: label.column: read "count"; accepted: {LABEL}.',
        ),  # it tells the answer
        ("column: bought", "column: spent", f'13: label.column: read "spent"; accepted: {LABEL}.'),
        (
            "column: bought",
            f"ratio_above: {RATIO.replace('price', 'colour')}",
            '13: label.ratio_above.denominator: read "colour"; accepted: a column with role: feature or key or label '
            "or id, and type: int or float (price, count, spent, bought).",
        ),
        (
            "column: bought",
            f"ratio_above: {RATIO.replace('spent', 'count')}",
            '13: label.ratio_above.numerator: read "count"; '
            "accepted: a column with role: label, and type: int or float (spent, bought).",
        ),
        (
            "by: time",
            "by: hash, key: bought",
            f'14: split.key: read "bought"; accepted: {KEPT}.',
        ),
        ("by: time", "by: hash, key: shoper", f'14: split.key: read "shoper"; accepted: {KEPT}.'),
        (
            "evaluation: {",
            "evaluation:\n  {slices: [colour,\n  note], ",
            f'17: evaluation.slices.1: read "note"; accepted: {KEPT}.',
        ),
    ],
)
def test_sections_that_contradict_each_other_are_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    start, _, end = f"features.yaml:{message}".partition("...")
    said = refusal(tmp_path, text=SHOP.replace(before, after, 1))
    assert said.startswith(start)
    assert said.endswith(end)


def test_a_declaration_without_features_is_refused(tmp_path: Path) -> None:
    left_out = [f"columns.{name}={{type: float, role: ignored}}" for name in ("price", "count", "colour", "gift")]
    message = refusal(tmp_path, *left_out)
    assert message.startswith('features.yaml:3: columns: read {"at": ')
    assert message.endswith("; accepted: at least one column with role: feature.")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset=My shop", 'dataset: read "My shop"; accepted: text that matches ^[a-z][a-z0-9_]*$.'),
        ("dataset=5", "dataset: read 5; accepted: text (put quotes around it)."),
        ("data=null", "data: read null; accepted: text (put quotes around it)."),
        ("spans=0", "spans: read 0; accepted: greater than or equal to 1."),
        ("columns=[]", "columns: read []; accepted: a mapping."),
        ("columns.price=", "columns.price: read null; accepted: {type: VALUE, role: VALUE}."),
        ("label=bought", 'label: read "bought"; accepted: {name: VALUE}.'),
        ("split.by=random", "split.by: read \"random\"; accepted: 'time' or 'hash'."),
        ("evaluation.ablation_seeds=1", "evaluation.ablation_seeds: read 1; accepted: 0, or 2 to 20."),
        ("evaluation.ablation_seeds=21", "evaluation.ablation_seeds: read 21; accepted: less than or equal to 20."),
        (
            "evaluation.ablation_seeds=2",
            "evaluation.ablation_seeds: read 2; accepted: 0, because without live features there is nothing to leave "
            "out.",
        ),
        ("split.validation=0", "split.validation: read 0; accepted: greater than 0."),
        ("split.eval=1", "split.eval: read 1; accepted: less than 1."),
        ("training.steps=0", "training.steps: read 0; accepted: greater than or equal to 1."),
        ("training.steps=2.0", "training.steps: read 2.0; accepted: a valid integer."),
        ("training.batch_size=0", "training.batch_size: read 0; accepted: greater than or equal to 1."),
        ("training.learning_rate=0", "training.learning_rate: read 0; accepted: greater than 0."),
        ("training.learning_rate=1e999", "training.learning_rate: read Infinity; accepted: a finite number."),
        ("training.hidden_units=[8, 0]", "training.hidden_units.1: read 0; accepted: greater than or equal to 1."),
        ("training.hidden_units=[4097]", "training.hidden_units.0: read 4097; accepted: less than or equal to 4096."),
        ("training.hidden_units=8", "training.hidden_units: read 8; accepted: a list."),
        ("training.embedding_dim=513", "training.embedding_dim: read 513; accepted: less than or equal to 512."),
        ("training.validate_every=0", "training.validate_every: read 0; accepted: greater than or equal to 1."),
        ("training.patience=0", "training.patience: read 0; accepted: greater than or equal to 1."),
        ("training.seed=-1", "training.seed: read -1; accepted: greater than or equal to 0."),
        ("training.seed=4294967296", "training.seed: read 4294967296; accepted: less than 4294967296."),
        ("tuning.algorithm=grid", "tuning.algorithm: read \"grid\"; accepted: 'random' or 'bayesian'."),
        ("tuning.learning_rate=[0]", "tuning.learning_rate.0: read 0; accepted: greater than 0."),
        ("tuning.hidden_layers=[11]", "tuning.hidden_layers.0: read 11; accepted: less than or equal to 10."),
        ("tuning.first_layer_units=[0]", "tuning.first_layer_units.0: read 0; accepted: greater than or equal to 1."),
        ("tuning.embedding_dim=[0]", "tuning.embedding_dim.0: read 0; accepted: greater than or equal to 1."),
        (
            "evaluation.thresholds.auc={}",
            "evaluation.thresholds.auc: read {}; accepted: at least one of at_least, at_most and may_worsen_by.",
        ),
        (
            "evaluation.thresholds.auc.may_worsen_by=-0.1",
            "evaluation.thresholds.auc.may_worsen_by: read -0.1; accepted: greater than or equal to 0.",
        ),
        (
            "evaluation.thresholds.f1={at_least: 1}",
            "evaluation.thresholds.f1: unknown field; "
            "accepted: 'auc', 'precision', 'recall', 'accuracy', 'log_loss' or 'calibration'.",
        ),
    ],
)
def test_a_field_names_what_it_accepts(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override) == f"--set: {message}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "split.by=hash",
            "split.key: read nothing; accepted: with by: hash, the column whose values are kept together.",
        ),
        ("split.key=shopper", 'split.key: read "shopper"; accepted: no key with by: time.'),
        (
            "split.eval=0.9",
            "split.eval: read 0.9; accepted: validation and eval that leave rows to train on: together below 1.",
        ),
        (
            "evaluation.thresholds={}",
            "evaluation.thresholds: read {}; accepted: at least one threshold, such as auc: {at_least: 0.7}.",
        ),
        (
            "evaluation.thresholds.calibration={may_worsen_by: 0.1}",
            "evaluation.thresholds.calibration.may_worsen_by: read 0.1; "
            "accepted: no may_worsen_by for calibration, which has no better direction.",
        ),
        (
            "evaluation.thresholds.auc={at_least: 0.9, at_most: 0.8}",
            "evaluation.thresholds.auc.at_least: read 0.9; accepted: at most at_most, which is 0.8.",
        ),
    ],
)
def test_a_section_that_contradicts_itself_is_refused(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override).endswith(f": {message}")


@pytest.mark.parametrize(
    ("threshold", "accepted"),
    [
        ("a fifth", 'a fraction such as "1/5" or "0.2"'),
        ("1/0", 'a fraction such as "1/5" or "0.2"'),
        ("nan", 'a fraction such as "1/5" or "0.2"'),
        ("-1/5", 'a fraction of 0 or more, such as "1/5"'),
        ("0.2", "text (put quotes around it)"),  # YAML makes it a float, whose fraction is not 1/5
    ],
)
def test_the_label_threshold_is_an_exact_fraction(tmp_path: Path, threshold: str, accepted: str) -> None:
    rule = f"{{numerator: spent, denominator: price, threshold: {threshold}, scale: 100}}"
    message = refusal(tmp_path, f"label={{name: y, ratio_above: {rule}}}")
    assert message.startswith("--set: label.ratio_above.threshold: read ")
    assert message.endswith(f"; accepted: {accepted}.")


def test_what_is_accepted_on_purpose(tmp_path: Path) -> None:
    declaration = load(
        tmp_path,
        "columns.row_id={type: string, role: id}",  # the identity may have its own name
        "columns.Pick-up point={type: string, role: key}",  # only model inputs need an identifier
        "split={by: hash, key: colour, validation: 0.1, eval: 0.2}",
        "evaluation.slices=[colour, shopper]",
    )
    assert declaration.id == "row_id"
    assert declaration.keys == ("shopper", "Pick-up point")
    assert list(declaration.features) == ["price", "count", "colour", "gift"]
    assert declaration.time == "at"


def test_every_value_is_frozen(tmp_path: Path) -> None:
    declaration = load(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        declaration.dataset = "other"  # type: ignore[misc]  # what is tested
    with pytest.raises(ValidationError, match="frozen"):
        declaration.columns["price"].role = "key"  # type: ignore[misc]  # what is tested
    with pytest.raises(ValidationError, match="frozen"):
        declaration.training.steps = 5  # type: ignore[misc]  # what is tested


SECTIONS = {
    "data": "data=other.csv",
    "spans": "spans=7",
    "training": "training.steps=7",
    "tuning": "tuning.algorithm=bayesian",
    "evaluation": "evaluation.thresholds.auc.at_least=0.7",
    "gate": "gate.rows=all",
    "serving": "serving.when_stale=refuse",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_only_forgets_the_sections_that_are_not_named(tmp_path: Path, section: str) -> None:
    before, after = load(tmp_path), load(tmp_path, SECTIONS[section])
    others = [name for name in SECTIONS if name != section]
    assert before.only(*others) == after.only(*others)  # an edit of this section is not seen
    assert before.only(section) != after.only(section)
    assert getattr(after.only(section), section) == getattr(after, section)


@pytest.mark.parametrize("override", ["columns.price.transform={name: log}", "split.eval=0.3", "label.name=y"])
def test_only_keeps_what_makes_the_examples(tmp_path: Path, override: str) -> None:
    assert load(tmp_path).only() != load(tmp_path, override).only()


def test_a_component_reads_back_what_it_is_given(tmp_path: Path) -> None:
    for declaration in (load(tmp_path), load(tmp_path).only(), load(tmp_path).only("training", "evaluation")):
        assert Declaration.model_validate_json(declaration.model_dump_json()) == declaration


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + SHOP,
        SHOP.replace("{at_least: 0.5}", "{at_least: 5e-1}"),  # another way to write the number
        SHOP.replace("dataset: shop", 'dataset: "shop"'),
        SHOP.replace("data: rows.csv\n", "").replace("label:", "data: rows.csv\nlabel:"),  # the sections' order
        SHOP + "spans: 1\n",  # a default said aloud
        SHOP + "training: {seed: 1, batch_size: 40}\n",
        SHOP.replace(
            "split: {by: time, validation: 0.1, eval: 0.2}", "split:\n  eval: 0.2\n  validation: 0.1\n  by: time"
        ),
    ],
)
def test_formatting_does_not_change_the_fingerprint(tmp_path: Path, text: str) -> None:
    assert text != SHOP
    assert load(tmp_path, text=text).fingerprint == load(tmp_path).fingerprint


@pytest.mark.parametrize(
    "override",
    [
        "dataset=shop2",
        "training.seed=2",
        "columns.note.role=key",
        "evaluation.slices=[gift]",
        "columns.price.missing={fill: 0}",
        "columns.price.missing={fill: 0.5}",
        "tuning.algorithm=bayesian",
    ],
)
def test_content_changes_the_fingerprint(tmp_path: Path, override: str) -> None:
    assert load(tmp_path, override).fingerprint != load(tmp_path).fingerprint


def test_the_fingerprint_is_64_hexadecimal_digits_and_does_not_depend_on_use(tmp_path: Path) -> None:
    declaration = load(tmp_path)
    before = declaration.fingerprint
    assert declaration.features
    assert declaration.keys
    assert declaration.fingerprint == before
    assert len(before) == 64
    assert set(before) <= set(string.hexdigits.lower())


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_shares_of_a_split_always_leave_rows_to_train_on(validation: float, evaluation: float) -> None:
    text = f'{{"by": "time", "validation": {validation!r}, "eval": {evaluation!r}}}'
    if validation + evaluation < 1:
        assert Split.model_validate_json(text).eval == evaluation
    else:
        with pytest.raises(ValidationError, match="together below 1"):
            Split.model_validate_json(text)


def test_splits_are_named_in_the_order_of_use() -> None:
    assert SPLITS == ("train", "validation", "eval")
