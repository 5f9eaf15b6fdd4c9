"""Public mobile networks, as layers: MobileNetV2 and V3, MnasNet, and ProxylessNAS.

They are built from the tables of their papers in the variants that pytorchcv publishes, under pytorchcv's names. Each
takes 224 pixels and has 1000 classes. The units of MnasNet-A1 squeeze fewer channels than `Layer` has it; this is
0.2 % of its multiply-adds.

Sources: Sandler et al., MobileNetV2 (CVPR 2018), table 2. Howard et al., Searching for MobileNetV3 (ICCV 2019), tables
1 and 2. Tan et al., MnasNet (CVPR 2019), figure 7. Cai et al., ProxylessNAS (ICLR 2019), figure 5.
"""

from __future__ import annotations

from natdeploy.core.layers import BLOCK, CLASSIFIER, FEATURE_MIX, FINAL_EXPAND, POOLING, STEM, Layer
from natdeploy.core.space import make_divisible

Network = tuple[Layer, ...]
_SIZE, _CLASSES, _LAST, _HIDDEN = 224, 1000, 1280, 1280

# Expand ratio, channels, blocks, stride of the first.
_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Kernel, expanded channels, channels, squeeze-and-excitation, stride.
_MOBILENET_V3 = {
    "large": (
        (3, 16, 16, False, 1),
        (3, 64, 24, False, 2),
        (3, 72, 24, False, 1),
        (5, 72, 40, True, 2),
        (5, 120, 40, True, 1),
        (5, 120, 40, True, 1),
        (3, 240, 80, False, 2),
        (3, 200, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 480, 112, True, 1),
        (3, 672, 112, True, 1),
        (5, 672, 160, True, 2),
        (5, 960, 160, True, 1),
        (5, 960, 160, True, 1),
    ),
    "small": (
        (3, 16, 16, True, 2),
        (3, 72, 24, False, 2),
        (3, 88, 24, False, 1),
        (5, 96, 40, True, 2),
        (5, 240, 40, True, 1),
        (5, 240, 40, True, 1),
        (5, 120, 48, True, 1),
        (5, 144, 48, True, 1),
        (5, 288, 96, True, 2),
        (5, 576, 96, True, 1),
        (5, 576, 96, True, 1),
    ),
}
# Kernel, expand ratio, channels, blocks, squeeze-and-excitation, stride of the first.
_MNASNET = {
    "a1": (
        (3, 6, 24, 2, False, 2),
        (5, 3, 40, 3, True, 2),
        (3, 6, 80, 4, False, 2),
        (3, 6, 112, 2, True, 1),
        (5, 6, 160, 3, True, 2),
        (3, 6, 320, 1, False, 1),
    ),
    "b1": (
        (3, 3, 24, 3, False, 2),
        (5, 3, 40, 3, False, 2),
        (5, 6, 80, 3, False, 2),
        (3, 6, 96, 2, False, 1),
        (5, 6, 192, 4, False, 2),
        (3, 6, 320, 1, False, 1),
    ),
}
# Channels of the stem, of each stage, and of the last convolution.
_PROXYLESS_CHANNELS = {
    "cpu": (40, (24, 32, 48, 88, 104, 216, 360), 1432),
    "gpu": (40, (24, 32, 56, 112, 128, 256, 432), 1728),
    "mobile": (32, (16, 32, 40, 80, 96, 192, 320), 1280),
    "mobile14": (48, (24, 40, 56, 112, 136, 256, 448), 1792),
}
# The blocks of each stage: kernel x expand ratio.
_PROXYLESS_MOBILE = "3x1 | 5x3 3x3 | 7x3 3x3 5x3 5x3 | 7x6 5x3 5x3 5x3 | 5x6 5x3 5x3 5x3 | 7x6 7x6 7x3 7x3 | 7x6"
_PROXYLESS_BLOCKS = {
    "cpu": "3x1 | 3x6 3x3 3x3 3x3 | 3x6 3x3 3x3 5x3 | 3x6 3x3 | 5x6 3x3 3x3 3x3 | 5x6 5x3 5x3 3x3 | 5x6",
    "gpu": "3x1 | 5x3 | 7x3 3x3 | 7x6 5x3 | 5x6 3x3 5x3 | 7x6 7x6 7x6 5x6 | 7x6",
    "mobile": _PROXYLESS_MOBILE,
    "mobile14": _PROXYLESS_MOBILE,
}
_PROXYLESS_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_V2_WIDTHS = {"w1": 1.0, "w3d4": 0.75, "wd2": 0.5, "wd4": 0.25}
_V3_WIDTHS = {"w5d4": 1.25, "w1": 1.0, "w3d4": 0.75, "wd2": 0.5, "w7d20": 0.35}


