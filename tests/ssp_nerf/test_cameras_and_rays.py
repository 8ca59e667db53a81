"""Cameras and rays: two routes between pixels and points."""

import numpy as np
import torch

from ssp_nerf.cameras import c2w_from_head_pose_opencv, project
from ssp_nerf.rays import rays_through_pixels

WIDTH, HEIGHT, FOCAL = 6, 4, 10.0


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_rays_of_a_camera_in_front_of_the_face():
    c2w = torch.eye(4)[:3][None].clone()
    c2w[0, 2, 3] = 12.0
    rays = rays_through_pixels(torch.tensor([[0, 23]]), c2w, FOCAL, WIDTH, HEIGHT)
    # Pixel 0 is the top left one: its centre is 2.5 pixels left of and 1.5 above the middle.
    assert torch.allclose(rays.directions[0, 0], torch.tensor([-0.25, 0.15, -1.0]))
    assert torch.allclose(rays.directions[0, 1], torch.tensor([0.25, -0.15, -1.0]))
    assert torch.equal(rays.origins[0, 0], torch.tensor([0.0, 0.0, 12.0]))


def test_points_along_a_ray_project_to_its_pixel():
    head = rotation(np.array([0.3, 1.0, -0.2]), 0.4) @ np.diag([1.0, -1.0, -1.0])
    c2w = c2w_from_head_pose_opencv(head, np.array([0.2, -0.3, 13.0]))
    pixels = torch.arange(WIDTH * HEIGHT)[None]
    rays = rays_through_pixels(pixels, torch.from_numpy(c2w)[None], FOCAL, WIDTH, HEIGHT)
    for depth in (11.0, 15.0):
        points = rays.at(torch.full((1, WIDTH * HEIGHT, 1), depth))[0, :, 0].numpy()
        x, y = project(points, c2w, FOCAL, WIDTH, HEIGHT).T
        assert np.allclose(x, np.arange(WIDTH * HEIGHT) % WIDTH + 0.5, atol=1e-3)
        assert np.allclose(y, np.arange(WIDTH * HEIGHT) // WIDTH + 0.5, atol=1e-3)


def test_head_pose_and_camera_pose_are_inverse():
    """x_camera = R x_head + t, straight through OpenCV's pinhole."""
    generator = np.random.default_rng(0)
    turn = rotation(generator.normal(size=3), 0.7) @ np.diag([1.0, -1.0, -1.0])
    move = np.array([0.5, 0.1, 12.0])
    points = generator.normal(size=(9, 3))
    camera = points @ turn.T + move
    expected = camera[:, :2] / camera[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
    c2w = c2w_from_head_pose_opencv(turn, move)
    assert np.allclose(project(points, c2w, FOCAL, WIDTH, HEIGHT), expected, atol=1e-5)


def test_depth_is_measured_along_the_view_axis():
    c2w = torch.eye(4)[:3][None]
    rays = rays_through_pixels(torch.tensor([[0]]), c2w, FOCAL, WIDTH, HEIGHT)
    point = rays.at(torch.tensor([[[3.0]]]))[0, 0, 0]
    assert point[2] == -3.0
    assert torch.allclose(rays.step_length.squeeze(), point.norm() / 3)
    assert torch.allclose(rays.view.norm(dim=-1), torch.ones(1, 1))
