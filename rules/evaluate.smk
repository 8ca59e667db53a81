rule detect_render_landmarks:
    input:
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
    output:
        landmarks="results/{subject}/render_landmarks.h5",
    log:
        "results/{subject}/logs/detect_render_landmarks.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        gpu=LANDMARK_GPUS,
        device=config["device"],
        mem_mb=4000,
        runtime=4 * 60,
    params:
        # The detector of the filmed frames: LMD compares what one and the same detector finds.
        flags=flags({key: config["landmarks"][key] for key in ("detector", "weights")}),
        code=source_key("preprocess.landmarks"),
    shell:
        "python -m preprocess.landmarks --rendered --allow-missing --frames {input.parts}"
        " --landmarks {output.landmarks} --device {resources.device} {params.flags} 2>&1 | tee {log}"


rule evaluate:
    input:
        dataset="results/{subject}/dataset.h5",
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
        landmarks="results/{subject}/landmarks.h5",
        render_landmarks="results/{subject}/render_landmarks.h5",
    output:
        json="results/{subject}/metrics.json",
        csv=in_report("results/{subject}/metrics.csv", "metrics", "Metrics", "of each frame, table"),
        plot=in_report("results/{subject}/metrics.png", "metrics", "Metrics", "over time, plot"),
    log:
        "results/{subject}/logs/evaluate.log",
    benchmark:
        "results/{subject}/benchmarks/evaluate.tsv"
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=source_key("ssp_nerf.evaluate"),
    shell:
        "python -m ssp_nerf.evaluate --dataset {input.dataset} --render {input.parts}"
        " --landmarks {input.landmarks} --render-landmarks {input.render_landmarks}"
        " --metrics-json {output.json} --metrics-csv {output.csv} --plot {output.plot}"
        " 2>&1 | tee {log}"
