"""Write a simulated archive in the exact form of MovieLens ml-latest.zip.

It lets the workflow run, be tested and be timed at any size without a network. Nothing in it is
copied: the titles come from the lists of words below. What it imitates, after Harper and Konstan
(2015), "The MovieLens Datasets: History and Context", https://doi.org/10.1145/2827872: users who
come once or a few times and then rate many movies in a sitting, a popularity of movies with a
heavy head and a long tail, and new movies that rise and decay. What it adds is a mild weekly rhythm
of some movies' own (:func:`weekday_pull`), so that a forecast that knows one can be seen.

A user's sittings are placed in time by the volume of the days; each rating in a sitting then draws
a movie from that week's popularity until the user has not rated it yet. All random numbers come
from one generator in a fixed order, and popularity is turned into integers before it is used, so
the contents depend on the options alone, not on the machine or on the time. (The compressed bytes
also depend on the zlib that Python was built with.)
"""

import argparse
import csv
import io
import itertools
import logging
import time
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import popularity.start

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.random import PCG64, Generator

from popularity.program import Fault, atomic_write, run

DAY = 86400
#: Cards in a week's deck: a movie's share of the week is a whole number of cards.
CARDS = 2**16
#: Ratings made at a time: some 100 MB of working memory.
BLOCK = 2**19
#: Redraws of a movie that the user has rated already, before the rest is drawn exactly.
ROUNDS = 12
#: MovieLens takes half stars since its third version (Harper and Konstan 2015).
HALF_STARS_FROM = int(np.datetime64("2003-02-18", "s").astype(np.int64))
#: Share of the movies that have a weekday of their own, and by how much fewer of those who are offered such
#: a movie take it half a week later.
RHYTHMIC = 0.4
DIP = 0.5
#: Share of the ratings that come with a tag (ml-latest of August 2017: 753,170 of 26,024,289).
TAGGED = 0.03

#: Genres and how many of 100 movies have them, roughly.
GENRES = {
    "Action": 16, "Adventure": 10, "Animation": 6, "Children": 6, "Comedy": 37, "Crime": 12,
    "Documentary": 8, "Drama": 53, "Fantasy": 6, "Film-Noir": 1, "Horror": 13, "IMAX": 1,
    "Musical": 3, "Mystery": 7, "Romance": 17, "Sci-Fi": 8, "Thriller": 20, "War": 4, "Western": 3,
}  # fmt: skip
LISTS = {
    kind: words.split("|")
    for kind, words in {
        "adjective": "Silent|Crimson|Hollow|Golden|Broken|Distant|Burning|Gentle|Wicked|Frozen|"
        "Restless|Paper|Velvet|Second|Borrowed|Crooked|Electric|Forgotten|Lonely|Northern|Patient|"
        "Savage|Tender|Unlikely|Wandering|Winter|Yellow|Midnight|Ordinary|Reckless|Salted|Hidden",
        "noun": "Harbor|Orchard|Engine|Widow|Lantern|Sparrow|Bridge|Colonel|Garden|Mirror|Parade|"
        "Quarry|River|Saddle|Theory|Umbrella|Violin|Wolf|Yard|Anthem|Balloon|Candle|Detective|Echo|"
        "Ferry|Guest|House|Island|Journey|Kitchen|Letter|Machine|Neighbor|Ocean|Promise|Question|"
        "Robot|Season|Tailor|Uncle|Voyage|Witness|Zeppelin|Bakery|Cathedral|Doctor|Empire|Glacier",
        "name": "Anselm|Beatrix|Cosmo|Dalia|Édgar|Fiora|Günther|Hélène|Iñigo|Jonas|Łucja|Márta",
        "foreign": "Dernier café, Le|Été sans fin, Un|Niña del río, La|Über den Dächern|Småkök|"
        "Città più lontana, La|Señor Otoño|Förlorad vår, En|Coração de pedra|Żółty płaszcz",
        "tag": "slow burn|great soundtrack|twist ending|visually striking|dry humor|too long|cult|"
        "based on a book|strong lead|rainy day|café scene|ensemble cast|slow, but worth it|heist|"
        'time travel|"classic"|road trip|atmospheric|quotable|small town',
    }.items()
}

