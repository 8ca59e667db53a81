"""Rays against triangles, by Intel's Embree (the package `embreex`)."""

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

STEP_OFF = 1e-4
"""Decimetres by which a ray leaves the surface it starts from, or goes on behind one it met."""
HIT = 0  # what Embree's occlusion query answers for a ray that meets something
LAYERS = 6  # surfaces behind each other that `farthest` goes through: skin, ear, mouth, tongue


class RayCaster:
    """A set of triangles that rays can meet.

    Args:
        vertices: (V, 3) decimetres.
        triangles: (F, 3) vertex indices.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray):
        self.scene = EmbreeScene()
        # The scene keeps only a borrowed view of its meshes.
        self.mesh = TriangleMesh(self.scene, vertices[triangles].astype(np.float32))

    def hits(
        self, origins: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First triangle on each ray.

        Args:
            origins: (R, 3), or (3,) for all.
            directions: (R, 3), any length.

        Returns:
            (R,) triangle or -1; (R, 3) barycentric weights of its corners; (R,) distance in units
            of the direction's length.
        """
        directions = np.ascontiguousarray(directions, np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(origins, directions.shape), dtype=np.float32)
        hit = self.scene.run(origins, directions, output=1)
        u, v = hit["u"], hit["v"]
        return hit["primID"], np.stack([1 - u - v, u, v], axis=-1), hit["tfar"]

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(R,) bool: is there any triangle on rays from (R, 3) along unit (R, 3)?"""
        start = np.ascontiguousarray(origins + STEP_OFF * directions, np.float32)
        along = np.ascontiguousarray(directions, np.float32)
        return self.scene.run(start, along, query="OCCLUDED") == HIT

    def farthest(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(R,) distance of the last surface along unit rays that start inside; 0 without any."""
        reached = np.zeros(len(directions))
        for _ in range(LAYERS):
            triangle, _, distance = self.hits(origin + reached[:, None] * directions, directions)
            further = triangle >= 0
            if not further.any():
                break
            reached[further] += distance[further] + STEP_OFF
        return reached
