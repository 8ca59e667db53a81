# All subjects times all speeches of the config, and one table of them: `snakemake ... summary`.


rule summary:
    input:
        "results/summary.csv",


rule summarize:
    input:
        videos=of_takes("video"),
        metrics=of_takes("metrics"),
    output:
        csv="results/summary.csv",
    log:
        "results/logs/summarize.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        subjects=[take.subject for take in TAKES],
        speeches=[take.speech for take in TAKES],
        code=source_key("ssp_nerf.batch_table"),
    shell:
        "python -m ssp_nerf.batch_table --videos {input.videos} --metrics {input.metrics}"
        " --subjects {params.subjects:q} --speeches {params.speeches:q} --csv {output.csv}"
        " 2>&1 | tee {log}"