class _Builder:
    """Appends layers to a network, and keeps track of the size and the channels of its feature map."""

    def __init__(self, stem_channels: int) -> None:
        self._layers: list[Layer] = []
        self._size, self.channels = _SIZE, 3
        self._add(STEM, stem_channels, kernel=3, stride=2)

    def block(self, kernel: int, mid: int, channels: int, *, stride: int = 1, se: bool = False) -> None:
        skip = stride == 1 and self.channels == channels
        self._append(
            Layer(
                op=BLOCK,
                in_size=self._size,
                in_channels=self.channels,
                out_channels=channels,
                mid_channels=mid,
                kernel=kernel,
                stride=stride,
                se=se,
                skip=skip,
            )
        )

    def convolve(self, channels: int) -> None:
        self._add(FINAL_EXPAND, channels)

    def finish(self, *hidden: int) -> Network:
        self._add(POOLING, self.channels)
        for channels in hidden:
            self._add(FEATURE_MIX, channels)
        self._add(CLASSIFIER, _CLASSES)
        return tuple(self._layers)

    def _add(self, op: str, channels: int, *, kernel: int = 1, stride: int = 1) -> None:
        self._append(
            Layer(
                op=op,
                in_size=self._size,
                in_channels=self.channels,
                out_channels=channels,
                kernel=kernel,
                stride=stride,
            )
        )

    def _append(self, layer: Layer) -> None:
        self._layers.append(layer)
        self._size, self.channels = layer.out_size, layer.out_channels


def mobilenet_v2(width: float, *, always_expand: bool = False) -> Network:
    """Return MobileNetV2.

    Args:
        width: Width multiplier; channels are rounded down, to any number.
        always_expand: Whether also the first block has an expanding convolution, which then expands nothing.
    """
    builder = _Builder(int(32 * width))
    for ratio, channels, blocks, stride in _MOBILENET_V2:
        for place in range(blocks):
            if ratio == 1 and always_expand:
                builder.convolve(builder.channels)
            builder.block(3, ratio * builder.channels, int(channels * width), stride=1 if place else stride)
    builder.convolve(_LAST)
    return builder.finish()


def mobilenet_v3(version: str, width: float, *, hidden: int = _HIDDEN) -> Network:
    """Return MobileNetV3; `hidden` are the channels before the classifier."""
    builder = _Builder(make_divisible(16 * width))
    for kernel, mid, channels, se, stride in _MOBILENET_V3[version]:
        builder.block(kernel, make_divisible(mid * width), make_divisible(channels * width), stride=stride, se=se)
    builder.convolve(make_divisible(_MOBILENET_V3[version][-1][1] * max(1.0, width)))
    return builder.finish(hidden)


def mnasnet(version: str) -> Network:
    """Return MnasNet."""
    builder = _Builder(32)
    builder.block(3, builder.channels, 16)
    for kernel, ratio, channels, blocks, se, stride in _MNASNET[version]:
        for place in range(blocks):
            builder.block(kernel, ratio * builder.channels, channels, stride=1 if place else stride, se=se)
    builder.convolve(_LAST)
    return builder.finish()


def proxyless_nas(version: str) -> Network:
    """Return ProxylessNAS."""
    stem, stages, last = _PROXYLESS_CHANNELS[version]
    builder = _Builder(stem)
    for channels, blocks, stride in zip(stages, _PROXYLESS_BLOCKS[version].split("|"), _PROXYLESS_STRIDES, strict=True):
        for place, block in enumerate(blocks.split()):
            kernel, ratio = map(int, block.split("x"))
            builder.block(kernel, ratio * builder.channels, channels, stride=1 if place else stride)
    builder.convolve(last)
    return builder.finish()


def build_networks() -> dict[str, Network]:
    """Return the 24 networks by their names, sorted."""
    found = {f"mobilenetv2_{name}": mobilenet_v2(width, always_expand=True) for name, width in _V2_WIDTHS.items()}
    found |= {f"mobilenetv2b_{name}": mobilenet_v2(width) for name, width in _V2_WIDTHS.items()}
    for version in _MOBILENET_V3:
        found |= {f"mobilenetv3_{version}_{name}": mobilenet_v3(version, width) for name, width in _V3_WIDTHS.items()}
    found |= {f"mnasnet_{version}": mnasnet(version) for version in _MNASNET}
    found |= {f"proxylessnas_{version}": proxyless_nas(version) for version in _PROXYLESS_BLOCKS}
    return dict(sorted(found.items()))
