rule train:
    input:
        dataset="results/{subject}/dataset.h5",
    output:
        bundle=directory("results/{subject}/model"),
        history=in_report(
            "results/{subject}/training/history.csv", "training", "Training", "history, table"
        ),
        curves=in_report(
            "results/{subject}/training/curves.png", "training", "Training", "loss curves"
        ),
        preview=in_report(
            "results/{subject}/training/preview.png", "preview", "Training", "first held-out frame"
        ),
    log:
        "results/{subject}/logs/train.log",
    benchmark:
        "results/{subject}/benchmarks/train.tsv"
    conda:
        "../envs/ssp_nerf.yaml"
    # A step is many small operations. A second thread gained 1.2 to 1.6 times on idle cores and made
    # it many times slower on shared ones; `--set-threads train=4` gives more to larger networks
    # without a GPU.
    threads: 1
    resources:
        gpu=GPUS * config["gpus"],
        card=on_card(GPUS * config["gpus"]),
        device=config["device"],
        launcher=LAUNCHER,
        mem_mb=16000,
        runtime=48 * 60,
    params:
        model=section_flags(ModelConfig),
        training=section_flags(TrainingConfig),
        # Not an output: Snakemake would clear it before a rerun, and training resumes from it.
        checkpoints="results/{subject}/checkpoints",
        code=source_key("ssp_nerf.train"),
    shell:
        "OMP_NUM_THREADS={threads} {resources.card} python {resources.launcher} -m ssp_nerf.train"
        " --dataset {input.dataset}"
        " --bundle {output.bundle} --history {output.history} --curves {output.curves}"
        " --preview {output.preview} --checkpoints {params.checkpoints} --device {resources.device}"
        " {params.model} {params.training} 2>&1 | tee {log}"
