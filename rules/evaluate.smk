rule detect_render_landmarks:
    input:
        weights=weights_of("landmarks"),
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
    output:
        landmarks="results/{subject}/render_landmarks.h5",
    log:
        "results/{subject}/logs/detect_render_landmarks.log",
    conda:
        LANDMARKS_ENV
    resources:
        gpu=LANDMARK_GPUS,
        card=on_card(LANDMARK_GPUS),
        device=config["device"],
        mem_mb=4000,
        runtime=4 * 60,
    params:
        # The detector of the filmed frames: LMD compares what one and the same detector finds.
        flags=flags({key: config["landmarks"][key] for key in ("detector", "weights")}),
        code=source_key("preprocess.landmarks"),
    shell:
        "{resources.card} python -m preprocess.landmarks"
        " --rendered --allow-missing --frames {input.parts}"
        " --landmarks {output.landmarks} --device {resources.device} {params.flags} 2>&1 | tee {log}"


rule evaluate:
    input:
        weights=weights_of("evaluation"),
        dataset="results/{subject}/dataset.h5",
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
        landmarks="results/{subject}/landmarks.h5",
        render_landmarks="results/{subject}/render_landmarks.h5",
        speech="results/{subject}/speech.wav",
    output:
        json="results/{subject}/metrics.json",
        csv=in_report("results/{subject}/metrics.csv", "metrics", "Metrics", "of each frame, table"),
        plot=in_report("results/{subject}/metrics.png", "metrics", "Metrics", "over time, plot"),
    log:
        "results/{subject}/logs/evaluate.log",
    benchmark:
        "results/{subject}/benchmarks/evaluate.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        gpu=GPUS,
        card=on_card(GPUS),
        device=config["device"],
        mem_mb=4000,
        runtime=3 * 60,
    params:
        flags=section_flags(EvaluationConfig),
        code=source_key("ssp_nerf.evaluate"),
    shell:
        "{resources.card} python -m ssp_nerf.evaluate"
        " --dataset {input.dataset} --render {input.parts}"
        " --landmarks {input.landmarks} --render-landmarks {input.render_landmarks}"
        " --speech {input.speech} --device {resources.device} {params.flags}"
        " --metrics-json {output.json} --metrics-csv {output.csv} --plot {output.plot}"
        " 2>&1 | tee {log}"


# Another method's video of a subject: its held-out frames, or the whole clip (evaluation.videos).
rule evaluate_video:
    input:
        weights=weights_of("landmarks", "parsing", "evaluation"),
        dataset="results/{subject}/dataset.h5",
        landmarks="results/{subject}/landmarks.h5",
        speech="results/{subject}/speech.wav",
        video=method_video,
    output:
        json="results/{subject}/methods/{method}/metrics.json",
        csv="results/{subject}/methods/{method}/metrics.csv",
        plot="results/{subject}/methods/{method}/metrics.png",
    log:
        "results/{subject}/logs/evaluate_video/{method}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        gpu=GPUS,
        card=on_card(GPUS),
        device=config["device"],
        mem_mb=4000,
        runtime=2 * 60,
    params:
        flags=section_flags(EvaluationConfig),
        stages=stage_flags(parser=config["parsing"]["parser"]),
        code=[source_key(f"preprocess.{stage}") for stage in ("parsing", *LOOKS)],
        own=source_key("ssp_nerf.evaluate"),
    shell:
        "{resources.card} python -m ssp_nerf.evaluate"
        " --dataset {input.dataset} --render {input.video:q}"
        " --landmarks {input.landmarks} --speech {input.speech} --method {wildcards.method}"
        " --device {resources.device} {params.flags} {params.stages}"
        " --metrics-json {output.json} --metrics-csv {output.csv} --plot {output.plot}"
        " 2>&1 | tee {log}"


# The portrait driven by another speech: lips with sound, and mouths where the speech's file is a
# video of who says it.
rule evaluate_driven:
    input:
        weights=weights_of("landmarks", "evaluation"),
        video="results/{subject}/driven/{speech}.mp4",
        media=speech_file,
    output:
        json="results/{subject}/driven/{speech}/metrics.json",
        csv="results/{subject}/driven/{speech}/metrics.csv",
        plot="results/{subject}/driven/{speech}/metrics.png",
    log:
        "results/{subject}/logs/evaluate_driven/{speech}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        gpu=GPUS,
        card=on_card(GPUS),
        device=config["device"],
        mem_mb=4000,
        runtime=60,
    params:
        flags=section_flags(EvaluationConfig),
        stages=stage_flags(parser="none"),
        code=[source_key(f"preprocess.{stage}") for stage in LOOKS],
        own=source_key("ssp_nerf.evaluate"),
    shell:
        "{resources.card} python -m ssp_nerf.evaluate"
        " --cross --truth {input.media:q} --render {input.video}"
        " --method {wildcards.speech} --device {resources.device} {params.flags} {params.stages}"
        " --metrics-json {output.json} --metrics-csv {output.csv} --plot {output.plot}"
        " 2>&1 | tee {log}"


# The paper's tables 1 and 2 for a subject.
rule tabulate:
    input:
        metrics=method_metrics,
        model="results/{subject}/model",
    output:
        csv=in_report("results/{subject}/table.csv", "table", "Metrics", "of methods, table"),
        markdown="results/{subject}/table.md",
        latex="results/{subject}/table.tex",
    log:
        "results/{subject}/logs/tabulate.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=source_key("ssp_nerf.method_table"),
    shell:
        "python -m ssp_nerf.method_table --metrics {input.metrics} --model {input.model}"
        " --csv {output.csv} --markdown {output.markdown} --latex {output.latex} 2>&1 | tee {log}"
