"""From the series to trained and scored models, and to the baselines beside them."""


rule train_model:
    """Train one model with one seed."""
    input:
        code=code("train_model"),
        sequences=sequences,
        movies="<results>/{dataset}/movies.parquet",
        own=lambda wildcards: own_files(MODELS[wildcards.model]),
    output:
        model="<results>/{dataset}/{fold}models/{model}/seed-{seed}/model.keras",
        history="<results>/{dataset}/{fold}models/{model}/seed-{seed}/history.csv",
        record="<results>/{dataset}/{fold}models/{model}/seed-{seed}/run.json",
        snapshots="<results>/{dataset}/{fold}models/{model}/seed-{seed}/snapshots.npz",
    log:
        "<results>/{dataset}/logs/{fold}train_model/{model}/seed-{seed}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}train_model/{model}/seed-{seed}.tsv"
    # Its jobs begin the longest path: where cores are few, all else can wait for them.
    priority: 2
    conda:
        "../envs/model.yaml"
    threads: settings.training_threads
    resources:
        mem_mb=memory(8000, sequences=9),
        runtime=minutes(480),
        gpu=settings.training_gpus,
    params:
        settings=uncompared(model_settings),
        compared=digest(model_settings),
        backend=settings.backend,
        run=lambda wildcards, output: str(Path(output.model).parent),
        # No output, which Snakemake would remove when the job fails.
        checkpoint=lambda wildcards, output: str(
            Path(output.model).with_name(".checkpoint.npz")
        ),
    shell:
        "KERAS_BACKEND={params.backend:q} python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --name {wildcards.model:q}"
        " --settings {params.settings:q}"
        " --seed {wildcards.seed}"
        " --own {input.own:q}"
        " --threads {threads}"
        " --run {params.run:q}"
        " --checkpoint {params.checkpoint:q}"
        " > {log:q} 2>&1"


rule evaluate_model:
    """Score a trained model on the validation and the test slots."""
    input:
        code=code("evaluate_model"),
        sequences=sequences,
        movies="<results>/{dataset}/movies.parquet",
        model="<results>/{dataset}/{fold}models/{model}/seed-{seed}/model.keras",
        snapshots="<results>/{dataset}/{fold}models/{model}/seed-{seed}/snapshots.npz",
        own=lambda wildcards: own_files(MODELS[wildcards.model]),
    output:
        predictions="<results>/{dataset}/{fold}models/{model}/seed-{seed}/predictions.parquet",
        scores="<results>/{dataset}/{fold}models/{model}/seed-{seed}/scores.parquet",
        metrics="<results>/{dataset}/{fold}models/{model}/seed-{seed}/metrics.json",
    log:
        "<results>/{dataset}/logs/{fold}evaluate_model/{model}/seed-{seed}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}evaluate_model/{model}/seed-{seed}.tsv"
    priority: 1
    conda:
        "../envs/model.yaml"
    threads: settings.training_threads
    resources:
        mem_mb=memory(4000, sequences=6),
        runtime=minutes(120),
    params:
        backend=settings.backend,
        run=lambda wildcards, input: str(Path(input.model).parent),
        validation_slots=settings.validation_slots,
        common=COMMON,
        interval=settings.forecast.interval,
        shard=[],
    shell:
        "KERAS_BACKEND={params.backend:q} python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --run {params.run:q}"
        " {params.shard:q}"
        " --validation-slots {params.validation_slots:q}"
        " --common {params.common:q}"
        " --own {input.own:q}"
        " --threads {threads}"
        " --interval {params.interval:q}"
        " --predictions {output.predictions:q}"
        " --scores {output.scores:q}"
        " --metrics {output.metrics:q}"
        " > {log:q} 2>&1"


