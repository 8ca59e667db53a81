# What each stage saw, as pictures and short videos: `snakemake ... qc` makes them all, or name one.


rule qc:
    input:
        qc_pictures(),


rule qc_crop:
    input:
        video=subject_video,
        frames="results/{subject}/frames.h5",
    output:
        picture=in_report("results/{subject}/qc/crop.png", "qc/crop", "Stages", "crop"),
    log:
        "results/{subject}/logs/qc/crop.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        cut=cut_flags,
        code=source_key("preprocess.qc.crop"),
    shell:
        "python -m preprocess.qc.crop --video={input.video:q} --frames {input.frames}"
        " --picture {output.picture} {params.cut} 2>&1 | tee {log}"


rule qc_landmarks:
    input:
        frames="results/{subject}/frames.h5",
        landmarks="results/{subject}/landmarks.h5",
        speech="results/{subject}/speech.wav",
    output:
        video=in_report(
            "results/{subject}/qc/landmarks.mp4", "qc/landmarks", "Stages", "landmarks, video"
        ),
    log:
        "results/{subject}/logs/qc/landmarks.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        flags=flags(config["qc"]),
        code=source_key("preprocess.qc.landmarks"),
    shell:
        "python -m preprocess.qc.landmarks --frames {input.frames} --landmarks {input.landmarks}"
        " --speech {input.speech}"
        " --video {output.video} {params.flags} 2>&1 | tee {log}"


rule qc_parsing:
    input:
        frames="results/{subject}/frames.h5",
        parsing="results/{subject}/parsing.h5",
        speech="results/{subject}/speech.wav",
    output:
        video=in_report(
            "results/{subject}/qc/parsing.mp4", "qc/parsing", "Stages", "parsing, video"
        ),
    log:
        "results/{subject}/logs/qc/parsing.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        flags=flags(config["qc"]),
        code=source_key("preprocess.qc.parsing"),
    shell:
        "python -m preprocess.qc.parsing --frames {input.frames} --parsing {input.parsing}"
        " --speech {input.speech}"
        " --video {output.video} {params.flags} 2>&1 | tee {log}"


rule qc_background:
    input:
        frames="results/{subject}/frames.h5",
        parsing="results/{subject}/parsing.h5",
        background="results/{subject}/background.png",
        seen="results/{subject}/background_seen.png",
    output:
        picture=in_report(
            "results/{subject}/qc/background.png", "qc/background", "Stages", "background"
        ),
    log:
        "results/{subject}/logs/qc/background.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=source_key("preprocess.qc.background"),
    shell:
        "python -m preprocess.qc.background --frames {input.frames} --parsing {input.parsing}"
        " --background {input.background} --seen {input.seen}"
        " --picture {output.picture} 2>&1 | tee {log}"


rule qc_face_model:
    input:
        frames="results/{subject}/frames.h5",
        landmarks="results/{subject}/landmarks.h5",
        track="results/{subject}/track.h5",
        speech="results/{subject}/speech.wav",
    output:
        video=in_report(
            "results/{subject}/qc/face_model.mp4", "qc/face_model", "Stages", "face model, video"
        ),
    log:
        "results/{subject}/logs/qc/face_model.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        flags=flags(config["qc"]),
        code=source_key("preprocess.qc.face_model"),
    shell:
        "python -m preprocess.qc.face_model --frames {input.frames} --landmarks {input.landmarks}"
        " --track {input.track} --speech {input.speech}"
        " --video {output.video} {params.flags} 2>&1 | tee {log}"


rule qc_audio_features:
    input:
        features="results/{subject}/audio_features.h5",
        speech="results/{subject}/speech.wav",
    output:
        plot=in_report(
            "results/{subject}/qc/audio_features.png",
            "qc/audio_features",
            "Stages",
            "speech features",
        ),
    log:
        "results/{subject}/logs/qc/audio_features.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=source_key("preprocess.qc.audio_features"),
    shell:
        "python -m preprocess.qc.audio_features --features {input.features} --speech {input.speech}"
        " --plot {output.plot} 2>&1 | tee {log}"


rule qc_motion:
    input:
        landmarks="results/{subject}/landmarks.h5",
        track="results/{subject}/track.h5",
        speech="results/{subject}/speech.wav",
    output:
        plot=in_report(
            "results/{subject}/qc/motion.png", "qc/motion", "Stages", "head and mouth over time"
        ),
    log:
        "results/{subject}/logs/qc/motion.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        flags=flags(config["pack"] | {"size": None}),
        code=source_key("preprocess.qc.motion"),
    shell:
        "python -m preprocess.qc.motion --landmarks {input.landmarks} --track {input.track}"
        " --speech {input.speech}"
        " --plot {output.plot} {params.flags} 2>&1 | tee {log}"
