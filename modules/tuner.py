"""TFX's entry point for tuning: keras-tuner tries sets of hyperparameters on the transformed examples."""

from typing import Any

import keras
import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from modules.model import build_model, compile_model
from modules.spec import Declaration
from modules.trainer import fit_arguments, read_batches, seed, with_hyperparameters

_OBJECTIVE = keras_tuner.Objective("val_loss", "min")


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """The search over the declaration's `tuning`, each trial trained as `training` says.

    Args:
      fn_args: TFX's; of its custom_config are used `declaration`, as JSON, and `trials`, how many to run.
    """
    declaration = Declaration.model_validate_json(fn_args.custom_config["declaration"])
    training, tuning = declaration.training, declaration.tuning
    seed(training)

    def build(hyperparameters: keras_tuner.HyperParameters) -> keras.Model:
        for name in ("learning_rate", "hidden_layers", "first_layer_units", "embedding_dim"):
            hyperparameters.Choice(name, list(getattr(tuning, name)))
        tried = with_hyperparameters(training, hyperparameters.values)
        model = build_model(declaration, tried)
        compile_model(model, tried)
        return model

    oracles = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    }
    oracle = oracles[tuning.algorithm](
        objective=_OBJECTIVE, max_trials=fn_args.custom_config["trials"], seed=training.seed
    )
    tuner = _Tuner(oracle=oracle, hypermodel=build, directory=fn_args.working_dir, project_name="tuner")
    return TunerFnResult(
        tuner=tuner,
        fit_kwargs={
            "x": read_batches(fn_args.train_files, declaration, training, shuffled=True),
            "validation_data": read_batches(fn_args.eval_files, declaration, training, shuffled=False),
            **fit_arguments(training),
        },
    )


class _Tuner(keras_tuner.Tuner):
    """The stock one goes on when a trial fails, and ends with hyperparameters that nobody has tried."""

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        if trial.score is None:
            reason = (trial.message or "it gave none").strip().splitlines()[-1]
            raise RuntimeError(f"trial {trial.trial_id} ended without a score: {reason}")
