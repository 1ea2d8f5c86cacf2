"""Measured properties of cubic solids."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase.build import bulk

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Solid:
    """A cubic crystal.

    Attributes:
        prototype: of `ase.build.bulk`, or perovskite.
        lattice_a: lattice constant.
        bulk_gpa: bulk modulus.
        stiffness_gpa: C11, C12 and C44; None where none is compared with, as in diamond and zincblende, where atoms
            move under shear.
    """

    prototype: str
    lattice_a: float
    bulk_gpa: float
    stiffness_gpa: tuple[float, float, float] | None = None


# Lattice constants: Haas, Tran and Blaha, Phys. Rev. B 79, 085104 (2009), as measured, zero-point motion included; of
# SrTiO3 at 298 K, JCPDS 35-734. Bulk moduli: as collected by Hao et al., Phys. Rev. B 85, 014111 (2012); of SrTiO3
# (C11 + 2 C12) / 3. Stiffness at room temperature: metals CRC Handbook of Chemistry and Physics, 98th edition; MgO and
# NaCl Kittel, Introduction to Solid State Physics, 8th edition, chapter 3; SrTiO3 Wachtman, Wheat and Marzullo,
# J. Res. Natl. Bur. Stand. 67A, 193 (1963), 10.6028/jres.067A.018.
SOLIDS = {
    "Al": Solid("fcc", 4.032, 79.4, (106.8, 60.4, 28.3)),
    "Cu": Solid("fcc", 3.603, 142.0, (168.3, 121.2, 75.7)),
    "Ag": Solid("fcc", 4.069, 109.0, (124.0, 93.7, 46.1)),
    "Ni": Solid("fcc", 3.516, 188.0, (248.1, 154.9, 124.2)),
    "Fe": Solid("bcc", 2.861, 168.3, (226.0, 140.0, 116.0)),
    "W": Solid("bcc", 3.162, 314.0, (522.4, 204.4, 160.6)),
    "Si": Solid("diamond", 5.430, 99.2),
    "GaAs": Solid("zincblende", 5.648, 75.6),
    "NaCl": Solid("rocksalt", 5.595, 26.6, (48.7, 12.4, 12.6)),
    "MgO": Solid("rocksalt", 4.207, 165.0, (286.0, 87.0, 148.0)),
    "LiF": Solid("rocksalt", 4.010, 69.8),
    "TiC": Solid("rocksalt", 4.330, 233.0),
    "SrTiO3": Solid("perovskite", 3.905, 173.7, (315.6, 102.7, 121.5)),
}


def primitive(name: str) -> "Atoms":
    """Return the primitive cell at the measured lattice constant, its cubic axes along x, y and z."""
    solid = SOLIDS[name]
    if solid.prototype == "perovskite":
        from benchmarks.screening.cells import PROTOTYPES

        atoms = PROTOTYPES["perovskite"].copy()
        atoms.set_cell([solid.lattice_a] * 3, scale_atoms=True)
        return atoms
    return bulk(name, solid.prototype, solid.lattice_a)
