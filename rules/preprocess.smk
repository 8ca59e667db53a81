# Snakemake knows no order without dependence, and no stage should run again because a threshold of
# the check changed. So the check has priority, a video that is not admitted ends the run, and only
# the last step, which takes a second, depends on it (rules/render.smk).
rule check_video:
    input:
        video=subject_video,
    output:
        check="results/{subject}/check.json",
        picture=in_report(
            "results/{subject}/qc/check.png", "qc/check", "Stages", "check of the video"
        ),
    log:
        "results/{subject}/logs/check_video.log",
    benchmark:
        "results/{subject}/benchmarks/check_video.tsv"
    priority: 100
    conda:
        "../envs/preprocess.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        flags=flags(config["crop"]),
        cut=cut_flags,
        code=source_key("preprocess.check.__main__"),
    shell:
        "python -m preprocess.check --check {output.check} --picture {output.picture}"
        " {params.flags} {params.cut} -- {input.video:q} 2>&1 | tee {log}"


rule admit_video:
    input:
        check="results/{subject}/check.json",
    output:
        admitted="results/{subject}/admitted.txt",
    log:
        "results/{subject}/logs/admit_video.log",
    priority: 100
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        flags=flags(config["check"]),
        code=source_key("preprocess.check.admit"),
    shell:
        "python -m preprocess.check.admit --check {input.check} --admitted {output.admitted}"
        " {params.flags} 2>&1 | tee {log}"


rule crop_video:
    input:
        video=subject_video,
    output:
        portrait="results/{subject}/portrait.mp4",
        frames="results/{subject}/frames.h5",
    log:
        "results/{subject}/logs/crop_video.log",
    benchmark:
        "results/{subject}/benchmarks/crop_video.tsv"
    conda:
        "../envs/preprocess.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        flags=flags(config["crop"]),
        cut=cut_flags,
        code=source_key("preprocess.crop"),
    shell:
        "python -m preprocess.crop --video={input.video:q} --portrait {output.portrait}"
        " --frames {output.frames} {params.flags} {params.cut} 2>&1 | tee {log}"


rule extract_speech:
    input:
        video=subject_video,
    output:
        wav="results/{subject}/speech.wav",
    log:
        "results/{subject}/logs/extract_speech.log",
    benchmark:
        "results/{subject}/benchmarks/extract_speech.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        cut=cut_flags,
        code=source_key("preprocess.speech"),
    shell:
        "python -m preprocess.speech --media={input.video:q} --wav {output.wav} {params.cut}"
        " 2>&1 | tee {log}"


rule detect_landmarks:
    input:
        weights=weights_of("landmarks"),
        frames="results/{subject}/frames.h5",
    output:
        landmarks="results/{subject}/landmarks.h5",
    log:
        "results/{subject}/logs/detect_landmarks.log",
    benchmark:
        "results/{subject}/benchmarks/detect_landmarks.tsv"
    conda:
        LANDMARKS_ENV
    resources:
        gpu=LANDMARK_GPUS,
        card=on_card(LANDMARK_GPUS),
        device=config["device"],
        mem_mb=4000,
        runtime=8 * 60,
    params:
        flags=flags(config["landmarks"]),
        # Not an output: Snakemake would delete it when the rule fails, and then it is needed.
        missing="results/{subject}/logs/missing_faces.png",
        code=source_key("preprocess.landmarks"),
    shell:
        "{resources.card} python -m preprocess.landmarks"
        " --frames {input.frames} --landmarks {output.landmarks}"
        " --missing {params.missing} --device {resources.device} {params.flags} 2>&1 | tee {log}"


