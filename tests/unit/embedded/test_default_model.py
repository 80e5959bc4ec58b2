import pytest

from domain.options import MODEL_SIZES
from embedded.default_model import CANDIDATES, choose_default_model
from engines.weights.catalog import official_weights


@pytest.fixture
def models(tmp_path):
    for name in ("base.pt", "small.pt", "large-v3-turbo.pt", "large-v3.pt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("gpu_mb", "cores", "size"),
    [
        (0, 2, "base"),
        (0, 8, "small"),
        (3_000, 2, "small"),
        (8_000, 2, "turbo"),
        (24_000, 2, "large-v3"),
    ],
)
def test_the_default_is_the_best_that_the_machine_can_serve(models, gpu_mb, cores, size):
    assert choose_default_model(models, gpu_mb=gpu_mb, cores=cores) == size


def test_nothing_large_is_fetched_for_a_default(tmp_path):
    assert choose_default_model(tmp_path, gpu_mb=80_000, cores=64) == "base"


@pytest.mark.parametrize("needs", CANDIDATES)
def test_the_candidates_are_looked_for_under_their_official_names(needs):
    assert needs.model_size in MODEL_SIZES
    assert needs.file_name == official_weights(needs.model_size).file_name
