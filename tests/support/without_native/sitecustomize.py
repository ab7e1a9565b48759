"""On PYTHONPATH it hides the native decoder, from this process and from those that it starts."""

import sys

sys.modules["spanlint_native"] = None  # type: ignore[assignment]  # what Python does for "not there"
