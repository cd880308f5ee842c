from modules.spec import load_declaration
from pipeline.up.form import Field, Form
from pipeline.up.replay import Replay
from tests.artifacts import taxi
from tests.pipeline.live.rides import rides
from tests.pipeline.up.city import COUNT, City


def test_the_form_asks_for_features_and_keys_and_nothing_else(city: City) -> None:
    form = Form.of(city.declaration, Replay.of(city.declaration, 1.0).start)
    assert [(field.name, field.type, field.required) for field in form.fields] == [
        ("rider", "int", False),
        ("area", "string", False),
        ("amount", "float", True),
        ("seats", "int", False),
    ]
    assert form.time == "at"
    assert [entity.name for entity in form.entities] == ["rides/rider", "rides/area", "payments/area"]


def test_examples_are_whole_rows_of_the_evaluation_part(city: City) -> None:
    start = Replay.of(city.declaration, 1.0).start
    examples = Form.of(city.declaration, start).examples
    amounts = {ride["amount"] for ride in rides(COUNT) if ride["at"] >= start}
    assert 10 < len(examples) <= 25
    for example in examples:
        assert list(example) == ["rider", "area", "amount", "seats"]
        assert example["amount"] in amounts


def test_suggestions_are_what_occurs_the_most_frequent_first(city: City) -> None:
    form = Form.of(city.declaration, Replay.of(city.declaration, 1.0).start)
    rider, area, amount, seats = form.fields
    assert rider.suggestions[0] == "0"  # a third of all rides are his
    assert "a,0/<i> & 100%" in area.suggestions
    assert amount.suggestions == seats.suggestions == ()


def test_features_that_are_keys_are_asked_for_once() -> None:
    form = Form.of(taxi(), Replay.of(taxi(), 1.0).start)
    assert [field.name for field in form.fields] == [
        name for name, column in taxi().columns.items() if column.role == "feature"
    ]
    assert len(form.examples[0]) == len(form.fields)


def test_without_rows_the_form_is_empty(city: City) -> None:
    form = Form.of(load_declaration(city.features, []), 2**62)
    assert form.examples == ({},)
    assert form.fields[0] == Field("rider", "int", False, ())
