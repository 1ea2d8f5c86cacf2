"""Formation energies as plans: each element once per settings, equal settings."""

import pytest

from physics.dft.errors import SettingsError
from physics.dft.formation import formation_plan, reference_spec
from physics.dft.settings import resolve
from physics.prototypes import as_record, build
from physics.thermodynamics.formation_energy import formation_energy

COMPOUND = as_record(build("B2", "Ni", "Al", 12.0))


def answered(plan, *energies):
    return [
        {"energy_ev_per_atom": energy, "settings": job.spec["settings"], "seconds": 2.0}
        for energy, job in zip(energies, plan.jobs, strict=True)
    ]


def keys(plan):
    return {job.key for job in plan.elements}


def test_an_element_is_one_job_for_all_compounds_of_the_settings():
    zirconium, titanium = (as_record(build("B2", symbol, "Al", 12.0)) for symbol in ("Zr", "Ti"))
    assert len(keys(formation_plan(zirconium, "fast")) & keys(formation_plan(titanium, "fast"))) == 1
    first = formation_plan(COMPOUND, "fast")
    assert not keys(first) & keys(formation_plan(titanium, "fast")), "nickel raises the cutoff of all that is compared"
    assert not keys(first) & keys(formation_plan(COMPOUND, "moderate"))
    assert not keys(first) & keys(formation_plan(COMPOUND, "fast", "LDA"))


def test_elements_take_the_cutoff_of_the_compound():
    plan = formation_plan(as_record(build("B1", "Mg", "O", 9.3)), "fast")
    assert {job.spec["settings"]["cutoff_ev"] for job in plan.jobs} == {600.0}


def test_oxygen_starts_as_the_antiferromagnet_that_it_is():
    spec = reference_spec("O")
    assert len(spec["moments_mub"]) == len(spec["structure"]["numbers"])
    assert sum(spec["moments_mub"]) == 0.0 and max(spec["moments_mub"]) > 1.0


def test_formation_energy_weighs_elements_by_their_fraction():
    structure = {**COMPOUND, "numbers": [13, 28, 28], "scaled_positions": [[0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]]}
    plan = formation_plan(structure, "fast")
    found = formation_energy(plan, answered(plan, -6.0, -3.0, -6.0))
    assert found == pytest.approx(-6.0 + (3.0 + 12.0) / 3)


def test_energies_of_unequal_settings_are_not_combined():
    plan = formation_plan(COMPOUND, "fast")
    answers = answered(plan, -5.0, -3.7, -6.0)
    answers[2]["settings"] = resolve("moderate").record()
    with pytest.raises(ValueError, match="differ from the compound's"):
        formation_energy(plan, answers)


def test_unknown_functionals_are_refused_when_planned():
    with pytest.raises(SettingsError, match="PBEsol"):
        formation_plan(COMPOUND, "fast", "PBEsol")
