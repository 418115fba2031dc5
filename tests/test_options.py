"""Options: what is typed after --set, what a preset holds, and what is refused with which words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import OptionError, UnknownNameError
from editharness.options import describe, option, parse_settings, resolve_options, show


@dataclass(frozen=True)
class Options:
    steps: int = option(25, "steps", low=1, high=1000)
    lr: float = option(0.5, "learning rate", low=0)
    prior: bool = option(True, "protect earlier keys")
    name: str = option("x", "a text")
    layers: tuple[int, ...] = option((), "layers", low=0)
    words: tuple[str, ...] = option(("a",), "words")
    pair: tuple[int, int] = option((1, 2), "two numbers")
    mode: Literal["mean", "bare"] = option("mean", "which key")
    layer: int | None = option(None, "one layer", low=0)
    width: int = option(64, "a width", choices=(64, 128))
    plain: int = 7
    made: tuple[int, ...] = field(default_factory=lambda: (3,))


@dataclass(frozen=True)
class Ascending:
    layers: tuple[int, ...] = option((), "layers")

    def __post_init__(self) -> None:
        if list(self.layers) != sorted(self.layers):
            raise ValueError("layers must ascend")


def of(**typed: object) -> Options:
    return resolve_options(Options, {}, typed)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("steps", "30", 30),
        ("steps", " 30 ", 30),
        ("lr", "1e-4", 1e-4),
        ("lr", "2", 2.0),
        ("prior", "false", False),
        ("prior", "Yes", True),
        ("prior", "0", False),
        ("name", "a, b", "a, b"),
        ("name", "", ""),
        ("layers", "3,4,5", (3, 4, 5)),
        ("layers", "[3, 4]", (3, 4)),
        ("layers", "17", (17,)),
        ("layers", "", ()),
        ("words", "the, a", ("the", "a")),
        ("pair", "5,6", (5, 6)),
        ("mode", "bare", "bare"),
        ("layer", "none", None),
        ("layer", "4", 4),
        ("width", "128", 128),
        ("plain", "-1", -1),
    ],
)
def test_a_typed_text_is_read_by_the_type_of_its_field(key: str, text: str, value: object) -> None:
    found = getattr(of(**{key: text}), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("steps", "3.5", "option steps=3.5 is not a whole number (1 to 1000): write for example steps=25"),
        ("steps", "0", "option steps=0 is out of range: use 1 to 1000 (default 25)"),
        ("lr", "fast", "option lr=fast is not a number (0 or more): write for example lr=0.5"),
        ("lr", "nan", "option lr=nan is not a number"),
        ("lr", "inf", "option lr=inf is not a number"),
        ("lr", "-1", "option lr=-1 is out of range: use 0 or more"),
        ("prior", "2", "option prior=2 is not true or false"),
        ("layers", "3,x", "option layers=3,x is not whole numbers separated by commas"),
        ("layers", "3,-1", "option layers=3,-1 is out of range: use 0 or more"),
        ("pair", "1,2,3", "option pair=1,2,3 is not 2 whole numbers separated by commas"),
        ("mode", "median", "option mode=median is not one of mean, bare"),
        ("layer", "-1", "option layer=-1 is out of range: use 0 or more (default none)"),
        ("layer", "x", "option layer=x is not a whole number or none"),
        ("width", "65", "option width=65 is out of range: use one of 64, 128 (default 64)"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_what_to_type(key: str, text: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        of(**{key: text})
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown option 'stepz': did you mean 'steps'"):
        of(stepz="3")


def test_typed_values_from_yaml_are_checked_too() -> None:
    assert of(layers=[3, 4]).layers == (3, 4)
    assert of(lr=2).lr == 2.0
    assert of(lr="1e-4").lr == 1e-4  # YAML reads 1e-4 as text
    assert of(layer=None).layer is None
    for key, value in (("steps", True), ("steps", 2.0), ("prior", 1), ("name", 3), ("lr", False), ("mode", None)):
        with pytest.raises(OptionError, match=f"option {key}="):
            of(**{key: value})


def test_what_is_typed_wins_over_the_preset_and_the_preset_over_the_default() -> None:
    found = resolve_options(Options, {"steps": 20, "lr": 0.1}, {"lr": "0.2"})
    assert (found.steps, found.lr, found.width) == (20, 0.2, 64)


def test_options_that_do_not_go_together_are_an_option_error() -> None:
    with pytest.raises(OptionError, match="these options do not go together: layers must ascend"):
        resolve_options(Ascending, {}, {"layers": "4,3"})


def test_describe_gives_help_default_and_limits_in_order() -> None:
    infos = {info.name: info for info in describe(Options)}
    assert list(infos) == [
        "steps", "lr", "prior", "name", "layers", "words", "pair", "mode", "layer", "width", "plain", "made",
    ]  # fmt: skip
    assert (infos["steps"].help, infos["steps"].type, infos["steps"].limits) == ("steps", "a whole number", "1 to 1000")
    assert (infos["mode"].type, infos["mode"].limits) == ("one of mean, bare", "")
    assert infos["width"].limits == "one of 64, 128"
    assert infos["layer"].type == "a whole number or none"
    assert (infos["plain"].help, infos["made"].default) == ("", (3,))
    assert describe(None) == []


def test_settings_are_split_at_the_first_equals_sign() -> None:
    assert parse_settings(["steps=3", "name=a=b", "key-mode=bare"]) == {"steps": "3", "name": "a=b", "key_mode": "bare"}


@pytest.mark.parametrize("text", ["steps", "=3", ""])
def test_a_setting_without_key_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="write it as --set key=value"):
        parse_settings([text])


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(OptionError, match="--set lr is given twice"):
        parse_settings(["lr=1", "lr=2"])


@given(
    st.integers(1, 1000),
    st.floats(0, 1e6, allow_nan=False),
    st.booleans(),
    st.lists(st.integers(0, 200), max_size=5),
    st.none() | st.integers(0, 99),
    st.sampled_from(["mean", "bare"]),
)
def test_what_show_prints_is_read_back_as_it_was(
    steps: int, lr: float, prior: bool, layers: list[int], layer: int | None, mode: str
) -> None:
    values = {"steps": steps, "lr": lr, "prior": prior, "layers": tuple(layers), "layer": layer, "mode": mode}
    found = of(**{key: show(value) for key, value in values.items()})
    assert {key: getattr(found, key) for key in values} == values


@given(st.sampled_from(["steps", "lr", "prior", "layers", "pair", "mode", "layer", "width"]), st.text(max_size=20))
def test_any_text_gives_a_value_in_range_or_an_option_error(key: str, text: str) -> None:
    with suppress(OptionError):
        found = of(**{key: text})
        assert 1 <= found.steps <= 1000
        assert found.lr >= 0
        assert all(layer >= 0 for layer in found.layers)