README = """\
Simulated data in the form of MovieLens ml-latest
=================================================

THESE DATA ARE SIMULATED. No person rated anything here and none of these movies exists: a program
drew users, movies, ratings and tags at random, and the titles from lists of words. Only the form
is that of the MovieLens data sets (https://grouplens.org/datasets/movielens/). GroupLens has
nothing to do with this archive. Draw no conclusion about real movies or viewers from it.

{} ratings and {} tags of {} movies by {} users, {} to {} (UTC).
Seed: {}.

Each genre has its days: the weekend's or the others'. And {} % of the movies, drawn at random, have a
weekday of their own, on which they are taken up to twice as readily as half a week later.

ratings.csv  userId,movieId,rating,timestamp   by user, then movie; 0.5 to 5.0 stars; Unix seconds
tags.csv     userId,movieId,tag,timestamp
movies.csv   movieId,title,genres              genres joined by |
links.csv    movieId,imdbId,tmdbId             made up, like the rest
"""


@dataclass(frozen=True)
class Catalogue:
    """The movies, in ascending order of id; every array has the shape (movies,)."""

    ids: np.ndarray  #: movieId, int64, with gaps
    titles: list[str]
    genres: list[str]  #: joined by |
    genre: np.ndarray  #: position in GENRES of the movie's leading genre, int64
    released: np.ndarray  #: first week of the period with it, int64; negative: out before
    appeal: np.ndarray  #: log of its long-term popularity, float64
    quality: np.ndarray  #: mean rating, stars, float64


