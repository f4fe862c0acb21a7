# SPDX-License-Identifier: Apache-2.0
"""Recipes: what they say, and what they may not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from codegen import pipeline
from codegen.errors import UserError
from codegen.ptq.recipe import METHODS, Recipe, Rule, load_recipe, recipe_from
from codegen.registry import plugins


def _load(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path)


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = _load(
        tmp_path,
        'mode = "static16"\nweight_bits = 8\nblock_size = 0\nmethods = []\n'
        '[[rules]]\nscope = "head"\nmode = "static8"\n',
    )
    assert recipe == Recipe("static16", rules=(Rule("head", "static8"),))
    assert recipe_from(recipe.as_dict()) == recipe


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert _load(tmp_path, "") == Recipe.for_mode("static8")


def test_the_last_match_wins() -> None:
    recipe = Recipe(rules=(Rule("blocks/.*", "static16"), Rule("blocks/1", "static8")))
    found = recipe.for_operators(["stem", "blocks/0", "blocks/1"])
    assert [rule.mode for rule in found] == ["static8", "static16", "static8"]


def test_a_scope_matches_whole_names() -> None:
    assert not Rule("block").matches("blocks")
    assert Rule("block.").matches("blocks")


def _unchanged(model: object, observed: object, recipe: object) -> object:
    return model


@pytest.fixture
def _with_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms more: "still" alone looks at recordings, "both" rounds as well."""
    methods = plugins(METHODS)
    monkeypatch.setitem(methods, "still", SimpleNamespace(transform=_unchanged))
    blind = SimpleNamespace(transform=_unchanged, NEEDS_OBSERVATIONS=False)
    monkeypatch.setitem(methods, "blind", blind)
    both = SimpleNamespace(**vars(blind), quantize=methods["round"].quantize)
    monkeypatch.setitem(methods, "both", both)


@pytest.mark.usefixtures("_with_transforms")
def test_transforms_come_before_one_method_that_rounds() -> None:
    recipe = recipe_from({"methods": ["blind", "still", "gptq"]})
    assert (recipe.transforms, recipe.method) == (("blind", "still"), "gptq")
    assert Recipe(methods=("still",)).method == "round"
    assert pipeline.find_recipe("dynamic8", None, methods=["blind, still", "round"]).methods == (
        "blind",
        "still",
        "round",
    )
    for wrong in (("gptq", "still"), ("still", "round", "gptq"), ("still", "nearest")):
        with pytest.raises(UserError, match=r"any of .*still.*, then at most one of .*gptq"):
            Recipe(methods=wrong)


@pytest.mark.usefixtures("_with_transforms")
@pytest.mark.parametrize(
    ("methods", "transforms", "rounding"),
    [
        (("both",), ("both",), "both"),
        (("still", "both"), ("still", "both"), "both"),
        (("both", "gptq"), ("both",), "gptq"),
        (("both", "still"), ("both", "still"), "round"),
    ],
)
def test_a_method_of_both_kinds_rounds_where_it_is_the_last(
    methods: tuple[str, ...], transforms: tuple[str, ...], rounding: str
) -> None:
    recipe = Recipe("dynamic8", methods=methods)
    assert (recipe.transforms, recipe.method) == (transforms, rounding)


@pytest.mark.usefixtures("_with_transforms")
def test_transforms_that_look_at_inputs_need_a_manifest() -> None:
    assert not Recipe("dynamic8", methods=("blind",)).needs_recordings
    with pytest.raises(UserError, match=r"method still looks at .*; give --calibration MANIFEST"):
        pipeline.calibration_manifest(None, Recipe("dynamic8", methods=("blind", "still", "gptq")))


def test_scopes_keep_int8_unless_a_rule_says_otherwise() -> None:
    plain = Recipe("dynamic8")
    assert plain.keeping(["head"]) is plain
    kept = Recipe("dynamic8", 4, 32).keeping(["head"]).for_operators(["layer", "head"])
    assert [(rule.weight_bits, rule.block_size) for rule in kept] == [(4, 32), (8, 0)]
    asked = Recipe("dynamic8", rules=(Rule("head", weight_bits=4),)).keeping(["head"])
    assert [rule.weight_bits for rule in asked.for_operators(["layer", "head"])] == [8, 4]


