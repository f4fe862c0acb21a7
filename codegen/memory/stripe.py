# SPDX-License-Identifier: Apache-2.0
"""Runs of row-independent steps a stripe of rows at a time, where that lowers a program's peak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from codegen.memory.liveness import intervals, peak_bytes, round_up
from codegen.memory.overlay import overlaid, overlays
from codegen.memory.recompute import alike, makers, recomputed
from codegen.memory.rows import grouped, held_bytes, touched
from codegen.memory_plan import ALIGNMENT_BYTES, SCRATCH
from codegen.program import Group, Program

#: The longest run that is tried, in steps.
_LONGEST = 24
_MOST_GROUPS = 256
#: At most this part of the multiplications of a group, and of a program, may be done again.
_SHARE_AGAIN = 4
#: And this part of the peak is not worth a loop.
_SLACK_SHARE = 128
#: A buffer is large if it is this part of the peak.
_LARGE_SHARE = 8


def stripe(program: Program) -> Program:
    """The program with the groups that bring its peak of live bytes down as far as they can.

    At the time of the peak the run of steps that leaves least alive becomes a group, of one row a
    stripe, as long as there is one that helps. Where none does, buffers that live then are made
    again for readers that share no stripe, if that takes a greater share of the peak away than it
    adds to the multiplications. Groups that save next to nothing go, and each of the others gets
    the greatest height under which the final peak stays.
    """
    found = _searched(program)
    most_macs = _most_macs(program)
    while True:
        others = map(_searched, found.copies)
        worth = [each for each in others if _is_worth(found, each, most_macs)]
        if not worth:
            break
        found = min(worth, key=lambda each: each.peak_bytes)
    lower = peak_bytes(intervals(found.program)) < peak_bytes(intervals(program))
    return found.program if lower else program


def smallest(variants: Iterable[Program]) -> tuple[Program, Program]:
    """Of programs that compute the same, the one that stripes bring the lowest peak of live bytes,
    the first where some are equal; and it in stripes."""
    pairs = [(program, stripe(program)) for program in variants]
    return min(pairs, key=lambda pair: peak_bytes(intervals(pair[1])))


@dataclass(frozen=True)
class _Found:
    """A striped program, the least peak of live bytes for it, and what may have a lower one."""

    program: Program
    peak_bytes: int
    copies: tuple[Program, ...]


def _searched(program: Program) -> _Found:
    """The program with the groups that lower its peak."""
    search = _Search(program)
    least, copies = search.peak_bytes, tuple(search.with_copies())
    return _Found(search.result(), least, copies)


def _most_macs(program: Program) -> int:
    """The multiplications that a program may have for that of stripes."""
    return program.macs + program.macs // _SHARE_AGAIN


def _is_worth(found: _Found, other: _Found, most_macs: int) -> bool:
    """Whether the share of a peak that another program saves is that of the work that it adds."""
    saved = found.peak_bytes - other.peak_bytes
    added = other.program.macs - found.program.macs
    cheap = added * found.peak_bytes <= saved * found.program.macs
    return saved > 0 and other.program.macs <= most_macs and cheap


def with_groups(program: Program, groups: Sequence[Group]) -> Program:
    """The program with these groups, whose buffers hold what their heights ask for."""
    buffers = list(program.buffers)
    for group in groups:
        for index, size_bytes in held_bytes(program, group).items():
            buffers[index] = replace(buffers[index], size_bytes=size_bytes)
    return replace(program, buffers=tuple(buffers), groups=tuple(groups))


class _Search:
    """A program with the groups that were found so far, and what is alive at each time.

    Times start with BEFORE, so that a step's is its number + 1.
    """

    def __init__(self, program: Program) -> None:
        self.given = program
        self.given_spans = touched(program)
        self.groups: list[Group] = []
        self._update()
        while len(self.groups) < _MOST_GROUPS and self._lower_the_peak():
            pass

    def result(self) -> Program:
        """The program with the groups that it needs, as high as the peak lets them be."""
        most_bytes = self.peak_bytes + self.peak_bytes // _SLACK_SHARE
        for group in tuple(self.groups):
            self.groups.remove(group)
            self._update()
            if max(self.live[group.first_step + 1 : group.last_step + 2]) > most_bytes:
                self.groups.append(group)
        self._update()
        groups = [self._tallest(group, most_bytes) for group in self.groups]
        return with_groups(self.program, groups)

    def with_copies(self) -> Iterator[Program]:
        """The program with one of the peak's large buffers made again for its readers.

        These are alive then, or made from what is. With it go its likes of other layers.
        """
        time = self.live.index(self.peak_bytes) - 1
        most_macs = _most_macs(self.given)
        tried: set[int] = set()
        for index, need in self.needs.items():
            if index in tried or need.padded_bytes * _LARGE_SHARE < self.peak_bytes:
                continue
            if need.first_use <= time <= need.last_use or time in makers(self.given, index):
                likes = alike(self.given, index)
                tried.update(likes)
                other = self.given
                for each in likes:
                    if other.macs <= most_macs:
                        other = recomputed(other, each)
                if likes and other.macs <= most_macs:
                    yield other

    def _update(self) -> None:
        """Take stock after a change of groups, which write over what they read row by row."""
        self.groups.sort(key=lambda group: group.first_step)
        self.program, self.spans = self.given, self.given_spans
        for group in self.groups:
            if pairs := overlays(self.program, self.spans, group):
                self.program = overlaid(self.program, pairs)
                self.spans = touched(self.program)
        needs = intervals(with_groups(self.program, self.groups))
        changes = [0] * (len(self.program.steps) + 3)
        saved = [0] * len(changes)
        for need in needs:
            changes[need.first_use + 1] += need.padded_bytes
            changes[need.last_use + 2] -= need.padded_bytes
            if need.may_cover:
                saved[need.first_use + 1] += need.padded_bytes
        self.needs = {need.buffer: need for need in needs if need.buffer != SCRATCH}
        self.sums = list(accumulate(changes))  # without what is saved in place
        self.live = [all_ - less for all_, less in zip(self.sums, saved, strict=True)]
        self.peak_bytes = max(self.live)

    def _lower_the_peak(self) -> bool:
        """Make the best group around the first step at the peak; False where none is below it."""
        time = self.live.index(self.peak_bytes) - 1
        best: tuple[int, int, Group] | None = None
        for group in self._candidates(time):
            length = group.last_step - group.first_step
            overlaid_bytes = sum(
                self.needs[output].padded_bytes
                for output in overlays(self.program, self.spans, group)
            )
            found = (self._within(group) - overlaid_bytes, length, group)
            if best is None or found[:2] < best[:2]:
                best = found
        if best is None or best[0] >= self.peak_bytes:
            return False
        self.groups = [g for g in self.groups if g.first_step not in best[2]] + [best[2]]
        self._update()
        return True

    def _candidates(self, time: int) -> Iterator[Group]:
        """Groups with the step at `time`, that take others whole or leave them whole."""
        count = len(self.program.steps)
        if not 0 <= time < count:
            return
        for first in range(time, max(-1, time - _LONGEST), -1):
            if not self.program.steps[first].by_row:
                return
            for last in range(max(time, first + 1), min(count, first + _LONGEST)):
                if not self.program.steps[last].by_row:
                    break
                parts = [g for g in self.groups if g.first_step <= last and first <= g.last_step]
                if any(g.first_step < first or last < g.last_step for g in parts):
                    continue
                group = grouped(self.program, self.spans, first, last)
                if group is not None:
                    yield self._affordable(group)

    def _affordable(self, group: Group) -> Group:
        """The group with the most stripes a block that do not make too many rows again."""
        steps = range(group.first_step, group.last_step + 1)
        macs = {number: self.program.steps[number].macs for number in steps}
        more = [number for number in steps if macs[number] and group.pace(number).more > 0]
        if not more:
            return group
        most_again = sum(macs.values()) // _SHARE_AGAIN

        def again(height: int) -> int:
            tried = replace(self.program, groups=(replace(group, stripe_rows=height),))
            return sum(max(0, tried.macs_of(number) - macs[number]) for number in more)

        low, high = 1, group.block_rows
        while low < high:
            height = (low + high) // 2
            low, high = (low, height) if again(height) <= most_again else (height + 1, high)
        return replace(group, stripe_rows=high)

    def _within(self, group: Group) -> int:
        """The most that is alive in one of a group's steps."""
        steps = range(group.first_step, group.last_step + 1)
        held = {index: _padded(size) for index, size in held_bytes(self.program, group).items()}
        sums = [self.sums[number + 1] for number in steps]
        reads = dict[int, int]()  # the last reader of each buffer
        makers = dict[int, int]()
        for number in steps:
            step = self.program.steps[number]
            reads |= dict.fromkeys(step.reads, number)
            makers |= dict.fromkeys(step.writes, number)
        for buffer in {**reads, **makers}:
            need = self.needs[buffer]
            brief = buffer in held and not group.pace(makers[buffer]).once_a_block
            for at, number in enumerate(steps):
                if need.first_use <= number <= need.last_use:
                    sums[at] -= need.padded_bytes
                if not brief or makers[buffer] <= number <= reads[buffer]:
                    sums[at] += held.get(buffer, need.padded_bytes)
        for at, number in enumerate(steps):
            sums[at] -= self._saved(group, number, held, reads)
        return max(sums)

    def _saved(
        self, group: Group, number: int, held: Mapping[int, int], reads: Mapping[int, int]
    ) -> int:
        """What a step of a group need not have twice, as it writes over what it reads."""
        step = self.program.steps[number]
        for source, output in step.in_place:
            if (
                output in held
                and source in held
                and held[output] <= held[source]
                and reads[source] == number
                and step.reads.count(source) == 1
                and output not in step.reads
                and not any(
                    group.pace(n).once_a_block
                    for n in range(group.first_step, group.last_step + 1)
                    if {source, output} & set(self.program.steps[n].writes)
                )
            ):
                return held[output]
        return 0

    def _tallest(self, group: Group, most_bytes: int) -> Group:
        """The group with the fewest stripes a block that keep to so many bytes."""
        block = group.block_rows
        low, high = 1, -(-block // group.stripe_rows)  # stripes a block: perhaps enough, and enough
        while low < high:
            count = (low + high) // 2
            tried = replace(group, stripe_rows=-(-block // count))
            if self._within(tried) <= most_bytes:
                high = count
            else:
                low = count + 1
        return replace(group, stripe_rows=-(-block // high))


def _padded(size_bytes: int) -> int:
    return round_up(size_bytes, ALIGNMENT_BYTES)
