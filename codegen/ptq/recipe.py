# SPDX-License-Identifier: Apache-2.0
"""How a model is to be quantized: a mode for all of it, and rules for parts of it.

mode = "static8"          # static8: int8 activations; static16: int16 activations;
                          # dynamic8: float, quantized to int8 in front of each matrix
weight_bits = 8           # or 4, 3, 2
block_size = 0            # 0: one scale a channel; 32, 64, 128: one a block (dynamic8, not 8 bits)
methods = []              # files of ptq/methods: transforms in the order in which they are applied,
                          # then at most one that chooses integers, "round" where none is named;
                          # one that does both, as omniquant, does the latter where it is the last
ranges = "minmax"         # a file of ptq/ranges that chooses the ranges of integer activations

[[rules]]                 # the last rule whose scope matches an operator's name wins
scope = "blocks/0/.*"     # a regular expression that matches the whole name
mode = "static16"

[[rules]]
scope = "decoder/output_0" # an encoder-decoder's head and embedding, int8 where no rule names them
weight_bits = 4
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from codegen.errors import UserError
from codegen.registry import plugins

DYNAMIC = "dynamic8"
MODES = ("static8", "static16", DYNAMIC)
MAX_FILE_BYTES = 1 << 20
METHODS = "codegen.ptq.methods"
RANGES = "codegen.ptq.ranges"
MIN_MAX = "minmax"
#: What the values of a recipe may be, its methods aside.
_ALLOWED: Mapping[str, Callable[[], tuple[Any, ...]]] = {
    "mode": lambda: MODES,
    "weight_bits": lambda: (8, 4, 3, 2),
    "block_size": lambda: (0, 32, 64, 128),
    "ranges": lambda: tuple(plugins(RANGES)),
}


def methods_with(function: str) -> tuple[str, ...]:
    """The files of ptq/methods that have this function: quantize or transform."""
    return tuple(name for name, method in plugins(METHODS).items() if hasattr(method, function))


@dataclass(frozen=True)
class Rule:
    """What holds for the operators whose name matches `scope`; None leaves the recipe's value."""

    scope: str
    mode: str | None = None
    weight_bits: int | None = None
    block_size: int | None = None

    def __post_init__(self) -> None:
        """Raise UserError for a scope that is no regular expression, or a value not supported."""
        _check(self, f"rule with scope {self.scope!r}")
        try:
            re.compile(self.scope)
        except re.error as error:
            raise UserError(
                f"The recipe's scope {self.scope!r} is not a regular expression: {error};"
                ' correct it, for example scope = "blocks/0/.*".'
            ) from error

    def matches(self, name: str) -> bool:
        """Whether the rule is for the operator called `name`."""
        return re.fullmatch(self.scope, name) is not None