def test_a_rule_that_matches_nothing_is_an_error() -> None:
    recipe = Recipe(rules=(Rule("enocder/.*", "static16"),))
    with pytest.raises(UserError, match=r"'enocder/\.\*' matches none of the 2 operators"):
        recipe.for_operators(["stem", "head"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('mod = "static8"', "unknown key 'mod'; allowed are mode, weight_bits"),
        ('mode = "static4"', 'mode = "static4"; supported is "static8" or "static16" or "dyn'),
        ("weight_bits = 5", "weight_bits = 5; supported is 8 or 4 or 3 or 2: change it"),
        ("weight_bits = true", "weight_bits = true; supported is 8 or 4 or 3 or 2"),
        ("weight_bits = 8.0", r"weight_bits = 8\.0; supported is 8 or 4 or 3 or 2"),
        ("block_size = 16", "block_size = 16; supported is 0 or 32 or 64 or 128"),
        (
            'methods = ["nearest"]',
            r'methods = \["nearest"\]; supported is .*at most one of gptaq, ',
        ),
        ('methods = ["round", "round_mse"]', "supported is"),
        (
            'mode = "dynamic8"\n[[rules]]\nscope = "a"\nmode = "static8"',
            "only static8 and static16",
        ),
        (
            'mode = "static16"\n[[rules]]\nscope = "a"\nmode = "dynamic8"',
            "only static8 and static16",
        ),
        ('methods = "gptq"', "list of names"),
        ('ranges = "max"', 'ranges = "max"; supported is "minmax" or "mse" or "percentile"'),
        ("ranges = 3", "ranges = 3; supported is"),
        ('mode = "dynamic8"\nranges = "mse"', 'ranges = "mse" with mode = "dynamic8", where each'),
        ("rules = 3", "tables"),
        ("rules = [3]", "tables"),
        ('[[rules]]\nmode = "static8"', "lacks its scope"),
        ("[[rules]]\nscope = 3", "lacks its scope"),
        ('[[rules]]\nscope = "("', "not a regular expression"),
        ('[[rules]]\nscope = "a"\nbits = 4', "unknown key 'bits'"),
        ('[[rules]]\nscope = "a"\nweight_bits = 1', "rule with scope 'a' says weight_bits = 1"),
        ("mode = ", "not TOML"),
        ("mode = 1\nmode = 2", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _load(tmp_path, text)
    assert "recipe.toml" in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_recipe(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not TOML"):
        load_recipe(tmp_path / "binary.toml")


def test_options_make_a_recipe_or_leave_it_to_a_file(tmp_path: Path) -> None:
    made = pipeline.find_recipe("dynamic8", None, 4, 32, ["round_mse"])
    assert made == Recipe("dynamic8", 4, 32, ("round_mse",))
    assert pipeline.find_recipe(None, None) == Recipe()
    path = tmp_path / "recipe.toml"
    path.write_text('mode = "dynamic8"', encoding="utf-8")
    assert pipeline.find_recipe(None, path) == Recipe("dynamic8")
    ranged = pipeline.find_recipe("static16", None, ranges="mse")
    assert ranged == Recipe("static16", ranges="mse")
    nothing = (None, None, None)
    for given in (("static8",), (None, 8), (None, None, 32), (*nothing, ["round"])):
        mode, *others = given
        with pytest.raises(UserError, match="already; leave out --"):
            pipeline.find_recipe(mode, path, *others)
    with pytest.raises(UserError, match="already; leave out --ranges"):
        pipeline.find_recipe(None, path, ranges="mse")


def test_ranges_are_named_where_they_are_not_the_default() -> None:
    assert "ranges" not in Recipe().as_dict()
    recipe = recipe_from({"mode": "static16", "ranges": "percentile"})
    assert recipe.as_dict()["ranges"] == "percentile"
    assert recipe_from(recipe.as_dict()) == recipe
    assert recipe_from({"ranges": "minmax", "mode": "dynamic8"}) == Recipe("dynamic8")


def test_dynamic8_leaves_a_manifest_alone() -> None:
    assert pipeline.calibration_manifest(Path("m.jsonl"), Recipe("dynamic8")) is None
    with pytest.raises(UserError, match="give --calibration MANIFEST"):
        pipeline.calibration_manifest(None, Recipe("static16"))


def test_a_method_that_looks_at_inputs_needs_a_manifest() -> None:
    recipe = Recipe("dynamic8", methods=("gptq",))
    assert pipeline.calibration_manifest(Path("m.jsonl"), recipe) == Path("m.jsonl")
    with pytest.raises(UserError, match=r"method gptq looks at .*; give --calibration MANIFEST"):
        pipeline.calibration_manifest(None, recipe)
