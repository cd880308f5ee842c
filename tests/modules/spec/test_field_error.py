import pytest
from pydantic import BaseModel, ValidationError, model_validator

from modules.spec.field_error import FieldError, within


def test_each_section_puts_itself_before_the_location() -> None:
    with pytest.raises(FieldError, match=r"^a bound$") as caught, within("features", "orders_7d"), within("filter", 1):
        raise FieldError("a bound", "above")
    assert caught.value.location == ("features", "orders_7d", "filter", 1, "above")


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError), within("features"):
        raise KeyError("above")


def test_pydantic_hands_it_on() -> None:
    class Section(BaseModel):
        @model_validator(mode="after")
        def _check(self) -> "Section":
            raise FieldError("a bound", "above")

    with pytest.raises(ValidationError) as caught:
        Section()
    (detail,) = caught.value.errors()
    assert detail["ctx"]["error"].location == ("above",)
