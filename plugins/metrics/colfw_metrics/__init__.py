"""Quality metrics: dense against masked output, one file a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw import hookimpl
from colfw.records import MetricSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIGHER, _LOWER = "higher is better", "lower is better"
_INCEPTION = "pt_inception-2015-12-05-6726825d.pth, from the releases of github.com/mseitzer/pytorch-fid"
_EVALUATOR = (
    "t2m/text_mot_match/model/finest.tar, as github.com/EricGuo5513/text-to-motion links it",
    "the evaluator's own mean.npy and std.npy: t2m/Comp_v6_KLD01/meta beside it, or dataset/t2m_mean.npy and"
    " t2m_std.npy of github.com/GuyTevet/motion-diffusion-model",
)
_SHOWN = {"dense": {"of": "dense"}, "difference": {"of": "difference"}}
_CLIP = "a CLIP folder in transformers' layout, such as openai/clip-vit-large-patch14 of huggingface.co"


@hookimpl
def colfw_metrics() -> Iterator[MetricSpec]:
    yield from _of_images()
    yield from _of_video_and_sound()
    yield from _of_motion()
    yield from _of_miniatures()


def _of_images() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="psnr",
        summary="Peak signal-to-noise ratio of masked images against dense ones, mean over images",
        api_version=1,
        factory="colfw_metrics.psnr:Psnr",
        config="colfw_metrics.image_options:PsnrConfig",
        presets={"pooled": {"pooling": "pooled"}},
        direction=_HIGHER,
        unit="dB",
        modalities=("image", "video"),
    )
    yield MetricSpec(
        name="ssim",
        summary="Structural similarity of masked images with dense ones, mean over images",
        api_version=1,
        factory="colfw_metrics.ssim:Ssim",
        config="colfw_metrics.image_options:SsimConfig",
        presets={name: {"convention": name} for name in ("wang", "torchmetrics", "scikit-image")},
        direction=_HIGHER,
        unit="1",
        modalities=("image", "video"),
    )
    yield MetricSpec(
        name="fid",
        summary="Frechet distance of what Inception sees of dense and of masked images",
        api_version=1,
        factory="colfw_metrics.fid:Fid",
        config="colfw_metrics.inception_options:FidConfig",
        presets={name: {"resize": name} for name in ("torch-fidelity", "pytorch-fid", "clean-fid")},
        direction=_LOWER,
        unit="1",
        modalities=("image",),
        weights=(_INCEPTION,),
        minimum_samples=2,
    )
    yield MetricSpec(
        name="inception-score",
        summary="How sure Inception is of each masked image's class, and of how many classes",
        api_version=1,
        factory="colfw_metrics.inception_score:InceptionScore",
        config="colfw_metrics.inception_options:InceptionScoreConfig",
        direction=_HIGHER,
        unit="1",
        modalities=("image",),
        weights=(_INCEPTION,),
        minimum_samples=2,
    )
    yield MetricSpec(
        name="lpips",
        summary="LPIPS v0.1: distance of masked images from dense ones as a network sees it",
        api_version=1,
        factory="colfw_metrics.lpips:Lpips",
        config="colfw_metrics.image_options:LpipsConfig",
        presets={"vgg": {"network": "vgg"}, "alex": {"network": "alex"}},
        direction=_LOWER,
        unit="1",
        modalities=("image", "video"),
        weights=(
            "vgg: torchvision's vgg16-397923af.pth, from download.pytorch.org/models",
            "alex: torchvision's alexnet-owt-7be5be79.pth, from download.pytorch.org/models",
        ),
    )
    yield MetricSpec(
        name="clip-score",
        summary="How well masked images follow their prompts, as CLIP sees it; compare with the dense set's",
        api_version=1,
        factory="colfw_metrics.clip_score:ClipScore",
        config="colfw_metrics.image_options:ClipScoreConfig",
        presets={name: {"convention": name} for name in ("torchmetrics", "hessel")},
        direction=_HIGHER,
        unit="1",
        modalities=("image", "video"),
        weights=(_CLIP,),
    )
    yield MetricSpec(
        name="clip-image-similarity",
        summary="Mean cosine of CLIP's embeddings of a dense image and its masked one",
        api_version=1,
        factory="colfw_metrics.clip_score:ClipImageSimilarity",
        config="colfw_metrics.image_options:ClipConfig",
        direction=_HIGHER,
        unit="1",
        modalities=("image", "video"),
        weights=(_CLIP,),
    )


def _of_video_and_sound() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="fvd",
        summary="Frechet distance between what I3D sees in dense and in masked videos",
        api_version=1,
        factory="colfw_metrics.fvd:Fvd",
        config="colfw_metrics.media_options:FvdConfig",
        presets={name: {"frames": name} for name in ("original", "tats", "videogpt")},
        direction=_LOWER,
        unit="1",
        modalities=("video",),
        weights=("i3d_pretrained_400.pt, published with VideoGPT and TATS (github.com/songweige/TATS)",),
        minimum_samples=2,
    )
    yield MetricSpec(
        name="fad",
        summary="Frechet distance between what VGGish hears in dense and in masked sound",
        api_version=1,
        factory="colfw_metrics.fad:Fad",
        config="colfw_metrics.media_options:FadConfig",
        presets={name: {"windows": name} for name in ("adjacent", "overlapping")},
        direction=_LOWER,
        unit="1",
        modalities=("audio",),
        weights=("vggish-10086976.pth, from github.com/harritaylor/torchvggish/releases",),
        minimum_samples=2,
    )
    yield MetricSpec(
        name="pesq",
        summary="How good masked sound is beside dense sound, as listeners of speech would rate it",
        api_version=1,
        factory="colfw_metrics.pesq:Pesq",
        config="colfw_metrics.media_options:PesqConfig",
        presets={name: {"band": name} for name in ("narrow", "wide")},
        direction=_HIGHER,
        unit="MOS-LQO",
        modalities=("audio",),
    )


def _of_motion() -> Iterator[MetricSpec]:
    yield MetricSpec(
        name="mpjpe",
        summary="Mean distance of masked joints from dense ones, roots aligned unless told otherwise",
        api_version=1,
        factory="colfw_metrics.mpjpe:Mpjpe",
        config="colfw_metrics.motion_options:MpjpeConfig",
        presets={name: {"alignment": name} for name in ("root", "none", "procrustes")},
        direction=_LOWER,
        unit="mm",
        modalities=("motion",),
    )
    yield MetricSpec(
        name="acceleration-error",
        summary="Mean distance of masked accelerations of joints from dense ones",
        api_version=1,
        factory="colfw_metrics.mpjpe:AccelerationError",
        direction=_LOWER,
        unit="mm/frame^2",
        modalities=("motion",),
    )
    yield MetricSpec(
        name="mfid",
        summary="Frechet distance of masked motions from dense ones as the HumanML3D evaluator sees them",
        api_version=1,
        factory="colfw_metrics.motion_fid:MotionFid",
        config="colfw_metrics.motion_options:MotionEvaluatorConfig",
        direction=_LOWER,
        unit="1",
        modalities=("motion",),
        weights=_EVALUATOR,
        minimum_samples=2,
    )
    for features, factory, what in (
        ("kinetic", "KineticFid", "energies of joints"),
        ("geometric", "GeometricFid", "states of the body"),
    ):
        yield MetricSpec(
            name=f"dance-fid-{features}",
            summary=f"Frechet distance of masked dances from dense ones by {what} (FID of AIST++)",
            api_version=1,
            factory=f"colfw_metrics.dance_features:{factory}",
            config="colfw_metrics.motion_options:DanceFidConfig",
            direction=_LOWER,
            unit="1",
            modalities=("motion",),
            minimum_samples=2,
        )
    yield MetricSpec(
        name="r-precision",
        summary="Share of texts whose own masked motion is among the nearest of 32",
        api_version=1,
        factory="colfw_metrics.r_precision:RPrecision",
        config="colfw_metrics.motion_options:RPrecisionConfig",
        presets={**{f"top-{top}": {"top": top} for top in (1, 2, 3)}, **_SHOWN},
        direction=_HIGHER,
        unit="1",
        modalities=("motion",),
        weights=_EVALUATOR,
        minimum_samples=32,
    )
    yield MetricSpec(
        name="matching-score",
        summary="Mean distance of masked motions from their texts as the HumanML3D evaluator sees both",
        api_version=1,
        factory="colfw_metrics.r_precision:MatchingScore",
        config="colfw_metrics.motion_options:TextMatchConfig",
        presets=_SHOWN,
        direction=_LOWER,
        unit="1",
        modalities=("motion",),
        weights=_EVALUATOR,
        minimum_samples=32,
    )
    for name, factory, what in (
        ("diversity", "Diversity", "masked motions"),
        ("multimodality", "Multimodality", "masked motions of one text"),
    ):
        yield MetricSpec(
            name=name,
            summary=f"Mean distance of {what} from one another as the HumanML3D evaluator sees them",
            api_version=1,
            factory=f"colfw_metrics.r_precision:{factory}",
            config=f"colfw_metrics.motion_options:{factory}Config",
            presets=_SHOWN,
            direction=_HIGHER,
            unit="1",
            modalities=("motion",),
            weights=_EVALUATOR,
            minimum_samples=2,
        )
    yield MetricSpec(
        name="bas",
        summary="Beat alignment score: how well masked dances keep time with their music",
        api_version=1,
        factory="colfw_metrics.beat_alignment:BeatAlignment",
        config="colfw_metrics.motion_options:BeatAlignmentConfig",
        presets={"bailando": {"definition": "bailando"}, "aist": {"definition": "aist++"}, **_SHOWN},
        direction=_HIGHER,
        unit="1",
        modalities=("motion",),
    )
    yield MetricSpec(
        name="pfc",
        summary="Physical foot contact: how much masked bodies speed up while no foot stands",
        api_version=1,
        factory="colfw_metrics.foot_contact:FootContact",
        config="colfw_metrics.motion_options:FootContactConfig",
        presets=_SHOWN,
        direction=_LOWER,
        unit="1",
        modalities=("motion",),
    )


def _of_miniatures() -> Iterator[MetricSpec]:
    """On features of small classifiers that come with colfw."""
    for sort, modality, factory, what in (
        ("digits", "image/digits", "fd_digits:FdDigits", "digits"),
        ("motion", "motion/walker", "fd_motion:FdMotion", "walks"),
    ):
        yield MetricSpec(
            name=f"fd-{sort}",
            summary=f"Frechet distance of {what}, on features of a small shipped classifier; no FID",
            api_version=1,
            factory=f"colfw_metrics.{factory}",
            direction=_LOWER,
            unit="variances of a real feature",
            modalities=(modality,),
            minimum_samples=33,
        )
    for modality, factory, what in (
        ("image/digits", "fd_digits:DigitsKept", "digits"),
        ("motion/walker", "fd_motion:WalksKept", "walks"),
    ):
        yield MetricSpec(
            name=f"{what}-kept",
            summary=f"Share of {what} that a small shipped classifier takes for what their dense twins are",
            api_version=1,
            factory=f"colfw_metrics.{factory}",
            direction=_HIGHER,
            unit="%",
            modalities=(modality,),
        )
