from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/weights.smk"
include: "rules/demo_subjects.smk"
include: "rules/preprocess.smk"
include: "rules/qc.smk"
include: "rules/train.smk"
include: "rules/render.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"
include: "rules/ablations.smk"
include: "rules/accuracy.smk"
include: "rules/summary.smk"
include: "rules/estimate.smk"


rule all:
    default_target: True
    input:
        expand(
            "results/{subject}/{result}",
            subject=SUBJECTS,
            result=[
                "video.mp4",
                "comparison.mp4",
                "metrics.json",
                "table.md",
                "deformation.png",
                "report",
            ],
        ),
        driven_videos(),
        qc_pictures(),
