"""The one rounding between the kernel and the model: what a `tf.Example` can hold."""

import numpy as np

_GREATEST = float(np.finfo(np.float32).max)


def to_example(values: np.ndarray) -> np.ndarray:
    """int64 as it is; float64 as the nearest float32, half to even, beyond its range the greatest one; same shape."""
    if values.dtype == np.int64:
        return values
    return np.clip(values, -_GREATEST, _GREATEST).astype(np.float32)
