"""The same tables as rules/tables.smk makes, to the byte, by several jobs each (data.shards)."""


localrules:
    copy_movies,


rule join_shard:
    """Join one part of the ratings with the movies' genres and years of release."""
    input:
        code=code("join_ratings"),
        archive="resources/{dataset}.zip",
    output:
        joined="results/{dataset}/shards/joined-{shard}.parquet",
        movies="results/{dataset}/shards/movies-{shard}.parquet",
        rejected="results/{dataset}/shards/rejected-{shard}.csv",
    log:
        "results/{dataset}/logs/join_shard/{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/join_shard/{shard}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        shards=SHARDS,
        format=lambda wildcards: DATASETS[wildcards.dataset].format,
        names=lambda wildcards: [
            *dataset_option(wildcards, "--columns", "columns"),
            *dataset_option(wildcards, "--requests", "requests"),
            *dataset_option(wildcards, "--catalogue", "catalogue"),
        ],
        limits=archive_limits(),
    shell:
        "python {input.code[0]:q} --archive {input.archive:q} --format {params.format:q}"
        " {params.names:q} {params.limits:q} --shard {wildcards.shard}/{params.shards:q}"
        " --joined {output.joined:q} --movies {output.movies:q} --rejected {output.rejected:q}"
        " > {log:q} 2>&1"


rule label_shard:
    """Count each movie's requests in each slot of one part of the slots, and their share."""
    input:
        code=code("label_popularity"),
        joined=shards("joined"),
        movies="results/{dataset}/shards/movies-0.parquet",
    output:
        labelled="results/{dataset}/shards/labelled-{shard}.parquet",
    log:
        "results/{dataset}/logs/label_shard/{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/label_shard/{shard}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        shards=SHARDS,
        slot=settings.slot,
    shell:
        "python {input.code[0]:q} --joined {input.joined:q} --movies {input.movies:q}"
        " --slot {params.slot:q} --memory-mb {resources.mem_mb} --shard {wildcards.shard}/{params.shards:q}"
        " --labelled {output.labelled:q}"
        " > {log:q} 2>&1"


rule sort_shard:
    """Sort one part of the labelled table by slot, then movie."""
    input:
        code=code("sort_by_time"),
        labelled="results/{dataset}/shards/labelled-{shard}.parquet",
    output:
        sorted="results/{dataset}/shards/sorted-{shard}.parquet",
    log:
        "results/{dataset}/logs/sort_shard/{shard}.log",
    benchmark:
        "results/{dataset}/benchmarks/sort_shard/{shard}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    shell:
        "python {input.code[0]:q} --labelled {input.labelled:q} --sorted {output.sorted:q}"
        " > {log:q} 2>&1"


rule gather_shards:
    """Put the parts of a table together."""
    input:
        code=code("gather_shards"),
        shards=shards("{table}"),
    output:
        table="results/{dataset}/{table}.parquet",
    log:
        "results/{dataset}/logs/gather_shards/{table}.log",
    benchmark:
        "results/{dataset}/benchmarks/gather_shards/{table}.tsv"
    wildcard_constraints:
        table="joined|labelled|sorted",
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        kind=lambda wildcards: "joined" if wildcards.table == "joined" else "labelled",
    shell:
        "python {input.code[0]:q} --shards {input.shards:q} --kind {params.kind:q}"
        " --table {output.table:q} > {log:q} 2>&1"


rule copy_movies:
    """Take the catalogue, of which every part of the join makes the same table."""
    input:
        movies="results/{dataset}/shards/movies-0.parquet",
    output:
        movies="results/{dataset}/movies.parquet",
    log:
        "results/{dataset}/logs/copy_movies.log",
    benchmark:
        "results/{dataset}/benchmarks/copy_movies.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        "(cp {input.movies:q} {output.movies:q}.partial && mv {output.movies:q}.partial {output.movies:q})"
        " 2> {log:q}"


rule list_rejected:
    """List the rows that were dropped, of all parts."""
    input:
        rejected=[
            f"results/{{dataset}}/shards/rejected-{shard}.csv"
            for shard in range(SHARDS)
        ],
    output:
        rejected=report(
            "results/{dataset}/rejected.csv",
            caption="../report/rejected.rst",
            category="1 Data",
            labels=rejected_labels,
        ),
    log:
        "results/{dataset}/logs/list_rejected.log",
    benchmark:
        "results/{dataset}/benchmarks/list_rejected.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    shell:
        # One header for all.
        "(awk 'FNR > 1 || NR == 1' {input.rejected:q} > {output.rejected:q}.partial"
        " && mv {output.rejected:q}.partial {output.rejected:q}) 2> {log:q}"