def check(ratings: int, users: int, movies: int, seed: int, first: date, last: date) -> int:
    """Refuse numbers that no archive can have; return how many movies are out on the first day."""
    for name, number in (("ratings", ratings), ("users", users), ("movies", movies)):
        if number < 1:
            raise Fault(f"--{name} is {number}: give at least 1")
    if seed < 0:
        raise Fault(f"--seed is {seed}: give 0 or more")
    if last < first:
        raise Fault(f"--last-date {last} is before --first-date {first}: swap them")
    if first.year < 1970 or (last - first).days > 36525:
        raise Fault(f"{first} to {last}: give dates from 1970 on, at most 100 years apart")
    if ratings < users:
        raise Fault(f"{ratings} ratings for {users} users: every user rates at least one movie")
    # New movies come at some 4 % of the stock a year, as in ml-latest, but leave 40 % old ones.
    years = ((last - first).days + 1) / 365.25
    old = max(1, round(movies * max(0.4, float(np.exp(-years / 25)))))
    most = max(users, users * old // 2)
    if ratings > most:
        raise Fault(
            f"{ratings} ratings are too many for {users} users and {movies} movies, of which {old} "
            f"are out on {first}: give at most {most} (half of all pairs), or more users or movies"
        )
    return old


def make_title(rng: Generator, number: int) -> str:
    """Make up one title without its year, its article at the end as MovieLens has it."""
    adjective, noun, other, name, foreign = (
        LISTS[kind][rng.integers(len(LISTS[kind]))]
        for kind in ("adjective", "noun", "noun", "name", "foreign")
    )
    if number % 60 == 30:
        return f'"{noun}" and Other {adjective} Stories'
    forms = {
        f"{adjective} {noun}": 30,
        f"{adjective} {noun}, The": 18,
        f"{adjective} {noun}, The ({foreign})": 4,
        f"{noun} of the {other}, The": 10,
        f"{noun}, {other} and {name}": 4,
        f"{name}'s {noun}": 14,
        f"{name} and the {adjective} {noun}": 12,
        f"{adjective} {noun} {rng.integers(2, 5)}": 6,
        foreign: 2,
    }
    return list(forms)[np.searchsorted(np.cumsum(list(forms.values())), rng.integers(100), "right")]


def make_catalogue(rng: Generator, movies: int, old: int, first: date, weeks: int) -> Catalogue:
    """Make up the movies: ``old`` come out before ``first``, the others in the ``weeks`` after."""
    # Days before the first date, folded so that no movie is older than the cinema.
    age = rng.exponential(25 * 365.25, old) % (365.25 * (first.year - 1900))
    released = np.sort(rng.integers(0, weeks, movies - old))
    day = np.datetime64(first) + np.concatenate([-1 - age.astype(np.int64), 7 * released])
    years = day.astype("datetime64[Y]").astype(np.int64) + 1970

    names = np.array(list(GENRES))
    shares = np.array(list(GENRES.values())) / sum(GENRES.values())
    titles, genres, leading = [], [], []
    for number, year in enumerate(years):
        # Some real titles lack the year, and some movies the genres.
        titles.append(make_title(rng, number) + ("" if number % 140 == 70 else f" ({year})"))
        how_many = rng.choice([1, 2, 3, 4], p=[0.4, 0.35, 0.2, 0.05])
        chosen = rng.choice(len(names), how_many, p=shares)
        leading.append(chosen[0])
        joined = "|".join(names[np.unique(chosen)])
        genres.append("(no genres listed)" if number % 50 == 25 else joined)

    # Ids are given in the order of entry; of the later ones more are missing, as in ml-latest.
    gaps = rng.exponential(5.6, movies) * np.arange(movies) / movies
    # Zipf's law as Mandelbrot flattened it at the head (1953): share ~ (rank + q) ** -s.
    rank = rng.permutation(movies) + 1
    return Catalogue(
        ids=np.cumsum(1 + gaps.astype(np.int64)),
        titles=titles,
        genres=genres,
        genre=np.array(leading),
        released=np.concatenate([np.full(old, -1000), released]),
        appeal=-1.4 * np.log(rank + 5 + movies / 200),
        quality=3.65 - 0.4 * rank / movies + rng.normal(0, 0.4, movies),
    )


def make_decks(rng: Generator, catalogue: Catalogue, weeks: int) -> np.ndarray:
    """Deal each week's popularity as a deck of cards: positions in the catalogue, (weeks, CARDS).

    To draw a card is to draw a movie by its popularity in that week, at the cost of one look-up.
    Log popularity = long-term appeal + the movie's own drift + its leading genre's fashion + the
    rise and fall of a new movie. Drift and fashion are each an AR(1) process driven by an AR(1):
    they move over months and over weeks, with some momentum, so that the recent past tells more
    than the whole, and all movies of a genre together more than one of them.
    """
    movies = len(catalogue.ids)
    peak = np.maximum(2, rng.lognormal(np.log(6), 0.5, movies))  # weeks from release to peak
    hype = rng.normal(2.7, 0.5, movies)
    keep = np.repeat([0.97, 0.9], [movies, len(GENRES)])  # of the movies, then of the genres
    gain = np.sqrt((1 - keep**2) * (1 - 0.8 * keep) / (1 + 0.8 * keep))  # for a variance of 1
    level, speed = rng.normal(0, 1, (2, len(keep)))
    decks = np.empty((weeks, CARDS), np.min_scalar_type(movies))
    for week in range(weeks):
        speed = 0.8 * speed + 0.6 * rng.normal(0, 1, len(speed))
        level = keep * level + gain * speed
        age = (week - catalogue.released + 1) / peak
        log_share = catalogue.appeal + level[:movies] + 1.3 * level[movies + catalogue.genre]
        log_share += np.where(age > 0, hype * age * np.exp(1 - np.maximum(age, 0)), -np.inf)
        # Integers, so that no last bit of some machine's exp() can change the deck.
        weight = np.rint(np.exp(log_share - log_share.max()) * 2**24).astype(np.int64)
        edges = np.cumsum(weight)
        # Systematic sampling: each movie gets its share of the cards, rounded up or down at random.
        edges = (edges * CARDS + rng.integers(edges[-1])) // edges[-1]
        decks[week] = np.repeat(np.arange(movies), np.diff(edges, prepend=0))
    return decks


def share_out(weights: np.ndarray, total: int, most: int) -> np.ndarray:
    """Give 1 to ``most`` to each of ``weights``, about in proportion and ``total`` together."""
    low, high = 0.0, most / weights.min()
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(weights * middle, 1, most).astype(np.int64).sum() <= total:
            low = middle
        else:
            high = middle
    counts = np.clip(weights * low, 1, most).astype(np.int64)
    while missing := total - counts.sum():
        counts[np.flatnonzero(counts < most)[:missing]] += 1
    return counts


def day_volumes(rng: Generator, first: date, days: int) -> np.ndarray:
    """Draw how busy each day is, as cumulative shares of the period, float64 (days,)."""
    day = np.datetime64(first) + np.arange(days)
    year = day.astype("datetime64[Y]").astype(np.int64)
    year -= year[0]
    month = day.astype("datetime64[M]").astype(np.int64) % 12
    weekday = np.array([1.08, 1.02, 0.95, 0.92, 0.88, 1.0, 1.15])[(day.astype(np.int64) + 3) % 7]
    volume = weekday * (1 + 0.12 * np.cos(2 * np.pi * month / 12))
    volume *= np.exp(rng.normal(0, 0.25, year[-1] + 1))[year] * np.exp(rng.normal(0, 0.15, days))
    shares: np.ndarray = np.cumsum(volume) / volume.sum()
    return shares


def make_sittings(
    rng: Generator, counts: np.ndarray, volumes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say who rates when, for users with ``counts`` ratings: one entry per rating, in user order.

    Returns the user (position in ``counts``), the day (from 0) on which the sitting begins, and the
    time in seconds after the start of the first day, all int64. Half of the users come once; the
    number of sittings has a Pareto tail, and the first ones hold most of the ratings.
    """
    users, end = len(counts), len(volumes) * DAY - 1
    sittings = np.minimum(rng.pareto(0.9, users) + 1, np.minimum(counts, 400)).astype(np.int64)
    offset = np.cumsum(sittings) - sittings
    owner = np.repeat(np.arange(users), sittings)
    # Time runs in shares of the whole volume: a user arrives, and comes back most often soon after.
    arrival = rng.random(users)[owner]
    back = rng.random(len(owner)) ** 3
    back[offset] = 0
    day = np.searchsorted(volumes[:-1], arrival + (1 - arrival) * back, side="right")
    hours = 1 + 0.6 * np.cos(2 * np.pi * (np.arange(24) - 20) / 24)
    start = day * DAY + rng.choice(24, len(owner), p=hours / hours.sum()) * 3600
    start += rng.integers(0, 3600, len(owner))

    user = np.repeat(np.arange(users), counts)
    sitting = np.sort(offset[user] + (sittings[user] * rng.random(len(user)) ** 2).astype(np.int64))
    clock = np.cumsum(rng.exponential(25, len(user)).astype(np.int64))
    used, begin = np.unique(sitting, return_index=True)
    length = np.append(begin[1:], len(user)) - begin
    elapsed = clock - np.repeat(clock[begin], length)
    # A sitting that would outlast the period begins earlier.
    start = np.clip(start[used], 0, np.maximum(0, end - elapsed[begin + length - 1]))
    start = np.repeat(start, length)
    return user, start // DAY, np.minimum(start + elapsed, end)


def weekday_pull(rng: Generator, genre: np.ndarray) -> np.ndarray:
    """Draw how likely a drawn movie is taken by weekday (0 = Monday), float32 (movies, 7).

    That is its leading genre's pull times its own: :data:`RHYTHMIC` of the movies have a weekday of
    their own, and half a week later :data:`DIP` less; the others have as much on average.
    """
    weekday = np.arange(7)
    weekend = np.cos(2 * np.pi * (weekday - 5.5) / 7)
    of_genre = 0.55 + 0.45 * rng.uniform(-1, 1, len(GENRES))[:, None] * weekend
    favourite = rng.integers(0, 7, len(genre))
    swing = np.where(rng.random(len(genre)) < RHYTHMIC, np.float64(DIP / 2), 0.0)
    own = 1 - DIP / 2 + swing[:, None] * np.cos(2 * np.pi * (weekday - favourite[:, None]) / 7)
    return np.asarray(of_genre[genre] * own, np.float32)


def choose_movies(
    rng: Generator,
    catalogue: Catalogue,
    decks: np.ndarray,
    pull: np.ndarray,
    user: np.ndarray,
    day: np.ndarray,
    weekday: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose a movie for each rating so that no user rates one twice.

    Returns the movies and which rating takes which, both int64 and sorted by user, then movie.
    """
    size, movies = len(user), len(catalogue.ids)
    key = np.empty(0, np.int64)  # (user, movie, rating) in one integer: quick to sort
    open_ = np.arange(size)
    for _ in range(ROUNDS):
        movie = decks[day[open_] // 7, rng.integers(0, CARDS, len(open_))].astype(np.int64)
        taken = rng.random(len(open_)) < pull[movie, weekday[open_]]
        new = ((user[open_] * movies + movie) * size + open_)[taken]
        key = np.sort(np.concatenate([key, new]))
        key = key[np.diff(key // size, prepend=-1) > 0]
        unfilled = np.ones(size, bool)
        unfilled[key % size] = False
        open_ = np.flatnonzero(unfilled)
        if not len(open_):
            break
    # Users who have seen most of what is popular: draw the rest without replacement, by a race of
    # exponentials (Efraimidis and Spirakis 2006), among old movies: there are always enough.
    old = np.searchsorted(catalogue.released, 0)
    handicap = np.exp(-catalogue.appeal[:old])
    late, begin = np.unique(user[open_], return_index=True)
    extra = [key]
    for one, rest in zip(late, np.split(open_, begin)[1:], strict=True):
        low, high = np.searchsorted(key, np.array([one, one + 1]) * movies * size)
        seen = key[low:high] // size % movies
        race = rng.exponential(1, old) * handicap
        race[seen[seen < old]] = np.inf
        winners = np.argpartition(race, len(rest) - 1)[: len(rest)]
        winners = winners[np.argsort(race[winners])]  # argpartition's order is not defined
        extra.append((one * movies + winners) * size + rest)
    key = np.sort(np.concatenate(extra))
    return key // size % movies, key % size


def rate(rng: Generator, mean: np.ndarray, timestamp: np.ndarray) -> np.ndarray:
    """Rate around ``mean`` stars, mostly in whole stars; returns half stars from 1 to 10, int64."""
    halves = np.rint(2 * (mean + rng.normal(0, 0.95, len(mean))))
    halves = np.clip(halves, 1, 10).astype(np.int64)
    whole_star = (rng.random(len(mean)) < 0.5) | (timestamp < HALF_STARS_FROM)
    halves += (halves % 2) * whole_star * np.where(halves < 3, 1, -1)
    return halves


def blocks_of(counts: np.ndarray) -> Iterator[slice]:
    """Cut the users into runs of about BLOCK ratings."""
    number = (np.cumsum(counts) - 1) // BLOCK
    edges = np.flatnonzero(np.diff(number, prepend=-1, append=number[-1] + 1))
    for begin, end in itertools.pairwise(edges):
        yield slice(int(begin), int(end))


def numbers_csv(*columns: np.ndarray | pa.Array) -> bytes:
    """Write columns without a header as CSV; none may need quotes."""
    table = pa.table({str(place): column for place, column in enumerate(columns)})
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none", batch_size=65536)
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(table, sink, options)
    return bytes(sink.getvalue())


def texts_csv(rows: Iterable[tuple[object, ...]]) -> str:
    """Write rows as CSV, with quotes where a field needs them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def member(name: str) -> zipfile.ZipInfo:
    """Describe a file of the archive, with a date that does not hang on the clock."""
    info = zipfile.ZipInfo(f"ml-latest/{name}", (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, wherever this runs
    info.external_attr = 0o644 << 16
    return info


def draw_ratings(
    rng: Generator, catalogue: Catalogue, counts: np.ndarray, first: date, days: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Draw ``counts`` ratings of the users, block by block.

    Yields userId, movieId, half stars (1 to 10) and Unix seconds, all int64, by user, then movie.
    """
    weeks = -(-days // 7)
    decks = make_decks(rng, catalogue, weeks)
    logging.info("drew %d movies and %d weeks of popularity", len(catalogue.ids), weeks)
    volumes = day_volumes(rng, first, days)
    pull = weekday_pull(rng, catalogue.genre)
    epoch_day = int(np.datetime64(first).astype(np.int64))
    for block in blocks_of(counts):
        user, day, second = make_sittings(rng, counts[block], volumes)
        weekday = (epoch_day + day + 3) % 7  # 1 January 1970 was a Thursday
        movie, which = choose_movies(rng, catalogue, decks, pull, user, day, weekday)
        timestamp = epoch_day * DAY + second[which]
        mean = catalogue.quality[movie] + rng.normal(0, 0.4, block.stop - block.start)[user]
        yield user + block.start + 1, catalogue.ids[movie], rate(rng, mean, timestamp), timestamp


def simulate(path: Path, ratings: int, users: int, movies: int, seed: int, first: date, last: date) -> None:
    """Write the archive to ``path``."""
    old = check(ratings, users, movies, seed, first, last)
    rng = Generator(PCG64(seed))
    days = (last - first).days + 1
    catalogue = make_catalogue(rng, movies, old, first, -(-days // 7))
    imdb = np.sort(rng.choice(np.arange(1000, 10 * movies + 1000), movies, replace=False))
    tmdb = np.where(rng.random(movies) < 0.005, "", (rng.permutation(movies) + 1).astype(str))
    # The room over one half of the movies lets users differ even where the limit is reached.
    counts = share_out(rng.lognormal(0, 1.4, users), ratings, -(-6 * old // 10))
    stars = pa.array([f"{half / 2:.1f}" for half in range(11)])
    end = int(np.datetime64(last, "s").astype(np.int64)) + DAY - 1

    with (
        zipfile.ZipFile(path, "w", compresslevel=1) as archive,
        ThreadPoolExecutor(1) as compressor,
    ):
        links = zip(catalogue.ids, (f"{number:07d}" for number in imdb), tmdb, strict=True)
        archive.writestr(member("links.csv"), "movieId,imdbId,tmdbId\n" + texts_csv(links))
        listed = zip(catalogue.ids, catalogue.titles, catalogue.genres, strict=True)
        archive.writestr(member("movies.csv"), "movieId,title,genres\n" + texts_csv(listed))
        tags = ["userId,movieId,tag,timestamp\n"]
        tagged = done = 0
        began = said = time.monotonic()
        # A row has some 30 bytes; only a file of 2 GiB or more takes the form of zip64.
        large = 40 * ratings > 2**31
        with archive.open(member("ratings.csv"), "w", force_zip64=large) as file:
            writing: Future[int] = compressor.submit(file.write, b"userId,movieId,rating,timestamp\n")
            for user, movie, halves, timestamp in draw_ratings(rng, catalogue, counts, first, days):
                rows = numbers_csv(user, movie, stars.take(pa.array(halves)), timestamp)
                # zlib releases the GIL: one block is compressed while the next is drawn.
                writing.result()
                writing = compressor.submit(file.write, rows)

                some = np.flatnonzero(rng.random(len(user)) < TAGGED)
                words = [LISTS["tag"][i] for i in rng.integers(0, len(LISTS["tag"]), len(some))]
                late = np.minimum(timestamp[some] + 20, end)
                tags.append(texts_csv(zip(user[some], movie[some], words, late, strict=True)))
                tagged += len(some)
                done += len(user)
                now = time.monotonic()
                if now - said > 3 or done == ratings:
                    left = (now - began) * (ratings - done) / done
                    logging.info("%d of %d ratings, about %.0f s to go", done, ratings, left)
                    said = now
            writing.result()
        facts = README.format(*(ratings, tagged, movies, users, first, last, seed, round(100 * RHYTHMIC)))
        archive.writestr(member("README.txt"), facts)
        archive.writestr(member("tags.csv"), "".join(tags))


def main() -> None:
    """Read the command line and write the archive."""
    parser = argparse.ArgumentParser(
        description="Write a simulated archive in the exact form of MovieLens ml-latest.zip. The "
        "same options give the same contents everywhere.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--ratings", type=int, default=300_000, help="number of ratings, exactly")
    add("--users", type=int, default=6_000, help="number of users; each rates at least one movie")
    add("--movies", type=int, default=2_000, help="number of movies; as in life, some go unrated")
    add("--seed", type=int, default=1, help="seed of all that is random")
    day = date.fromisoformat
    add("--first-date", dest="first", type=day, default="2015-01-01", help="first day, UTC")
    add("--last-date", dest="last", type=day, default="2017-06-30", help="last day, UTC")
    add("--output", type=Path, default="resources/demo.zip", help="archive to write")
    options = vars(parser.parse_args())
    output = options.pop("output")
    with atomic_write(output) as path:
        simulate(path, **options)
    logging.info("wrote %s", output)


if __name__ == "__main__":
    run(main)
