# Synthetic talking people, whose every truth is known. To the stages they are videos like any other.


rule make_demo_subject:
    output:
        video="results/demo_subjects/{person}/video.mp4",
        truth=expand("results/demo_subjects/{{person}}/truth/{file}", file=TRUTH_FILES),
    log:
        "results/demo_subjects/{person}/logs/make_demo_subject.log",
    benchmark:
        "results/demo_subjects/{person}/benchmarks/make_demo_subject.tsv"
    conda:
        "../envs/demo_subject.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        folder=subpath(output.video, parent=True),
        flags=lambda wildcards: flags(config["demo_subjects"][wildcards.person]),
        code=source_key("preprocess.demo_subject.__main__"),
        points=sha256(Path(BASE, "preprocess", "makehuman_points.csv"))[:KEY_LENGTH],
    shell:
        "OMP_NUM_THREADS=1 python -m preprocess.demo_subject --folder {params.folder:q}"
        " --workers {threads} {params.flags} 2>&1 | tee {log}"
