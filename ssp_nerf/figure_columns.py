"""How each figure is shown: heading, unit, decimals, and which way is better."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "truth's"]


@dataclass(frozen=True)
class Column:
    """A figure in a table.

    Attributes:
        title: heading, with the unit in brackets where there is one.
        decimals: that are shown.
        better: higher, lower, or the nearer to the truth's own figure.
        perfect: the figure of a rendering that is the truth itself; None: the truth's is measured.
    """

    title: str
    decimals: int
    better: Better
    perfect: float | None = None


COLUMNS = {
    "psnr": Column("PSNR (dB)", 2, "higher", float("inf")),
    "ssim": Column("SSIM", 3, "higher", 1.0),
    "lpips_alex": Column("LPIPS (AlexNet)", 3, "lower", 0.0),
    "psnr_head": Column("PSNR head (dB)", 2, "higher", float("inf")),
    "ssim_head": Column("SSIM head", 3, "higher", 1.0),
    "psnr_crop": Column("PSNR crop (dB)", 2, "higher", float("inf")),
    "ssim_crop": Column("SSIM crop", 3, "higher", 1.0),
    "lpips_alex_crop": Column("LPIPS crop (AlexNet)", 3, "lower", 0.0),
    "lmd": Column("LMD (px)", 2, "lower", 0.0),
    "lmd_crop": Column("LMD crop (px)", 2, "lower", 0.0),
    "mouth_opening_correlation": Column("mouth r", 2, "higher", 1.0),
    "sync_confidence": Column("Sync", 3, "higher"),
    "sync_distance": Column("Sync distance", 3, "lower"),
    "sync_offset": Column("Sync offset (frames)", 0, "truth's"),
    "mouth_sync": Column("mouth sync", 2, "higher"),
    "mouth_sync_peak": Column("mouth sync at best", 2, "higher"),
    "mouth_sync_lag": Column("mouth sync lag (frames)", 2, "truth's"),
    "csim_dlib": Column("CSIM (dlib)", 3, "higher"),
    "csim_arcface": Column("CSIM (ArcFace)", 3, "higher"),
    "identity_distance": Column("identity distance (dlib)", 3, "lower"),
    "cpbd": Column("CPBD", 3, "higher"),
    "parsing_iou": Column("parsing mIoU", 3, "higher", 1.0),
    "psnr_seam": Column("PSNR seam (dB)", 2, "higher", float("inf")),
    "seam_gap": Column("seam gap (%)", 2, "lower", 0.0),
    "seam_edge": Column("seam edge (grey levels/px)", 1, "truth's"),
    "jitter": Column("jitter (% of the eyes' distance)", 2, "truth's"),
    "warping_error": Column("warping error (grey levels)", 2, "truth's"),
}
"""All figures that tables show, in their order."""
