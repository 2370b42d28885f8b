"""From an archive to the table of labels by time, one job for each table."""


rule join_ratings:
    """Join the ratings with the movies' genres and years of release."""
    input:
        code=code("join_ratings", *formats()),
        archive="<resources>/{dataset}.zip",
    output:
        joined="<results>/{dataset}/joined.parquet",
        movies="<results>/{dataset}/movies.parquet",
        facts="<results>/{dataset}/log.json",
        rejected=report(
            "<results>/{dataset}/rejected.csv",
            caption=caption("rejected"),
            category="1 Data",
            labels=rejected_labels,
        ),
    log:
        "<results>/{dataset}/logs/join_ratings.log",
    benchmark:
        "<results>/{dataset}/benchmarks/join_ratings.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        log=log_settings,
        limits=archive_limits(),
        shard=[],
    shell:
        "python {input.code[0]:q}"
        " --archive {input.archive:q}"
        " --log {params.log:q}"
        " {params.limits:q}"
        " {params.shard:q}"
        " --joined {output.joined:q}"
        " --movies {output.movies:q}"
        " --rejected {output.rejected:q}"
        " --facts {output.facts:q}"
        " > {log:q} 2>&1"


rule label_popularity:
    """Count each movie's requests in each slot, and their share of the slot's."""
    input:
        code=code("label_popularity"),
        joined="<results>/{dataset}/joined.parquet",
        movies="<results>/{dataset}/movies.parquet",
    output:
        labelled="<results>/{dataset}/labelled.parquet",
    log:
        "<results>/{dataset}/logs/label_popularity.log",
    benchmark:
        "<results>/{dataset}/benchmarks/label_popularity.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        slot=slot,
        shard=[],
    shell:
        "python {input.code[0]:q}"
        " --joined {input.joined:q}"
        " --movies {input.movies:q}"
        " --slot {params.slot:q}"
        " --memory-mb {resources.mem_mb}"
        " {params.shard:q}"
        " --labelled {output.labelled:q}"
        " > {log:q} 2>&1"


rule sort_by_time:
    """Sort the labelled table by slot, then movie."""
    input:
        code=code("sort_by_time"),
        labelled="<results>/{dataset}/labelled.parquet",
    output:
        sorted="<results>/{dataset}/sorted.parquet",
    log:
        "<results>/{dataset}/logs/sort_by_time.log",
    benchmark:
        "<results>/{dataset}/benchmarks/sort_by_time.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    shell:
        "python {input.code[0]:q}"
        " --labelled {input.labelled:q}"
        " --sorted {output.sorted:q}"
        " > {log:q} 2>&1"
