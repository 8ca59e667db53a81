# How accurate the stages are, on the synthetic subjects, whose truth is known.


rule measure_accuracy:
    input:
        weights=weights_of("audio"),
        frames="results/{subject}/frames.h5",
        landmarks="results/{subject}/landmarks.h5",
        parsing="results/{subject}/parsing.h5",
        background="results/{subject}/background.png",
        background_seen="results/{subject}/background_seen.png",
        track="results/{subject}/track.h5",
        speech="results/{subject}/speech.wav",
        features="results/{subject}/audio_features.h5",
        true_landmarks=truth_file("landmarks.h5"),
        true_landmarks68=truth_file("landmarks68.h5"),
        true_parsing=truth_file("parsing.h5"),
        true_background=truth_file("background.png"),
        true_track=truth_file("track.h5"),
        true_speech=truth_file("speech.wav"),
    output:
        accuracy="results/{subject}/accuracy.json",
    log:
        "results/{subject}/logs/measure_accuracy.log",
    conda:
        SPEECH_ENV
    resources:
        mem_mb=5000,
        runtime=60,
    params:
        truth=lambda wildcards, input: str(Path(input.true_track).parent),
        extractor=flags(config["audio"]),
        code=source_key("preprocess.accuracy.compare"),
    shell:
        "python -m preprocess.accuracy.compare --frames {input.frames} --landmarks {input.landmarks}"
        " --parsing {input.parsing} --background {input.background}"
        " --background-seen {input.background_seen} --track {input.track}"
        " --speech {input.speech} --audio-features {input.features}"
        " --truth {params.truth:q} {params.extractor} --accuracy {output.accuracy} 2>&1 | tee {log}"


rule accuracy:
    input:
        accuracy=measured_subjects,
    output:
        json="results/accuracy.json",
        csv="results/accuracy.csv",
        plot=report(
            "results/accuracy.png",
            caption="../report/accuracy.rst",
            category="Accuracy",
            labels={"shows": "stages against the truth"},
        ),
    log:
        "results/logs/accuracy.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        names=DEMO_SUBJECTS,
        code=source_key("preprocess.accuracy.report"),
    shell:
        "python -m preprocess.accuracy.report --accuracy {input.accuracy} --names {params.names:q}"
        " --json {output.json} --csv {output.csv} --plot {output.plot} 2>&1 | tee {log}"
