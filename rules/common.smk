import re
import shlex
import sys
from collections import namedtuple
from pathlib import Path
from tempfile import TemporaryFile

import yaml
from snakemake.exceptions import WorkflowError

# The stages are modules of this checkout, wherever Snakemake was called and whatever environment a
# rule runs in. `pipefail`, Snakemake's default, is said again because a prefix replaces it. Ctrl-C
# and SIGTERM reach every program of a job: the shell then waits until the stage has saved or cleared
# away what it has, and `tee` until it has said so.
BASE = str(workflow.basedir)
sys.path.insert(0, BASE)
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(BASE)}; "
    """trap : INT TERM; tee() (trap "" INT TERM; exec tee "$@"); """
)

from preprocess.demo_subject import TRUTH_FILES
from ssp_nerf.config import (
    EvaluationConfig,
    ModelConfig,
    ProvenanceConfig,
    RenderingConfig,
    TrainingConfig,
    section_from_mapping,
)
from ssp_nerf.config_file import mistakes_of, section_values
from ssp_nerf.files import sha256
from ssp_nerf.keys import KEY_LENGTH, source_key, value_key
from ssp_nerf.variants import VARIANTS, variant_named
from ssp_nerf.weights import WEIGHT_FILES, WEIGHTED


def check_config():
    """Stop with one line for each mistake in the config, before anything runs."""
    schema = yaml.safe_load(Path(BASE, "schemas", "config.schema.yaml").read_text())
    mistakes = mistakes_of(config, schema)
    if mistakes:
        shown = "; ".join(mistakes[:MISTAKES_SHOWN])
        more = len(mistakes) - MISTAKES_SHOWN
        shown += f"; and {more} more" if more > 0 else ""
        raise WorkflowError(f"config.yaml (or --configfile, --config): {shown}")


MISTAKES_SHOWN = 8
check_config()

# `--resources gpu=1` of profiles/default, to which `--profile` is added, counts the cards of this
# machine. A cluster counts its own, and would be asked for one of `gpus`, and one job at a time.
if workflow.nodes is not None:  # jobs, which only clusters have
    workflow.register_resource("gpu", sys.maxsize)


def require_results():
    """Stop where nothing can be written, before the first job does in a traceback."""
    try:
        Path("results").mkdir(exist_ok=True)
        TemporaryFile(dir="results").close()
    except OSError as error:
        raise WorkflowError(
            f"results: {error.strerror}, in {Path('results').absolute()}. All that is made goes "
            "there: let it be written to, or work in another folder (snakemake --directory)."
        )


SUBJECTS = list(config["subjects"])
# Videos of other methods, of each subject.
VIDEOS = {subject: config["evaluation"]["videos"].get(subject, {}) for subject in SUBJECTS}
METHODS = sorted({method for videos in VIDEOS.values() for method in videos})
LOOKS = ("frames", "landmarks", "speech")  # stages that look at any video
SPEECHES = sorted({s for about in config["subjects"].values() for s in about.get("speeches", {})})
# Synthetic people, and the subjects that show one.
DEMO_PEOPLE = list(config["demo_subjects"])
DEMO_SUBJECTS = [
    subject
    for subject, about in config["subjects"].items()
    if about["video"] in {f"results/demo_subjects/{person}/video.mp4" for person in DEMO_PEOPLE}
]
# What the report's page is made of beside Python, which its source key covers.
PAGE_KEY = value_key(
    [sha256(path) for path in sorted(Path(BASE, "ssp_nerf/report/page").iterdir())]
)
QC_PICTURES = [
    "check.png",
    "crop.png",
    "landmarks.mp4",
    "parsing.mp4",
    "background.png",
    "face_model.mp4",
    "audio_features.png",
    "motion.png",
]
# Where it computes is a resource, not a parameter: moving to a GPU is no reason to train anew.
GPUS = 0 if config["device"] == "cpu" else 1
# What `python` is told to run training with: one process for each GPU, or nothing for one alone.
LAUNCHER = (
    f"-m torch.distributed.run --standalone --nproc-per-node {config['gpus']}"
    if GPUS and config["gpus"] > 1
    else ""
)
# Speech networks need packages that nothing else does.
SPEECH_ENV = (
    "../envs/preprocess.yaml"
    if config["audio"].get("extractor", "logmel") == "logmel"
    else "../envs/speech.yaml"
)
# So does a network that looks at pictures.
LANDMARKS_ENV, PARSING_ENV = (
    "../envs/preprocess.yaml" if offline else "../envs/evaluation.yaml"
    for offline in (
        config["landmarks"]["detector"] == "mediapipe",
        config["parsing"]["parser"] == "mesh",
    )
)
LANDMARK_GPUS = GPUS if config["landmarks"]["detector"] == "face_alignment" else 0


