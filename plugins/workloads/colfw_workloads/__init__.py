"""Seven denoisers, two newer ones, and three miniatures that are really trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw import hookimpl
from colfw.records import WorkloadSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_PUBLISHED = ("checkpoint", "published", "random")
"""Sources of the seven models of the study: their weights, their published statistics, random weights."""


@hookimpl
def colfw_workloads() -> Iterator[WorkloadSpec]:
    yield WorkloadSpec(
        name="dit-xl-2",
        summary="DiT-XL/2, class-conditional ImageNet at 256 x 256",
        api_version=1,
        factory="colfw_workloads.dit:DitXl2",
        config="colfw_workloads.options:DitOptions",
        presets={"tiny": {"latent_size": 16, "width": 96, "depth": 4, "heads": 4, "classes": 10}},
        group="pure_transformer",
        modality="image",
        sources=_PUBLISHED,
        checkpoint_formats=("DiT-XL-2-256x256.pt", "a diffusers transformer folder"),
    )
    yield WorkloadSpec(
        name="sd-v1-4",
        summary="Stable Diffusion v1.4, text to image at 512 x 512",
        api_version=1,
        factory="colfw_workloads.stable_diffusion:StableDiffusionV14",
        config="colfw_workloads.options:StableDiffusionOptions",
        presets={
            "tiny": {
                "latent_size": 16,
                "widths": [32, 64, 64, 64],
                "heads": 4,
                "context_tokens": 11,
                "context_width": 48,
            }
        },
        group="unet_transformer",
        modality="image",
        sources=_PUBLISHED,
        checkpoint_formats=("a diffusers unet folder", "sd-v1-4.ckpt"),
    )
    yield WorkloadSpec(
        name="videocrafter2",
        summary="VideoCrafter2, text to video, 16 frames of 320 x 512",
        api_version=1,
        factory="colfw_workloads.videocrafter2:VideoCrafter2",
        config="colfw_workloads.options:VideoCrafterOptions",
        presets={
            "tiny": {
                "frames": 4,
                "latent_height": 8,
                "latent_width": 16,
                "width": 32,
                "head_width": 16,
                "context_tokens": 7,
                "context_width": 48,
            }
        },
        group="unet_transformer",
        modality="video",
        sources=_PUBLISHED,
        checkpoint_formats=("base_512_v2/model.ckpt",),
    )
    yield WorkloadSpec(
        name="make-an-audio",
        summary="Make-an-Audio, text to ten seconds of sound",
        api_version=1,
        factory="colfw_workloads.make_an_audio:MakeAnAudio",
        config="colfw_workloads.options:MakeAnAudioOptions",
        presets={
            "tiny": {"latent_width": 16, "width": 32, "heads": 4, "context_tokens": 7, "context_width": 48}
        },
        group="unet_transformer",
        modality="audio",
        sources=_PUBLISHED,
        checkpoint_formats=("maa1_full.ckpt",),
    )
    yield WorkloadSpec(
        name="mdm",
        summary="MDM, text to motion on HumanML3D",
        api_version=1,
        factory="colfw_workloads.mdm:Mdm",
        config="colfw_workloads.options:MdmOptions",
        presets={"tiny": {"frames": 20, "width": 64, "hidden": 128, "depth": 2}},
        group="motion_transformer",
        modality="motion",
        sources=_PUBLISHED,
        checkpoint_formats=("humanml_trans_enc_512/model000200000.pt",),
    )
    yield WorkloadSpec(
        name="mld",
        summary="MLD, text to motion in a latent space, HumanML3D",
        api_version=1,
        factory="colfw_workloads.mld:Mld",
        config="colfw_workloads.options:MldOptions",
        presets={"tiny": {"width": 32, "hidden": 128, "depth": 3, "text_width": 24}},
        group="motion_transformer",
        modality="motion",
        sources=_PUBLISHED,
        checkpoint_formats=("1222_mld_humanml3d_FID041.ckpt",),
    )
    yield WorkloadSpec(
        name="edge",
        summary="EDGE, music to thirty seconds of dance",
        api_version=1,
        factory="colfw_workloads.edge:Edge",
        config="colfw_workloads.options:EdgeOptions",
        presets={
            "tiny": {
                "windows": 3,
                "frames": 30,
                "width": 128,
                "hidden": 256,
                "depth": 2,
                "heads": 4,
                "music_width": 35,
            }
        },
        group="motion_transformer",
        modality="motion",
        sources=_PUBLISHED,
        checkpoint_formats=("checkpoint.pt",),
    )
    yield WorkloadSpec(
        name="sd3-medium",
        summary="Stable Diffusion 3 medium, a flow-matching transformer, at 1024 x 1024",
        api_version=1,
        factory="colfw_workloads.stable_diffusion_3:StableDiffusion3",
        config="colfw_workloads.options:StableDiffusion3Options",
        presets={
            "tiny": {
                "latent_size": 8,
                "depth": 2,
                "heads": 2,
                "head_width": 8,
                "text_tokens": 5,
                "text_width": 12,
                "pooled_width": 10,
            }
        },
        group="pure_transformer",
        modality="image",
        iterations=28,
        sources=("checkpoint", "random"),
        checkpoint_formats=("a diffusers transformer folder",),
    )
    yield WorkloadSpec(
        name="lcm-dreamshaper-v7",
        summary="LCM Dreamshaper v7, a consistency model, at 768 x 768",
        api_version=1,
        factory="colfw_workloads.latent_consistency:LatentConsistency",
        config="colfw_workloads.options:LatentConsistencyOptions",
        presets={
            "tiny": {
                "latent_size": 16,
                "widths": [32, 64, 64, 64],
                "heads": 4,
                "context_tokens": 11,
                "context_width": 48,
                "guidance_width": 16,
            }
        },
        group="unet_transformer",
        modality="image",
        iterations=4,
        sources=("checkpoint", "random"),
        checkpoint_formats=("a diffusers unet folder",),
    )
    yield WorkloadSpec(
        name="digits-dit",
        summary="Miniature: a transformer that draws digits of 8 x 8 pixels, trained and shipped",
        api_version=1,
        factory="colfw_workloads.miniatures.transformer:DigitsDit",
        config="colfw_workloads.miniature_options:MiniatureOptions",
        group="pure_transformer",
        modality="image/digits",
        sources=("miniature", "checkpoint", "random"),
    )
    yield WorkloadSpec(
        name="digits-unet",
        summary="Miniature: a UNet with GEGLU transformer blocks that draws digits, trained and shipped",
        api_version=1,
        factory="colfw_workloads.miniatures.unet:DigitsUnet",
        config="colfw_workloads.miniature_options:MiniatureOptions",
        group="unet_transformer",
        modality="image/digits",
        sources=("miniature", "checkpoint", "random"),
    )
    yield WorkloadSpec(
        name="walker",
        summary="Miniature: a transformer that makes a stick figure walk, trained and shipped",
        api_version=1,
        factory="colfw_workloads.miniatures.motion:Walker",
        config="colfw_workloads.miniature_options:MiniatureOptions",
        group="motion_transformer",
        modality="motion/walker",
        sources=("miniature", "checkpoint", "random"),
    )
