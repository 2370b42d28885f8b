"""The same scores as evaluate_model makes, to the byte, by several jobs each (evaluation_shards)."""


include: "models.smk"


# The rule of models.smk is there to be reused; the results come from the shards.
ruleorder: gather_evaluation > evaluate_model


use rule evaluate_model as evaluate_shard with:
    output:
        predictions="<results>/{dataset}/{fold}models/{model}/seed-{seed}/shards/{shard}/predictions.parquet",
        scores="<results>/{dataset}/{fold}models/{model}/seed-{seed}/shards/{shard}/scores.parquet",
        metrics="<results>/{dataset}/{fold}models/{model}/seed-{seed}/shards/{shard}/metrics.json",
    log:
        "<results>/{dataset}/logs/{fold}evaluate_shard/{model}/seed-{seed}-{shard}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}evaluate_shard/{model}/seed-{seed}-{shard}.tsv"
    params:
        shard=lambda wildcards: ["--shard", f"{wildcards.shard}/{EVALUATION_SHARDS}"],


rule gather_evaluation:
    """Put the parts of a model's evaluation together."""
    input:
        code=code("gather_evaluation"),
        sequences=sequences,
        model="<results>/{dataset}/{fold}models/{model}/seed-{seed}/model.keras",
        predictions=evaluated_shards("predictions.parquet"),
        scores=evaluated_shards("scores.parquet"),
        metrics=evaluated_shards("metrics.json"),
    output:
        predictions="<results>/{dataset}/{fold}models/{model}/seed-{seed}/predictions.parquet",
        scores="<results>/{dataset}/{fold}models/{model}/seed-{seed}/scores.parquet",
        metrics="<results>/{dataset}/{fold}models/{model}/seed-{seed}/metrics.json",
    log:
        "<results>/{dataset}/logs/{fold}gather_evaluation/{model}/seed-{seed}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}gather_evaluation/{model}/seed-{seed}.tsv"
    conda:
        "../envs/model.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, sequences=6),
        runtime=minutes(60),
    params:
        run=lambda wildcards, input: str(Path(input.model).parent),
        shards=lambda wildcards, input: [
            str(Path(path).parent) for path in input.metrics
        ],
        interval=settings.forecast.interval,
    shell:
        "python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --run {params.run:q}"
        " --shards {params.shards:q}"
        " --interval {params.interval:q}"
        " --predictions {output.predictions:q}"
        " --scores {output.scores:q}"
        " --metrics {output.metrics:q}"
        " > {log:q} 2>&1"
