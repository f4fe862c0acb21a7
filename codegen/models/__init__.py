# SPDX-License-Identifier: Apache-2.0
"""Speech models as torch modules: one file a family, found by the `family` of config.json."""

from codegen.models._speech_model import ModelGraph, SpeechModel, load_model

__all__ = ["ModelGraph", "SpeechModel", "load_model"]
