"""Stage `place`: from a profile to masks, and from masks to the slots of a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw.engine.steps.profiling import PROFILE_FILE
from colfw.masks import MaskPolicy, masks_of
from colfw.placement import Placement
from colfw.plugins import guarded
from colfw.profile import ActivationProfile

if TYPE_CHECKING:
    from colfw.engine.tasks import Job
    from colfw.placement import SitePlacement

MASKS_FILE = "masks.safetensors"
PLACEMENT_FILE = "placement.safetensors"


def place(job: Job) -> None:
    """Place every site; a placement that does not fetch what its mask needs is an error."""
    profile = ActivationProfile.from_file(job.input_file("profile", PROFILE_FILE))
    masks = masks_of(profile, MaskPolicy(**job.task.payload["mask"]))
    layout = job.make("layout")
    placed: list[SitePlacement] = []
    with guarded(str(job.choice("layout").registered), "while it placed columns"):
        for number, (entry, mask) in enumerate(zip(profile.sites, masks.sites, strict=True)):
            placement = layout.place(entry, mask)
            placement.check_serves(mask.hot)
            placed.append(placement)
            job.advance(number + 1.0)
    name = job.task.payload["plugins"]["layout"]["plugin"]
    job.write(MASKS_FILE, masks.to_bytes())
    job.write(PLACEMENT_FILE, Placement(layout=name, sites=tuple(placed)).to_bytes())
