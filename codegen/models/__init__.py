# SPDX-License-Identifier: Apache-2.0
"""Speech models as torch modules: one file a family, found by the `family` of config.json.

In the config.json of a transformers folder the family is its `model_type`.
"""

from codegen.models._graphs import SAMPLE_RATE_HZ
from codegen.models._hub import Checkpoint, find_checkpoint
from codegen.models._layers import linear
from codegen.models._speech_model import (
    ModelGraph,
    SpeechModel,
    Stage,
    Stream,
    load_float_model,
    load_model,
)

__all__ = [
    "SAMPLE_RATE_HZ",
    "Checkpoint",
    "ModelGraph",
    "SpeechModel",
    "Stage",
    "Stream",
    "find_checkpoint",
    "linear",
    "load_float_model",
    "load_model",
]
