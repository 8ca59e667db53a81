"""How the figures of an evaluation were found, in words, for those who read metrics.json alone."""

from ssp_nerf.bootstrap import LEAST_BLOCKS, Bootstrap


def protocol(
    detectors: tuple[str, str], parsers: tuple[str, str], bootstrap: Bootstrap, frames: int
) -> dict[str, object]:
    """The protocol of `frames` frames; docs/metrics.md says more.

    Args:
        detectors, parsers: who found landmarks and classes of the truth and of the rendering.
    """
    least = LEAST_BLOCKS * bootstrap.block
    intervals = (
        f"{bootstrap.level:.0%}, circular block bootstrap over frames, {bootstrap.resamples} "
        f"resamples of blocks of {bootstrap.block} frames, seed {bootstrap.seed}"
    )
    if frames < least:
        intervals += f"; none here: {frames} frames, expected {least} or more"
    return {
        "frames": "held-out frames only, as rendered, before video encoding; poses are the "
        "truth's; figures are means over frames (of a video file: as it was encoded, all its "
        "frames, resampled to 25 fps)",
        "psnr, ssim, lpips_alex": "dB, [-1, 1], distance, over the full frame, torso and "
        "background included as rendered, nothing pasted in; SSIM: Gaussian window, sigma 1.5, "
        "data range 255, mean over RGB; LPIPS: version 0.1 with AlexNet",
        "_head": "over the pixels that the truth's parsing map gives to the head (face, ears and "
        "hair; neither neck nor torso); SSIM: mean of its map there",
        "_crop": "the same square round the truth's faces for every method, resized to crop_size",
        "lmd": "pixels at this resolution, iBUG points 48-67, each mouth centred on its mean; "
        "frames where no face was found in the truth or in the picture do not count; the mean "
        "frame's mouth is the mean of the training frames' mouths, the background has none",
        "mouth_opening_correlation": "Pearson correlation over time of the distance between the "
        "inner lips (points 62 and 66) with the truth's; this project's own figure",
        "sync_*": "SyncNet of 2016, offsets of 15 frames either way; positive: the sound is late",
        "mouth_sync*": "correlation of the mouth's opening with the voice's loudness, at lag 0 and "
        "at best; lag in frames, positive: the sound is late; this project's own figure",
        "csim_*": "cosine with the truth's frame of the same time; the truth's: with its frame a "
        "second later",
        "parsing_iou": "pixels of all frames together, mean over classes",
        "seam": "within 2 % of the height of head and of neck or torso, by the truth's map",
        "jitter": "second differences of landmarks, per cent of the distance between the eyes",
        "warping_error": "RMS, grey levels, of a frame and the one before it warped along the "
        "truth's flow",
        "detector": dict(zip(("truth", "render"), detectors, strict=True)),
        "parser": dict(zip(("truth", "render"), parsers, strict=True)),
        "intervals": intervals,
        "baselines": {
            "background": "the background picture alone",
            "mean_frame": "mean of the training frames",
            "nearest_pose": "the training frame with the least mean displacement, in pixels, "
            "of the projected face vertices (nearest_pose_distance: its mean)",
        },
        "psnr_to_exact": "dB, mean over some frames that were drawn fast and exactly",
        "margins": "mean over frames where both are defined; positive: ours is better",
        "null": "not defined, or infinite (PSNR of identical pictures)",
    }
