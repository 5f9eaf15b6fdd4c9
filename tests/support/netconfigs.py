"""Writing an architecture of the nat space as the NAT authors' net.config."""

from natdeploy.core.architecture import Architecture

_STEM = {1.0: 16, 1.2: 24}
_STAGES = {1.0: (24, 40, 80, 112, 160), 1.2: (32, 48, 96, 136, 192)}
_FINAL = {1.0: (960, 1280), 1.2: (1152, 1536)}
_STRIDES = (2, 2, 2, 1, 2)
_SE = (False, True, False, True, True)


def net_config(
    architecture: Architecture, *, classes: int = 1000, activation: str | None = None, dropout: float = 0.0
) -> dict[str, object]:
    """Return the parsed JSON of the network, written out layer by layer."""
    channels, (expanded, mixed) = _STEM[architecture.width], _FINAL[architecture.width]
    blocks = [_block(channels, channels, 3, 1, 1, activation or "relu", se=False, shortcut=True)]
    for index, stage in enumerate(architecture.stages()):
        out = _STAGES[architecture.width][index]
        act = activation or ("relu" if index < 2 else "h_swish")
        for position, (kernel, ratio) in enumerate(stage):
            stride = 1 if position else _STRIDES[index]
            blocks.append(_block(channels, out, kernel, stride, ratio, act, se=_SE[index], shortcut=position > 0))
            channels = out
    return {
        "name": "MobileNetV3",
        "bn": {"momentum": 0.1, "eps": 1e-5},
        "first_conv": {"name": "ConvLayer", "in_channels": 3, "out_channels": _STEM[architecture.width]},
        "blocks": blocks,
        "final_expand_layer": {"name": "ConvLayer", "in_channels": channels, "out_channels": expanded},
        "feature_mix_layer": {"name": "ConvLayer", "in_channels": expanded, "out_channels": mixed},
        "classifier": {"in_features": mixed, "out_features": classes, "dropout_rate": dropout},
        "img_size": architecture.resolution,
    }


def _block(
    channels: int, out: int, kernel: int, stride: int, ratio: int, act: str, *, se: bool, shortcut: bool
) -> dict[str, object]:
    layer = {
        "name": "MBInvertedConvLayer",
        "in_channels": channels,
        "out_channels": out,
        "kernel_size": kernel,
        "stride": stride,
        "expand_ratio": ratio,
        "mid_channels": None,
        "act_func": act,
        "use_se": se,
    }
    identity = {"name": "IdentityLayer", "in_channels": [channels], "out_channels": [channels]}
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": layer,
        "shortcut": identity if shortcut else None,
    }


def proxyless_config(*, head: bool = True) -> dict[str, object]:
    """Return the parsed JSON of a small network of ProxylessNAS and MCUNet: ratio 5, and blocks with no shortcut."""

    def block(channels: int, out: int, kernel: int, stride: int, ratio: int, *, shortcut: bool) -> dict[str, object]:
        described = _block(channels, out, kernel, stride, ratio, "relu6", se=False, shortcut=shortcut)
        return {"conv": described.pop("mobile_inverted_conv"), **described}

    return {
        "name": "ProxylessNASNets",
        "bn": {"momentum": 0.1, "eps": 1e-3},
        "first_conv": {"kernel_size": 3, "stride": 2, "in_channels": 3, "out_channels": 12, "act_func": "relu6"},
        "blocks": [
            block(12, 12, 3, 1, 1, shortcut=False),
            block(12, 20, 7, 2, 5, shortcut=False),
            {"conv": {"name": "ZeroLayer", "stride": 1}, "shortcut": {"name": "IdentityLayer"}},
            block(20, 20, 5, 1, 3, shortcut=True),
        ],
        "feature_mix_layer": {"kernel_size": 1, "in_channels": 20, "out_channels": 40, "act_func": "relu6"}
        if head
        else None,
        "classifier": {"in_features": 40 if head else 20, "out_features": 7, "dropout_rate": 0.0},
        "img_size": 49,
    }
