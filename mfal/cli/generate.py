"""``mfal generate``: new formulas in the likeness of a corpus, admitted by a campaign's constraints."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.campaign.constraints import ConstraintsSection
    from mfal.generate.corpus import Corpus
    from mfal.generate.feasibility import FeasibilityClassifier
    from mfal.generate.generator import Generator, SiteRatio
    from mfal.generate.proposals import Proposals

_WHAT = """\
Learn the compositions of a corpus (a formula a line, or a CSV file with a column `formula`) and write new ones. Sums
are right by construction, and so is the ratio of two groups if [[constraints.ratio]] of the campaign file names one
that covers all elements; everything else that [constraints] ask is checked after rounding to whole atoms.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "generate", help="propose new compositions in the likeness of a corpus", description=_WHAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("corpus", type=Path, help="file of formulas to learn from")
    parser.add_argument("--campaign", type=Path, metavar="FILE", help="campaign file whose [constraints] apply")
    parser.add_argument("--count", type=int, default=100, help="formulas wanted (default: 100)")
    parser.add_argument("--method", default="vae", choices=("vae", "diffusion"), help="model (default: vae)")
    stability = "CSV of formula and energy_above_hull_ev_per_atom: generate what is likely to be stable"
    parser.add_argument("--stability", type=Path, metavar="FILE", help=stability)
    parser.add_argument("--atoms", type=int, default=24, help="the most in a formula (default: 24)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--output", type=Path, help="file to write, a formula a line (default: print them)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Write the formulas under a progress display; return 1 where there are fewer than wanted."""
    from mfal.campaign.config import load
    from mfal.campaign.constraints import ConstraintsSection
    from mfal.errors import GenerationError
    from mfal.generate.generator import Generator

    if options.seed < 0 or options.count < 1:
        raise GenerationError(
            f"--seed {options.seed} --count {options.count}: give a seed from 0 and a count from 1 on"
        )
    section = load(options.campaign).constraints if options.campaign else ConstraintsSection()
    corpus = _admitted(options.corpus, section)
    guide = _guide(options.stability, corpus, options.seed)
    generator = Generator(corpus, options.method, _ratio(corpus, section), options.atoms, guide)
    found = _watched(generator, section, options.count, options.seed)
    _write(found, options.output)
    print(f"{len(found.formulas)} new formulas of {found.drawn} drawn: {found.repeated} repeated, {found.known} known, "
          f"{found.refused} refused", file=sys.stderr)  # fmt: skip
    return int(len(found.formulas) < options.count)


def _admitted(path: Path, section: "ConstraintsSection") -> "Corpus":
    """Read the corpus less what the constraints refuse, which is said."""
    from mfal.campaign.feasibility import refusals
    from mfal.errors import GenerationError
    from mfal.generate.corpus import Corpus, read_corpus

    corpus = read_corpus(path)
    if not section.declared:
        return corpus
    out = refusals(section, corpus.formulas)
    if len(out) == len(corpus.formulas):
        name, reason = next(iter(out.items()))
        raise GenerationError(f"{path}: [constraints] refuse all {len(out)} formulas, {name} because {reason}")
    if out:
        name, reason = next(iter(out.items()))
        print(f"mfal: {len(out)} formulas of the corpus are left out, {name} because {reason}", file=sys.stderr)
    return Corpus.of([formula for formula in corpus.formulas if formula not in out])


def _guide(table: Path | None, corpus: "Corpus", seed: int) -> "FeasibilityClassifier | None":
    """Learn what is stable."""
    if table is None:
        return None
    import jax

    from mfal.generate.stability_table import read_stability

    return read_stability(table).classifier(jax.random.key(seed)).on(corpus.elements)


def _ratio(corpus: "Corpus", section: "ConstraintsSection") -> "SiteRatio | None":
    """Return the first declared ratio that covers all elements of the corpus."""
    from mfal.generate.generator import SiteRatio

    for one in section.ratio:
        if set(corpus.elements) <= {*one.of, *one.to}:
            return SiteRatio.of(corpus, one.of, one.to, one.amounts)
    return None


def _watched(generator: "Generator", section: "ConstraintsSection", count: int, seed: int) -> "Proposals":
    import jax
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from mfal.campaign.feasibility import refusals
    from mfal.generate.proposals import propose

    train, draw = jax.random.split(jax.random.key(seed))
    refused: Callable = lambda formulas: refusals(section, formulas) if section.declared else {}  # noqa: E731
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(),
                  transient=True, console=Console(stderr=True)) as bar:  # fmt: skip
        task = bar.add_task(f"learning {len(generator.corpus.formulas)} formulas", total=count)
        drawn = generator.train(train)
        bar.update(task, description="formulas")
        return propose(drawn, generator.round, refused, generator.corpus, count, draw,
                       lambda found: bar.update(task, completed=found))  # fmt: skip


def _write(found: "Proposals", output: Path | None) -> None:
    from mfal.errors import GenerationError

    text = "".join(f"{formula}\n" for formula in found.formulas)
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GenerationError(f"--output {output}: cannot be written ({error}); name another file") from error
