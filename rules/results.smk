"""From scores to the leaderboard, the forecast and the pictures."""

# The report orders a category's items by their labels, hence the numbers.
LOG_PICTURES = {
    "requests_per_slot": "01 Requests per slot",
    "rank_frequency": "02 Requests by rank",
    "hours_of_week": "03 Hours of the week",
    "life_of_a_movie": "04 A movie's life",
    "slots_without_requests": "05 Slots without a request",
}
EDA_PICTURES = {
    "eda_histograms": "06 Histograms",
    "eda_densities": "07 Densities",
    "eda_correlations": "08 Correlation matrix",
    "eda_box_plots": "09 Box plots",
    "eda_scatter_matrix": "10 Scatter matrix",
}
FEATURE_PICTURES = {
    "feature_information": "11 Which features matter",
}
TRAINING_PICTURES = {
    "loss": "1 Loss by epoch",
    "rmse_by_epoch": "2 RMSE and cross entropy by epoch",
    "epoch_seconds": "3 Time per epoch",
}
# Settings that sweeps vary, each once: without any there is nothing to draw of them.
SWEPT = list(
    dict.fromkeys(key for sweep in settings.sweeps.values() for key in sweep.grid)
)
MODEL_PICTURES = {
    "leaderboard": "1 Leaderboard",
    **({"sweeps": "8 Settings swept"} if SWEPT else {}),
}
PREDICTION_PICTURES = {
    "predicted_and_true": "4 Predicted and true series",
    "calibration": "5 Predicted against true shares",
    "error_by_class": "6 Error by class of movies",
}
# The entry of baselines that models may start from, if there is one.
MIXTURE = offset_name(settings, "mixture")
MIXTURE_PICTURES = {
    "mixture": "7 What the mixture is made of",
}
CACHE_PICTURES = {
    "cache": "1 Hit ratio by size of the cache",
}


rule compare_models:
    """Put all models and baselines side by side."""
    input:
        code=code("compare_models"),
        models=trained("scores.parquet", FOLDS),
        learned=learned("scores.parquet", FOLDS),
        baselines=[
            f"<results>/{{dataset}}/{fold}baselines/scores.parquet" for fold in FOLDS
        ],
    output:
        leaderboard="<results>/{dataset}/leaderboard.csv",
        by_class="<results>/{dataset}/leaderboard_by_class.csv",
        best="<results>/{dataset}/best.csv",
    log:
        "<results>/{dataset}/logs/compare_models.log",
    benchmark:
        "<results>/{dataset}/benchmarks/compare_models.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        networks=sorted(MODELS),
    shell:
        "python {input.code[0]:q}"
        " --scores {input.models:q} {input.learned:q} {input.baselines:q}"
        " --networks {params.networks:q}"
        " --leaderboard {output.leaderboard:q}"
        " --by-class {output.by_class:q}"
        " --best {output.best:q}"
        " > {log:q} 2>&1"


rule record_settings:
    """Keep the settings beside the results, for a comparison of runs."""
    output:
        settings="<results>/{dataset}/settings.json",
    log:
        "<results>/{dataset}/logs/record_settings.log",
    benchmark:
        "<results>/{dataset}/benchmarks/record_settings.tsv"
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        settings=uncompared(run_settings),
        compared=digest(run_settings),
    shell:
        "printf '%s' {params.settings:q} | python -m json.tool > {output.settings:q} 2> {log:q}"


rule compare:
    """Compare the results with another run's (compare, a folder), each time anew."""
    input:
        code=code("compare_runs"),
        settings=f"<results>/{settings.dataset}/settings.json",
        models=expand(
            "<results>/{dataset}/models/{model}/seed-{seed}/scores.parquet",
            dataset=settings.dataset,
            model=sorted(MODELS),
            seed=sorted(settings.seeds),
        ),
        baselines=f"<results>/{settings.dataset}/baselines/scores.parquet",
    log:
        f"<results>/{settings.dataset}/logs/compare.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        other=other_results,
        results=lambda wildcards, input: str(Path(input.settings).parent),
    shell:
        "python {input.code[0]:q}"
        " {params.other:q}"
        " {params.results:q}"
        " --scores {params.results:q}/comparison.csv"
        " --settings {params.results:q}/changed_settings.csv"
        " 2>&1 | tee {log:q}"


