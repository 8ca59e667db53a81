# Tables 4 and 5 of the paper: six portraits of a subject that differ in one switch each. Nothing
# else asks for them, they cost six trainings: `snakemake ... ablations`, or name a subject's table.


rule ablations:
    input:
        expand("results/{subject}/ablations.csv", subject=SUBJECTS),


use rule train as train_variant with:
    output:
        bundle=directory("results/{subject}/ablations/{variant}/model"),
        history="results/{subject}/ablations/{variant}/training/history.csv",
        curves="results/{subject}/ablations/{variant}/training/curves.png",
        preview="results/{subject}/ablations/{variant}/training/preview.png",
    log:
        "results/{subject}/logs/ablations/{variant}/train.log",
    benchmark:
        "results/{subject}/benchmarks/ablations/{variant}/train.tsv"
    params:
        model=variant_flags(ModelConfig),
        training=variant_flags(TrainingConfig),
        checkpoints="results/{subject}/ablations/{variant}/checkpoints",


use rule render_frames as render_variant with:
    input:
        bundle="results/{subject}/ablations/{variant}/model",
        features="results/{subject}/audio_features.h5",
    output:
        part="results/{subject}/ablations/{variant}/renders/{scatteritem}.h5",
    log:
        "results/{subject}/logs/ablations/{variant}/render_frames/{scatteritem}.log",
    benchmark:
        "results/{subject}/benchmarks/ablations/{variant}/render_frames/{scatteritem}.tsv"
    params:
        take="heldout",


use rule detect_render_landmarks as detect_variant_landmarks with:
    input:
        weights=weights_of("landmarks"),
        parts=gather.render("results/{{subject}}/ablations/{{variant}}/renders/{scatteritem}.h5"),
    output:
        landmarks="results/{subject}/ablations/{variant}/render_landmarks.h5",
    log:
        "results/{subject}/logs/ablations/{variant}/detect_render_landmarks.log",


use rule evaluate as evaluate_variant with:
    input:
        weights=weights_of("evaluation"),
        dataset="results/{subject}/dataset.h5",
        parts=gather.render("results/{{subject}}/ablations/{{variant}}/renders/{scatteritem}.h5"),
        landmarks="results/{subject}/landmarks.h5",
        render_landmarks="results/{subject}/ablations/{variant}/render_landmarks.h5",
        speech="results/{subject}/speech.wav",
    output:
        json="results/{subject}/ablations/{variant}/metrics.json",
        csv="results/{subject}/ablations/{variant}/metrics.csv",
        plot="results/{subject}/ablations/{variant}/metrics.png",
    log:
        "results/{subject}/logs/ablations/{variant}/evaluate.log",
    benchmark:
        "results/{subject}/benchmarks/ablations/{variant}/evaluate.tsv"


rule gather_ablations:
    input:
        unpack(variant_files),
        dataset="results/{subject}/dataset.h5",
        landmarks="results/{subject}/landmarks.h5",
    output:
        csv=in_report("results/{subject}/ablations.csv", "ablations", "Ablations", "table"),
        markdown="results/{subject}/ablations.md",
        latex="results/{subject}/ablations.tex",
        picture=in_report("results/{subject}/ablations.png", "ablations", "Ablations", "picture"),
    log:
        "results/{subject}/logs/gather_ablations.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        variants=lambda wildcards, input: " ".join(
            f"--variant {variant.name} {getattr(input, variant.name)}" for variant in VARIANTS
        ),
        code=source_key("ssp_nerf.ablations"),
    shell:
        "python -m ssp_nerf.ablations --dataset {input.dataset} --landmarks {input.landmarks}"
        " --csv {output.csv} --markdown {output.markdown} --latex {output.latex} --picture {output.picture}"
        " {params.variants} 2>&1 | tee {log}"
