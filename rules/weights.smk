# Files of pretrained networks that the config asks for, where they are missing.


rule download_weights:
    output:
        weights=ensure("{weights}", sha256=lambda wildcards: download_of(wildcards)["sha256"]),
    log:
        "results/logs/download_weights/of_{weights}.log",
    wildcard_constraints:
        weights=either(path for path, about in DOWNLOADS.items() if "sha256" in about),
    cache: CACHED
    retries: 3
    # Nodes of a cluster may have no way out.
    localrule: True
    conda:
        "../envs/preprocess.yaml"
    params:
        flags=lambda wildcards: flags(download_of(wildcards)),
        code=source_key("ssp_nerf.download"),
    shell:
        "python -m ssp_nerf.download --file {output.weights:q} {params.flags} 2>&1 | tee {log:q}"


# Where only that digest is published.
use rule download_weights as download_weights_by_sha1 with:
    output:
        weights=ensure("{weights}", sha1=lambda wildcards: download_of(wildcards)["sha1"]),
    wildcard_constraints:
        weights=either(path for path, about in DOWNLOADS.items() if "sha256" not in about),
