"""From an archive to the series of every movie."""


rule download_archive:
    """Download a dataset's archive, or copy it from its local path."""
    input:
        code=code("download_archive"),
        source=archive_source,
    output:
        archive="<resources>/{dataset}.zip",
    log:
        "<results>/{dataset}/logs/download_archive.log",
    benchmark:
        "<results>/{dataset}/benchmarks/download_archive.tsv"
    wildcard_constraints:
        dataset=names_with("url"),
    # The nodes of a cluster often have no internet.
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(240),
    params:
        url=lambda wildcards: DATASETS[wildcards.dataset].url,
        checks=lambda wildcards: [
            *dataset_option(wildcards, "--size", "size"),
            *dataset_option(wildcards, "--checksum", "checksum"),
            *dataset_option(wildcards, "--licence", "licence"),
        ],
        files=lambda wildcards: [
            *dataset_option(wildcards, "--catalogue", "catalogue"),
            "--only",
            *chosen_files(DATASETS[wildcards.dataset]),
        ],
    shell:
        "python {input.code[0]:q}"
        " --url {params.url:q}"
        " {params.checks:q}"
        " {params.files:q}"
        " --output {output.archive:q}"
        " > {log:q} 2>&1"


rule describe_log:
    """Say what the log's first rows would be taken for, and write settings that read it."""
    input:
        code=code("describe_log", *formats()),
        archive="<resources>/{dataset}.zip",
    output:
        settings="<results>/{dataset}/described.yaml",
    log:
        "<results>/{dataset}/logs/describe_log.log",
    benchmark:
        "<results>/{dataset}/benchmarks/describe_log.tsv"
    # The nodes of a cluster often have no internet.
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(10),
    params:
        dataset=lambda wildcards: canonical(config["datasets"][wildcards.dataset]),
    shell:
        "python {input.code[0]:q}"
        " --archive {input.archive:q}"
        " --name {wildcards.dataset:q}"
        " --dataset {params.dataset:q}"
        " --settings {output.settings:q}"
        " 2>&1 | tee {log:q}"


rule simulate_archive:
    """Simulate an archive in the form of ml-latest."""
    input:
        code=code("simulate_archive"),
    output:
        archive="<resources>/{dataset}.zip",
    log:
        "<results>/{dataset}/logs/simulate_archive.log",
    benchmark:
        "<results>/{dataset}/benchmarks/simulate_archive.tsv"
    wildcard_constraints:
        dataset=names_with("simulate"),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ratings=lambda wildcards: DATASETS[wildcards.dataset].simulate.ratings,
        users=lambda wildcards: DATASETS[wildcards.dataset].simulate.users,
        movies=lambda wildcards: DATASETS[wildcards.dataset].simulate.movies,
        first_date=lambda wildcards: DATASETS[wildcards.dataset].simulate.first_date,
        last_date=lambda wildcards: DATASETS[wildcards.dataset].simulate.last_date,
        seed=lambda wildcards: DATASETS[wildcards.dataset].simulate.seed,
    shell:
        "python {input.code[0]:q}"
        " --ratings {params.ratings:q}"
        " --users {params.users:q}"
        " --movies {params.movies:q}"
        " --first-date {params.first_date:q}"
        " --last-date {params.last_date:q}"
        " --seed {params.seed:q}"
        " --output {output.archive:q}"
        " > {log:q} 2>&1"


rule build_sequences:
    """Build each movie's series and the windows over it."""
    input:
        code=code("build_sequences"),
        sorted="<results>/{dataset}/sorted.parquet",
    output:
        sequences="<results>/{dataset}/sequences/{gaps}-{window}.parquet",
    log:
        "<results>/{dataset}/logs/build_sequences/{gaps}-{window}.log",
    benchmark:
        "<results>/{dataset}/benchmarks/build_sequences/{gaps}-{window}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    shell:
        "python {input.code[0]:q}"
        " --sorted {input.sorted:q}"
        " --gaps {wildcards.gaps:q}"
        " --window {wildcards.window}"
        " --memory-mb {resources.mem_mb}"
        " --sequences {output.sequences:q}"
        " > {log:q} 2>&1"