rule parse_frames:
    input:
        weights=weights_of("parsing"),
        frames="results/{subject}/frames.h5",
        landmarks="results/{subject}/landmarks.h5",
    output:
        parsing="results/{subject}/parsing.h5",
    log:
        "results/{subject}/logs/parse_frames.log",
    benchmark:
        "results/{subject}/benchmarks/parse_frames.tsv"
    conda:
        PARSING_ENV
    resources:
        gpu=GPUS if config["parsing"]["parser"] == "bisenet" else 0,
        card=on_card(GPUS if config["parsing"]["parser"] == "bisenet" else 0),
        device=config["device"],
        mem_mb=6000,
        runtime=4 * 60,
    params:
        flags=flags(config["parsing"]),
        code=source_key("preprocess.parsing"),
    shell:
        "{resources.card} python -m preprocess.parsing"
        " --frames {input.frames} --landmarks {input.landmarks}"
        " --parsing {output.parsing} --device {resources.device} {params.flags} 2>&1 | tee {log}"


rule extract_background:
    input:
        frames="results/{subject}/frames.h5",
        parsing="results/{subject}/parsing.h5",
    output:
        background="results/{subject}/background.png",
        seen="results/{subject}/background_seen.png",
    log:
        "results/{subject}/logs/extract_background.log",
    benchmark:
        "results/{subject}/benchmarks/extract_background.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        flags=flags(config["background"]),
        code=source_key("preprocess.background"),
    shell:
        "python -m preprocess.background --frames {input.frames} --parsing {input.parsing}"
        " --background {output.background} --seen {output.seen} {params.flags} 2>&1 | tee {log}"


# The same for all subjects, and for other projects (docs/clusters.md, "What is shared").
rule build_face_model:
    input:
        files=face_model_files,
    output:
        built="results/face_models/{face_model}.h5",
    log:
        "results/face_models/logs/{face_model}.log",
    cache: CACHED
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        weights=flags({"weights": config["face_model"]["weights"]}),
        code=source_key("preprocess.face_models.build"),
        points=sha256(Path(BASE, "preprocess", "makehuman_points.csv"))[:KEY_LENGTH],
    shell:
        "python -m preprocess.face_models.build --model {wildcards.face_model} --built {output.built}"
        " {params.weights} 2>&1 | tee {log}"


rule fit_face_model:
    input:
        built=built_face_model,
        frames="results/{subject}/frames.h5",
        landmarks="results/{subject}/landmarks.h5",
    output:
        track="results/{subject}/track.h5",
    log:
        "results/{subject}/logs/fit_face_model.log",
    benchmark:
        "results/{subject}/benchmarks/fit_face_model.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        flags=flags(config["face_model"]),
        built=lambda wildcards: flags({"built": (built_face_model(wildcards) or [None])[0]}),
        code=source_key("preprocess.face_model"),
    shell:
        "python -m preprocess.face_model --landmarks {input.landmarks} --frames {input.frames}"
        " --track {output.track} {params.built} {params.flags} 2>&1 | tee {log}"


rule extract_audio_features:
    input:
        weights=weights_of("audio"),
        speech="results/{subject}/speech.wav",
        frames="results/{subject}/frames.h5",
    output:
        features="results/{subject}/audio_features.h5",
    log:
        "results/{subject}/logs/extract_audio_features.log",
    benchmark:
        "results/{subject}/benchmarks/extract_audio_features.tsv"
    conda:
        SPEECH_ENV
    resources:
        mem_mb=5000,
        runtime=60,
    params:
        flags=flags(config["audio"]),
        code=source_key("preprocess.audio_features"),
    shell:
        "python -m preprocess.audio_features --speech {input.speech} --frames {input.frames}"
        " --features {output.features} {params.flags} 2>&1 | tee {log}"


rule pack_dataset:
    input:
        frames="results/{subject}/frames.h5",
        parsing="results/{subject}/parsing.h5",
        background="results/{subject}/background.png",
        track="results/{subject}/track.h5",
        features="results/{subject}/audio_features.h5",
    output:
        dataset="results/{subject}/dataset.h5",
    log:
        "results/{subject}/logs/pack_dataset.log",
    benchmark:
        "results/{subject}/benchmarks/pack_dataset.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        flags=flags(config["pack"]),
        code=source_key("preprocess.pack"),
    shell:
        "python -m preprocess.pack --frames {input.frames} --parsing {input.parsing}"
        " --background {input.background} --track {input.track}"
        " --audio-features {input.features} --dataset {output.dataset}"
        " {params.flags} 2>&1 | tee {log}"
