"""Hard swish and hard sigmoid as operators that have int8 kernels.

XNNPACK and ONNX Runtime have no int8 kernels of the hard swish. In an int8 file it cuts the network in two, or converts
its input to float32 and its output back. Sums, products and ReLU6 have int8 kernels.
"""

from __future__ import annotations

from torch import Tensor, nn

from natdeploy.supernet.network import ConvUnit, InvertedResidual, Network, SqueezeExcite

_SLOPE, _OFFSET = 6.0, 3.0


class ProductHardswish(nn.Module):
    """Six times the hard swish, `x ReLU6(x + 3)`. Whoever takes the result divides it by 6."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """Map a tensor to one of the same shape."""
        gated: Tensor = x * self.gate(x + _OFFSET)
        return gated


def split_hard_activations(network: Network) -> Network:
    """Replace hard activations by products, in place, and return the network, which computes the same.

    Products leave out the division by 6. The next convolutions divide their weights instead.

    Args:
        network: Network whose BatchNorm is folded.
    """
    factor = 1.0
    for _, module in network.modules_by_layer():
        if isinstance(module, ConvUnit):
            factor = _split_unit(module, factor)
        elif isinstance(module, InvertedResidual):
            factor = _split_block(module, factor)
        elif isinstance(module, nn.Linear):
            module.weight.data /= factor
    return network


def _split_block(block: InvertedResidual, incoming: float) -> float:
    """Rewrite a block whose input is `incoming` times too large; return by how much its output is."""
    factor = incoming
    for unit in filter(None, (block.expand, block.depthwise)):
        factor = _split_unit(unit, factor)
    if block.se is not None:
        factor = _split_squeeze_excite(block.se, factor)
    _split_unit(block.project, factor)
    if not block.skip:
        return 1.0
    _scale(block.project.conv, incoming)
    return incoming


def _split_unit(unit: ConvUnit, incoming: float) -> float:
    unit.conv.weight.data /= incoming
    if not isinstance(unit.act, nn.Hardswish):
        return 1.0
    unit.act = ProductHardswish()
    return _SLOPE


def _split_squeeze_excite(unit: SqueezeExcite, incoming: float) -> float:
    unit.reduce.weight.data /= incoming
    if not isinstance(unit.gate, nn.Hardsigmoid):
        return incoming
    assert unit.expand.bias is not None
    unit.expand.bias.data += _OFFSET
    unit.gate = nn.ReLU6()
    return incoming * _SLOPE


def _scale(conv: nn.Conv2d, factor: float) -> None:
    assert conv.bias is not None
    conv.weight.data *= factor
    conv.bias.data *= factor
