"""The same tables as rules/tables.smk makes, to the byte, by several jobs each (data.shards)."""


include: "tables.smk"


# The rules of tables.smk are here to be reused; the tables themselves come from the shards.
ruleorder: gather_shards > join_ratings
ruleorder: copy_movies > join_ratings
ruleorder: list_rejected > join_ratings
ruleorder: gather_shards > label_popularity
ruleorder: gather_shards > sort_by_time


use rule join_ratings as join_shard with:
    output:
        joined="<results>/{dataset}/shards/joined-{shard}.parquet",
        movies="<results>/{dataset}/shards/movies-{shard}.parquet",
        facts="<results>/{dataset}/shards/log-{shard}.json",
        rejected="<results>/{dataset}/shards/rejected-{shard}.csv",
    log:
        "<results>/{dataset}/logs/join_shard/{shard}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/join_shard/{shard}.tsv"
    params:
        shard=shard_option,


use rule label_popularity as label_shard with:
    input:
        code=code("label_popularity"),
        joined=shards("joined"),
        movies="<results>/{dataset}/shards/movies-0.parquet",
    output:
        labelled="<results>/{dataset}/shards/labelled-{shard}.parquet",
    log:
        "<results>/{dataset}/logs/label_shard/{shard}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/label_shard/{shard}.tsv"
    params:
        shard=shard_option,


use rule sort_by_time as sort_shard with:
    input:
        code=code("sort_by_time"),
        labelled="<results>/{dataset}/shards/labelled-{shard}.parquet",
    output:
        sorted="<results>/{dataset}/shards/sorted-{shard}.parquet",
    log:
        "<results>/{dataset}/logs/sort_shard/{shard}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/sort_shard/{shard}.tsv"


rule gather_shards:
    """Put the parts of a table together."""
    input:
        code=code("gather_shards"),
        shards=shards("{table}"),
    output:
        table="<results>/{dataset}/{table}.parquet",
    log:
        "<results>/{dataset}/logs/gather_shards/{table}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/gather_shards/{table}.tsv"
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
        "python {input.code[0]:q}"
        " --shards {input.shards:q}"
        " --kind {params.kind:q}"
        " --table {output.table:q}"
        " > {log:q} 2>&1"


rule copy_movies:
    """Take the catalogue of the first part: all parts of the join make the same one."""
    input:
        movies="<results>/{dataset}/shards/movies-0.parquet",
    output:
        movies="<results>/{dataset}/movies.parquet",
    log:
        "<results>/{dataset}/logs/copy_movies.log",
    benchmark:
        "<results>/{dataset}/benchmarks/copy_movies.tsv"
    localrule: True
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
    """List the dropped rows of all parts."""
    input:
        rejected=[
            f"<results>/{{dataset}}/shards/rejected-{shard}.csv"
            for shard in range(SHARDS)
        ],
    output:
        rejected=report(
            "<results>/{dataset}/rejected.csv",
            caption=caption("rejected"),
            category="1 Data",
            labels=rejected_labels,
        ),
    log:
        "<results>/{dataset}/logs/list_rejected.log",
    benchmark:
        "<results>/{dataset}/benchmarks/list_rejected.tsv"
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
