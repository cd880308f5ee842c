from pathlib import Path

import pytest

from modules.spec import DeclarationError, load_declaration
from tests.conftest import ROOT
from tests.modules.spec.shop import SHOP, load, refusal

TOP = "dataset, data, spans, until, columns, live, label, split, training, tuning, evaluation, gate, serving"


def changed(old: str, new: str) -> str:
    """The small declaration with one place changed."""
    assert SHOP.count(old) == 1
    return SHOP.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "features.yaml:1: read no fields; accepted: a mapping that starts with dataset: NAME."),
        ("# only a comment\n", "features.yaml:1: read no fields; accepted: a mapping that starts with dataset: NAME."),
        ("- dataset: shop\n", "features.yaml:1: read no fields; accepted: a mapping that starts with dataset: NAME."),
        ("shop", "features.yaml:1: read no fields; accepted: a mapping that starts with dataset: NAME."),
        ("a: 1\n\tb: 2\n", "features.yaml:2: not YAML: found character '\\t' that cannot start any token."),
        ("a: [1\n", "features.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'."),
        ("a: *b\n", "features.yaml:1: not YAML: found undefined alias 'b'."),
        ("a: 1\n---\nb: 2\n", "features.yaml:2: not YAML: but found another document."),
        ("? [a, b]\n: 1\n", "features.yaml:1: not YAML: a field's name is not text."),
        ("a: &b [*b]\n", "features.yaml: not YAML: it is nested too deeply."),  # an anchor inside itself
        ("a: " + "[" * 1500, "features.yaml: not YAML: it is nested too deeply."),
        ("a: 1\nb: !!binary aGk=\n", "features.yaml:2: not YAML: a tag with ! is not accepted; leave it out."),
        ("a: !!int five\n", "features.yaml:1: not YAML: a tag with ! is not accepted; leave it out."),
        ("a: !!python/name:os.system\n", "features.yaml:1: not YAML: a tag with ! is not accepted; leave it out."),
        (SHOP + "data: twice.csv\n", "features.yaml:16: not YAML: data is given twice, first on line 2; keep one."),
        (
            changed("  at: {", "  price: 1\n  at: {"),  # columns are fields too
            "features.yaml:6: not YAML: columns.price is given twice, first on line 4; keep one.",
        ),
        (
            changed("by: time,", "by: time, by: hash,"),
            "features.yaml:14: not YAML: split.by is given twice, first on line 14; keep one.",
        ),
    ],
)
def test_what_is_not_a_mapping_in_yaml(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text=text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: café".encode("latin-1"), "features.yaml: cannot be read as UTF-8 text: 'utf-8' codec can't decode"),
        (b"dataset: \x00", "features.yaml: not YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_not_text(tmp_path: Path, text: bytes, message: str) -> None:
    assert refusal(tmp_path, text=text).startswith(message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DeclarationError, match=r"nope\.yaml: no such file\. Name a declaration with --features FILE\.$"
    ):
        load_declaration(tmp_path / "nope.yaml")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"cannot be read as UTF-8 text: .*Is a directory"):
        load_declaration(tmp_path)


@pytest.mark.parametrize("written", ["2016-01-01", "2016-01-01T09:30:00Z", "yes", "No", "on", "TRUE", "010", "0x10",
                                     "0o10", "0b1", "1_000", "1:30", ".inf", ".nan", "=", "<"])  # fmt: skip
def test_yaml_makes_no_other_type_of_text(tmp_path: Path, written: str) -> None:
    assert load(tmp_path, text=changed("data: rows.csv", f"data: {written}")).data == written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1_000", '"1_000"'),  # 1000 in YAML 1.1
        ("1:30", '"1:30"'),  # 90 in YAML 1.1, counted in sixties
        ("010", '"010"'),  # 8 in YAML 1.1
        ("0x10", '"0x10"'),
        ("yes", '"yes"'),
        ("true", "true"),
        ("1e3", "1000.0"),  # a float all the same
        ("'5'", '"5"'),
        ("~", "null"),
        ("", "null"),
        ("9" * 101, "1e+101"),
        ("9" * 5000, "Infinity"),
    ],
)
def test_only_plain_decimals_are_integers(tmp_path: Path, written: str, read: str) -> None:
    text = SHOP + f"training: {{steps: {written}}}\n"
    assert refusal(tmp_path, text=text) == f"features.yaml:16: training.steps: read {read}; accepted: a valid integer."


