"""The whole declaration of a dataset: what `schema/<dataset>/features.yaml` says, typed and checked."""

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from modules.spec.columns import Column
from modules.spec.evaluation import Evaluation, Threshold
from modules.spec.field_error import FieldError, within
from modules.spec.frozen import Frozen
from modules.spec.gate import Gate
from modules.spec.label import Label
from modules.spec.live import Live, check_name
from modules.spec.live_feature import LiveFeature
from modules.spec.serving import Serving
from modules.spec.split import Split
from modules.spec.training import Training, Tuning

ROW_ID = "row_id"
"""The examples' identity column: the hash of the row, or the column with role: id."""

PRESENT_SUFFIX = "_present"
"""`<feature>_present` is the signature input that marks an optional feature absent row by row."""

FINGERPRINT_SIGNATURE = "features_fingerprint"
"""The signature of an exported model that gives `Declaration.features_fingerprint`; also the name of its output."""
DEFAULTS_FINGERPRINT = "defaults_fingerprint"
"""Its output that gives `Declaration.defaults_fingerprint`."""


class Declaration(Frozen):
    """Everything that Twinbeam needs to know about a dataset."""

    dataset: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """The dataset's name, also the served model's."""
    data: str
    """Where the rows are: a file, a directory, a glob, or a pattern with {SPAN}, {VERSION} or {YYYY}-{MM}-{DD};
    `package:NAME/PATH` is a file inside an installed package."""
    spans: Annotated[int, Field(ge=1)] = 1
    """With a pattern: how many of the latest spans are read together."""
    until: datetime.date | None = None
    """With a pattern of days: the latest that is read, itself included; so a day of the past can be trained again."""
    columns: dict[str, Column]
    """The data's columns, all of them: an undeclared column in the data is an error."""
    live: Live | None = None
    """Features that are computed from events as of each row's time, and beside the request in serving."""
    label: Label
    """What the model predicts."""
    split: Split
    """Which rows train, tune and judge."""
    training: Training = Training()
    """The model and its training."""
    tuning: Tuning = Tuning()
    """What `--tune` tries."""
    evaluation: Evaluation
    """What a model must reach to be pushed."""
    gate: Gate = Gate()
    """What is compared before a model is pushed."""
    serving: Serving = Serving()
    """What the gateway does when live features are old, or cannot be looked up."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_roles()
        self._check_label()
        self._check_live()
        self._check_names()
        if self.evaluation.ablation_seeds and not self.live:
            with within("evaluation"):
                raise FieldError("0, because without live features there is nothing to leave out", "ablation_seeds")
        if self.split.key is not None:
            self._check_column(self.split.key, ("feature", "key"), "split", "key")
        for place, name in enumerate(self.evaluation.slices):
            self._check_column(name, ("feature", "key"), "evaluation", "slices", place)
        return self

    def _check_roles(self) -> None:
        for role in ("time", "id"):
            if len(found := self._with_role(role)) > 1:
                raise FieldError(f"another role, because {found[0]} has role: {role}", "columns", found[1], "role")
        if self.split.by == "time" and not self._with_role("time"):
            raise FieldError("hash, or a column with role: time beside it", "split", "by")
        if not self.features:
            raise FieldError("at least one column with role: feature", "columns")

    def _check_names(self) -> None:
        taken = {ROW_ID: "the row's identity"}
        taken |= {name + PRESENT_SUFFIX: f"the presence of {name}" for name in self.features}
        others = {name: "a column" for name in self.columns if name != self.label.column} | taken
        with within("label", "name"):
            if self.label.name in others:
                raise FieldError(f"another name, because {self.label.name} is {others[self.label.name]}")
            check_name(self.label.name, "names a model input")
        for name, column in self.columns.items():
            with within("columns", name):
                if column.role == "feature":
                    check_name(name, "names a model input")
                own_id = name == ROW_ID and column.role == "id"
                if name in taken and name != self.label.column and not own_id:
                    raise FieldError(f"another name than {name}, which is {taken[name]}")

    def _check_live(self) -> None:
        if self.live is None:
            return
        taken = {ROW_ID: "the row's identity", self.label.name: "the label"}
        taken |= dict.fromkeys(self.columns, "a column")
        taken |= {name + PRESENT_SUFFIX: f"the presence of {name}" for name in self.features}
        with within("live"):
            if self.time is None:
                raise FieldError("a column with role: time beside it, because live features are computed as of it")
            for name in self.live.features:
                with within("features", name):
                    check_name(name, "names a model input")
                    if name in taken:
                        raise FieldError(f"another name than {name}, which is {taken[name]}")
            self.live.check(self.columns)

    def _check_label(self) -> None:
        column, ratio = self.label.column, self.label.ratio_above
        if (column is None) == (ratio is None):
            raise FieldError("either column or ratio_above", "label")
        if column is not None:
            self._check_column(column, ("label",), "label", "column", types=("int", "bool"))
        if ratio is not None:
            numbers, known = ("int", "float"), ("feature", "key", "label", "id")
            with within("label", "ratio_above"):
                self._check_column(ratio.numerator, ("label",), "numerator", types=numbers)
                self._check_column(ratio.denominator, known, "denominator", types=numbers)

    def _check_column(self, name: str, roles: Sequence[str], *location: str | int, types: Sequence[str] = ()) -> None:
        """Checks that a field names a column of one of the roles, and of one of the types if some are given."""
        fitting = [
            each
            for each, column in self.columns.items()
            if column.role in roles and (not types or column.type in types)
        ]
        if name not in fitting:
            kind = f"a column with role: {' or '.join(roles)}" + (f", and type: {' or '.join(types)}" if types else "")
            raise FieldError(f"{kind} ({', '.join(fitting) or 'there is none'})", *location)

    def _with_role(self, role: str) -> tuple[str, ...]:
        return tuple(name for name, column in self.columns.items() if column.role == role)

    @cached_property
    def features(self) -> dict[str, Column]:
        """The model's inputs, in the order of their declaration: those of the request, then the live ones."""
        own = {name: column for name, column in self.columns.items() if column.role == "feature"}
        return own | {name: feature.column for name, feature in self.live_features.items()}

    @property
    def live_features(self) -> dict[str, LiveFeature]:
        """The live features, in the order of their declaration; empty without any."""
        return self.live.features if self.live else {}

    @cached_property
    def features_fingerprint(self) -> str:
        """The fingerprint of the live features (`Live.fingerprint`); empty without any."""
        return self.live.fingerprint(self.dataset, self.columns) if self.live else ""

    @cached_property
    def defaults_fingerprint(self) -> str:
        """sha256 of what the live features are for an unknown key, 64 hexadecimal digits; empty without any.

        Rows do not depend on them, so they are no part of `features_fingerprint`; what a model was trained on does.
        """
        defaults = {name: feature.value_when_empty for name, feature in self.live_features.items()}
        return hashlib.sha256(json.dumps(defaults, sort_keys=True).encode()).hexdigest() if defaults else ""

    def trained_otherwise(self, said: Mapping[str, str]) -> str:
        """How a model's live features differ from those declared, in words; empty if they do not.

        Args:
          said: The model's fingerprints, by the name of the output that gives them.
        """
        for name, own, what in (
            (FINGERPRINT_SIGNATURE, self.features_fingerprint, "live features"),
            (DEFAULTS_FINGERPRINT, self.defaults_fingerprint, "defaults of live features"),
        ):
            if (found := said.get(name, "")) != own:
                found, own = found[:12] or "(none)", own[:12] or "(none)"
                return f"was trained on {what} of the fingerprint {found}, and those declared have {own}"
        return ""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Columns that are kept beside the features."""
        return self._with_role("key")

    @cached_property
    def time(self) -> str | None:
        """The event time's column, if there is one."""
        return next(iter(self._with_role("time")), None)

    @cached_property
    def id(self) -> str | None:
        """The column that holds the row's identity; None: the identity is the hash of the row."""
        return next(iter(self._with_role("id")), None)

    def only(self, *sections: str) -> Self:
        """A copy in which those sections that make no examples hold nothing unless named.

        A component is given the sections that it reads, so that an edit of another does not run it again. Of `live`,
        unless it is named, only what makes the features of the examples is left (`Live.without_operation`).
        """
        nothing = {
            "data": "",
            "spans": 1,
            "until": None,
            "training": Training(),
            "tuning": Tuning(),
            "evaluation": Evaluation(thresholds={"auc": Threshold(at_least=0.0)}),
            "gate": Gate(),
            "serving": Serving(),
            "live": self.live and self.live.without_operation(),
        }
        return self.model_copy(update={name: value for name, value in nothing.items() if name not in sections})

    @property
    def fingerprint(self) -> str:
        """sha256 of the declaration with its defaults filled in, 64 hexadecimal digits; for provenance."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
