"""Writing latency tables as once-for-all and NSGANetV2 do."""

from natdeploy.core.cost import space_layers
from natdeploy.io.spaces import find_space

W12 = find_space("ofa-mbv3-w1.2")
W10 = find_space("ofa-mbv3-w1.0").with_resolutions((192, 224))
OFA_OPS = {
    "stem": "Conv",
    "final_expand": "Conv_1",
    "pooling": "AvgPool2D",
    "feature_mix": "Conv_2",
    "classifier": "Logits",
}
NSGANET_OPS = {
    "stem": "first_conv",
    "final_expand": "final_expand_layer",
    "feature_mix": "feature_mix_layer",
    "classifier": "classifier",
}


def shape(size, channels):
    """Return a shape as the files write it."""
    return f"{size}x{size}x{channels}"


def ofa_key(layer):
    """Return the key of a layer in OFA's files."""
    output = str(layer.out_channels) if layer.op == "classifier" else shape(layer.out_size, layer.out_channels)
    shapes = f"input:{shape(layer.in_size, layer.in_channels)}-output:{output}"
    if layer.op != "block":
        return f"{OFA_OPS[layer.op]}-{shapes}"
    return (
        f"expanded_conv-{shapes}-expand:{layer.mid_channels}-kernel:{layer.kernel}-stride:{layer.stride}"
        f"-idskip:{int(layer.skip)}-se:{int(layer.se)}-hs:{int(layer.activation == 'h_swish')}"
    )


def nsganet_key(layer):
    """Return the key of a layer in NSGANetV2's file."""
    if layer.op == "classifier":
        return f"classifier-input:{layer.in_channels}-output:{layer.out_channels}"
    shapes = f"input:{shape(layer.in_size, layer.in_channels)}-output:{shape(layer.out_size, layer.out_channels)}"
    if layer.op != "block":
        return f"{NSGANET_OPS[layer.op]}-{shapes}"
    return (
        f"MBConv-{shapes}-expand:{layer.mid_channels // layer.in_channels}-kernel:{layer.kernel}"
        f"-stride:{layer.stride}-idskip:{int(layer.skip)}-se:{int(layer.se)}"
    )


def cost(layer):
    """Return a latency that differs from layer to layer."""
    return 0.01 + layer.madds * 1e-7 + layer.kernel * 1e-3


def ofa_text(resolution, *, space=W12, shift=0.0, count=100):
    """Return the text of OFA's file of a resolution."""
    layers = space_layers(space, space.widths[0], resolution, [1000])
    return "".join(
        f"{ofa_key(layer)}:\n  count: {count}\n  mean: {cost(layer) + shift}\n  std: 0.001\n" for layer in layers
    )


def nsganet_text(space=W10):
    """Return the text of NSGANetV2's file, without rows of pooling."""
    sizes, width = space.resolutions, space.widths[0]
    found = [layer for size in sizes for layer in space_layers(space, width, size, [10, 1000]) if layer.op != "pooling"]
    layers = dict.fromkeys(found)
    return "".join(f"{nsganet_key(layer)}:\n  mean: {cost(layer)}\n  var: 0.0004\n" for layer in layers)