rule evaluate_baselines:
    """Tune the baselines on the validation slots and score them on the test slots."""
    input:
        code=code("evaluate_baselines", *methods(NAIVE.values())),
        methods=methods(NAIVE.values()),
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
    output:
        scores="<results>/{dataset}/{fold}baselines/scores.parquet",
        metrics="<results>/{dataset}/{fold}baselines/metrics.json",
    log:
        "<results>/{dataset}/logs/{fold}evaluate_baselines.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}evaluate_baselines.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000, sequences=8),
        runtime=minutes(60),
    params:
        baselines=uncompared(canonical(NAIVE)),
        compared=digest(canonical(NAIVE)),
        split=split,
        slot=slot,
        validation_slots=settings.validation_slots,
        common=COMMON,
    shell:
        "python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --methods {input.methods:q}"
        " --baselines {params.baselines:q}"
        " --split {params.split:q}"
        " --slot {params.slot:q}"
        " --validation-slots {params.validation_slots:q}"
        " --common {params.common:q}"
        " --scores {output.scores:q}"
        " --metrics {output.metrics:q}"
        " > {log:q} 2>&1"


rule search_settings:
    """Search for a model's best settings on the validation slots."""
    input:
        code=code("search_settings"),
        sequences=lambda wildcards: sequences_of(wildcards, searched_model()),
        movies="<results>/{dataset}/movies.parquet",
        own=own_files(searched_model()),
    output:
        fragment="<results>/{dataset}/search/best.yaml",
        trials="<results>/{dataset}/search/trials.csv",
    log:
        "<results>/{dataset}/logs/search_settings.log",
    benchmark:
        "<results>/{dataset}/benchmarks/search_settings.tsv"
    conda:
        "../envs/model.yaml"
    threads: settings.training_threads
    resources:
        mem_mb=memory(4000, sequences=9),
        runtime=minutes(1440),
    params:
        settings=uncompared(searched_settings()),
        compared=digest(searched_settings()),
        changed=canonical(config["models"].get(settings.search.model) or {}),
        space=canonical(settings.search.space),
        studies=lambda wildcards: f"{RESULTS}/{wildcards.dataset}/search/studies",
        name=f"{settings.search.model or 'defaults'}_searched",
        trials=settings.search.trials,
        seed=settings.seeds[0],
        backend=settings.backend,
    shell:
        "KERAS_BACKEND={params.backend:q} python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --name {params.name:q}"
        " --settings {params.settings:q}"
        " --changed {params.changed:q}"
        " --space {params.space:q}"
        " --trials {params.trials:q}"
        " --seed {params.seed:q}"
        " --own {input.own:q}"
        " --threads {threads}"
        " --studies {params.studies:q}"
        " --trials-table {output.trials:q}"
        " --fragment {output.fragment:q}"
        " > {log:q} 2>&1"


rule evaluate_learned:
    """Fit a learned baseline on the training slots and score it on the test slots."""
    input:
        code=lambda wildcards: code("evaluate_learned", *learned_methods(wildcards)),
        methods=learned_methods,
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
        movies="<results>/{dataset}/movies.parquet",
    output:
        fitted="<results>/{dataset}/{fold}learned/{learned}/seed-{seed}/fitted.json",
        predictions="<results>/{dataset}/{fold}learned/{learned}/seed-{seed}/predictions.parquet",
        scores="<results>/{dataset}/{fold}learned/{learned}/seed-{seed}/scores.parquet",
        metrics="<results>/{dataset}/{fold}learned/{learned}/seed-{seed}/metrics.json",
    log:
        "<results>/{dataset}/logs/{fold}evaluate_learned/{learned}/seed-{seed}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/{fold}evaluate_learned/{learned}/seed-{seed}.tsv"
    priority: 1
    conda:
        "../envs/model.yaml"
    threads: settings.training_threads
    resources:
        mem_mb=memory(4000, sequences=8),
        runtime=minutes(120),
    params:
        settings=uncompared(learned_settings),
        compared=digest(learned_settings),
        validation_slots=settings.validation_slots,
        common=COMMON,
        interval=settings.forecast.interval,
    shell:
        "python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --methods {input.methods:q}"
        " --name {wildcards.learned:q}"
        " --settings {params.settings:q}"
        " --seed {wildcards.seed}"
        " --threads {threads}"
        " --validation-slots {params.validation_slots:q}"
        " --common {params.common:q}"
        " --interval {params.interval:q}"
        " --fitted {output.fitted:q}"
        " --predictions {output.predictions:q}"
        " --scores {output.scores:q}"
        " --metrics {output.metrics:q}"
        " > {log:q} 2>&1"
