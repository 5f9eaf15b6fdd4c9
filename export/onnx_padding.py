"""TensorFlow's padding as an attribute of ONNX convolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from natdeploy.supernet.network import ConvUnit, Network


def join_padding(network: Network) -> Network:
    """Give each convolution the padding before it, in place, so that the file has no operator that only pads."""
    for unit in network.modules():
        if isinstance(unit, ConvUnit) and unit.pad is not None:
            before, after = unit.pad.padding[:2]
            unit.conv, unit.pad = _PaddedConv(unit.conv, before, after), None
    return network


class _PaddedConv(nn.Conv2d):
    """A convolution with other padding before than after the map, which torch's own modules cannot have."""

    def __init__(self, conv: nn.Conv2d, before: int, after: int) -> None:
        nn.Module.__init__(self)
        self.weight, self.bias = conv.weight, conv.bias
        self.attributes = (before, after, conv.stride[0], conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'`."""
        result: Tensor = _PaddedConvFunction.apply(x, self.weight, self.bias, *self.attributes)
        return result


class _PaddedConvFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, *attributes: int) -> Tensor:  # noqa: ANN401, ARG004
        before, after, stride, groups = attributes
        return nnf.conv2d(nnf.pad(x, (before, after, before, after)), weight, bias, stride=stride, groups=groups)

    @staticmethod
    def symbolic(graph: Any, x: Any, weight: Any, bias: Any, *attributes: int) -> Any:  # noqa: ANN401
        before, after, stride, groups = attributes
        kernel = weight.type().sizes()[-1]
        return graph.op(
            "Conv",
            x,
            weight,
            bias,
            dilations_i=[1, 1],
            group_i=groups,
            kernel_shape_i=[kernel, kernel],
            pads_i=[before, before, after, after],
            strides_i=[stride, stride],
        )
