"""The table of a screening: complete, resumable wherever it was cut off, and never of two models or treatments."""

import csv
import resource
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from physics.mlip.ase_calculator import AsePotential
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings
from physics.screening.rows import COLUMNS, ScreeningError
from physics.screening.screen import PartSize, Task, screen
from physics.structures import Named, Unreadable

METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")
THREE = PartSize(3, 3)
SETTINGS = RelaxationSettings()


@dataclass
class Toy:
    """Energies by number and volume; structures of some formulas end otherwise than converged, iron is refused."""

    outcomes: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    dies_at: str = ""
    label: str = "toy"

    def predict(self, structures):
        """Answer structures as they are."""
        return [self._answer(atoms) for atoms in structures]

    def relax(self, structures, settings, watch=lambda _: None):
        """Let cells grow by a tenth."""
        watch(len(structures))
        return [self._relaxed(atoms, settings) for atoms in structures]

    def _answer(self, atoms):
        self.asked.append(atoms.get_chemical_formula())
        if atoms.get_chemical_formula() == self.dies_at:
            raise KeyboardInterrupt
        if 26 in atoms.numbers:
            return Refusal("knows no\niron")
        rng = np.random.default_rng(int(atoms.numbers.sum()))
        energy = -np.mean(np.sqrt(atoms.numbers)) - 0.1 * len(set(atoms.numbers))
        return Prediction(energy, rng.normal(size=(len(atoms), 3)), rng.normal(size=(3, 3)), np.ones(len(atoms)))

    def _relaxed(self, atoms, settings):
        answer = self._answer(atoms)
        outcome = self.outcomes.get(atoms.get_chemical_formula(), Outcome.CONVERGED)
        end = atoms.copy()
        end.set_cell(atoms.cell * 1.1 ** (1 / 3), scale_atoms=True)
        return answer if isinstance(answer, Refusal) else Relaxation(end, answer, settings.max_steps, outcome)


def structures():
    """Return seven metals, one element that the potential does not know, and a broken file."""
    named = [Named(f"{symbol} 1.cif", bulk(symbol)) for symbol in (*METALS, "Fe")]
    return [*named[:3], Unreadable("broken.cif", "cannot be\nread"), *named[3:]]


def compound(first, second, length_a=3.0):
    return Atoms([first, second], scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[length_a] * 3, pbc=True)


def task(table, items=None, relaxes=False, references=None, out=None, settings=SETTINGS):
    return Task(structures() if items is None else items, relaxes, settings, references, table, out)


def rows(table):
    with table.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_every_structure_has_a_row(tmp_path):
    done, table, emt = [], tmp_path / "t.csv", AsePotential(EMT, "emt")
    found = screen(task(table), emt, THREE, done.append)
    assert (found.answered, found.converged, found.before, found.hull) == (7, 0, 0, "")
    assert done == [0, 3, 6, 9] and dict(found.failures).keys() == {"broken.cif", "Fe 1.cif"}
    assert list(rows(table)) == [one.name for one in structures()]
    assert rows(table)["broken.cif"]["failure"] == "cannot be read"
    copper = rows(table)["Cu 1.cif"]
    (expected,) = emt.predict([bulk("Cu")])
    assert (copper["formula"], copper["model"], copper["treatment"]) == ("Cu", "emt", "as given")
    assert float(copper["energy_ev_per_atom"]) == pytest.approx(expected.energy_ev_per_atom, rel=1e-7)
    assert float(copper["pressure_gpa"]) == pytest.approx(-np.trace(expected.stress_gpa) / 3.0, rel=1e-6)
    assert not copper["failure"] and not copper["magnetic_moment_mu_b_per_atom"] and not copper["outcome"]


