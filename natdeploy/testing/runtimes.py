"""Contract suite for runtimes: subclass `RuntimeContract` and override its first two fixtures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.ports import Exporter, Images, Runtime, Session
from natdeploy.supernet.network import Network
from natdeploy.testing.networks import noise_images, tiny_network


class RuntimeContract:
    """Tests of a runtime on a file that an exporter wrote."""

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls) -> Runtime:
        """Return the runtime to test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> Exporter:
        """Return an exporter that writes files for the runtime."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls) -> Network:
        """Return the network that the file holds."""
        return tiny_network()

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, exporter: Exporter, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Return a file that the runtime runs."""
        path = tmp_path_factory.mktemp("model") / f"network{exporter.suffix}"
        exporter.write(network, path)
        return path

    @pytest.fixture
    def session(self, runtime: Runtime, model: Path) -> Session:
        """Open the file."""
        return runtime.open(model, threads=1)

    @pytest.fixture
    def images(self, network: Network) -> Images:
        """Return three noise images."""
        return noise_images(network, 3)

    def test_version_is_told(self, runtime: Runtime) -> None:
        """The version begins with a number."""
        assert runtime.version().partition(".")[0].isdecimal()

    def test_suffix_is_that_of_the_files(self, runtime: Runtime, model: Path) -> None:
        """The files of the runtime have its suffix."""
        assert model.suffix == runtime.suffix

    def test_session_knows_its_input_size(self, session: Session, network: Network) -> None:
        """The session reports the size of the images that the file takes."""
        assert session.input_size == network.input_size

    def test_images_are_independent(self, session: Session, network: Network, images: Images) -> None:
        """Each image of a batch gives the output that it gives alone, and the images are not changed."""
        before = images.copy()
        outputs = session.run(images)
        assert outputs.shape == (3, network.classes)
        assert np.ptp(outputs, axis=0).max() > 0
        alone = np.concatenate([session.run(images[index : index + 1]) for index in range(3)])
        np.testing.assert_allclose(outputs, alone, rtol=1e-5, atol=1e-5 * np.abs(outputs).max())
        np.testing.assert_array_equal(images, before)

    def test_outputs_are_kept(self, session: Session, images: Images) -> None:
        """Outputs do not change when the session runs again."""
        first = session.run(images[:1])
        kept = first.copy()
        session.run(images[1:2])
        np.testing.assert_array_equal(first, kept)

    def test_images_of_another_shape_are_refused(self, session: Session, images: Images) -> None:
        """Images of another size or without a batch dimension are refused, and the error states both shapes."""
        for wrong in (images[..., :16], images[0], images[:0], images.transpose(0, 2, 3, 1)):
            with pytest.raises(InputError, match=r"images of shape \[.*the model takes \[n, 3, 32, 32\]"):
                session.run(wrong)

    @pytest.mark.parametrize("damage", ["empty", "noise", "text", "truncated"])
    def test_file_that_is_no_model_is_refused(self, runtime: Runtime, model: Path, tmp_path: Path, damage: str) -> None:
        """An empty, random, textual or truncated file is refused, and the error states name and reason."""
        whole = model.read_bytes()
        contents = {
            "empty": b"",
            "noise": np.random.default_rng(0).bytes(4096),
            "text": b"not a model\n",
            "truncated": whole[: len(whole) // 2],
        }
        path = tmp_path / f"damaged{runtime.suffix}"
        path.write_bytes(contents[damage])
        with pytest.raises(InputError, match=rf"damaged\{runtime.suffix}: not a model that .+: \S+"):
            runtime.open(path, threads=1)

    def test_missing_file_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        """A missing file and a folder are refused, and the error names them."""
        with pytest.raises(InputError, match=rf"missing\{runtime.suffix}: no such file"):
            runtime.open(tmp_path / f"missing{runtime.suffix}", threads=1)
        with pytest.raises(InputError, match="is a folder, not a file"):
            runtime.open(tmp_path, threads=1)

    def test_no_threads_is_refused(self, runtime: Runtime, model: Path) -> None:
        """The number of threads must be explicit: 0, which could mean all, is refused."""
        with pytest.raises(InputError, match="threads is 0"):
            runtime.open(model, threads=0)

    def test_nothing_is_printed(
        self, runtime: Runtime, model: Path, images: Images, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Opening and running a file prints nothing, not even from native code."""
        runtime.open(model, threads=1).run(images)
        assert capfd.readouterr() == ("", "")
