"""Depthwise convolution of maps smaller than the kernel, with a weight gradient that is several times faster.

The deep stages of a supernet have such maps at low resolutions. oneDNN's gradient of the weights then takes several
times as long as the rest of the layer. Here, each channel needs one matrix product of input pixels and output pixels,
summed over the images. The entries are then added up by the tap of the kernel that connects the two pixels.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.nn.grad import conv2d_input


def convolve_depthwise(x: Tensor, weight: Tensor, stride: int, padding: int, bias: Tensor | None = None) -> Tensor:
    """Convolve `n x c x h x w` maps with `c x 1 x k x k` weights, padded on all sides; fast for small maps on a CPU."""
    fast = torch.is_grad_enabled() and not x.is_cuda and weight.shape[-1] > min(x.shape[-2:])
    if not fast:
        return _convolve(x, weight, stride, padding, bias)
    y: Tensor = _SmallMap.apply(x, weight, stride, padding)
    return y if bias is None else y + bias[:, None, None]


def _convolve(x: Tensor, weight: Tensor, stride: int, padding: int, bias: Tensor | None = None) -> Tensor:
    return nnf.conv2d(x, weight, bias, stride=stride, padding=padding, groups=len(weight))


class _SmallMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(x, weight, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        (x, weight), gradient = ctx.saved_tensors, gradients[0]
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = conv2d_input(x.shape, weight, gradient, ctx.stride, ctx.padding, groups=len(weight))
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, gradient, weight.shape[-1], ctx.stride, ctx.padding)
        return of_x, of_weight, None, None


def _weight_gradient(x: Tensor, gradient: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    images, channels, height, width = x.shape
    pixels = x.permute(1, 2, 3, 0).reshape(channels, height * width, images)
    outputs = gradient.permute(1, 0, 2, 3).reshape(channels, images, -1)
    out = gradient.shape[-2], gradient.shape[-1]
    taps = _match_pixels((height, width), out, kernel, stride, padding).to(x.dtype)
    return (torch.bmm(pixels, outputs).reshape(channels, -1) @ taps).view(channels, 1, kernel, kernel)


@functools.lru_cache(maxsize=256)
def _match_pixels(size: tuple[int, int], out: tuple[int, int], kernel: int, stride: int, padding: int) -> Tensor:
    """Return, for each pair of an input and an output pixel, which of the `k * k` taps connects them: one or none."""
    rows, columns = (_match_taps(*sizes, kernel, stride, padding) for sizes in zip(size, out, strict=True))
    pairs = torch.einsum("hoi,wpj->hwopij", rows, columns)
    return pairs.reshape(-1, kernel**2)


def _match_taps(size: int, out: int, kernel: int, stride: int, padding: int) -> Tensor:
    tap = torch.arange(size)[:, None] - stride * torch.arange(out) + padding
    return (tap[..., None] == torch.arange(kernel)).float()
