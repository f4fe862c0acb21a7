# SPDX-License-Identifier: Apache-2.0
"""Reports as plain values for JSON; sizes in bytes, WER in percent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from codegen.memory_plan import Footprint, MemoryPlan
from codegen.program import Program
from codegen.report.memory_map import live_bytes, of_region
from codegen.report.regions import regions_data
from codegen.report.stripes import stripes_data
from codegen.report.types import BuildReport
from codegen.target import Target


def to_json(value: dict[str, Any]) -> str:
    """The same bytes for the same value, with a newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plan_data(plan: MemoryPlan) -> dict[str, Any]:
    """A memory plan."""
    return {
        "arena_bytes": dict(plan.arena_bytes),
        "lower_bound_bytes": plan.lower_bound_bytes,
        "optimal": plan.optimal,
        "given_order_bytes": plan.given_order_bytes,
        "any_order_bytes": plan.any_order_bytes,
        "unmodified_peak_bytes": plan.unmodified_peak_bytes,
        "programs": [[asdict(placement) for placement in row] for row in plan.placements],
    }


def plan_report_data(programs: Sequence[Program], plan: MemoryPlan) -> dict[str, Any]:
    """A memory plan with the steps that its times count, and what lives in each.

    `live_bytes` begins before the first step and ends behind the last one.
    """
    return {
        **plan_data(plan),
        **regions_data(programs, plan),
        "timelines": [
            {
                "program": program.name,
                "steps": [{"name": step.name, "kernel": step.kernel} for step in program.steps],
                "stripes": stripes_data(program),
                "macs": program.macs,
                "macs_again": program.macs_again,
                "live_bytes": {
                    region: live_bytes(program, of_region(plan, region), number)
                    for region, _ in plan.arena_bytes
                },
            }
            for number, program in enumerate(programs)
        ],
    }


def footprint_data(footprint: Footprint, target: Target) -> dict[str, Any]:
    """A footprint beside what the target has."""
    available = {region.name: region.size_bytes for region in target.regions}
    return {
        "target": target.name,
        "origin": footprint.origin,
        "ram_bytes": footprint.kind_bytes("ram"),
        "constant_bytes": footprint.kind_bytes("constant"),
        "rows": [asdict(row) for row in footprint.rows],
        "regions": [
            {
                "region": region,
                "required_bytes": footprint.total_bytes(region),
                "available_bytes": available.get(region),
            }
            for region in footprint.regions
        ],
    }


def build_data(report: BuildReport) -> dict[str, Any]:
    """A build."""
    return {
        "schema": 1,
        "name": report.name,
        "source": report.source,
        "sha256": report.sha256,
        "mode": report.mode,
        "target": report.target.name,
        "macs": report.macs,
        "accuracy": asdict(report.accuracy) if report.accuracy else None,
        "footprint": footprint_data(report.footprint, report.target),
        "plan": plan_data(report.plan),
        "files": [asdict(row) for row in report.files],
    }
