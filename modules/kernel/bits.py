"""A value as its exact bit pattern: `==` cannot tell 0.0 from -0.0, and says that NaN differs from itself."""

import numpy as np


def bits(value: np.generic) -> str:
    """A number's bits, two hexadecimal digits a byte, the greatest byte first.

    >>> bits(np.float64(100))
    '4059000000000000'
    """
    return value.tobytes()[::-1].hex()
