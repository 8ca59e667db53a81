rule extract_driving_speech:
    input:
        media=speech_file,
    output:
        wav="results/{subject}/driven/{speech}/speech.wav",
    log:
        "results/{subject}/logs/extract_driving_speech/{speech}.log",
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=source_key("preprocess.speech"),
    shell:
        "python -m preprocess.speech --media={input.media:q} --wav {output.wav} 2>&1 | tee {log}"


rule extract_driving_features:
    input:
        weights=weights_of("audio"),
        speech="results/{subject}/driven/{speech}/speech.wav",
    output:
        features="results/{subject}/driven/{speech}/audio_features.h5",
    log:
        "results/{subject}/logs/extract_driving_features/{speech}.log",
    conda:
        SPEECH_ENV
    resources:
        mem_mb=5000,
        runtime=60,
    params:
        flags=flags(config["audio"]),
        code=source_key("preprocess.audio_features"),
    shell:
        "python -m preprocess.audio_features --speech {input.speech} --features {output.features}"
        " {params.flags} 2>&1 | tee {log}"


rule render_frames:
    input:
        bundle="results/{subject}/model",
        features=take_features,
    output:
        part="results/{subject}/renders/{take}/{scatteritem}.h5",
    log:
        "results/{subject}/logs/render_frames/{take}/{scatteritem}.log",
    benchmark:
        "results/{subject}/benchmarks/render_frames/{take}/{scatteritem}.tsv"
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        gpu=GPUS,
        card=on_card(GPUS),
        device=config["device"],
        mem_mb=8000,
        runtime=6 * 60,
    params:
        take=lambda wildcards: wildcards.take.split("/")[0],
        flags=section_flags(RenderingConfig),
        code=source_key("ssp_nerf.render"),
    shell:
        "OMP_NUM_THREADS={threads} {resources.card} python -m ssp_nerf.render"
        " --bundle {input.bundle}"
        " --audio-features {input.features} --output {output.part} --take {params.take}"
        " --part {wildcards.scatteritem} --device {resources.device} {params.flags} 2>&1 | tee {log}"


rule gather_video:
    input:
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
        speech="results/{subject}/speech.wav",
        admitted="results/{subject}/admitted.txt",
    output:
        video=in_report(
            "results/{subject}/video.mp4", "video", "Portrait", "held-out frames, video"
        ),
    log:
        "results/{subject}/logs/gather_video.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        flags=provenance_flags,
        code=source_key("ssp_nerf.gather"),
    shell:
        "python -m ssp_nerf.gather --render {input.parts} --audio {input.speech}"
        " --video {output.video} {params.flags} 2>&1 | tee {log}"


rule gather_driven_video:
    input:
        parts=gather.render("results/{{subject}}/renders/driven/{{speech}}/{scatteritem}.h5"),
        speech="results/{subject}/driven/{speech}/speech.wav",
        admitted="results/{subject}/admitted.txt",
    output:
        video=in_report(
            "results/{subject}/driven/{speech}.mp4",
            "driven",
            "Portrait",
            "driven by {speech}, video",
        ),
    log:
        "results/{subject}/logs/gather_driven_video/{speech}.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        flags=provenance_flags,
        code=source_key("ssp_nerf.gather"),
    shell:
        "python -m ssp_nerf.gather --render {input.parts} --audio {input.speech}"
        " --video {output.video} --speech-name {wildcards.speech} {params.flags} 2>&1 | tee {log}"


rule compare:
    input:
        dataset="results/{subject}/dataset.h5",
        parts=gather.render("results/{{subject}}/renders/heldout/{scatteritem}.h5"),
        speech="results/{subject}/speech.wav",
    output:
        video=in_report(
            "results/{subject}/comparison.mp4", "comparison", "Portrait", "comparison, video"
        ),
        picture=in_report(
            "results/{subject}/comparison.png", "comparison", "Portrait", "comparison, picture"
        ),
    log:
        "results/{subject}/logs/compare.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        flags=provenance_flags,
        code=source_key("ssp_nerf.comparison"),
    shell:
        "python -m ssp_nerf.comparison --dataset {input.dataset} --render {input.parts}"
        " --audio {input.speech} --video {output.video} --picture {output.picture}"
        " {params.flags} 2>&1 | tee {log}"


rule deformation:
    input:
        bundle="results/{subject}/model",
        features="results/{subject}/audio_features.h5",
    output:
        picture=in_report(
            "results/{subject}/deformation.png",
            "deformation",
            "Portrait",
            "deformation at three poses",
        ),
        json="results/{subject}/deformation.json",
    log:
        "results/{subject}/logs/deformation.log",
    conda:
        "../envs/ssp_nerf.yaml"
    resources:
        gpu=GPUS,
        card=on_card(GPUS),
        device=config["device"],
        mem_mb=8000,
        runtime=30,
    params:
        flags=section_flags(RenderingConfig),
        code=source_key("ssp_nerf.deformation_figure"),
    shell:
        "OMP_NUM_THREADS={threads} {resources.card} python -m ssp_nerf.deformation_figure"
        " --bundle {input.bundle}"
        " --audio-features {input.features} --picture {output.picture} --json {output.json}"
        " --device {resources.device} {params.flags} 2>&1 | tee {log}"
