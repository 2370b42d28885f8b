"""From the series to trained and scored models, and to the baselines beside them."""


rule train_model:
    """Train one model with one seed."""
    input:
        code=code("train_model"),
        sequences=sequences,
        movies="results/{dataset}/movies.parquet",
    output:
        model="results/{dataset}/models/{model}/seed-{seed}/model.keras",
        history="results/{dataset}/models/{model}/seed-{seed}/history.csv",
        resolved="results/{dataset}/models/{model}/seed-{seed}/settings.json",
    log:
        "results/{dataset}/logs/train_model/{model}/seed-{seed}.log",
    benchmark:
        "results/{dataset}/benchmarks/train_model/{model}/seed-{seed}.tsv"
    conda:
        "../envs/model.yaml"
    threads: settings["training_threads"]
    resources:
        mem_mb=memory(4000),
        runtime=480,
    params:
        settings=model_settings,
        # No output, which Snakemake would remove when the job fails.
        checkpoint="results/{dataset}/models/{model}/seed-{seed}/.checkpoint.npz",
    shell:
        "python {input.code[0]:q} --sequences {input.sequences:q} --movies {input.movies:q}"
        " --name {wildcards.model:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {threads} --model {output.model:q} --history {output.history:q}"
        " --resolved {output.resolved:q} --checkpoint {params.checkpoint:q} > {log:q} 2>&1"


rule evaluate_model:
    """Score a trained model on the validation and the test slots."""
    input:
        code=code("evaluate_model"),
        sequences=sequences,
        movies="results/{dataset}/movies.parquet",
        model="results/{dataset}/models/{model}/seed-{seed}/model.keras",
        resolved="results/{dataset}/models/{model}/seed-{seed}/settings.json",
    output:
        predictions="results/{dataset}/models/{model}/seed-{seed}/predictions.parquet",
        scores="results/{dataset}/models/{model}/seed-{seed}/scores.parquet",
        metrics="results/{dataset}/models/{model}/seed-{seed}/metrics.json",
    log:
        "results/{dataset}/logs/evaluate_model/{model}/seed-{seed}.log",
    benchmark:
        "results/{dataset}/benchmarks/evaluate_model/{model}/seed-{seed}.tsv"
    conda:
        "../envs/model.yaml"
    threads: settings["training_threads"]
    resources:
        mem_mb=memory(4000),
        runtime=120,
    shell:
        "python {input.code[0]:q} --sequences {input.sequences:q} --movies {input.movies:q}"
        " --model {input.model:q} --resolved {input.resolved:q} --threads {threads}"
        " --predictions {output.predictions:q} --scores {output.scores:q}"
        " --metrics {output.metrics:q} > {log:q} 2>&1"


rule evaluate_baselines:
    """Tune the baselines on the validation slots and score them on the test slots."""
    input:
        code=code("evaluate_baselines"),
        sequences=f"results/{{dataset}}/sequences/{settings['gaps']}-{settings['window']}.parquet",
    output:
        scores="results/{dataset}/baselines/scores.parquet",
        metrics="results/{dataset}/baselines/metrics.json",
    log:
        "results/{dataset}/logs/evaluate_baselines.log",
    benchmark:
        "results/{dataset}/benchmarks/evaluate_baselines.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=60,
    params:
        baselines=canonical(settings["baselines"]),
        split=canonical(settings["split"]),
    shell:
        "python {input.code[0]:q} --sequences {input.sequences:q} --baselines {params.baselines:q}"
        " --split {params.split:q} --scores {output.scores:q} --metrics {output.metrics:q}"
        " > {log:q} 2>&1"
