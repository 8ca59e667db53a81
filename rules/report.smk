rule report_page:
    input:
        dataset="results/{subject}/dataset.h5",
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
        speech="results/{subject}/speech.wav",
        metrics_csv="results/{subject}/metrics.csv",
        metrics_json="results/{subject}/metrics.json",
        history="results/{subject}/training/history.csv",
        bundle="results/{subject}/model",
        settings=expand(
            "results/{{subject}}/{stage}.h5",
            stage=["frames", "landmarks", "parsing", "track", "audio_features", "dataset"],
        ),
    output:
        page=in_report(
            directory("results/{subject}/report"),
            "page",
            "Portrait",
            "everything on one page",
            htmlindex="index.html",
        ),
    log:
        "results/{subject}/logs/report_page.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        # Not an input: Snakemake writes these tables after each job.
        benchmarks="results/{subject}/benchmarks",
        flags=flags(config["report"]),
        code=source_key("ssp_nerf.report.__main__"),
        page=PAGE_KEY,
    shell:
        "python -m ssp_nerf.report --subject {wildcards.subject} --dataset {input.dataset}"
        " --render {input.parts} --speech {input.speech} --metrics-csv {input.metrics_csv}"
        " --metrics-json {input.metrics_json} --history {input.history} --bundle {input.bundle}"
        " --settings {input.settings} --benchmarks {params.benchmarks} --output {output.page}"
        " {params.flags} 2>&1 | tee {log}"
