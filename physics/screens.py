"""The entry points of `mfal screen`: a potential each."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mfal.errors import ScreeningError
from mfal.oracle import need_package
from mfal.screening import ScreenReport, ScreenRequest
from physics.screening import Answer, Model, screen
from physics.structures import read_structures, structure_files

if TYPE_CHECKING:
    from ase import Atoms

    from physics.mlip.weights import ChgnetWeights


def chgnet(request: ScreenRequest, watch: Callable[[int], None]) -> ScreenReport:
    """Screen with CHGNet; weights are 0.3.0 (PBE, the default), 0.2.0 or r2scan."""
    for package in ("ase", "pymatgen", "torch", "chgnet"):
        need_package(package, "mlip")
    from physics.mlip.weights import RELEASES, load_weights

    name = request.weights or "0.3.0"
    if name not in RELEASES:
        raise ScreeningError(f"--weights {name}: CHGNet has no such weights; known: {', '.join(sorted(RELEASES))}")
    return _report(request, partial(_answered_by_chgnet, load_weights(name)), f"chgnet {name}", watch)


def _report(request: ScreenRequest, model: Model, label: str, watch: Callable[[int], None]) -> ScreenReport:
    try:
        files = structure_files(request.places)
        screened = screen(read_structures(files), model, label, request.table, watch)
    except (FileNotFoundError, ValueError) as error:
        raise ScreeningError(str(error)) from error
    return ScreenReport(screened.answered, screened.failures, screened.before)


def _answered_by_chgnet(weights: "ChgnetWeights", structures: Sequence["Atoms"]) -> list[Answer | str]:
    from physics.mlip.batches import Crystal, StructureError, read_crystal
    from physics.mlip.chgnet_jax import predict_crystals

    def read(atoms: "Atoms") -> Crystal | str:
        try:
            return read_crystal(atoms, 0, weights.atom_cutoff_a, weights.bond_cutoff_a)
        except StructureError as error:
            return str(error)

    read_all = [read(atoms) for atoms in structures]
    found = predict_crystals(weights, [crystal for crystal in read_all if isinstance(crystal, Crystal)])
    answers = map(
        Answer, found.energies_ev_per_atom, found.forces_ev_per_a, found.stresses_gpa, found.magnetic_moments_mu_b
    )
    return [one if isinstance(one, str) else next(answers) for one in read_all]
