"""Finds the model that a new one is compared with: the last blessed one other than itself."""

import ml_metadata as mlmd
from tfx import types
from tfx.components.evaluator.constants import (
    ARTIFACT_PROPERTY_BLESSED_KEY,
    ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
    BLESSED_VALUE,
)
from tfx.dsl.components.common import resolver


class LastOtherBlessedModel(resolver.ResolverStrategy):
    """Resolves `baseline_model` to the latest blessed model that is not `model`; to none if there is none.

    The stock strategy would find the model itself when only its evaluation is run again, and compare it with itself.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        current = {model.id for model in input_dict["model"]}
        blessed = {
            blessing.get_int_custom_property(ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY)
            for blessing in input_dict["blessing"]
            if blessing.get_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY) == BLESSED_VALUE
        }
        others = [model for model in input_dict["baseline_model"] if model.id in blessed - current]
        latest = sorted(others, key=lambda model: model.id)[-1:]
        return {"baseline_model": latest, "model": input_dict["model"], "blessing": []}