@pytest.mark.parametrize(
    ("written", "value"),
    [("0.5", 0.5), ("5e-1", 0.5), ("5E-1", 0.5), (".5", 0.5), ("+.5e0", 0.5), ("1.", 1.0), ("1", 1.0), ("1.e2", 100.0)],
)
def test_numbers_may_be_written_with_an_exponent(tmp_path: Path, written: str, value: float) -> None:
    """YAML 1.1 takes 5e-1 for text."""
    assert load(tmp_path, text=SHOP + f"training: {{learning_rate: {written}}}\n").training.learning_rate == value


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data: rows.csv", "data: rows.csv\ndate: x", f"features.yaml:3: date: unknown field; accepted: {TOP}."),
        ("data: rows.csv", "data: rows.csv\n7: x", f"features.yaml:3: 7: unknown field; accepted: {TOP}."),
        (
            "role: time}",
            "rule: time, role: time}",
            "features.yaml:4: columns.at.rule: unknown field; "
            "accepted: type, unit, zone, ambiguous, role, transform, missing.",
        ),
        (
            "{name: scale}",
            "{name: scale, depth: 4}",
            "features.yaml:5: columns.price.transform.depth: unknown field; accepted: name.",
        ),
        (
            "{name: one_hot, depth: 4}",
            "{name: one_hot, depth: 4, buckets: 4}",
            "features.yaml:6: columns.count.transform.buckets: unknown field; accepted: name, depth.",
        ),
        (
            "role: time}",
            "name: [5], role: time}",  # as a transform is named, but not in a transform
            "features.yaml:4: columns.at.name: unknown field; "
            "accepted: type, unit, zone, ambiguous, role, transform, missing.",
        ),
        (
            "column: bought}",
            "columns: bought, column: bought}",
            "features.yaml:13: label.columns: unknown field; accepted: name, column, ratio_above.",
        ),
        (
            "validation: 0.1",
            "train: 0.7, validation: 0.1",
            "features.yaml:14: split.train: unknown field; accepted: by, key, validation, eval.",
        ),
        (
            "{at_least: 0.5}",
            "{at_least: 0.5, least: 1}",
            "features.yaml:15: evaluation.thresholds.auc.least: unknown field; "
            "accepted: at_least, at_most, may_worsen_by.",
        ),
        (
            "evaluation: {",
            "evaluation: {slice: [], ",
            "features.yaml:15: evaluation.slice: unknown field; accepted: slices, thresholds, ablation_seeds.",
        ),
        (
            "dataset: shop",
            "training: {step: 5}\ndataset: shop",
            "features.yaml:1: training.step: unknown field; accepted: "
            "steps, batch_size, learning_rate, hidden_units, embedding_dim, validate_every, patience, seed.",
        ),
        (
            "dataset: shop",
            "tuning: {trials: 5}\ndataset: shop",
            "features.yaml:1: tuning.trials: unknown field; accepted: "
            "algorithm, learning_rate, hidden_layers, first_layer_units, embedding_dim.",
        ),
    ],
)
def test_an_unknown_field_is_told_the_accepted_ones(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert refusal(tmp_path, text=changed(old, new)) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data: rows.csv\n", "", "features.yaml:1: the declaration: the field data is missing; accepted: data: VALUE."),
        (
            "{type: timestamp, unit: s, role: time}",
            "{}",
            "features.yaml:4: columns.at: the field type is missing; accepted: type: VALUE.\n"
            "features.yaml:4: columns.at: the field role is missing; accepted: role: VALUE.",  # every line at once
        ),
        (
            "{name: bought, column: bought}",
            "\n  name: y\n  ratio_above:\n    numerator: spent\n    scale: 100\n    threshold: 1/5",
            "features.yaml:15: label.ratio_above: the field denominator is missing; accepted: denominator: VALUE.",
        ),
        ("by: time, ", "", "features.yaml:14: split: the field by is missing; accepted: by: VALUE."),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert refusal(tmp_path, text=changed(old, new)) == message


def test_missing_is_a_word_or_a_fill(tmp_path: Path) -> None:
    text = changed("missing: own_category", "missing: banana")
    assert refusal(tmp_path, text=text) == (
        "features.yaml:6: columns.count.missing: "
        "read \"banana\"; accepted: 'required', 'mean' or 'own_category' or {fill: VALUE}."
    )


def test_every_problem_is_reported_at_its_own_line(tmp_path: Path) -> None:
    text = changed("role: time}", "role: tide}").replace("depth: 4", "depth: four").replace("0.5", "half")
    assert refusal(tmp_path, text=text).splitlines() == [
        'features.yaml:4: columns.at.role: read "tide"; '
        "accepted: 'feature', 'key', 'time', 'label', 'id' or 'ignored'.",
        'features.yaml:6: columns.count.transform.depth: read "four"; accepted: a valid integer.',
        'features.yaml:15: evaluation.thresholds.auc.at_least: read "half"; accepted: a valid number.',
    ]


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    message = refusal(tmp_path, text=changed("dataset: shop", f"dataset: {'S' * 500}"))
    assert message == f'features.yaml:1: dataset: read "{"S" * 76}...; accepted: text that matches ^[a-z][a-z0-9_]*$.'


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("data=other.csv", "data", "other.csv"),
        ("data=a=b.csv", "data", "a=b.csv"),  # only the first = divides
        ('data="5"', "data", "5"),
        ("spans=3", "spans", 3),
        ("training.steps=7", "training.steps", 7),  # a section that the file does not have
        ("training={steps: 7, seed: 2}", "training.seed", 2),
        ("training.hidden_units=[3, 2]", "training.hidden_units", (3, 2)),
        ("evaluation.thresholds.auc.at_least=1e-1", "evaluation.thresholds.auc", "at_least=0.1"),
    ],
)
def test_an_override_wins_over_the_file(tmp_path: Path, override: str, field: str, value: object) -> None:
    found: object = load(tmp_path, override)
    for name in field.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    assert found == value or str(value) in str(found)


