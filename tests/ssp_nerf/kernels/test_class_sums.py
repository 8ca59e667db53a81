"""Sums by class, by the kernel."""

import pytest
import torch

from ssp_nerf import kernels
from ssp_nerf.kernels.class_sums import plain_sum_by_class, sum_by_class
from tests.ssp_nerf.kernels.devices import DEVICE


def by_kernel(*given) -> torch.Tensor:
    with kernels.using("triton"):
        return sum_by_class(*given)


@pytest.mark.parametrize("rays", [1, 128, 300])
def test_sums_are_those_of_the_twin(rays):
    generator = torch.Generator().manual_seed(rays)
    values = torch.randn(4, 2, rays, generator=generator).to(DEVICE)
    classes = torch.randint(0, 11, (2, rays), generator=generator).to(DEVICE)
    found = by_kernel(values, classes)
    torch.testing.assert_close(found, plain_sum_by_class(values, classes), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found[:, :4].sum(0), values.double().sum((1, 2)))
    assert torch.equal(found[:, 4].long(), classes.flatten().bincount(minlength=11))


def test_a_loss_that_is_no_number_stays_one():
    values = torch.tensor([[[1.0, float("nan"), 3.0]]], device=DEVICE)
    classes = torch.tensor([[0, 7, 0]], device=DEVICE)
    found = by_kernel(values, classes)
    assert found[7, 0].isnan() and found[0].tolist() == [4.0, 2.0]
