"""Choice of pixels by the kernels: the twin's, pixel by pixel."""

import pytest
import torch

from ssp_nerf import kernels
from ssp_nerf.kernels.pixel_choice import choose_pixels, plain_choose_pixels
from tests.ssp_nerf.kernels.devices import DEVICE


def by_kernel(parsing, mean_loss, within, floor) -> torch.Tensor:
    given = (x.to(DEVICE) for x in (parsing, mean_loss, within))
    with kernels.using("triton"):
        return choose_pixels(*given, floor).cpu()


def blobs(frames: int, pixels: int, generator: torch.Generator) -> torch.Tensor:
    """Parsing maps (B, pixels) in runs of a class, some classes absent."""
    length = 37
    runs = torch.randint(0, 11, (frames, pixels // length + 1), generator=generator)
    absent = torch.randint(1, 11, (frames, 3), generator=generator)
    for row, missing in zip(runs, absent, strict=True):
        row[torch.isin(row, missing)] = 0
    return runs.repeat_interleave(length, dim=1)[:, :pixels].byte()


@pytest.mark.parametrize("pixels", [300, 512, 2000])  # in one block, exactly one, some
@pytest.mark.parametrize("floor", [0.0, 0.01, 0.1])
def test_pixels_are_the_twins(pixels, floor):
    generator = torch.Generator().manual_seed(pixels)
    parsing = blobs(2, pixels, generator)
    mean_loss = torch.rand(11, generator=generator, dtype=torch.float64) ** 4
    within = torch.rand(2, 40, generator=generator, dtype=torch.float64)
    found = by_kernel(parsing, mean_loss, within, floor)
    assert torch.equal(found, plain_choose_pixels(parsing, mean_loss, within, floor))


def test_ties_and_whole_shares_are_rounded_as_the_twin_does():
    parsing = torch.arange(11).repeat(1, 30).byte()
    within = torch.linspace(0, 0.999, 50, dtype=torch.float64)[None]
    for mean_loss in (
        torch.zeros(11, dtype=torch.float64),  # equal shares, 50 / 11
        torch.tensor([1.0, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0], dtype=torch.float64),  # of ten: whole
        torch.tensor([0.001, 2, 6] + 8 * [0.0], dtype=torch.float64),
    ):
        for floor in (0.0, 0.05, 1 / 11):
            found = by_kernel(parsing, mean_loss, within, floor)
            assert torch.equal(found, plain_choose_pixels(parsing, mean_loss, within, floor))


def test_the_first_and_the_last_pixel_of_a_class_can_be_drawn():
    parsing = torch.zeros(1, 1500, dtype=torch.uint8)
    parsing[0, [3, 700, 1499]] = 7
    mean_loss = torch.zeros(11, dtype=torch.float64)
    mean_loss[7] = 1.0
    places = [0.5] + 11 * [0.0] + 11 * [0.5] + 11 * [1 - 2**-53]
    within = torch.tensor([places], dtype=torch.float64)
    chosen = by_kernel(parsing, mean_loss, within, 0.0)[0]
    assert chosen.tolist() == [750] + 11 * [3] + 11 * [700] + 11 * [1499]
