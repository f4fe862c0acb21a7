# SPDX-License-Identifier: Apache-2.0
"""Names of the .tflite schema, found by reflection so that no operator is listed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

#: Operator kinds whose options table is not simply named after them.
_SHARED_OPTIONS: Mapping[str, str] = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}

#: Option fields that hold an enumeration; their values stand in Operator.options by name.
_ENUM_FIELDS: Mapping[str, str] = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
}


@cache
def schema() -> ModuleType:
    """The generated flatbuffer classes."""
    from ai_edge_litert import schema_py_generated

    module: ModuleType = schema_py_generated
    return module


@cache
def names(enum: str) -> Mapping[int, str]:
    """Value -> name of a schema enumeration such as "TensorType"."""
    return {v: k for k, v in vars(getattr(schema(), enum)).items() if isinstance(v, int)}


@cache
def values(enum: str) -> Mapping[str, int]:
    """Name -> value of a schema enumeration."""
    return {name: value for value, name in names(enum).items()}


@cache
def options_class(kind: str) -> str | None:
    """The name of the options table of operator `kind`, or None where it has none.

    >>> options_class("DEPTHWISE_CONV_2D"), options_class("MEAN"), options_class("RELU")
    ('DepthwiseConv2DOptions', 'ReducerOptions', None)
    """
    if kind in _SHARED_OPTIONS:
        return _SHARED_OPTIONS[kind]
    wanted = kind.replace("_", "").lower() + "options"
    return next((n for n in values("BuiltinOptions") if n.lower() == wanted), None)


@cache
def option_fields(options: str) -> Mapping[str, str]:
    """Snake-case option name -> attribute of the schema's class, for one options table.

    >>> option_fields("SoftmaxOptions")
    {'beta': 'beta'}
    """
    instance = getattr(schema(), options + "T")()
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in vars(instance)}


def option_values(options: Any, where: str) -> dict[str, Any]:
    """An unpacked options table as plain values; ValueError where an enumeration is unknown."""
    found: dict[str, Any] = {}
    for name, attribute in option_fields(type(options).__name__[:-1]).items():
        value = getattr(options, attribute)
        if name in _ENUM_FIELDS:
            known = names(_ENUM_FIELDS[name])
            if value not in known:
                allowed = ", ".join(known.values())
                raise ValueError(f"{where}: option {name} is {value}; allowed are {allowed}")
            value = known[value]
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif value is None or hasattr(value, "__len__"):
            value = () if value is None or isinstance(value, str) else tuple(value.tolist())
        found[name] = value
    return found


def packed_options(kind: str, options: Mapping[str, Any]) -> Any:
    """The schema object that holds `options`; ValueError names an option that `kind` lacks."""
    name = options_class(kind)
    if name is None:
        if options:
            raise ValueError(f"{kind} has no options, but got {', '.join(sorted(options))}")
        return None
    fields = option_fields(name)
    packed = getattr(schema(), name + "T")()
    for key, value in options.items():
        if key not in fields:
            raise ValueError(f"{kind} has no option {key}; it has {', '.join(fields)}")
        if key in _ENUM_FIELDS:
            value = values(_ENUM_FIELDS[key])[value]
        elif isinstance(value, (tuple, list)):
            value = list(value) if value else None
        setattr(packed, fields[key], value)
    return packed