@dataclass(frozen=True)
class Recipe:
    """Arithmetic of the whole model and exceptions by scope."""

    mode: str = "static8"
    weight_bits: int = 8
    block_size: int = 0
    methods: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    ranges: str = MIN_MAX

    def __post_init__(self) -> None:
        """Raise UserError for a value that is not supported."""
        _check(self, "recipe")
        _check_methods(self.methods)
        if self.mode == DYNAMIC and self.ranges != MIN_MAX:
            raise UserError(
                f"The recipe says ranges = {_toml(self.ranges)} with mode = {_toml(self.mode)},"
                " where each row of activations has its own range when the model runs: leave it"
                " out, or use static8 or static16."
            )
        for rule in self.rules:
            if rule.mode and rule.mode != self.mode and DYNAMIC in (rule.mode, self.mode):
                raise UserError(
                    f"The recipe's mode is {_toml(self.mode)}, its rule with scope {rule.scope!r}"
                    f" says {_toml(rule.mode)}; only static8 and static16 mix: change one of them."
                )

    @classmethod
    def for_mode(cls, mode: str) -> Recipe:
        """The plain recipe of a mode: int8 weights with one scale a channel."""
        return cls(mode=mode)

    @property
    def method(self) -> str:
        """The file of ptq/methods that chooses the integers of weights."""
        rounding = methods_with("quantize")
        return next((name for name in self.methods[-1:] if name in rounding), "round")

    @property
    def transforms(self) -> tuple[str, ...]:
        """The files of ptq/methods that change the float model first, in order."""
        known = methods_with("transform")
        return tuple(name for name in self.methods if name in known)

    @property
    def needs_moments(self) -> bool:
        """Whether the method looks at the inputs of matrices."""
        return getattr(plugins(METHODS)[self.method], "NEEDS_MOMENTS", False)

    @property
    def least_weight(self) -> float | None:
        """What an unheard frame's row counts in moments; None where all rows count the same."""
        return getattr(plugins(METHODS)[self.method], "LEAST_WEIGHT", None)

    @property
    def observing(self) -> tuple[str, ...]:
        """The methods that look at what recordings do to the model."""
        methods = plugins(METHODS)
        found = [n for n in self.transforms if getattr(methods[n], "NEEDS_OBSERVATIONS", True)]
        return (*found, self.method) if self.needs_moments else tuple(found)

    @property
    def needs_recordings(self) -> bool:
        """Whether anything is to be calibrated: ranges, or what a method looks at."""
        return self.mode != DYNAMIC or bool(self.observing)

    def keeping(self, scopes: Iterable[str]) -> Recipe:
        """The recipe with int8 weights in `scopes`, unless a rule of its own says otherwise."""
        if self.weight_bits == 8 and all(rule.weight_bits in (None, 8) for rule in self.rules):
            return self
        kept = tuple(Rule(scope, weight_bits=8, block_size=0) for scope in scopes)
        return replace(self, rules=(*kept, *self.rules))

    def with_int16(self, scopes: Iterable[str]) -> Recipe:
        """In static8 these scopes have int16 activations, unless a rule of the recipe says else."""
        if self.mode != "static8":
            return self
        first = (Rule(scope, mode="static16") for scope in scopes)
        return replace(self, rules=(*first, *self.rules))

    def for_operators(self, names: Iterable[str]) -> tuple[Rule, ...]:
        """For each operator the values that hold there, as a Rule whose scope is its name.

        The last matching rule wins, field by field. Raises UserError for a rule that matches
        nothing, since it is a misspelt name.
        """
        names = tuple(names)
        for rule in self.rules:
            if not any(rule.matches(name) for name in names):
                shown = ", ".join(dict.fromkeys(names[:5]))
                raise UserError(
                    f"The recipe's rule with scope {rule.scope!r} matches none of the"
                    f" {len(names)} operators; names begin {shown}: correct or remove the rule."
                )
        return tuple(self._for_operator(name) for name in names)

    def limited_to(self, names: Iterable[str]) -> Recipe:
        """The recipe for a part of the model: without the rules that match none of its `names`."""
        names = tuple(names)
        kept = (rule for rule in self.rules if any(rule.matches(name) for name in names))
        return replace(self, rules=tuple(kept))

    def for_linear(self, path: str) -> Rule:
        """The values that hold for a linear layer, "graph/module/path", before it is exported.

        The converter names most operators after their modules, so rules mostly match both.
        """
        return self._for_operator(path)

    def _for_operator(self, name: str) -> Rule:
        values = {"mode": self.mode, "weight_bits": self.weight_bits, "block_size": self.block_size}
        for rule in self.rules:
            if rule.matches(name):
                values.update({k: getattr(rule, k) for k in values if getattr(rule, k) is not None})
        return Rule(re.escape(name), **values)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain data for package.json.

        What is left out of a rule is left out here, and so are ranges that are the default's.
        """
        plain = asdict(self)
        if self.ranges == MIN_MAX:
            del plain["ranges"]
        plain["methods"] = list(self.methods)
        plain["rules"] = [
            {key: value for key, value in asdict(rule).items() if value is not None}
            for rule in self.rules
        ]
        return plain


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file; raises UserError naming the key that is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise UserError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is not a recipe.")
        data = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not TOML: {error}; correct the file.") from error
    try:
        return recipe_from(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def recipe_from(data: Mapping[str, Any]) -> Recipe:
    """The recipe that plain data says, as from TOML or package.json; raises UserError."""
    _known_keys(data, Recipe, "recipe")
    values = dict(data)
    rules = values.pop("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise UserError("The recipe's rules must be tables, each headed [[rules]]; correct them.")
    methods = values.pop("methods", [])
    if not isinstance(methods, list) or not all(isinstance(method, str) for method in methods):
        raise UserError("The recipe's methods must be a list of names; write methods = [].")
    return Recipe(**values, methods=tuple(methods), rules=tuple(_rule(rule) for rule in rules))


def _rule(data: Mapping[str, Any]) -> Rule:
    _known_keys(data, Rule, "rule")
    if not isinstance(data.get("scope"), str):
        raise UserError('A rule of the recipe lacks its scope; add one, as scope = "blocks/0/.*".')
    return Rule(**data)


def _known_keys(data: Mapping[str, Any], owner: type, what: str) -> None:
    allowed = tuple(field.name for field in fields(owner))
    for key in data:
        if key not in allowed:
            raise UserError(
                f"The {what} has the unknown key {key!r}; allowed are {', '.join(allowed)}:"
                " correct or remove it."
            )


def _check(owner: Recipe | Rule, what: str) -> None:
    for key, find in _ALLOWED.items():
        value, allowed = getattr(owner, key, None), find()
        if value is None and isinstance(owner, Rule):
            continue
        # bool is an int, and true == 1: compare types too.
        if not any(type(value) is type(a) and value == a for a in allowed):
            shown = " or ".join(_toml(a) for a in allowed)
            raise UserError(
                f"The {what} says {key} = {_toml(value)}; supported is {shown}: change it."
            )


def _check_methods(methods: tuple[str, ...]) -> None:
    """Raise UserError unless transforms come first, and at most one method that rounds behind."""
    transforms, roundings = methods_with("transform"), methods_with("quantize")
    if all(name in transforms for name in methods[:-1]) and (
        not methods or methods[-1] in (*transforms, *roundings)
    ):
        return
    before = f"any of {', '.join(transforms)}, then " if transforms else ""
    raise UserError(
        f"The recipe says methods = {_toml(methods)}; supported is {before}at most one of"
        f" {', '.join(roundings)}, in this order: change it."
    )


def _toml(value: Any) -> str:
    """A value as a person would write it in the recipe.

    >>> _toml("static8"), _toml(()), _toml(8)
    ('"static8"', '[]', '8')
    """
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)
