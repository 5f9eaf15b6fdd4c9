"""Reading the latency tables of once-for-all and of NSGANetV2: their keys, and the layers that the keys mean.

Source: the tables and key strings that the authors published (Cai et al., ICLR 2020; Lu et al., ECCV 2020).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import LatencyStats, describe_layer
from natdeploy.core.layers import BLOCK, CLASSIFIER, FEATURE_MIX, FINAL_EXPAND, POOLING, STEM, Layer
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.yaml_rows import YamlRow, read_rows

_NAMED = 5
_OFA_FILE = re.compile(r"(?P<resolution>[1-9][0-9]{0,3})_lookup_table\.ya?ml")
_OFA_OPS = {
    "Conv": STEM,
    "expanded_conv": BLOCK,
    "Conv_1": FINAL_EXPAND,
    "AvgPool2D": POOLING,
    "Conv_2": FEATURE_MIX,
    "Logits": CLASSIFIER,
}
_NSGANET_OPS = {
    "first_conv": STEM,
    "MBConv": BLOCK,
    "final_expand_layer": FINAL_EXPAND,
    "feature_mix_layer": FEATURE_MIX,
    "classifier": CLASSIFIER,
}
_OFA_FIELDS = ("input", "output", "expand", "kernel", "stride", "idskip", "se", "hs")
_NSGANET_FIELDS = _OFA_FIELDS[:-1]
_Key = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignTable:
    """A foreign table as layers of a space.

    Args:
        method: Name of the kind of table, for `LatencyTable.method`.
        rows: Statistics by layer.
        resolutions: Resolutions whose layers all have a row.
        folded: Ops without rows, whose latency is part of other rows.
        notes: Facts that a reader of the table must know, by name.
    """

    method: str
    rows: Mapping[Layer, LatencyStats]
    resolutions: tuple[int, ...]
    folded: tuple[str, ...]
    notes: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Part:
    """Rows of one file, and the resolution that the file is of, if it is of one."""

    rows: Sequence[YamlRow]
    resolution: int | None
    source: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layout:
    """How one kind of table writes its keys and numbers."""

    method: str
    ops: Mapping[str, str]
    fields: Sequence[str]
    ratios: bool
    figures: Sequence[str]
    stats: Callable[[Mapping[str, float]], LatencyStats]
    folded: tuple[str, ...]
    notes: Mapping[str, str]


def read_ofa(path: Path, space: SearchSpace) -> ForeignTable:
    """Read once-for-all's tables: a folder with `<resolution>_lookup_table.yaml` in it, or one such file.

    A layer that several resolutions share is pooled over all its runs.

    Raises:
        InputError: A file is not valid, a key is not of the space at the file's resolution, or a layer is missing;
            the message names file, line and reason.
    """
    return _read([_ofa_part(file) for file in _ofa_files(path)], space, _OFA)


def read_nsganet(path: Path, space: SearchSpace) -> ForeignTable:
    """Read NSGANetV2's table: one YAML file with all resolutions, in which pooling has no row.

    Raises:
        InputError: As for `read_ofa`.
    """
    return _read([_Part(rows=read_rows(path), resolution=None, source=str(path))], space, _NSGANET)


FOREIGN_FORMATS: Mapping[str, Callable[[Path, SearchSpace], ForeignTable]] = {"ofa": read_ofa, "nsganet": read_nsganet}


def _read(parts: Sequence[_Part], space: SearchSpace, layout: _Layout) -> ForeignTable:
    runs: dict[Layer, list[LatencyStats]] = defaultdict(list)
    resolutions: set[int] = set()
    for part in parts:
        read = {}
        for row in part.rows:
            key = _parse_key(row, layout)
            read[key] = (row, _stats(row, layout))
        found, sizes = _match(read, part, space, layout)
        resolutions.update(sizes)
        for layer, stats in found.items():
            runs[layer].append(stats)
    return ForeignTable(
        method=layout.method,
        rows={layer: _pooled(measured) for layer, measured in runs.items()},
        resolutions=tuple(sorted(resolutions)),
        folded=layout.folded,
        notes=layout.notes,
    )


def _match(
    read: Mapping[_Key, tuple[YamlRow, LatencyStats]], part: _Part, space: SearchSpace, layout: _Layout
) -> tuple[dict[Layer, LatencyStats], list[int]]:
    """Return the statistics of a part by layer, and its resolutions."""
    sizes = [part.resolution] if part.resolution is not None else _stem_sizes(read)
    classes = sorted({int(key[2].split("x")[-1]) for key in read if key[0] == CLASSIFIER})
    wanted = {_key_of(layer, layout): layer for layer in _layers(space, read, sizes, classes, layout)}
    odd = [row for key, (row, _) in read.items() if key not in wanted]
    if odd:
        others = f" (and {len(odd) - 1} more keys)" if len(odd) > 1 else ""
        at = f"at r = {part.resolution}" if part.resolution is not None else "at any resolution of the file"
        msg = f"{odd[0].place}: {odd[0].key!r} is not a layer of {space.name} {at}{others}"
        raise InputError(msg, hint="name the supernet that the table was made for with --supernet")
    missing = [layer for key, layer in wanted.items() if key not in read and layer.op not in layout.folded]
    if missing or not wanted:
        raise _incomplete(part, missing)
    return {layer: read[key][1] for key, layer in wanted.items() if key in read}, sizes


def _layers(
    space: SearchSpace, read: Iterable[_Key], sizes: Sequence[int], classes: Sequence[int], layout: _Layout
) -> Iterable[Layer]:
    """Yield the layers of the widths and resolutions whose stem is in the part."""
    stems = {key for key in read if key[0] == STEM}
    for resolution in sizes:
        for width in space.widths:
            layers = space_layers(space, width, resolution, classes)
            if any(_key_of(layer, layout) in stems for layer in layers if layer.op == STEM):
                yield from layers


def _stem_sizes(keys: Iterable[_Key]) -> list[int]:
    return sorted({int(key[1].split("x")[0]) for key in keys if key[0] == STEM})


def _incomplete(part: _Part, missing: Sequence[Layer]) -> InputError:
    if not missing:
        return InputError(f"{part.source}: no row is a first convolution of the space")
    shown = "; ".join(describe_layer(layer) for layer in missing[:_NAMED])
    more = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return InputError(f"{part.source}: {len(missing)} layers have no row: {shown}{more}")


def _parse_key(row: YamlRow, layout: _Layout) -> _Key:
    """Return the parts of a key in a common spelling: op, input, output, and the other fields of a block in order."""
    name, *parts = row.key.split("-")
    op = layout.ops.get(name)
    if op is None:
        msg = f"{row.place}: unknown key {row.key!r}: its layer {name!r} is not one of {', '.join(layout.ops)}"
        raise InputError(msg)
    wanted = layout.fields if op == BLOCK else layout.fields[:2]
    fields = [part.partition(":") for part in parts]
    if [field for field, _, _ in fields] != list(wanted):
        msg = f"{row.place}: unknown key {row.key!r}: {name} has {', '.join(wanted)}"
        raise InputError(msg)
    values = [value for _, _, value in fields]
    if any(not re.fullmatch(r"[0-9]{1,6}(\.0+)?|([0-9]{1,6}x){2}[0-9]{1,6}", value) for value in values):
        msg = f"{row.place}: unknown key {row.key!r}: its values must be whole numbers and HxWxC shapes"
        raise InputError(msg)
    return (op, *(value.partition(".")[0] for value in values))


def _key_of(layer: Layer, layout: _Layout) -> _Key:
    shapes = (
        _shape(layer.in_size, layer.in_channels),
        str(layer.out_channels) if layer.op == CLASSIFIER else _shape(layer.out_size, layer.out_channels),
    )
    if layer.op == CLASSIFIER and layout.ratios:
        shapes = (str(layer.in_channels), shapes[1])
    if layer.op != BLOCK:
        return (layer.op, *shapes)
    expand = round(layer.mid_channels / layer.in_channels) if layout.ratios else layer.mid_channels
    numbers = (expand, layer.kernel, layer.stride, int(layer.skip), int(layer.se), int(layer.activation == "h_swish"))
    return (layer.op, *shapes, *map(str, numbers[: len(layout.fields) - 2]))


def _shape(size: int, channels: int) -> str:
    return f"{size}x{size}x{channels}"


def _stats(row: YamlRow, layout: _Layout) -> LatencyStats:
    if sorted(row.values) != sorted(layout.figures):
        msg = f"{row.place}: {row.key!r} has {', '.join(row.values)} instead of {', '.join(layout.figures)}"
        raise InputError(msg)
    for name in layout.figures:
        least = {"std": 0.0, "var": 0.0, "count": 1.0}.get(name, math.ulp(0.0))
        if not math.isfinite(row.values[name]) or row.values[name] < least:
            msg = f"{row.place}: {row.key!r}: {name} is {row.values[name]:g}, which no latency can have"
            raise InputError(msg)
    return layout.stats(row.values)


def _from_mean(mean: float, std: float, runs: int) -> LatencyStats:
    return LatencyStats(median_ms=mean, p10_ms=mean, p90_ms=mean, mean_ms=mean, std_ms=std, runs=runs)


def _pooled(parts: Sequence[LatencyStats]) -> LatencyStats:
    """Return the statistics of all runs together."""
    if len(parts) == 1:
        return parts[0]
    runs = sum(part.runs for part in parts)
    mean = sum(part.runs * part.mean_ms for part in parts) / runs
    squares = sum(part.runs * (part.std_ms**2 + (part.mean_ms - mean) ** 2) for part in parts) / runs
    return _from_mean(mean, math.sqrt(squares), runs)


def _ofa_files(path: Path) -> list[Path]:
    if not path.exists():
        msg = f"{path}: no such file or folder"
        raise InputError(msg)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [file for file in files if _OFA_FILE.fullmatch(file.name)]
    if not found:
        msg = f"{path}: no <resolution>_lookup_table.yaml, such as 224_lookup_table.yaml"
        raise InputError(msg)
    return found


def _ofa_part(path: Path) -> _Part:
    parts = _OFA_FILE.fullmatch(path.name)
    assert parts is not None
    return _Part(rows=read_rows(path), resolution=int(parts["resolution"]), source=str(path))


_MEANS = "means are published, no quantiles: median, p10 and p90 of each row are its mean"
_OFA = _Layout(
    method="ofa-lut",
    ops=_OFA_OPS,
    fields=_OFA_FIELDS,
    ratios=False,
    figures=("count", "mean", "std"),
    stats=lambda values: _from_mean(values["mean"], values["std"], int(values["count"])),
    folded=(),
    notes={"statistics": _MEANS},
)
_NSGANET = _Layout(
    method="nsganet-lut",
    ops=_NSGANET_OPS,
    fields=_NSGANET_FIELDS,
    ratios=True,
    figures=("mean", "var"),
    stats=lambda values: _from_mean(values["mean"], math.sqrt(values["var"]), 0),
    folded=(POOLING,),
    notes={
        "statistics": f"{_MEANS}; the number of runs is not published: 0",
        "folded": "pooling has no row of its own",
    },
)