rule forecast_next_slot:
    """Forecast the first slots after the log with the best forecaster."""
    input:
        code=code("forecast_next_slot", *methods(settings.baselines.values())),
        methods=methods(settings.baselines.values()),
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
        movies="<results>/{dataset}/movies.parquet",
        models=trained("model.keras"),
        scores=trained("scores.parquet"),
        checks=trained("metrics.json"),
        fitted=learned("fitted.json"),
        fitted_scores=learned("scores.parquet"),
        fitted_checks=learned("metrics.json"),
        baselines="<results>/{dataset}/baselines/scores.parquet",
        metrics="<results>/{dataset}/baselines/metrics.json",
        own=own_files(*MODELS.values()),
    output:
        forecast="<results>/{dataset}/forecast.csv",
        check="<results>/{dataset}/forecast_check.json",
    log:
        "<results>/{dataset}/logs/forecast_next_slot.log",
    benchmark:
        "<results>/{dataset}/benchmarks/forecast_next_slot.tsv"
    conda:
        "../envs/model.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, sequences=9),
        runtime=minutes(30),
    params:
        runs=evaluated,
        baselines=uncompared(canonical(NAIVE)),
        compared=digest(canonical(NAIVE)),
        split=canonical(settings.split),
        validation_slots=settings.validation_slots,
        slot=slot,
        model=settings.forecast.model,
        backend=settings.backend,
        slots=settings.forecast.slots,
        futures=settings.forecast.futures,
        interval=settings.forecast.interval,
    shell:
        "KERAS_BACKEND={params.backend:q} python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --split {params.split:q}"
        " --validation-slots {params.validation_slots:q}"
        " --slot {params.slot:q}"
        " --runs {params.runs:q}"
        " --methods {input.methods:q}"
        " --baselines {params.baselines:q}"
        " --scores {input.baselines:q}"
        " --metrics {input.metrics:q}"
        " --model {params.model:q}"
        " --slots {params.slots:q}"
        " --futures {params.futures:q}"
        " --interval {params.interval:q}"
        " --own {input.own:q}"
        " --threads {threads}"
        " --forecast {output.forecast:q}"
        " --check {output.check:q}"
        " > {log:q} 2>&1"


rule replay_policies:
    """Replay the test slots' requests against caches that react to each."""
    input:
        code=code("replay_policies"),
        joined="<results>/{dataset}/joined.parquet",
        movies="<results>/{dataset}/movies.parquet",
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
    output:
        hits="<results>/{dataset}/policies.parquet",
    log:
        "<results>/{dataset}/logs/replay_policies.log",
    benchmark:
        "<results>/{dataset}/benchmarks/replay_policies.tsv"
    conda:
        "../envs/cache.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, sequences=6),
        runtime=minutes(60),
    params:
        sizes=settings.cache.sizes,
        policies=settings.cache.policies,
        split=canonical(settings.split),
        slot=slot,
    shell:
        "python {input.code[0]:q}"
        " --joined {input.joined:q}"
        " --movies {input.movies:q}"
        " --sequences {input.sequences:q}"
        " --sizes {params.sizes:q}"
        " --policies {params.policies:q}"
        " --split {params.split:q}"
        " --slot {params.slot:q}"
        " --threads {threads}"
        " --hits {output.hits:q}"
        " > {log:q} 2>&1"