def test_overrides_are_applied_in_order(tmp_path: Path) -> None:
    assert load(tmp_path, "spans=2", "spans=3").spans == 3
    assert load(tmp_path, "training={seed: 9}", "training.steps=3").training.seed == 9
    assert load(tmp_path, "training.seed=9", "training={steps: 3}").training.seed == 1  # the section is replaced


def test_an_override_reaches_into_an_empty_section(tmp_path: Path) -> None:
    text = SHOP + "training:\n  # steps: 5\n"
    assert load(tmp_path, "training.steps=7", text=text).training.steps == 7


def test_an_override_of_one_copy_of_an_anchor_leaves_the_others_alone(tmp_path: Path) -> None:
    text = changed("{type: string, role: ignored}", "&text {type: string, role: ignored}")
    text = text.replace("  spent:", "  remark: *text\n  spent:")
    columns = load(tmp_path, "columns.note.role=key", text=text).columns
    assert (columns["note"].role, columns["remark"].role) == ("key", "ignored")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps", "--set training.steps: accepted: FIELD=VALUE, such as --set training.steps=200."),
        ("=5", "--set =5: accepted: FIELD=VALUE, such as --set training.steps=200."),
        ("training..steps=5", "--set training..steps=5: accepted: FIELD=VALUE, such as --set training.steps=200."),
        ("data.csv=5", "--set data.csv=5: data is a value and has no fields."),
        ("split.by.hash=5", "--set split.by.hash=5: split.by is a value and has no fields."),
        (
            "data=[a",
            "--set data=[a: not YAML: expected ',' or ']', but got '<stream end>'; put quotes around text.",
        ),
        (
            "data=!!binary aGk=",
            "--set data=!!binary aGk=: not YAML: a tag with ! is not accepted; leave it out; put quotes around text.",
        ),
        (
            "training={seed: 1, seed: 2}",
            "--set training={seed: 1, seed: 2}: not YAML: "
            "seed is given twice, first on line 1; keep one; put quotes around text.",
        ),
        ("trainin.steps=5", f"--set: trainin: unknown field; accepted: {TOP}."),  # not the file's fault
        ("spans={a: 1}", '--set: spans: read {"a": 1}; accepted: a valid integer.'),
        ("data=", "--set: data: read null; accepted: text (put quotes around it)."),
    ],
)
def test_an_override_that_is_not_accepted(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override) == message


def test_a_replaced_section_is_no_longer_the_files(tmp_path: Path) -> None:
    text = SHOP + "training:\n  steps: 5\n"
    message = refusal(tmp_path, "training={steps: soon}", text=text)
    assert message == '--set: training.steps: read "soon"; accepted: a valid integer.'


def test_merge_keys_work(tmp_path: Path) -> None:
    text = changed("  note: {type: string, role: ignored}", "  note: {<<: {type: int}, role: ignored}")
    assert load(tmp_path, text=text).columns["note"].type == "int"


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    assert load(tmp_path, text="\ufeff" + SHOP) == load(tmp_path)


def test_the_repositorys_declaration_is_accepted() -> None:
    assert load_declaration(ROOT / "schema" / "taxi" / "features.yaml").dataset == "taxi"
