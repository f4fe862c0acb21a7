# SPDX-License-Identifier: Apache-2.0
"""`stapes plan`."""

from __future__ import annotations

from codegen.cli._options import Json, Source, TargetName
from codegen.cli._output import page


def command(source: Source, target: TargetName, as_json: Json = False) -> None:
    """Show where each buffer lies and from which step to which, beside the lower bound."""
    from codegen import pipeline
    from codegen.report.data import plan_data, to_json
    from codegen.report.text import plan_view

    compiled = pipeline.compile_model(pipeline.open_model(source), pipeline.find_target(target))
    if as_json:
        print(to_json(plan_data(compiled.plan)), end="")
    else:
        page(plan_view(compiled.programs, compiled.plan))