rule simulate_cache:
    """Fill caches from forecasts, and compare them with those that react."""
    input:
        code=code("simulate_cache", *methods(NAIVE.values())),
        methods=methods(NAIVE.values()),
        joined="<results>/{dataset}/joined.parquet",
        movies="<results>/{dataset}/movies.parquet",
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
        models=trained("model.keras"),
        predictions=trained("predictions.parquet"),
        scores=trained("scores.parquet"),
        fitted=learned("fitted.json"),
        fitted_predictions=learned("predictions.parquet"),
        fitted_scores=learned("scores.parquet"),
        baselines="<results>/{dataset}/baselines/scores.parquet",
        metrics="<results>/{dataset}/baselines/metrics.json",
        policies="<results>/{dataset}/policies.parquet",
    output:
        hit_ratios="<results>/{dataset}/cache.csv",
    log:
        "<results>/{dataset}/logs/simulate_cache.log",
    benchmark:
        "<results>/{dataset}/benchmarks/simulate_cache.tsv"
    conda:
        "../envs/cache.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000, sequences=6),
        runtime=minutes(60),
    params:
        runs=evaluated,
        baselines=uncompared(canonical(NAIVE)),
        compared=digest(canonical(NAIVE)),
        cache=canonical(settings.cache),
        split=canonical(settings.split),
        slot=slot,
    shell:
        "python {input.code[0]:q}"
        " --joined {input.joined:q}"
        " --movies {input.movies:q}"
        " --sequences {input.sequences:q}"
        " --runs {params.runs:q}"
        " --methods {input.methods:q}"
        " --scores {input.baselines:q}"
        " --baselines {params.baselines:q}"
        " --metrics {input.metrics:q}"
        " --policies {input.policies:q}"
        " --cache {params.cache:q}"
        " --split {params.split:q}"
        " --slot {params.slot:q}"
        " --threads {threads}"
        " --hit-ratios {output.hit_ratios:q}"
        " > {log:q} 2>&1"


