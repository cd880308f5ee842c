"""The model's shape, how long it trains, and what the tuner may try."""

from typing import Annotated, Literal

from pydantic import Field

from modules.spec.frozen import Frozen

Units = Annotated[int, Field(ge=1, le=4096)]


class Training(Frozen):
    """One training of the model."""

    steps: Annotated[int, Field(ge=1)] = 1000
    """Optimiser steps at most, in whole multiples of `validate_every`; early stopping may end before."""
    batch_size: Annotated[int, Field(ge=1)] = 40
    """Rows in a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    """Adam's step size."""
    hidden_units: tuple[Units, ...] = (100, 70, 48, 34)
    """Width of each hidden layer, first to last."""
    embedding_dim: Annotated[int, Field(ge=1, le=512)] = 8
    """Length of the vector that stands for a category."""
    validate_every: Annotated[int, Field(ge=1)] = 100
    """Steps between two looks at the validation split."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Early stopping: looks without a better validation loss before training ends and the best weights return."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seeds the initial weights and the order of the rows."""


class Tuning(Frozen):
    """What `--tune N` tries. Each list holds the values that one hyperparameter may take."""

    algorithm: Literal["random", "bayesian"] = "random"
    """keras-tuner's RandomSearch or BayesianOptimization."""
    learning_rate: tuple[Annotated[float, Field(gt=0)], ...] = (0.0003, 0.001, 0.003, 0.01)
    """Adam's step sizes."""
    hidden_layers: tuple[Annotated[int, Field(ge=1, le=10)], ...] = (1, 2, 3, 4)
    """Numbers of hidden layers."""
    first_layer_units: tuple[Units, ...] = (32, 64, 100, 128)
    """Widths of the first hidden layer; each further one has 0.7 of the one before."""
    embedding_dim: tuple[Annotated[int, Field(ge=1, le=512)], ...] = (4, 8, 16)
    """Lengths of the vector that stands for a category."""