def test_a_relaxed_structure_is_in_the_table_and_in_the_file(tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "t.extxyz"
    toy = Toy({"Cu": Outcome.NOT_CONVERGED, "Ag": Outcome.EXPLODED, "Pt": Outcome.LOST_ATOMS})
    found = screen(task(table, relaxes=True, out=out), toy, THREE)
    assert (found.answered, found.converged) == (5, 4)
    assert dict(found.failures)["Ag 1.cif"] == "its relaxation: exploded; check the structure"
    known = rows(table)
    assert known["Al 1.cif"]["outcome"] == "converged" and known["Cu 1.cif"]["outcome"] == "not converged"
    assert known["Pt 1.cif"]["outcome"] == "lost atoms" and not known["Pt 1.cif"]["energy_ev_per_atom"]
    assert known["Al 1.cif"]["steps"] == "500" and float(known["Al 1.cif"]["relative_volume_change"]) == pytest.approx(
        0.1
    )
    frames = {frame.info["name"]: frame for frame in read(out, ":")}
    assert list(frames) == [f"{symbol} 1.cif" for symbol in ("Al", "Cu", "Au", "Ni", "Pd")]
    (answer,) = Toy().predict([bulk("Au")])
    gold = frames["Au 1.cif"]
    assert gold.get_potential_energy() == pytest.approx(answer.energy_ev_per_atom) and gold.info["model"] == "toy"
    np.testing.assert_allclose(gold.get_forces(), answer.forces_ev_per_a, atol=1e-8)
    assert gold.get_stress()[:3].sum() * 160.21766 == pytest.approx(np.trace(answer.stress_gpa), rel=1e-6)
    assert gold.get_magnetic_moments() == pytest.approx([1.0])
    assert gold.get_volume() == pytest.approx(1.1 * bulk("Au").get_volume())


@pytest.mark.parametrize("cut", [0, 1, 40, 200, 400])
def test_a_table_that_was_cut_off_is_completed(tmp_path, cut):
    """Wherever it was cut: the same table, and nothing asked twice but what the cut took away."""
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    screen(task(whole), Toy(), THREE)
    content = whole.read_bytes()
    part.write_bytes(content[: len(content) - cut])
    kept, toy = len(rows(part)) - (cut > 0), Toy()
    found = screen(task(part), toy, THREE)
    assert part.read_bytes() == content
    assert found.before == 9 - len(toy.asked) - sum(name == "broken.cif" for name, _ in found.failures)
    assert found.before in (kept, kept + 1)


def everything(folder, toy, table="t.csv"):
    references = [Named("reference", compound("Al", "Ni"))]
    items = [*structures(), Named('a "b".cif', compound("Cu", "Au")), Named("É.cif", compound("Cu", "Pd"))]
    return screen(task(folder / table, items, True, references, folder / "t.extxyz"), toy, THREE)


@pytest.mark.parametrize("seed", range(25))
def test_whichever_of_both_files_was_cut_off_no_structure_is_lost_or_there_twice(tmp_path, seed):
    rng, table, out = np.random.default_rng(seed), tmp_path / "t.csv", tmp_path / "t.extxyz"
    everything(tmp_path, Toy({"Ag": Outcome.EXPLODED, "Al": Outcome.NOT_CONVERGED}))
    whole = table.read_bytes(), out.read_bytes()
    first_row = whole[0].index(b"\n", whole[0].index(b"Al 1.cif")) + 1
    which = seed % 3
    if which != 0:
        table.write_bytes(whole[0][: rng.integers(first_row, len(whole[0]))])
    if which != 1:
        out.write_bytes(whole[1][: rng.integers(0, len(whole[1]))])
    everything(tmp_path, Toy({"Ag": Outcome.EXPLODED, "Al": Outcome.NOT_CONVERGED}))
    assert (table.read_bytes(), out.read_bytes()) == whole


@pytest.mark.parametrize("table", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("at", ["Al", "Pd", "AuCu", "AlNi", "Pt"])
def test_a_kill_loses_at_most_the_part_in_hand(tmp_path, table, at):
    (tmp_path / "whole").mkdir()
    everything(tmp_path / "whole", all_of_it := Toy(), table)
    with pytest.raises(KeyboardInterrupt):
        everything(tmp_path, Toy(dies_at=at), table)
    everything(tmp_path, toy := Toy(), table)
    assert len(toy.asked) < len(all_of_it.asked) or at == "Al"  # which is in the first part
    read_table = pd.read_csv if table == "t.csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read_table(tmp_path / table), read_table(tmp_path / "whole" / table))
    assert (tmp_path / "t.extxyz").read_bytes() == (tmp_path / "whole" / "t.extxyz").read_bytes()


def test_a_parquet_table_has_types_and_is_continued(tmp_path):
    table = tmp_path / "t.parquet"
    screen(task(table, structures()[:4]), Toy(), THREE)
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]
    found = screen(task(table), toy := Toy(), THREE)
    assert found.before == 4 and len(toy.asked) == 5
    types = dict(zip(COLUMNS, pq.read_schema(table).types, strict=True))
    kinds = {"string": "large_string", "Int64": "int64", "Float64": "double"}
    assert {name: str(kind) for name, kind in types.items()} == {name: kinds[kind] for name, kind in COLUMNS.items()}
    frame = pd.read_parquet(table)
    assert list(frame.columns) == list(COLUMNS) and len(frame) == 9
    assert frame["atoms"].sum() == 8 and frame["failure"].isna().sum() == 7
    csv_table = tmp_path / "t.csv"
    screen(task(csv_table), Toy(), THREE)
    np.testing.assert_array_equal(
        frame["energy_ev_per_atom"].astype(float), pd.read_csv(csv_table)["energy_ev_per_atom"].astype(float)
    )
    table.write_text("no table")
    with pytest.raises(ScreeningError, match=r"cannot be read.*--table"):
        screen(task(table), Toy(), THREE)
    pd.DataFrame({"a": [1]}).to_parquet(table)
    with pytest.raises(ScreeningError, match="columns differ"):
        screen(task(table), Toy(), THREE)


def test_the_hull_is_that_of_all_that_converged(tmp_path):
    table = tmp_path / "t.csv"
    items = [
        Named("ab", compound("Cu", "Au")),
        Named("ab high", compound("Cu", "Au")),
        Named("cd", compound("Al", "Ni")),
    ]
    relaxation = Toy({"AlNi": Outcome.NOT_CONVERGED})
    found = screen(task(table, items, True, []), relaxation, PartSize(99, 99))
    known = rows(table)
    assert set(known) == {"ab", "ab high", "cd", "element:Au", "element:Cu"}
    assert (found.answered, found.converged) == (3, 2)
    assert found.hull.startswith("hull: 4 phases, energies of this model alone and uncorrected, elements relaxed by it")
    assert known["ab"]["energy_above_hull_ev_per_atom"] == "0" and known["ab"]["decomposition"] == "1 AuCu"
    assert not known["cd"]["energy_above_hull_ev_per_atom"] and not known["cd"]["decomposition"]
    assert known["element:Cu"]["role"] == "element" and known["element:Cu"]["energy_above_hull_ev_per_atom"] == "0"


def test_hull_energies_are_those_by_hand(tmp_path):
    """EMT's Al-Ni in the structure of CsCl lies above its elements, that is half the sum of theirs; Cu-Pd below."""
    emt, table = AsePotential(EMT, "emt"), tmp_path / "t.csv"
    items = [Named("alni", compound("Al", "Ni", 2.9)), Named("cupd", compound("Cu", "Pd"))]
    screen(task(table, items, True, []), emt, PartSize(99, 99))
    known = {name: float(row["energy_ev_per_atom"]) for name, row in rows(table).items()}
    expected = known["alni"] - (known["element:Al"] + known["element:Ni"]) / 2
    above = rows(table)["alni"]
    assert float(above["energy_above_hull_ev_per_atom"]) == pytest.approx(expected, abs=1e-7) and expected > 0.1
    assert above["decomposition"] == "0.5 Al + 0.5 Ni"
    assert rows(table)["cupd"]["energy_above_hull_ev_per_atom"] == "0"


def test_without_relaxation_the_elements_of_a_hull_are_relaxed_all_the_same(tmp_path):
    table = tmp_path / "t.csv"
    references = [Named("reference", compound("Cu", "Pd"))]
    screen(task(table, [Named("ab", compound("Cu", "Au"))], False, references), Toy(), THREE)
    known = rows(table)
    assert known["ab"]["treatment"] == known["reference"]["treatment"] == "as given"
    assert known["element:Au"]["treatment"] == "relaxed to 0.05 eV/A in 500 steps"
    assert set(known) == {"ab", "reference", "element:Au", "element:Cu", "element:Pd"}


def test_an_element_without_a_reference_leaves_out_what_needs_it(tmp_path):
    table = tmp_path / "t.csv"
    items = [Named("ab", compound("Cu", "Au")), Named("pr", compound("Cu", "Pr"))]
    found = screen(task(table, items, True, []), Toy(), THREE)
    assert found.hull.endswith("not of 1 others (no energy of the element Pr, give its ground state with --references)")
    assert not rows(table)["pr"]["energy_above_hull_ev_per_atom"] and rows(table)["ab"]["energy_above_hull_ev_per_atom"]
    found = screen(task(table, items, True, [Named("praseodymium", bulk("Pr", "fcc", 5.0))]), Toy(), THREE)
    assert "others" not in found.hull and rows(table)["pr"]["energy_above_hull_ev_per_atom"]


def test_no_hull_of_an_earlier_table_outlives_new_rows(tmp_path):
    table, ab = tmp_path / "t.csv", Named("ab", compound("Cu", "Au"))
    screen(task(table, [ab], True, []), Toy(), THREE)
    screen(task(table, [ab], True), Toy(), THREE)
    assert rows(table)["ab"]["decomposition"]
    screen(task(table, [ab, Named("cd", compound("Al", "Ni"))], True), Toy(), THREE)
    assert not any(row["decomposition"] for row in rows(table).values())


def test_another_table_is_refused_and_left_as_it_is(tmp_path):
    table = tmp_path / "t.csv"
    screen(task(table), Toy(), THREE)
    with pytest.raises(ScreeningError, match=r"holds answers of 'toy', this is 'other'.*--table"):
        screen(task(table), Toy(label="other"), THREE)
    with pytest.raises(ScreeningError, match=r"structures 'as given', these are to be 'relaxed to 0.05 .*--table"):
        screen(task(table, relaxes=True), Toy(), THREE)
    for content in ("a,b\n1,2\n", "somebody's note"):
        table.write_text(content)
        with pytest.raises(ScreeningError, match="columns differ"):
            screen(task(table), Toy(), THREE)
        assert table.read_text() == content


def test_somebodys_structures_are_left_as_they_are(tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "t.extxyz"
    write(out, [bulk("Cu"), bulk("Al")], format="extxyz")
    before = out.read_bytes()
    with pytest.raises(ScreeningError, match=r"structures that are not of this table.*--structures-out"):
        screen(task(table, out=out), Toy(), THREE)
    assert out.read_bytes() == before and not table.exists()
    screen(task(table, out=tmp_path / "new.extxyz"), Toy(), THREE)
    with pytest.raises(ScreeningError, match="not of this table"):
        screen(task(table, out=out), Toy(), THREE)
    with pytest.raises(ScreeningError, match=r"other.extxyz does not exist, but .* holds answers"):
        screen(task(table, out=tmp_path / "other.extxyz"), Toy(), THREE)
    assert out.read_bytes() == before and len(rows(table)) == 9


@pytest.mark.parametrize("limit", [100, 700, 1500, 2500])
def test_a_full_disk_is_told_and_costs_nothing(tmp_path, limit):
    """The system lets no file grow beyond the limit, in the middle of a row or structure."""
    table, out = tmp_path / "t.csv", tmp_path / "t.extxyz"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(ScreeningError, match=r"cannot be used \(File too large\).*run the same command again"):
            everything(tmp_path, Toy())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    everything(tmp_path, Toy())
    (tmp_path / "whole").mkdir()
    everything(tmp_path / "whole", Toy())
    assert table.read_bytes() == (tmp_path / "whole" / "t.csv").read_bytes()
    assert out.read_bytes() == (tmp_path / "whole" / "t.extxyz").read_bytes()


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(ScreeningError, match=r"nowhere/t.csv cannot be used \(No such file or directory\)"):
        screen(task(tmp_path / "nowhere" / "t.csv"), Toy(), THREE)
