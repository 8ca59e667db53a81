"""Hostile data: files of the pipeline, checkpoints, bundles, weights; damaged, or made to harm."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from preprocess.deepspeech import GRAPH
from tests.hostile.case import CANARY, Case, Folders
from tests.preprocess import stages
from tests.ssp_nerf import synthetic_clip as clip
from tests.ssp_nerf.small_training import arguments as training_arguments
from tests.ssp_nerf.small_training import train

TRAIN, RENDER = "ssp_nerf.train", "ssp_nerf.render"
Arguments = Callable[[Folders], list[str]]
Harm = Callable[[h5py.File], Any]


class Payload:
    """Unpickled, it makes a file in the working directory, which is the case's own."""

    def __reduce__(self):
        return Path.touch, (Path(CANARY),)


def dataset(folders: Folders) -> Path:
    path = folders.made / "dataset.h5"
    return path if path.exists() else clip.write_dataset(path)


def features(folders: Folders) -> Path:
    path = folders.made / "features.h5"
    return path if path.exists() else clip.write_features(path)


def model(folders: Folders) -> Path:
    """A bundle of two steps, with its checkpoint beside it."""
    folder = folders.made / "trained"
    if not folder.exists():
        train(folder, dataset(folders), "--steps", "2")
    return folder / "model"


# Training: datasets and checkpoints


def on_dataset(harm: Harm) -> Arguments:
    """Arguments of training on a dataset that was harmed inside HDF5."""

    def arguments(folders: Folders) -> list[str]:
        path = Path(shutil.copy(dataset(folders), folders.own / "dataset.h5"))
        with h5py.File(path, "r+") as file:
            harm(file)
        return training_arguments(folders.out, path, "--steps", "1")

    return arguments


def on_bytes(change: Callable[[bytes], bytes]) -> Arguments:
    """Arguments of training on a dataset whose bytes were changed."""

    def arguments(folders: Folders) -> list[str]:
        path = folders.own / "dataset.h5"
        path.write_bytes(change(dataset(folders).read_bytes()))
        return training_arguments(folders.out, path, "--steps", "1")

    return arguments


def on_checkpoint(harm: Callable[[Path], Any]) -> Arguments:
    """Arguments of a training that would continue from a checkpoint that was harmed."""

    def arguments(folders: Folders) -> list[str]:
        model(folders)
        kept = shutil.copytree(folders.made / "trained" / "checkpoints", folders.own / "kept")
        harm(next(kept.glob("*/checkpoint.pt")))
        words = training_arguments(folders.out, dataset(folders), "--steps", "3")
        words[words.index("--checkpoints") + 1] = str(kept)
        return words

    return arguments


def put(name: str, where: Any, value: Any) -> Harm:
    def harm(file: h5py.File) -> None:
        file[name][where] = value

    return harm


def attribute(name: str, value: Any) -> Harm:
    def harm(file: h5py.File) -> None:
        file.attrs[name] = value

    return harm


def replaced(name: str, **array: Any) -> Harm:
    """Another array in the place of one."""

    def harm(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **array)

    return harm


def elsewhere(file: h5py.File) -> None:
    del file["c2w"]
    file["c2w"] = h5py.ExternalLink("/etc/hostname", "c2w")


def raw_bytes_of_another_file(file: h5py.File) -> None:
    shape = file["c2w"].shape
    del file["c2w"]
    file.create_dataset("c2w", shape, "float32", external=[("/etc/passwd", 0, 4 * 12 * shape[0])])


def a_group(file: h5py.File) -> None:
    del file["c2w"]
    file.create_group("c2w")


def spoilt_frame(file: h5py.File) -> None:
    """Noise in the place of a packed frame."""
    file["frames"].id.write_direct_chunk((3, 0, 0, 0), b"\x78\x01" + bytes(range(200)))


def short_frame(file: h5py.File) -> None:
    """A frame that unpacks to fewer pixels than it has."""
    import zlib

    file["parsing"].id.write_direct_chunk((2, 0, 0), zlib.compress(b"\x01" * 10))