# Snakemake warns of each rule that `--cache` would apply to wherever it is not given.
CACHED = workflow.workflow_settings.cache is not None


def either(names, otherwise="nothing-in-config"):
    """A wildcard's constraint: one of these names."""
    return "|".join(map(re.escape, names)) or otherwise


def weights_of(*sections):
    """Files of weights that these sections of the config want, and that are there or can be had."""
    wanted = []
    for section in sections:
        chosen = str(config[section][WEIGHTED[section]])
        known = WEIGHT_FILES[section]
        every = chosen == "auto"  # metrics: all that can be measured with what there is
        for choice in known if every else map(str.strip, chosen.split(",")):
            for name in known.get(choice, ()):
                path = Path(config[section]["weights"], name)
                if path.exists() or (name in config["downloads"] and not every):
                    wanted.append(str(path))
    return wanted


DOWNLOADS = {
    path: config["downloads"][Path(path).name]
    for path in weights_of(*WEIGHTED)
    if Path(path).name in config["downloads"]
}


def download_of(wildcards):
    return DOWNLOADS[wildcards.weights]


wildcard_constraints:
    subject=either(SUBJECTS),
    speech=either(SPEECHES),
    method=either(METHODS),
    person=either(DEMO_PEOPLE),
    take="heldout|driven/[^/]+",
    variant=either(variant.name for variant in VARIANTS),
    face_model="makehuman|ict|bfm2009",


scattergather:
    render=config["rendering"]["parts"],


def flags(section, **more):
    """A config section as command-line flags: `max_gap: 25` becomes `--max-gap 25`."""
    words = []
    for key, value in {**section, **more}.items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, (list, tuple)):
            words += [flag, *map(str, value)]
        elif str(value).startswith("-"):
            words.append(f"{flag}={value}")  # or it would be read as another flag
        elif value is not None:
            words += [flag, str(value)]
    return shlex.join(words)


def on_card(gpus):
    """What runs a command on cards that no other job of the machine has."""
    return f"python -m ssp_nerf.card --gpus {gpus} --" if gpus else ""


def in_report(path, caption, category, shows, **more):
    """An output that `snakemake --report` shows, under its subject; caption: a file of report/."""
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory="{subject}",
        labels={"shows": shows},
        **more,
    )


def section_flags(section):
    """Flags of model, training or rendering; how a take is scattered is not the command's affair."""
    known = section_from_mapping(section, section_values(config, section))
    return flags({key: value for key, value in vars(known).items() if key != "parts"})


def stage_flags(parser):
    """How the stages look at a video that is evaluated: as they did at the subject's."""
    return flags(
        {
            "detector": config["landmarks"]["detector"],
            "parser": parser,
            "stage_weights": config["landmarks"]["weights"],
        }
    )


def variant_flags(section):
    """Flags of model or training for the variant in the path."""

    def of_variant(wildcards):
        known = section_from_mapping(section, config.get(section.section) or {})
        variant = variant_named(wildcards.variant)
        return flags(vars(variant.configured(known, config["ablations"]["steps"])))

    return of_variant


def subject_video(wildcards):
    return config["subjects"][wildcards.subject]["video"]


def speech_file(wildcards):
    speeches = config["subjects"][wildcards.subject].get("speeches", {})
    if wildcards.speech not in speeches:
        raise WorkflowError(
            f"subjects.{wildcards.subject}.speeches has no {wildcards.speech!r}; "
            f"it has: {', '.join(speeches) or 'none'}"
        )
    return speeches[wildcards.speech]