rule plot_cache:
    """Show what a cache would gain from each policy."""
    input:
        code=code("plot_cache"),
        hit_ratios="<results>/{dataset}/cache.csv",
    output:
        pictures=pictures(CACHE_PICTURES, "5 Cache"),
    log:
        "<results>/{dataset}/logs/plot_cache.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_cache.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        words=words,
        slot=slot,
    shell:
        "python {input.code[0]:q}"
        " --hit-ratios {input.hit_ratios:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --slot {params.slot:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_eda:
    """Explore the labelled table."""
    input:
        code=code("plot_eda"),
        labelled="<results>/{dataset}/labelled.parquet",
        movies="<results>/{dataset}/movies.parquet",
    output:
        pictures=pictures(EDA_PICTURES, "1 Data"),
    log:
        "<results>/{dataset}/logs/plot_eda.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_eda.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, labelled=12),
        runtime=minutes(30),
    params:
        folder=plots_folder,
        words=words,
        slot=slot,
        seed=settings.seeds[0],
    shell:
        "python {input.code[0]:q}"
        " --labelled {input.labelled:q}"
        " --movies {input.movies:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --slot {params.slot:q}"
        " --seed {params.seed:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_feature_information:
    """Show how much each feature says about the next slot."""
    input:
        code=code("plot_feature_information"),
        movies="<results>/{dataset}/movies.parquet",
        sequences=f"<results>/{{dataset}}/sequences/{settings.gaps}-{settings.window}.parquet",
        own=own_files(*MODELS.values()),
    output:
        pictures=pictures(FEATURE_PICTURES, "1 Data"),
    log:
        "<results>/{dataset}/logs/plot_feature_information.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_feature_information.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, sequences=6),
        runtime=minutes(30),
    params:
        folder=plots_folder,
        words=words,
        slot=slot,
        split=canonical(settings.split),
        window=settings.window,
        features=features_used(),
        seed=settings.seeds[0],
    shell:
        "python {input.code[0]:q}"
        " --sequences {input.sequences:q}"
        " --movies {input.movies:q}"
        " --split {params.split:q}"
        " --window {params.window:q}"
        " --features {params.features:q}"
        " --own {input.own:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --slot {params.slot:q}"
        " --seed {params.seed:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_log:
    """Show the log: requests over time, by movie, and over a movie's life."""
    input:
        code=code("plot_log"),
        joined="<results>/{dataset}/joined.parquet",
        labelled="<results>/{dataset}/labelled.parquet",
    output:
        pictures=pictures(LOG_PICTURES, "1 Data"),
    log:
        "<results>/{dataset}/logs/plot_log.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_log.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, labelled=6),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        words=words,
        slot=slot,
        split=canonical(settings.split),
    shell:
        "python {input.code[0]:q}"
        " --joined {input.joined:q}"
        " --labelled {input.labelled:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --slot {params.slot:q}"
        " --split {params.split:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_training:
    """Show how training went, epoch by epoch."""
    input:
        code=code("plot_training"),
        models=trained("model.keras"),
        histories=trained("history.csv"),
    output:
        pictures=pictures(TRAINING_PICTURES, "2 Models"),
    log:
        "<results>/{dataset}/logs/plot_training.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_training.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        words=words,
        runs=runs,
    shell:
        "python {input.code[0]:q}"
        " --runs {params.runs:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_models:
    """Compare the models: the leaderboard, and the scores against the settings swept."""
    input:
        code=code("plot_models"),
        leaderboard="<results>/{dataset}/leaderboard.csv",
        models=trained("model.keras"),
    output:
        pictures=pictures(MODEL_PICTURES, "3 Comparison"),
    log:
        "<results>/{dataset}/logs/plot_models.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_models.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        words=words,
        runs=runs,
        swept=["--swept", *SWEPT] if SWEPT else [],
    shell:
        "python {input.code[0]:q}"
        " --leaderboard {input.leaderboard:q}"
        " --runs {params.runs:q}"
        " {params.swept:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_predictions:
    """Show predicted beside true shares, how far they agree, and for which movies."""
    input:
        code=code("plot_predictions"),
        leaderboard="<results>/{dataset}/leaderboard.csv",
        by_class="<results>/{dataset}/leaderboard_by_class.csv",
        models=trained("model.keras"),
        predictions=trained("predictions.parquet"),
        fitted=learned("fitted.json"),
        fitted_predictions=learned("predictions.parquet"),
        movies="<results>/{dataset}/movies.parquet",
        labelled="<results>/{dataset}/labelled.parquet",
    output:
        pictures=pictures(PREDICTION_PICTURES, "3 Comparison"),
    log:
        "<results>/{dataset}/logs/plot_predictions.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_predictions.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        folder=plots_folder,
        words=words,
        runs=evaluated,
        slot=slot,
        split=canonical(settings.split),
        seed=settings.seeds[0],
    shell:
        "python {input.code[0]:q}"
        " --leaderboard {input.leaderboard:q}"
        " --by-class {input.by_class:q}"
        " --runs {params.runs:q}"
        " --movies {input.movies:q}"
        " --labelled {input.labelled:q}"
        " --dataset {wildcards.dataset:q}"
        " --words {params.words:q}"
        " --slot {params.slot:q}"
        " --split {params.split:q}"
        " --seed {params.seed:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"


rule plot_mixture:
    """Show which averages the mixture is made of."""
    input:
        code=code("plot_mixture"),
        metrics="<results>/{dataset}/baselines/metrics.json",
    output:
        pictures=pictures(MIXTURE_PICTURES, "3 Comparison"),
    log:
        "<results>/{dataset}/logs/plot_mixture.log",
    benchmark:
        "<results>/{dataset}/benchmarks/plot_mixture.tsv"
    conda:
        "../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        folder=plots_folder,
        name=MIXTURE or [],
        slot=slot,
        words=words,
    shell:
        "python {input.code[0]:q}"
        " --metrics {input.metrics:q}"
        " --name {params.name:q}"
        " --dataset {wildcards.dataset:q}"
        " --slot {params.slot:q}"
        " --words {params.words:q}"
        " --folder {params.folder:q}"
        " > {log:q} 2>&1"