def other_network(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    state["model"] = {name: value[..., :1] for name, value in state["model"].items()}
    torch.save(state, path)


# Rendering: bundles and speech features


def on_bundle(harm: Callable[[Path], Any]) -> Arguments:
    """Arguments of rendering a bundle that was harmed."""

    def arguments(folders: Folders) -> list[str]:
        bundle = shutil.copytree(model(folders), folders.own / "model")
        harm(bundle)
        return rendering(folders, bundle, features(folders))

    return arguments


def rendering(folders: Folders, bundle: Path, speech: Path) -> list[str]:
    return [
        f"--bundle={bundle}", f"--audio-features={speech}", f"--output={folders.out}/part.h5",
        "--device=cpu", "--part=1-of-6",
    ]  # fmt: skip


def described(**changes: Any) -> Callable[[Path], None]:
    def harm(bundle: Path) -> None:
        about = json.loads((bundle / "bundle.json").read_text())
        (bundle / "bundle.json").write_text(json.dumps(about | changes))

    return harm


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def harm(bundle: Path) -> None:
        held = load_file(bundle / f"{name}.safetensors")
        change(held)
        save_file(held, bundle / f"{name}.safetensors")

    return harm


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    def harm(bundle: Path) -> None:
        (bundle / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return harm


def with_features(make: Callable[[Path], Path], harm: Harm = lambda file: None) -> Arguments:
    def arguments(folders: Folders) -> list[str]:
        speech = make(folders.own / "speech.h5")
        with h5py.File(speech, "r+") as file:
            harm(file)
        return rendering(folders, model(folders), speech)

    return arguments


# Preprocessing: files of one stage for the next, and weights


def packed(**harms: Harm) -> Arguments:
    """Arguments of `preprocess.pack`, some of whose inputs were harmed."""

    def arguments(folders: Folders) -> list[str]:
        import cv2

        count, size = 11, 40
        own = folders.own
        stages.write_frames(own / "frames.h5", np.zeros((count, size, size, 3), np.uint8))
        stages.write_parsing(own / "parsing.h5", np.zeros((count, size, size), np.uint8))
        stages.write_track(own / "track.h5", count, size, size, 100.0)
        stages.write_audio_features(own / "audio.h5", count)
        cv2.imwrite(str(own / "background.png"), np.zeros((size, size, 3), np.uint8))
        for name, harm in harms.items():
            if name == "background":
                harm(own / "background.png")  # type: ignore[arg-type]
                continue
            with h5py.File(own / f"{name}.h5", "r+") as file:
                harm(file)
        return [
            f"--frames={own}/frames.h5", f"--parsing={own}/parsing.h5", f"--track={own}/track.h5",
            f"--background={own}/background.png", f"--audio-features={own}/audio.h5",
            f"--dataset={folders.out}/dataset.h5",
        ]  # fmt: skip

    return arguments


def shrunk(name: str) -> Harm:
    def harm(file: h5py.File) -> None:
        values = file[name][()][:-1]
        meaning = file[name].attrs["meaning"]
        del file[name]
        file.create_dataset(
            name, data=values, chunks=(1, *values.shape[1:]), compression="gzip"
        ).attrs["meaning"] = meaning

    return harm


def parsing_with(content: Callable[[Path], Any]) -> Arguments:
    """Arguments of `preprocess.parsing` with a weight file for BiSeNet."""

    def arguments(folders: Folders) -> list[str]:
        own = folders.own
        stages.write_frames(own / "frames.h5", np.zeros((2, 64, 64, 3), np.uint8))
        points = np.full((2, 478, 3), 30, np.float32)
        stages.write_landmarks(own / "landmarks.h5", points, 64, 64)
        content(own / "parsing_bisenet.pth")
        return [
            f"--frames={own}/frames.h5", f"--landmarks={own}/landmarks.h5",
            f"--parsing={folders.out}/parsing.h5", "--parser=bisenet", f"--weights={own}",
            "--device=cpu",
        ]  # fmt: skip

    return arguments


def heard_by(extractor: str, content: Callable[[Path], Any]) -> Arguments:
    """Arguments of `preprocess.audio_features` with a network's files."""
    from tests import clips

    def arguments(folders: Folders) -> list[str]:
        wav = clips.write_wav(folders.own / "s.wav", np.zeros(16000), 16000)
        content(folders.own)
        return [
            f"--speech={wav}", f"--features={folders.out}/f.h5", f"--extractor={extractor}",
            f"--weights={folders.own}", "--hubert=network",
        ]  # fmt: skip

    return arguments


def pickled_hubert(folder: Path) -> None:
    (folder / "network").mkdir()
    about = {"model_type": "hubert", "hidden_size": 8, "num_hidden_layers": 1,
             "num_attention_heads": 1, "intermediate_size": 8}  # fmt: skip
    (folder / "network" / "config.json").write_text(json.dumps(about))
    (folder / "network" / "preprocessor_config.json").write_text(
        '{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}'
    )
    torch.save({"x": Payload()}, folder / "network" / "pytorch_model.bin")


def hubert_with_code(folder: Path) -> None:
    """A network's folder that names Python of its own."""
    pickled_hubert(folder)
    (folder / "network" / "config.json").write_text(
        '{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.M"}}'
    )
    (folder / "network" / "mine.py").write_text(f"open({CANARY!r}, 'w')\n")


def bfm(content: bytes) -> Arguments:
    def arguments(folders: Folders) -> list[str]:
        own = folders.own
        points = np.full((2, 478, 3), 30, np.float32)
        stages.write_landmarks(own / "landmarks.h5", points, 64, 64)
        stages.write_frames(own / "frames.h5", np.zeros((2, 64, 64, 3), np.uint8))
        (own / "01_MorphableModel.mat").write_bytes(content)
        return [
            f"--landmarks={own}/landmarks.h5", f"--frames={own}/frames.h5",
            f"--track={folders.out}/track.h5", "--model=bfm2009", f"--weights={own}",
        ]  # fmt: skip

    return arguments


def report_of(content: str) -> Arguments:
    def arguments(folders: Folders) -> list[str]:
        (folders.own / "check.json").write_text(content)
        return [f"--check={folders.own}/check.json", f"--admitted={folders.out}/admitted.txt"]

    return arguments


def pickle_of(value: Any) -> Callable[[Path], Any]:
    return lambda path: torch.save(value, path)


def data(what: str, module: str, arguments: Arguments, refusal: str, **more: Any) -> Case:
    return Case("data", what, module, arguments, refusal, **more)


NAN, LONG_HEADER = float("nan"), struct.pack("<Q", 2**62) + b"{}"
NOT_FINITE, REMADE = "no finite number", "makes it anew"
OTHER_ARRAY = "is no array of this file"

CASES = [
    data("dataset: text", TRAIN, on_bytes(lambda b: b"no\n" * 999), "cannot be opened"),
    data("dataset: cut off", TRAIN, on_bytes(lambda b: b[: len(b) // 2]), "cannot be opened"),
    data("dataset: of another version", TRAIN, on_dataset(attribute("schema_version", 1)),
         "schema version 1, this program reads"),
    data("dataset: another kind of file", TRAIN, on_dataset(attribute("kind", "frames")),
         "got kind 'frames'"),
    data("dataset: an array is missing", TRAIN, on_dataset(lambda f: f.pop("c2w")), "is missing"),
    data("dataset: an attribute is missing", TRAIN, on_dataset(lambda f: f.attrs.pop("focal")),
         "['focal'] are missing"),
    data("dataset: poses of another shape", TRAIN,
         on_dataset(replaced("c2w", data=np.zeros((3, 4), np.float32))), "expected float32"),
    data("dataset: poses are a folder", TRAIN, on_dataset(a_group), OTHER_ARRAY),
    data("dataset: poses in another file", TRAIN, on_dataset(elsewhere), "c2w"),
    data("dataset: poses from /etc/passwd", TRAIN, on_dataset(raw_bytes_of_another_file),
         OTHER_ARRAY),
    data("dataset: NaN in a pose", TRAIN, on_dataset(put("c2w", (2, 0, 0), NAN)),
         f"row 2 of array 'c2w' (camera to head frame, OpenGL axes, decimetres) holds what is "
         f"{NOT_FINITE}"),
    data("dataset: infinite speech", TRAIN, on_dataset(put("audio", (0, 0, 0), np.inf)),
         NOT_FINITE),
    data("dataset: NaN in a vertex", TRAIN, on_dataset(put("vertices", 0, NAN)), NOT_FINITE),
    data("dataset: focal is NaN", TRAIN, on_dataset(attribute("focal", NAN)), "focal is"),
    data("dataset: focal is text", TRAIN, on_dataset(attribute("focal", "wide")), "focal is"),
    data("dataset: focal is a list", TRAIN, on_dataset(attribute("focal", [1.0, 2.0])), "focal is"),
    data("dataset: near behind far", TRAIN, on_dataset(attribute("near", 20.0)),
         "expected near before far"),
    data("dataset: a class that there is not", TRAIN, on_dataset(put("parsing", 4, 77)),
         "names class 77"),
    data("dataset: triangles of no vertex", TRAIN, on_dataset(put("faces", 0, 999)),
         "triangles name vertices"),
    data("dataset: nothing to train on", TRAIN, on_dataset(put("held_out", slice(None), True)),
         "0 of 12 frames are left to train on"),
    data("dataset: no frames", TRAIN, on_dataset(lambda f: [
         replaced(n, data=f[n][:0])(f)
         for n in ("frames", "parsing", "c2w", "time", "audio", "held_out")]),
         "0 of 0 frames are left to train on"),
    data("dataset: a damaged frame", TRAIN, on_dataset(spoilt_frame), "frame 3 of the array"),
    data("dataset: a frame too short", TRAIN, on_dataset(short_frame), "frame 2 of the array"),
    data("dataset: packed in another way", TRAIN, on_dataset(replaced(
         "frames", data=clip.pictures(), chunks=(2, 40, 48, 3), compression="lzf")),
         "not packed frame by frame"),
    data("checkpoint: with code (pickle)", TRAIN,
         on_checkpoint(pickle_of({"step": Payload()})), "cannot continue from this checkpoint"),
    data("checkpoint: cut off", TRAIN,
         on_checkpoint(lambda p: p.write_bytes(p.read_bytes()[:999])), "cannot continue"),
    data("checkpoint: text", TRAIN, on_checkpoint(lambda p: p.write_text("no")), "cannot continue"),
    data("checkpoint: a number", TRAIN, on_checkpoint(pickle_of(5)), "cannot continue"),
    data("checkpoint: of another network", TRAIN, on_checkpoint(other_network), "cannot continue"),
    data("model: description missing", RENDER, on_bundle(lambda b: (b / "bundle.json").unlink()),
         "does not exist"),
    data("model: description is a list", RENDER, on_bundle(text("bundle.json", "[]")),
         "not the JSON of a model"),
    data("model: description nested 100,000 deep", RENDER,
         on_bundle(text("bundle.json", "[" * 100_000)), "not the JSON of a model"),
    data("model: description in Latin-1", RENDER, on_bundle(text("bundle.json", b'{"\xe9": 1}')),
         "not the JSON of a model"),
    data("model: of another version", RENDER, on_bundle(described(version=99)),
         "bundle version 99"),
    data("model: width is text", RENDER, on_bundle(described(width="big")), "width is 'big'"),
    data("model: width of a million million", RENDER, on_bundle(described(width=10**12)),
         "width is 1000000000000"),
    data("model: negative height", RENDER, on_bundle(described(height=-1)), "height is -1"),
    data("model: focal is NaN", RENDER, on_bundle(described(focal=NAN)), "focal is nan"),
    data("model: far before near", RENDER, on_bundle(described(far=1.0)), "near is not before far"),
    data("model: settings of none", RENDER, on_bundle(described(model={"wings": 2})),
         "do not fit together"),
    data("model: settings out of range", RENDER, on_bundle(described(model={"depth": 0})),
         "bundle.json: model.depth"),
    data("model: NaN in a pose", RENDER, on_bundle(tensors(
         "scene", lambda t: t["c2w"][0].fill_(NAN))), NOT_FINITE),
    data("model: NaN in a weight", RENDER, on_bundle(tensors(
         "weights", lambda t: next(v for v in t.values() if v.is_floating_point()).fill_(NAN))),
         NOT_FINITE),
    data("model: background of another size", RENDER, on_bundle(tensors(
         "scene", lambda t: t.update(background=t["background"][:-1]))), "background is"),
    data("model: weights of another network", RENDER, on_bundle(tensors(
         "weights", lambda t: t.update({n: v[..., :1].clone() for n, v in t.items()}))),
         "do not fit together"),
    data("model: weights are a pickle", RENDER, on_bundle(lambda b: torch.save(
         {"x": Payload()}, b / "weights.safetensors")), "damaged safetensors"),
    data("model: weights cut off", RENDER, on_bundle(lambda b: (b / "weights.safetensors")
         .write_bytes((b / "weights.safetensors").read_bytes()[:500])), "damaged safetensors"),
    data("model: a header of 4 exabytes", RENDER, on_bundle(text("scene.safetensors", LONG_HEADER)),
         "damaged safetensors"),
    data("speech of another extractor", RENDER, with_features(
         lambda p: clip.write_features(p, 4, "deepspeech")), "the model was trained on"),
    data("speech of another width", RENDER, with_features(lambda p: clip.write_features(p, 7)),
         "the model was trained on"),
    data("speech: NaN", RENDER, with_features(clip.write_features, put("windows", 0, NAN)),
         NOT_FINITE),
    data("pack: stages of other clips", "preprocess.pack", packed(frames=shrunk("frames")),
         "not of the same clip"),
    data("pack: NaN in the track", "preprocess.pack", packed(track=put("c2w", 0, NAN)), NOT_FINITE),
    data("pack: a damaged frame", "preprocess.pack", packed(frames=lambda f: f["frames"].id
         .write_direct_chunk((0, 0, 0, 0), b"noise")), "frame 0 of the array"),
    data("pack: background is text", "preprocess.pack",
         packed(background=lambda p: p.write_text("no")), "expected a PNG picture"),
    data("pack: background of another size", "preprocess.pack",
         packed(background=lambda p: __import__("cv2").imwrite(str(p), np.zeros((9, 9, 3)))),
         "made for 9x9 pixels"),
    data("BiSeNet: with code (pickle)", "preprocess.parsing",
         parsing_with(pickle_of({"x": Payload()})), "not the weight file"),
    data("BiSeNet: of another network", "preprocess.parsing",
         parsing_with(pickle_of({"x": torch.zeros(3)})), "not the weight file"),
    data("BiSeNet: text", "preprocess.parsing", parsing_with(lambda p: p.write_text("no")),
         "not the weight file"),
    data("BiSeNet: none", "preprocess.parsing", parsing_with(lambda p: None), "found none"),
    data("DeepSpeech: another file", "preprocess.audio_features", heard_by(
         "deepspeech", lambda f: (f / GRAPH).write_bytes(b"no")), "not the weight file"),
    data("HuBERT: with code (pickle)", "preprocess.audio_features",
         heard_by("hubert", pickled_hubert), "expected HuBERT"),
    data("HuBERT: with code (Python)", "preprocess.audio_features",
         heard_by("hubert", hubert_with_code), "expected HuBERT"),
    data("Basel Face Model: text", "preprocess.face_model", bfm(b"no\n" * 99),
         "01_MorphableModel.mat"),
    data("Basel Face Model: cut off", "preprocess.face_model",
         bfm(b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\0\1IM" + b"\x0f\0\0\0\xff\xff\0\0noise"),
         "01_MorphableModel.mat"),
    data("report of the check: text", "preprocess.check.admit", report_of("no"), "expected what"),
    data("report of the check: a list", "preprocess.check.admit", report_of("[1]"),
         "expected what"),
    data("report of the check: deep", "preprocess.check.admit", report_of("[" * 99999),
         "expected what"),
]  # fmt: skip
