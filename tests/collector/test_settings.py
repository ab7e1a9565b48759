"""Settings: what is wrong is refused at start, in a sentence that says where and what is known."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.settings import Settings, load
from detectors.kit.catalogue import rules
from detectors.kit.knobs import SettingsError, knobs

N101 = next(r for r in rules() if r.code == "N101")


def from_file(text: str | bytes, folder: Path) -> Settings:
    path = folder / "spanlint.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(str(path), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quiet: 5", "unknown setting 'quiet'; known: .*quiet_s"),
        ("quiet_s: soon", "quiet_s must be float, not 'soon'"),
        ("quiet_s: -1", "quiet_s must be a number from 0 on, not -1"),
        ("quiet_s: .nan", "quiet_s must be a number"),
        ("quiet_s: .inf", "quiet_s must be a number"),
        ("quiet_s: true", "quiet_s must be float, not True"),
        ("quiet_s:", "quiet_s must be float, not None"),
        ("max_rows: 0", "max_rows must be a number from 1 on, not 0"),
        ("max_spans: 1.5", "max_spans must be int"),
        ("judge_interval_s: 0", "judge_interval_s must be a number from 0.01 on"),
        ("otlp_grpc: localhost", "otlp_grpc must be host:port"),
        ("otlp_http: 127.0.0.1:99999", "otlp_http must be host:port"),
        ("admin: :9777", "admin must be host:port"),
        ("admin: 127.0.0.1:x", "admin must be host:port"),
        ("select: N101", "select must be list"),
        ("select: [5]", "select must be texts"),
        ("select: [X9]", "no rule begins with 'X9'; known: C101"),
        ("actor_attributes: [null]", "actor_attributes must be texts"),
        ("forward_headers: {a: 5}", "forward_headers must be texts"),
        ("rules: [N101]", "rules must be dict"),
        ("rules: {N999: {}}", "no rule 'N999'; known: C101"),
        ("rules: {N101: 5}", "rules.N101: wanted knobs"),
        ("rules: {N101: {min_repeat: 5}}", "rules.N101: unknown setting 'min_repeat'; known: min"),
        ("rules: {N101: {min_repeats: -3}}", "rules.N101: min_repeats=-3 is outside 2 to"),
        ("rules: {N101: {min_repeats: '8'}}", "rules.N101: min_repeats must be int"),
        ("rules: {N101: {overrides: 5}}", "rules.N101: wanted knobs and a list"),
        ("rules: {N101: {overrides: [5]}}", "rules.N101.overrides: each needs a service"),
        ("rules: {N101: {overrides: [{min_repeats: 9}]}}", "overrides: each needs a service"),
        ("rules: {N101: {overrides: [{service: a, x: 1}]}}", "overrides: unknown setting 'x'"),
        ("mute: [5]", "mute: each entry needs a `reason`"),
        ("mute: [{code: N101}]", "mute: each entry needs a `reason`"),
        ("mute: [{reason: x, cod: N101}]", "mute: unknown"),
        ("mute: [{reason: x, code: 5}]", "mute: code must be str"),
        ("mute: [{reason: x, expires: tomorrow}]", "mute: expires must be a date"),
        ("a: [", "spanlint.yaml: while parsing"),
        ("- a", "spanlint.yaml: wanted `name: value` lines"),
        (b"\xff\xfe\x00", "spanlint.yaml: "),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        from_file(text, tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "admin: ''", "admin: '[::1]:0'"])
def test_what_is_right_is_taken(text: str, tmp_path: Path) -> None:
    assert from_file(text, tmp_path).quiet_s == Settings().quiet_s


def test_later_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "spanlint.yaml"
    path.write_text("quiet_s: 1\nmax_age_s: 2\ngrace_s: 3\n")

    found = load(
        str(path), {"SPANLINT_MAX_AGE_S": "20", "SPANLINT_GRACE_S": "30"}, {"grace_s": 300}
    )

    assert (found.quiet_s, found.max_age_s, found.grace_s) == (1, 20, 300)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SELECT", "N101, N102", ["N101", "N102"]),
        ("SELECT", "[N101]", ["N101"]),
        ("SERVICE_GRAPH", "true", True),
        ("FORWARD_HEADERS", "{a: b}", {"a": "b"}),
        ("STATE", "123", "123"),
    ],
)
def test_variables_are_read_as_what_is_wanted(name: str, text: str, value: Any) -> None:
    assert getattr(load(None, {f"SPANLINT_{name}": text}), name.lower()) == value


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="environment: unknown setting 'foo'; known: otlp_grpc"):
        load(None, {"SPANLINT_FOO": "1"})


def test_thresholds_hold_per_service_and_operation(tmp_path: Path) -> None:
    found = from_file(
        yaml.safe_dump(
            {
                "rules": {
                    "N101": {
                        "min_repeats": 8,
                        "overrides": [
                            {"service": "reports", "min_repeats": 50},
                            {"service": "reports", "operation": "GET /", "min_repeats": 3},
                        ],
                    }
                }
            }
        ),
        tmp_path,
    )

    asked = (("shop", "GET /"), ("reports", "GET /x"), ("reports", "GET /"))
    assert [found.lookup(N101, *at).min_repeats for at in asked] == [8, 50, 3]


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r.code)
def test_every_knob_says_what_it_is(rule: Any) -> None:
    for found in knobs(rule.Settings):
        assert len(found.help) > 10, found.name
        assert found.low <= found.default <= found.high, found.name


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda f: f.name)
def test_every_setting_says_what_it_is(setting: Any) -> None:
    assert len(setting.metadata["help"]) > 10
    number = isinstance(getattr(Settings(), setting.name), (int, float))
    is_flag = isinstance(getattr(Settings(), setting.name), bool)
    assert bool(setting.metadata["unit"]) == (number and not is_flag)