def truth_file(name):
    """A file of what is true of a synthetic subject; it lies beside its video."""

    def path(wildcards):
        if wildcards.subject not in DEMO_SUBJECTS:
            raise WorkflowError(
                f"subjects.{wildcards.subject}.video is {subject_video(wildcards)!r}: accuracy can "
                "only be measured where the truth is known, on results/demo_subjects/*/video.mp4"
            )
        return str(Path(subject_video(wildcards)).parent / "truth" / name)

    return path


def measured_subjects(wildcards):
    """Accuracy of every subject whose truth is known."""
    if not DEMO_SUBJECTS:
        raise WorkflowError(
            "no subject shows a synthetic person: add --configfile config/demo_subjects.yaml"
        )
    return expand("results/{subject}/accuracy.json", subject=DEMO_SUBJECTS)


def built_face_model(wildcards):
    """The face model that is not learned from the clip itself."""
    model = config["face_model"]["model"]
    return [] if model == "facemesh" else [f"results/face_models/{model}.h5"]


def face_model_files(wildcards):
    """Those of the user's that there are; the command says which are missing."""
    weights = Path(config["face_model"]["weights"])
    files = {"bfm2009": "01_MorphableModel.mat", "ict": "FaceXModel/*.*"}
    return sorted(map(str, weights.glob(files.get(wildcards.face_model, "no file"))))


def provenance_flags(wildcards):
    """What a subject's generated videos say of themselves beside what their parts tell."""
    known = section_from_mapping(ProvenanceConfig, config["provenance"])
    consent = config["subjects"][wildcards.subject].get("consent")
    return flags(vars(known), subject=wildcards.subject, consent=consent)


def cut_flags(wildcards):
    """Which stretch of the subject's video is used."""
    about = config["subjects"][wildcards.subject]
    return flags({key: about.get(key) for key in ("start", "duration")})


def take_features(wildcards):
    """Speech features behind a take: the clip's own, or those of a driving speech."""
    if wildcards.take == "heldout":
        return f"results/{wildcards.subject}/audio_features.h5"
    return f"results/{wildcards.subject}/{wildcards.take}/audio_features.h5"


def driven_videos():
    return [
        f"results/{subject}/driven/{speech}.mp4"
        for subject, about in config["subjects"].items()
        for speech in about.get("speeches", {})
    ]


def takes():
    """Every video that the config asks for: held-out frames and all speeches of each subject."""
    Take = namedtuple("Take", "subject speech video metrics")
    for subject, about in config["subjects"].items():
        folder = f"results/{subject}"
        yield Take(subject, "heldout", f"{folder}/video.mp4", f"{folder}/metrics.json")
        for speech in about.get("speeches", {}):
            driven = f"{folder}/driven/{speech}"
            yield Take(subject, speech, f"{driven}.mp4", f"{driven}/metrics.json")


TAKES = list(takes())


def of_takes(field):
    """A field of every video that the config asks for."""

    def values(wildcards):
        if not TAKES:
            raise WorkflowError("no subject in the config: a summary is of one at least")
        return [getattr(take, field) for take in TAKES]

    return values


def method_video(wildcards):
    return VIDEOS[wildcards.subject][wildcards.method]


def method_metrics(wildcards):
    """Ours, those of other methods, and the portrait driven by other speeches."""
    folder = f"results/{wildcards.subject}"
    speeches = config["subjects"][wildcards.subject].get("speeches", {})
    return [
        f"{folder}/metrics.json",
        *(f"{folder}/methods/{method}/metrics.json" for method in VIDEOS[wildcards.subject]),
        *(f"{folder}/driven/{speech}/metrics.json" for speech in speeches),
    ]


def variant_files(wildcards):
    """For each variant what the gathering command wants: model, metrics, rendered parts."""
    folder = f"results/{wildcards.subject}/ablations"
    return {
        variant.name: [
            f"{folder}/{variant.name}/model",
            f"{folder}/{variant.name}/metrics.json",
            *gather.render(f"{folder}/{variant.name}/renders/{{scatteritem}}.h5"),
        ]
        for variant in VARIANTS
    }


def qc_pictures():
    """What each stage saw, of every subject."""
    return expand("results/{subject}/qc/{picture}", subject=SUBJECTS, picture=QC_PICTURES)
