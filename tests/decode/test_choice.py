"""Which decoder is used: the native one where it is built and fits, else the reference."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from collector.decode.choice import make_decoder
from collector.decode.model import DecodeOptions
from detectors.kit.knobs import SettingsError
from detectors.kit.native import INTERFACE
from detectors.kit.texts import Texts


def _installed(monkeypatch: pytest.MonkeyPatch, interface: int | None) -> None:
    """A `spanlint_native` that speaks this interface; none, as the first ones were."""
    stale = ModuleType("spanlint_native")
    if interface is not None:
        stale.INTERFACE = interface  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spanlint_native", stale)


@pytest.mark.parametrize(("interface", "said"), [(None, "older"), (INTERFACE + 1, "newer")])
def test_an_extension_of_another_version_is_announced_and_not_used(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    interface: int | None,
    said: str,
) -> None:
    _installed(monkeypatch, interface)

    with caplog.at_level(logging.WARNING):
        assert make_decoder(Texts()).name == "reference"

    assert f"spanlint-native does not fit this spanlint: it is {said}" in caplog.text
    assert "using the reference decoder" in caplog.text


def test_an_extension_of_another_version_is_refused_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _installed(monkeypatch, None)

    with pytest.raises(SettingsError, match=f"interface 1, not {INTERFACE}"):
        make_decoder(Texts(), DecodeOptions(decoder="native"))


def test_without_an_extension_the_reference_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spanlint_native", None)

    assert make_decoder(Texts()).name == "reference"
    with pytest.raises(SettingsError, match="not installed"):
        make_decoder(Texts(), DecodeOptions(decoder="native"))
