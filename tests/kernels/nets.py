# SPDX-License-Identifier: Apache-2.0
"""Small graphs that are worth striping: attention, feed-forward, stems of convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codegen.graph import Graph, Operator, Quantization, Tensor


class Net:
    """A graph that grows from its end, with the scales of `rng`."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> None:
        self.rng, self.tensors, self.operators = rng, list[Tensor](), list[Operator]()
        self.dtype = dtype
        self.input = self.hold(shape, dtype)

    def hold(self, shape: tuple[int, ...], dtype: str, data: np.ndarray | None = None) -> int:
        quantization = None
        if dtype in ("int8", "int16"):
            quantization = Quantization((float(np.float32(self.rng.uniform(0.01, 0.02))),), (0,))
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype, quantization, data))
        return len(self.tensors) - 1

    def add(
        self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...], **options: object
    ) -> int:
        output = self.hold(shape, self.dtype)
        if kind == "SOFTMAX" and self.dtype != "float32":
            unit, zero = (1 / 256, -128) if self.dtype == "int8" else (1 / 32768, 0)
            fixed = replace(self.tensors[output], quantization=Quantization((unit,), (zero,)))
            self.tensors[output] = fixed
        if kind in ("RESHAPE", "TRANSPOSE"):
            same = replace(self.tensors[output], quantization=self.tensors[inputs[0]].quantization)
            self.tensors[output] = same
        self.operators.append(Operator(len(self.operators), kind, inputs, (output,), options))
        return output

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def matrix(self, x: int, outputs: int) -> int:
        shape = self.shape(x)
        data = self.rng.integers(-127, 128, (outputs, shape[-1])).astype(np.int8)
        scale = Quantization((0.01,), (0,))
        self.tensors.append(Tensor("w", data.shape, "int8", scale, data))
        inputs = (x, len(self.tensors) - 1)
        return self.add("FULLY_CONNECTED", inputs, (*shape[:-1], outputs), keep_num_dims=True)

    def order(self, x: int, *axes: int) -> int:
        where = self.hold((len(axes),), "int32", np.array(axes, np.int32))
        return self.add("TRANSPOSE", (x, where), tuple(self.shape(x)[axis] for axis in axes))

    def reshaped(self, x: int, *shape: int) -> int:
        return self.add("RESHAPE", (x,), shape, new_shape=list(shape))

    def feed_forward(self, x: int) -> int:
        wide = self.matrix(x, 5 * self.shape(x)[-1])
        wide = self.add("GELU", (wide,), self.shape(wide), approximate=False)
        return self.add("ADD", (x, self.matrix(wide, self.shape(x)[-1])), self.shape(x))

    def attention(self, x: int, heads: int, turned: bool = False) -> int:
        """Heads of x (1, time, width); the keys turned by a TRANSPOSE or in the product."""
        _, time, width = self.shape(x)
        depth = width // heads

        def split(*axes: int) -> int:
            return self.order(self.reshaped(self.matrix(x, width), 1, time, heads, depth), *axes)

        query, value = split(0, 2, 1, 3), split(0, 2, 1, 3)
        key = split(0, 2, 3, 1) if turned else split(0, 2, 1, 3)
        shape = (1, heads, time, time)
        scores = self.add("BATCH_MATMUL", (query, key), shape, adj_x=False, adj_y=not turned)
        scores = self.add("SOFTMAX", (scores,), shape, beta=1.0)
        value = self.add("MUL", (value, value), self.shape(value))
        mix = self.add(
            "BATCH_MATMUL", (scores, value), (1, heads, time, depth), adj_x=False, adj_y=False
        )
        mix = self.reshaped(self.order(mix, 0, 2, 1, 3), 1, time, width)
        return self.add("ADD", (x, self.matrix(mix, width)), self.shape(x))

    def convolution(
        self, x: int, stride: int, taps: int, width: int = 6, padding: str = "VALID"
    ) -> int:
        _, _, time, inputs = self.shape(x)
        data = self.rng.integers(-127, 128, (width, 1, taps, inputs)).astype(np.int8)
        scale = Quantization((0.01,) * width, (0,) * width, 0)
        self.tensors.append(Tensor("w", data.shape, "int8", scale, data))
        weights = len(self.tensors) - 1
        bias = np.zeros(
            width, {"int8": np.int32, "int16": np.int64, "float32": np.float32}[self.dtype]
        )
        self.tensors.append(Tensor("b", (width,), bias.dtype.name, None, bias))
        options = {"padding": padding, "stride_h": 1, "stride_w": stride}
        outputs = -(-time // stride) if padding == "SAME" else (time - taps) // stride + 1
        shape = (1, 1, outputs, width)
        sources = (x, weights, len(self.tensors) - 1)
        return self.add("CONV_2D", sources, shape, fused_activation_function="NONE", **options)

    def graph(self, output: int) -> Graph:
        return Graph("net", tuple(self.tensors), tuple(self.operators), (self.input,), (output,))


def transformer(seed: int, dtype: str) -> Graph:
    """One layer of attention and feed-forward on 11 to 19 frames of 8 to 12 channels."""
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(2, 4))
    net = Net(rng, (1, int(rng.integers(11, 20)), 4 * heads), dtype)
    return net.graph(net.feed_forward(net.attention(net.input, heads)))


def stem(seed: int, dtype: str) -> Graph:
    """Two convolutions with a function between and behind them, with padding and without."""
    rng = np.random.default_rng(seed)
    net = Net(rng, (1, 1, int(rng.integers(40, 60)), 6), dtype)
    x = net.input
    for stride, taps in ((4, 6), (3, 5)):
        padding = ("SAME", "VALID")[int(rng.integers(2))]
        step, size = int(rng.integers(1, stride)), int(rng.integers(1, taps))
        x = net.convolution(x, step, size, padding=padding)
        x = net.add("GELU", (x,), net.shape(x), approximate=False)
    return net.graph(x)


def normalized_stem(seed: int) -> Graph:
    """A convolution whose output is read three times: whole for a mean, in halves, and again."""
    rng = np.random.default_rng(seed)
    net = Net(rng, (1, 1, 83, 2), "int16")
    x = net.convolution(net.input, 2, 1, width=12)
    x = net.add("GELU", (x,), net.shape(x), approximate=False)
    _, _, time, width = net.shape(x)
    half = time // 2
    lines = net.reshaped(x, 1, time, width)
    parts = []
    for first, count in ((0, half), (half, time - half)):
        begin = net.hold((3,), "int32", np.array([0, first, 0], np.int32))
        size = net.hold((3,), "int32", np.array([1, count, width], np.int32))
        part = net.add("SLICE", (lines, begin, size), (1, count, width))
        same = replace(net.tensors[part], quantization=net.tensors[x].quantization)
        net.tensors[part] = same
        part = net.add("MUL", (part, part), (1, count, width))
        axis = net.hold((1,), "int32", np.array([2], np.int32))
        part = net.add("MEAN", (part, axis), (1, count), keep_dims=False)
        axis = net.hold((1,), "int32", np.array([1], np.int32))
        parts.append(net.add("MEAN", (part, axis), (1, 1), keep_dims=True))
    total = net.add("ADD", (parts[0], parts[1]), (1, 1))
    x = net.convolution(x, 1, 5, width=12)
    x = net.add("MUL", (x, net.reshaped(total, 1, 1, 1, 1)), net.shape(x))
    return net.graph(net.convolution(x, 2, 2))
