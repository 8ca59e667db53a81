"""Ray directions by the kernel."""

import torch

from ssp_nerf import kernels
from ssp_nerf.kernels.camera_rays import camera_rays, plain_camera_rays
from tests.ssp_nerf.kernels.devices import DEVICE


def test_directions_are_those_of_the_twin_in_float64():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator)).Q
    c2w = torch.cat([rotation, torch.randn(2, 3, 1, generator=generator)], dim=-1).to(DEVICE)
    pixels = torch.randint(0, 37 * 23, (2, 301), generator=generator).to(DEVICE)
    pixels[0, :2] = torch.tensor([0, 37 * 23 - 1])
    with kernels.using("triton"):
        found = camera_rays(pixels, c2w, 41.5, 37, 23)
    truth = plain_camera_rays(pixels, c2w.double(), 41.5, 37, 23)
    torch.testing.assert_close(found.double(), truth, rtol=1e-5, atol=1e-6)
    # Of length one along the view axis, which is -z.
    along = -(found * c2w[:, None, :, 2]).sum(-1)
    torch.testing.assert_close(along, torch.ones_like(along))
