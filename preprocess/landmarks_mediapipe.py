"""478 face points by mediapipe's FaceMesh, which ships inside the package."""

from contextlib import nullcontext

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

from preprocess.face_points import Face
from preprocess.face_topology import POINTS
from preprocess.quiet import quiet_native_stderr
from preprocess.solutions import mediapipe_module

GRAPH = "mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb"
PRESENCE = "facelandmarkcpu__face_presence_score"
"""Stream inside the graph: the network's probability that what it looks at is a face. The Python
class FaceMesh compares it with 0.5 and keeps it to itself."""
MIN_SCORE = "__".join(
    (
        "facedetectionshortrangecpu",
        "facedetectionshortrange",
        "facedetection",
        "TensorsToDetectionsCalculator.min_score_thresh",
    )
)
MIN_PRESENCE = "facelandmarkcpu__ThresholdingCalculator.threshold"
LANDMARK = np.dtype(
    {"names": ["x", "y", "z"], "formats": ["<f4"] * 3, "offsets": [3, 8, 13], "itemsize": 17}
)
"""A landmark as Protocol Buffers write it: a tag and the length, then tag and value of x, y and z.
Read so, 478 of them take a tenth of the time that their attributes do."""
USUAL_SCORE = 0.5  # of a face's box; FaceMesh's own
FAINT_SCORE = 0.2
"""Where the usual score finds nothing, fainter boxes are tried: the points' network then still has
to see a face there."""


class FaceMesh:
    """FaceMesh as the Python class of that name has it, with the confidence besides.

    Args:
        follow: one face from frame to frame, so that the same frames give the same points; else
            every image is looked at on its own.
        min_score: of the box in which points are looked for.
    """

    def __init__(self, follow: bool = True, min_score: float = USUAL_SCORE) -> None:
        with quiet_native_stderr():
            self.network = mediapipe_module("python.solution_base").SolutionBase(
                binary_graph_path=GRAPH,
                side_inputs={
                    "num_faces": 1,
                    "with_attention": True,  # irises, finer lips
                    "use_prev_landmarks": follow,
                },
                calculator_params={MIN_SCORE: min_score, MIN_PRESENCE: 0.5},
                outputs=["multi_face_landmarks", PRESENCE],
            )
            self.network.process({"image": np.zeros((128, 128, 3), np.uint8)})
        self.warmed_up = False

    def face(self, image: np.ndarray) -> Face | None:
        """The face in an RGB image (H, W, 3) uint8, 478 points, or None."""
        height, width = image.shape[:2]
        # The second half of mediapipe's graph starts, and chatters, with the first face.
        with nullcontext() if self.warmed_up else quiet_native_stderr():
            found = self.network.process({"image": image})
        faces = found.multi_face_landmarks
        if not faces:
            return None
        self.warmed_up = True
        points = structured_to_unstructured(np.frombuffer(faces[0].SerializeToString(), LANDMARK))
        pixels = points * np.array([width, height, width], np.float64)
        return Face(pixels.astype(np.float32), float(getattr(found, PRESENCE)))

    def points(self, image: np.ndarray) -> np.ndarray | None:
        """(478, 3) float32 points of `face`, or None."""
        face = self.face(image)
        return None if face is None else face.points

    def restart(self) -> None:
        """Forget the face that was followed."""
        self.network.reset()


class MediapipeDetector:
    """Follows a face with one network; looks again, where that is needed, with another."""

    count = POINTS

    def __init__(self) -> None:
        self.tracker = FaceMesh()
        self.fresh: FaceMesh | None = None

    def track(self, image: np.ndarray) -> Face | None:
        """The face in the next frame."""
        return self.tracker.face(image)

    def look(self, image: np.ndarray) -> Face | None:
        """The face in a picture, whatever was seen before."""
        if self.fresh is None:
            self.fresh = FaceMesh(follow=False, min_score=FAINT_SCORE)
        return self.fresh.face(image)

    def restart(self) -> None:
        """Forget what was followed."""
        self.tracker.restart()
